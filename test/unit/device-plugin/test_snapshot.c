// SPDX-License-Identifier: Apache-2.0
/* From a fake sysfs and class files to what is told on the node: inventory, classes, claims, CDI. */
#include "snapshot_fixture.h"

#include "device-plugin/cdi.h"
#include "device-plugin/explain.h"
#include "device-plugin/links.h"
#include "json.h"

/* ---- inventory and claims ---- */
static void sees_what_is_there(void **state)
{
	struct world w;
	const struct device *a, *b;

	world_new(&w, edu);
	a = inventory_find(w.inv, ID_A);
	b = inventory_find(w.inv, ID_B);
	assert_non_null(a);
	assert_non_null(b);
	assert_string_equal(a->vendor, "1234");
	assert_string_equal(a->device, "11e8");
	assert_string_equal(a->driver, "edu");
	assert_string_equal(a->pcie_root, "pci0000:20");
	assert_int_equal(a->numa_node, 0);
	assert_int_equal(b->numa_node, -1);
	assert_int_equal(w.s->n_claims, 2);
	assert_int_equal(w.s->n_resources, 1);
	assert_string_equal(w.s->resources[0].name, "farrier.dev/edu");
	assert_true(w.s->resources[0].is_mixed);
	assert_int_equal(w.s->claims[0].n_nodes, 1);
	assert_string_equal(w.s->claims[0].nodes[0].path, "/dev/edu0");
	assert_int_equal(w.s->claims[0].health, HEALTH_HEALTHY);
	world_done(&w);
}

/* A NUMA node that the host has not is none (46 of the list). */
static void unknown_numa_is_none(void **state)
{
	struct world w;

	assert_int_equal(
		dir_make(fake_path("sys/devices/system/node/node1"), 0755, NULL), 0);
	world_new(&w, edu);
	assert_int_equal(inventory_find(w.inv, ID_A)->numa_node, -1);
	assert_int_equal(
		dir_make(fake_path("sys/devices/system/node/node0"), 0755, NULL), 0);
	see(&w);
	assert_int_equal(inventory_find(w.inv, ID_A)->numa_node, 0);
	world_done(&w);
}

static void nodes_of_children_only(void **state)
{
	struct world w;
	char rel[256];

	world_new(&w, edu);
	/* A PCI device below ours, as behind a bridge, with a node of the same subsystem. */
	fake_rel(&dev_a, rel, sizeof(rel));
	fake_file(fake_path("sys/%s/0000:22:00.0/uevent", rel),
		"PCI_SLOT_NAME=0000:22:00.0\n");
	fake_link("../../../../bus/pci", fake_path("sys/%s/0000:22:00.0/subsystem", rel));
	fake_file(
		fake_path("sys/%s/0000:22:00.0/edu/edu7/uevent", rel), "DEVNAME=edu7\n");
	fake_link("../../../../../class/edu",
		fake_path("sys/%s/0000:22:00.0/edu/edu7/subsystem", rel));
	fake_file(fake_path("dev/edu7"), "");
	/* And hostile names of our own. */
	fake_file(fake_path("sys/%s/edu/edu8/uevent", rel), "DEVNAME=../../etc/shadow\n");
	fake_link(
		"../../../../../class/edu", fake_path("sys/%s/edu/edu8/subsystem", rel));
	see(&w);
	assert_int_equal(w.s->claims[0].n_nodes, 1);
	assert_string_equal(w.s->claims[0].nodes[0].path, "/dev/edu0");
	world_done(&w);
}

static void hostile_sysfs(void **state)
{
	struct world w;
	char rel[256], big[70];

	fake_rel(&dev_a, rel, sizeof(rel));
	world_new(&w, edu);
	fake_file(fake_path("sys/%s/numa_node", rel), "99999999999999999999\n");
	fake_file(fake_path("sys/%s/vendor", rel), "0xzz\n");
	(void)unlink(fake_path("sys/%s/driver", rel));
	fake_link("x/../../..", fake_path("sys/bus/pci/devices/0000:66:00.0"));
	fake_link("../../../devices/none", fake_path("sys/bus/pci/devices/0000:67:00.0"));
	fake_link("../../../devices/../../etc",
		fake_path("sys/bus/pci/devices/0000:68:00.0"));
	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	fake_link(
		"../../../devices/pci0000:20", fake_path("sys/bus/pci/devices/%s", big));
	see(&w);
	assert_int_equal(inventory_find(w.inv, ID_A)->numa_node, -1);
	assert_null(inventory_find(w.inv, "0000:68:00.0"));
	assert_null(inventory_find(w.inv, big));
	assert_int_equal(w.s->claims[0].reason, REASON_DRIVER_NOT_BOUND);
	world_done(&w);
}

static void health_follows_the_machine(void **state)
{
	struct world w;
	char rel[256];
	uint8_t ones[4] = { 0xff, 0xff, 0xff, 0xff };

	fake_rel(&dev_a, rel, sizeof(rel));
	world_new(&w, edu);
	assert_int_equal(unlink(fake_path("sys/%s/driver", rel)), 0);
	see(&w);
	assert_int_equal(w.s->n_claims, 2); /* listed all the same */
	assert_int_equal(w.s->claims[0].reason, REASON_DRIVER_NOT_BOUND);
	fake_link("../../bus/pci/drivers/vfio-pci", fake_path("sys/%s/driver", rel));
	see(&w);
	assert_int_equal(w.s->claims[0].reason, REASON_DRIVER_NOT_BOUND);
	assert_non_null(strstr(w.s->claims[0].text, "'vfio-pci' is bound"));
	fake_link("../../bus/pci/drivers/edu", fake_path("sys/%s/driver", rel));
	assert_int_equal(unlink(fake_path("dev/edu0")), 0);
	see(&w);
	assert_int_equal(w.s->claims[0].reason, REASON_DEVICE_ABSENT);
	fake_file(fake_path("dev/edu0"), "");
	assert_int_equal(
		file_write_atomic(fake_path("sys/%s/config", rel), ones, 4, 0644, NULL),
		0);
	see(&w);
	assert_int_equal(w.s->claims[0].reason, REASON_DEVICE_LOST);
	fake_file(fake_path("sys/%s/power/runtime_status", rel), "suspended\n");
	see(&w); /* asleep: not asked */
	assert_int_equal(w.s->claims[0].health, HEALTH_HEALTHY);
	fake_file(fake_path("sys/%s/power/runtime_status", rel), "active\n");
	see(&w);
	assert_int_equal(w.s->claims[0].reason, REASON_DEVICE_LOST);
	assert_int_equal(unlink(fake_path("sys/%s/config", rel)), 0);
	see(&w);
	assert_int_equal(w.s->claims[0].health, HEALTH_HEALTHY);
	fake_remove(&dev_a);
	see(&w);
	assert_int_equal(w.s->n_claims, 2); /* a lost device stays (26) */
	assert_int_equal(w.s->claims[0].reason, REASON_DEVICE_LOST);
	fake_add(&dev_a);
	see(&w);
	assert_int_equal(w.s->claims[0].health, HEALTH_HEALTHY);
	/* Nobody's any more: forgotten when it goes. */
	assert_int_equal(unlink(fake_path("classes/edu.yaml")), 0);
	see(&w);
	fake_remove(&dev_a);
	see(&w);
	assert_null(inventory_find(w.inv, ID_A));
	world_done(&w);
}

/* ---- classes ---- */
static void last_good_stays(void **state)
{
	static const char *const bad[] = { "spec: [", "kind: AcceleratorClass\n",
		"a: 1\n---\n",
		"apiVersion: farrier.dev/v1alpha1\nkind: AcceleratorDriver\nmetadata: {name: x}\n",
		"\xff\xfe", "{\"kind\":\"AcceleratorClass\"}" };
	struct world w;

	world_new(&w, edu);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char text[64];

		/* Longer each time: the size tells of the change where clocks are coarse. */
		(void)snprintf(text, sizeof(text), "%-*s", (int)(20 + i), bad[i]);
		fake_file(
			fake_path("classes/edu.yaml"), i == 3 || i == 5 ? bad[i] : text);
		assert_int_equal(classes_load(w.classes, NULL), 1);
		if (!classes_have_errors(w.classes))
			fail_msg("case %zu: no error", i);
		assert_int_equal(classes_len(w.classes), 1);
	}
	fake_file(fake_path("classes/edu.yaml"), edu);
	see(&w);
	assert_false(classes_have_errors(w.classes));
	assert_int_equal(w.s->n_claims, 2);
	assert_int_equal(classes_load(w.classes, NULL), 0); /* nothing new */
	/* The same name in two files: the first file has it. */
	fake_file(fake_path("classes/two.yaml"), edu);
	assert_int_equal(classes_load(w.classes, NULL), 1);
	assert_true(classes_have_errors(w.classes));
	assert_non_null(strstr(classes_file(w.classes, 1)->error,
		"class 'edu' is already in another file"));
	assert_int_equal(classes_len(w.classes), 1);
	assert_int_equal(unlink(fake_path("classes/edu.yaml")), 0);
	see(&w);
	assert_false(classes_have_errors(w.classes));
	assert_int_equal(classes_len(w.classes), 1);
	world_done(&w);
}

/* What people write is read strictly; what a controller of the next version says may hold more. */
static void class_of_a_newer_controller(void **state)
{
	static const char text[] =
		"{\"apiVersion\":\"farrier.dev/v1alpha1\",\"kind\":\"AcceleratorClass\","
		"\"metadata\":{\"name\":\"new\",\"more\":1},\"spec\":{\"resourceName\":"
		"\"farrier.dev/new\",\"more\":{\"a\":[1]},\"match\":[{\"bus\":\"PCI\","
		"\"vendor\":\"1234\",\"more\":\"x\"}]}}";
	struct world w;

	world_new(&w, NULL);
	fake_file(fake_path("classes/new.json"), text);
	see(&w);
	assert_null(classes_file(w.classes, 0)->error);
	assert_string_equal(w.s->claims[0].class_->meta.name, "new");
	fake_file(fake_path("classes/people.yaml"), text);
	see(&w);
	assert_non_null(classes_file(w.classes, 1)->error);
	world_done(&w);
}

static void first_class_wins(void **state)
{
	struct world w;
	char text[1024];

	world_new(&w, edu);
	(void)snprintf(text, sizeof(text),
		"apiVersion: farrier.dev/v1alpha1\nkind: AcceleratorClass\n"
		"metadata: { name: aaa }\nspec:\n"
		"  match: [ { bus: PCI, vendor: \"1234\" } ]\n"
		"  resourceName: farrier.dev/any\n");
	fake_file(fake_path("classes/z.yaml"), text);
	see(&w);
	assert_string_equal(w.s->claims[0].class_->meta.name, "aaa");
	assert_string_equal(w.s->claims[0].rival->meta.name, "edu");
	/* One that would match but for the driver does not take it from one that does. */
	(void)snprintf(text, sizeof(text),
		"apiVersion: farrier.dev/v1alpha1\nkind: AcceleratorClass\n"
		"metadata: { name: aaa }\nspec:\n"
		"  match: [ { bus: PCI, vendor: \"1234\", driver: vfio-pci } ]\n"
		"  resourceName: farrier.dev/vfio\n");
	fake_file(fake_path("classes/z.yaml"), text);
	see(&w);
	assert_string_equal(w.s->claims[0].class_->meta.name, "edu");
	assert_null(w.s->claims[0].rival);
	world_done(&w);
}

/* ---- CDI ---- */
static void cdi_names(void **state)
{
	static const struct {
		const char *name, *want;
	} cases[] = { { "edu", "edu" }, { "nvidia.a100", "nvidia_a100" },
		{ "a-b", "a-b" }, { "8gpus", "c__8gpus" } };
	char out[64];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(cdi_class(cases[i].name, out, sizeof(out)), 0);
		assert_string_equal(out, cases[i].want);
	}
	assert_int_equal(cdi_class("much-too-long", out, 5), -ENAMETOOLONG);
	assert_int_equal(cdi_device("edu", ID_A, out, sizeof(out)), 0);
	assert_string_equal(out, "farrier.dev/edu=" ID_A);
}

static struct json *read_spec(const char *path)
{
	CLEANUP(freep) char *text = NULL;
	struct json *j = NULL;
	size_t len = 0;

	assert_int_equal(file_read(path, 1 << 20, &text, &len, NULL), 0);
	assert_int_equal(json_parse(text, len, &j, NULL), 0);
	return j;
}

static void cdi_specs(void **state)
{
	const char *more =
		"  env: { A: b=c }\n"
		"  mounts: [ { hostPath: /opt/x, containerPath: /x, readOnly: false } ]\n";
	struct world w;
	struct json *spec;
	struct stat before, after;
	char dir[128];

	world_new(&w, class_with(more));
	(void)snprintf(dir, sizeof(dir), "%s", fake_path("cdi"));
	assert_int_equal(cdi_write(dir, w.s, w.classes, true, NULL), 0);
	spec = read_spec(fake_path("cdi/farrier.dev-edu.json"));
	assert_string_equal(json_get_str(spec, "cdiVersion"), "0.5.0");
	assert_string_equal(json_get_str(spec, "kind"), "farrier.dev/edu");
	assert_string_equal(
		json_str(json_at(json_path(spec, "containerEdits.env"), 0)), "A=b=c");
	assert_int_equal(json_len(json_get(spec, "devices")), 2);
	assert_null(
		json_path(json_at(json_get(spec, "devices"), 0), "containerEdits.env"));
	json_free(spec);
	/* Nothing new: not written again. */
	assert_int_equal(stat(fake_path("cdi/farrier.dev-edu.json"), &before), 0);
	assert_int_equal(cdi_write(dir, w.s, w.classes, true, NULL), 0);
	assert_int_equal(stat(fake_path("cdi/farrier.dev-edu.json"), &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	/* A device without its node is not in it, and a class that is gone has none. */
	assert_int_equal(unlink(fake_path("dev/edu1")), 0);
	see(&w);
	assert_int_equal(cdi_write(dir, w.s, w.classes, true, NULL), 0);
	spec = read_spec(fake_path("cdi/farrier.dev-edu.json"));
	assert_int_equal(json_len(json_get(spec, "devices")), 1);
	json_free(spec);
	fake_file(fake_path("cdi/other.json"), "{}");
	fake_file(fake_path("cdi/farrier.dev-old.json"), "{}");
	assert_int_equal(unlink(fake_path("classes/edu.yaml")), 0);
	see(&w);
	assert_int_equal(cdi_write(dir, w.s, w.classes, false, NULL), 0);
	assert_true(file_exists(fake_path("cdi/farrier.dev-edu.json")));
	assert_int_equal(cdi_write(dir, w.s, w.classes, true, NULL), 0);
	assert_false(file_exists(fake_path("cdi/farrier.dev-edu.json")));
	assert_false(file_exists(fake_path("cdi/farrier.dev-old.json")));
	assert_true(file_exists(fake_path("cdi/other.json"))); /* not ours */
	world_done(&w);
}

static void stable_links(void **state)
{
	struct world w;
	char to[64];
	ssize_t n;

	world_new(&w, class_with("  cdi: false\n"));
	assert_int_equal(links_write(w.run, w.s, NULL), 0);
	n = readlink(w.s->claims[0].nodes[0].link, to, sizeof(to) - 1);
	assert_int_equal(n, strlen("/dev/edu0"));
	assert_memory_equal(to, "/dev/edu0", (size_t)n);
	fake_remove(&dev_a);
	see(&w);
	assert_int_equal(links_write(w.run, w.s, NULL), 0);
	assert_false(file_exists(fake_path("run/dev/" ID_A)));
	assert_true(file_exists(fake_path("run/dev/" ID_B)));
	world_done(&w);
}

/* ---- what people see ---- */
static void external_is_inventory_only(void **state)
{
	CLEANUP(json_freep) struct json *doc = NULL;
	struct world w;
	struct buf out;

	world_new(&w, class_with("  sharing: { strategy: External }\n"));
	assert_int_equal(w.s->n_resources, 0);
	assert_int_equal(devices_json(w.s, &doc), 0);
	assert_int_equal(json_len(json_get(doc, "devices")), 2);
	buf_init(&out, 1 << 20);
	assert_int_equal(explain_text(w.s, w.classes, w.inv, &out), 0);
	assert_non_null(
		strstr(buf_cstr(&out), "leaves handing it out to another plugin"));
	buf_done(&out);
	world_done(&w);
}

static void explains(void **state)
{
	static const struct fake_device gpu = { "0000:61:00.0", "pci0000:60", NULL,
		"10de", "2330", "030200", NULL, 0, NULL, 0 };
	struct world w;
	struct buf out;
	char rel[256];

	fake_add(&gpu);
	fake_rel(&dev_b, rel, sizeof(rel));
	world_new(&w, edu);
	fake_link("../../bus/pci/drivers/vfio-pci", fake_path("sys/%s/driver", rel));
	see(&w);
	buf_init(&out, 1 << 20);
	assert_int_equal(explain_text(w.s, w.classes, w.inv, &out), 0);
	assert_non_null(strstr(buf_cstr(&out),
		ID_A " (PCI 1234:11e8, driver edu): allocatable as farrier.dev/edu"));
	assert_non_null(strstr(buf_cstr(&out),
		"0000:61:00.0 (PCI 10de:2330, driver none): not allocatable: no class"));
	assert_non_null(strstr(buf_cstr(&out),
		ID_B " (PCI 1234:11e8, driver vfio-pci): not allocatable"));
	buf_done(&out);
	world_done(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(sees_what_is_there),
		T(unknown_numa_is_none),
		T(nodes_of_children_only),
		T(hostile_sysfs),
		T(health_follows_the_machine),
		T(last_good_stays),
		T(class_of_a_newer_controller),
		T(first_class_wins),
		cmocka_unit_test(cdi_names),
		T(cdi_specs),
		T(stable_links),
		T(external_is_inventory_only),
		T(explains),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
