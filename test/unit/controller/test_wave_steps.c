// SPDX-License-Identifier: Apache-2.0
/* One step of a node's upgrade at a time: rows of (what is stored and seen) -> (record, deed). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wave_world.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_steps),
		cmocka_unit_test(test_allocatable),
		cmocka_unit_test(test_healthy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
