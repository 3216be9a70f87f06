// SPDX-License-Identifier: Apache-2.0
/* Attributes and variables on a fake sysfs: found by patterns, refused when hostile, and what becomes of
 * them in resource names, device nodes and CDI names. */
#include "fake_sysfs.h"

#include "device-plugin/attribute.h"
#include "device-plugin/explain.h"
#include "json.h"

#define ID "0000:21:00.0"
#define REL "devices/pci0000:20/" ID

static const struct fake_device dev = { ID, "pci0000:20", NULL, "1234", "11e8", NULL,
	"edu", 1, "edu", 0 };

struct world {
	struct inventory *inv;
	struct classes *classes;
	struct snapshot *s;
	char class_dir[128], root[128], sysfs[128];
	const char *dirs[1];
};

static void see(struct world *w)
{
	struct snapshot_options o = { w->root, "/run/farrier" };
	struct err e = { 0 };

	assert_true(classes_load(w->classes, &e) >= 0);
	for (size_t i = 0; i < classes_files(w->classes); i++)
		if (classes_file(w->classes, i)->error)
			fail_msg("%s", classes_file(w->classes, i)->error);
	assert_int_equal(inventory_scan(w->inv, classes_buses(w->classes), &e), 0);
	snapshot_free(w->s);
	w->s = NULL;
	assert_int_equal(snapshot_new(&o, w->classes, w->inv, &w->s, &e), 0);
}

static void write_class(const char *name, const char *spec)
{
	char text[2048];

	(void)snprintf(text, sizeof(text),
		"apiVersion: farrier.dev/v1alpha1\nkind: AcceleratorClass\n"
		"metadata: { name: %s }\nspec:\n%s",
		name, spec);
	fake_file(fake_path("classes/%s.yaml", name), text);
}

static void world_new(struct world *w, const char *spec)
{
	*w = (struct world){ 0 };
	(void)snprintf(w->class_dir, sizeof(w->class_dir), "%s", fake_path("classes"));
	(void)snprintf(w->root, sizeof(w->root), "%s", fake_dir);
	(void)snprintf(w->sysfs, sizeof(w->sysfs), "%s", fake_path("sys"));
	w->dirs[0] = w->class_dir;
	if (spec)
		write_class("a", spec);
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

static void reads_what_is_there(void **state)
{
	static const struct {
		const char *name, *file, *want; /* NULL: nothing to read */
	} cases[] = {
		{ "a file", "rev", "a1" },
		{ "white space behind", "label", "a label" },
		{ "empty", "empty", "" },
		{ "a link", "iommu_group", "17" },
		{ "a folder is there", "edu", "" },
		{ "in a folder", "edu/edu0/uevent", "MAJOR=240" },
		{ "a pattern", "rom.*/VBNV", "xilinx_u250" },
		{ "the first of several", "p*", "1" },
		{ "no hidden names", "*hidden", NULL },
		{ "the device above", "../shared", "all" },
		{ "a sibling", "../other*/compat_id", "ce48" },
		{ "above all devices", "../../../kernel", NULL },
		{ "through a link", "iommu_group/type", "DMA" },
		{ "absent", "absent", NULL },
		{ "absent in a folder", "edu/absent/x", NULL },
		{ "below a file", "rev/x", NULL },
		{ "too long a line", "long", NULL },
		{ "many parts", "a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a", NULL },
	};
	struct world w;
	char big[600], out[256];

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	fake_add(&dev);
	fake_file(fake_path("sys/" REL "/rev"), "a1\nb2\n");
	fake_file(fake_path("sys/" REL "/label"), "a label \t\n");
	fake_file(fake_path("sys/" REL "/empty"), "");
	fake_file(fake_path("sys/" REL "/long"), big);
	fake_file(fake_path("sys/" REL "/rom.u.1/VBNV"), "xilinx_u250\n");
	fake_file(fake_path("sys/" REL "/p1"), "1\n");
	fake_file(fake_path("sys/" REL "/p2"), "2\n");
	fake_file(fake_path("sys/" REL "/.hidden"), "no\n");
	fake_file(fake_path("sys/devices/pci0000:20/shared"), "all\n");
	fake_file(fake_path("sys/devices/pci0000:20/other.0/compat_id"), "ce48\n");
	fake_file(fake_path("sys/kernel"), "no\n");
	fake_file(fake_path("sys/groups/17/type"), "DMA\n");
	fake_link("../../../groups/17", fake_path("sys/" REL "/iommu_group"));
	world_new(&w, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int r = attribute_read(w.inv, inventory_find(w.inv, ID), cases[i].file,
			out, sizeof(out));

		if ((r == 0) != !!cases[i].want)
			fail_msg("case '%s': %d", cases[i].name, r);
		if (r == 0 && !streq(out, cases[i].want))
			fail_msg("case '%s': '%s'", cases[i].name, out);
	}
	world_done(&w);
}

static void expands(void **state)
{
	static const struct api_variable vars[] = {
		{ "id", "table", "{slot} -+> ([0-9]+)$" },
		{ "whole", "table", "[0-9]+:00.1" },
		{ "plain", "rev", NULL },
		{ "path", "path", NULL },
		{ "up", "up", NULL },
		{ "two", "two", NULL },
		{ "none", "absent", NULL },
		{ "nothing", "table", "none" },
		{ "binary", "binary", NULL },
		{ "own", "at-{vendor}-{device}", NULL },
	};
	static const struct {
		const char *text, *want; /* NULL: an error */
	} cases[] = {
		{ "plain text", "plain text" },
		{ "/dev/davinci{id}", "/dev/davinci3" },
		{ "{whole}", "22:00.1" },
		{ "{plain}-{plain}", "a1-a1" },
		{ "{address}", ID },
		{ "{slot} {vendor} {device} {driver}", "21:00.0 1234 11e8 edu" },
		{ "{own}", "ok" },
		{ "{iommuGroup}", NULL },
		{ "{path}", NULL },
		{ "{up}", NULL },
		{ "{two}", NULL },
		{ "{none}", NULL },
		{ "{nothing}", NULL },
		{ "{binary}", NULL },
	};
	struct api_class_spec s = { .variables = {
					    (void *)(uintptr_t)vars, ARRAY_SIZE(vars) } };
	struct world w;
	char out[EXPANDED_MAX];

	fake_add(&dev);
	/* The dots of the address are no wildcards: the first line is another device. */
	fake_file(fake_path("sys/" REL "/table"),
		"21:00x0 ---> 9\n22:00.1 ---> 7\n21:00.0 ---> 3\n");
	fake_file(fake_path("sys/" REL "/rev"), "a1\n");
	fake_file(fake_path("sys/" REL "/path"), "../../etc/shadow\n");
	fake_file(fake_path("sys/" REL "/up"), "..\n");
	fake_file(fake_path("sys/" REL "/two"), "a b\n");
	fake_file(fake_path("sys/" REL "/binary"), "\xff\x01\n");
	fake_file(fake_path("sys/" REL "/at-1234-11e8"), "ok\n");
	world_new(&w, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err e = { 0 };
		int r = expand(w.inv, (struct device *)inventory_find(w.inv, ID), &s,
			cases[i].text, out, sizeof(out), &e);

		if ((r == 0) != !!cases[i].want || (r < 0 && !e.text[0]))
			fail_msg("case '%s': %d, %s", cases[i].text, r, e.text);
		if (r == 0 && !streq(out, cases[i].want))
			fail_msg("case '%s': '%s'", cases[i].text, out);
	}
	assert_int_equal(expand(w.inv, (struct device *)inventory_find(w.inv, ID), &s,
				 "{address}", out, 8, NULL),
		-ENAMETOOLONG);
	world_done(&w);
}

static void attributes_decide(void **state)
{
	static const char spec[] =
		"  match: [ { bus: PCI, vendor: \"1234\", attributes: [ { name: afu_id, value: "
		"d8 }, { name: rev, regexp: \"^a[0-9]$\" }, { name: edu } ] } ]\n"
		"  resourceName: farrier.dev/edu\n";
	struct world w;

	fake_add(&dev);
	fake_file(fake_path("sys/" REL "/afu_id"), "d8\n");
	fake_file(fake_path("sys/" REL "/rev"), "a1\n");
	world_new(&w, spec);
	assert_int_equal(w.s->n_claims, 1);
	/* Says otherwise: not this class any more, though it had the device. */
	fake_file(fake_path("sys/" REL "/afu_id"), "d9\n");
	see(&w);
	assert_int_equal(w.s->n_claims, 0);
	fake_file(fake_path("sys/" REL "/afu_id"), "d8\n");
	see(&w);
	assert_int_equal(w.s->n_claims, 1);
	/* Says nothing, as while its driver is away: still its device. */
	assert_int_equal(unlink(fake_path("sys/" REL "/afu_id")), 0);
	see(&w);
	assert_int_equal(w.s->n_claims, 1);
	fake_file(fake_path("sys/" REL "/afu_id"), "d8\n");
	fake_file(fake_path("sys/" REL "/rev"), "a11\n");
	see(&w);
	assert_int_equal(w.s->n_claims, 0);
	world_done(&w);
}

static void functions_are_told_apart(void **state)
{
	static const char virtual
		[] = "  match: [ { bus: PCI, vendor: \"1234\", function: Virtual } ]\n"
		     "  resourceName: farrier.dev/vf\n";
	static const char physical[] =
		"  match: [ { bus: PCI, vendor: \"1234\", function: Physical } ]\n"
		"  resourceName: farrier.dev/pf\n";
	static const struct fake_device vf = { "0000:21:00.1", "pci0000:20", NULL, "1234",
		"11e8", NULL, "edu", 1, NULL, 0 };
	struct world w;

	fake_add(&dev);
	fake_add(&vf);
	fake_link("../" ID, fake_path("sys/devices/pci0000:20/0000:21:00.1/physfn"));
	world_new(&w, physical);
	assert_int_equal(w.s->n_claims, 1);
	assert_string_equal(w.s->claims[0].device->id, ID);
	write_class("b", virtual);
	see(&w);
	assert_int_equal(w.s->n_claims, 2);
	assert_string_equal(w.s->claims[1].resource, "farrier.dev/vf");
	/* A lost one stays what it was. */
	fake_remove(&vf);
	see(&w);
	assert_int_equal(w.s->n_claims, 2);
	assert_string_equal(w.s->claims[1].resource, "farrier.dev/vf");
	world_done(&w);
}

/* The resource follows what the FPGA holds; a lost device keeps its last. */
static void resources_by_value(void **state)
{
	static const char spec[] = "  match: [ { bus: PCI, vendor: \"1234\" } ]\n"
				   "  variables: [ { name: afu, file: afu_id } ]\n"
				   "  resourceName: \"fpga.intel.com/af-{afu}\"\n";
	CLEANUP(json_freep) struct json *doc = NULL;
	struct world w;

	fake_add(&dev);
	fake_file(fake_path("sys/" REL "/afu_id"), "d8424dc4a4a3c413f89e433683f9040b\n");
	world_new(&w, spec);
	assert_int_equal(w.s->n_resources, 1);
	assert_string_equal(w.s->resources[0].name,
		"fpga.intel.com/af-d8424dc4a4a3c413f89e433683f9040b");
	fake_file(fake_path("sys/" REL "/afu_id"), "f7df405cbd7acf7222f144b0b93acd18\n");
	see(&w);
	assert_int_equal(w.s->n_resources, 1);
	assert_string_equal(w.s->resources[0].name,
		"fpga.intel.com/af-f7df405cbd7acf7222f144b0b93acd18");
	fake_remove(&dev);
	see(&w);
	assert_string_equal(w.s->resources[0].name,
		"fpga.intel.com/af-f7df405cbd7acf7222f144b0b93acd18");
	assert_false(claim_is_healthy(w.s->resources[0].units[0].claim));
	world_done(&w);

	/* No name at all: not advertised, and said why. */
	fake_add(&dev);
	fake_file(fake_path("sys/" REL "/afu_id"), "no name: / \n");
	world_new(&w, spec);
	assert_int_equal(w.s->n_claims, 1);
	assert_int_equal(w.s->n_resources, 0);
	assert_int_equal(explain_json(w.s, w.classes, w.inv, &doc), 0);
	assert_non_null(strstr(json_get_str(json_at(json_get(doc, "devices"), 0), "why"),
		"no usable 'afu'"));
	world_done(&w);
	/* Longer than the kubelet takes. */
	fake_file(fake_path("sys/" REL "/afu_id"),
		"d8424dc4a4a3c413f89e433683f9040bd8424dc4a4a3c413f89e433683f9040b\n");
	world_new(&w, spec);
	assert_int_equal(w.s->n_resources, 0);
	assert_non_null(strstr(w.s->claims[0].nameless, "no name of a resource"));
	world_done(&w);
}

static void nodes_by_path_and_function(void **state)
{
	static const char spec[] =
		"  match: [ { bus: PCI, vendor: \"1234\", subsystem: edu } ]\n"
		"  variables: [ { name: minor, file: minor } ]\n"
		"  resourceName: farrier.dev/edu\n"
		"  deviceNodes: [ { path: \"/dev/x{minor}\" }, { path: /dev/ctl, optional: true "
		"}, { subsystem: mgmt, name: \"m*\", function: 1 }, { subsystem: edu } ]\n"
		"  cdiDevices: [ \"vendor.com/x={minor}\" ]\n";
	static const struct fake_device mgmt = { "0000:21:00.1", "pci0000:20", NULL,
		"1234", "11e9", NULL, "m", 1, "mgmt", 5 };
	const struct claim *c;
	struct world w;

	fake_add(&dev);
	fake_add(&mgmt);
	fake_file(fake_path("sys/" REL "/minor"), "7\n");
	fake_file(fake_path("dev/x7"), "");
	world_new(&w, spec);
	assert_int_equal(w.s->n_claims, 1);
	c = &w.s->claims[0];
	assert_true(c->has_nodes);
	assert_int_equal(c->n_nodes, 3);
	assert_string_equal(c->nodes[0].path, "/dev/x7");
	assert_string_equal(c->nodes[0].link, "/run/farrier/dev/" ID "/path-0");
	assert_string_equal(c->nodes[1].path, "/dev/mgmt5");
	assert_string_equal(c->nodes[1].link, "/run/farrier/dev/" ID "/mgmt-0");
	assert_string_equal(c->nodes[2].path, "/dev/edu0");
	assert_int_equal(c->n_cdi_devices, 1);
	assert_string_equal(c->cdi_devices[0], "vendor.com/x=7");
	/* Optional ones when they come; what cannot be told is missing. */
	fake_file(fake_path("dev/ctl"), "");
	see(&w);
	assert_int_equal(w.s->claims[0].n_nodes, 4);
	assert_string_equal(w.s->claims[0].nodes[1].link, "/dev/ctl");
	fake_file(fake_path("sys/" REL "/minor"), "/../sda\n");
	see(&w);
	assert_false(w.s->claims[0].has_nodes);
	assert_int_equal(w.s->claims[0].reason, REASON_DEVICE_ABSENT);
	world_done(&w);
}

/* A device that is a node itself, on the NUMA node of the PCI device above it. */
static void platform_devices(void **state)
{
	static const char spec[] =
		"  match: [ { bus: Platform, driver: dfl-port } ]\n"
		"  variables: [ { name: region, file: "
		"\"../dfl-fme.*/dfl-fme-region.*/fpga_region/region*/compat_id\" } ]\n"
		"  resourceName: \"fpga.intel.com/region-{region}\"\n"
		"  deviceNodes: [ { subsystem: platform } ]\n";
	static const char *const port = "devices/pci0000:20/" ID
					"/fpga_region/region0/dfl-port.0";
	struct world w;

	fake_add(&dev);
	fake_file(fake_path("sys/%s/uevent", port), "DEVNAME=dfl-port.0\n");
	fake_file(fake_path("sys/" REL "/fpga_region/region0/dfl-fme.0/dfl-fme-region.1/"
			    "fpga_region/region1/compat_id"),
		"ce48969398f05f33946d560708be108a\n");
	fake_link("../../../../../../bus/platform", fake_path("sys/%s/subsystem", port));
	fake_link("../../../../../../bus/platform/drivers/dfl-port",
		fake_path("sys/%s/driver", port));
	assert_int_equal(dir_make(fake_path("sys/bus/platform/devices"), 0755, NULL), 0);
	fake_link("../../../devices/pci0000:20/" ID "/fpga_region/region0/dfl-port.0",
		fake_path("sys/bus/platform/devices/dfl-port.0"));
	fake_file(fake_path("dev/dfl-port.0"), "");
	world_new(&w, spec);
	assert_int_equal(w.s->n_resources, 1);
	assert_string_equal(w.s->resources[0].name,
		"fpga.intel.com/region-ce48969398f05f33946d560708be108a");
	assert_int_equal(w.s->claims[0].n_nodes, 1);
	assert_string_equal(w.s->claims[0].nodes[0].path, "/dev/dfl-port.0");
	assert_int_equal(w.s->claims[0].device->numa_node, 1);
	assert_string_equal(w.s->claims[0].device->pcie_root, "pci0000:20");
	assert_int_equal(w.s->claims[0].health, HEALTH_HEALTHY);
	world_done(&w);
}

#define FAKE(f) cmocka_unit_test_setup_teardown(f, fake_setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FAKE(reads_what_is_there),
		FAKE(expands),
		FAKE(attributes_decide),
		FAKE(functions_are_told_apart),
		FAKE(resources_by_value),
		FAKE(nodes_by_path_and_function),
		FAKE(platform_devices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
