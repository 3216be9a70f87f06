// SPDX-License-Identifier: Apache-2.0
/* Which kernels a host has, in every half-installed state; how releases are ordered; paths below a root. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "driver-builder/kernels.h"
#include "file.h"

static const struct {
	const char *a, *b;
	int sign;
} versions[] = {
	{ "6.1.0-9-amd64", "6.1.0-47-amd64", -1 },
	{ "6.1.0-47-amd64", "6.1.0-47-amd64", 0 },
	{ "6.1.0-56-amd64", "6.12.0-1-amd64", -1 },
	{ "6.12.117+deb12-amd64", "6.1.0-56-amd64", 1 },
	{ "6.12~rc1", "6.12", -1 },
	{ "6.12-rc1-amd64", "6.12-1-amd64", -1 },
	{ "6.12.0-rc7", "6.12.0", -1 },
	{ "6.1.0-56-amd64", "6.1.0-56-cloud-amd64", -1 },
	{ "5.15.0-100-generic", "5.15.0-99-generic", 1 },
	{ "5.15.0-99.109", "5.15.0-99.110", -1 },
	{ "6.5.0", "6.5.00", 0 },
	{ "5.14.0-362.el9.x86_64", "5.14.0-70.el9.x86_64", 1 },
	{ "6.1.0-56-amd64.old", "6.1.0-56-amd64", -1 },
	{ "99999999999999999999999.1", "99999999999999999999998.2", 1 },
	{ "", "1", -1 },
	{ "", "", 0 },
};

static int sign(int v)
{
	return (v > 0) - (v < 0);
}

static void test_versions(void **state)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(versions); i++) {
		const char *a = versions[i].a, *b = versions[i].b;

		if (sign(kernel_version_cmp(a, b)) != versions[i].sign ||
			sign(kernel_version_cmp(b, a)) != -versions[i].sign)
			fail_msg("'%s' against '%s': %d", a, b, kernel_version_cmp(a, b));
	}
}

static void test_release_names(void **state)
{
	assert_true(kernel_release_is_valid("6.12.117+deb12-amd64"));
	assert_true(kernel_release_is_valid("6.12~rc1"));
	assert_false(kernel_release_is_valid(""));
	assert_false(kernel_release_is_valid(".."));
	assert_false(kernel_release_is_valid("-rf"));
	assert_false(kernel_release_is_valid("a/b"));
	assert_false(kernel_release_is_valid("a b"));
	assert_false(kernel_release_is_valid("6\n"));
}

/* ---- a root made by hand ---- */

static char root[64];

static void put(const char *path, const char *text)
{
	char full[PATH_MAX], dir[PATH_MAX];
	struct err e = { 0 };

	(void)snprintf(full, sizeof(full), "%s%s", root, path);
	(void)snprintf(dir, sizeof(dir), "%s", full);
	*strrchr(dir, '/') = '\0';
	if (dir_make(dir, 0755, &e) < 0 ||
		file_write_atomic(full, text, strlen(text), 0644, &e) < 0)
		fail_msg("%s", e.text);
}

static void put_link(const char *path, const char *target)
{
	char full[PATH_MAX];

	(void)snprintf(full, sizeof(full), "%s%s", root, path);
	assert_int_equal(symlink(target, full), 0);
}

static void put_headers(const char *dir, const char *release)
{
	char path[PATH_MAX], text[128];

	(void)snprintf(path, sizeof(path), "%s/Makefile", dir);
	put(path, "# a kernel's\n");
	(void)snprintf(path, sizeof(path), "%s/Module.symvers", dir);
	put(path, "");
	(void)snprintf(path, sizeof(path), "%s/.config", dir);
	put(path, "CONFIG_CC_VERSION_TEXT=\"gcc-12 (Debian 12.2.0-14) 12.2.0\"\n"
		  "CONFIG_SMP=y\n");
	(void)snprintf(path, sizeof(path), "%s/scripts/mod/modpost", dir);
	put(path, "");
	(void)snprintf(path, sizeof(path), "%s/include/generated/autoconf.h", dir);
	put(path, "");
	(void)snprintf(path, sizeof(path), "%s/include/generated/utsrelease.h", dir);
	(void)snprintf(text, sizeof(text), "#define UTS_RELEASE \"%s\"\n", release);
	put(path, text);
}

static int setup(void **state)
{
	(void)snprintf(root, sizeof(root), "/tmp/farrier-kernels-XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int teardown(void **state)
{
	return dir_remove(root, NULL);
}

static struct kernels scan(void)
{
	struct kernels k = { 0 };
	struct err e = { 0 };

	if (kernels_scan(root, &k, &e) < 0)
		fail_msg("%s", e.text);
	return k;
}

static void test_nothing_installed(void **state)
{
	struct kernels k = scan();

	assert_int_equal(k.n, 0);
	assert_null(kernels_next(&k));
	kernels_done(&k);
}

static void test_complete_and_next(void **state)
{
	const struct kernel *x;
	struct kernels k;
	char text[64];

	put("/lib/modules/6.1.0-9/modules.dep", "");
	put("/lib/modules/6.1.0-47/modules.dep", "");
	put("/lib/modules/6.1.0-99/modules.dep", ""); /* no image: cannot boot */
	put("/boot/vmlinuz-6.1.0-9", "");
	put("/boot/vmlinuz-6.1.0-47", "");
	put_headers("/usr/src/linux-headers-6.1.0-47", "6.1.0-47");
	put_link("/lib/modules/6.1.0-47/build", "/usr/src/linux-headers-6.1.0-47");
	k = scan();
	assert_int_equal(k.n, 3);
	assert_string_equal(k.items[0].release, "6.1.0-99");
	assert_string_equal(k.items[2].release, "6.1.0-9");
	x = kernels_next(&k);
	assert_non_null(x);
	assert_string_equal(x->release, "6.1.0-47");
	assert_int_equal(x->install, KERNEL_COMPLETE);
	assert_string_equal(x->headers_in, "/usr/src/linux-headers-6.1.0-47");
	assert_true(str_starts(x->headers, root));
	assert_null(x->missing);
	assert_int_equal(
		kernel_config_get(x, "CONFIG_CC_VERSION_TEXT", text, sizeof(text)), 0);
	assert_string_equal(text, "gcc-12 (Debian 12.2.0-14) 12.2.0");
	assert_int_equal(kernel_config_get(x, "CONFIG_SM", text, sizeof(text)), -ENOENT);
	assert_int_equal(
		kernel_config_get(x, "CONFIG_CC_VERSION_TEXT", text, 5), -ENOBUFS);
	assert_int_equal(kernels_find(&k, "6.1.0-9")->install, KERNEL_NO_HEADERS);
	assert_null(kernels_find(&k, "6.1.0"));
	kernels_done(&k);
}

static void test_half_installed(void **state)
{
	const struct kernel *x;
	struct kernels k;

	/* The image came, its headers have not. */
	put("/lib/modules/1.0/kernel/a.ko", "");
	/* Headers without their modules: another machine's, or an image removed. */
	put_headers("/usr/src/linux-headers-2.0", "2.0");
	put("/lib/modules/2.0/updates/x.ko", "");
	/* Headers under way: the link is there, the tree is not whole. */
	put("/lib/modules/3.0/modules.dep", "");
	put("/usr/src/linux-headers-3.0/Makefile", "");
	put_link("/lib/modules/3.0/build", "/usr/src/linux-headers-3.0");
	/* A link to nowhere is no headers. */
	put("/lib/modules/4.0/modules.dep", "");
	put_link("/lib/modules/4.0/build", "/usr/src/gone");
	/* Headers of another release. */
	put("/lib/modules/5.0/modules.dep", "");
	put_headers("/usr/src/linux-headers-5.0", "5.0-other");
	/* Debian's second half, the common headers, is still to come. */
	put("/lib/modules/6.0/modules.dep", "");
	put_headers("/usr/src/linux-headers-6.0", "6.0");
	put("/usr/src/linux-headers-6.0/Makefile",
		"include /usr/src/linux-headers-6.0-common/Makefile\n");
	k = scan();
	assert_int_equal(kernels_find(&k, "1.0")->install, KERNEL_NO_HEADERS);
	assert_int_equal(kernels_find(&k, "2.0")->install, KERNEL_NO_MODULES);
	assert_non_null(kernels_find(&k, "2.0")->headers);
	x = kernels_find(&k, "3.0");
	assert_int_equal(x->install, KERNEL_HEADERS_PARTIAL);
	assert_non_null(strstr(x->missing, "Module.symvers"));
	assert_null(x->headers);
	assert_int_equal(kernels_find(&k, "4.0")->install, KERNEL_NO_HEADERS);
	x = kernels_find(&k, "5.0");
	assert_int_equal(x->install, KERNEL_HEADERS_PARTIAL);
	assert_non_null(strstr(x->missing, "another release"));
	x = kernels_find(&k, "6.0");
	assert_int_equal(x->install, KERNEL_HEADERS_PARTIAL);
	assert_non_null(strstr(x->missing, "linux-headers-6.0-common/Makefile"));
	kernels_done(&k);

	put("/usr/src/linux-headers-6.0-common/Makefile", "");
	k = scan();
	assert_int_equal(kernels_find(&k, "6.0")->install, KERNEL_COMPLETE);
	kernels_done(&k);
}

/* Releases that a spec asks for ahead of their installation. */
static void test_extra(void **state)
{
	const struct kernel *x;
	struct err e = { 0 };
	struct kernels k;

	put("/lib/modules/1.0/modules.dep", "");
	put("/boot/vmlinuz-1.0", "");
	put_headers("/usr/src/linux-headers-2.0", "2.0");
	/* As Debian's headers come: a folder with the link to them and nothing else. */
	put_headers("/usr/src/linux-headers-3.0", "3.0");
	put("/lib/modules/3.0/x", "");
	put_link("/lib/modules/3.0/build", "/usr/src/linux-headers-3.0");
	k = scan();
	assert_int_equal(kernels_add_extra(&k, root, "1.0", &e), 0);
	assert_int_equal(kernels_add_extra(&k, root, "2.0", &e), 0);
	assert_int_equal(kernels_add_extra(&k, root, "2.0", &e), 0);
	assert_int_equal(kernels_add_extra(&k, root, "3.0", &e), 0);
	assert_int_equal(kernels_add_extra(&k, root, "4.0", &e), 0);
	assert_int_equal(kernels_add_extra(&k, root, "../etc", &e), -EINVAL);
	assert_int_equal(k.n, 4);
	assert_string_equal(k.items[0].release, "4.0");
	assert_int_equal(k.items[0].install, KERNEL_NO_HEADERS);
	assert_non_null(k.items[0].missing);
	for (size_t i = 1; i < 3; i++) {
		x = &k.items[i];
		assert_int_equal(x->install, KERNEL_COMPLETE);
		assert_true(x->is_extra && !x->has_modules && !x->is_next);
		assert_non_null(x->headers);
		assert_null(x->missing);
	}
	/* What is installed stays what it is. */
	x = kernels_find(&k, "1.0");
	assert_false(x->is_extra);
	assert_int_equal(x->install, KERNEL_NO_HEADERS);
	assert_ptr_equal(kernels_next(&k), x);
	kernels_done(&k);
}

static void test_running(void **state)
{
	struct utsname u;
	struct kernels k;
	char path[128];

	assert_int_equal(uname(&u), 0);
	(void)snprintf(path, sizeof(path), "/lib/modules/%s/modules.dep", u.release);
	put(path, "");
	put("/lib/modules/1.0/modules.dep", "");
	put("/lib/modules/not a release/modules.dep", "");
	k = scan();
	assert_int_equal(k.n, 2);
	assert_string_equal(kernels_running(&k)->release, u.release);
	kernels_done(&k);
}

static void test_resolve(void **state)
{
	static const struct {
		const char *path;
		int r;
		const char *real;
	} cases[] = {
		{ "/usr/a", 0, "/usr/a" },
		{ "//usr/./b/../a/", 0, "/usr/a" },
		{ "/up", 0, "/usr/a" }, /* ../../../usr/a stays inside */
		{ "/abs", 0, "/usr/a" }, /* /usr/a means the root's */
		{ "/relocated", 0, "/usr/a" }, /* <root>/usr/a as it stands */
		{ "/lib/a", 0, "/usr/a" },
		{ "/loop", -ELOOP, NULL },
		{ "/etc/passwd", -ENOENT, NULL },
		{ "/out/passwd", -ENOENT, NULL },
		{ "/usr/a/b", -ENOTDIR, NULL },
		{ "/", 0, "" },
	};
	char full[PATH_MAX];
	size_t i;

	put("/usr/a", "x");
	put("/usr/b/c", "x");
	put_link("/up", "../../../../../usr/a");
	put_link("/abs", "/usr/a");
	(void)snprintf(full, sizeof(full), "%s/usr/a", root);
	put_link("/relocated", full);
	put_link("/lib", "usr");
	put_link("/loop", "loop");
	put_link("/out", "/etc");
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(freep) char *real = NULL;
		int r = root_resolve(root, cases[i].path, &real, NULL);

		(void)snprintf(full, sizeof(full), "%s%s", root,
			cases[i].real ? cases[i].real : "");
		if (r != cases[i].r || (r == 0 && !streq(real, full)))
			fail_msg("'%s': %d '%s'", cases[i].path, r, real ? real : "");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_release_names),
		T(test_nothing_installed),
		T(test_complete_and_next),
		T(test_half_installed),
		T(test_extra),
		T(test_running),
		T(test_resolve),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
