// SPDX-License-Identifier: Apache-2.0
/* Who gets which driver, what statuses say, and what becomes of a driver that is deleted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "cond.h"
#include "controller/assign.h"
#include "controller/plan.h"

enum { NOW = 100000, NODES = 3, DRIVERS = 2 };

struct world {
	struct arena *a;
	struct view_driver d[DRIVERS];
	struct api_device_match match[DRIVERS];
	struct kv want; /* pool=a */
	struct kv label[NODES];
	struct view_driver *dptr[DRIVERS];
	struct view_node n[NODES];
	struct view_node *nptr[NODES];
	struct view_assign old[NODES];
	struct view_driver_state states[NODES];
	const char *hardware;
	struct view view;
	struct plan plan;
};

static void setup(struct world *w, size_t drivers)
{
	static const char *const names[NODES] = { "n0", "n1", "n2" };
	static const char *const driver_names[DRIVERS] = { "edu", "rival" };

	memset(w, 0, sizeof(*w));
	w->a = arena_new(1 << 20);
	assert_non_null(w->a);
	w->want = (struct kv){ "pool", "a" };
	w->hardware = "pci:1234:11e8";
	for (size_t i = 0; i < drivers; i++) {
		w->match[i] = (struct api_device_match){ .vendor = "1234",
			.device = "11e8" };
		w->d[i] = (struct view_driver){ .name = driver_names[i],
			.uid = driver_names[i],
			.generation = 3,
			.created = (int64_t)i,
			.has_spec = true,
			.selector = 7 };
		w->d[i].d.meta.generation = 3;
		w->d[i].d.spec.devices = (struct list){ &w->match[i], 1 };
		w->d[i].d.spec.node_selector.present = true;
		w->d[i].d.spec.node_selector.match_labels = (struct list){ &w->want, 1 };
		w->dptr[i] = &w->d[i];
	}
	for (size_t i = 0; i < NODES; i++) {
		w->label[i] = w->want;
		w->n[i] = (struct view_node){
			.name = names[i],
			.has_node = true,
			.is_ready = true,
			.has_acc = true,
			.is_known = true,
			.labels = { &w->label[i], 1 },
			.hardware = { &w->hardware, 1 },
			.upgrade = { 0, 0, "", "", "" },
		};
		w->nptr[i] = &w->n[i];
	}
	w->view = (struct view){
		.drivers = w->dptr,
		.n_drivers = drivers,
		.nodes = w->nptr,
		.n_nodes = NODES,
	};
}

static void run(struct world *w)
{
	assert_int_equal(plan_make(w->a, &w->view, NOW, &w->plan), 0);
}

/* The Nodes say already what they should. */
static void have_marks(struct world *w)
{
	for (size_t i = 0; i < w->view.n_nodes; i++) {
		struct marks m;

		assert_int_equal(
			marks_make(w->a, &w->view, &w->n[i], &w->n[i].assigns, &m), 0);
		w->n[i].labels_mark.stored = m.labels_hash;
		w->n[i].condition_mark.stored = m.condition_hash;
	}
}

static const struct plan_node *out(const struct world *w, size_t i)
{
	for (size_t k = 0; k < w->plan.n_nodes; k++)
		if (w->plan.nodes[k].node == &w->n[i])
			return &w->plan.nodes[k];
	return NULL;
}

/* The assignment of driver @name on node @i as it should be, or NULL. */
static const struct view_assign *assigned(
	const struct world *w, size_t i, const char *name)
{
	const struct plan_node *p = out(w, i);
	const struct list *l = p ? &p->assigns : &w->n[i].assigns;

	for (size_t k = 0; k < l->n; k++)
		if (streq(VIEW_AT(struct view_assign, *l, k)->name, name))
			return VIEW_AT(struct view_assign, *l, k);
	return NULL;
}

static void give(struct world *w, size_t i, int64_t generation, uint64_t selector)
{
	w->old[i] = (struct view_assign){ "edu", generation, 0, selector, false };
	w->n[i].assigns = (struct list){ &w->old[i], 1 };
}

static const struct api_condition *cond(const struct world *w, size_t i, const char *type)
{
	return cond_get(&w->plan.drivers[i].conditions, type);
}

static bool is_true(const struct api_condition *c)
{
	return c && streq(c->status, "True");
}

/* ---- assignment ---- */

static void test_assign(void **state)
{
	static const struct {
		const char *name;
		bool label, hardware, known, old;
		uint64_t old_selector;
		bool expected;
	} cases[] = {
		{ "label and device", true, true, true, false, 0, true },
		{ "no label", false, true, true, false, 0, false },
		{ "no device", true, false, true, false, 0, false },
		{ "the agent has not spoken", true, true, false, false, 0, false },
		{ "the label vanished", false, true, true, true, 7, true },
		{ "the device vanished", true, false, true, true, 7, true },
		{ "both vanished", false, false, true, true, 7, true },
		{ "the selector was edited away", false, true, true, true, 8, false },
		{ "the selector was edited, it matches", true, true, true, true, 8,
			true },
		{ "nobody knows by which selector", false, true, true, true, 0, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct world w;

		setup(&w, 1);
		w.n[0].labels.n = cases[i].label;
		w.n[0].hardware.n = cases[i].hardware;
		w.n[0].is_known = cases[i].known;
		if (cases[i].old)
			give(&w, 0, 3, cases[i].old_selector);
		run(&w);
		if (!!assigned(&w, 0, "edu") != cases[i].expected)
			fail_msg("case '%s'", cases[i].name);
		arena_free(w.a);
	}
}

/* Whatever comes and goes on a node that has its driver, the driver stays and is not told to unload. */
static void test_flaps_unload_nothing(void **state)
{
	enum {
		READY = 1,
		SCHEDULABLE = 2,
		LABEL = 4,
		HARDWARE = 8,
		KNOWN = 16,
		ALL = 32
	};

	for (unsigned what = 0; what < ALL; what++) {
		const struct view_assign *s;
		struct world w;

		setup(&w, 1);
		give(&w, 0, 3, 7);
		w.n[0].is_ready = what & READY;
		w.n[0].is_unschedulable = !(what & SCHEDULABLE);
		w.n[0].labels.n = what & LABEL ? 1 : 0;
		w.n[0].hardware.n = what & HARDWARE ? 1 : 0;
		w.n[0].is_known = what & KNOWN;
		run(&w);
		s = assigned(&w, 0, "edu");
		if (!s || s->unload || s->generation != 3 || s->proceed)
			fail_msg("case %u", what);
		arena_free(w.a);
	}
}

/* An edit that leaves the selector alone goes to nodes that lost their label, too. */
static void test_generation_follows(void **state)
{
	struct world w;

	setup(&w, 1);
	w.n[0].labels.n = 0;
	give(&w, 0, 2, 7);
	run(&w);
	assert_int_equal(assigned(&w, 0, "edu")->generation, 3);
	assert_int_equal(assigned(&w, 0, "edu")->selector, 7);
	arena_free(w.a);
}

static void test_conflict(void **state)
{
	struct world w;

	setup(&w, 2);
	run(&w);
	assert_non_null(assigned(&w, 0, "edu"));
	assert_null(assigned(&w, 0, "rival"));
	assert_true(is_true(cond(&w, 1, "Conflict")));
	assert_non_null(strstr(cond(&w, 1, "Conflict")->message, "'edu'"));
	assert_string_equal(cond(&w, 1, "Ready")->reason, "Conflict");
	assert_false(is_true(cond(&w, 0, "Conflict")));
	w.match[1].subvendor = "0001"; /* other cards of the same chip */
	w.match[0].subvendor = "0002";
	run(&w);
	assert_non_null(assigned(&w, 0, "rival"));
	assert_false(is_true(cond(&w, 1, "Conflict")));
	arena_free(w.a);
}

static void test_overlap(void **state)
{
	static const struct {
		const char *name;
		struct api_device_match x, y;
		bool overlap;
	} cases[] = {
		{ "same", { .vendor = "1" }, { .vendor = "1" }, true },
		{ "any", { .vendor = "1" }, { .device = "2" }, true },
		{ "other vendor", { .vendor = "1" }, { .vendor = "2" }, false },
		{ "other bus", { .bus = API_BUS_PCI }, { .bus = API_BUS_USB }, false },
		{ "class within class", { .class_code = "03" }, { .class_code = "0302" },
			true },
		{ "other class", { .class_code = "03" }, { .class_code = "12" }, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (assign_overlap(&cases[i].x, &cases[i].y) != cases[i].overlap ||
			assign_overlap(&cases[i].y, &cases[i].x) != cases[i].overlap)
			fail_msg("case '%s'", cases[i].name);
}

/* A driver that cannot be read takes nothing from nobody, and nothing is written over it. */
static void test_unreadable(void **state)
{
	struct world w;

	setup(&w, 1);
	w.d[0].has_spec = false;
	w.d[0].invalid = "'spec.modules': required";
	w.d[0].invalid_reason = REASON_MANIFEST_INVALID;
	give(&w, 0, 2, 7);
	have_marks(&w);
	run(&w);
	assert_null(out(&w, 0));
	assert_non_null(out(&w, 1)); /* it has none yet: its object is made */
	assert_string_equal(cond(&w, 0, "Ready")->reason, "ManifestInvalid");
	assert_true(is_true(cond(&w, 0, "Stalled")));
	arena_free(w.a);
}

/* Definitions of the server that are too old are told by every driver that has nothing worse to tell. */
static void test_old_definitions(void **state)
{
	struct world w;

	setup(&w, 1);
	w.view.schema_note = "too old";
	give(&w, 0, 3, 7);
	run(&w);
	assert_true(is_true(cond(&w, 0, "Degraded")));
	assert_string_equal(cond(&w, 0, "Degraded")->reason, "DefinitionsOutdated");
	assert_string_equal(cond(&w, 0, "Degraded")->message, "too old");
	arena_free(w.a);
}

/* ---- writes ---- */

static void test_nothing_to_do(void **state)
{
	struct world w;

	setup(&w, 1);
	for (size_t i = 0; i < NODES; i++) {
		give(&w, i, 3, 7);
		w.n[i].spec_hash = plan_hash(&w.view, &w.n[i].assigns, &w.n[i].upgrade,
			"edu=0000000000000007", "");
	}
	have_marks(&w);
	run(&w);
	assert_int_equal(w.plan.n_nodes, 0);
	w.d[0].spec_hash++; /* an edit */
	run(&w);
	assert_int_equal(w.plan.n_nodes, NODES);
	/* A server that drops a field is not written to for ever. */
	w.n[1].written_hash = out(&w, 1)->hash;
	w.n[1].stored_hash = w.n[1].spec_hash;
	w.n[1].labels_mark.written = out(&w, 1)->marks.labels_hash;
	w.n[1].labels_mark.gave = w.n[1].labels_mark.stored;
	w.n[1].condition_mark.written = out(&w, 1)->marks.condition_hash;
	w.n[1].condition_mark.gave = w.n[1].condition_mark.stored;
	run(&w);
	assert_null(out(&w, 1));
	assert_non_null(out(&w, 0));
	arena_free(w.a);
}

static void test_new_node(void **state)
{
	struct world w;

	setup(&w, 1);
	w.n[0].has_acc = w.n[0].is_known = false;
	w.n[1].has_node = false; /* garbage */
	run(&w);
	assert_true(out(&w, 0)->write);
	assert_int_equal(out(&w, 0)->assigns.n, 0);
	assert_null(out(&w, 1));
	arena_free(w.a);
}

/* One that joins a fleet at rest is written, and nobody else. */
static void test_new_node_disturbs_nobody(void **state)
{
	struct world w;

	setup(&w, 1);
	w.n[0].has_acc = w.n[0].is_known = false;
	for (size_t i = 1; i < NODES; i++) {
		w.states[i] = (struct view_driver_state){ "edu", "", 3, API_DRIVER_LOADED,
			1, 1 };
		w.n[i].states = (struct list){ &w.states[i], 1 };
		give(&w, i, 3, 7);
	}
	run(&w); /* what the others are to hold */
	for (size_t i = 1; i < NODES; i++) {
		const struct plan_node *p = out(&w, i);

		assert_non_null(p);
		w.n[i].spec_hash = p->hash;
		w.n[i].labels_mark.stored = p->marks.labels_hash;
		w.n[i].condition_mark.stored = p->marks.condition_hash;
	}
	run(&w);
	assert_int_equal(w.plan.n_nodes, 1);
	assert_ptr_equal(w.plan.nodes[0].node, &w.n[0]);
	assert_true(w.plan.nodes[0].write);
	arena_free(w.a);
}

/* ---- statuses ---- */

static void loaded(struct world *w, size_t i, int s, const char *reason)
{
	w->states[i] = (struct view_driver_state){ "edu", reason, 3, s, 1, 1 };
	w->n[i].states = (struct list){ &w->states[i], 1 };
	give(w, i, 3, 7);
}

static void test_status(void **state)
{
	static struct view_kernel kernels[] = {
		{ .release = "6.1.0-56",
			.driver = "edu",
			.reason = "BuildFailed",
			.artifact = "",
			.state = API_KERNEL_FAILED,
			.next = true },
		{ .release = "6.1.0-47",
			.driver = "edu",
			.reason = "",
			.artifact = "key",
			.build_seconds = 9,
			.state = API_KERNEL_READY,
			.running = true },
	};
	struct world w;

	setup(&w, 1);
	loaded(&w, 0, API_DRIVER_LOADED, "");
	loaded(&w, 1, API_DRIVER_BUILDING, "");
	loaded(&w, 2, API_DRIVER_LOADED, "");
	w.states[2].generation = 2; /* old news */
	run(&w);
	assert_int_equal(w.plan.drivers[0].desired, 3);
	assert_int_equal(w.plan.drivers[0].ready, 1);
	assert_string_equal(cond(&w, 0, "Ready")->reason, "NodesNotReady");
	assert_int_equal(cond(&w, 0, "Ready")->observed_generation, 3);
	assert_true(is_true(cond(&w, 0, "Reconciling")));
	assert_null(cond(&w, 0, "Stalled"));

	loaded(&w, 1, API_DRIVER_FAILED, "HeadersMissing");
	loaded(&w, 2, API_DRIVER_LOADED, "");
	run(&w);
	assert_int_equal(w.plan.drivers[0].failed, 1);
	assert_null(cond(&w, 0, "Reconciling"));
	assert_true(is_true(cond(&w, 0, "Stalled")));
	assert_true(is_true(cond(&w, 0, "Degraded")));
	assert_non_null(strstr(cond(&w, 0, "Degraded")->message, "'n1': HeadersMissing"));

	loaded(&w, 1, API_DRIVER_LOADED, "");
	run(&w);
	assert_true(is_true(cond(&w, 0, "Ready")));
	assert_null(cond(&w, 0, "Reconciling"));
	assert_null(cond(&w, 0, "Stalled"));
	assert_false(is_true(cond(&w, 0, "Degraded")));

	/* a kernel that is not booted yet, and cannot be built for */
	w.n[1].kernels = (struct list){ kernels, 2 };
	w.n[2].kernels = (struct list){ kernels, 2 };
	run(&w);
	assert_true(is_true(cond(&w, 0, "Ready")));
	assert_string_equal(cond(&w, 0, "Degraded")->reason, "BuildFailed");
	assert_non_null(strstr(cond(&w, 0, "Degraded")->message, "6.1.0-56"));
	assert_int_equal(w.plan.drivers[0].n_kernels, 2);
	assert_string_equal(w.plan.drivers[0].kernels[0].release, "6.1.0-47");
	assert_int_equal(w.plan.drivers[0].kernels[0].nodes, 2);
	assert_int_equal(w.plan.drivers[0].kernels[0].build_seconds, 9);
	arena_free(w.a);
}

/* The transition time is that of the change, not of the write. */
static void test_transition_time(void **state)
{
	struct api_condition old = { "Ready", "False", "Old", "", "2020-01-01T00:00:00Z",
		1 };
	struct world w;

	setup(&w, 1);
	w.d[0].conditions = (struct list){ &old, 1 };
	run(&w);
	assert_string_equal(
		cond(&w, 0, "Ready")->last_transition_time, "2020-01-01T00:00:00Z");
	for (size_t i = 0; i < NODES; i++)
		loaded(&w, i, API_DRIVER_LOADED, "");
	run(&w);
	assert_string_equal(
		cond(&w, 0, "Ready")->last_transition_time, "1970-01-02T03:46:40Z");
	arena_free(w.a);
}

static void test_class(void **state)
{
	struct view_class_devices two = { "edu", 2, 1 };
	struct view_class k = {
		.name = "edu", .uid = "u", .generation = 1, .has_spec = true
	};
	struct view_class *ks[] = { &k };
	const struct list *conds;
	struct world w;

	setup(&w, 1);
	w.view.classes = ks;
	w.view.n_classes = 1;
	run(&w);
	conds = &w.plan.classes[0].conditions;
	assert_string_equal(cond_get(conds, "Ready")->reason, "NoMatchingDevices");
	w.n[0].devices = w.n[1].devices = (struct list){ &two, 1 };
	run(&w);
	conds = &w.plan.classes[0].conditions;
	assert_true(is_true(cond_get(conds, "Ready")));
	assert_true(is_true(cond_get(conds, "Degraded")));
	assert_int_equal(w.plan.classes[0].devices, 4);
	assert_int_equal(w.plan.classes[0].healthy, 2);
	assert_int_equal(w.plan.classes[0].nodes, 2);
	arena_free(w.a);
}

/* ---- deletion ---- */

static void test_unload(void **state)
{
	struct world w;

	setup(&w, 1);
	for (size_t i = 0; i < NODES; i++)
		loaded(&w, i, API_DRIVER_LOADED, "");
	run(&w);
	assert_false(w.plan.drivers[0].add_finalizer); /* Retain */
	w.d[0].d.spec.deletion_policy = API_DELETION_UNLOAD;
	run(&w);
	assert_true(w.plan.drivers[0].add_finalizer);
	assert_false(assigned(&w, 0, "edu")->unload);

	w.d[0].has_finalizer = true;
	w.d[0].deleted_at = NOW - 10;
	w.n[2].is_ready = false; /* it never answers */
	run(&w);
	assert_true(assigned(&w, 0, "edu")->unload);
	assert_false(w.plan.drivers[0].drop_finalizer);
	assert_true(w.plan.wake_at <= NOW - 10 + PLAN_UNLOAD_MAX_S);
	w.states[0].state = w.states[1].state = API_DRIVER_UNLOADED;
	run(&w);
	assert_true(w.plan.drivers[0].drop_finalizer);
	w.states[0].state = API_DRIVER_FAILED; /* in use: for ever, but not for us */
	w.d[0].deleted_at = NOW - PLAN_UNLOAD_MAX_S;
	run(&w);
	assert_true(w.plan.drivers[0].drop_finalizer);
	arena_free(w.a);
}

/* Deleted with Retain: nothing is told to unload, and nothing keeps the object. */
static void test_retain(void **state)
{
	struct world w;

	setup(&w, 1);
	loaded(&w, 0, API_DRIVER_LOADED, "");
	w.d[0].deleted_at = NOW;
	w.d[0].has_finalizer = true; /* of a policy that was changed since */
	run(&w);
	assert_false(assigned(&w, 0, "edu")->unload);
	assert_null(assigned(&w, 1, "edu")); /* no new ones */
	assert_true(w.plan.drivers[0].drop_finalizer);
	w.view.n_drivers = 0; /* gone */
	run(&w);
	assert_int_equal(out(&w, 0)->assigns.n, 0);
	arena_free(w.a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_assign),
		cmocka_unit_test(test_flaps_unload_nothing),
		cmocka_unit_test(test_generation_follows),
		cmocka_unit_test(test_conflict),
		cmocka_unit_test(test_overlap),
		cmocka_unit_test(test_unreadable),
		cmocka_unit_test(test_old_definitions),
		cmocka_unit_test(test_nothing_to_do),
		cmocka_unit_test(test_new_node),
		cmocka_unit_test(test_new_node_disturbs_nobody),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_transition_time),
		cmocka_unit_test(test_class),
		cmocka_unit_test(test_unload),
		cmocka_unit_test(test_retain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
