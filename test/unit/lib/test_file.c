// SPDX-License-Identifier: Apache-2.0
/* Files and folders on a real file system, hostile ones among them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "file.h"

static char dir[64];

static const char *at(const char *name)
{
	static char path[4][512];
	static int i;

	i = (i + 1) % 4;
	(void)snprintf(path[i], sizeof(path[i]), "%s/%s", dir, name);
	return path[i];
}

static void put(const char *name, const char *text)
{
	struct err e = { 0 };

	if (file_write_atomic(at(name), text, strlen(text), 0644, &e) < 0)
		fail_msg("%s", e.text);
}

static int setup(void **state)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/farrier-file-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	return dir_remove(dir, NULL);
}

static int count_entry(const char *name, void *user)
{
	(*(int *)user)++;
	return 0;
}

static int entries(void)
{
	int n = 0;

	assert_int_equal(dir_each(dir, count_entry, &n, NULL), 0);
	return n;
}

static void test_read(void **state)
{
	CLEANUP(freep) char *data = NULL;
	struct err e = { 0 };
	char *sys = NULL;
	size_t len = 99;

	assert_int_equal(file_read(at("absent"), 10, &data, &len, &e), -ENOENT);
	assert_null(data);
	assert_int_equal(len, 99);
	assert_non_null(strstr(e.text, "absent': No such file"));
	put("a", "12345");
	assert_int_equal(file_read(at("a"), 5, &data, &len, &e), 0);
	assert_int_equal(len, 5);
	assert_string_equal(data, "12345");
	assert_int_equal(file_read(at("a"), 4, &data, &len, &e), -EFBIG);
	assert_int_equal(file_read(dir, 100, &data, &len, &e), -EISDIR);
	/* procfs says that its files have no size. */
	assert_int_equal(file_read("/proc/self/status", 1 << 20, &sys, NULL, &e), 0);
	assert_true(strlen(sys) > 100);
	free(sys);
	free(TAKE(data));
	put("empty", "");
	assert_int_equal(file_read(at("empty"), 0, &data, &len, &e), 0);
	assert_string_equal(data, "");
	assert_int_equal(len, 0);
	/* An endless file ends at the cap. */
	free(TAKE(data));
	assert_int_equal(file_read("/dev/zero", 100000, &data, &len, &e), -EFBIG);
}

static void test_read_pipe_does_not_hang(void **state)
{
	char *data = NULL, line[10];
	size_t len = 0;

	assert_int_equal(mkfifo(at("fifo"), 0600), 0);
	assert_int_equal(file_read(at("fifo"), 10, &data, &len, NULL), 0);
	assert_int_equal(len, 0);
	free(data);
	assert_int_equal(file_read_line(at("fifo"), line, sizeof(line)), 0);
	assert_true(file_copy(at("fifo"), at("copy"), 0, NULL) < 0);
}

static void test_read_line(void **state)
{
	static const struct {
		const char *name, *text, *want;
		size_t size;
		int r;
	} cases[] = {
		{ "plain", "0x1234\n", "0x1234", 16, 0 },
		{ "no newline", "abc", "abc", 16, 0 },
		{ "first of two", "a\nb\n", "a", 16, 0 },
		{ "empty", "", "", 16, 0 },
		{ "just fits", "abc\n", "abc", 4, 0 },
		{ "just fits, no newline", "abc", "abc", 4, 0 },
		{ "too long", "abcd\n", "", 4, -ENOBUFS },
		{ "too long, no newline", "abcd", "", 4, -ENOBUFS },
	};
	char out[16];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		int r;

		memset(out, 'x', sizeof(out));
		put("line", cases[i].text);
		r = file_read_line(at("line"), out, cases[i].size);
		if (r != cases[i].r || !streq(out, cases[i].want))
			fail_msg("case '%s': %d '%s'", cases[i].name, r, out);
	}
	assert_int_equal(file_read_line(at("absent"), out, sizeof(out)), -ENOENT);
	assert_string_equal(out, "");
}

static void test_write_atomic(void **state)
{
	struct err e = { 0 };
	struct stat st;

	put("f", "old");
	assert_int_equal(file_write_atomic(at("f"), "new", 3, 0600, &e), 0);
	assert_int_equal(stat(at("f"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, 3);
	assert_int_equal(entries(), 1); /* no temporary file is left */
	assert_int_equal(file_write_atomic(at("no/f"), "x", 1, 0600, &e), -ENOENT);
	/* Over a folder: fails and leaves nothing. */
	assert_int_equal(mkdir(at("d"), 0755), 0);
	assert_true(file_write_atomic(at("d"), "x", 1, 0600, &e) < 0);
	assert_true(file_write_atomic(at("d/"), "x", 1, 0600, &e) < 0);
	assert_int_equal(entries(), 2);
	/* A link is replaced, not followed. */
	put("target", "t");
	assert_int_equal(symlink(at("target"), at("link")), 0);
	put("link", "l");
	assert_int_equal(lstat(at("link"), &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(stat(at("target"), &st), 0);
	assert_int_equal(st.st_size, 1);
}

/* Killed at any moment, the file is whole: all 'a' or all 'b'. */
static void test_write_killed(void **state)
{
	enum { SIZE = 60000 };
	CLEANUP(freep) char *a = malloc(SIZE), *b = malloc(SIZE);
	int round;

	memset(a, 'a', SIZE);
	memset(b, 'b', SIZE);
	assert_int_equal(file_write_atomic(at("f"), a, SIZE, 0644, NULL), 0);
	for (round = 0; round < 7; round++) {
		CLEANUP(freep) char *now = NULL;
		size_t len = 0;
		pid_t pid = fork();

		if (pid == 0) {
			for (;;) {
				(void)!file_write_atomic(at("f"), a, SIZE, 0644, NULL);
				(void)!file_write_atomic(at("f"), b, SIZE, 0644, NULL);
			}
		}
		(void)usleep((useconds_t)(500 + round * 2000));
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		assert_int_equal(file_read(at("f"), SIZE * 2, &now, &len, NULL), 0);
		assert_int_equal(len, SIZE);
		assert_memory_equal(now, *now == 'a' ? a : b, SIZE);
	}
}

static void test_write_if_changed(void **state)
{
	struct stat before, after;

	assert_int_equal(file_write_if_changed(at("f"), "abc", 3, 0644, NULL), 1);
	assert_int_equal(stat(at("f"), &before), 0);
	assert_int_equal(file_write_if_changed(at("f"), "abc", 3, 0644, NULL), 0);
	assert_int_equal(stat(at("f"), &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_int_equal(file_write_if_changed(at("f"), "abd", 3, 0644, NULL), 1);
	assert_int_equal(file_write_if_changed(at("f"), "ab", 2, 0644, NULL), 1);
	assert_int_equal(file_write_if_changed(at("f"), "ab", 2, 0600, NULL), 1);
	assert_int_equal(file_write_if_changed(at("f"), "", 0, 0600, NULL), 1);
	assert_int_equal(file_write_if_changed(at("f"), "", 0, 0600, NULL), 0);
	assert_true(file_write_if_changed(at("no/f"), "", 0, 0600, NULL) < 0);
}

static void test_copy(void **state)
{
	CLEANUP(freep) char *data = NULL;
	struct err e = { 0 };
	struct stat st;

	put("a", "hello");
	assert_int_equal(chmod(at("a"), 0750), 0);
	assert_int_equal(file_copy(at("a"), at("b"), 0, &e), 0);
	assert_int_equal(stat(at("b"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0750);
	assert_int_equal(file_copy(at("a"), at("b"), 0600, &e), 0);
	assert_int_equal(stat(at("b"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(file_read(at("b"), 10, &data, NULL, &e), 0);
	assert_string_equal(data, "hello");
	assert_int_equal(file_copy(at("absent"), at("c"), 0, &e), -ENOENT);
	assert_true(file_copy(dir, at("c"), 0, &e) < 0);
	assert_false(file_exists(at("c")));
}

static void test_dir_make(void **state)
{
	struct err e = { 0 };

	assert_int_equal(dir_make(at("a/b//c/"), 0755, &e), 0);
	assert_int_equal(dir_make(at("a/b/c"), 0755, &e), 0);
	assert_true(file_exists(at("a/b/c")));
	put("file", "");
	assert_int_equal(dir_make(at("file"), 0755, &e), -ENOTDIR);
	assert_true(dir_make(at("file/x"), 0755, &e) < 0);
	assert_int_equal(dir_make("/", 0755, &e), 0);
	assert_int_equal(dir_sync(at("a"), &e), 0);
	assert_int_equal(dir_sync(at("absent"), &e), -ENOENT);
}

static void test_dir_remove(void **state)
{
	struct err e = { 0 };
	char name[64];
	int i;

	assert_int_equal(dir_make(at("keep"), 0755, &e), 0);
	put("keep/file", "x");
	assert_int_equal(dir_make(at("gone/sub/deep"), 0755, &e), 0);
	for (i = 0; i < 3000; i++) {
		(void)snprintf(name, sizeof(name), "gone/sub/%d", i);
		assert_int_equal(symlink(at("keep"), at(name)), 0);
	}
	put("gone/file", "x");
	assert_int_equal(symlink(at("keep"), at("link")), 0);
	assert_int_equal(dir_remove(at("gone"), &e), 0);
	assert_false(file_exists(at("gone")));
	assert_int_equal(dir_remove(at("link"), &e), 0);
	assert_true(file_exists(at("keep/file"))); /* no link was followed */
	assert_int_equal(dir_remove(at("gone"), &e), 0);
	assert_int_equal(dir_remove(at("keep/file"), &e), 0);
	assert_int_equal(dir_remove("/proc/self/fd", &e) < 0, 1);
}

static int collect(const char *name, void *user)
{
	char *s = user;

	if (streq(name, "stop"))
		return 42;
	(void)strncat(s, name, 20);
	return 0;
}

static void test_dir_each(void **state)
{
	char s[100] = "";
	struct err e = { 0 };

	put("b", "");
	put("a", "");
	put("c", "");
	put(".d", "");
	assert_int_equal(dir_each(dir, collect, s, &e), 0);
	assert_string_equal(s, ".dabc");
	put("bstop", "");
	put("stop", "");
	put("z", "");
	s[0] = '\0';
	assert_int_equal(dir_each(dir, collect, s, &e), 42);
	assert_string_equal(s, ".dabbstopc");
	assert_int_equal(dir_each(at("absent"), collect, s, &e), -ENOENT);
	assert_int_equal(dir_each(at("a"), collect, s, &e), -ENOTDIR);
}

static void test_path_join(void **state)
{
	static const struct {
		const char *name, *a, *b, *c, *want;
		size_t size;
		int r;
	} cases[] = {
		{ "plain", "a", "b", "c", "a/b/c", 32, 0 },
		{ "slashes", "/a/", "/b//", "//c", "/a/b/c", 32, 0 },
		{ "root", "/", "etc", "x", "/etc/x", 32, 0 },
		{ "root and absolute", "/", "/etc", "x", "/etc/x", 32, 0 },
		{ "empty parts", "/a", "", "c", "/a/c", 32, 0 },
		{ "empty first", "", "/b", "c", "/b/c", 32, 0 },
		{ "trailing kept", "a", "b", "c/", "a/b/c/", 32, 0 },
		{ "just fits", "a", "b", "c", "a/b/c", 6, 0 },
		{ "one short", "a", "b", "c", "", 5, -ENAMETOOLONG },
		{ "much too long", "aaaaaaaaaa", "b", "c", "", 5, -ENAMETOOLONG },
	};
	char out[32];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		int r = path_join(
			out, cases[i].size, cases[i].a, cases[i].b, cases[i].c, NULL);

		if (r != cases[i].r || !streq(out, cases[i].want))
			fail_msg("case '%s': %d '%s'", cases[i].name, r, out);
	}
	assert_int_equal(path_join(out, sizeof(out), "a", NULL), 0);
	assert_string_equal(out, "a");
	assert_int_equal(path_join(out, 0, "a", NULL), -ENAMETOOLONG);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_read),
		T(test_read_pipe_does_not_hang),
		T(test_read_line),
		T(test_write_atomic),
		T(test_write_killed),
		T(test_write_if_changed),
		T(test_copy),
		T(test_dir_make),
		T(test_dir_remove),
		T(test_dir_each),
		T(test_path_join),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
