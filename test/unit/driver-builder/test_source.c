// SPDX-License-Identifier: Apache-2.0
/* Sources: recognised, digested, copied, and kept from leading elsewhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "driver-builder/source.h"
#include "file.h"

static char top[64];

static int setup(void **state)
{
	(void)snprintf(top, sizeof(top), "/tmp/farrier-source-XXXXXX");
	return mkdtemp(top) ? 0 : -1;
}

static int teardown(void **state)
{
	return dir_remove(top, NULL);
}

static void put(const char *path, const char *text, mode_t mode)
{
	char full[PATH_MAX], dir[PATH_MAX];
	struct err e = { 0 };

	(void)snprintf(full, sizeof(full), "%s%s", top, path);
	(void)snprintf(dir, sizeof(dir), "%s", full);
	*strrchr(dir, '/') = '\0';
	if (dir_make(dir, 0755, &e) < 0 ||
		file_write_atomic(full, text, strlen(text), mode, &e) < 0)
		fail_msg("%s", e.text);
}

static int open_path(
	const char *path, const char *sha256, struct source *s, struct err *e)
{
	struct api_source in = { .type = API_SOURCE_HOST };

	in.host.present = true;
	in.host.path = path;
	in.host.sha256 = sha256;
	return source_open(&in, top, API_BUILD_AUTO, s, e);
}

/* The source borrows the list: it lives until the next call. */
static int open_files(const struct kv *files, size_t n, struct source *s, struct err *e)
{
	static struct api_source in;

	in = (struct api_source){ .type = API_SOURCE_INLINE };
	in.inline_.present = true;
	in.inline_.files = (struct list){ (void *)(uintptr_t)files, n };
	return source_open(&in, "/", API_BUILD_AUTO, s, e);
}

static const struct {
	const char *name, *file, *text;
	int system; /* -1: refused */
} systems[] = {
	{ "dkms", "dkms.conf", "", API_BUILD_DKMS },
	{ "kbuild", "Kbuild", "", API_BUILD_KBUILD },
	{ "makefile for kbuild", "Makefile", "x = 1\nobj-m += a.o\n", API_BUILD_KBUILD },
	{ "makefile with a condition", "Makefile",
		"ifneq (,$(KERNELRELEASE))\n  obj-m := a.o\nendif\n", API_BUILD_KBUILD },
	{ "makefile by configuration", "Makefile", "obj-$(CONFIG_A) += a.o\n",
		API_BUILD_KBUILD },
	{ "plain makefile", "Makefile", "all:\n\techo obj-m\n# obj-m := no\n",
		API_BUILD_MAKE },
	{ "GNUmakefile", "GNUmakefile", "all:\n", API_BUILD_MAKE },
	{ "nothing", "README", "", -1 },
};

static void test_systems(void **state)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(systems); i++) {
		const struct kv files[] = { { systems[i].file, systems[i].text } };
		char path[PATH_MAX], dir[32];
		struct source s, t;
		struct err e = { 0 };
		int r, q;

		(void)snprintf(dir, sizeof(dir), "/s%zu", i);
		(void)snprintf(path, sizeof(path), "%s/%s", dir, systems[i].file);
		put(path, systems[i].text, 0644);
		r = open_path(dir, NULL, &s, &e);
		q = open_files(files, 1, &t, &e);
		if ((r < 0) != (systems[i].system < 0) || (q < 0) != (r < 0) ||
			(r == 0 &&
				(s.system != systems[i].system || t.system != s.system)))
			fail_msg("case '%s': %d %d %s", systems[i].name, r, q, e.text);
		if (r < 0) {
			assert_int_equal(e.reason, REASON_SOURCE_INVALID);
			continue;
		}
		source_done(&s);
		source_done(&t);
	}
}

static void test_missing(void **state)
{
	struct source s;
	struct err e = { 0 };

	assert_true(open_path("/no/such", NULL, &s, &e) < 0);
	assert_int_equal(e.reason, REASON_SOURCE_MISSING);
	assert_true(open_path("relative", NULL, &s, &e) < 0);
	assert_int_equal(e.reason, REASON_SOURCE_INVALID);
	put("/dir/file", "x", 0644);
	assert_true(open_path("/dir/file/x", NULL, &s, &e) < 0);
	assert_int_equal(e.reason, REASON_SOURCE_MISSING);
	assert_true(open_files(NULL, 0, &s, &e) < 0);
	assert_int_equal(e.reason, REASON_SOURCE_MISSING);
}

/* A file is an archive: what is in it is looked at when it is unpacked, its digest is known now. */
static void test_archives(void **state)
{
	static const char sha[] =
		"2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
	struct api_source in = { .type = API_SOURCE_HTTP };
	struct source s;
	struct err e = { 0 };

	put("/a.tar", "x", 0644);
	assert_int_equal(open_path("/a.tar", sha, &s, &e), 0);
	assert_true(s.is_archive);
	assert_string_equal(s.digest, sha);
	assert_int_equal(s.system, API_BUILD_AUTO);
	source_done(&s);
	put("/a.tar", "y", 0644);
	assert_true(open_path("/a.tar", sha, &s, &e) < 0);
	assert_int_equal(e.reason, REASON_SOURCE_DIGEST_MISMATCH);

	in.http.url = "https://127.0.0.1:1/x";
	assert_true(source_open(&in, "/", API_BUILD_AUTO, &s, &e) < 0);
	assert_int_equal(e.reason, REASON_SOURCE_INVALID);
	in.http.sha256 = sha;
	assert_int_equal(source_open(&in, "/", API_BUILD_DKMS, &s, &e), 0);
	assert_true(s.is_archive && !s.path);
	assert_string_equal(s.digest, sha);
	assert_int_equal(s.system, API_BUILD_DKMS);
	source_done(&s);
}

static void test_digest_decides(void **state)
{
	char right[DIGEST_HEX + 1];
	struct source s;
	struct err e = { 0 };

	put("/d/Kbuild", "obj-m := a.o\n", 0644);
	assert_int_equal(open_path("/d", NULL, &s, &e), 0);
	memcpy(right, s.digest, sizeof(right));
	source_done(&s);
	assert_int_equal(open_path("/d", right, &s, &e), 0);
	source_done(&s);
	put("/d/Kbuild", "obj-m := b.o\n", 0644);
	assert_true(open_path("/d", right, &s, &e) < 0);
	assert_int_equal(e.reason, REASON_SOURCE_DIGEST_MISMATCH);
}

static void test_links_stay_in_the_root(void **state)
{
	char path[PATH_MAX];
	struct source s;
	struct err e = { 0 };

	put("/usr/src/a-1/Kbuild", "", 0644);
	(void)snprintf(path, sizeof(path), "%s/usr/src/a", top);
	assert_int_equal(symlink("/usr/src/a-1", path), 0);
	assert_int_equal(open_path("/usr/src/a", NULL, &s, &e), 0);
	(void)snprintf(path, sizeof(path), "%s/usr/src/a-1", top);
	assert_string_equal(s.path, path);
	source_done(&s);
	(void)snprintf(path, sizeof(path), "%s/evil", top);
	assert_int_equal(symlink("../../../../../../etc", path), 0);
	assert_true(open_path("/evil", NULL, &s, &e) < 0);
}

static void test_copy(void **state)
{
	char from[PATH_MAX], to[PATH_MAX], text[16];
	struct source s;
	struct err e = { 0 };
	struct stat st;
	ssize_t n;

	put("/src/Kbuild", "obj-m := a.o\n", 0644);
	put("/src/deep/er/script.sh", "#!/bin/sh\n", 0744);
	(void)snprintf(from, sizeof(from), "%s/src/link", top);
	assert_int_equal(symlink("/etc/passwd", from), 0);
	(void)snprintf(to, sizeof(to), "%s/copy", top);
	assert_int_equal(mkdir(to, 0755), 0);
	assert_int_equal(open_path("/src", NULL, &s, &e), 0);
	if (source_copy(&s, to, (uid_t)-1, (gid_t)-1, &e) < 0)
		fail_msg("%s", e.text);
	(void)snprintf(to, sizeof(to), "%s/copy/deep/er/script.sh", top);
	assert_int_equal(stat(to, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	/* A link is copied, never followed. */
	(void)snprintf(to, sizeof(to), "%s/copy/link", top);
	n = readlink(to, text, sizeof(text));
	assert_int_equal(n, strlen("/etc/passwd"));

	/* What changes under our hands is noticed. */
	put("/src/Kbuild", "obj-m := b.o\n", 0644);
	(void)snprintf(to, sizeof(to), "%s/copy2", top);
	assert_int_equal(mkdir(to, 0755), 0);
	assert_true(source_copy(&s, to, (uid_t)-1, (gid_t)-1, &e) < 0);
	assert_int_equal(e.reason, REASON_SOURCE_INVALID);
	source_done(&s);
}

static void test_pipes_are_refused(void **state)
{
	char path[PATH_MAX];
	struct source s;
	struct err e = { 0 };

	put("/p/Kbuild", "", 0644);
	(void)snprintf(path, sizeof(path), "%s/p/pipe", top);
	assert_int_equal(mkfifo(path, 0644), 0);
	assert_true(open_path("/p", NULL, &s, &e) < 0);
	assert_int_equal(e.reason, REASON_SOURCE_INVALID);
}

static void test_inline(void **state)
{
	static const struct kv one[] = { { "Kbuild", "obj-m := a.o\n" },
		{ "d/a.c", "x" } };
	static const struct kv turned[] = { { "d/a.c", "x" },
		{ "Kbuild", "obj-m := a.o\n" } };
	static const struct kv other[] = { { "Kbuild", "obj-m := a.o\n" },
		{ "d/a.cx", "" } };
	static const char *const bad[] = { "", "/abs", "../up", "a/../b", "a//b", "a/",
		".", "a/./b" };
	char to[PATH_MAX], first[DIGEST_HEX + 1];
	CLEANUP(freep) char *text = NULL;
	struct source s;
	struct err e = { 0 };
	size_t i;

	assert_int_equal(open_files(one, 2, &s, &e), 0);
	memcpy(first, s.digest, sizeof(first));
	(void)snprintf(to, sizeof(to), "%s/in", top);
	assert_int_equal(mkdir(to, 0755), 0);
	if (source_copy(&s, to, (uid_t)-1, (gid_t)-1, &e) < 0)
		fail_msg("%s", e.text);
	(void)snprintf(to, sizeof(to), "%s/in/d/a.c", top);
	assert_int_equal(file_read(to, 10, &text, NULL, &e), 0);
	assert_string_equal(text, "x");
	source_done(&s);
	assert_int_equal(open_files(turned, 2, &s, &e), 0);
	assert_string_equal(s.digest, first);
	source_done(&s);
	assert_int_equal(open_files(other, 2, &s, &e), 0);
	assert_string_not_equal(s.digest, first);
	source_done(&s);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		const struct kv files[] = { { "Kbuild", "" }, { bad[i], "x" } };

		e = (struct err){ 0 };
		if (open_files(files, 2, &s, &e) == 0 ||
			e.reason != REASON_SOURCE_INVALID)
			fail_msg("name '%s' was taken", bad[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_systems),
		T(test_missing),
		T(test_archives),
		T(test_digest_decides),
		T(test_links_stay_in_the_root),
		T(test_copy),
		T(test_pipes_are_refused),
		T(test_inline),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
