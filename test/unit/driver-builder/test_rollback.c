// SPDX-License-Identifier: Apache-2.0
/* After a rollback the host's boot shall load what worked, and what did not is remembered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "driver-builder/observe_notes.h"
#include "file.h"

#define OLD_KEY "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define NEW_KEY "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define THIRD "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
#define R "6.1.0-47"

static char dir[64];

static int setup(void **state)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/farrier-rollback-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	return dir_remove(dir, NULL);
}

static void put_artifact(const char *key, const char *kernel)
{
	struct artifact a = { .driver = "edu", .created_at = "2026-01-01T00:00:00Z" };
	struct store_txn *t = NULL;
	char path[PATH_MAX];

	memcpy(a.key, key, sizeof(a.key));
	(void)snprintf(a.kernel, sizeof(a.kernel), "%s", kernel);
	(void)snprintf(a.source_digest, sizeof(a.source_digest), "%s", key);
	(void)snprintf(a.headers_digest, sizeof(a.headers_digest), "%s", key);
	a.modules = calloc(1, sizeof(*a.modules));
	assert_non_null(a.modules);
	a.modules_n = 1;
	(void)snprintf(a.modules[0].name, sizeof(a.modules[0].name), "edu");
	(void)snprintf(a.modules[0].file, sizeof(a.modules[0].file), "modules/edu.ko");
	assert_int_equal(path_join(path, sizeof(path), dir, "edu.ko", NULL), 0);
	assert_int_equal(file_write_atomic(path, key, DIGEST_HEX, 0644, NULL), 0);
	assert_int_equal(store_begin(dir, &t, NULL), 0);
	assert_int_equal(store_txn_add(t, path, "modules/edu.ko", NULL), 0);
	assert_int_equal(store_commit(t, &a, NULL), 0);
	artifact_done(&a);
}

static struct note loaded(const char *key)
{
	struct note n;

	memset(&n, 0, sizeof(n));
	(void)snprintf(n.driver, sizeof(n.driver), "edu");
	(void)snprintf(n.kernel, sizeof(n.kernel), "%s", R);
	(void)snprintf(n.key, sizeof(n.key), "%s", key);
	return n;
}

static void test_install_key(void **state)
{
	struct env env = { .state = dir };
	struct note n = loaded(OLD_KEY);
	struct memory m;

	put_artifact(OLD_KEY, R);
	put_artifact(NEW_KEY, R);
	assert_int_equal(memory_init(&m, &env, NULL), 0);
	/* Without a note there is nothing to go back to. */
	records_reject(m.records, "edu", NEW_KEY);
	assert_string_equal(observe_install_key(&m, "edu", R, NEW_KEY), NEW_KEY);
	assert_int_equal(records_set_note(m.records, &n), 0);
	/* Staged, and not yet tried: a boot shall load it. */
	assert_string_equal(observe_install_key(&m, "edu", R, NEW_KEY), NEW_KEY);
	records_reject(m.records, "edu", NEW_KEY);
	assert_string_equal(observe_install_key(&m, "edu", R, NEW_KEY), OLD_KEY);
	assert_string_equal(observe_install_key(&m, "edu", R, OLD_KEY), OLD_KEY);
	/* Another build, another kernel, another driver. */
	assert_string_equal(observe_install_key(&m, "edu", R, THIRD), THIRD);
	assert_string_equal(observe_install_key(&m, "edu", "6.1.0-56", NEW_KEY), NEW_KEY);
	assert_string_equal(observe_install_key(&m, "other", R, NEW_KEY), NEW_KEY);
	assert_null(observe_install_key(&m, "edu", R, NULL));
	/* Over a restart of the agent. */
	assert_int_equal(records_write(m.records, dir, NULL), 0);
	memory_done(&m);
	assert_int_equal(memory_init(&m, &env, NULL), 0);
	assert_int_equal(records_read(m.records, dir, NULL), 0);
	assert_string_equal(observe_install_key(&m, "edu", R, NEW_KEY), OLD_KEY);
	/* It was loaded after all. */
	n = loaded(NEW_KEY);
	assert_int_equal(records_set_note(m.records, &n), 0);
	assert_string_equal(observe_install_key(&m, "edu", R, NEW_KEY), NEW_KEY);
	memory_done(&m);
}

/* What worked has left the store: then there is only the other. */
static void test_lost(void **state)
{
	struct env env = { .state = dir };
	struct note n = loaded(OLD_KEY);
	struct memory m;

	put_artifact(NEW_KEY, R);
	assert_int_equal(memory_init(&m, &env, NULL), 0);
	assert_int_equal(records_set_note(m.records, &n), 0);
	records_reject(m.records, "edu", NEW_KEY);
	assert_string_equal(observe_install_key(&m, "edu", R, NEW_KEY), NEW_KEY);
	/* And what is loaded cannot be rejected. */
	records_reject(m.records, "edu", OLD_KEY);
	assert_string_equal(records_note(m.records, "edu")->rejected, NEW_KEY);
	memory_done(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_install_key),
		T(test_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
