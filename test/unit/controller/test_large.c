// SPDX-License-Identifier: Apache-2.0
/* Plans for more nodes than one plan writes: every node gets its turn, and waves do not wait for theirs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "controller/plan.h"

enum { NODES = PLAN_NODES_MAX + 1000, ARENA_MAX = 256 << 20 };

static struct view_node nodes[NODES];
static struct view_node *pointers[NODES];
static char names[NODES][12];
static bool had_turn[NODES];

static struct view make_view(void)
{
	for (size_t i = 0; i < NODES; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "n%05zu", i);
		nodes[i] = (struct view_node){
			.name = names[i],
			.has_node = true,
			.is_ready = true,
			.upgrade = { .target = "", .reason = "", .message = "" },
		};
		pointers[i] = &nodes[i];
		had_turn[i] = false;
	}
	return (struct view){ .nodes = pointers, .n_nodes = NODES };
}

/* How many nodes have had their turn, after one plan more. */
static size_t plan_at(const struct view *v, int64_t now, struct plan *ret)
{
	CLEANUP(arena_freep)
	struct arena *kept = arena_new(ARENA_MAX), *scratch = arena_new(ARENA_MAX);
	size_t n = 0;

	assert_int_equal(plan_make_in(kept, scratch, v, now, ret), 0);
	for (size_t i = 0; i < ret->n_nodes; i++)
		had_turn[ret->nodes[i].node - nodes] = true;
	for (size_t i = 0; i < NODES; i++)
		n += had_turn[i];
	return n;
}

static void test_turns(void **state)
{
	struct view v = make_view();
	struct plan p;
	int64_t now = 1000;
	size_t n = plan_at(&v, now, &p);

	assert_int_equal(p.n_nodes, PLAN_NODES_MAX);
	assert_int_equal(n, PLAN_NODES_MAX);
	assert_int_equal(p.wake_at, now + 1);
	/* None of the first ones can be written, and still the others come. */
	while (n < NODES && now < 1100)
		n = plan_at(&v, ++now, &p);
	assert_int_equal(n, NODES);
}

static void test_urgent(void **state)
{
	struct view v = make_view();
	struct plan p;

	for (size_t i = 0; i < NODES; i++) { /* a wave that was left in the middle */
		nodes[i].has_acc = true;
		nodes[i].upgrade.state = API_UPGRADE_UNCORDON;
		nodes[i].is_cordoned = nodes[i].is_unschedulable = true;
	}
	assert_int_equal(plan_at(&v, 1000, &p), NODES);
	assert_int_equal(p.n_nodes, NODES);
}

static void test_small(void **state)
{
	struct view v = make_view();
	struct plan p;

	v.n_nodes = PLAN_NODES_MAX;
	assert_int_equal(plan_at(&v, 1000, &p), PLAN_NODES_MAX);
	assert_int_equal(p.wake_at, INT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_turns),
		cmocka_unit_test(test_urgent),
		cmocka_unit_test(test_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
