// SPDX-License-Identifier: Apache-2.0
/* Small questions about parsed objects: selectors, hardware, quantities, budgets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test_api.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_selector),
		T(test_hardware),
		T(test_quantity),
		T(test_budget),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
