// SPDX-License-Identifier: Apache-2.0
/* AcceleratorDriver: what is taken, what is refused and how it is said, defaults. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test_api.h"

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
		{ "regexp",
			{ .more = "build: { kernels: [ { regexp: "
				  "'^(([0-9]+\\.)+[0-9]+|v[^]+]+)-[[:alnum:]+]{1,40}\\+*$' } ] }" } },
		{ "headers",
			{ .more = "build: { headers: [ { kernel: 6.1.0-*, archives: [ { from: "
				  "/opt/a.deb, sha256: " SHA " }, { from: 'https://x/b', "
				  "sha256: " SHA " } ] } ] }" } },
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
			{ .more = "build: { kernels: [ { regexp: '((a{9}){9}){13}' } ] }" },
			"too many repeats" },
		{ "regexp of repeated repeats",
			{ .more = "build: { kernels: [ { regexp: 'a+++++++++++' } ] }" },
			"too many repeats" },
		{ "regexp of nested repeats",
			{ .more = "build: { kernels: [ { regexp: "
				  "'((((((((((a+)+)+)+)+)+)+)+)+)+)+' } ] }" },
			"too many repeats" },
		{ "regexp of repeated brackets",
			{ .more = "build: { kernels: [ { regexp: '([]a[:digit:]]{200,}){6}' } ] }" },
			"too many repeats" },
		{ "regexp of many groups",
			{ .more = "build: { kernels: [ { regexp: "
				  "'(((((((((((((((((a)))))))))))))))))' } ] }" },
			"groups in one another" },
		{ "regexp with a reference",
			{ .more = "build: { kernels: [ { regexp: '(a)\\1' } ] }" },
			"no back references" },
		{ "headers without a digest",
			{ .more = "build: { headers: [ { kernel: a, archives: [ { from: /a } ] } ] }" },
			"sha256" },
		{ "headers without archives",
			{ .more = "build: { headers: [ { kernel: a, archives: [] } ] }" },
			"archives" },
		{ "headers that lead out",
			{ .more = "build: { headers: [ { kernel: a, archives: [ { from: /a/../b, "
				  "sha256: " SHA " } ] } ] }" },
			"without '..'" },
		{ "headers from nowhere",
			{ .more = "build: { headers: [ { kernel: a, archives: [ { from: ftp://a, "
				  "sha256: " SHA " } ] } ] }" },
			"from" },
		{ "headers of a folder",
			{ .more = "build: { headers: [ { kernel: ../a, archives: [ { from: /a, "
				  "sha256: " SHA " } ] } ] }" },
			"kernel" },
		{ "headers twice",
			{ .more = "build: { headers: [ { kernel: a, archives: [ { from: /a, sha256: " SHA
				  " } ] }, { kernel: a, archives: [ { from: /a, sha256: " SHA
				  " } ] } ] }" },
			"comes twice" },
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

/* What a newer peer adds is left alone, where we are told to. */
static void test_lenient(void **state)
{
	struct parts p = { .more = "brandNew: { a: 1 }" };
	struct api_driver d;

	assert_int_equal(
		api_driver_parse(arena, yaml(driver(&p)), true, &d, NULL), -EINVAL);
	assert_int_equal(api_driver_parse(arena, yaml(driver(&p)), false, &d, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_driver_taken),
		T(test_driver_refused),
		T(test_driver_defaults),
		T(test_frame),
		T(test_meta),
		T(test_lenient),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
