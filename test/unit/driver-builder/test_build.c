// SPDX-License-Identifier: Apache-2.0
/* Real builds for a real Debian kernel, where the cache has it, and what they leave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/stat.h>

#include "build_fixture.h"

static void test_edu(void **state)
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

	/* No build leaves its folder behind. */
	(void)snprintf(path, sizeof(path), "%s/build", f->state);
	assert_int_equal(rmdir(path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_edu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
