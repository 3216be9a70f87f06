// SPDX-License-Identifier: Apache-2.0
/* A wave: how many nodes start, which first, and which pods have to leave them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wave_world.h"

/* How many of the nodes that wait are started at once. */
static size_t starts(struct world *w)
{
	size_t n = 0;

	run(w);
	for (size_t i = 0; i < w->view.n_nodes; i++)
		n += world_plan(w, i) &&
		     world_plan(w, i)->upgrade.state == API_UPGRADE_CORDON &&
		     w->nodes[i].upgrade.state == API_UPGRADE_REQUIRED;
	return n;
}

static void test_budget(void **state)
{
	static const struct {
		const char *name;
		size_t nodes, offline, active, failed;
		struct intstr max;
		int64_t parallel;
		size_t expected;
	} cases[] = {
		{ "one at a time", 6, 0, 0, 0, { true, 100 }, 1, 1 },
		{ "one is under way", 6, 0, 1, 0, { true, 100 }, 1, 0 },
		{ "no limit but the budget", 6, 0, 0, 0, { false, 4 }, 0, 4 },
		{ "percent is rounded down", 6, 0, 0, 0, { true, 40 }, 0, 2 },
		{ "at least one", 6, 0, 0, 0, { true, 1 }, 0, 1 },
		{ "one node, 25 %", 1, 0, 0, 0, { true, 25 }, 0, 1 },
		{ "three nodes, 50 %", 3, 0, 0, 0, { true, 50 }, 0, 1 },
		{ "parallel beyond the fleet", 3, 0, 0, 0, { true, 100 }, 100, 3 },
		{ "offline nodes do not block", 6, 2, 0, 0, { true, 50 }, 0, 2 },
		{ "offline nodes under way do not count", 4, 2, 0, 0, { false, 1 }, 1,
			1 },
		{ "a failed node has left", 4, 0, 0, 1, { false, 1 }, 1, 1 },
		{ "three equal failures stop it", 6, 0, 0, 3, { true, 100 }, 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct world w;
		size_t n;

		setup(&w, cases[i].nodes);
		w.d.d.spec.upgrade_policy.max_unavailable = cases[i].max;
		w.d.d.spec.upgrade_policy.max_parallel = cases[i].parallel;
		for (size_t k = 0; k < cases[i].nodes; k++) {
			record(&w, k, API_UPGRADE_REQUIRED, NOW);
			if (k < cases[i].offline) {
				w.nodes[k].is_ready = false;
				record(&w, k, API_UPGRADE_DRAIN, NOW);
			} else if (k < cases[i].offline + cases[i].active) {
				record(&w, k, API_UPGRADE_VALIDATION, NOW);
			} else if (k <
				   cases[i].offline + cases[i].active + cases[i].failed) {
				record(&w, k, API_UPGRADE_FAILED, NOW);
				w.nodes[k].upgrade.reason = "LoadFailed";
			}
		}
		n = starts(&w);
		if (n != cases[i].expected)
			fail_msg("case '%s': %zu started, not %zu", cases[i].name, n,
				cases[i].expected);
		arena_free(w.a);
	}
}

/* A write that may have been done counts, wherever the cache is. */
static void test_uncertain_counts(void **state)
{
	struct view_intent it = { .upgrade = {
					  API_UPGRADE_CORDON, NOW, "edu@2", "", "" } };
	struct world w;

	setup(&w, 2);
	w.d.d.spec.upgrade_policy.max_unavailable = (struct intstr){ false, 1 };
	record(&w, 0, API_UPGRADE_REQUIRED, NOW);
	record(&w, 1, API_UPGRADE_REQUIRED, NOW);
	it.assigns = w.nodes[0].assigns;
	w.nodes[0].intent = &it;
	run(&w);
	assert_true(world_plan(&w, 0)->write);
	assert_int_equal(world_plan(&w, 0)->upgrade.state, API_UPGRADE_CORDON);
	assert_int_equal(world_plan(&w, 1)->upgrade.state, API_UPGRADE_REQUIRED);
	arena_free(w.a);
}

static void test_own_node_last(void **state)
{
	struct world w;

	setup(&w, 2);
	w.view.own_node = "n0";
	record(&w, 0, API_UPGRADE_REQUIRED, NOW);
	record(&w, 1, API_UPGRADE_REQUIRED, NOW);
	run(&w);
	assert_int_equal(world_plan(&w, 1)->upgrade.state, API_UPGRADE_CORDON);
	assert_int_equal(world_plan(&w, 0)->upgrade.state, API_UPGRADE_REQUIRED);
	arena_free(w.a);
}

/* ---- pods ---- */

static void test_pods(void **state)
{
	static const struct {
		const char *name;
		struct view_pod pod;
		bool force, empty_dir, drain;
		int stage;
		size_t left, evicted;
		bool refused;
	} cases[] = {
		{ "holds a device", { .uses_devices = true, .has_controller = true },
			false, false, false, API_UPGRADE_POD_DELETION, 1, 1, false },
		{ "holds none", { .has_controller = true }, false, false, false,
			API_UPGRADE_POD_DELETION, 0, 0, false },
		{ "drained all the same", { .has_controller = true }, false, false, true,
			API_UPGRADE_DRAIN, 1, 1, false },
		{ "nobody makes it again", { .uses_devices = true }, false, false, false,
			API_UPGRADE_POD_DELETION, 1, 0, true },
		{ "nobody makes it again, forced", { .uses_devices = true }, true, false,
			false, API_UPGRADE_POD_DELETION, 1, 1, false },
		{ "has data",
			{ .uses_devices = true,
				.has_controller = true,
				.has_empty_dir = true },
			true, false, false, API_UPGRADE_POD_DELETION, 1, 0, true },
		{ "has data that may go",
			{ .uses_devices = true,
				.has_controller = true,
				.has_empty_dir = true },
			false, true, false, API_UPGRADE_POD_DELETION, 1, 1, false },
		{ "is on its way",
			{ .uses_devices = true,
				.has_controller = true,
				.is_deleting = true },
			false, false, false, API_UPGRADE_POD_DELETION, 1, 0, false },
		{ "finished", { .uses_devices = true, .is_finished = true }, false, false,
			true, API_UPGRADE_DRAIN, 0, 0, false },
		{ "of a DaemonSet",
			{ .uses_devices = true,
				.has_controller = true,
				.is_daemon = true },
			true, true, true, API_UPGRADE_DRAIN, 0, 0, false },
		{ "a mirror pod", { .uses_devices = true, .is_mirror = true }, true, true,
			true, API_UPGRADE_DRAIN, 0, 0, false },
		{ "refused a moment ago",
			{ .uses_devices = true,
				.has_controller = true,
				.is_blocked = true,
				.retry_at = NOW + 1 },
			false, false, false, API_UPGRADE_POD_DELETION, 1, 0, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct api_upgrade_policy p = {
			.pod_deletion = { true, cases[i].force, 60, cases[i].empty_dir },
			.drain = { .present = true,
				.enable = cases[i].drain,
				.force = cases[i].force,
				.delete_empty_dir = cases[i].empty_dir },
		};
		struct wave_policies ps = { .p = { &p }, .n = 1 };
		struct view_pod pod = cases[i].pod;
		struct view_pods pods = { .pods = &pod, .n = 1 };
		struct wave_verdict v;
		struct list evict;
		struct arena *a = arena_new(1 << 16);

		pod.name = "p";
		assert_int_equal(
			wave_judge_pods(a, &ps, cases[i].stage, &pods, NOW, &v, &evict),
			0);
		if (v.left != cases[i].left || evict.n != cases[i].evicted ||
			!!v.refused != cases[i].refused)
			fail_msg("case '%s': %zu left, %zu evicted, %s", cases[i].name,
				v.left, evict.n, v.refused ? "refused" : "not refused");
		arena_free(a);
	}
}

static void test_pods_are_listed(void **state)
{
	struct view_pod pod = {
		.name = "p", .uid = "u", .uses_devices = true, .has_controller = true
	};
	struct view_pods pods = { .pods = &pod,
		.n = 1,
		.listed_at = NOW,
		.for_state = API_UPGRADE_POD_DELETION,
		.for_since = NOW - 50 };
	struct world w;

	setup(&w, 1);
	record(&w, 0, API_UPGRADE_POD_DELETION, NOW - 50);
	w.nodes[0].is_unschedulable = w.nodes[0].is_cordoned = true;
	w.nodes[0].spec_hash = plan_hash(&w.view, &w.nodes[0].assigns,
		&w.nodes[0].upgrade, "edu=0000000000000007", "");
	run(&w);
	assert_true(world_plan(&w, 0)->need_pods);
	w.nodes[0].pods = &pods;
	run(&w);
	assert_false(world_plan(&w, 0)->need_pods);
	assert_int_equal(world_plan(&w, 0)->evict.n, 1);
	pods.for_since--; /* listed for an earlier try: says nothing */
	run(&w);
	assert_true(world_plan(&w, 0)->need_pods);
	pods.for_since++;
	w.nodes[0].upgrade.since = pods.for_since = NOW - 100; /* the limit */
	run(&w);
	assert_int_equal(world_plan(&w, 0)->upgrade.state, API_UPGRADE_FAILED);
	assert_string_equal(world_plan(&w, 0)->upgrade.reason, "DrainTimeout");
	pods.n = 0;
	run(&w);
	assert_int_equal(world_plan(&w, 0)->upgrade.state, API_UPGRADE_REPLACE);
	assert_int_equal(
		VIEW_AT(struct view_assign, world_plan(&w, 0)->assigns, 0)->proceed, 2);
	arena_free(w.a);
}

static void test_targets(void **state)
{
	assert_true(wave_targets("edu@3,foo@12", "foo", 12));
	assert_true(wave_targets("edu@3,foo@12", "edu", 0));
	assert_false(wave_targets("edu@3,foo@12", "foo", 1));
	assert_false(wave_targets("edu2@3", "edu", 0));
	assert_false(wave_targets("", "edu", 0));
	assert_false(wave_targets("edu", "edu", 0));
	assert_false(wave_targets("edu@,@,,", "edu", 3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_budget),
		cmocka_unit_test(test_uncertain_counts),
		cmocka_unit_test(test_own_node_last),
		cmocka_unit_test(test_pods),
		cmocka_unit_test(test_pods_are_listed),
		cmocka_unit_test(test_targets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
