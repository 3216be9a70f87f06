// SPDX-License-Identifier: Apache-2.0
/* AcceleratorClass and AcceleratorNode; what is printed parses to the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test_api.h"

static void test_class(void **state)
{
	static const struct {
		const char *name, *spec, *text; /* NULL: taken */
	} cases[] = {
		{ "plain", "", NULL },
		{ "all",
			"deviceNodes: [ { subsystem: edu, permissions: rw }, { path: /dev/edu } ], "
			"mounts: [ { hostPath: /a, containerPath: /b } ], env: { A: b }, cdi: false, "
			"sharing: { strategy: TimeSlice, timeSlice: { replicas: 4, maxPerRequest: 2 } }, "
			"health: { pciLink: true, aer: true, file: edu/health }, "
			"topology: { prefer: [ numa, pcieRoot ] },",
			NULL },
		{ "node of both", "deviceNodes: [ { subsystem: edu, path: /dev/edu } ],",
			"exactly one of" },
		{ "node of none", "deviceNodes: [ { permissions: r } ],",
			"exactly one of" },
		{ "node elsewhere", "deviceNodes: [ { path: /etc/shadow } ],",
			"'spec.deviceNodes[0].path'" },
		{ "node up", "deviceNodes: [ { path: /dev/../etc/shadow } ],",
			"without '..'" },
		{ "permissions", "deviceNodes: [ { subsystem: a, permissions: rx } ],",
			".permissions'" },
		{ "permissions twice",
			"deviceNodes: [ { subsystem: a, permissions: rr } ],",
			".permissions'" },
		{ "no permissions", "deviceNodes: [ { subsystem: a, permissions: '' } ],",
			"'permissions' must not be empty" },
		{ "subsystem", "deviceNodes: [ { subsystem: ../x } ],",
			"'subsystem' must be a name" },
		{ "mount up", "mounts: [ { hostPath: /a/../b, containerPath: /b } ],",
			"'hostPath' must" },
		{ "mount twice",
			"mounts: [ { hostPath: /a, containerPath: /b }, { hostPath: /c, containerPath: /b } ],",
			"'/b' comes twice" },
		{ "env", "env: { 'A=B': x },", "is no name of a variable" },
		{ "slice missing", "sharing: { strategy: TimeSlice },",
			"'timeSlice' must be given" },
		{ "slice too much",
			"sharing: { strategy: Exclusive, timeSlice: { replicas: 2 } },",
			"'timeSlice' must be given" },
		{ "slice of one",
			"sharing: { strategy: TimeSlice, timeSlice: { replicas: 1 } },",
			"1 is not in 2..256" },
		{ "slice request",
			"sharing: { strategy: TimeSlice, timeSlice: { replicas: 2, maxPerRequest: 3 } },",
			"is more than 'replicas'" },
		{ "health up", "health: { file: ../x },", "'file' must be relative" },
		{ "command",
			"health: { command: { argv: [ /opt/check, '--device={address}', '' ], intervalSeconds: 60 } },",
			NULL },
		{ "command without a program", "health: { command: { argv: [] } },",
			"argv" },
		{ "command as a string", "health: { command: { argv: /opt/check } },",
			"argv" },
		{ "command by its name", "health: { command: { argv: [ check ] } },",
			"must be absolute" },
		{ "command up", "health: { command: { argv: [ /opt/../check ] } },",
			"must be absolute" },
		{ "command by device",
			"health: { command: { argv: [ '/opt/{slot}' ] } },",
			"must be absolute" },
		{ "command of what", "health: { command: { argv: [ /x, '{serial}' ] } },",
			"no variable 'serial'" },
		{ "command with a bell",
			"health: { command: { argv: [ /x, \"\\a\" ] } },", "argv" },
		{ "command too long",
			"health: { command: { argv: [ /x, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a ] } },",
			"more than 16" },
		{ "command too often",
			"health: { command: { argv: [ /x ], intervalSeconds: 1 } },",
			"1 is not in 5..3600" },
		{ "command for ever",
			"health: { command: { argv: [ /x ], timeoutSeconds: 61 } },",
			"61 is not in 1..60" },
		{ "prefer", "topology: { prefer: [ near ] },",
			"'near' is not one of numa, pcieRoot" },
	};
	static const struct {
		const char *name, *text;
	} names[] = {
		{ "farrier.dev/edu", NULL },
		{ "a-b.example.com/A_b.c-1", NULL },
		{ "edu", "'spec.resourceName'" },
		{ "farrier/edu", "is no domain" },
		{ "farrier..dev/edu", "is no domain" },
		{ "-farrier.dev/edu", "'spec.resourceName'" },
		{ "farrier.dev/", "'spec.resourceName'" },
		{ "farrier.dev/a/b", "'spec.resourceName'" },
		{ "kubernetes.io/edu", "kubelet's own" },
		{ "x.kubernetes.io/edu", "kubelet's own" },
		{ "requests.farrier.dev/edu", "requests." },
		{ "farrier.dev/a123456789b123456789c123456789d123456789e123456789f123456789xyzz",
			"longer than 63" },
	};
	char text[2048];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases) + ARRAY_SIZE(names); i++) {
		const char *spec = i < ARRAY_SIZE(cases) ? cases[i].spec : "";
		size_t k = i < ARRAY_SIZE(cases) ? 0 : i - ARRAY_SIZE(cases);
		const char *want = i < ARRAY_SIZE(cases) ? cases[i].text : names[k].text;
		struct api_class c;
		struct err e = { 0 };
		int r;

		(void)snprintf(text, sizeof(text),
			CLASS_HEAD
			"spec: { %s match: [ { bus: PCI, vendor: '1234', driver: edu } ], "
			"resourceName: '%s' }",
			spec, names[k].name);
		r = api_class_parse(arena, yaml(text), true, &c, &e);
		if (want ? r != -EINVAL || !strstr(e.text, want) : r != 0)
			fail_msg("case %zu '%s': %d '%s'", i,
				i < ARRAY_SIZE(cases) ? cases[i].name : names[k].name, r,
				e.text);
		if (r == 0) {
			assert_int_equal(c.spec.sharing.time_slice.replicas,
				c.spec.sharing.time_slice.present ? 4 : 1);
			assert_int_equal(c.spec.match.n, 1);
		}
	}
}

static const char node_text[] = NODE_HEAD
	"spec:\n"
	"  drivers:\n"
	"  - name: edu\n"
	"    generation: 2\n"
	"    proceedGeneration: 2\n"
	"    spec: { version: '1', source: { type: Host, host: { path: /x } }, modules: [ { name: edu } ] }\n"
	"  - { name: old, unload: true }\n"
	"  classes:\n"
	"  - { name: edu, spec: { match: [ { bus: PCI, vendor: '1234' } ], resourceName: farrier.dev/edu } }\n"
	"  upgrade: { state: drain-required, since: 5, target: edu@2 }\n"
	"status:\n"
	"  bootID: b\n"
	"  hardware: [ 'pci:1234:11e8' ]\n"
	"  kernels: [ { release: r, running: true, drivers: [ { name: edu, state: Ready } ] } ]\n"
	"  drivers: [ { name: edu, state: Loaded, devices: 2, bound: 1 } ]\n"
	"  devices: [ { id: '0000:00:04.0' }, { id: '0000:00:05.0', numaNode: 1, class: edu } ]\n"
	"  conditions: [ { type: Ready, status: 'True', reason: R, message: '', lastTransitionTime: T } ]\n";

static void test_node(void **state)
{
	const struct api_node_driver *d;
	const struct api_node_device *dev;
	struct api_node n;
	struct err e = { 0 };

	if (api_node_parse(arena, yaml(node_text), true, &n, &e) < 0)
		fail_msg("%s", e.text);
	d = n.spec.drivers.items;
	assert_int_equal(n.spec.drivers.n, 2);
	assert_int_equal(d[0].proceed_generation, 2);
	assert_string_equal(((struct api_module *)d[0].spec.modules.items)->name, "edu");
	assert_string_equal(d[0].spec.build.memory, "2Gi");
	assert_true(d[1].unload);
	assert_int_equal(n.spec.upgrade.state, API_UPGRADE_DRAIN);
	dev = n.status.devices.items;
	assert_int_equal(dev[0].numa_node, -1);
	assert_int_equal(dev[1].numa_node, 1);
	assert_string_equal(dev[1].class_name, "edu");
	assert_int_equal(((struct api_node_driver_status *)n.status.drivers.items)->state,
		API_DRIVER_LOADED);

	assert_int_equal(api_node_parse(arena, yaml(NODE_HEAD), true, &n, &e), 0);
	assert_int_equal(n.spec.drivers.n, 0);
	assert_int_equal(n.spec.upgrade.state, API_UPGRADE_NONE);
}

static void test_node_refused(void **state)
{
	static const struct {
		const char *name, *spec, *text;
	} cases[] = {
		{ "no spec", "drivers: [ { name: edu } ]",
			"'spec.drivers[0]': 'spec': required" },
		{ "name", "drivers: [ { name: ../x, unload: true } ]",
			"is no name of an object" },
		{ "class name", "classes: [ { name: A } ]", "is no name of an object" },
		{ "class spec", "classes: [ { name: a } ]",
			"'spec.classes[0]': 'spec': required" },
		{ "module",
			"drivers: [ { name: edu, spec: { version: '1', source: { type: Host, host: { path: /../x } }, modules: [ { name: a } ] } } ]",
			"'spec.drivers[0].spec.source'" },
		{ "state", "upgrade: { state: dancing }",
			"'dancing' is not one of upgrade-required" },
	};
	char text[1024];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct api_node n;
		struct err e = { 0 };
		int r;

		(void)snprintf(
			text, sizeof(text), NODE_HEAD "spec: { %s }", cases[i].spec);
		r = api_node_parse(arena, yaml(text), false, &n, &e);
		if (r != -EINVAL || !strstr(e.text, cases[i].text))
			fail_msg("case '%s': %d '%s'", cases[i].name, r, e.text);
	}
}

/* Printed and parsed again, everything is the same, and prints the same. */
static void test_round_trip(void **state)
{
	CLEANUP(json_freep) struct json *spec = NULL, *status = NULL, *again = NULL;
	struct api_node_spec s = { 0 };
	struct api_node n;
	struct err e = { 0 };

	assert_int_equal(api_node_parse(arena, yaml(node_text), true, &n, NULL), 0);
	spec = field_print(api_node_spec_fields, &n.spec);
	status = field_print(api_node_status_fields, &n.status);
	if (field_parse(arena, api_node_spec_fields, spec, &s, &e) < 0)
		fail_msg("%s", e.text);
	again = field_print(api_node_spec_fields, &s);
	assert_true(json_equal(spec, again));
	assert_int_equal(
		json_get_int(json_at(json_get(status, "devices"), 0), "numaNode", 9), -1);
	assert_true(json_has(status, "driversReady")); /* 0, and yet printed */
	assert_false(json_has(json_at(json_get(spec, "drivers"), 1), "spec"));
	assert_false(json_has(
		json_path(json_at(json_get(spec, "drivers"), 0), "spec"), "build"));
	assert_string_equal(
		json_get_str(json_get(spec, "upgrade"), "state"), "drain-required");
}

static void check_table(const struct field *f, const char *where)
{
	for (; f->name; f++) {
		if (str_empty(f->doc))
			fail_msg("%s.%s has no text for people", where, f->name);
		if (f->type == FIELD_ENUM && !f->names)
			fail_msg("%s.%s has no names", where, f->name);
		if ((f->type == FIELD_LIST || f->type == FIELD_OBJ) && !f->sub)
			fail_msg("%s.%s has no table", where, f->name);
		if (f->type == FIELD_LIST && f->size == 0)
			fail_msg("%s.%s has no size", where, f->name);
		if (f->sub)
			check_table(f->sub, f->name);
	}
}

static void test_tables(void **state)
{
	check_table(api_driver_spec_fields, "driver");
	check_table(api_class_spec_fields, "class");
	check_table(api_node_spec_fields, "node");
	check_table(api_node_status_fields, "status");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_class),
		T(test_node),
		T(test_node_refused),
		T(test_round_trip),
		T(test_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
