// SPDX-License-Identifier: Apache-2.0
/* leftovers.c: what a power cut left goes, what has a writer or another owner stays. */
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#include "driver-builder/leftovers.h"
#include "file.h"

#define BOOT 1700000000
#define MODULES "lib/modules/6.1.0-47-amd64/updates/"

static char dir[64], state_dir[PATH_MAX], proc_dir[PATH_MAX];
static struct env env;

static const struct {
	const char *path;
	time_t at;
	bool stays;
} cases[] = {
	{ "state/.builds.json.a1B2c3", BOOT - 60, false },
	{ "state/builds.json", BOOT - 60, true },
	{ "state/.builds.json.a1B2c", BOOT - 60, true },
	{ "state/.builds.json.a1B2c-", BOOT - 60, true },
	{ "state/..a1B2c3", BOOT - 60, true },
	{ "state/failures/.k.log.gz.a1B2c3", BOOT - 60, false },
	{ "state/classes/.edu.yaml.ZZZZZZ", BOOT - 60, false },
	{ MODULES "farrier/.edu.ko.a1B2c3", BOOT - 60, false },
	{ MODULES "farrier/edu.ko", BOOT - 60, true },
	{ MODULES "dkms/.edu.ko.a1B2c3", BOOT - 60, true },
	{ "etc/modprobe.d/.farrier-edu.conf.a1B2c3", BOOT - 60, false },
	{ "etc/modprobe.d/.other.conf.a1B2c3", BOOT - 60, true },
	{ "etc/modules-load.d/.farrier-edu.conf.a1B2c3", BOOT - 60, false },
	/* Of this boot: somebody may be writing it, unless it has been there for an hour. */
	{ "state/.loaded.json.a1B2c3", BOOT + 7000, true },
	{ "state/.grub.json.a1B2c3", BOOT + 10, false },
};

static void path_of(char out[PATH_MAX], const char *file)
{
	assert_int_equal(path_join(out, PATH_MAX, dir, file, NULL), 0);
}

static void put(const char *file, const char *text, time_t at)
{
	const struct timespec times[2] = { { .tv_sec = at }, { .tv_sec = at } };
	char path[PATH_MAX], *slash;

	path_of(path, file);
	slash = strrchr(path, '/');
	*slash = '\0';
	assert_int_equal(dir_make(path, 0755, NULL), 0);
	*slash = '/';
	assert_int_equal(file_write_atomic(path, text, strlen(text), 0644, NULL), 0);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static bool is_there(const char *file)
{
	char path[PATH_MAX];

	path_of(path, file);
	return file_exists(path);
}

static int setup(void **state)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/farrier-leftovers-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	path_of(state_dir, "state");
	path_of(proc_dir, "proc");
	env = (struct env){ .root = dir, .state = state_dir, .proc = proc_dir };
	put("proc/stat", "cpu 1 2 3\nbtime 1700000000\nprocesses 3\n", BOOT);
	return 0;
}

static int teardown(void **state)
{
	return dir_remove(dir, NULL);
}

static void files_of_before_this_boot(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		put(cases[i].path, "x", cases[i].at);
	assert_int_equal(leftovers_remove(&env, (BOOT + 7200) * USEC_PER_SEC, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (is_there(cases[i].path) != cases[i].stays)
			fail_msg("case '%s'", cases[i].path);
	/* Again, with nothing to do. */
	assert_int_equal(leftovers_remove(&env, (BOOT + 7200) * USEC_PER_SEC, NULL), 0);
}

static void folders_whose_writer_is_gone(void **state)
{
	static const char *const gone[] = { "state/build/abcdef/src/x.c",
		"state/store/.new-abcdef/modules/x.ko" };
	static const char *const live[] = { "state/build/ghijkl",
		"state/store/.new-ghijkl" };
	int fds[ARRAY_SIZE(live)];
	char path[PATH_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(gone); i++)
		put(gone[i], "x", BOOT);
	put("state/store/ab/cd/manifest.json", "{}", BOOT);
	for (size_t i = 0; i < ARRAY_SIZE(live); i++) {
		path_of(path, live[i]);
		assert_int_equal(dir_make(path, 0755, NULL), 0);
		fds[i] = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(fds[i] >= 0);
		assert_int_equal(flock(fds[i], LOCK_EX | LOCK_NB), 0);
	}
	assert_int_equal(leftovers_remove(&env, BOOT * USEC_PER_SEC, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(gone); i++)
		assert_false(is_there(gone[i]));
	assert_false(is_there("state/build/abcdef"));
	assert_false(is_there("state/store/.new-abcdef"));
	assert_true(is_there("state/store/ab/cd/manifest.json"));
	for (size_t i = 0; i < ARRAY_SIZE(live); i++) {
		assert_true(is_there(live[i]));
		(void)close(fds[i]);
	}
}

static void an_empty_host_and_no_clock(void **state)
{
	char path[PATH_MAX];

	path_of(path, "proc/stat");
	assert_int_equal(unlink(path), 0);
	put("state/.builds.json.a1B2c3", "x", BOOT);
	assert_int_equal(leftovers_remove(&env, BOOT * USEC_PER_SEC, NULL), 0);
	assert_true(is_there("state/.builds.json.a1B2c3"));
	assert_int_equal(dir_remove(state_dir, NULL), 0);
	assert_int_equal(leftovers_remove(&env, 0, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			files_of_before_this_boot, setup, teardown),
		cmocka_unit_test_setup_teardown(
			folders_whose_writer_is_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(
			an_empty_host_and_no_clock, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
