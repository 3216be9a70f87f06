// SPDX-License-Identifier: Apache-2.0
/* Firmware that a driver's spec names, below a root. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <stdio.h>

#include "driver-builder/firmware.h"
#include "file.h"

static char root[64];

static int setup(void **state)
{
	(void)snprintf(root, sizeof(root), "/tmp/farrier-firmware-XXXXXX");
	assert_non_null(mkdtemp(root));
	return 0;
}

static int teardown(void **state)
{
	return dir_remove(root, NULL);
}

static void put(const char *name)
{
	char path[PATH_MAX], *slash;

	(void)snprintf(path, sizeof(path), "%s/%s", root, name);
	slash = strrchr(path, '/');
	*slash = '\0';
	assert_int_equal(dir_make(path, 0755, NULL), 0);
	*slash = '/';
	assert_int_equal(file_write_atomic(path, "x", 1, 0644, NULL), 0);
}

static const struct {
	const char *name, *file, *wanted;
	bool is_there;
} cases[] = {
	{ "plain", "lib/firmware/a.bin", "a.bin", true },
	{ "in a folder, xz", "lib/firmware/v/a.bin.xz", "v/a.bin", true },
	{ "zst", "lib/firmware/a.bin.zst", "a.bin", true },
	{ "updates", "lib/firmware/updates/a.bin", "a.bin", true },
	{ "of the release", "lib/firmware/6.1/a.bin", "a.bin", true },
	{ "updates of the release", "lib/firmware/updates/6.1/a.bin", "a.bin", true },
	{ "of another release", "lib/firmware/6.2/a.bin", "a.bin", false },
	{ "gz, which no kernel reads", "lib/firmware/a.bin.gz", "a.bin", false },
	{ "outside", "lib/a.bin", "../a.bin", false },
	{ "outside, from a folder", "lib/a.bin", "v/../../a.bin", false },
	{ "absolute", "lib/firmware/a.bin", "/a.bin", false },
	{ "no name", "lib/firmware/a.bin", "", false },
	{ "two dots in a name", "lib/firmware/a..bin", "a..bin", true },
};

static void test_places(void **state)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct list names = { (void *)(uintptr_t)&cases[i].wanted, 1 };
		struct err e = { 0 };
		int r;

		assert_int_equal(dir_remove(root, NULL), 0);
		put(cases[i].file);
		if (firmware_exists(root, "6.1", cases[i].wanted) != cases[i].is_there)
			fail_msg("case '%s'", cases[i].name);
		r = firmware_check(root, "6.1", &names, &e);
		assert_int_equal(r, cases[i].is_there ? 0 : -ENOENT);
		if (r == 0)
			continue;
		assert_int_equal(e.reason, REASON_FIRMWARE_MISSING);
		assert_non_null(strstr(e.text, cases[i].wanted));
	}
}

static void test_first_that_is_missing(void **state)
{
	const char *names[] = { "a", "b", "c" };
	const struct list all = { names, 3 }, none = { NULL, 0 };
	struct err e = { 0 };

	put("lib/firmware/a");
	put("lib/firmware/c");
	assert_int_equal(firmware_check(root, "6.1", &all, &e), -ENOENT);
	assert_non_null(strstr(e.text, "'b'"));
	put("lib/firmware/b");
	assert_int_equal(firmware_check(root, "6.1", &all, &e), 0);
	assert_int_equal(firmware_check(root, "6.1", &none, &e), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_places),
		T(test_first_that_is_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
