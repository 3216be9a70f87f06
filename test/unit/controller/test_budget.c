// SPDX-License-Identifier: Apache-2.0
/* Whole waves over small fleets: how many nodes are taken at once, and what becomes of an admin's cordon. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "controller/wave.h"

enum { NODES_MAX = 7, TICKS_MAX = 400, TICK_S = 5 };

struct world {
	struct arena *a;
	struct view_driver d;
	struct api_device_match match;
	struct view_driver *drivers[1];
	struct view_node nodes[NODES_MAX];
	struct view_assign assigns[NODES_MAX];
	struct view_driver_state states[NODES_MAX];
	struct view_pods pods[NODES_MAX];
	const char *hardware;
	struct view_node *ptrs[NODES_MAX];
	struct view view;
	int64_t now;
	size_t most; /* nodes that were unavailable through us at once */
	size_t cordons; /* that we made */
};

static const char *const names[NODES_MAX] = { "n0", "n1", "n2", "n3", "n4", "n5", "n6" };

static void setup(struct world *w, size_t n, struct intstr max_unavailable)
{
	memset(w, 0, sizeof(*w));
	w->a = arena_new(16 << 20);
	assert_non_null(w->a);
	w->now = 10000;
	w->match = (struct api_device_match){ .vendor = "1234", .device = "11e8" };
	w->hardware = "pci:1234:11e8";
	w->d = (struct view_driver){ .name = "edu",
		.uid = "u",
		.generation = 2,
		.has_spec = true,
		.selector = 7 };
	w->d.d.meta.generation = 2;
	w->d.d.spec.devices = (struct list){ &w->match, 1 };
	w->d.d.spec.upgrade_policy = (struct api_upgrade_policy){
		.present = true,
		.auto_upgrade = true,
		.max_parallel = 0, /* the budget alone decides */
		.max_unavailable = max_unavailable,
		.validation_timeout_seconds = 200,
	};
	w->drivers[0] = &w->d;
	for (size_t i = 0; i < n; i++) {
		w->assigns[i] = (struct view_assign){ "edu", 2, 0, 7, false };
		w->states[i] = (struct view_driver_state){ "edu", "", 2,
			API_DRIVER_UPGRADE_REQUIRED, 1, 1 };
		w->nodes[i] = (struct view_node){
			.name = names[i],
			.has_node = true,
			.is_ready = true,
			.has_acc = true,
			.is_known = true,
			.assigns = { &w->assigns[i], 1 },
			.states = { &w->states[i], 1 },
			.hardware = { &w->hardware, 1 },
			.upgrade = { 0, 0, "", "", "" },
		};
		w->ptrs[i] = &w->nodes[i];
	}
	w->view = (struct view){
		.drivers = w->drivers, .n_drivers = 1, .nodes = w->ptrs, .n_nodes = n
	};
}

/* What the API server and the agent make of one decision. */
static void apply(struct world *w, const struct plan_node *p)
{
	size_t i = (size_t)(p->node - w->nodes);
	struct view_node *n = &w->nodes[i];

	n->labels_mark.stored = p->marks.labels_hash;
	n->condition_mark.stored = p->marks.condition_hash;
	if (p->write) {
		assert_int_equal(p->assigns.n, 1);
		w->assigns[i] = *VIEW_AT(struct view_assign, p->assigns, 0);
		n->upgrade = p->upgrade;
		n->spec_hash = p->hash;
		if (w->assigns[i].proceed == 2)
			w->states[i].state = API_DRIVER_LOADED;
		return;
	}
	if (p->cordon == PLAN_CORDON_ON) {
		assert_false(n->is_unschedulable);
		w->cordons++;
	}
	if (p->cordon != PLAN_CORDON_KEEP)
		n->is_unschedulable = n->is_cordoned = p->cordon == PLAN_CORDON_ON;
	if (p->need_pods) {
		w->pods[i] = (struct view_pods){ .listed_at = w->now,
			.for_state = n->upgrade.state,
			.for_since = n->upgrade.since };
		n->pods = &w->pods[i];
	}
}

static void count(struct world *w)
{
	size_t busy = 0;

	for (size_t i = 0; i < w->view.n_nodes; i++)
		busy += w->nodes[i].is_cordoned ||
			wave_is_active(w->nodes[i].upgrade.state);
	w->most = MAX(w->most, busy);
}

static bool is_done(const struct world *w)
{
	for (size_t i = 0; i < w->view.n_nodes; i++)
		if (w->nodes[i].upgrade.state != API_UPGRADE_DONE ||
			w->nodes[i].is_cordoned)
			return false;
	return true;
}

static void roll_over(struct world *w, const char *name)
{
	for (unsigned tick = 0; tick < TICKS_MAX && !is_done(w); tick++) {
		struct plan p;

		assert_int_equal(plan_make(w->a, &w->view, w->now, &p), 0);
		for (size_t i = 0; i < p.n_nodes; i++)
			apply(w, &p.nodes[i]);
		count(w);
		w->now += TICK_S;
	}
	if (!is_done(w))
		fail_msg("case '%s': it never ends", name);
}

/* Percent are of the nodes that are there, rounded down, but never to nothing. */
static void test_percent_budgets(void **state)
{
	static const struct {
		const char *name;
		size_t nodes;
		struct intstr max;
		size_t most;
	} rows[] = {
		{ "1 node, 1 %", 1, { true, 1 }, 1 },
		{ "1 node, 25 %", 1, { true, 25 }, 1 },
		{ "1 node, 99 %", 1, { true, 99 }, 1 },
		{ "1 node, 100 %", 1, { true, 100 }, 1 },
		{ "1 node, 0 %", 1, { true, 0 }, 1 },
		{ "3 nodes, 25 %", 3, { true, 25 }, 1 },
		{ "3 nodes, 33 %", 3, { true, 33 }, 1 },
		{ "3 nodes, 34 %", 3, { true, 34 }, 1 },
		{ "3 nodes, 50 %", 3, { true, 50 }, 1 },
		{ "3 nodes, 66 %", 3, { true, 66 }, 1 },
		{ "3 nodes, 67 %", 3, { true, 67 }, 2 },
		{ "3 nodes, 99 %", 3, { true, 99 }, 2 },
		{ "3 nodes, 100 %", 3, { true, 100 }, 3 },
		{ "7 nodes, 10 %", 7, { true, 10 }, 1 },
		{ "7 nodes, 25 %", 7, { true, 25 }, 1 },
		{ "7 nodes, 28 %", 7, { true, 28 }, 1 },
		{ "7 nodes, 29 %", 7, { true, 29 }, 2 },
		{ "7 nodes, 50 %", 7, { true, 50 }, 3 },
		{ "7 nodes, 100 %", 7, { true, 100 }, 7 },
		{ "7 nodes, 2 of them", 7, { false, 2 }, 2 },
		{ "3 nodes, 100 of them", 3, { false, 100 }, 3 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct world w;

		setup(&w, rows[i].nodes, rows[i].max);
		roll_over(&w, rows[i].name);
		if (w.most != rows[i].most || w.cordons != rows[i].nodes)
			fail_msg("case '%s': %zu at once, %zu cordons", rows[i].name,
				w.most, w.cordons);
		arena_free(w.a);
	}
}

/* Offline nodes are not counted: a quarter of 7 with 3 away is a quarter of 4, and those 4 go on. */
static void test_offline_do_not_block(void **state)
{
	struct world w;

	setup(&w, 7, (struct intstr){ true, 50 });
	for (size_t i = 4; i < 7; i++)
		w.nodes[i].is_ready = false;
	for (unsigned tick = 0; tick < TICKS_MAX; tick++) {
		struct plan p;

		assert_int_equal(plan_make(w.a, &w.view, w.now, &p), 0);
		for (size_t i = 0; i < p.n_nodes; i++)
			apply(&w, &p.nodes[i]);
		count(&w);
		w.now += TICK_S;
	}
	assert_int_equal(w.most, 2);
	for (size_t i = 0; i < 7; i++)
		assert_int_equal(w.nodes[i].upgrade.state,
			i < 4 ? API_UPGRADE_DONE : API_UPGRADE_REQUIRED);
	arena_free(w.a);
}

static void test_admin_cordon_survives_wave(void **state)
{
	struct world w;

	setup(&w, 3, (struct intstr){ true, 100 });
	w.nodes[1].is_unschedulable = true; /* an admin's: without our annotation */
	roll_over(&w, "an admin's cordon");
	assert_int_equal(w.cordons, 2);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(w.states[i].state, API_DRIVER_LOADED);
		assert_int_equal(w.nodes[i].is_unschedulable, i == 1);
		assert_false(w.nodes[i].is_cordoned);
	}
	arena_free(w.a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_percent_budgets),
		cmocka_unit_test(test_offline_do_not_block),
		cmocka_unit_test(test_admin_cordon_survives_wave),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
