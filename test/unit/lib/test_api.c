// SPDX-License-Identifier: Apache-2.0
/* The custom resources: what is taken, what is refused and how it is said, defaults, small questions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "api.h"
#include "yaml.h"

static struct arena *arena;
static struct json *docs;

static int setup(void **state)
{
	arena = arena_new(4 << 20);
	return arena ? 0 : -1;
}

static int teardown(void **state)
{
	arena_free(TAKE(arena));
	json_free(TAKE(docs));
	return 0;
}

static const struct json *yaml(const char *text)
{
	struct err e = { 0 };

	json_free(TAKE(docs));
	if (yaml_parse(text, strlen(text), &docs, &e) < 0)
		fail_msg("%s: %s", e.text, text);
	return json_at(docs, 0);
}

#define DRIVER_HEAD \
	"apiVersion: farrier.dev/v1alpha1\nkind: AcceleratorDriver\nmetadata: { name: edu }\n"
#define CLASS_HEAD \
	"apiVersion: farrier.dev/v1alpha1\nkind: AcceleratorClass\nmetadata: { name: edu }\n"
#define NODE_HEAD \
	"apiVersion: farrier.dev/v1alpha1\nkind: AcceleratorNode\nmetadata: { name: node-1 }\n"

/* A whole driver, in which one part is replaced; each case sets what it tests. */
struct parts {
	const char *version, *where, *source, *modules, *more;
};

static const char *driver(const struct parts *p)
{
	static char text[16 << 10];

	(void)snprintf(text, sizeof(text),
		DRIVER_HEAD "spec:\n  %s\n  %s\n  %s\n  %s\n  %s\n",
		p->version ? p->version : "version: '1.0'",
		p->where ? p->where
			 : "devices: [ { bus: PCI, vendor: '1234', device: '11e8' } ]",
		p->source ? p->source
			  : "source: { type: Host, host: { path: /usr/src/edu-1.0 } }",
		p->modules ? p->modules : "modules: [ { name: edu } ]",
		p->more ? p->more : "paused: false");
	return text;
}

#define SHA "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void test_driver_taken(void **state)
{
	static const struct {
		const char *name;
		struct parts p;
	} cases[] = {
		{ "plain", { 0 } },
		{ "selector", { .where = "nodeSelector: { matchLabels: { a: b } }" } },
		{ "empty selector", { .where = "nodeSelector: {}" } },
		{ "usb", { .where = "devices: [ { bus: USB, vendor: 1d6b } ]" } },
		{ "class", { .where = "devices: [ { bus: PCI, class: '0302' } ]" } },
		{ "http",
			{ .source = "source: { type: HTTP, http: { url: 'https://x/y', sha256: " SHA
				    " } }" } },
		{ "oci", { .source = "source: { type: OCI, oci: { image: 'x/y@sha256:" SHA
				     "' } }" } },
		{ "config map",
			{ .source = "source: { type: ConfigMap, configMap: { name: x } }" } },
		{ "inline",
			{ .source = "source: { type: Inline, inline: { files: { Kbuild: x, "
				    "src/a.c: y } } }" } },
		{ "parameters",
			{ .modules = "modules: [ { name: a_b-1, parameters: { x.y: '1,2 3' }, "
				     "replaces: [ nouveau ] } ]" } },
		{ "signing", { .more = "signing: { mode: Secret, secretRef: key }" } },
		{ "kernels",
			{ .more = "build: { kernels: [ { regexp: '^6[.]1[.]' } ], extraKernels: "
				  "[ 6.1.0-50-amd64 ], memory: 512Mi }" } },
		{ "firmware", { .more = "firmware: [ vendor/a.bin ]" } },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct api_driver d;
		struct err e = { 0 };

		if (api_driver_parse(arena, yaml(driver(&cases[i].p)), true, &d, &e) < 0)
			fail_msg("case '%s': %s", cases[i].name, e.text);
	}
}

static void test_driver_refused(void **state)
{
	static const struct {
		const char *name;
		struct parts p;
		const char *text;
	} cases[] = {
		{ "unknown", { .more = "pasued: true" },
			"line 9: 'spec.pasued': unknown field (did you mean 'paused'?)" },
		{ "nowhere", { .where = "paused: true", .more = "onUnbuildable: Warn" },
			"'nodeSelector' or 'devices' must be given" },
		{ "version number", { .version = "version: 1.0" },
			"line 5: 'spec.version': must be a string" },
		{ "upper case id", { .where = "devices: [ { bus: PCI, vendor: 10DE } ]" },
			"write it in lower case" },
		{ "0x", { .where = "devices: [ { bus: PCI, vendor: '0x10de' } ]" },
			"without 0x" },
		{ "short id",
			{ .where = "devices: [ { bus: PCI, vendor: '1', device: '2' } ]" },
			"line 6: 'spec.devices[0]': 'vendor': '1' is not four hex digits" },
		{ "match all", { .where = "devices: [ { bus: PCI } ]" },
			"matches everything" },
		{ "usb class",
			{ .where = "devices: [ { bus: USB, vendor: '1234', class: '03' } ]" },
			"for the bus PCI only" },
		{ "driver in driver",
			{ .where = "devices: [ { bus: PCI, vendor: '1234', driver: x } ]" },
			"'spec.devices[0].driver': unknown field" },
		{ "no bus", { .where = "devices: [ { vendor: '1234' } ]" },
			"'spec.devices[0].bus': required" },
		{ "no source", { .source = "firmware: []" }, "'spec.source': required" },
		{ "source without member", { .source = "source: { type: Host }" },
			"line 7: 'spec.source': 'host' must be given" },
		{ "two sources",
			{ .source = "source: { type: Host, host: { path: /x }, configMap: { name: x } }" },
			"'configMap' is not what type says" },
		{ "wrong source",
			{ .source = "source: { type: OCI, host: { path: /x } }" },
			"'host' is not what type says" },
		{ "unknown source", { .source = "source: { type: Git }" },
			"'Git' is not one of Host, HTTP" },
		{ "relative path",
			{ .source = "source: { type: Host, host: { path: usr/src } }" },
			"'spec.source.host.path'" },
		{ "path up",
			{ .source = "source: { type: Host, host: { path: /usr/../etc } }" },
			"'host.path' must be absolute, without '..'" },
		{ "digest",
			{ .source = "source: { type: Host, host: { path: /x, sha256: abc } }" },
			"'spec.source.host.sha256'" },
		{ "http without digest",
			{ .source = "source: { type: HTTP, http: { url: 'https://x' } }" },
			"'spec.source.http.sha256': required" },
		{ "file url",
			{ .source = "source: { type: HTTP, http: { url: 'file:///x', sha256: " SHA
				    " } }" },
			"'spec.source.http.url'" },
		{ "oci tag",
			{ .source = "source: { type: OCI, oci: { image: 'x/y:1' } }" },
			"'spec.source.oci.image'" },
		{ "inline up",
			{ .source = "source: { type: Inline, inline: { files: { ../x: y } } }" },
			"'../x' must be relative" },
		{ "inline absolute",
			{ .source = "source: { type: Inline, inline: { files: { /x: y } } }" },
			"'/x' must be relative" },
		{ "inline nothing",
			{ .source = "source: { type: Inline, inline: { files: {} } }" },
			"'spec.source.inline.files': must not be empty" },
		{ "no modules", { .modules = "modules: []" },
			"'spec.modules': must not be empty" },
		{ "module name", { .modules = "modules: [ { name: a/b } ]" },
			"'spec.modules[0].name'" },
		{ "module name up", { .modules = "modules: [ { name: .. } ]" },
			"'spec.modules[0].name'" },
		{ "module twice", { .modules = "modules: [ { name: a }, { name: a } ]" },
			"'a' comes twice" },
		{ "replaces",
			{ .modules = "modules: [ { name: a, replaces: [ 'x y' ] } ]" },
			"'spec.modules[0].replaces[0]'" },
		{ "parameter name",
			{ .modules = "modules: [ { name: a, parameters: { 'x y': z } } ]" },
			"'x y' is no name of a parameter" },
		{ "parameter newline",
			{ .modules = "modules: [ { name: a, parameters: { x: \"1\\ninstall y z\" } } ]" },
			"control characters" },
		{ "parameter number",
			{ .modules = "modules: [ { name: a, parameters: { x: 1 } } ]" },
			"(write it in quotes)" },
		{ "firmware up", { .more = "firmware: [ ../../etc/shadow ]" },
			"must be relative" },
		{ "secret missing", { .more = "signing: { mode: Secret }" },
			"'secretRef' must be given" },
		{ "secret too much", { .more = "signing: { mode: None, secretRef: x }" },
			"'secretRef' must" },
		{ "memory", { .more = "build: { memory: lots }" },
			"'lots' is no quantity" },
		{ "no memory", { .more = "build: { memory: '0' }" }, "is no quantity" },
		{ "timeout", { .more = "build: { timeoutSeconds: 0 }" },
			"0 is not in 1..86400" },
		{ "regexp", { .more = "build: { kernels: [ { regexp: '(' } ] }" },
			"'spec.build.kernels[0].regexp'" },
		{ "regexp of gigabytes",
			{ .more = "build: { kernels: [ { regexp: '(a{1,30000}){1,30000}' } ] }" },
			"more than 255 repeats" },
		{ "regexp of repeats",
			{ .more = "build: { kernels: [ { regexp: '((a{9}){9}){9}' } ] }" },
			"more than 2 '{}'" },
		{ "release", { .more = "build: { extraKernels: [ ../6.1 ] }" },
			"is no kernel release" },
		{ "percent", { .more = "upgradePolicy: { maxUnavailable: 101% }" },
			"'spec.upgradePolicy.maxUnavailable'" },
		{ "selector values",
			{ .where = "nodeSelector: { matchExpressions: [ { key: a, operator: In } ] }" },
			"'a': 'values' must not be empty" },
		{ "selector no values",
			{ .where = "nodeSelector: { matchExpressions: [ { key: a, operator: Exists, values: [x] } ] }" },
			"'values' must be absent" },
		{ "selector operator",
			{ .where = "nodeSelector: { matchExpressions: [ { key: a, operator: Gt } ] }" },
			"'Gt' is not one of In, NotIn, Exists, DoesNotExist" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct api_driver d;
		struct err e = { 0 };
		int r = api_driver_parse(arena, yaml(driver(&cases[i].p)), true, &d, &e);

		if (r != -EINVAL || e.reason != REASON_MANIFEST_INVALID ||
			!strstr(e.text, cases[i].text) ||
			!str_starts(e.text, "AcceleratorDriver 'edu': line "))
			fail_msg("case '%s': %d '%s'", cases[i].name, r, e.text);
	}
}

static void test_driver_defaults(void **state)
{
	const struct parts p = { 0 };
	const struct api_upgrade_policy *u;
	struct api_driver d;

	assert_int_equal(api_driver_parse(arena, yaml(driver(&p)), true, &d, NULL), 0);
	assert_string_equal(d.meta.name, "edu");
	assert_false(d.spec.build.present);
	assert_int_equal(d.spec.build.timeout_seconds, 1800);
	assert_string_equal(d.spec.build.memory, "2Gi");
	assert_true(d.spec.build.prebuild);
	assert_int_equal(d.spec.on_unbuildable, API_UNBUILDABLE_HOLD);
	assert_int_equal(d.spec.deletion_policy, API_DELETION_RETAIN);
	u = &d.spec.upgrade_policy;
	assert_false(u->present);
	assert_true(u->auto_upgrade);
	assert_int_equal(u->max_parallel, 1);
	assert_true(u->max_unavailable.is_percent);
	assert_int_equal(u->max_unavailable.value, 25);
	assert_false(u->wait.present);
	assert_int_equal(u->pod_deletion.timeout_seconds, 300);
	assert_true(u->drain.enable);
	assert_false(u->drain.force);
	assert_int_equal(u->drain.timeout_seconds, 300);
	assert_int_equal(u->validation_timeout_seconds, 600);
	assert_true(u->rollback_on_failure);
	assert_false(u->reboot_required);
}

static void test_frame(void **state)
{
	static const struct {
		const char *name, *yaml, *text;
	} cases[] = {
		{ "no object", "[]", "must be an object" },
		{ "string", "x", "must be an object" },
		{ "version", "apiVersion: farrier.dev/v1\nkind: AcceleratorDriver",
			"'apiVersion': must be" },
		{ "no version", "kind: AcceleratorDriver", "'apiVersion': must be" },
		{ "kind", "apiVersion: farrier.dev/v1alpha1\nkind: Pod",
			"'kind': must be 'AcceleratorDriver', is 'Pod'" },
		{ "no metadata",
			"apiVersion: farrier.dev/v1alpha1\nkind: AcceleratorDriver",
			"'metadata': required" },
		{ "no name",
			"apiVersion: farrier.dev/v1alpha1\nkind: AcceleratorDriver\nmetadata: {}",
			"'metadata.name'" },
		{ "name up",
			"apiVersion: farrier.dev/v1alpha1\nkind: AcceleratorDriver\nmetadata: { name: ../x }",
			"'../x' is no name" },
		{ "name upper",
			"apiVersion: farrier.dev/v1alpha1\nkind: AcceleratorDriver\nmetadata: { name: X }",
			"is no name" },
		{ "name dots",
			"apiVersion: farrier.dev/v1alpha1\nkind: AcceleratorDriver\nmetadata: { name: a..b }",
			"is no name" },
		{ "name dot",
			"apiVersion: farrier.dev/v1alpha1\nkind: AcceleratorDriver\nmetadata: { name: . }",
			"is no name" },
		{ "no spec", DRIVER_HEAD, "must be an object" },
		{ "spec is a list", DRIVER_HEAD "spec: []",
			"'spec': must be an object, is list" },
		{ "more", DRIVER_HEAD "sepc: {}\n", "line 4: 'sepc': unknown field" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct api_driver d;
		struct err e = { 0 };
		int r = api_driver_parse(arena, yaml(cases[i].yaml), true, &d, &e);

		if (r != -EINVAL || !strstr(e.text, cases[i].text))
			fail_msg("case '%s': %d '%s'", cases[i].name, r, e.text);
	}
}

static void test_meta(void **state)
{
	static const char text[] =
		"metadata: { name: n, uid: u, resourceVersion: '7', generation: 3, "
		"labels: { a: b }, annotations: { farrier.dev/cordoned: 'true' }, "
		"finalizers: [ f ], deletionTimestamp: T, managedFields: [] }";
	struct api_meta m;

	assert_int_equal(api_meta_parse(arena, yaml(text), &m, NULL), 0);
	assert_string_equal(m.uid, "u");
	assert_string_equal(m.resource_version, "7");
	assert_string_equal(m.deletion_timestamp, "T");
	assert_int_equal(m.generation, 3);
	assert_string_equal(api_kv_get(&m.labels, "a"), "b");
	assert_null(api_kv_get(&m.labels, "b"));
	assert_string_equal(api_kv_get(&m.annotations, API_NODE_CORDONED), "true");
	assert_string_equal(((const char **)m.finalizers.items)[0], "f");
	assert_int_equal(api_meta_parse(arena, yaml("{}"), &m, NULL), -EINVAL);
}

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

/* What a newer peer adds is left alone, where we are told to. */
static void test_lenient(void **state)
{
	struct parts p = { .more = "brandNew: { a: 1 }" };
	struct api_driver d;

	assert_int_equal(
		api_driver_parse(arena, yaml(driver(&p)), true, &d, NULL), -EINVAL);
	assert_int_equal(api_driver_parse(arena, yaml(driver(&p)), false, &d, NULL), 0);
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

static void test_selector(void **state)
{
	static const struct {
		const char *name, *selector;
		bool match;
	} cases[] = {
		{ "everything", "{}", true },
		{ "label", "{ matchLabels: { a: '1' } }", true },
		{ "other value", "{ matchLabels: { a: '2' } }", false },
		{ "absent", "{ matchLabels: { c: '1' } }", false },
		{ "empty value", "{ matchLabels: { e: '' } }", true },
		{ "both labels", "{ matchLabels: { a: '1', b: '2' } }", true },
		{ "one of two", "{ matchLabels: { a: '1', b: '3' } }", false },
		{ "in", "{ matchExpressions: [ { key: a, operator: In, values: [ '0', '1' ] } ] }",
			true },
		{ "in, not",
			"{ matchExpressions: [ { key: a, operator: In, values: [ '0' ] } ] }",
			false },
		{ "in, absent",
			"{ matchExpressions: [ { key: c, operator: In, values: [ '1' ] } ] }",
			false },
		{ "not in",
			"{ matchExpressions: [ { key: a, operator: NotIn, values: [ '0' ] } ] }",
			true },
		{ "not in, is",
			"{ matchExpressions: [ { key: a, operator: NotIn, values: [ '1' ] } ] }",
			false },
		{ "not in, absent",
			"{ matchExpressions: [ { key: c, operator: NotIn, values: [ '1' ] } ] }",
			true },
		{ "exists", "{ matchExpressions: [ { key: e, operator: Exists } ] }",
			true },
		{ "exists, not", "{ matchExpressions: [ { key: c, operator: Exists } ] }",
			false },
		{ "does not",
			"{ matchExpressions: [ { key: c, operator: DoesNotExist } ] }",
			true },
		{ "does not, does",
			"{ matchExpressions: [ { key: a, operator: DoesNotExist } ] }",
			false },
		{ "labels and expressions",
			"{ matchLabels: { a: '1' }, matchExpressions: [ { key: b, operator: In, values: [ x ] } ] }",
			false },
	};
	struct kv kvs[] = { { "a", "1" }, { "b", "2" }, { "e", "" } };
	const struct list labels = { kvs, ARRAY_SIZE(kvs) };
	const struct api_selector absent = { 0 };
	size_t i;

	assert_true(api_selector_match(&absent, &labels));
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct parts p = { 0 };
		char where[256];
		struct api_driver d;
		struct err e = { 0 };

		(void)snprintf(
			where, sizeof(where), "nodeSelector: %s", cases[i].selector);
		p.where = where;
		if (api_driver_parse(arena, yaml(driver(&p)), true, &d, &e) < 0)
			fail_msg("case '%s': %s", cases[i].name, e.text);
		if (api_selector_match(&d.spec.node_selector, &labels) != cases[i].match)
			fail_msg("case '%s'", cases[i].name);
	}
}

static void test_hardware(void **state)
{
	static const struct {
		struct api_device_match m;
		const char *hardware;
		bool match;
	} cases[] = {
		{ { .vendor = "1234", .device = "11e8" }, "pci:1234:11e8", true },
		{ { .vendor = "1234" }, "pci:1234:11e8", true },
		{ { .device = "11e8" }, "pci:1234:11e8", true },
		{ { 0 }, "pci:1234:11e8", true },
		{ { .vendor = "1235" }, "pci:1234:11e8", false },
		{ { .vendor = "123" }, "pci:1234:11e8", false },
		{ { .vendor = "12345" }, "pci:1234:11e8", false },
		{ { .device = "11e" }, "pci:1234:11e8", false },
		{ { .device = "11e8" }, "pci:1234:11e", false },
		{ { .bus = API_BUS_USB, .vendor = "1234" }, "pci:1234:11e8", false },
		{ { .bus = API_BUS_USB, .vendor = "1234" }, "usb:1234:11e8", true },
		{ { .vendor = "1234" }, "pci:1234", false },
		{ { .vendor = "1234" }, "pci", false },
		{ { 0 }, "", false },
		{ { .bus = API_BUSES_ }, "pci:1:2", false },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++)
		if (api_hardware_match(&cases[i].m, cases[i].hardware) != cases[i].match)
			fail_msg("case %zu: '%s'", i, cases[i].hardware);
}

static void test_quantity(void **state)
{
	static const struct {
		const char *text;
		int64_t want; /* -1: refused */
	} cases[] = {
		{ "0", 0 },
		{ "1", 1 },
		{ "2Gi", 2LL << 30 },
		{ "500M", 500000000 },
		{ "1k", 1000 },
		{ "1Ki", 1024 },
		{ "1.5Gi", 3LL << 29 },
		{ "0.5", 1 }, /* rounded up, as the API does */
		{ "1.000000001", 2 },
		{ "1e3", 1000 },
		{ "1E3", 1000 },
		{ "1e+3", 1000 },
		{ "1E", 1000000000000000000 },
		{ "7Ei", 7LL << 60 },
		{ ".5k", 500 },
		{ "5.k", 5000 },
		{ "", -1 },
		{ ".", -1 },
		{ "Gi", -1 },
		{ "-1", -1 },
		{ "+1", -1 },
		{ " 1", -1 },
		{ "1 ", -1 },
		{ "1GiB", -1 },
		{ "1K", -1 },
		{ "100m", -1 },
		{ "1e", -1 },
		{ "1e99", -1 },
		{ "1e-3", -1 },
		{ "0x10", -1 },
		{ "16Ei", -1 },
		{ "18446744073709551616", -1 },
		{ "1.0000000000", -1 },
		{ "99999999999999999999999999", -1 },
	};
	uint64_t v;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		int r = api_quantity(cases[i].text, &v);
		int64_t want = cases[i].want;

		if (r != (want < 0 ? -EINVAL : 0) || (r == 0 && v != (uint64_t)want))
			fail_msg(
				"'%s': %d %llu", cases[i].text, r, (unsigned long long)v);
	}
	assert_int_equal(api_quantity("18446744073709551615", &v), 0);
	assert_true(v == UINT64_MAX);
}

static void test_budget(void **state)
{
	static const struct {
		struct intstr v;
		size_t total, want;
	} cases[] = {
		{ { true, 25 }, 100, 25 },
		{ { true, 25 }, 3, 1 },
		{ { true, 25 }, 7, 1 },
		{ { true, 25 }, 8, 2 },
		{ { true, 0 }, 100, 1 },
		{ { true, 100 }, 3, 3 },
		{ { true, 100 }, SIZE_MAX, SIZE_MAX },
		{ { false, 0 }, 100, 1 },
		{ { false, 5 }, 100, 5 },
		{ { false, -5 }, 100, 1 },
		{ { true, 25 }, 0, 1 },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++)
		if (api_budget(&cases[i].v, cases[i].total) != cases[i].want)
			fail_msg("case %zu: %zu", i,
				api_budget(&cases[i].v, cases[i].total));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_driver_taken),
		T(test_driver_refused),
		T(test_driver_defaults),
		T(test_frame),
		T(test_meta),
		T(test_class),
		T(test_node),
		T(test_node_refused),
		T(test_lenient),
		T(test_round_trip),
		T(test_tables),
		T(test_selector),
		T(test_hardware),
		T(test_quantity),
		T(test_budget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
