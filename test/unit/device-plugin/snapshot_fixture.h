// SPDX-License-Identifier: Apache-2.0
/* Two devices of a fake sysfs and class files for them, and the snapshot that is made of both. */
#pragma once

#include "device-plugin/snapshot.h"
#include "fake_sysfs.h"

#define ID_A "0000:21:00.0"
#define ID_B "0000:41:00.0"

static const struct fake_device dev_a = { ID_A, "pci0000:20", "0000:20:01.0", "1234",
	"11e8", NULL, "edu", 0, "edu", 0 };
static const struct fake_device dev_b = { ID_B, "pci0000:40", NULL, "1234", "11e8", NULL,
	"edu", -1, "edu", 1 };

static const char edu[] =
	"apiVersion: farrier.dev/v1alpha1\nkind: AcceleratorClass\n"
	"metadata: { name: edu }\nspec:\n"
	"  match: [ { bus: PCI, vendor: \"1234\", device: \"11e8\", driver: edu } ]\n"
	"  resourceName: farrier.dev/edu\n"
	"  deviceNodes: [ { subsystem: edu } ]\n";

/* Everything at once, as the plugin holds it. */
struct world {
	struct inventory *inv;
	struct classes *classes;
	struct snapshot *s;
	char class_dir[128], root[128], run[128], sysfs[128];
	const char *dirs[1];
	uint64_t now_us;
};

/* Reads the class files and the machine again, a second later. */
static void see(struct world *w)
{
	struct snapshot_options o = { w->root, w->run, w->now_us += USEC_PER_SEC, NULL };
	struct err e = { 0 };

	assert_true(classes_load(w->classes, &e) >= 0);
	assert_int_equal(inventory_scan(w->inv, classes_buses(w->classes), &e), 0);
	snapshot_free(w->s);
	w->s = NULL;
	assert_int_equal(snapshot_new(&o, w->classes, w->inv, &w->s, &e), 0);
}

/* Both devices, and one class file of @text if it is not NULL. */
static void world_new(struct world *w, const char *text)
{
	*w = (struct world){ 0 };
	(void)snprintf(w->class_dir, sizeof(w->class_dir), "%s", fake_path("classes"));
	(void)snprintf(w->root, sizeof(w->root), "%s", fake_dir);
	(void)snprintf(w->run, sizeof(w->run), "%s", fake_path("run"));
	(void)snprintf(w->sysfs, sizeof(w->sysfs), "%s", fake_path("sys"));
	w->dirs[0] = w->class_dir;
	fake_add(&dev_a);
	fake_add(&dev_b);
	if (text)
		fake_file(fake_path("classes/edu.yaml"), text);
	assert_int_equal(inventory_new(w->sysfs, &w->inv, NULL), 0);
	assert_int_equal(classes_new(w->dirs, 1, &w->classes, NULL), 0);
	see(w);
}

static void world_done(struct world *w)
{
	snapshot_free(w->s);
	classes_free(w->classes);
	inventory_free(w->inv);
}

/* The class of the tests with other lines behind it. */
static const char *class_with(const char *more)
{
	static char out[2048];

	(void)snprintf(out, sizeof(out), "%s%s", edu, more);
	return out;
}

#define T(f) cmocka_unit_test_setup_teardown(f, fake_setup, fake_teardown)
