// SPDX-License-Identifier: Apache-2.0
/* Builds in a worker process: the loop goes on, and a cancelled one leaves nobody behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/stat.h>

#include "build_fixture.h"

struct waiting {
	struct loop *loop;
	struct build_result res;
	unsigned ticks;
};

static void on_built(const struct build_result *res, void *user)
{
	struct waiting *w = user;

	w->res = *res;
	loop_exit(w->loop, 0);
}

static void on_tick(void *user)
{
	((struct waiting *)user)->ticks++;
}

static void test_in_a_worker(void **state)
{
	static const struct kv slow[] = { { "Makefile", "all:\n\tsleep 100\n" } };
	struct fixture *f = *state;
	static struct waiting w;
	struct loop_source *tick = NULL;
	struct verify_report rep;
	struct artifact a = { 0 };
	struct build *b = NULL;
	struct err e = { 0 };
	char path[PATH_MAX];
	struct job *j;
	int i;

	need(f);
	w = (struct waiting){ 0 };
	assert_int_equal(loop_new(&w.loop, NULL, &e), 0);
	assert_int_equal(
		loop_timer(w.loop, loop_now(w.loop) + 1000, on_tick, &w, &tick), 0);
	j = job(f, f->new, "edu", "edu", API_BUILD_KBUILD);
	assert_int_equal(build_start(w.loop, &j->q, on_built, &w, &b, &e), 0);
	assert_int_equal(loop_run(w.loop), 0);
	if (w.res.err.code)
		fail_msg("%s", w.res.err.text);
	assert_int_equal(w.ticks, 1); /* the loop went on meanwhile */
	assert_int_equal(store_get(f->state, w.res.key, &a, &e), 0);
	assert_string_equal(a.build_system, "Kbuild");
	(void)snprintf(path, sizeof(path), "%s/%s", a.dir, a.modules[0].file);
	assert_int_equal(verify_one(f, f->new, path, &rep, &e), 0);
	artifact_done(&a);

	/* Cancelled in the middle: no answer, nobody left, the folder can be cleaned up. */
	j = job(f, f->new, "inline", NULL, API_BUILD_MAKE);
	j->spec.source.type = API_SOURCE_INLINE;
	j->spec.source.inline_.files = (struct list){ (void *)(uintptr_t)slow, 1 };
	assert_int_equal(build_start(w.loop, &j->q, on_built, &w, &b, &e), 0);
	(void)usleep(300 * 1000);
	build_cancel(b);
	loop_source_free(tick);
	loop_free(w.loop);
	(void)snprintf(path, sizeof(path), "%s/build", f->state);
	for (i = 0; i < 100; i++) { /* the last of them may take a moment to die */
		assert_int_equal(build_clean(f->state, &e), 0);
		if (rmdir(path) == 0)
			return;
		(void)usleep(100 * 1000);
	}
	fail_msg("'%s' is still in use", path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_in_a_worker),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
