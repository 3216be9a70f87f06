// SPDX-License-Identifier: Apache-2.0
/* The store: what goes in comes out, damage is found, and a killed writer leaves nothing half. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "driver-builder/store.h"
#include "file.h"

static char state_dir[64];

static int setup(void **state)
{
	(void)snprintf(state_dir, sizeof(state_dir), "/tmp/farrier-store-XXXXXX");
	return mkdtemp(state_dir) ? 0 : -1;
}

static int teardown(void **state)
{
	return dir_remove(state_dir, NULL);
}

static void key_of(unsigned i, char out[DIGEST_HEX + 1])
{
	char text[16];

	(void)snprintf(text, sizeof(text), "%u", i);
	assert_int_equal(digest_bytes(text, strlen(text), out, NULL), 0);
}

/* By way of a file of the build, as it is. */
static int put_module(
	struct store_txn *t, const char *name, const char *bytes, struct err *e)
{
	char from[PATH_MAX], file[64];
	FILE *f;
	int r;

	(void)snprintf(
		from, sizeof(from), "%s/built-%d-%s", state_dir, (int)getpid(), name);
	(void)snprintf(file, sizeof(file), "modules/%s.ko", name);
	f = fopen(from, "we");
	if (!f || fputs(bytes, f) < 0)
		return -EIO;
	(void)fclose(f);
	r = store_txn_add(t, from, file, e);
	(void)unlink(from);
	return r;
}

static int put_artifact(const char *key, const char *bytes, struct err *e)
{
	struct artifact_module mods[2] = { { .name = "a_b",
						   .file = "modules/a-b.ko",
						   .vermagic = "6.1 SMP ",
						   .symbols = 3 },
		{ .name = "c", .file = "modules/c.ko" } };
	struct artifact a = { .driver = "demo",
		.kernel = "6.1",
		.modules = mods,
		.modules_n = 2,
		.build_seconds = 4 };
	CLEANUP(store_abortp) struct store_txn *t = NULL;
	int r = store_begin(state_dir, &t, e);

	memcpy(a.key, key, sizeof(a.key));
	memcpy(a.recipe, key, sizeof(a.recipe));
	if (r == 0)
		r = put_module(t, "a-b", bytes, e);
	if (r == 0)
		r = put_module(t, "c", "cc", e);
	return r < 0 ? r : store_commit(TAKE(t), &a, e);
}

static void must_put(const char *key, const char *bytes)
{
	struct err e = { 0 };

	if (put_artifact(key, bytes, &e) < 0)
		fail_msg("%s", e.text);
}

static size_t entries(const char *sub)
{
	char path[PATH_MAX];
	size_t n = 0;
	DIR *d;

	(void)snprintf(path, sizeof(path), "%s/%s", state_dir, sub);
	d = opendir(path);
	while (d && readdir(d))
		n++;
	if (d)
		(void)closedir(d);
	return n > 2 ? n - 2 : 0;
}

static void test_in_and_out(void **state)
{
	char key[DIGEST_HEX + 1], other[DIGEST_HEX + 1];
	struct artifact a = { 0 };
	struct err e = { 0 };

	key_of(1, key);
	key_of(2, other);
	assert_int_equal(store_get(state_dir, key, &a, &e), -ENOENT);
	assert_int_equal(e.reason, REASON_NONE);
	must_put(key, "module bytes");
	assert_true(store_has(state_dir, key));
	assert_false(store_has(state_dir, other));
	assert_int_equal(store_get(state_dir, key, &a, &e), 0);
	assert_string_equal(a.key, key);
	assert_string_equal(a.driver, "demo");
	assert_string_equal(a.recipe, key);
	assert_string_equal(a.reused_from, "");
	assert_int_equal(a.build_seconds, 4);
	assert_int_equal(a.modules_n, 2);
	assert_int_equal(a.modules[0].size, 12);
	assert_int_equal(a.modules[0].symbols, 3);
	assert_string_equal(a.modules[0].vermagic, "6.1 SMP ");
	assert_ptr_equal(artifact_find(&a, "a-b"), &a.modules[0]);
	assert_ptr_equal(artifact_find(&a, "a_b"), &a.modules[0]);
	assert_null(artifact_find(&a, "a"));
	assert_null(artifact_find(&a, "a_bc"));
	artifact_done(&a);
	/* The same key again: the first one stays, nothing is left over. */
	must_put(key, "other bytes!");
	assert_int_equal(store_get(state_dir, key, &a, &e), 0);
	artifact_done(&a);
	assert_int_equal(entries("store"), 1);
	assert_int_equal(store_get(state_dir, "../../etc", &a, &e), -EINVAL);
}

static const struct {
	const char *name, *file, *bytes; /* NULL: removed */
} damages[] = {
	{ "module changed", "modules/a-b.ko", "module bytez" },
	{ "module shorter", "modules/a-b.ko", "module" },
	{ "module gone", "modules/c.ko", NULL },
	{ "manifest gone", "manifest.json", NULL },
	{ "manifest empty", "manifest.json", "" },
	{ "manifest torn", "manifest.json", "{\"version\":1,\"key\":\"" },
	{ "manifest newer", "manifest.json", "{\"version\":2}" },
	{ "manifest of nothing", "manifest.json", "[]" },
};

static void test_damage_is_found(void **state)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(damages); i++) {
		char key[DIGEST_HEX + 1], path[PATH_MAX];
		struct artifact a = { 0 };
		struct err e = { 0 };

		key_of((unsigned)i, key);
		must_put(key, "module bytes");
		(void)snprintf(path, sizeof(path), "%s/store/%.2s/%s/%s", state_dir, key,
			key, damages[i].file);
		if (damages[i].bytes)
			assert_int_equal(file_write_atomic(path, damages[i].bytes,
						 strlen(damages[i].bytes), 0644, &e),
				0);
		else
			assert_int_equal(unlink(path), 0);
		if (store_get(state_dir, key, &a, &e) != -EBADMSG ||
			e.reason != REASON_ARTIFACT_CORRUPT)
			fail_msg("case '%s': %s %s", damages[i].name,
				reason_name(e.reason), e.text);
		/* Out of the way, so that it can be built again at once. */
		assert_false(store_has(state_dir, key));
		must_put(key, "module bytes");
		assert_int_equal(store_get(state_dir, key, &a, &e), 0);
		artifact_done(&a);
	}
	assert_int_equal(entries("quarantine"), ARRAY_SIZE(damages));
}

static void test_manifest_cannot_name_other_files(void **state)
{
	static const char *const files[] = { "../../../../etc/passwd",
		"modules/../manifest.json", "/etc/passwd", "modules/", "modules/.x" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(files); i++) {
		char key[DIGEST_HEX + 1], path[PATH_MAX], text[1024];
		struct artifact a = { 0 };
		struct err e = { 0 };
		int n;

		key_of((unsigned)i, key);
		must_put(key, "x");
		n = snprintf(text, sizeof(text),
			"{\"version\":1,\"key\":\"%s\",\"driver\":\"\",\"driverVersion\":\"\","
			"\"kernel\":\"\",\"buildSystem\":\"\",\"toolchain\":\"\","
			"\"sourceDigest\":\"\",\"headersDigest\":\"\",\"createdAt\":\"\","
			"\"buildSeconds\":1,\"modules\":[{\"name\":\"a\",\"file\":\"%s\","
			"\"sha256\":\"%s\",\"size\":1,\"vermagic\":\"\",\"srcversion\":\"\","
			"\"symbols\":0}]}",
			key, files[i], key);
		(void)snprintf(path, sizeof(path), "%s/store/%.2s/%s/manifest.json",
			state_dir, key, key);
		assert_int_equal(file_write_atomic(path, text, (size_t)n, 0644, &e), 0);
		assert_int_equal(store_get(state_dir, key, &a, &e), -EBADMSG);
	}
}

static void test_list_and_gc(void **state)
{
	char keys[5][DIGEST_HEX + 1];
	const char *keep[2];
	struct artifact *list = NULL;
	struct store_txn *t = NULL;
	struct err e = { 0 };
	size_t n, i;

	assert_int_equal(store_list(state_dir, &list, &n, &e), 0);
	assert_int_equal(n, 0);
	artifacts_free(list, n);
	for (i = 0; i < 5; i++) {
		key_of((unsigned)i, keys[i]);
		must_put(keys[i], "x");
	}
	assert_int_equal(store_list(state_dir, &list, &n, &e), 0);
	assert_int_equal(n, 5);
	for (i = 1; i < n; i++)
		assert_true(strcmp(list[i - 1].key, list[i].key) < 0);
	artifacts_free(list, n);
	/* A writer at work is left alone. */
	assert_int_equal(store_begin(state_dir, &t, &e), 0);
	keep[0] = keys[1];
	keep[1] = keys[3];
	assert_int_equal(store_gc(state_dir, keep, 2, &n, &e), 0);
	assert_int_equal(n, 3);
	assert_true(file_exists(store_txn_dir(t)));
	assert_true(store_has(state_dir, keys[1]) && store_has(state_dir, keys[3]));
	assert_false(store_has(state_dir, keys[0]));
	store_abort(t);
}

/* A writer that is killed at any instant. (A real power cut also loses what was not synced; that
 * is tried on a node.) */
static void test_killed_writers(void **state)
{
	volatile unsigned *written = mmap(NULL, sizeof(*written), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned round, i, seed = 4711, found = 0;

	assert_true(written != MAP_FAILED);
	for (round = 0; round < 40; round++) {
		struct timespec ts;
		unsigned waited;
		struct artifact *list = NULL;
		struct err e = { 0 };
		size_t n, removed;
		pid_t pid;

		*written = 0;
		pid = fork();

		assert_true(pid >= 0);
		if (pid == 0) {
			for (i = 0;; i++) {
				char key[DIGEST_HEX + 1];

				key_of(round * 1000 + i % 1000, key);
				if (put_artifact(
					    key, "module bytes of some length", NULL) < 0)
					_exit(1);
				++*written;
			}
		}
		/* However slow the disk is: one is there, and the next is on its way. */
		for (waited = 0; *written == 0 && waited < 60000; waited++) {
			ts = (struct timespec){ 0, 1000000 };
			(void)nanosleep(&ts, NULL);
		}
		seed = seed * 1664525 + 1013904223;
		ts = (struct timespec){ 0, (seed >> 8) * 3L };
		(void)nanosleep(&ts, NULL);
		(void)kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, NULL, 0), pid);

		assert_int_equal(store_list(state_dir, &list, &n, &e), 0);
		for (i = 0; i < n; i++) {
			struct artifact a = { 0 };

			if (store_get(state_dir, list[i].key, &a, &e) < 0)
				fail_msg("round %u: %s", round, e.text);
			artifact_done(&a);
		}
		found += (unsigned)n;
		artifacts_free(list, n);
		assert_int_equal(store_gc(state_dir, NULL, 0, &removed, &e), 0);
		assert_int_equal(store_list(state_dir, &list, &n, &e), 0);
		assert_int_equal(n, 0);
		artifacts_free(list, n);
	}
	assert_int_equal(entries("quarantine"), 0);
	assert_true(found >= 40);
	(void)munmap((void *)(uintptr_t)written, sizeof(*written));
	/* Nothing but the folders of keys, which are empty. */
	assert_true(entries("store") <= 256);
}

static void test_two_writers_of_one_key(void **state)
{
	char key[DIGEST_HEX + 1];
	struct artifact a = { 0 };
	struct err e = { 0 };
	int i, status;
	pid_t pid[2];

	key_of(1, key);
	for (i = 0; i < 2; i++) {
		pid[i] = fork();
		assert_true(pid[i] >= 0);
		if (pid[i] == 0)
			_exit(put_artifact(key, "same bytes", NULL) < 0);
	}
	for (i = 0; i < 2; i++) {
		assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
		assert_int_equal(status, 0);
	}
	assert_int_equal(store_get(state_dir, key, &a, &e), 0);
	artifact_done(&a);
	assert_int_equal(entries("store"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_in_and_out),
		T(test_damage_is_found),
		T(test_manifest_cannot_name_other_files),
		T(test_list_and_gc),
		T(test_killed_writers),
		T(test_two_writers_of_one_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
