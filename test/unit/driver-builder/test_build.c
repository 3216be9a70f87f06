// SPDX-License-Identifier: Apache-2.0
/* Real builds for real Debian kernels, where the cache has them; what they leave, and why they fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/stat.h>

#include "build_fixture.h"
#include "driver-builder/verify.h"

static int verify_one(struct fixture *f, const struct kernel *k, const char *path,
	struct verify_report *rep, struct err *e)
{
	struct verify_kernel *v = NULL;
	int r = verify_kernel_open(k, f->kroot, &v, e);

	assert_int_equal(r, 0);
	r = verify_files(v, &path, 1, rep, e);
	verify_kernel_free(v);
	return r;
}

static void test_edu_for_two_kernels(void **state)
{
	struct fixture *f = *state;
	struct verify_report rep;
	struct artifact a = { 0 };
	struct build_result *res;
	struct err e = { 0 };
	char path[PATH_MAX], key[DIGEST_HEX + 1], sha[DIGEST_HEX + 1];
	struct stat st;
	char *data = NULL;
	size_t len;

	need(f);
	res = run(job(f, f->old, "edu", "edu", API_BUILD_AUTO), 0, REASON_NONE);
	assert_false(res->is_reused);
	assert_int_equal(res->modules_n, 1);
	assert_string_equal(res->modules[0], "edu");
	assert_int_equal(stat(res->log, &st), 0);
	memcpy(key, res->key, sizeof(key));

	/* What is in the store is whole and right for its kernel. */
	assert_int_equal(store_get(f->state, key, &a, &e), 0);
	assert_string_equal(a.kernel, OLD);
	assert_string_equal(a.build_system, "DKMS");
	assert_int_equal(a.modules_n, 1);
	assert_true(a.modules[0].symbols > 20);
	(void)snprintf(path, sizeof(path), "%s/%s", a.dir, a.modules[0].file);
	assert_int_equal(verify_one(f, f->old, path, &rep, &e), 0);
	assert_true(str_starts(rep.vermagic, OLD " SMP "));
	assert_int_equal(strlen(rep.srcversion), 23);
	memcpy(sha, a.modules[0].sha256, sizeof(sha));

	/* Another kernel: refused, by CRC, as the kernel itself would. */
	e = (struct err){ 0 };
	assert_true(verify_one(f, f->new, path, &rep, &e) < 0);
	assert_int_equal(e.reason, REASON_SYMBOL_CRC_MISMATCH);
	assert_non_null(strstr(e.text, "module_layout"));

	/* Cut off anywhere: refused, and nothing worse. */
	assert_int_equal(file_read(path, 1 << 24, &data, &len, &e), 0);
	(void)snprintf(path, sizeof(path), "%s/cut.ko", f->state);
	assert_int_equal(file_write_atomic(path, data, len * 2 / 3, 0644, &e), 0);
	free(data);
	assert_true(verify_one(f, f->old, path, &rep, &e) < 0);
	assert_int_equal(e.reason, REASON_MODULE_INVALID);
	artifact_done(&a);

	/* Again: from the store. Forced, elsewhere: the same bytes. */
	res = run(job(f, f->old, "edu", "edu", API_BUILD_AUTO), 0, REASON_NONE);
	assert_true(res->is_reused);
	assert_int_equal(res->build_seconds, 0);
	assert_int_equal(store_gc(f->state, NULL, 0, &len, &e), 0);
	assert_int_equal(len, 1);
	res = run(job(f, f->old, "edu", "edu", API_BUILD_AUTO), 0, REASON_NONE);
	assert_false(res->is_reused);
	assert_string_equal(res->key, key);
	assert_int_equal(store_get(f->state, key, &a, &e), 0);
	assert_string_equal(a.modules[0].sha256, sha);
	artifact_done(&a);

	res = run(job(f, f->new, "edu", "edu", API_BUILD_KBUILD), 0, REASON_NONE);
	assert_string_not_equal(res->key, key);
	assert_int_equal(store_get(f->state, res->key, &a, &e), 0);
	(void)snprintf(path, sizeof(path), "%s/%s", a.dir, a.modules[0].file);
	assert_int_equal(verify_one(f, f->new, path, &rep, &e), 0);
	artifact_done(&a);

	/* No build leaves its folder behind. */
	(void)snprintf(path, sizeof(path), "%s/build", f->state);
	assert_int_equal(rmdir(path), 0);
}

static void test_broken_for_the_next_kernel(void **state)
{
	struct fixture *f = *state;
	struct build_result *res;
	struct stat st;

	need(f);
	res = run(job(f, f->old, "broken-next", "fbar", API_BUILD_AUTO), 0, REASON_NONE);
	assert_string_equal(res->modules[0], "fbar");
	res = run(job(f, f->new, "broken-next", "fbar", API_BUILD_AUTO), -1,
		REASON_BUILD_FAILED);
	print_message("told: %s\n", res->err.text);
	assert_true(str_starts(res->err.text, "fbar.c:"));
	assert_non_null(strstr(res->err.text, "too few arguments to function "));
	assert_non_null(strstr(res->err.text, "pci_resize_resource"));
	assert_int_equal(stat(res->log, &st), 0);
	assert_true(st.st_size > 100);
}

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
	struct fixture *f = *state;
	static struct waiting w;
	struct loop_source *tick = NULL;
	struct build *b = NULL;
	struct err e = { 0 };
	char path[PATH_MAX];

	need(f);
	w = (struct waiting){ 0 };
	assert_int_equal(loop_new(&w.loop, NULL, &e), 0);
	assert_int_equal(
		loop_timer(w.loop, loop_now(w.loop) + 1000, on_tick, &w, &tick), 0);
	assert_int_equal(build_start(w.loop, &job(f, f->old, "edu", "edu", 0)->q,
				 on_built, &w, &b, &e),
		0);
	assert_int_equal(loop_run(w.loop), 0);
	if (w.res.err.code)
		fail_msg("%s", w.res.err.text);
	assert_true(store_has(f->state, w.res.key));
	assert_int_equal(w.ticks, 1); /* the loop went on meanwhile */

	/* Cancelled in the middle: no answer, nobody left, the folder is cleaned up. */
	assert_int_equal(build_start(w.loop, &job(f, f->new, "noncompiling", NULL, 0)->q,
				 on_built, &w, &b, &e),
		0);
	(void)usleep(200 * 1000);
	build_cancel(b);
	loop_source_free(tick);
	loop_free(w.loop);
	(void)usleep(100 * 1000);
	assert_int_equal(build_clean(f->state, &e), 0);
	(void)snprintf(path, sizeof(path), "%s/build", f->state);
	assert_int_equal(rmdir(path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_edu_for_two_kernels),
		T(test_broken_for_the_next_kernel),
		T(test_in_a_worker),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
