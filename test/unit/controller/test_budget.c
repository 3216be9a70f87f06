// SPDX-License-Identifier: Apache-2.0
/* Whole waves over small fleets: how many nodes are taken at once, and what becomes of an admin's cordon. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "world.h"

enum { NODES_MAX = 7, TICKS_MAX = 400, TICK_S = 5 };

struct run {
	struct world w;
	int64_t now;
	size_t most; /* nodes that were unavailable through us at once */
	size_t cordons; /* that we made */
};

static void setup(struct run *r, size_t n, struct intstr max_unavailable)
{
	memset(r, 0, sizeof(*r));
	r->now = 10000;
	world_init(&r->w, n, 2);
	r->w.d.d.spec.upgrade_policy.max_parallel = 0; /* the budget alone decides */
	r->w.d.d.spec.upgrade_policy.max_unavailable = max_unavailable;
}

/* What the API server and the agent make of one decision. */
static void apply(struct run *r, const struct plan_node *p)
{
	struct world *w = &r->w;
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
		r->cordons++;
	}
	if (p->cordon != PLAN_CORDON_KEEP)
		n->is_unschedulable = n->is_cordoned = p->cordon == PLAN_CORDON_ON;
	if (p->need_pods) {
		w->pods[i] = (struct view_pods){ .listed_at = r->now,
			.for_state = n->upgrade.state,
			.for_since = n->upgrade.since };
		n->pods = &w->pods[i];
	}
}

static void count(struct run *r)
{
	const struct world *w = &r->w;
	size_t busy = 0;

	for (size_t i = 0; i < w->view.n_nodes; i++)
		busy += w->nodes[i].is_cordoned ||
			wave_is_active(w->nodes[i].upgrade.state);
	r->most = MAX(r->most, busy);
}

static bool is_done(const struct world *w)
{
	for (size_t i = 0; i < w->view.n_nodes; i++)
		if (w->nodes[i].upgrade.state != API_UPGRADE_DONE ||
			w->nodes[i].is_cordoned)
			return false;
	return true;
}

static void tick(struct run *r)
{
	struct plan *p = &r->w.plan;

	assert_int_equal(plan_make(r->w.a, &r->w.view, r->now, p), 0);
	for (size_t i = 0; i < p->n_nodes; i++)
		apply(r, &p->nodes[i]);
	count(r);
	r->now += TICK_S;
}

static void roll_over(struct run *r, const char *name)
{
	for (unsigned i = 0; i < TICKS_MAX && !is_done(&r->w); i++)
		tick(r);
	if (!is_done(&r->w))
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
		struct run r;

		setup(&r, rows[i].nodes, rows[i].max);
		roll_over(&r, rows[i].name);
		if (r.most != rows[i].most || r.cordons != rows[i].nodes)
			fail_msg("case '%s': %zu at once, %zu cordons", rows[i].name,
				r.most, r.cordons);
		arena_free(r.w.a);
	}
}

/* Offline nodes are not counted: a quarter of 7 with 3 away is a quarter of 4, and those 4 go on. */
static void test_offline_do_not_block(void **state)
{
	struct run r;

	setup(&r, 7, (struct intstr){ true, 50 });
	for (size_t i = 4; i < 7; i++)
		r.w.nodes[i].is_ready = false;
	for (unsigned i = 0; i < TICKS_MAX; i++)
		tick(&r);
	assert_int_equal(r.most, 2);
	for (size_t i = 0; i < 7; i++)
		assert_int_equal(r.w.nodes[i].upgrade.state,
			i < 4 ? API_UPGRADE_DONE : API_UPGRADE_REQUIRED);
	arena_free(r.w.a);
}

static void test_admin_cordon_survives_wave(void **state)
{
	struct run r;

	setup(&r, 3, (struct intstr){ true, 100 });
	r.w.nodes[1].is_unschedulable = true; /* an admin's: without our annotation */
	roll_over(&r, "an admin's cordon");
	assert_int_equal(r.cordons, 2);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(r.w.states[i].state, API_DRIVER_LOADED);
		assert_int_equal(r.w.nodes[i].is_unschedulable, i == 1);
		assert_false(r.w.nodes[i].is_cordoned);
	}
	arena_free(r.w.a);
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
