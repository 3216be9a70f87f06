// SPDX-License-Identifier: Apache-2.0
/* Who builds what for the fleet: rows, and fleets of simulated nodes that fail, vanish and lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "claim_fleet.h"

static void test_may_build(void **state)
{
	static const struct {
		const char *builders, *name;
		bool may;
	} cases[] = {
		{ NULL, "a", false },
		{ "", "a", false },
		{ "*", "a", true },
		{ "a", "a", true },
		{ "a", "ab", false },
		{ "b,a", "a", true },
		{ ",,a,", "a", true },
		{ "build-*", "build-7", true },
		{ "build-*", "rebuild-7", false },
		{ "a,b", "a,b", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (claim_may_build(cases[i].builders, cases[i].name) != cases[i].may)
			fail_msg("case '%s' '%s'",
				cases[i].builders ? cases[i].builders : "NULL",
				cases[i].name);
}

/* The same release on two architectures is two kernels: each has a builder of its own. */
static void test_architectures(void **state)
{
	struct fleet f;

	fleet_init(&f, 4);
	for (size_t i = 0; i < 4; i++)
		f.nodes[i].arch = i % 2 ? "arm64" : "amd64";
	assert_int_equal(plan(&f, ~0U), 4);
	for (size_t i = 0; i < 4; i++)
		assert_asked(&f, i, i % 2 ? "n1" : "n0", 1);
	f.rows[0].state = API_KERNEL_READY;
	f.rows[0].artifact = KEY;
	f.rows[0].digest = DIGEST;
	(void)plan(&f, ~0U);
	assert_string_equal(view_str(said(&f, 2)->digest), DIGEST);
	for (size_t i = 1; i < 4; i += 2)
		assert_string_equal(view_str(said(&f, i)->digest), "");
	fleet_done(&f);
}

static void test_one_builds_others_take(void **state)
{
	struct fleet f;

	fleet_init(&f, 3);
	assert_int_equal(plan(&f, ~0U), 3);
	for (size_t i = 0; i < 3; i++)
		assert_asked(&f, i, "n0", 1);
	assert_int_equal(f.wake_at, f.now + LIMIT);
	/* nothing changes: nothing is written */
	f.now += 10;
	assert_int_equal(plan(&f, ~0U), 0);
	f.rows[0].state = API_KERNEL_BUILDING;
	assert_int_equal(plan(&f, ~0U), 0);
	/* built, not published yet */
	f.rows[0].state = API_KERNEL_READY;
	f.rows[0].artifact = KEY;
	assert_int_equal(plan(&f, ~0U), 0);
	f.rows[0].digest = DIGEST;
	assert_int_equal(plan(&f, ~0U), 2);
	assert_string_equal(said(&f, 1)->digest, DIGEST);
	assert_string_equal(said(&f, 2)->key, KEY);
	assert_null(said(&f, 0)->digest);
	/* taken: their lists stay as they are */
	for (size_t i = 1; i < 3; i++) {
		f.rows[i].state = API_KERNEL_READY;
		f.rows[i].artifact = KEY;
		assert_int_equal(plan(&f, ~0U), 0);
	}
	/* another generation starts again, and the old words go */
	f.assign.generation = 3;
	assert_int_equal(plan(&f, ~0U), 3);
	assert_asked(&f, 1, "n0", 1);
	assert_null(said(&f, 1)->digest);
	assert_int_equal(said(&f, 1)->generation, 3);
	fleet_done(&f);
}

/* Built and published, and waiting for a signature from outside: the others need not compile it. */
static void test_unsigned_is_taken(void **state)
{
	struct fleet f;

	fleet_init(&f, 3);
	(void)plan(&f, ~0U);
	f.rows[0].artifact = KEY;
	assert_int_equal(plan(&f, ~0U), 0);
	f.rows[0].digest = DIGEST;
	assert_int_equal(plan(&f, ~0U), 3); /* its own node is told as well */
	assert_string_equal(said(&f, 2)->digest, DIGEST);
	/* taken, and waiting as well: nobody is asked for anything any more */
	f.rows[1] = f.rows[2] = f.rows[0];
	f.rows[1].digest = f.rows[2].digest = NULL;
	f.now += 10 * LIMIT;
	assert_int_equal(plan(&f, ~0U), 0);
	fleet_done(&f);
}

static void test_passes_on(void **state)
{
	struct fleet f;

	fleet_init(&f, 3);
	(void)plan(&f, ~0U);
	/* its node is away */
	f.nodes[0].is_ready = false;
	assert_int_equal(plan(&f, ~0U), 3);
	assert_asked(&f, 1, "n1", 2);
	/* it is back: the claim stays where it is */
	f.nodes[0].is_ready = true;
	assert_int_equal(plan(&f, ~0U), 0);
	/* too slow */
	f.now += LIMIT;
	assert_int_equal(plan(&f, ~0U), 3);
	assert_asked(&f, 1, "n2", 3);
	assert_int_equal(said(&f, 1)->since, f.now);
	/* it fails: now everybody for himself, for ever */
	f.rows[2].state = API_KERNEL_FAILED;
	assert_int_equal(plan(&f, ~0U), 3);
	assert_asked(&f, 1, "", 4);
	f.now += 10 * LIMIT;
	assert_int_equal(plan(&f, ~0U), 0);
	/* until somebody published, all the same */
	f.rows[1].state = API_KERNEL_READY;
	f.rows[1].artifact = KEY;
	f.rows[1].digest = DIGEST;
	assert_int_equal(plan(&f, ~0U), 2);
	assert_string_equal(said(&f, 0)->digest, DIGEST);
	fleet_done(&f);
}

static void test_who_has_it_publishes(void **state)
{
	struct fleet f;

	fleet_init(&f, 3);
	f.rows[2].state = API_KERNEL_READY;
	f.rows[2].artifact = KEY;
	(void)plan(&f, ~0U);
	for (size_t i = 0; i < 3; i++)
		assert_asked(&f, i, "n2", 1);
	/* when nobody waits nobody is asked */
	fleet_done(&f);
	fleet_init(&f, 2);
	f.rows[0].state = f.rows[1].state = API_KERNEL_READY;
	assert_int_equal(plan(&f, ~0U), 0);
	fleet_done(&f);
}

static void test_only_whom_the_admin_names(void **state)
{
	struct fleet f;

	fleet_init(&f, 3);
	f.v.builders = "n2";
	/* a node that nobody named says that it published something */
	f.rows[0].state = API_KERNEL_READY;
	f.rows[0].artifact = KEY;
	f.rows[0].digest = DIGEST;
	(void)plan(&f, ~0U);
	assert_null(said(&f, 0));
	assert_asked(&f, 1, "n2", 1);
	assert_null(said(&f, 1)->digest);
	/* none of them is here */
	f.v.builders = "elsewhere";
	f.nodes[1].builds = f.nodes[2].builds = (struct list){ 0 };
	(void)plan(&f, ~0U);
	assert_asked(&f, 1, "", 1);
	/* sharing is turned off: the words go */
	f.v.builders = NULL;
	assert_int_equal(plan(&f, ~0U), 2);
	assert_null(said(&f, 1));
	fleet_done(&f);
}

static void test_old_words_do_not_count(void **state)
{
	struct fleet f;

	fleet_init(&f, 2);
	/* published, but for another generation; ready, but not known for which */
	f.rows[0].state = API_KERNEL_READY;
	f.rows[0].artifact = KEY;
	f.rows[0].digest = DIGEST;
	f.rows[0].generation = 1;
	(void)plan(&f, ~0U);
	assert_asked(&f, 0, "n0", 1);
	assert_null(said(&f, 1)->digest);
	fleet_done(&f);
	/* a driver that is to go, a Node that is gone */
	fleet_init(&f, 2);
	f.assign.unload = true;
	assert_int_equal(plan(&f, ~0U), 0);
	f.assign.unload = false;
	f.nodes[0].has_node = false;
	(void)plan(&f, ~0U);
	assert_null(said(&f, 0));
	assert_asked(&f, 1, "n1", 1);
	fleet_done(&f);
}

/* ---- whatever happens it ends, and nothing is handed on but what a builder published ---- */

/* A node does what its list says, or gives up waiting, or falls over. */
static void step_node(struct fleet *f, size_t i, uint64_t *seed)
{
	const struct view_build *b = said(f, i);
	struct view_kernel *row = &f->rows[i];

	if (below(seed, 10) == 0)
		f->nodes[i].is_ready = !f->nodes[i].is_ready;
	if (row->state == API_KERNEL_READY) {
		if (b && !row->digest && str_empty(b->digest) &&
			streq(view_str(b->node), f->names[i]) && below(seed, 3) == 0)
			row->digest = DIGEST;
		return;
	}
	if (b && b->digest) {
		assert_string_equal(b->digest, DIGEST);
		row->state = API_KERNEL_READY;
		row->artifact = KEY;
	} else if (b && (str_empty(b->node) || streq(b->node, f->names[i]))) {
		row->state = below(seed, 4) == 0 ? API_KERNEL_FAILED : API_KERNEL_READY;
		row->artifact = KEY;
	}
}

static void test_any_fleet_ends(void **state)
{
	for (uint64_t seed = 1; seed <= 300; seed++) {
		uint64_t s = seed * 0x9e3779b97f4a7c15ULL;
		struct fleet f;
		size_t ready = 0, n;

		fleet_init(&f, n = 1 + below(&s, NODES_MAX));
		f.v.builders = below(&s, 3) == 0 ? "n1,n3" : "*";
		for (int round = 0; round < 400 && ready < n; round++) {
			/* some writes are lost */
			(void)plan(&f, (unsigned)below(&s, 1U << n));
			f.now += (int64_t)below(&s, LIMIT / 2);
			ready = 0;
			for (size_t i = 0; i < n; i++) {
				step_node(&f, i, &s);
				ready += f.rows[i].state == API_KERNEL_READY;
			}
		}
		if (ready < n)
			fail_msg("seed %llu: %zu of %zu", (unsigned long long)seed, ready,
				n);
		/* and then there is rest */
		for (size_t i = 0; i < n; i++)
			f.nodes[i].is_ready = true;
		(void)plan(&f, ~0U);
		(void)plan(&f, ~0U);
		assert_int_equal(plan(&f, ~0U), 0);
		fleet_done(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_may_build),
		cmocka_unit_test(test_architectures),
		cmocka_unit_test(test_one_builds_others_take),
		cmocka_unit_test(test_unsigned_is_taken),
		cmocka_unit_test(test_passes_on),
		cmocka_unit_test(test_who_has_it_publishes),
		cmocka_unit_test(test_only_whom_the_admin_names),
		cmocka_unit_test(test_old_words_do_not_count),
		cmocka_unit_test(test_any_fleet_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
