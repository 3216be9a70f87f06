// SPDX-License-Identifier: Apache-2.0
/* What a Node says of its drivers: labels, condition, and that equal things hash equally. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "controller/bodies.h"
#include "controller/fleet.h"
#include "controller/marks.h"

static struct view_driver driver(
	const char *name, int64_t generation, const char *version)
{
	struct view_driver d = {
		.name = name, .generation = generation, .has_spec = true
	};

	d.d.meta.generation = generation;
	d.d.spec.version = version;
	d.good = (struct view_good){ 1, "0.9", "{}", 1 };
	return d;
}

static const struct {
	const char *name;
	int64_t entry, said; /* generations; said 0: the agent says nothing */
	int state;
	uint16_t devices, bound;
	const char *reason, *version;
	/* expected */
	const char *label, *status, *why, *message;
} cases[] = {
	{ "runs", 2, 2, API_DRIVER_LOADED, 1, 1, "", "1.0", "1.0", "True", "DriversReady",
		"every driver of this node runs" },
	{ "a version that is no label", 2, 2, API_DRIVER_LOADED, 1, 1, "", "-1.0+git/x~",
		"1.0_git_x", "True", "DriversReady", NULL },
	{ "a long version", 2, 2, API_DRIVER_LOADED, 1, 1, "",
		"0123456789012345678901234567890123456789012345678901234567890.-x",
		"0123456789012345678901234567890123456789012345678901234567890", "True",
		"DriversReady", NULL },
	{ "went back", 1, 1, API_DRIVER_LOADED, 1, 1, "", "1.0", "0.9", "True",
		"DriversReady", NULL },
	{ "not bound", 2, 2, API_DRIVER_LOADED, 2, 1, "", "1.0", "1.0", "False",
		"DriverNotReady", "driver 'a' is Loaded" },
	{ "says nothing", 2, 0, 0, 0, 0, "", "1.0", NULL, "False", "DriverNotReady",
		"driver 'a' is not known yet" },
	{ "speaks of before", 2, 1, API_DRIVER_LOADED, 1, 1, "", "1.0", NULL, "False",
		"DriverNotReady", "driver 'a' is not known yet" },
	{ "failed", 2, 2, API_DRIVER_FAILED, 1, 0, "LoadFailed", "1.0", NULL, "False",
		"LoadFailed", "driver 'a' is Failed" },
	{ "staged for a device to come", 2, 2, API_DRIVER_BUILT, 0, 0, "", "1.0", NULL,
		"True", "DriversReady", NULL },
};

static void test_cases(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(arena_freep) struct arena *a = arena_new(1 << 16);
		struct view_driver d = driver("a", 2, cases[i].version), *ds[] = { &d };
		struct view_assign s = { .name = "a", .generation = cases[i].entry };
		struct view_driver_state st = { "a", cases[i].reason, cases[i].said,
			cases[i].state, cases[i].devices, cases[i].bound };
		struct view_node n = { .states = { &st, cases[i].said > 0 } };
		struct view v = { .drivers = ds, .n_drivers = 1 };
		const struct list assigns = { &s, 1 };
		const char *label;
		struct marks m;

		assert_int_equal(marks_make(a, &v, &n, &assigns, &m), 0);
		label = api_kv_get(&m.labels, "farrier.dev/driver.a");
		if (!label != !cases[i].label || (label && !streq(label, cases[i].label)))
			fail_msg("case '%s': label '%s'", cases[i].name,
				label ? label : "");
		if (!streq(m.status, cases[i].status) || !streq(m.reason, cases[i].why) ||
			(cases[i].message && !streq(m.message, cases[i].message)))
			fail_msg("case '%s': %s '%s' '%s'", cases[i].name, m.status,
				m.reason, m.message);
	}
}

static void test_nothing(void **state)
{
	const struct list none = { 0 };
	struct view_node n = { .name = "n" };
	struct view v = { 0 };
	struct marks m;

	assert_int_equal(marks_make(NULL, &v, &n, &none, &m), 0);
	assert_int_equal(m.labels.n, 0);
	assert_null(m.status);
	assert_int_equal(m.labels_hash, 0);
	assert_int_equal(m.condition_hash, 0);
}

static void test_next_kernel(void **state)
{
	static const struct {
		const char *name;
		uint8_t states[2];
		bool is_running;
		const char *expected;
	} rows[] = {
		{ "all staged", { API_KERNEL_READY, API_KERNEL_READY }, false, "Ready" },
		{ "one is built", { API_KERNEL_READY, API_KERNEL_PENDING }, false,
			"Building" },
		{ "one cannot be built", { API_KERNEL_FAILED, API_KERNEL_BUILDING },
			false, "Failed" },
		{ "none is for it",
			{ API_KERNEL_NOT_APPLICABLE, API_KERNEL_NOT_APPLICABLE }, false,
			NULL },
		{ "it runs already", { API_KERNEL_READY, API_KERNEL_READY }, true, NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP(arena_freep) struct arena *a = arena_new(1 << 16);
		struct view_assign s = { .name = "a", .generation = 1 };
		struct view_kernel k[2] = { { .next = true }, { .next = true } };
		struct view_node n = { .kernels = { k, 2 } };
		const struct list assigns = { &s, 1 };
		struct view v = { 0 };
		const char *label;
		struct marks m;

		for (size_t j = 0; j < 2; j++) {
			k[j].state = rows[i].states[j];
			k[j].running = rows[i].is_running;
		}
		assert_int_equal(marks_make(a, &v, &n, &assigns, &m), 0);
		label = api_kv_get(&m.labels, "farrier.dev/next-kernel");
		if (!label != !rows[i].expected ||
			(label && !streq(label, rows[i].expected)))
			fail_msg("case '%s': '%s'", rows[i].name, label ? label : "");
	}
}

/* A Node that says what it should hashes as what it should say, in any order and beside other labels. */
static void test_read_back(void **state)
{
	CLEANUP(fleet_freep) struct fleet *f = NULL;
	CLEANUP(json_freep) struct json *j = NULL;
	static const char text[] =
		"{\"metadata\":{\"name\":\"n\",\"labels\":{\"farrier.dev/next-kernel\":\"Ready\","
		"\"farrier.dev/skip-upgrade\":\"false\",\"farrier.dev/driver.a\":\"1.0\"}},"
		"\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"},"
		"{\"type\":\"AcceleratorDriverReady\",\"status\":\"False\",\"reason\":\"R\","
		"\"message\":\"m\"}]}}";
	uint32_t h = marks_add_label(0, "farrier.dev/driver.a", "1.0");

	assert_int_equal(json_parse(text, strlen(text), &j, NULL), 0);
	assert_int_equal(fleet_new(NULL, &f), 0);
	assert_int_equal(fleet_put(f, FLEET_NODES, j, NULL), 1);
	h = marks_add_label(h, "farrier.dev/next-kernel", "Ready");
	assert_int_equal(fleet_node(f, "n")->labels_mark.stored, h);
	assert_int_equal(fleet_node(f, "n")->condition_mark.stored,
		marks_of_condition("False", "R", "m"));
	assert_true(h != marks_add_label(0, "farrier.dev/driver.a", "1.0"));
	assert_true(marks_of_condition("True", "R", "m") !=
		    marks_of_condition("False", "R", "m"));
}

/* A new reason or message moves no transition time; a new status does. */
static void test_transition(void **state)
{
	static const struct {
		const char *name, *stored, *since, *wanted, *expected;
	} rows[] = {
		{ "another message", "False", "2026-01-02T03:04:05Z", "False",
			"2026-01-02T03:04:05Z" },
		{ "another status", "False", "2026-01-02T03:04:05Z", "True",
			"2026-05-05T05:05:05Z" },
		{ "the first", NULL, NULL, "True", "2026-05-05T05:05:05Z" },
		{ "no time stored", "True", "soon", "True", "2026-05-05T05:05:05Z" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP(fleet_freep) struct fleet *f = NULL;
		CLEANUP(json_freep) struct json *j = NULL, *body = NULL;
		struct marks m = {
			.status = rows[i].wanted, .reason = "R2", .message = "m2"
		};
		const struct json *c;
		char text[512];

		(void)snprintf(text, sizeof(text),
			"{\"metadata\":{\"name\":\"n\"},\"status\":{\"conditions\":[{\"type\":\"%s\","
			"\"status\":\"%s\",\"reason\":\"R\",\"message\":\"m\","
			"\"lastTransitionTime\":\"%s\"}]}}",
			rows[i].stored ? MARKS_CONDITION : "Ready",
			view_str(rows[i].stored), view_str(rows[i].since));
		assert_int_equal(json_parse(text, strlen(text), &j, NULL), 0);
		assert_int_equal(fleet_new(NULL, &f), 0);
		assert_int_equal(fleet_put(f, FLEET_NODES, j, NULL), 1);
		assert_int_equal(bodies_node_condition(fleet_node(f, "n"), &m,
					 "2026-05-05T05:05:05Z", &body),
			0);
		c = json_at(json_path(body, "status.conditions"), 0);
		if (!streq(json_get_str(c, "lastTransitionTime"), rows[i].expected))
			fail_msg("case '%s': %s", rows[i].name,
				json_get_str(c, "lastTransitionTime"));
		assert_string_equal(
			json_get_str(c, "lastHeartbeatTime"), "2026-05-05T05:05:05Z");
		assert_string_equal(json_get_str(c, "message"), "m2");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_next_kernel),
		cmocka_unit_test(test_read_back),
		cmocka_unit_test(test_transition),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
