// SPDX-License-Identifier: Apache-2.0
/* A generation that fails on a node gives way to the last good one: record, entry, permission. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "controller/bodies.h"
#include "world.h"

enum { NOW = 10000 };

/* One driver, generation 3, of which 2 was good, on one node that is being upgraded. */
/* One node in the middle of its upgrade to generation 3; 2 was good. */
static void setup(struct world *w, int state, int64_t generation, int driver)
{
	world_init(w, 1, 3);
	w->d.spec_hash = 33;
	w->d.good = (struct view_good){ 2, "1.0", "{}", 22 };
	w->d.d.spec.upgrade_policy.max_parallel = 0;
	w->d.d.spec.upgrade_policy.rollback_on_failure = true;
	w->assigns[0].generation = generation;
	w->states[0].generation = generation;
	w->states[0].state = driver;
	w->nodes[0].is_unschedulable = w->nodes[0].is_cordoned = true;
	w->nodes[0].upgrade = (struct view_upgrade){ state, NOW - 10, "edu@3", "", "" };
}

static const struct row {
	const char *name;
	int stored;
	int64_t generation; /* of the entry, and of what the agent says */
	int driver;
	const char *reason; /* of the driver's state */
	int64_t age;
	bool no_policy, no_good, offline;
	/* expected */
	int next;
	int64_t entry, proceed;
	const char *why, *message;
} rows[] = {
	{ "the new build fails", API_UPGRADE_VALIDATION, 3, API_DRIVER_FAILED,
		"LoadFailed", 10, false, false, false, API_UPGRADE_ROLLBACK, 2, 2,
		"LoadFailed", "driver 'edu' failed on this node" },
	{ "it never comes", API_UPGRADE_REPLACE, 3, API_DRIVER_BUILDING, "", 200, false,
		false, false, API_UPGRADE_ROLLBACK, 2, 2, "ValidationTimeout", NULL },
	{ "not asked for", API_UPGRADE_VALIDATION, 3, API_DRIVER_FAILED, "LoadFailed", 10,
		true, false, false, API_UPGRADE_FAILED, 3, 0, "LoadFailed", NULL },
	{ "nothing to go back to", API_UPGRADE_VALIDATION, 3, API_DRIVER_FAILED,
		"LoadFailed", 10, false, true, false, API_UPGRADE_FAILED, 3, 0,
		"LoadFailed", NULL },
	{ "on its way back", API_UPGRADE_ROLLBACK, 2, API_DRIVER_UPGRADE_REQUIRED, "", 10,
		false, false, false, API_UPGRADE_ROLLBACK, 2, 2, "LoadFailed", NULL },
	{ "lost on its way back", API_UPGRADE_ROLLBACK, 2, API_DRIVER_BUILDING, "", 300,
		false, false, true, API_UPGRADE_ROLLBACK, 2, 2, "LoadFailed", NULL },
	{ "back", API_UPGRADE_ROLLBACK, 2, API_DRIVER_LOADED, "", 10, false, false, false,
		API_UPGRADE_FAILED, 2, 0, "LoadFailed",
		"broken; the last good version runs again" },
	{ "the old one fails as well", API_UPGRADE_ROLLBACK, 2, API_DRIVER_FAILED,
		"LoadFailed", 10, false, false, false, API_UPGRADE_FAILED, 2, 0,
		"LoadFailed", "broken; the last good version could not be loaded again" },
	{ "too long", API_UPGRADE_ROLLBACK, 2, API_DRIVER_UPGRADE_REQUIRED, "", 200,
		false, false, false, API_UPGRADE_FAILED, 2, 0, "LoadFailed",
		"broken; the last good version could not be loaded again" },
	{ "stays where it is", API_UPGRADE_FAILED, 2, API_DRIVER_LOADED, "", 10, false,
		false, false, API_UPGRADE_FAILED, 2, 0, "LoadFailed", "broken" },
};

static void run_row(const struct row *t)
{
	const struct view_assign *entry;
	const struct view_upgrade *up;
	const struct plan_node *p;
	struct world w;

	setup(&w, t->stored, t->generation, t->driver);
	w.states[0].reason = t->reason;
	w.nodes[0].upgrade.since = NOW - t->age;
	w.nodes[0].is_ready = !t->offline;
	w.d.d.spec.upgrade_policy.rollback_on_failure = !t->no_policy;
	if (t->no_good)
		w.d.good = (struct view_good){ 0 };
	if (t->stored == API_UPGRADE_ROLLBACK || t->stored == API_UPGRADE_FAILED) {
		w.nodes[0].upgrade.reason = "LoadFailed";
		w.nodes[0].upgrade.message = "broken";
	}
	assert_int_equal(plan_make(w.a, &w.view, NOW, &w.plan), 0);
	p = w.plan.n_nodes ? &w.plan.nodes[0] : NULL;
	up = p ? &p->upgrade : &w.nodes[0].upgrade;
	entry = p ? VIEW_AT(struct view_assign, p->assigns, 0) : &w.assigns[0];
	if (up->state != t->next || !streq(up->reason, t->why) ||
		(t->message && !streq(up->message, t->message)))
		fail_msg("case '%s': state %d '%s' '%s'", t->name, up->state, up->reason,
			up->message);
	if (entry->generation != t->entry || entry->proceed != t->proceed)
		fail_msg("case '%s': generation %lld, may replace %lld", t->name,
			(long long)entry->generation, (long long)entry->proceed);
	assert_string_equal(up->target, "edu@3");
	arena_free(w.a);
}

static void test_rows(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		run_row(&rows[i]);
}

/* An edit is a new try, also for nodes that went back. */
static void test_edit(void **state)
{
	struct world w;

	setup(&w, API_UPGRADE_FAILED, 2, API_DRIVER_LOADED);
	w.d.generation = w.d.d.meta.generation = 4;
	assert_int_equal(plan_make(w.a, &w.view, NOW, &w.plan), 0);
	assert_int_equal(w.plan.n_nodes, 1);
	assert_int_equal(
		VIEW_AT(struct view_assign, w.plan.nodes[0].assigns, 0)->generation, 4);
	arena_free(w.a);
}

/* The entry carries the spec of its generation, and its hash says so. */
static void test_hash(void **state)
{
	const struct view_upgrade none = { 0, 0, "", "", "" };
	struct world w;
	uint64_t today, good;

	setup(&w, API_UPGRADE_FAILED, 2, API_DRIVER_LOADED);
	good = plan_hash(&w.view, &w.nodes[0].assigns, &none, "", "");
	w.d.spec_hash++;
	assert_true(good == plan_hash(&w.view, &w.nodes[0].assigns, &none, "", ""));
	w.d.good.spec_hash++;
	assert_false(good == plan_hash(&w.view, &w.nodes[0].assigns, &none, "", ""));
	w.assigns[0].generation = 3;
	today = plan_hash(&w.view, &w.nodes[0].assigns, &none, "", "");
	w.d.spec_hash++;
	assert_false(today == plan_hash(&w.view, &w.nodes[0].assigns, &none, "", ""));
	arena_free(w.a);
}

/* ---- what is kept ---- */

#define SPEC(version) \
	"\"spec\":{\"version\":\"" version \
	"\",\"devices\":[{\"bus\":\"PCI\",\"vendor\":\"1234\"}]," \
	"\"source\":{\"type\":\"Host\",\"host\":{\"path\":\"/usr/src/x\"}}," \
	"\"modules\":[{\"name\":\"edu\"}]}"
#define META(generation) \
	"\"metadata\":{\"name\":\"edu\",\"uid\":\"u\",\"generation\":" generation \
	",\"resourceVersion\":\"" generation "\"}"
#define KIND "{\"apiVersion\":\"farrier.dev/v1alpha1\",\"kind\":\"AcceleratorDriver\","

static void put(struct fleet *f, const char *text)
{
	CLEANUP(json_freep) struct json *j = NULL;

	assert_int_equal(json_parse(text, strlen(text), &j, NULL), 0);
	assert_int_equal(fleet_put(f, FLEET_DRIVERS, j, NULL), 1);
}

/* The status as the plan wants it, "" when it keeps no good generation. */
static char *status_of(struct fleet *f, bool is_good)
{
	struct plan_driver p = { .driver = fleet_driver(f, "edu"), .is_good = is_good };
	CLEANUP(json_freep) struct json *body = NULL;
	struct buf b;

	buf_init(&b, 1 << 16);
	assert_int_equal(bodies_driver_status(f, &p, &body), 0);
	if (json_path(body, "status.lastGood"))
		assert_int_equal(
			json_print(json_path(body, "status.lastGood"), false, &b), 0);
	return buf_steal(&b);
}

static void test_kept(void **state)
{
	CLEANUP(fleet_freep) struct fleet *f = NULL;
	CLEANUP(freep) char *first = NULL, *kept = NULL, *second = NULL;
	struct buf b CLEANUP(buf_done);

	assert_int_equal(fleet_new(NULL, &f), 0);
	put(f, KIND META("1") "," SPEC("1.0") "}");
	first = status_of(f, true);
	assert_non_null(
		strstr(first, "\"generation\":1,\"version\":\"1.0\",\"spec\":\"{"));
	buf_init(&b, 1 << 16);
	(void)buf_fmt(&b, KIND META("2") "," SPEC("2.0") ",\"status\":{\"lastGood\":%s}}",
		first);
	put(f, buf_cstr(&b));
	assert_int_equal(fleet_driver(f, "edu")->good.generation, 1);
	assert_string_equal(
		json_get_str(fleet_driver_spec_of(f, "edu", 1), "version"), "1.0");
	assert_string_equal(
		json_get_str(fleet_driver_spec_of(f, "edu", 2), "version"), "2.0");
	assert_null(fleet_driver_spec_of(f, "edu", 3));
	kept = status_of(f, false);
	assert_string_equal(kept, first);
	second = status_of(f, true);
	assert_non_null(strstr(second, "\"generation\":2,\"version\":\"2.0\""));
}

/* What cannot be a spec is no way back. */
static void test_hostile(void **state)
{
	static const char *const goods[] = {
		"{}",
		"[]",
		"7",
		"{\"generation\":1}",
		"{\"generation\":0,\"spec\":\"{}\"}",
		"{\"generation\":-1,\"spec\":\"{}\"}",
		"{\"generation\":1,\"spec\":\"\"}",
		"{\"generation\":1,\"spec\":\"{\"}",
		"{\"generation\":1,\"spec\":\"[]\"}",
		"{\"generation\":1,\"spec\":\"{}\"}",
		"{\"generation\":1,\"spec\":{\"version\":\"1\"}}",
		"{\"generation\":1,\"spec\":\"{\\\"version\\\":7}\"}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(goods); i++) {
		CLEANUP(fleet_freep) struct fleet *f = NULL;
		struct buf b CLEANUP(buf_done);

		assert_int_equal(fleet_new(NULL, &f), 0);
		buf_init(&b, 1 << 16);
		(void)buf_fmt(&b,
			KIND META("2") "," SPEC("2.0") ",\"status\":{\"lastGood\":%s}}",
			goods[i]);
		put(f, buf_cstr(&b));
		if (fleet_driver(f, "edu")->good.generation != 0)
			fail_msg("case '%s'", goods[i]);
		assert_null(fleet_driver_spec_of(f, "edu", 1));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_edit),
		cmocka_unit_test(test_hash),
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
