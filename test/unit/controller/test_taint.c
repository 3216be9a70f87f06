// SPDX-License-Identifier: Apache-2.0
/* The start-up taint: when it goes, how it is taken away, and that nothing else of a Node is touched. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "controller/bodies.h"
#include "controller/reconcile.h"
#include "controller/taint.h"
#include "test/unit/controller/fake_cluster.h"

#define KEY "startup-taint.cluster-autoscaler.kubernetes.io/farrier"

static const struct {
	const char *name;
	const char *status; /* of our condition; NULL: no driver is for this node */
	bool is_silent,
		is_offline; /* the agent said nothing yet; the Node is not Ready */
	const char *resource, *class_driver, *class_code; /* of the class */
	const char *hardware;
	uint16_t devices, healthy; /* that the plugin reported */
	int64_t allocatable;
	bool expected;
} cases[] = {
	{ "advertised", "True", .hardware = "pci:1234:11e8", .devices = 1, .healthy = 1,
		.allocatable = 1, .expected = true },
	{ "the agent is silent", "True", .is_silent = true, .allocatable = 1 },
	{ "not ready", "True", .is_offline = true, .allocatable = 1 },
	{ "the driver does not run", "False", .hardware = "pci:1234:11e8",
		.allocatable = 1 },
	{ "the kubelet does not offer it yet", "True", .hardware = "pci:1234:11e8",
		.devices = 1, .healthy = 1 },
	{ "the plugin has not looked yet", "True", .hardware = "pci:1234:11e8" },
	{ "nothing of ours here", NULL, .hardware = "pci:8086:1572", .expected = true },
	{ "no driver, but devices of a class", NULL, .hardware = "pci:1234:11e8" },
	{ "no driver, advertised", NULL, .hardware = "pci:1234:11e8", .allocatable = 2,
		.expected = true },
	{ "the class wants a driver that none of ours loads", NULL,
		.class_driver = "vfio-pci", .hardware = "pci:1234:11e8",
		.expected = true },
	{ "the class wants our driver", "True", .class_driver = "edu",
		.hardware = "pci:1234:11e8" },
	{ "the class wants more than IDs", "True", .class_code = "03",
		.hardware = "pci:1234:11e8", .expected = true },
	{ "more than IDs, and there they are", "True", .class_code = "03",
		.hardware = "pci:1234:11e8", .devices = 1, .healthy = 1 },
	{ "a resource for each model, none healthy", "True",
		.resource = "farrier.dev/{model}", .hardware = "pci:1234:11e8",
		.devices = 1 },
	{ "a resource for each model, healthy", "True", .resource = "farrier.dev/{model}",
		.hardware = "pci:1234:11e8", .devices = 2, .healthy = 1,
		.expected = true },
};

static void test_when(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct api_module module = { .name = "edu" };
		struct view_driver d = { .name = "a", .has_spec = true }, *ds[] = { &d };
		struct api_device_match match = { .bus = API_BUS_PCI,
			.vendor = "1234",
			.driver = cases[i].class_driver,
			.class_code = cases[i].class_code };
		struct view_class k = { .name = "c", .has_spec = true }, *ks[] = { &k };
		const char *hardware = cases[i].hardware;
		struct view_class_devices devices = { "c", cases[i].devices,
			cases[i].healthy };
		struct view_count count = { "farrier.dev/edu", cases[i].allocatable };
		struct view_node n = { .name = "n",
			.is_known = !cases[i].is_silent,
			.is_ready = !cases[i].is_offline,
			.hardware = { &hardware, hardware ? 1 : 0 },
			.devices = { &devices, cases[i].devices ? 1 : 0 },
			.allocatable = { &count, 1 } };
		struct view_assign s = { .name = "a", .generation = 1 };
		struct list assigns = { &s, cases[i].status ? 1 : 0 };
		struct view v = {
			.drivers = ds, .n_drivers = 1, .classes = ks, .n_classes = 1
		};
		struct marks m = { .status = cases[i].status };

		d.d.spec.modules = (struct list){ &module, 1 };
		k.c.spec.match = (struct list){ &match, 1 };
		k.c.spec.resource_name = cases[i].resource ? cases[i].resource
							   : "farrier.dev/edu";
		if (taint_is_over(&v, &n, &assigns, &m) != cases[i].expected)
			fail_msg("case '%s'", cases[i].name);
	}
}

static void test_seen(void **state)
{
	static const struct {
		const char *name, *taints;
		int at;
	} rows[] = {
		{ "none", "[]", 0 },
		{ "only another's", "[{\"key\":\"a\",\"effect\":\"NoSchedule\"}]", 0 },
		{ "ours among others",
			"[{\"key\":\"a\"},{\"key\":\"" KEY "\",\"value\":\"x\"}]", 2 },
		{ "with two effects: one after the other",
			"[{\"key\":\"" KEY "\"},{\"key\":\"" KEY "\"}]", 1 },
		{ "nonsense", "{\"key\":\"" KEY "\"}", 0 },
		{ "more nonsense", "[7,null,[],{\"key\":7}]", 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP(fleet_freep) struct fleet *f = NULL;
		CLEANUP(json_freep) struct json *j = NULL;
		char text[512];

		(void)snprintf(text, sizeof(text),
			"{\"metadata\":{\"name\":\"n\"},\"spec\":{\"taints\":%s}}",
			rows[i].taints);
		j = cluster_parse(text);
		assert_int_equal(fleet_new(NULL, &f), 0);
		fleet_watch_taint(f, KEY);
		assert_int_equal(fleet_put(f, FLEET_NODES, j, NULL), 1);
		if (fleet_node(f, "n")->taint_at != rows[i].at)
			fail_msg("case '%s': %d", rows[i].name,
				fleet_node(f, "n")->taint_at);
		fleet_watch_taint(f, NULL); /* not opted in: not even looked at */
		assert_int_equal(fleet_put(f, FLEET_NODES, j, NULL), rows[i].at > 0);
		assert_int_equal(fleet_node(f, "n")->taint_at, 0);
	}
}

/* ---- the whole controller ---- */

static void put_node(struct cluster *c, const char *allocatable)
{
	char text[1024];

	(void)snprintf(text, sizeof(text),
		"{\"metadata\":{\"name\":\"n0\",\"uid\":\"u-n0\"},\"spec\":{\"taints\":["
		"{\"key\":\"mine\",\"effect\":\"NoSchedule\"},"
		"{\"key\":\"" KEY "\",\"effect\":\"NoSchedule\"},"
		"{\"key\":\"" KEY "\",\"effect\":\"NoExecute\"}]},\"status\":{"
		"\"allocatable\":{\"farrier.dev/edu\":\"%s\"},"
		"\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}",
		allocatable);
	cluster_put(c, "/api/v1/nodes/n0", text);
}

static size_t taints(const struct cluster *c)
{
	return json_len(json_path(cluster_get(c, "/api/v1/nodes/n0"), "spec.taints"));
}

static bool is_marked(const struct cluster *c)
{
	return json_len(json_path(
		       cluster_get(c, "/api/v1/nodes/n0"), "status.conditions")) == 2;
}

static void run_until(struct cluster *c, bool (*is_so)(const struct cluster *c))
{
	for (unsigned i = 0; i < 36000 && !is_so(c); i++) {
		(void)pump(c->loop, NULL, 2);
		skew_us += 100 * USEC_PER_MSEC;
	}
	assert_true(is_so(c));
}

static bool is_one_left(const struct cluster *c)
{
	return taints(c) == 1;
}

static void put_fleet(struct cluster *c)
{
	cluster_put(c, FARRIER "acceleratorclasses/edu",
		"{\"apiVersion\":\"farrier.dev/v1alpha1\",\"kind\":\"AcceleratorClass\","
		"\"metadata\":{\"name\":\"edu\",\"uid\":\"u-c\",\"generation\":1},"
		"\"spec\":{\"match\":[{\"bus\":\"PCI\",\"vendor\":\"1234\"}],"
		"\"resourceName\":\"farrier.dev/edu\"}}");
	cluster_put(c, FARRIER "acceleratordrivers/edu",
		"{\"apiVersion\":\"farrier.dev/v1alpha1\",\"kind\":\"AcceleratorDriver\","
		"\"metadata\":{\"name\":\"edu\",\"uid\":\"u-edu\",\"generation\":1,"
		"\"creationTimestamp\":\"2026-01-01T00:00:00Z\"},"
		"\"spec\":{\"version\":\"1.0\",\"devices\":[{\"bus\":\"PCI\",\"vendor\":\"1234\","
		"\"device\":\"11e8\"}],\"source\":{\"type\":\"Host\",\"host\":{\"path\":\"/e\"}},"
		"\"modules\":[{\"name\":\"edu\"}]}}");
}

static void test_removed(void **state)
{
	static const char *const keys[] = { KEY, NULL };

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		struct reconcile_options o = { .startup_taint = keys[i] };
		struct reconcile *rc = NULL;
		struct metrics *m = NULL;
		struct cluster c;

		cluster_start(&c, false);
		put_node(&c, "0");
		put_fleet(&c);
		assert_int_equal(metrics_new(&m), 0);
		assert_int_equal(reconcile_new(c.kube, m, &o, &rc, NULL), 0);
		reconcile_start(rc);
		run_until(&c, is_marked);
		assert_int_equal(taints(&c), 3); /* nothing is advertised */
		put_node(&c, "1");
		if (keys[i]) {
			run_until(&c, is_one_left);
			assert_string_equal(
				json_get_str(
					json_at(json_path(cluster_get(
								  &c, "/api/v1/nodes/n0"),
							"spec.taints"),
						0),
					"key"),
				"mine");
		} else {
			run_until(&c, is_marked);
			for (unsigned k = 0; k < 200; k++) {
				(void)pump(c.loop, NULL, 2);
				skew_us += 100 * USEC_PER_MSEC;
			}
			assert_int_equal(taints(&c), 3); /* nobody asked for it */
		}
		reconcile_free(rc);
		metrics_free(m);
		cluster_stop(&c);
	}
}

/* The namespace that was asked for is that of ConfigMaps too, whatever the configuration says. */
static bool is_embedded(const struct cluster *c)
{
	const struct json *entry = json_at(
		json_path(cluster_get(c, FARRIER "acceleratornodes/n0"), "spec.drivers"),
		0);
	const char *file = json_get_str(
		json_path(entry, "spec.source.inline.files"), "edu.c");

	return file && streq(file, "int right;");
}

static void test_namespace(void **state)
{
	struct reconcile_options o = { .namespace_ = "theirs" };
	struct reconcile *rc = NULL;
	struct metrics *m = NULL;
	struct cluster c;

	cluster_start(&c, false);
	put_node(&c, "1");
	put_fleet(&c);
	cluster_put(&c, "/api/v1/namespaces/ours/configmaps/src",
		"{\"metadata\":{\"name\":\"src\"},\"data\":{\"edu.c\":\"int wrong;\"}}");
	cluster_put(&c, "/api/v1/namespaces/theirs/configmaps/src",
		"{\"metadata\":{\"name\":\"src\"},\"data\":{\"edu.c\":\"int right;\"}}");
	cluster_put(&c, FARRIER "acceleratordrivers/edu",
		"{\"apiVersion\":\"farrier.dev/v1alpha1\",\"kind\":\"AcceleratorDriver\","
		"\"metadata\":{\"name\":\"edu\",\"uid\":\"u-edu\",\"generation\":1},"
		"\"spec\":{\"version\":\"1.0\",\"devices\":[{\"bus\":\"PCI\",\"vendor\":\"1234\"}],"
		"\"source\":{\"type\":\"ConfigMap\",\"configMap\":{\"name\":\"src\"}},"
		"\"modules\":[{\"name\":\"edu\"}]}}");
	assert_int_equal(metrics_new(&m), 0);
	assert_int_equal(reconcile_new(c.kube, m, &o, &rc, NULL), 0);
	reconcile_start(rc);
	run_until(&c, is_embedded);
	reconcile_free(rc);
	metrics_free(m);
	cluster_stop(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_when),
		cmocka_unit_test(test_seen),
		cmocka_unit_test(test_removed),
		cmocka_unit_test(test_namespace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
