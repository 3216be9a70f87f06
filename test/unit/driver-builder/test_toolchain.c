// SPDX-License-Identifier: Apache-2.0
/* What compiler a kernel wants, and what is found of it in a root. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "driver-builder/sandbox.h"
#include "driver-builder/toolchain.h"
#include "file.h"

static const struct {
	const char *text;
	int r;
	bool is_clang;
	unsigned major;
} texts[] = {
	{ "gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0", 0, false, 12 },
	{ "x86_64-linux-gnu-gcc-14 (Debian 14.2.0-19) 14.2.0", 0, false, 14 },
	{ "gcc (GCC) 11.4.1 20231218 (Red Hat 11.4.1-3)", 0, false, 11 },
	{ "gcc (Ubuntu 9.4.0-1ubuntu1~20.04.2) 9.4.0", 0, false, 9 },
	{ "gcc (GCC) 13.2.1 20230801", 0, false, 13 },
	{ "gcc 8", 0, false, 8 },
	{ "Debian clang version 14.0.6", 0, true, 14 },
	{ "Ubuntu clang version 18.1.3 (1ubuntu1)", 0, true, 18 },
	{ "clang version x", -EINVAL },
	{ "tcc version 0.9.27", -EINVAL },
	{ "gcc", -EINVAL },
	{ "gcc (", -EINVAL },
	{ "", -EINVAL },
	{ "gcc 99999999999999999999", -EINVAL },
	{ "gcc 0.1", -EINVAL },
};

static void test_texts(void **state)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(texts); i++) {
		bool is_clang = false;
		unsigned major = 0;
		int r = toolchain_parse_text(texts[i].text, &is_clang, &major);

		if (r != texts[i].r || (r == 0 && (is_clang != texts[i].is_clang ||
							  major != texts[i].major)))
			fail_msg("'%s': %d %d %u", texts[i].text, r, is_clang, major);
	}
}

/* ---- a root whose compilers are shell scripts, and a kernel that asks for one ---- */

static char top[64], scratch[80], headers[80];

static int setup(void **state)
{
	struct err e = { 0 };

	(void)snprintf(top, sizeof(top), "/tmp/farrier-toolchain-XXXXXX");
	if (!mkdtemp(top))
		return -1;
	(void)snprintf(scratch, sizeof(scratch), "%s/scratch", top);
	(void)snprintf(headers, sizeof(headers), "%s/headers", top);
	return mkdir(scratch, 0755) || mkdir(headers, 0755) || dir_make(top, 0755, &e);
}

static int teardown(void **state)
{
	return dir_remove(top, NULL);
}

static void put(const char *path, const char *text, mode_t mode)
{
	char full[PATH_MAX], dir[PATH_MAX];
	struct err e = { 0 };

	(void)snprintf(full, sizeof(full), "%s/%s", top, path);
	(void)snprintf(dir, sizeof(dir), "%s", full);
	*strrchr(dir, '/') = '\0';
	if (dir_make(dir, 0755, &e) < 0 ||
		file_write_atomic(full, text, strlen(text), mode, &e) < 0 ||
		chmod(full, mode) < 0)
		fail_msg("%s", e.text);
}

static int find(const char *text, int which, struct toolchain *ret, struct err *e)
{
	struct kernel k = { .release = "6.1", .headers = headers };
	char config[256];

	(void)snprintf(config, sizeof(config), "CONFIG_CC_VERSION_TEXT=\"%s\"\n", text);
	put("headers/.config", config, 0644);
	*e = (struct err){ 0 };
	return toolchain_find(&k, which, top, scratch, ret, e);
}

static void test_missing_here(void **state)
{
	struct toolchain t;
	struct err e;

	assert_true(find("gcc-12 (x) 12.1", API_TOOLCHAIN_HOST, &t, &e) < 0);
	assert_int_equal(e.reason, REASON_COMPILER_MISSING);
	assert_non_null(strstr(e.text, "gcc-12"));
	put("usr/bin/gcc-12", "not executable", 0644);
	assert_true(find("gcc-12 (x) 12.1", API_TOOLCHAIN_HOST, &t, &e) < 0);
	assert_int_equal(e.reason, REASON_COMPILER_MISSING);
	put("usr/bin/gcc-12", "", 0755);
	assert_true(find("gcc-12 (x) 12.1", API_TOOLCHAIN_HOST, &t, &e) < 0);
	assert_int_equal(e.reason, REASON_COMPILER_MISSING);
	assert_non_null(strstr(e.text, "'make'"));
	assert_true(find("icc 7", API_TOOLCHAIN_HOST, &t, &e) < 0);
	assert_int_equal(e.reason, REASON_COMPILER_MISMATCH);
}

/* Our own tools, in a real sandbox: the major version decides. */
static void test_own_tools(void **state)
{
	struct toolchain t;
	struct err e = { 0 };

	if (sandbox_check("/", scratch, &e) < 0 || !toolchain_has("/", "gcc") ||
		!toolchain_has("/", "make"))
		skip();
	assert_true(find("gcc (Debian 4.9.1) 4.9.1", API_TOOLCHAIN_SELF, &t, &e) < 0);
	assert_int_equal(e.reason, REASON_COMPILER_MISMATCH);
	assert_non_null(strstr(e.text, "there is only 'gcc"));
	if (!toolchain_has("/", "gcc-12"))
		skip();
	if (find("gcc-12 (Debian 12.2.0-1) 12.2.0", API_TOOLCHAIN_SELF, &t, &e) < 0)
		fail_msg("%s", e.text);
	assert_string_equal(t.cc, "gcc-12");
	assert_true(str_starts(t.version, "gcc-12 ("));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		cmocka_unit_test(test_texts),
		T(test_missing_here),
		T(test_own_tools),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
