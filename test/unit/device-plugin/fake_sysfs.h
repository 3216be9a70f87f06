// SPDX-License-Identifier: Apache-2.0
/* A /sys in a folder of its own, for tests of what reads it. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <sys/stat.h>

#include "base.h"
#include "file.h"

struct fake_device {
	const char *id, *root,
		*bridge; /* "0000:21:00.0", "pci0000:20", NULL or "0000:20:01.0" */
	const char *vendor, *device, *class_code, *driver; /* driver NULL: none */
	int numa;
	const char *subsystem; /* NULL: no device node */
	int node; /* <subsystem><node> */
};

static char fake_dir[64];

static inline int fake_setup(void **state)
{
	(void)snprintf(fake_dir, sizeof(fake_dir), "/tmp/farrier-sysfs-XXXXXX");
	return mkdtemp(fake_dir) ? 0 : -1;
}

static inline int fake_teardown(void **state)
{
	return dir_remove(fake_dir, NULL);
}

/* A path below the fake folder; good until the fourth call after it. */
static inline const char *fake_path(const char *fmt, ...)
{
	static char out[4][1024];
	static int turn;
	char *o = out[turn++ % 4];
	int n = snprintf(o, sizeof(out[0]), "%s/", fake_dir);
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(o + n, sizeof(out[0]) - (size_t)n, fmt, ap);
	va_end(ap);
	return o;
}

static inline void fake_file(const char *path, const char *text)
{
	char dir[1024];
	FILE *f;

	(void)snprintf(dir, sizeof(dir), "%s", path);
	*strrchr(dir, '/') = '\0';
	assert_int_equal(dir_make(dir, 0755, NULL), 0);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static inline void fake_link(const char *to, const char *path)
{
	(void)unlink(path);
	assert_int_equal(symlink(to, path), 0);
}

static inline void fake_rel(const struct fake_device *d, char *out, size_t size)
{
	(void)snprintf(out, size, "devices/%s/%s%s%s", d->root,
		d->bridge ? d->bridge : "", d->bridge ? "/" : "", d->id);
}

static inline void fake_add(const struct fake_device *d)
{
	char rel[256], text[64], to[300];

	fake_rel(d, rel, sizeof(rel));
	(void)snprintf(text, sizeof(text), "0x%s\n", d->vendor);
	fake_file(fake_path("sys/%s/vendor", rel), text);
	(void)snprintf(text, sizeof(text), "0x%s\n", d->device);
	fake_file(fake_path("sys/%s/device", rel), text);
	(void)snprintf(
		text, sizeof(text), "0x%s\n", d->class_code ? d->class_code : "ff0000");
	fake_file(fake_path("sys/%s/class", rel), text);
	(void)snprintf(text, sizeof(text), "%d\n", d->numa);
	fake_file(fake_path("sys/%s/numa_node", rel), text);
	fake_link("../../../bus/pci", fake_path("sys/%s/subsystem", rel));
	if (d->driver) {
		(void)snprintf(to, sizeof(to), "../../../bus/pci/drivers/%s", d->driver);
		fake_link(to, fake_path("sys/%s/driver", rel));
	}
	if (d->subsystem) {
		(void)snprintf(text, sizeof(text), "MAJOR=240\nDEVNAME=%s%d\n",
			d->subsystem, d->node);
		fake_file(fake_path("sys/%s/%s/%s%d/uevent", rel, d->subsystem,
				  d->subsystem, d->node),
			text);
		(void)snprintf(to, sizeof(to), "../../../../../class/%s", d->subsystem);
		fake_link(to, fake_path("sys/%s/%s/%s%d/subsystem", rel, d->subsystem,
				      d->subsystem, d->node));
		fake_file(fake_path("dev/%s%d", d->subsystem, d->node), "");
	}
	assert_int_equal(dir_make(fake_path("sys/bus/pci/devices"), 0755, NULL), 0);
	(void)snprintf(to, sizeof(to), "../../../%s", rel);
	fake_link(to, fake_path("sys/bus/pci/devices/%s", d->id));
}

static inline void fake_remove(const struct fake_device *d)
{
	char rel[256];

	fake_rel(d, rel, sizeof(rel));
	assert_int_equal(unlink(fake_path("sys/bus/pci/devices/%s", d->id)), 0);
	assert_int_equal(dir_remove(fake_path("sys/%s", rel), NULL), 0);
}
