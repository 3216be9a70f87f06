// SPDX-License-Identifier: Apache-2.0
/* AcceleratorClass: what a class may say of devices, variables and nodes, and what it may not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test_api.h"

static const char *class_text(const char *match, const char *resource, const char *more)
{
	static char text[4 << 10];

	(void)snprintf(text, sizeof(text),
		CLASS_HEAD "spec:\n  match: [ { %s } ]\n  resourceName: \"%s\"\n  %s\n",
		match ? match : "bus: PCI, vendor: '1234'",
		resource ? resource : "farrier.dev/edu", more ? more : "cdi: true");
	return text;
}

static void test_parses(void **state)
{
	const struct api_device_match *m;
	const struct api_attribute *a;
	const struct api_device_node *n;
	const struct api_variable *v;
	struct api_class c = { 0 };
	struct err e = { 0 };

	(void)state;
	assert_int_equal(
		api_class_parse(arena,
			yaml(class_text(
				"bus: PCI, vendor: '8086', function: Virtual, attributes: [ "
				"{ name: afu_id, value: 'd8' }, { name: '../x*/y', regexp: '^a' } ]",
				"fpga.intel.com/af-{afu}",
				"variables: [ { name: afu, file: afu_id }, { name: minor, "
				"file: '/proc/driver/nvidia/gpus/{address}/information', "
				"regexp: '^{slot} Minor: ([0-9]{1,3})' } ]\n"
				"  deviceNodes: [ { subsystem: drm, name: 'renderD*', function: 0, "
				"optional: true }, { path: '/dev/nvidia{minor}' }, { path: "
				"'/dev/vfio/{iommuGroup}' } ]\n"
				"  cdiDevices: [ 'nvidia.com/gpu={minor}' ]")),
			true, &c, &e),
		0);
	m = c.spec.match.items;
	a = m->attributes.items;
	n = c.spec.device_nodes.items;
	v = c.spec.variables.items;
	assert_int_equal(m->function, API_FUNCTION_VIRTUAL);
	assert_int_equal(m->attributes.n, 2);
	assert_string_equal(a[0].value, "d8");
	assert_null(a[0].regexp);
	assert_string_equal(a[1].name, "../x*/y");
	assert_int_equal(c.spec.variables.n, 2);
	assert_string_equal(v[0].file, "afu_id");
	assert_int_equal(n[0].function, 0);
	assert_true(n[0].optional);
	assert_string_equal(n[0].name, "renderD*");
	assert_int_equal(n[1].function, -1); /* its own */
	assert_false(n[1].optional);
	assert_int_equal(c.spec.cdi_devices.n, 1);
}

/* As the controller embeds it for a node and the agent writes it for the plugin: nothing gets lost. */
static void test_prints_and_reads(void **state)
{
	CLEANUP(json_freep) struct json *spec = NULL, *again = NULL;
	struct api_class c = { 0 };
	struct api_class_spec s = { 0 };
	const struct api_device_node *n;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(
		api_class_parse(arena,
			yaml(class_text(
				"bus: PCI, vendor: '8086', function: Physical, attributes: [ "
				"{ name: a, value: '0' }, { name: b, regexp: 'c' }, { name: d } ]",
				"farrier.dev/x-{v}",
				"variables: [ { name: v, file: w, regexp: '(x)' } ]\n"
				"  deviceNodes: [ { subsystem: drm, name: 'r*', function: 0 }, "
				"{ path: '/dev/x{v}', optional: true } ]\n"
				"  cdiDevices: [ 'a.b/c={v}' ]")),
			true, &c, &e),
		0);
	spec = field_print(api_class_spec_fields, &c.spec);
	assert_non_null(spec);
	if (field_parse(arena, api_class_spec_fields, spec, &s, &e) < 0)
		fail_msg("%s", e.text);
	again = field_print(api_class_spec_fields, &s);
	assert_true(json_equal(spec, again));
	n = s.device_nodes.items;
	assert_int_equal(n[0].function, 0);
	assert_int_equal(n[1].function, -1);
}

static void test_defaults(void **state)
{
	struct api_class c = { 0 };
	const struct api_device_match *m;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(
		api_class_parse(arena, yaml(class_text(NULL, NULL, NULL)), true, &c, &e),
		0);
	m = c.spec.match.items;
	assert_int_equal(m->function, API_FUNCTION_ANY);
	assert_int_equal(m->attributes.n, 0);
	assert_int_equal(c.spec.variables.n, 0);
	assert_int_equal(c.spec.cdi_devices.n, 0);
}

static void test_refuses(void **state)
{
	static const struct {
		const char *name, *match, *resource, *more, *want;
	} cases[] = {
		{ "virtual USB", "bus: USB, vendor: '1a6e', function: Virtual", NULL,
			NULL, "'function' is for the bus PCI only" },
		{ "both",
			"bus: PCI, vendor: '1', attributes: [ { name: a, value: b, regexp: c } ]",
			NULL, NULL, "not four hex digits" },
		{ "value and regexp",
			"bus: PCI, attributes: [ { name: a, value: b, regexp: c } ]",
			NULL, NULL, "exclude each other" },
		{ "empty value", "bus: PCI, attributes: [ { name: a, value: '' } ]", NULL,
			NULL, "value" },
		{ "absolute attribute", "bus: PCI, attributes: [ { name: /etc/passwd } ]",
			NULL, NULL, "below the device's folder" },
		{ "far above", "bus: PCI, attributes: [ { name: ../../../../../x } ]",
			NULL, NULL, "below the device's folder" },
		{ "above in the middle", "bus: PCI, attributes: [ { name: a/../../b } ]",
			NULL, NULL, "below the device's folder" },
		{ "bad regexp", "bus: PCI, attributes: [ { name: a, regexp: '(' } ]",
			NULL, NULL, "attributes[0]" },
		{ "regexp of gigabytes",
			"bus: PCI, attributes: [ { name: a, regexp: 'a{9999}' } ]", NULL,
			NULL, "repeats" },
		{ "same attribute twice",
			"bus: PCI, attributes: [ { name: a }, { name: a } ]", NULL, NULL,
			"attributes" },
		{ "no such variable", NULL, "farrier.dev/a-{b}", NULL,
			"no variable 'b'" },
		{ "unpaired", NULL, "farrier.dev/a-{b", NULL, "resourceName" },
		{ "closed only", NULL, NULL, "deviceNodes: [ { path: '/dev/a}' } ]",
			"unpaired brace" },
		{ "empty name", NULL, NULL, "deviceNodes: [ { path: '/dev/a{}' } ]",
			"no variable ''" },
		{ "variable in the domain", NULL, "{vendor}/gpu", NULL, "resourceName" },
		{ "builtin again", NULL, NULL,
			"variables: [ { name: address, file: a } ]", "already" },
		{ "variable outside", NULL, NULL,
			"variables: [ { name: a, file: /etc/shadow } ]", "/proc/" },
		{ "variable climbs", NULL, NULL,
			"variables: [ { name: a, file: /proc/../etc/shadow } ]",
			"/proc/" },
		{ "variable of a variable", NULL, NULL,
			"variables: [ { name: a, file: b }, { name: c, file: '{a}' } ]",
			"no variable 'a'" },
		{ "variable's regexp", NULL, NULL,
			"variables: [ { name: a, file: b, regexp: '[' } ]",
			"variables[0]" },
		{ "name of a path", NULL, NULL,
			"deviceNodes: [ { path: /dev/a, name: b } ]",
			"go with 'subsystem'" },
		{ "function of a path", NULL, NULL,
			"deviceNodes: [ { path: /dev/a, function: 0 } ]",
			"go with 'subsystem'" },
		{ "no such function", NULL, NULL,
			"deviceNodes: [ { subsystem: a, function: 8 } ]", "function" },
		{ "CDI name", NULL, NULL, "cdiDevices: [ gpu0 ]", "cdiDevices" },
		{ "CDI names without CDI", NULL, NULL,
			"cdi: false\n  cdiDevices: [ a.b/c=d ]", "needs 'cdi'" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct api_class c = { 0 };
		struct err e = { 0 };

		if (api_class_parse(arena,
			    yaml(class_text(
				    cases[i].match, cases[i].resource, cases[i].more)),
			    true, &c, &e) != -EINVAL)
			fail_msg("case '%s': taken", cases[i].name);
		if (!strstr(e.text, cases[i].want))
			fail_msg("case '%s': %s", cases[i].name, e.text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_parses),
		T(test_prints_and_reads),
		T(test_defaults),
		T(test_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
