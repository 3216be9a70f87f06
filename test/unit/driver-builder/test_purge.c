// SPDX-License-Identifier: Apache-2.0
/* purge.c: what is ours goes, what is not stays, and it can be done twice. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "driver-builder/purge.h"
#include "file.h"

#define RELEASE "6.1.0-47-amd64"

static char dir[64], state_dir[PATH_MAX], run_dir[PATH_MAX], proc_dir[PATH_MAX];
static struct env env;

static const char *const ours[] = { "etc/modules-load.d/farrier-edu.conf",
	"etc/modprobe.d/farrier-edu.conf",
	"lib/modules/" RELEASE "/updates/farrier/edu.ko", "state/builds.json",
	"state/grub.json", "state/store/ab/abcd/manifest.json", "run/status.json",
	"run/reboot-hold" };
static const char *const others[] = { "etc/modules-load.d/other.conf",
	"etc/modprobe.d/farrier.conf", "etc/modprobe.d/farrier-notes.txt",
	"etc/farrier/drivers.d/edu.yaml", "lib/modules/" RELEASE "/updates/dkms/other.ko",
	"lib/modules/" RELEASE "/kernel/a.ko", "run/devices.json" };

static void path_of(char out[PATH_MAX], const char *file)
{
	assert_int_equal(path_join(out, PATH_MAX, dir, file, NULL), 0);
}

static void put(const char *file, const char *text, size_t len)
{
	char path[PATH_MAX], *slash;

	path_of(path, file);
	slash = strrchr(path, '/');
	*slash = '\0';
	assert_int_equal(dir_make(path, 0755, NULL), 0);
	*slash = '/';
	assert_int_equal(file_write_atomic(path, text, len, 0644, NULL), 0);
}

static bool is_there(const char *file)
{
	char path[PATH_MAX];

	path_of(path, file);
	return file_exists(path);
}

static int setup(void **state)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/farrier-purge-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	path_of(state_dir, "state");
	path_of(run_dir, "run");
	path_of(proc_dir, "proc");
	env = (struct env){ dir, state_dir, run_dir, "/sys", proc_dir };
	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		put(ours[i], "x", 1);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		put(others[i], "x", 1);
	return 0;
}

static int teardown(void **state)
{
	return dir_remove(dir, NULL);
}

static void test_dry(void **state)
{
	struct buf b;

	buf_init(&b, 1 << 16);
	assert_int_equal(purge_host(&env, true, &b, NULL), 0);
	assert_non_null(strstr(buf_cstr(&b), "modules-load.d/farrier-edu.conf\n"));
	assert_non_null(strstr(buf_cstr(&b), RELEASE "/updates/farrier\n"));
	assert_non_null(strstr(buf_cstr(&b), "GRUB's default entry\n"));
	assert_non_null(strstr(buf_cstr(&b), "/state\n"));
	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		assert_true(is_there(ours[i]));
	buf_done(&b);
}

static void test_purge(void **state)
{
	struct err e = { 0 };
	struct buf b;

	for (int twice = 0; twice < 2; twice++) {
		buf_init(&b, 1 << 16);
		if (purge_host(&env, false, &b, &e) < 0)
			fail_msg("%s", e.text);
		assert_int_equal(b.len > 0, twice == 0);
		for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
			if (is_there(ours[i]))
				fail_msg("'%s' is still there", ours[i]);
		for (size_t i = 0; i < ARRAY_SIZE(others); i++)
			if (!is_there(others[i]))
				fail_msg("'%s' is gone", others[i]);
		buf_done(&b);
	}
}

static const struct {
	const char *name, *text;
	size_t len;
	bool is_agent;
} procs[] = {
	{ "agent", "/usr/bin/farrier-driver-builder\0run\0--standalone\0", 48, true },
	{ "without a path", "farrier-driver-builder\0run\0", 27, true },
	{ "another command", "/usr/bin/farrier-driver-builder\0status\0", 39, false },
	{ "another program", "/usr/bin/vi\0run\0", 16, false },
	{ "kernel thread", "", 0, false },
	{ "only its name", "farrier-driver-builder", 22, false },
	{ "cut", "farrier-driver-builder\0ru", 25, false },
};

static void test_agent(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(procs); i++) {
		put("proc/cpuinfo", "farrier-driver-builder\0run\0", 27);
		put("proc/123/cmdline", procs[i].text, procs[i].len);
		if (purge_agent(&env) != (procs[i].is_agent ? 123 : 0))
			fail_msg("case '%s'", procs[i].name);
	}
	env.proc = "/nonexistent";
	assert_int_equal(purge_agent(&env), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_dry, setup, teardown),
		cmocka_unit_test_setup_teardown(test_purge, setup, teardown),
		cmocka_unit_test_setup_teardown(test_agent, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
