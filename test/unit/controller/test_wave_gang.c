// SPDX-License-Identifier: Apache-2.0
/* Gangs in a wave: which of their nodes start together, and how they wait for each other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "world.h"

enum { NOW = 10000, MANY = 4 };

/* ---- units ---- */

/* A driver that waits for its upgrade on all nodes, each with one pod of the gangs given. */
struct gangs {
	struct world w;
	struct view_pod pods[MANY];
	struct view_gang gangs[2], *gang_ptrs[2];
	const char *gang_nodes[2][MANY];
};

static const char *const keys[2] = { "a/job/x", "a/job/y" };

/* @pods: of each node the gang of its pod, 'x' or 'y', or '-'. */
static void setup(struct gangs *g, const char *pods)
{
	struct world *w = &g->w;

	memset(g, 0, sizeof(*g));
	world_init(w, MANY, 2);
	w->d.d.spec.upgrade_policy.max_unavailable = (struct intstr){ false, 2 };
	w->d.d.spec.upgrade_policy.validation_timeout_seconds = 0;
	for (size_t i = 0; i < 2; i++) {
		g->gangs[i] = (struct view_gang){
			.key = keys[i], .nodes = { g->gang_nodes[i], 0 }, .listed_at = NOW
		};
		g->gang_ptrs[i] = &g->gangs[i];
	}
	for (size_t i = 0; i < MANY; i++) {
		int gang = pods[i] == 'x' ? 0 : pods[i] == 'y' ? 1 : -1;

		g->pods[i] = (struct view_pod){ .namespace_ = "a",
			.name = "p",
			.uid = "u",
			.uses_devices = true,
			.has_controller = true,
			.gang = gang < 0 ? NULL : keys[gang] };
		w->pods[i] = (struct view_pods){ .pods = &g->pods[i],
			.n = 1,
			.listed_at = NOW,
			.for_state = API_UPGRADE_REQUIRED,
			.for_since = NOW - 10 };
		if (gang >= 0)
			g->gang_nodes[gang][g->gangs[gang].nodes.n++] = w->nodes[i].name;
		w->nodes[i].upgrade = (struct view_upgrade){ API_UPGRADE_REQUIRED,
			NOW - 10, "edu@2", "", "" };
		w->nodes[i].pods = &w->pods[i];
	}
	w->view.gangs = g->gang_ptrs;
	w->view.n_gangs = 2;
}

/* Which nodes start: 's' alone, 'g' in a group, '-' not. */
static const char *starts(struct world *w)
{
	static char text[MANY + 1];

	assert_int_equal(plan_make(w->a, &w->view, NOW, &w->plan), 0);
	for (size_t i = 0; i < MANY; i++) {
		const struct plan_node *p = world_plan(w, i);

		text[i] = !p || p->upgrade.state != API_UPGRADE_CORDON ? '-'
			  : p->upgrade.group			       ? 'g'
								       : 's';
	}
	return text;
}

static void test_units(void **state)
{
	static const struct {
		const char *name, *pods;
		int64_t budget, age;
		bool wait, offline_1, building_1;
		const char *expected;
	} rows[] = {
		{ "alone", "----", 2, 10, false, false, false, "s---" },
		{ "two of a gang take one place", "x-x-", 2, 10, false, false, false,
			"g-g-" },
		{ "gangs of one node each", "xy--", 2, 10, false, false, false, "s---" },
		{ "too many, and others go first", "xxx-", 2, 10, false, false, false,
			"---s" },
		{ "too many, for long", "xxx-", 2, 300, false, false, false, "s---" },
		{ "too many, its jobs may take for ever", "xxx-", 2, 3000, true, false,
			false, "---s" },
		{ "one is offline", "xx--", 2, 10, false, true, false, "s---" },
		{ "one is not built yet", "xx--", 2, 10, false, false, true, "--s-" },
		{ "one is never built", "xx--", 2, 600, false, false, true, "s---" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct gangs g;
		struct world *w = &g.w;

		setup(&g, rows[i].pods);
		w->d.d.spec.upgrade_policy.max_unavailable.value = rows[i].budget;
		w->d.d.spec.upgrade_policy.wait.present = rows[i].wait;
		w->nodes[1].is_ready = !rows[i].offline_1;
		if (rows[i].building_1) {
			w->states[1].state = API_DRIVER_BUILDING;
			w->nodes[1].upgrade = (struct view_upgrade){ 0, 0, "", "", "" };
		}
		for (size_t k = 0; k < MANY; k++)
			if (w->nodes[k].upgrade.state)
				w->nodes[k].upgrade.since = w->pods[k].for_since =
					NOW - rows[i].age;
		if (!streq(starts(w), rows[i].expected))
			fail_msg("case '%s': %s, not %s", rows[i].name, starts(w),
				rows[i].expected);
		arena_free(w->a);
	}
}

/* Pods above what a gang needs may go alone; what it needs goes as a whole. */
static void test_surplus(void **state)
{
	static const struct {
		const char *name, *pods;
		int64_t min;
		uint32_t running[MANY];
		int64_t budget;
		bool offline_1, active_1, back_1;
		const char *expected;
	} rows[] = {
		{ "it needs all", "xxx-", 3, { 1, 1, 1 }, 3, false, false, false,
			"ggg-" },
		{ "it does not say", "xxx-", 0, { 1, 1, 1 }, 3, false, false, false,
			"ggg-" },
		{ "one more than it needs", "xxx-", 2, { 1, 1, 1 }, 3, false, false,
			false, "s---" },
		{ "two more", "xxx-", 1, { 1, 1, 1 }, 3, false, false, false, "ss--" },
		{ "no room for two", "xxx-", 1, { 1, 1, 1 }, 1, false, false, false,
			"s---" },
		{ "a node has most of it", "xxx-", 2, { 3, 1, 1 }, 3, false, false, false,
			"s---" },
		{ "the others have not enough", "xxx-", 3, { 3, 1, 1 }, 3, false, false,
			false, "ggg-" },
		{ "what does not run does not count", "xxx-", 2, { 1, 1, 0 }, 3, false,
			false, false, "ggg-" },
		{ "nor what is offline", "xxx-", 2, { 1, 1, 1 }, 3, true, false, false,
			"g-g-" },
		{ "nor what a wave has", "xxx-", 2, { 1, 1, 1 }, 3, false, true, false,
			"----" },
		{ "nor what a wave had since it was listed", "xxx-", 2, { 1, 1, 1 }, 3,
			false, false, true, "g-g-" },
		{ "larger than the budget, but with surplus", "xxxx", 3, { 1, 1, 1, 1 },
			2, false, false, false, "s---" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct gangs g;
		struct world *w = &g.w;

		setup(&g, rows[i].pods);
		w->d.d.spec.upgrade_policy.max_parallel = 0;
		w->d.d.spec.upgrade_policy.max_unavailable.value = rows[i].budget;
		g.gangs[0].min = rows[i].min;
		g.gangs[0].running = rows[i].running;
		w->nodes[1].is_ready = !rows[i].offline_1;
		if (rows[i].active_1) {
			w->nodes[1].upgrade = (struct view_upgrade){ API_UPGRADE_DRAIN,
				NOW - 10, "edu@2", "", "" };
			w->nodes[1].is_unschedulable = w->nodes[1].is_cordoned = true;
		}
		if (rows[i].back_1) {
			w->nodes[1].upgrade = (struct view_upgrade){ API_UPGRADE_DONE,
				NOW, "edu@2", "", "" };
			w->states[1].state = API_DRIVER_LOADED;
		}
		if (rows[i].pods[3] == '-') { /* no candidate */
			w->nodes[3].upgrade = (struct view_upgrade){ 0, 0, "", "", "" };
			w->states[3].state = API_DRIVER_LOADED;
		}
		if (!streq(starts(w), rows[i].expected))
			fail_msg("case '%s': %s, not %s", rows[i].name, starts(w),
				rows[i].expected);
		arena_free(w->a);
	}
}

/* Over a gang to a node, over another gang of it to a third. */
static void test_chain(void **state)
{
	struct view_pod two[2];
	struct gangs g;
	struct world *w = &g.w;

	setup(&g, "xxy-");
	two[0] = g.pods[1];
	two[1] = g.pods[1];
	two[1].gang = keys[1];
	w->pods[1].pods = two;
	w->pods[1].n = 2;
	g.gang_nodes[1][g.gangs[1].nodes.n++] = "n1";
	w->d.d.spec.upgrade_policy.max_unavailable.value = 3;
	assert_string_equal(starts(w), "ggg-");
	assert_string_equal(world_plan(w, 0)->upgrade.group, "n0/3");
	assert_string_equal(world_plan(w, 2)->upgrade.group, "n0/3");
	arena_free(w->a);
}

/* What is not known is asked for, and the room is kept meanwhile. */
static void test_asks(void **state)
{
	struct gangs g;
	struct world *w = &g.w;

	setup(&g, "xx--");
	w->nodes[0].pods = NULL;
	w->nodes[0].upgrade.reason = WAVE_BUDGET;
	w->nodes[0].spec_hash = plan_hash(&w->view, &w->nodes[0].assigns,
		&w->nodes[0].upgrade, "edu=0000000000000007", "");
	assert_string_equal(starts(w), "----");
	assert_true(world_plan(w, 0)->need_pods);
	assert_int_equal(w->plan.gangs.n, 0);
	w->nodes[0].pods = &w->pods[0];
	g.gangs[0].listed_at = NOW - 31;
	assert_string_equal(starts(w), "----");
	assert_int_equal(w->plan.gangs.n, 1);
	assert_string_equal(*VIEW_AT(const char *, w->plan.gangs, 0), "a/job/x");
	g.gangs[0].listed_at = NOW;
	assert_string_equal(starts(w), "gg--");
	arena_free(w->a);
}

/* A unit that has to wait for room keeps what there is. */
static void test_keeps_room(void **state)
{
	struct gangs g;
	struct world *w = &g.w;

	setup(&g, "-xx-");
	w->nodes[0].upgrade = (struct view_upgrade){ API_UPGRADE_VALIDATION, NOW, "edu@2",
		"", "" };
	w->d.d.spec.upgrade_policy.max_parallel = 0;
	assert_string_equal(starts(w), "----");
	assert_string_equal(world_plan(w, 1)->upgrade.reason, WAVE_GANG);
	arena_free(w->a);
}

/* ---- groups ---- */

static void put_in_group(struct world *w, size_t i, int state, const char *reason)
{
	w->nodes[i].upgrade = (struct view_upgrade){ state, NOW - 10, "edu@2", reason, "",
		NULL, "n0/2" };
	w->nodes[i].is_unschedulable = w->nodes[i].is_cordoned = true;
}

static void test_groups(void **state)
{
	static const struct {
		const char *name;
		int mine, theirs;
		const char *their_reason;
		bool not_cordoned, offline, alone, loaded;
		int64_t age;
		int expected;
		const char *reason;
	} rows[] = {
		{ "all are cordoned", API_UPGRADE_CORDON, API_UPGRADE_CORDON, "", false,
			false, false, false, 10, API_UPGRADE_WAIT_FOR_JOBS, "" },
		{ "the other is not", API_UPGRADE_CORDON, API_UPGRADE_CORDON, "", true,
			false, false, false, 10, API_UPGRADE_CORDON, WAVE_GANG },
		{ "the other is lost", API_UPGRADE_CORDON, API_UPGRADE_CORDON, "", false,
			true, false, false, 10, API_UPGRADE_CORDON, WAVE_GANG },
		{ "for too long", API_UPGRADE_CORDON, API_UPGRADE_CORDON, "", true, false,
			false, false, 120, API_UPGRADE_UNCORDON, "" },
		{ "the other never came", API_UPGRADE_CORDON, 0, "", false, false, true,
			false, 10, API_UPGRADE_CORDON, WAVE_GANG },
		{ "the other gave up", API_UPGRADE_CORDON, API_UPGRADE_UNCORDON, "",
			false, false, false, false, 10, API_UPGRADE_UNCORDON, "" },
		{ "the other's jobs run", API_UPGRADE_WAIT_FOR_JOBS,
			API_UPGRADE_WAIT_FOR_JOBS, "", false, false, false, false, 10,
			API_UPGRADE_WAIT_FOR_JOBS, WAVE_GANG },
		{ "the other waits for us", API_UPGRADE_WAIT_FOR_JOBS,
			API_UPGRADE_WAIT_FOR_JOBS, WAVE_GANG, false, false, false, false,
			10, API_UPGRADE_POD_DELETION, "" },
		{ "the other is ahead", API_UPGRADE_WAIT_FOR_JOBS,
			API_UPGRADE_POD_DELETION, "", false, false, false, false, 10,
			API_UPGRADE_POD_DELETION, "" },
		{ "the other was lost on the way", API_UPGRADE_WAIT_FOR_JOBS,
			API_UPGRADE_WAIT_FOR_JOBS, "NodeOffline", false, true, false,
			false, 10, API_UPGRADE_POD_DELETION, "" },
		{ "the other does not work yet", API_UPGRADE_VALIDATION,
			API_UPGRADE_REPLACE, "", false, false, false, true, 10,
			API_UPGRADE_VALIDATION, WAVE_GANG },
		{ "the other goes back", API_UPGRADE_VALIDATION, API_UPGRADE_ROLLBACK,
			"LoadFailed", false, false, false, true, 10,
			API_UPGRADE_VALIDATION, WAVE_GANG },
		{ "the other reboots", API_UPGRADE_VALIDATION, API_UPGRADE_REBOOT, "",
			false, true, false, true, 10, API_UPGRADE_VALIDATION, WAVE_GANG },
		{ "all work", API_UPGRADE_VALIDATION, API_UPGRADE_VALIDATION, WAVE_GANG,
			false, false, false, true, 10, API_UPGRADE_UNCORDON, "" },
		{ "the other has failed", API_UPGRADE_VALIDATION, API_UPGRADE_FAILED,
			"LoadFailed", false, false, false, true, 10, API_UPGRADE_UNCORDON,
			"" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct view_upgrade *up;
		struct gangs g;
		struct world *w = &g.w;

		setup(&g, "xx--");
		w->nodes[2].upgrade = w->nodes[3].upgrade = (struct view_upgrade){ 0, 0,
			"", "", "" };
		w->states[2].state = w->states[3].state = API_DRIVER_LOADED;
		put_in_group(w, 0, rows[i].mine, "");
		w->nodes[0].upgrade.since = NOW - rows[i].age;
		put_in_group(w, 1, rows[i].theirs, rows[i].their_reason);
		if (rows[i].alone)
			w->nodes[1].upgrade.group = NULL;
		if (rows[i].not_cordoned)
			w->nodes[1].is_unschedulable = w->nodes[1].is_cordoned = false;
		w->nodes[1].is_ready = !rows[i].offline;
		if (rows[i].loaded)
			w->states[0].state = API_DRIVER_LOADED;
		assert_int_equal(plan_make(w->a, &w->view, NOW, &w->plan), 0);
		up = world_plan(w, 0) ? &world_plan(w, 0)->upgrade : &w->nodes[0].upgrade;
		if (up->state != rows[i].expected || !streq(up->reason, rows[i].reason))
			fail_msg("case '%s': %d '%s'", rows[i].name, up->state,
				up->reason);
		arena_free(w->a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_units),
		cmocka_unit_test(test_surplus),
		cmocka_unit_test(test_chain),
		cmocka_unit_test(test_asks),
		cmocka_unit_test(test_keeps_room),
		cmocka_unit_test(test_groups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
