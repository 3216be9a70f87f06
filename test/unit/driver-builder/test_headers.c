// SPDX-License-Identifier: Apache-2.0
/* Headers out of archives: which entry counts, how the trees lie, how long they are kept; and builds
 * against Debian's own packages on a host that has no headers at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <glob.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "archive_maker.h"
#include "build_fixture.h"
#include "driver-builder/headers.h"

#define UTS "include/generated/utsrelease.h"

static const char *at(const struct fixture *f, const char *name)
{
	static char paths[4][PATH_MAX];
	static unsigned next;
	char *path = paths[next++ % 4];

	(void)snprintf(path, PATH_MAX, "%s/%s", f->state, name);
	return path;
}

static void put(const struct fixture *f, const char *name, const char *text)
{
	char dir[PATH_MAX];

	(void)snprintf(dir, sizeof(dir), "%s", at(f, name));
	*strrchr(dir, '/') = '\0';
	assert_int_equal(dir_make(dir, 0755, NULL), 0);
	assert_int_equal(
		file_write_atomic(at(f, name), text, strlen(text), 0644, NULL), 0);
}

static void test_named(void **state)
{
	struct api_kernel_headers h[] = { { .kernel = "6.1.0-*-cloud" },
		{ .kernel = "6.1.0-47-amd64" }, { .kernel = "6.1.*" } };
	const struct api_build b = { .headers = { h, 3 } }, none = { .system = 0 };

	assert_ptr_equal(headers_named(&b, "6.1.0-47-amd64"), &h[1]);
	assert_ptr_equal(headers_named(&b, "6.1.0-56-cloud"), &h[0]);
	assert_ptr_equal(headers_named(&b, "6.1.0-56-amd64"), &h[2]);
	assert_null(headers_named(&b, "6.12.0"));
	assert_null(headers_named(&none, "6.1.0"));
}

static void test_digest(void **state)
{
	struct api_archive a[] = { { "/a", "aa" }, { "/b", "bb" } };
	struct api_archive turned[] = { { "/b", "bb" }, { "/a", "aa" } };
	struct api_archive moved[] = { { "https://x/a", "aa" }, { "/b", "bb" } };
	struct api_kernel_headers h = { "R", { a, 2 } };
	char one[DIGEST_HEX + 1], two[DIGEST_HEX + 1];

	assert_int_equal(headers_digest(&h, one, NULL), 0);
	h = (struct api_kernel_headers){ "S", { moved, 2 } };
	assert_int_equal(headers_digest(&h, two, NULL), 0);
	assert_string_equal(one, two);
	h.archives.items = turned;
	assert_int_equal(headers_digest(&h, two, NULL), 0);
	assert_string_not_equal(one, two);
	h = (struct api_kernel_headers){ "R", { a, 1 } };
	assert_int_equal(headers_digest(&h, two, NULL), 0);
	assert_string_not_equal(one, two);
}

static void test_settle(void **state)
{
	static const struct {
		const char *name, *tree; /* folder of the header tree below tree/ */
		const char *release, *wanted; /* where it is to be; NULL: refused */
	} cases[] = {
		{ "on top", "", "6.1.0-1", "usr/src/linux-headers-6.1.0-1" },
		{ "in a folder", "kernel/", "6.1.0-1", "usr/src/linux-headers-6.1.0-1" },
		{ "Debian", "usr/src/linux-headers-9/", "9", "usr/src/linux-headers-9" },
		{ "Fedora", "usr/src/kernels/5.fc/", "5.fc", "usr/src/kernels/5.fc" },
		{ "another's name", "usr/src/linux-x/", "9", "usr/src/linux-x" },
		{ "no kernel's", "usr/src/nvidia/", "9", NULL },
		{ "too deep", "a/b/", "9", NULL },
		{ "a release that leads out", "", "../../x", NULL },
		{ "no release", "", "", NULL },
		{ "a long one", "",
			"1234567890123456789012345678901234567890123456789012345678901234567890",
			NULL },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char name[PATH_MAX], text[256], link[PATH_MAX], wanted[PATH_MAX];
		struct err e = { 0 };
		ssize_t n;
		int r;

		assert_int_equal(dir_remove(at(f, "d"), NULL), 0);
		(void)snprintf(name, sizeof(name), "d/tree/%s" UTS, cases[i].tree);
		(void)snprintf(text, sizeof(text), "#define UTS_RELEASE \"%s\"\n",
			cases[i].release);
		put(f, name, text);
		(void)snprintf(name, sizeof(name), "d/tree/%sMakefile", cases[i].tree);
		put(f, name, "all:\n");
		r = headers_settle(at(f, "d"), &e);
		if ((r == 0) != (cases[i].wanted != NULL))
			fail_msg("case '%s': %d: %s", cases[i].name, r, e.text);
		if (r < 0) {
			assert_int_equal(e.reason, REASON_HEADERS_MISSING);
			continue;
		}
		(void)snprintf(name, sizeof(name), "d/root/%s/Makefile", cases[i].wanted);
		if (!file_exists(at(f, name)))
			fail_msg("case '%s': no '%s'", cases[i].name, name);
		(void)snprintf(name, sizeof(name), "d/root/lib/modules/%s/build",
			cases[i].release);
		n = readlink(at(f, name), link, sizeof(link) - 1);
		assert_true(n > 0);
		link[n] = '\0';
		(void)snprintf(wanted, sizeof(wanted), "/%s", cases[i].wanted);
		assert_string_equal(link, wanted);
	}
}

/* What an archive has below /lib/modules does not count, whatever it is. */
static void test_settle_links(void **state)
{
	struct fixture *f = *state;
	char link[PATH_MAX] = "";
	struct err e = { 0 };

	put(f, "d/tree/usr/src/linux-headers-9/" UTS, "#define UTS_RELEASE \"9\"\n");
	assert_int_equal(dir_make(at(f, "d/tree/lib/modules/9"), 0755, NULL), 0);
	assert_int_equal(symlink("../../../usr", at(f, "d/tree/lib/modules/9/build")), 0);
	assert_int_equal(headers_settle(at(f, "d"), &e), 0);
	assert_true(
		readlink(at(f, "d/root/lib/modules/9/build"), link, PATH_MAX - 1) > 0);
	assert_string_equal(link, "/usr/src/linux-headers-9");

	/* A file where a folder must be. */
	assert_int_equal(dir_remove(at(f, "d"), NULL), 0);
	put(f, "d/tree/usr/src/linux-headers-9/" UTS, "#define UTS_RELEASE \"9\"\n");
	put(f, "d/tree/lib", "");
	assert_true(headers_settle(at(f, "d"), &e) < 0);
	assert_int_equal(e.reason, REASON_SOURCE_INVALID);
	/* A tree that is a link is none. */
	assert_int_equal(dir_remove(at(f, "d"), NULL), 0);
	put(f, "d/tree/opt/x/" UTS, "#define UTS_RELEASE \"9\"\n");
	assert_int_equal(dir_make(at(f, "d/tree/usr/src"), 0755, NULL), 0);
	assert_int_equal(
		symlink("../../opt/x", at(f, "d/tree/usr/src/linux-headers-9")), 0);
	assert_true(headers_settle(at(f, "d"), &e) < 0);
	assert_int_equal(e.reason, REASON_HEADERS_MISSING);
}

static int count(const char *name, void *user)
{
	++*(size_t *)user;
	return 0;
}

static void test_prune(void **state)
{
	struct fixture *f = *state;
	char name[PATH_MAX], path[PATH_MAX];
	size_t n = 0;
	int held = -1;

	for (int i = 0; i < 8; i++) {
		struct timespec t[2] = { { .tv_sec = 1000 + i }, { .tv_sec = 1000 + i } };

		(void)snprintf(name, sizeof(name), "headers/%064d/root/x", i);
		put(f, name, "x");
		(void)snprintf(name, sizeof(name), "headers/%064d", i);
		assert_int_equal(utimensat(AT_FDCWD, at(f, name), t, 0), 0);
	}
	put(f, "headers/part-abc/tree/x", "x");
	put(f, "headers/part-held/tree/x", "x");
	held = open(at(f, "headers/part-held"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(flock(held, LOCK_EX | LOCK_NB), 0);
	(void)snprintf(path, sizeof(path), "%s", at(f, "headers"));
	headers_prune(path);
	assert_int_equal(dir_each(path, count, &n, NULL), 0);
	assert_int_equal(n, HEADERS_KEPT_MAX + 1);
	assert_true(file_exists(at(f, "headers/part-held/tree/x")));
	for (int i = 0; i < 8; i++) {
		(void)snprintf(name, sizeof(name), "headers/%064d/root/x", i);
		assert_int_equal(file_exists(at(f, name)), i >= 8 - HEADERS_KEPT_MAX);
	}
	/* One that is used stays, however old. */
	(void)close(held);
	(void)snprintf(name, sizeof(name), "headers/%064d", 4);
	held = open(at(f, name), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(flock(held, LOCK_SH), 0);
	put(f, "headers/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/root/x",
		"x");
	headers_prune(path);
	n = 0;
	assert_int_equal(dir_each(path, count, &n, NULL), 0);
	assert_int_equal(n, HEADERS_KEPT_MAX);
	assert_true(file_exists(at(f, name)));
	(void)close(held);
}

/* ---- builds ---- */

struct bare {
	struct kernel kernel; /* as a host without headers has it */
	struct api_archive archives[3];
	struct api_kernel_headers headers;
	char paths[3][PATH_MAX], digests[3][DIGEST_HEX + 1];
};

/* A host that has the kernel and nothing to build with. */
static struct job *bare_job(struct fixture *f, struct bare *b)
{
	struct job *j = job(f, &b->kernel, "tiny", "tiny", API_BUILD_AUTO);

	*b = (struct bare){ .headers.kernel = "6.1.0-47-*" };
	(void)snprintf(b->kernel.release, sizeof(b->kernel.release), OLD);
	b->kernel.install = KERNEL_NO_HEADERS;
	(void)snprintf(j->path, sizeof(j->path), "%s/tiny", f->state);
	put(f, "tiny/Kbuild", "obj-m += tiny.o\n");
	put(f, "tiny/tiny.c", "#include <linux/module.h>\nMODULE_LICENSE(\"GPL\");\n");
	assert_int_equal(dir_make(at(f, "host/lib/modules/" OLD), 0755, NULL), 0);
	j->spec.build.headers = (struct list){ &b->headers, 1 };
	return j;
}

static void add_archive(struct bare *b, const char *path)
{
	size_t n = b->headers.archives.n;

	(void)snprintf(b->paths[n], sizeof(b->paths[n]), "%s", path);
	assert_int_equal(digest_file(path, b->digests[n], NULL), 0);
	b->archives[n] = (struct api_archive){ b->paths[n], b->digests[n] };
	b->headers.archives = (struct list){ b->archives, n + 1 };
}

static void test_debian(void **state)
{
	static const char *const packages[] = { "linux-headers-" OLD,
		"linux-headers-6.1.0-47-common", "linux-kbuild-6.1" };
	struct fixture *f = *state;
	char first[DIGEST_HEX + 1], host[PATH_MAX], pattern[PATH_MAX];
	struct artifact a = { 0 };
	struct build_result *res;
	struct bare b;
	struct job *j;

	need(f);
	j = bare_job(f, &b);
	for (size_t i = 0; i < ARRAY_SIZE(packages); i++) {
		glob_t g;

		(void)snprintf(pattern, sizeof(pattern), "%s/.debs/%s_*.deb", f->kroot,
			packages[i]);
		if (glob(pattern, 0, NULL, &g) != 0)
			skip();
		add_archive(&b, g.gl_pathv[0]);
		globfree(&g);
	}
	(void)snprintf(host, sizeof(host), "%s", at(f, "host"));
	j->q.root = host;
	res = run(j, 0, REASON_NONE);
	assert_false(res->is_reused);
	assert_int_equal(store_get(f->state, res->key, &a, NULL), 0);
	memcpy(first, a.modules[0].sha256, sizeof(first));
	artifact_done(&a);

	/* The archives are gone: what was unpacked is enough. */
	for (size_t i = 0; i < ARRAY_SIZE(packages); i++)
		(void)snprintf(b.paths[i], sizeof(b.paths[i]), "/no/such/%zu", i);
	j->q.force = true;
	res = run(j, 0, REASON_NONE);
	assert_false(res->is_reused);

	/* A host that has the same headers itself makes the same of it. */
	j->spec.build.headers.n = 0;
	j->q.root = f->kroot;
	j->q.kernel = f->old;
	j->q.force = false;
	res = run(j, 0, REASON_NONE);
	assert_true(res->is_reused);
	assert_int_equal(dir_remove(at(f, "store"), NULL), 0);
	res = run(j, 0, REASON_NONE);
	assert_false(res->is_reused);
	assert_int_equal(store_get(f->state, res->key, &a, NULL), 0);
	assert_string_equal(a.modules[0].sha256, first);
	artifact_done(&a);
}

static void test_bad(void **state)
{
	static const struct member none[] = { { "usr/share/doc/x", 0, "x" } };
	static const struct member other[] = { { "usr/src/linux-headers-9/" UTS, 0,
		"#define UTS_RELEASE \"9\"\n" } };
	static const struct member half[] = { { "usr/src/linux-headers-" OLD "/" UTS, 0,
						      "#define UTS_RELEASE \"" OLD
						      "\"\n" },
		{ "usr/src/linux-headers-" OLD "/Makefile", 0, "all:\n" } };
	static const struct member out[] = { { "x/l", AE_IFLNK, "../../etc" } };
	static const struct {
		const char *name;
		const struct member *m;
		size_t n;
		enum reason reason;
		const char *says;
	} cases[] = {
		{ "no headers", none, 1, REASON_HEADERS_MISSING, "no tree" },
		{ "another release", other, 1, REASON_HEADERS_MISSING, OLD },
		{ "half of them", half, 2, REASON_HEADERS_MISSING, "Module.symvers" },
		{ "a link that leads out", out, 1, REASON_SOURCE_INVALID, "leads out" },
	};
	struct fixture *f = *state;
	struct build_result *res;
	char host[PATH_MAX];
	struct bare b;
	struct job *j;
	size_t n;

	need(f);
	j = bare_job(f, &b);
	(void)snprintf(host, sizeof(host), "%s", at(f, "host"));
	j->q.root = host;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		pack_deb(at(f, "x.deb"), "gzip", cases[i].m, cases[i].n);
		b.headers.archives.n = 0;
		add_archive(&b, at(f, "x.deb"));
		res = run(j, -1, cases[i].reason);
		if (!strstr(res->err.text, cases[i].says))
			fail_msg("case '%s': %s", cases[i].name, res->err.text);
	}
	b.digests[0][0] ^= 1;
	(void)run(j, -1, REASON_SOURCE_DIGEST_MISMATCH);
	assert_int_equal(
		file_write_atomic(at(f, "x.deb"), "!<arch>\n", 8, 0644, NULL), 0);
	b.headers.archives.n = 0;
	add_archive(&b, at(f, "x.deb"));
	(void)run(j, -1, REASON_SOURCE_INVALID);
	(void)snprintf(b.paths[0], sizeof(b.paths[0]), "/no/such.deb");
	res = run(j, -1, REASON_SOURCE_MISSING);
	assert_non_null(strstr(res->err.text, "/no/such.deb"));
	(void)snprintf(b.paths[0], sizeof(b.paths[0]), "http://127.0.0.1:1/x.deb");
	(void)run(j, -1, REASON_SOURCE_UNAVAILABLE);
	/* Not for this kernel. */
	b.headers.kernel = "6.1.0-56-*";
	(void)run(j, -1, REASON_HEADERS_MISSING);
	/* What was refused left nothing. */
	n = 0;
	assert_int_equal(dir_each(at(f, "headers"), count, &n, NULL), 0);
	assert_int_equal(n, 2); /* whole trees that lack what this kernel needs */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_named),
		T(test_digest),
		T(test_settle),
		T(test_settle_links),
		T(test_prune),
		T(test_debian),
		T(test_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
