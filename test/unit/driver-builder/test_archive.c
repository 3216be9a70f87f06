// SPDX-License-Identifier: Apache-2.0
/* Archives: what they hold comes out; nothing in them leads elsewhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "archive_maker.h"
#include "driver-builder/archive.h"
#include "file.h"

static char top[64];
static const struct archive_limits roomy = { 1000, 4 << 20 };

static int setup(void **state)
{
	(void)snprintf(top, sizeof(top), "/tmp/farrier-archive-XXXXXX");
	return mkdtemp(top) ? 0 : -1;
}

static int teardown(void **state)
{
	return dir_remove(top, NULL);
}

static const char *at(const char *name)
{
	static char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/%s", top, name);
	return path;
}

/* Unpacks top/a into a new top/box/in: what is beside it must not change. */
static int unpack(const struct archive_limits *limits, struct err *e)
{
	int fd, dir, r;

	*e = (struct err){ 0 };
	assert_int_equal(dir_remove(at("box"), NULL), 0);
	assert_int_equal(dir_make(at("box/in"), 0755, NULL), 0);
	fd = open(at("a"), O_RDONLY | O_CLOEXEC);
	dir = open(at("box/in"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0 && dir >= 0);
	r = archive_unpack(fd, dir, limits, e);
	(void)close(fd);
	(void)close(dir);
	assert_int_equal(unlink(at("box/in")) < 0 ? errno : 0, EISDIR);
	return r;
}

static int count(const char *name, void *user)
{
	++*(int *)user;
	return 0;
}

static void holds(const char *name, const char *text)
{
	CLEANUP(freep) char *got = NULL;
	struct err e = { 0 };

	if (file_read(at(name), 1 << 20, &got, NULL, &e) < 0)
		fail_msg("%s: %s", name, e.text);
	assert_string_equal(got, text);
}

static void test_filters(void **state)
{
	static const char *const filters[] = { NULL, "gzip", "xz", "zstd" };
	static const struct member m[] = {
		{ "edu-1.0/", AE_IFDIR, NULL, 0700 },
		{ "edu-1.0/dkms.conf", 0, "PACKAGE_NAME=edu\n" },
		{ "edu-1.0/run.sh", 0, "#!/bin/sh\n", 06755 },
		{ "./edu-1.0//src/./a.c", 0, "int a;\n" },
		{ "edu-1.0/src", AE_IFDIR },
		{ "edu-1.0/hard.c", AE_IFREG, "edu-1.0/src/a.c", 0, 0, true },
		{ "edu-1.0/src/up", AE_IFLNK, "../dkms.conf" },
		{ "edu-1.0/edu-1.0", 0, "the folder's own name" },
		{ "edu-1.0/caf\xc3\xa9", 0, "utf-8" },
	};
	struct stat st;
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(filters); i++) {
		int n = 0;

		pack(at("a"), filters[i], m, ARRAY_SIZE(m));
		if (unpack(&roomy, &e) < 0)
			fail_msg("case '%s': %s", filters[i] ? filters[i] : "", e.text);
		/* One folder on top: its content is what comes out. */
		holds("box/in/dkms.conf", "PACKAGE_NAME=edu\n");
		holds("box/in/src/a.c", "int a;\n");
		holds("box/in/hard.c", "int a;\n");
		holds("box/in/src/up", "PACKAGE_NAME=edu\n");
		holds("box/in/edu-1.0", "the folder's own name");
		holds("box/in/caf\xc3\xa9", "utf-8");
		assert_int_equal(lstat(at("box/in/run.sh"), &st), 0);
		assert_int_equal(st.st_mode, S_IFREG | 0755); /* no set-uid */
		assert_int_equal(st.st_mtim.tv_sec, 1000000000);
		assert_int_equal(dir_each(at("box/in"), count, &n, NULL), 0);
		assert_int_equal(n, 6);
		n = 0;
		assert_int_equal(dir_each(at("box"), count, &n, NULL), 0);
		assert_int_equal(n, 1);
	}
}

static void test_several_tops(void **state)
{
	static const struct member two[] = { { "src/a.c", 0, "a" },
		{ "dkms.conf", 0, "b" } };
	static const struct member link[] = { { "src/a.c", 0, "a" },
		{ "l", AE_IFLNK, "src/a.c" } };
	struct err e;

	pack(at("a"), "gzip", two, 2);
	assert_int_equal(unpack(&roomy, &e), 0);
	holds("box/in/src/a.c", "a");
	holds("box/in/dkms.conf", "b");
	pack(at("a"), "gzip", link, 2);
	assert_int_equal(unpack(&roomy, &e), 0);
	holds("box/in/src/a.c", "a");
	holds("box/in/l", "a");
}

static void test_hostile(void **state)
{
	static const struct {
		const char *name;
		struct member m[3];
		size_t n;
		const char *says;
	} cases[] = {
		{ "absolute", { { "/tmp/x", 0, "x" } }, 1, "absolute" },
		{ "parent", { { "../x", 0, "x" } }, 1, "'..'" },
		{ "parent within", { { "a/../../x", 0, "x" } }, 1, "'..'" },
		{ "parent folder", { { "a/..", AE_IFDIR } }, 1, "'..'" },
		{ "device", { { "a/null", AE_IFCHR } }, 1, "'a/null': a device" },
		{ "disk", { { "sda", AE_IFBLK } }, 1, "a device" },
		{ "pipe", { { "p", AE_IFIFO } }, 1, "a pipe" },
		{ "absolute link", { { "l", AE_IFLNK, "/etc/passwd" } }, 1, "leads out" },
		{ "link up", { { "a/l", AE_IFLNK, "../../x" } }, 1, "leads out" },
		{ "link up, stripped", { { "a/l", AE_IFLNK, "../x" }, { "a/b", 0, "" } },
			2, "leads out" },
		{ "link up and down",
			{ { "d/l", AE_IFLNK, "x/../../.." }, { "e", 0, "" } }, 2,
			"leads out" },
		{ "through a link", { { "l", AE_IFLNK, "d" }, { "l/x", 0, "x" } }, 2,
			"named twice" },
		{ "link over a file", { { "x", 0, "x" }, { "x", AE_IFLNK, "y" } }, 2,
			"named twice" },
		{ "twice", { { "a/x", 0, "x" }, { "./a/x", 0, "y" } }, 2, "named twice" },
		{ "folder over a file", { { "x", 0, "x" }, { "x", AE_IFDIR } }, 2,
			"named twice" },
		{ "below a file", { { "x", 0, "x" }, { "x/y", 0, "y" } }, 2,
			"no folder" },
		{ "hard link out",
			{ { "h", AE_IFREG, "../../../etc/passwd", 0, 0, true } }, 1,
			"'..'" },
		{ "absolute hard link", { { "h", AE_IFREG, "/etc/passwd", 0, 0, true } },
			1, "absolute" },
		{ "hard link to nothing", { { "h", AE_IFREG, "nothing", 0, 0, true } }, 1,
			"hard link" },
		{ "hard link to a folder",
			{ { "d", AE_IFDIR }, { "h", AE_IFREG, "d", 0, 0, true } }, 2,
			"hard link" },
		{ "hard link to a link",
			{ { "l", AE_IFLNK, "x" }, { "h", AE_IFREG, "l", 0, 0, true } }, 2,
			"hard link" },
		{ "bomb", { { "zeros", 0, NULL, 0, 5 << 20 } }, 1, "too large" },
		{ "control character", { { "a\nb", 0, "x" } }, 1, "control character" },
		{ "nothing", { { "./", AE_IFDIR } }, 1, "no file" },
		{ "nothing in a folder", { { "d/", AE_IFDIR } }, 1, "no file" },
	};
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int n = 0;

		pack(at("a"), "gzip", cases[i].m, cases[i].n);
		if (unpack(&roomy, &e) >= 0 || e.reason != REASON_SOURCE_INVALID ||
			!strstr(e.text, cases[i].says))
			fail_msg("case '%s': %s: %s", cases[i].name,
				reason_name(e.reason), e.text);
		assert_int_equal(dir_each(at("box"), count, &n, NULL), 0);
		assert_int_equal(n, 1);
	}
}

/* What two packages install, one over the other: nothing is taken off, links stay in the root. */
static void test_packages(void **state)
{
	static const struct member one[] = {
		{ "./", AE_IFDIR },
		{ "./usr/src/h/Makefile", 0, "include /usr/src/c/Makefile\n" },
		{ "./lib/modules/R/build", AE_IFLNK, "/usr/src/h" },
		{ "./usr/src/h/top", AE_IFLNK, "/" },
	};
	static const struct member two[] = { { "./usr/src/c/Makefile", 0, "all:\n" } };
	static const struct archive_limits root = { 1000, 4 << 20, true };
	char target[64] = "";
	int fd, dir;
	struct err e;

	pack_deb(at("a"), "xz", one, ARRAY_SIZE(one));
	assert_int_equal(unpack(&root, &e), 0);
	pack_deb(at("b"), "zstd", two, ARRAY_SIZE(two));
	fd = open(at("b"), O_RDONLY | O_CLOEXEC);
	dir = open(at("box/in"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(archive_unpack(fd, dir, &root, &e), 0);
	holds("box/in/usr/src/h/Makefile", "include /usr/src/c/Makefile\n");
	holds("box/in/usr/src/c/Makefile", "all:\n");
	holds("box/in/lib/modules/R/build/Makefile", "include /usr/src/c/Makefile\n");
	assert_true(readlink(at("box/in/usr/src/h/top"), target, 63) > 0);
	assert_string_equal(target, "../../../.");
	/* The same again has all its names twice. */
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(archive_unpack(fd, dir, &root, &e), -EEXIST);
	assert_int_equal(e.reason, REASON_SOURCE_INVALID);
	(void)close(fd);
	(void)close(dir);
	/* As a source, a package is as any archive. */
	assert_int_equal(unpack(&roomy, &e), -EINVAL);
	pack_deb(at("a"), "gzip", two, ARRAY_SIZE(two));
	assert_int_equal(unpack(&roomy, &e), 0);
	holds("box/in/src/c/Makefile", "all:\n");
}

static void test_bad_packages(void **state)
{
	static const struct member m[] = { { "usr/a", 0, "1" } };
	static const struct member out[] = { { "usr/l", AE_IFLNK, "../../x" } };
	static const struct member up[] = { { "usr/l", AE_IFLNK, "/usr/../../x" } };
	static const struct archive_limits root = { 1000, 4 << 20, true };
	CLEANUP(freep) char *data = NULL;
	struct err e;
	size_t len;

	pack_deb(at("a"), "gzip", out, 1);
	assert_int_equal(unpack(&root, &e), -EINVAL);
	assert_non_null(strstr(e.text, "leads out"));
	pack_deb(at("a"), "gzip", up, 1);
	assert_int_equal(unpack(&root, &e), -EINVAL);
	assert_non_null(strstr(e.text, "leads out"));
	assert_int_equal(file_write_atomic(at("a"), "!<arch>\n", 8, 0644, NULL), 0);
	assert_true(unpack(&root, &e) < 0);
	assert_int_equal(e.reason, REASON_SOURCE_INVALID);
	assert_non_null(strstr(e.text, "data.tar"));
	pack_deb(at("a"), "xz", m, 1);
	assert_int_equal(file_read(at("a"), 1 << 20, &data, &len, NULL), 0);
	/* Cut off at any place: refused until the content is whole. */
	for (size_t n = 8; n + 64 < len; n += 16) {
		assert_int_equal(file_write_atomic(at("a"), data, n, 0644, NULL), 0);
		if (unpack(&root, &e) >= 0 || e.reason != REASON_SOURCE_INVALID)
			fail_msg("%zu of %zu bytes: %s", n, len, e.text);
	}
}

static void test_counts(void **state)
{
	static const struct member m[] = { { "a", 0, "1" }, { "b", 0, "2" },
		{ "c", 0, "3" } };
	struct err e;

	pack(at("a"), NULL, m, 3);
	assert_int_equal(unpack(&(struct archive_limits){ 3, 3 }, &e), 0);
	assert_int_equal(unpack(&(struct archive_limits){ 2, 3 }, &e), -E2BIG);
	assert_int_equal(unpack(&(struct archive_limits){ 3, 2 }, &e), -EFBIG);
}

/* Every prefix of an archive, and the archive with each byte changed: told, or taken; never worse. */
static void test_broken(void **state)
{
	static const char *const filters[] = { NULL, "gzip", "xz", "zstd" };
	static const struct member m[] = { { "d/a.c", 0, "int a;\n" },
		{ "d/l", AE_IFLNK, "a.c" } };
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(filters); i++) {
		CLEANUP(freep) char *data = NULL;
		size_t len, step;

		pack(at("a"), filters[i], m, 2);
		assert_int_equal(file_read(at("a"), 1 << 20, &data, &len, NULL), 0);
		step = MAX(len / 40, (size_t)1);
		for (size_t n = 0; n < len; n += step) {
			FILE *f = fopen(at("a"), "we");

			assert_non_null(f);
			assert_int_equal(fwrite(data, 1, n, f), n);
			assert_int_equal(fclose(f), 0);
			if (unpack(&roomy, &e) < 0)
				assert_true(e.code < 0 && *e.text);
			/* Less than the first header can be nothing at all. */
			if (n < 50)
				assert_int_equal(e.reason, REASON_SOURCE_INVALID);
			data[n] ^= 0x41;
			f = fopen(at("a"), "we");
			assert_non_null(f);
			assert_int_equal(fwrite(data, 1, len, f), len);
			assert_int_equal(fclose(f), 0);
			data[n] ^= 0x41;
			if (unpack(&roomy, &e) < 0)
				assert_true(e.code < 0 && *e.text);
		}
	}
	assert_int_equal(
		file_write_atomic(at("a"), "#!/bin/sh\nexit\n", 15, 0644, NULL), 0);
	assert_true(unpack(&roomy, &e) < 0);
	assert_int_equal(e.reason, REASON_SOURCE_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_filters),
		T(test_several_tops),
		T(test_hostile),
		T(test_packages),
		T(test_bad_packages),
		T(test_counts),
		T(test_broken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
