// SPDX-License-Identifier: Apache-2.0
/* boot.c, modules.c's options and plugin.c's unit: what we leave on the host. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "driver-builder/boot.h"
#include "driver-builder/modules.h"
#include "driver-builder/plugin.h"
#include "file.h"
#include "map.h"

static char root[64];

static int setup(void **state)
{
	(void)snprintf(root, sizeof(root), "/tmp/farrier-boot-XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int teardown(void **state)
{
	return dir_remove(root, NULL);
}

static const char *at(const char *path)
{
	static char full[512];

	(void)snprintf(full, sizeof(full), "%s/%s", root, path);
	return full;
}

static void put(const char *path, const char *text)
{
	char full[512], *slash;

	(void)snprintf(full, sizeof(full), "%s", at(path));
	slash = strrchr(full, '/');
	*slash = '\0';
	assert_int_equal(dir_make(full, 0755, NULL), 0);
	assert_int_equal(file_write_atomic(at(path), text, strlen(text), 0644, NULL), 0);
}

static void expect_text(const char *path, const char *want)
{
	char *text = NULL;
	size_t len;

	if (file_read(at(path), 4096, &text, &len, NULL) < 0)
		fail_msg("'%s' is not there", path);
	assert_string_equal(text, want);
	free(text);
}

static void test_check(void **state)
{
	struct artifact_module m = { .name = "edu" };
	struct artifact a = { .modules = &m, .modules_n = 1 };
	const struct api_module spec = { .name = "edu" };
	const struct list modules = { (void *)&spec, 1 };
	struct map *digests = boot_digests_new();
	const char *ko = "lib/modules/R/updates/farrier/edu.ko";
	struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };

	assert_int_equal(digest_bytes("good", 4, m.sha256, NULL), 0);
	assert_int_equal(boot_check(root, "R", &a, digests), PLAN_INSTALLED_NONE);
	assert_false(boot_has_any(root, "R", &modules));
	put(ko, "other");
	assert_true(boot_has_any(root, "R", &modules));
	assert_int_equal(boot_check(root, "R", &a, digests), PLAN_INSTALLED_OTHER);
	/* The right bytes, but depmod has not run: the next boot would not find them. */
	put(ko, "good");
	assert_int_equal(boot_check(root, "R", &a, digests), PLAN_INSTALLED_OTHER);
	put("lib/modules/R/modules.dep", "");
	assert_int_equal(boot_check(root, "R", &a, digests), PLAN_INSTALLED_SAME);
	assert_int_equal(utimensat(AT_FDCWD, at("lib/modules/R/modules.dep"), old, 0), 0);
	assert_int_equal(boot_check(root, "R", &a, digests), PLAN_INSTALLED_OTHER);
	/* Bytes that change behind our back are seen. */
	put("lib/modules/R/modules.dep", "");
	put(ko, "evil");
	put("lib/modules/R/modules.dep", "");
	assert_int_equal(boot_check(root, "R", &a, digests), PLAN_INSTALLED_OTHER);
	map_free(digests);
}

static void test_config(void **state)
{
	struct kv parameters[] = { { "irq_mode", "msi" }, { "name", "a b" } };
	const char *rivals[] = { "nouveau", "old" };
	struct api_module m[] = {
		{ .name = "edu",
			.parameters = { parameters, 2 },
			.replaces = { rivals, 2 } },
		{ .name = "edu-extra" },
	};
	const struct list modules = { m, 2 }, plain = { &m[1], 1 };
	struct arena *a = arena_new(1 << 20);

	assert_false(boot_has_config(a, root, "edu", &modules));
	assert_int_equal(boot_write_config(a, root, "edu", &modules, NULL), 1);
	assert_int_equal(boot_write_config(a, root, "edu", &modules, NULL), 0);
	assert_true(boot_has_config(a, root, "edu", &modules));
	assert_false(boot_has_config(a, root, "edu", &plain));
	expect_text("etc/modules-load.d/farrier-edu.conf",
		"# Written by farrier-driver-builder for driver edu\nedu\nedu-extra\n");
	expect_text("etc/modprobe.d/farrier-edu.conf",
		"options edu irq_mode=msi name=\"a b\"\nblacklist nouveau\nblacklist old\n");
	/* Options that are gone leave no file. */
	assert_int_equal(boot_write_config(a, root, "edu", &plain, NULL), 1);
	assert_false(file_exists(at("etc/modprobe.d/farrier-edu.conf")));
	assert_true(boot_has_config(a, root, "edu", &plain));
	assert_int_equal(
		boot_write_config(a, root, "../evil", &plain, NULL), -ENAMETOOLONG);
	assert_int_equal(boot_remove_config(root, "edu", NULL), 0);
	assert_false(file_exists(at("etc/modules-load.d/farrier-edu.conf")));
	assert_int_equal(boot_remove_config(root, "edu", NULL), 0);
	arena_free(a);
}

static const struct {
	const char *name;
	struct kv kv;
	const char *text; /* NULL: refused */
} options[] = {
	{ "plain", { "a", "1" }, "a=1" },
	{ "empty value", { "a", "" }, "a=" },
	{ "blank", { "a", "x y" }, "a=\"x y\"" },
	{ "quote", { "a", "x\"y" }, NULL },
	{ "new line", { "a", "x\ninstall b /bin/sh" }, NULL },
	{ "blank in the key", { "a b", "1" }, NULL },
	{ "equals in the key", { "a=b", "1" }, NULL },
};

static void test_options(void **state)
{
	struct arena *a = arena_new(1 << 20);

	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		const struct list l = { (void *)&options[i].kv, 1 };
		const char *text = "untouched";
		int r = modules_options(a, &l, &text, NULL);

		if (r != (options[i].text ? 0 : -EINVAL) ||
			!streq(text, options[i].text ? options[i].text : "untouched"))
			fail_msg("case '%s': %d '%s'", options[i].name, r, text);
	}
	arena_free(a);
}

static void test_unit(void **state)
{
	static const char *const bad[] = { "--a\nExecStart=/bin/sh", "--a %h", "$HOME",
		"a\\b" };
	struct buf b;

	buf_init(&b, 1 << 16);
	assert_int_equal(plugin_unit_text(true, "--kubelet-dir /x", &b), 0);
	assert_non_null(
		strstr(b.data, "ExecStart=/var/lib/farrier/plugin-bundle/ld.so "
			       "--library-path /var/lib/farrier/plugin-bundle/lib "));
	assert_non_null(strstr(b.data, " --kubelet-dir /x\n"));
	assert_non_null(strstr(b.data, "Before=kubelet.service"));
	buf_clear(&b);
	assert_int_equal(plugin_unit_text(false, NULL, &b), 0);
	assert_non_null(strstr(b.data,
		"ExecStart=/var/lib/farrier/plugin-bundle/farrier-device-plugin "));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		buf_clear(&b);
		if (plugin_unit_text(true, bad[i], &b) != -EINVAL)
			fail_msg("case '%s'", bad[i]);
	}
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_check, setup, teardown),
		cmocka_unit_test_setup_teardown(test_config, setup, teardown),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_unit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
