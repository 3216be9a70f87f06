// SPDX-License-Identifier: Apache-2.0
/* One step of a node's upgrade at a time: rows of (what is stored and seen) -> (record, deed). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "world.h"

enum { NOW = 10000 };

static void setup(struct world *w, size_t n)
{
	world_init(w, n, 2);
	w->d.d.spec.upgrade_policy.pod_deletion.present = true;
	w->d.d.spec.upgrade_policy.pod_deletion.force = true;
	w->d.d.spec.upgrade_policy.pod_deletion.timeout_seconds = 100;
}

static void run(struct world *w)
{
	assert_int_equal(plan_make(w->a, &w->view, NOW, &w->plan), 0);
}

static void record(struct world *w, size_t i, int state, int64_t since)
{
	w->nodes[i].upgrade = (struct view_upgrade){ state, since, "edu@2", "", "",
		state == API_UPGRADE_REBOOT ? "boot-1" : NULL };
	w->nodes[i].boot_id = "boot-1";
	if (state == API_UPGRADE_REQUIRED) { /* no pods, no gangs */
		w->pods[i] = (struct view_pods){
			.listed_at = NOW, .for_state = state, .for_since = since
		};
		w->nodes[i].pods = &w->pods[i];
	}
}

struct row {
	const char *name;
	int stored;
	int64_t age;
	bool unschedulable, cordoned, offline, skipped, paused, manual, reboot, rebooted;
	int driver; /* its state on the node, as (state + 1); 0: UpgradeRequired */
	const char *reason; /* of the driver's state */
	/* expected */
	int next;
	const char *why;
	enum plan_cordon cordon;
};

static const struct row rows[] = {
	{ .name = "an upgrade is seen", .next = API_UPGRADE_REQUIRED },
	{ .name = "it begins",
		.stored = API_UPGRADE_REQUIRED,
		.next = API_UPGRADE_CORDON },
	{ .name = "the label says skip",
		.stored = API_UPGRADE_REQUIRED,
		.skipped = true,
		.next = API_UPGRADE_REQUIRED,
		.why = WAVE_SKIPPED },
	{ .name = "paused",
		.stored = API_UPGRADE_REQUIRED,
		.paused = true,
		.next = API_UPGRADE_REQUIRED,
		.why = WAVE_PAUSED },
	{ .name = "autoUpgrade is off",
		.stored = API_UPGRADE_REQUIRED,
		.manual = true,
		.next = API_UPGRADE_REQUIRED,
		.why = WAVE_MANUAL },
	{ .name = "drained, a reboot is asked for",
		.stored = API_UPGRADE_DRAIN,
		.unschedulable = true,
		.cordoned = true,
		.reboot = true,
		.next = API_UPGRADE_REBOOT },
	{ .name = "a reboot was asked for on the way",
		.stored = API_UPGRADE_REPLACE,
		.unschedulable = true,
		.cordoned = true,
		.reboot = true,
		.next = API_UPGRADE_REBOOT },
	{ .name = "no reboot for what runs already",
		.stored = API_UPGRADE_REPLACE,
		.unschedulable = true,
		.cordoned = true,
		.reboot = true,
		.driver = 1 + API_DRIVER_LOADED,
		.next = API_UPGRADE_VALIDATION },
	{ .name = "has not rebooted yet",
		.stored = API_UPGRADE_REBOOT,
		.unschedulable = true,
		.cordoned = true,
		.reboot = true,
		.next = API_UPGRADE_REBOOT },
	{ .name = "is away for its reboot",
		.stored = API_UPGRADE_REBOOT,
		.offline = true,
		.unschedulable = true,
		.cordoned = true,
		.reboot = true,
		.next = API_UPGRADE_REBOOT,
		.why = WAVE_REBOOTING },
	{ .name = "has rebooted",
		.stored = API_UPGRADE_REBOOT,
		.unschedulable = true,
		.cordoned = true,
		.reboot = true,
		.rebooted = true,
		.driver = 1 + API_DRIVER_PENDING,
		.next = API_UPGRADE_VALIDATION },
	{ .name = "has rebooted, the kubelet is not back",
		.stored = API_UPGRADE_REBOOT,
		.offline = true,
		.unschedulable = true,
		.cordoned = true,
		.reboot = true,
		.rebooted = true,
		.next = API_UPGRADE_REBOOT,
		.why = WAVE_REBOOTING },
	{ .name = "uncordoned by somebody before its reboot",
		.stored = API_UPGRADE_REBOOT,
		.cordoned = true,
		.reboot = true,
		.next = API_UPGRADE_FAILED,
		.why = "DrainBlocked" },
	{ .name = "does not reboot",
		.stored = API_UPGRADE_REBOOT,
		.age = 1800,
		.unschedulable = true,
		.cordoned = true,
		.reboot = true,
		.next = API_UPGRADE_FAILED,
		.why = "Timeout" },
	{ .name = "does not come back",
		.stored = API_UPGRADE_REBOOT,
		.age = 1800,
		.offline = true,
		.unschedulable = true,
		.cordoned = true,
		.reboot = true,
		.next = API_UPGRADE_FAILED,
		.why = "NodeOffline" },
	{ .name = "offline nodes wait",
		.stored = API_UPGRADE_REQUIRED,
		.offline = true,
		.next = API_UPGRADE_REQUIRED,
		.why = "NodeOffline" },
	{ .name = "no longer needed",
		.stored = API_UPGRADE_REQUIRED,
		.driver = 1 + API_DRIVER_LOADED,
		.next = API_UPGRADE_NONE },
	{ .name = "cordon",
		.stored = API_UPGRADE_CORDON,
		.next = API_UPGRADE_CORDON,
		.cordon = PLAN_CORDON_ON },
	{ .name = "cordoned",
		.stored = API_UPGRADE_CORDON,
		.unschedulable = true,
		.cordoned = true,
		.next = API_UPGRADE_WAIT_FOR_JOBS },
	{ .name = "an admin's cordon will do",
		.stored = API_UPGRADE_CORDON,
		.unschedulable = true,
		.next = API_UPGRADE_WAIT_FOR_JOBS },
	{ .name = "cannot be cordoned",
		.stored = API_UPGRADE_CORDON,
		.age = 600,
		.next = API_UPGRADE_FAILED,
		.why = "Timeout" },
	{ .name = "no jobs to wait for",
		.stored = API_UPGRADE_WAIT_FOR_JOBS,
		.unschedulable = true,
		.cordoned = true,
		.next = API_UPGRADE_POD_DELETION },
	{ .name = "uncordoned by somebody",
		.stored = API_UPGRADE_POD_DELETION,
		.cordoned = true,
		.next = API_UPGRADE_FAILED,
		.why = "DrainBlocked" },
	{ .name = "taken back while draining",
		.stored = API_UPGRADE_POD_DELETION,
		.unschedulable = true,
		.cordoned = true,
		.driver = 1 + API_DRIVER_LOADED,
		.next = API_UPGRADE_UNCORDON },
	{ .name = "lost while draining",
		.stored = API_UPGRADE_POD_DELETION,
		.unschedulable = true,
		.cordoned = true,
		.offline = true,
		.age = 9999,
		.next = API_UPGRADE_POD_DELETION,
		.why = "NodeOffline" },
	{ .name = "no drain asked for",
		.stored = API_UPGRADE_DRAIN,
		.unschedulable = true,
		.cordoned = true,
		.next = API_UPGRADE_REPLACE },
	{ .name = "the agent is at it",
		.stored = API_UPGRADE_REPLACE,
		.unschedulable = true,
		.cordoned = true,
		.driver = 1 + API_DRIVER_BUILDING,
		.next = API_UPGRADE_REPLACE },
	{ .name = "replaced",
		.stored = API_UPGRADE_REPLACE,
		.unschedulable = true,
		.cordoned = true,
		.driver = 1 + API_DRIVER_LOADED,
		.next = API_UPGRADE_VALIDATION },
	{ .name = "the agent does not answer",
		.stored = API_UPGRADE_REPLACE,
		.age = 200,
		.unschedulable = true,
		.cordoned = true,
		.next = API_UPGRADE_FAILED,
		.why = "ValidationTimeout" },
	{ .name = "valid",
		.stored = API_UPGRADE_VALIDATION,
		.unschedulable = true,
		.cordoned = true,
		.driver = 1 + API_DRIVER_LOADED,
		.next = API_UPGRADE_UNCORDON },
	{ .name = "broken",
		.stored = API_UPGRADE_VALIDATION,
		.unschedulable = true,
		.cordoned = true,
		.driver = 1 + API_DRIVER_FAILED,
		.reason = "LoadFailed",
		.next = API_UPGRADE_FAILED,
		.why = "LoadFailed" },
	{ .name = "in use may pass",
		.stored = API_UPGRADE_VALIDATION,
		.unschedulable = true,
		.cordoned = true,
		.driver = 1 + API_DRIVER_FAILED,
		.reason = "ModuleInUse",
		.next = API_UPGRADE_VALIDATION },
	{ .name = "in use for too long",
		.stored = API_UPGRADE_VALIDATION,
		.age = 200,
		.unschedulable = true,
		.cordoned = true,
		.driver = 1 + API_DRIVER_FAILED,
		.reason = "ModuleInUse",
		.next = API_UPGRADE_FAILED,
		.why = "ModuleInUse" },
	{ .name = "uncordon",
		.stored = API_UPGRADE_UNCORDON,
		.unschedulable = true,
		.cordoned = true,
		.driver = 1 + API_DRIVER_LOADED,
		.next = API_UPGRADE_UNCORDON,
		.cordon = PLAN_CORDON_OFF },
	{ .name = "done",
		.stored = API_UPGRADE_UNCORDON,
		.driver = 1 + API_DRIVER_LOADED,
		.next = API_UPGRADE_DONE },
	{ .name = "done, the admin's cordon stays",
		.stored = API_UPGRADE_UNCORDON,
		.unschedulable = true,
		.driver = 1 + API_DRIVER_LOADED,
		.next = API_UPGRADE_DONE },
	{ .name = "failed is not tried again",
		.stored = API_UPGRADE_FAILED,
		.next = API_UPGRADE_FAILED },
	{ .name = "failed and still cordoned",
		.stored = API_UPGRADE_FAILED,
		.unschedulable = true,
		.cordoned = true,
		.next = API_UPGRADE_FAILED,
		.cordon = PLAN_CORDON_OFF },
	{ .name = "failed and healed",
		.stored = API_UPGRADE_FAILED,
		.driver = 1 + API_DRIVER_LOADED,
		.next = API_UPGRADE_DONE },
	{ .name = "a cordon of ours without a record",
		.unschedulable = true,
		.cordoned = true,
		.driver = 1 + API_DRIVER_LOADED,
		.next = API_UPGRADE_NONE,
		.cordon = PLAN_CORDON_OFF },
};

static void run_row(const struct row *t)
{
	struct world w;
	const struct plan_node *p;
	const struct view_upgrade *up;

	setup(&w, 1);
	if (t->stored)
		record(&w, 0, t->stored, NOW - t->age);
	w.nodes[0].is_unschedulable = t->unschedulable;
	w.nodes[0].is_cordoned = t->cordoned;
	w.nodes[0].is_ready = !t->offline;
	w.nodes[0].is_skipped = t->skipped;
	w.d.d.spec.paused = t->paused;
	w.d.d.spec.upgrade_policy.auto_upgrade = !t->manual;
	w.d.d.spec.upgrade_policy.reboot_required = t->reboot;
	if (t->rebooted)
		w.nodes[0].boot_id = "boot-2";
	if (t->driver)
		w.states[0].state = t->driver - 1;
	if (t->reason)
		w.states[0].reason = t->reason;
	w.nodes[0].spec_hash = plan_hash(&w.view, &w.nodes[0].assigns,
		&w.nodes[0].upgrade, "edu=0000000000000007", "");
	if (t->stored == API_UPGRADE_REPLACE || t->stored == API_UPGRADE_VALIDATION)
		w.assigns[0].proceed = 2;
	w.nodes[0].spec_hash = plan_hash(&w.view, &w.nodes[0].assigns,
		&w.nodes[0].upgrade, "edu=0000000000000007", "");
	run(&w);
	p = world_plan(&w, 0);
	up = p ? &p->upgrade : &w.nodes[0].upgrade;
	if (up->state != t->next || (t->why && !streq(up->reason, t->why)))
		fail_msg("case '%s': state %d '%s', not %d '%s'", t->name, up->state,
			up->reason, t->next, t->why ? t->why : "");
	if ((p && !p->write ? p->cordon : PLAN_CORDON_KEEP) != t->cordon)
		fail_msg("case '%s': cordon %d, not %d", t->name, p ? p->cordon : 0,
			t->cordon);
	if (p && p->write && p->cordon != PLAN_CORDON_KEEP)
		fail_msg("case '%s': acts before the record is stored", t->name);
	if (up->state != t->stored && up->state && up->since != NOW)
		fail_msg("case '%s': since %lld", t->name, (long long)up->since);
	for (size_t i = 0; p && i < p->assigns.n; i++)
		if ((VIEW_AT(struct view_assign, p->assigns, i)->proceed != 0) !=
			wave_may_replace(up->state))
			fail_msg("case '%s': permission does not follow the state",
				t->name);
	arena_free(w.a);
}

static void test_steps(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		run_row(&rows[i]);
}

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

/* Validation waits for what was allocatable before. */
static void test_allocatable(void **state)
{
	struct view_count before = { "farrier.dev/edu", 2 },
			  now = { "farrier.dev/edu", 1 };
	struct view_class k = { .name = "edu", .has_spec = true }, *ks[] = { &k };
	struct world w;

	setup(&w, 1);
	k.c.spec.resource_name = "farrier.dev/edu";
	k.c.spec.match = (struct list){ &w.match, 1 };
	w.view.classes = ks;
	w.view.n_classes = 1;
	record(&w, 0, API_UPGRADE_VALIDATION, NOW - 1);
	w.states[0].state = API_DRIVER_LOADED;
	w.nodes[0].before = (struct list){ &before, 1 };
	w.nodes[0].allocatable = (struct list){ &now, 1 };
	run(&w);
	assert_int_equal(world_plan(&w, 0)->upgrade.state, API_UPGRADE_VALIDATION);
	now.n = 2;
	run(&w);
	assert_int_equal(world_plan(&w, 0)->upgrade.state, API_UPGRADE_UNCORDON);
	arena_free(w.a);
}

/* And for the plugin's word: the Node may still show what it offered before its driver went. */
static void test_healthy(void **state)
{
	static const struct {
		const char *name;
		int64_t before, replicas;
		uint16_t total, healthy;
		int state;
	} cases[] = {
		{ "not healthy again yet", 2, 0, 2, 0, API_UPGRADE_VALIDATION },
		{ "one of them is", 2, 0, 2, 1, API_UPGRADE_VALIDATION },
		{ "all are", 2, 0, 2, 2, API_UPGRADE_UNCORDON },
		{ "one was not before", 1, 0, 2, 1, API_UPGRADE_UNCORDON },
		{ "one has been pulled", 2, 0, 1, 1, API_UPGRADE_UNCORDON },
		{ "the plugin has not spoken", 2, 0, 0, 0, API_UPGRADE_UNCORDON },
		{ "shared by four, one away", 8, 4, 2, 1, API_UPGRADE_VALIDATION },
		{ "shared by four, one was away", 4, 4, 2, 1, API_UPGRADE_UNCORDON },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct view_count before = { "farrier.dev/edu", cases[i].before };
		struct view_class_devices d = { "edu", cases[i].total, cases[i].healthy };
		struct view_class k = { .name = "edu", .has_spec = true }, *ks[] = { &k };
		struct world w;

		setup(&w, 1);
		k.c.spec.resource_name = "farrier.dev/edu";
		k.c.spec.match = (struct list){ &w.match, 1 };
		k.c.spec.sharing.present = cases[i].replicas > 0;
		k.c.spec.sharing.time_slice.present = cases[i].replicas > 0;
		k.c.spec.sharing.time_slice.replicas = cases[i].replicas;
		w.view.classes = ks;
		w.view.n_classes = 1;
		record(&w, 0, API_UPGRADE_VALIDATION, NOW - 1);
		w.states[0].state = API_DRIVER_LOADED;
		w.nodes[0].before = (struct list){ &before, 1 };
		w.nodes[0].allocatable = (struct list){ &before, 1 };
		w.nodes[0].devices = (struct list){ &d, 1 };
		run(&w);
		if (world_plan(&w, 0)->upgrade.state != cases[i].state)
			fail_msg("case '%s': state %d", cases[i].name,
				world_plan(&w, 0)->upgrade.state);
		arena_free(w.a);
	}
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
		cmocka_unit_test(test_steps),
		cmocka_unit_test(test_budget),
		cmocka_unit_test(test_uncertain_counts),
		cmocka_unit_test(test_own_node_last),
		cmocka_unit_test(test_allocatable),
		cmocka_unit_test(test_healthy),
		cmocka_unit_test(test_pods),
		cmocka_unit_test(test_pods_are_listed),
		cmocka_unit_test(test_targets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
