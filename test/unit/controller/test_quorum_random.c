// SPDX-License-Identifier: Apache-2.0
/* Several builders have to agree, in random fleets whose nodes fail, vanish and lie together: whatever
 * happens it ends, and fewer liars than have to agree never get their bytes on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "quorum_fleet.h"

struct part {
	bool is_liar[NODES_MAX];
	bool is_built[NODES_MAX]; /* by itself, not taken */
	bool tells_truth; /* liars say what the honest ones say, and publish something else */
	size_t built_alone;
};

static void take(struct fleet *f, struct part *p, size_t i, const struct view_build *b)
{
	size_t from = (size_t)(b->digest[strlen(b->digest) - 1] - '0');

	/* what is handed on was agreed on by honest nodes, and is of one that says so */
	assert_string_equal(b->unsigned_digest, GOOD);
	assert_string_equal(b->key, KEY);
	assert_true(claim_may_build(f->v.builders, f->names[from]));
	assert_string_equal(f->rows[from].unsigned_digest, GOOD);
	f->rows[i].state = API_KERNEL_READY;
	f->rows[i].artifact = KEY;
	/* the bytes are looked at: a liar's are refused, and the node builds */
	p->is_built[i] = p->is_liar[from];
	p->built_alone += p->is_liar[from];
}

static void step_node(struct fleet *f, struct part *p, size_t i, uint64_t *seed)
{
	const struct view_build *b = said(f, i);
	struct view_kernel *row = &f->rows[i];
	bool is_asked = b && !b->digest && streq(view_str(b->node), f->names[i]);

	if (below(seed, 10) == 0)
		f->nodes[i].is_ready = !f->nodes[i].is_ready;
	if (row->state == API_KERNEL_READY) {
		if (is_asked && !row->digest && below(seed, 3) == 0)
			publish(f, i,
				!p->is_built[i]			   ? "none"
				: p->is_liar[i] && !p->tells_truth ? EVIL
								   : GOOD);
		/* liars publish unasked, too */
		if (p->is_liar[i] && below(seed, 5) == 0)
			publish(f, i, p->tells_truth ? GOOD : EVIL);
		return;
	}
	if (b && b->digest) {
		take(f, p, i, b);
	} else if (is_asked || (b && str_empty(b->node)) || below(seed, 40) == 0) {
		row->state = below(seed, 4) == 0 ? API_KERNEL_FAILED : API_KERNEL_READY;
		row->artifact = KEY;
		p->is_built[i] = true;
	}
}

static void test_any_fleet_ends(void **state)
{
	size_t handed_on = 0, refused = 0;

	for (uint64_t seed = 1; seed <= 1000; seed++) {
		uint64_t s = seed * 0x9e3779b97f4a7c15ULL;
		size_t ready = 0, n, quorum, liars;
		struct part p = { 0 };
		struct fleet f;

		n = 1 + below(&s, NODES_MAX);
		quorum = 2 + below(&s, 3);
		quorum_init(&f, n, quorum, below(&s, 3) == 0 ? "n1,n3,n4,n6" : "*");
		liars = below(&s, quorum);
		for (size_t i = 0; i < liars; i++)
			p.is_liar[below(&s, n)] = true;
		p.tells_truth = below(&s, 2) == 0;
		for (int round = 0; round < 600 && ready < n; round++) {
			/* some writes are lost */
			(void)plan(&f, (unsigned)below(&s, 1U << n));
			f.now += (int64_t)below(&s, LIMIT / 2);
			ready = 0;
			for (size_t i = 0; i < n; i++) {
				handed_on += handed(&f, i) &&
					     f.rows[i].state != API_KERNEL_READY;
				step_node(&f, &p, i, &s);
				ready += f.rows[i].state == API_KERNEL_READY;
			}
		}
		if (ready < n)
			fail_msg("seed %llu: %zu of %zu", (unsigned long long)seed, ready,
				n);
		refused += p.built_alone;
		/* and then there is rest */
		for (size_t i = 0; i < n; i++)
			f.nodes[i].is_ready = true;
		(void)plan(&f, ~0U);
		(void)plan(&f, ~0U);
		assert_int_equal(plan(&f, ~0U), 0);
		fleet_done(&f);
	}
	/* both happened */
	assert_true(handed_on > 100);
	assert_true(refused > 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_fleet_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
