// SPDX-License-Identifier: Apache-2.0
/* SHA-256 against known values; what of a tree counts and what does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "digest.h"
#include "file.h"

#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define MILLION_A "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"

static char dir[64];

static const char *at(const char *name)
{
	static char path[4][512];
	static int i;

	i = (i + 1) % 4;
	(void)snprintf(path[i], sizeof(path[i]), "%s/%s", dir, name);
	return path[i];
}

static void put(const char *name, const char *text, mode_t mode)
{
	assert_int_equal(file_write_atomic(at(name), text, strlen(text), mode, NULL), 0);
}

static int setup(void **state)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/farrier-digest-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	return dir_remove(dir, NULL);
}

static void test_known(void **state)
{
	CLEANUP(digest_freep) struct digest *d = NULL;
	CLEANUP(freep) char *a = malloc(1000000);
	char hex[DIGEST_HEX + 1];
	size_t i;

	assert_int_equal(digest_bytes("", 0, hex, NULL), 0);
	assert_string_equal(hex, EMPTY);
	assert_int_equal(digest_bytes("abc", 3, hex, NULL), 0);
	assert_string_equal(hex, ABC);
	memset(a, 'a', 1000000);
	assert_int_equal(digest_bytes(a, 1000000, hex, NULL), 0);
	assert_string_equal(hex, MILLION_A);
	assert_int_equal(digest_new(&d), 0);
	for (i = 0; i < 1000000; i += 1000)
		assert_int_equal(digest_add(d, a, 1000), 0);
	assert_int_equal(digest_hex(d, hex), 0);
	assert_string_equal(hex, MILLION_A);
	assert_int_equal(file_write_atomic(at("f"), a, 1000000, 0644, NULL), 0);
	assert_int_equal(digest_file(at("f"), hex, NULL), 0);
	assert_string_equal(hex, MILLION_A);
	digest_free(NULL);
}

static void test_strings_are_apart(void **state)
{
	CLEANUP(digest_freep) struct digest *a = NULL, *b = NULL;
	char x[DIGEST_HEX + 1], y[DIGEST_HEX + 1];

	assert_int_equal(digest_new(&a), 0);
	assert_int_equal(digest_new(&b), 0);
	assert_int_equal(digest_add_str(a, "ab"), 0);
	assert_int_equal(digest_add_str(a, "c"), 0);
	assert_int_equal(digest_add_str(b, "a"), 0);
	assert_int_equal(digest_add_str(b, "bc"), 0);
	assert_int_equal(digest_hex(a, x), 0);
	assert_int_equal(digest_hex(b, y), 0);
	assert_string_not_equal(x, y);
}

static void test_file_errors(void **state)
{
	char hex[DIGEST_HEX + 1];
	struct err e = { 0 };

	assert_int_equal(digest_file(at("absent"), hex, &e), -ENOENT);
	assert_int_equal(digest_file(dir, hex, &e), -EINVAL);
	assert_int_equal(mkfifo(at("fifo"), 0600), 0);
	assert_int_equal(digest_file(at("fifo"), hex, &e), -EINVAL);
}

static void tree(char hex[DIGEST_HEX + 1])
{
	struct err e = { 0 };

	if (digest_dir(dir, 1 << 20, hex, &e) < 0)
		fail_msg("%s", e.text);
}

static void change_content(void)
{
	put("src/a.c", "int b;", 0644);
}
static void change_exec(void)
{
	assert_int_equal(chmod(at("src/a.c"), 0755), 0);
}
static void change_name(void)
{
	assert_int_equal(rename(at("src/a.c"), at("src/b.c")), 0);
}
static void change_target(void)
{
	assert_int_equal(unlink(at("link")), 0);
	assert_int_equal(symlink("elsewhere", at("link")), 0);
}
static void change_type(void)
{
	assert_int_equal(unlink(at("link")), 0);
	put("link", "src/a.c", 0644);
}
static void change_empty_dir(void)
{
	assert_int_equal(mkdir(at("empty"), 0755), 0);
}
static void change_move(void)
{
	assert_int_equal(rename(at("src/a.c"), at("a.c")), 0);
}
static void change_time(void)
{
	const struct timespec ts[2] = { { 1000, 0 }, { 1000, 0 } };

	assert_int_equal(utimensat(AT_FDCWD, at("src/a.c"), ts, 0), 0);
}
static void change_mode(void)
{
	assert_int_equal(chmod(at("src/a.c"), 0600), 0);
}
static void change_rewrite(void)
{
	put("src/a.c", "int a;", 0644);
}

static void test_tree(void **state)
{
	static const struct {
		const char *name;
		void (*change)(void);
		bool counts;
	} cases[] = {
		{ "content", change_content, true },
		{ "executable", change_exec, true },
		{ "name", change_name, true },
		{ "link target", change_target, true },
		{ "link becomes file", change_type, true },
		{ "empty folder", change_empty_dir, true },
		{ "moved", change_move, true },
		{ "time", change_time, false },
		{ "mode without x", change_mode, false },
		{ "written anew", change_rewrite, false },
	};
	char before[DIGEST_HEX + 1], after[DIGEST_HEX + 1];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(dir_make(at("src"), 0755, NULL), 0);
		put("src/a.c", "int a;", 0644);
		put("Kbuild", "obj-m := a.o\n", 0644);
		assert_int_equal(symlink("src/a.c", at("link")), 0);
		tree(before);
		cases[i].change();
		tree(after);
		if (streq(before, after) == cases[i].counts)
			fail_msg("case '%s'", cases[i].name);
		assert_int_equal(dir_remove(dir, NULL), 0);
		assert_int_equal(mkdir(dir, 0700), 0);
	}
}

static void test_tree_limits(void **state)
{
	char hex[DIGEST_HEX + 1];
	struct err e = { 0 };
	char path[400];
	int i, n;

	put("a", "12345", 0644);
	put("b", "12345", 0644);
	assert_int_equal(digest_dir(dir, 10, hex, &e), 0);
	assert_int_equal(digest_dir(dir, 9, hex, &e), -EFBIG);
	assert_int_equal(mkfifo(at("fifo"), 0600), 0);
	assert_int_equal(digest_dir(dir, 100, hex, &e), -EINVAL);
	assert_non_null(strstr(e.text, "fifo"));
	assert_int_equal(unlink(at("fifo")), 0);
	/* A link to a folder above does not make a circle. */
	assert_int_equal(symlink("..", at("up")), 0);
	assert_int_equal(symlink("/dev/zero", at("zero")), 0);
	assert_int_equal(digest_dir(dir, 100, hex, &e), 0);
	n = snprintf(path, sizeof(path), "%s", dir);
	for (i = 0; i < 100; i++)
		n += snprintf(path + n, sizeof(path) - (size_t)n, "/d");
	assert_int_equal(dir_make(path, 0755, &e), 0);
	assert_int_equal(digest_dir(dir, 100, hex, &e), -ELOOP);
	assert_int_equal(digest_dir(at("absent"), 100, hex, &e), -ENOENT);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_known),
		T(test_strings_are_apart),
		T(test_file_errors),
		T(test_tree),
		T(test_tree_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
