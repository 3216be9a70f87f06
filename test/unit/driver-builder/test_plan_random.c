// SPDX-License-Identifier: Apache-2.0
/* plan.c, by random worlds: what holds for every plan, and each is carried out to its end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "plan_world.h"

static uint64_t rng;
static uint64_t below(uint64_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng % n;
}

static void world_random(struct world *w)
{
	world_init(w, 1 + below(KERNELS), 1 + below(DRIVERS));
	if (w->in.n_kernels == 1)
		w->kernels[0].is_running = below(4) > 0;
	w->kernels[w->in.n_kernels - 1].is_bare = below(4) == 0;
	w->kernels[below(w->in.n_kernels)].has_image = below(4) > 0;
	w->in.is_keep_noted = below(2);
	w->in.kept = w->in.is_keep_noted && below(2)
			     ? w->kernels[below(w->in.n_kernels)].release
			     : NULL;
	for (size_t d = 0; d < w->in.n_drivers; d++) {
		struct plan_driver *x = &w->drivers[d];

		x->unload = below(4) == 0;
		x->paused = below(6) == 0;
		x->prebuild = below(4) > 0;
		x->proceed_generation = (int64_t)below(4);
		x->devices = (int64_t)below(3);
		x->bound = x->devices;
		x->wants_device = below(3) > 0;
		x->is_reload_needed = below(4) == 0;
		x->on_unbuildable = (int)below(API_UNBUILDABLES_);
		x->n_modules = 1 + below(MODULES);
		x->loaded_key = below(2) ? "key" : below(2) ? "other" : NULL;
		if (below(4) == 0)
			x->load = (struct plan_failure){ REASON_LOAD_FAILED, "no",
				below(400) };
		for (size_t i = 0; i < x->n_modules; i++) {
			x->modules[i].is_loaded = below(2);
			x->modules[i].srcversion = below(3)   ? "AAA"
						   : below(2) ? "OLD"
							      : NULL;
			x->modules[i].wanted_srcversion = below(4) ? "AAA" : NULL;
		}
		for (size_t k = 0; k < w->in.n_kernels; k++) {
			set_pair(w, d, k, below(PLAN_ARTIFACTS_), below(3));
			if (x->pairs[k].artifact == PLAN_ARTIFACT_BUILDING)
				w->in.is_building = true;
			if (x->pairs[k].artifact == PLAN_ARTIFACT_UNSIGNED ||
				(x->pairs[k].artifact == PLAN_ARTIFACT_READY &&
					below(4) == 0)) {
				x->pairs[k].unsigned_key = "bare";
				x->pairs[k].sign_key = below(2) ? "key" : NULL;
			}
		}
	}
}

/* Only a kernel that can start and is good for every driver that holds is kept, and only where one
 * asks; nobody lets go while one asks. */
static void check_keep(const struct world *w, const struct plan *p)
{
	bool is_asked = false;

	for (size_t d = 0; d < w->in.n_drivers; d++)
		is_asked |= w->drivers[d].on_unbuildable == API_UNBUILDABLE_KEEP &&
			    !w->drivers[d].paused && !w->drivers[d].unload &&
			    p->kernels[d * w->in.n_kernels] != API_KERNEL_READY &&
			    p->kernels[d * w->in.n_kernels] != API_KERNEL_NOT_APPLICABLE;
	for (size_t i = 0; i < p->n_actions; i++) {
		const struct plan_action *x = &p->actions[i];

		if (x->verb == PLAN_LET_GO)
			assert_true(!is_asked && w->in.is_keep_noted);
		if (x->verb != PLAN_KEEP)
			continue;
		assert_true(is_asked);
		assert_int_equal(x->kernel, p->keep);
		assert_true(w->kernels[x->kernel].has_image);
		for (size_t d = 0; d < w->in.n_drivers; d++) {
			enum api_kernel_state s =
				p->kernels[d * w->in.n_kernels + x->kernel];

			if (!w->drivers[d].paused && !w->drivers[d].unload &&
				w->drivers[d].on_unbuildable != API_UNBUILDABLE_WARN)
				assert_true(s == API_KERNEL_READY ||
					    s == API_KERNEL_NOT_APPLICABLE);
		}
	}
}

/* What must hold for every plan, whatever the world. */
static void check_plan(const struct world *w, const struct plan *p)
{
	int last_rank = -1;

	check_keep(w, p);
	for (size_t i = 0; i < p->n_actions; i++) {
		const struct plan_action *x = &p->actions[i];
		const struct plan_driver *d = x->driver == SIZE_MAX
						      ? NULL
						      : &w->drivers[x->driver];

		if (d)
			assert_false(d->paused);
		if (x->verb == PLAN_UNLOAD || x->verb == PLAN_UNINSTALL)
			assert_true(d->unload);
		if (x->verb == PLAN_REPLACE)
			assert_int_equal(d->proceed_generation, d->generation);
		if (x->verb == PLAN_LOAD || x->verb == PLAN_REPLACE ||
			x->verb == PLAN_BUILD || x->verb == PLAN_INSTALL)
			assert_false(d->unload);
		if (x->verb == PLAN_LOAD || x->verb == PLAN_REPLACE) {
			assert_true(w->kernels[x->kernel].is_running);
			assert_int_equal(
				d->pairs[x->kernel].artifact, PLAN_ARTIFACT_READY);
		}
		if (x->verb == PLAN_SIGN)
			assert_true(!d->unload && d->pairs[x->kernel].sign_key);
		if (x->verb == PLAN_INSTALL)
			assert_int_equal(
				d->pairs[x->kernel].artifact, PLAN_ARTIFACT_READY);
		if (x->verb == PLAN_INSTALL || x->verb == PLAN_UNINSTALL)
			assert_false(w->kernels[x->kernel].is_bare);
		/* What is loaded is never loaded once more over itself. */
		if (x->verb == PLAN_LOAD && d->is_reload_needed)
			for (size_t m = 0; m < d->n_modules; m++)
				assert_false(d->modules[m].is_loaded);
		if (x->verb == PLAN_LOAD)
			assert_true(plan_is_same_build(d, &d->pairs[x->kernel]));
		if (x->verb == PLAN_BUILD) {
			const struct plan_kernel *k = &w->kernels[x->kernel];
			int rank = k->is_running ? 0 : k->is_next ? 1 : 2;

			assert_true(rank >= last_rank);
			last_rank = rank;
		}
	}
}

/* Carries an action out as if it succeeded. */
static void apply(struct world *w, const struct plan_action *x)
{
	struct plan_driver *d = x->driver == SIZE_MAX ? NULL : &w->drivers[x->driver];
	struct plan_pair *p = x->kernel == SIZE_MAX || !d ? NULL : &d->pairs[x->kernel];

	switch (x->verb) {
	case PLAN_UNLOAD:
		for (size_t i = 0; i < d->n_modules; i++)
			d->modules[i].is_loaded = false;
		d->load.reason = REASON_NONE;
		break;
	case PLAN_LOAD:
	case PLAN_REPLACE:
		for (size_t i = 0; i < d->n_modules; i++) {
			struct plan_module *m = &d->modules[i];

			if (m->is_loaded && x->verb == PLAN_LOAD)
				continue;
			m->is_loaded = true;
			m->srcversion = m->wanted_srcversion;
		}
		d->loaded_key = p->key;
		d->is_reload_needed = false;
		d->load.reason = REASON_NONE;
		break;
	case PLAN_SIGN:
		p->artifact = PLAN_ARTIFACT_READY;
		p->key = p->sign_key;
		p->sign_key = NULL;
		break;
	case PLAN_INSTALL:
		p->installed = PLAN_INSTALLED_SAME;
		break;
	case PLAN_UNINSTALL:
		p->installed = PLAN_INSTALLED_NONE;
		break;
	case PLAN_CANCEL:
		w->in.is_building = false;
		break;
	case PLAN_BUILD:
		p->artifact = PLAN_ARTIFACT_READY;
		break;
	case PLAN_KEEP:
		w->in.kept = w->kernels[x->kernel].release;
		w->in.is_keep_noted = true;
		break;
	case PLAN_LET_GO:
		w->in.kept = NULL;
		w->in.is_keep_noted = false;
		break;
	case PLAN_VERBS_:
		break;
	}
}

static void test_properties(void **state)
{
	for (uint64_t seed = 1; seed <= 20000; seed++) {
		struct arena *a = arena_new(1 << 20);
		struct world w;
		struct plan p;
		int rounds = 0;

		rng = seed * 0x9e3779b97f4a7c15ULL;
		world_random(&w);
		/* Each round carries everything out; builds that run end well in between. */
		do {
			assert_int_equal(plan_make(a, &w.in, 1000, &p), 0);
			check_plan(&w, &p);
			for (size_t i = 0; i < p.n_actions; i++)
				apply(&w, &p.actions[i]);
			for (size_t d = 0; d < w.in.n_drivers; d++)
				for (size_t k = 0; k < w.in.n_kernels; k++)
					if (w.pairs[d][k].artifact ==
						PLAN_ARTIFACT_BUILDING)
						w.pairs[d][k].artifact =
							PLAN_ARTIFACT_READY;
			w.in.is_building = false;
			if (++rounds > 5)
				fail_msg("seed %llu: no rest", (unsigned long long)seed);
		} while (p.n_actions > 0);
		arena_free(a);
	}
}

static void test_same_input_same_plan(void **state)
{
	struct arena *a = arena_new(1 << 20);
	struct buf b1, b2;
	struct plan p1, p2;
	struct world w;

	rng = 42;
	world_random(&w);
	assert_int_equal(plan_make(a, &w.in, 1, &p1), 0);
	assert_int_equal(plan_make(a, &w.in, 1, &p2), 0);
	assert_string_equal(actions_text(&w, &p1, &b1), actions_text(&w, &p2, &b2));
	buf_done(&b1);
	buf_done(&b2);
	arena_free(a);
}

static void test_no_memory(void **state)
{
	struct arena *a = arena_new(16);
	struct world w;
	struct plan p;

	world_init(&w, 2, 1);
	assert_int_equal(plan_make(a, &w.in, 1, &p), -ENOMEM);
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_properties),
		cmocka_unit_test(test_same_input_same_plan),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
