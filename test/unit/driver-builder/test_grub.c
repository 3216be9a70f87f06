// SPDX-License-Identifier: Apache-2.0
/* grub*.c: texts as grub-mkconfig writes them, hostile ones, and a root with a grub-editenv of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "driver-builder/grub.h"
#include "file.h"

/* Debian 12's, shortened. */
#define HEADER(dflt) \
	"if [ -s $prefix/grubenv ]; then\n" \
	"  set have_grubenv=true\n" \
	"  load_env\n" \
	"fi\n" \
	"if [ \"${next_entry}\" ] ; then\n" \
	"   set default=\"${next_entry}\"\n" \
	"   set next_entry=\n" \
	"   save_env next_entry\n" \
	"else\n" \
	"   set default=\"" dflt "\"\n" \
	"fi\n" \
	"function savedefault {\n" \
	"  if [ -z \"${boot_once}\" ]; then\n" \
	"    saved_entry=\"${chosen}\"\n" \
	"  fi\n" \
	"}\n"
#define ENTRY(indent, rel, kind, args) \
	indent "menuentry 'Debian GNU/Linux, with Linux " rel "' --class debian " \
	       "$menuentry_id_option 'gnulinux-" rel "-" kind "-UUID' {\n" indent \
	       "\tload_video\n" indent \
	       "\tif [ x$grub_platform = xxen ]; then insmod xzio; fi\n" indent \
	       "\techo\t'Loading Linux " rel " ...'\n" indent \
	       "\tlinux\t/boot/vmlinuz-" rel " root=UUID=1 ro " args "\n" indent \
	       "\tinitrd\t/boot/initrd.img-" rel "\n" indent "}\n"
#define BODY \
	"menuentry 'Debian GNU/Linux' --class debian $menuentry_id_option " \
	"'gnulinux-simple-UUID' {\n" \
	"\tlinux\t/boot/vmlinuz-6.1.0-56-amd64 root=UUID=1 ro quiet\n" \
	"}\n" \
	"submenu 'Advanced options for Debian GNU/Linux' $menuentry_id_option " \
	"'gnulinux-advanced-UUID' {\n" ENTRY("\t", "6.1.0-56-amd64", "advanced", \
		"quiet") ENTRY("\t", "6.1.0-56-amd64", "recovery", "single") \
		ENTRY("\t", "6.1.0-47-amd64", "recovery", "single") \
			ENTRY("\t", "6.1.0-47-amd64", "advanced", "quiet") "}\n"

static const struct {
	const char *name, *config, *release, *entry;
} cases[] = {
	{ "the older kernel, not its recovery", HEADER("0") BODY, "6.1.0-47-amd64",
		"gnulinux-advanced-UUID>gnulinux-6.1.0-47-amd64-advanced-UUID" },
	{ "the newest by its own entry, not by the simple one", HEADER("0") BODY,
		"6.1.0-56-amd64",
		"gnulinux-advanced-UUID>gnulinux-6.1.0-56-amd64-advanced-UUID" },
	{ "absent", HEADER("0") BODY, "6.1.0-5-amd64", NULL },
	{ "a part of a release is none", HEADER("0") BODY, "0-47-amd64", NULL },
	{ "by titles, in double quotes",
		"submenu \"More\" {\nmenuentry \"Linux 5.1\" {\nlinux /vmlinuz-5.1\n}\n}\n",
		"5.1", "More>Linux 5.1" },
	{ "--id, no submenu", "menuentry 'x' --id=k-5.1 {\n linux16 /vmlinuz-5.1 ro\n}\n",
		"5.1", "k-5.1" },
	{ "behind a function",
		"function f {\n}\nmenuentry '5.1' {\nlinux /vmlinuz-5.1\n}\n", "5.1",
		"5.1" },
	{ "a name that GRUB would part", "menuentry 'a>5.1' {\nlinux /vmlinuz-5.1\n}\n",
		"5.1", NULL },
	{ "outside of any entry", "linux /vmlinuz-5.1\n}\n}\n", "5.1", NULL },
	{ "cut off", "submenu 'x' {\nmenuentry '5.1", "5.1", NULL },
	{ "too deep",
		"submenu a {\nsubmenu a {\nsubmenu a {\nsubmenu a {\nsubmenu a {\nsubmenu a {\n"
		"submenu a {\nsubmenu a {\nsubmenu a {\nsubmenu a {\nsubmenu a {\nsubmenu a {\n"
		"submenu a {\nsubmenu a {\nsubmenu a {\nsubmenu a {\nmenuentry '5.1' {\n"
		"linux /vmlinuz-5.1\n}\n",
		"5.1", NULL },
	{ "empty", "", "5.1", NULL },
	{ "no release", "menuentry 'x' {\nlinux /vmlinuz-\n}\n", "", NULL },
};

static void test_entries(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char out[GRUB_ENTRY_MAX] = "";
		int r = grub_find_entry(cases[i].config, cases[i].release, out);

		if ((r == 0) != (cases[i].entry != NULL) ||
			(r == 0 && !streq(out, cases[i].entry)))
			fail_msg("case '%s': %d '%s'", cases[i].name, r, out);
	}
}

static void test_long_names(void **state)
{
	static char text[20000];
	char out[GRUB_ENTRY_MAX];

	for (size_t n = 100; n < 6000; n += 97) {
		(void)snprintf(text, sizeof(text),
			"menuentry '%0*d-5.1' {\nlinux /vmlinuz-5.1\n}\n", (int)n, 0);
		(void)grub_find_entry(text, "5.1", out);
		(void)snprintf(text, sizeof(text),
			"submenu '%0*d' {\nmenuentry '5.1' {\nlinux /vmlinuz-5.1\n}\n}\n",
			(int)MIN(n, 255), 0);
		(void)grub_find_entry(text, "5.1", out);
	}
}

static void test_variable(void **state)
{
	assert_string_equal(grub_variable(HEADER("0") BODY), "next_entry");
	assert_string_equal(grub_variable(HEADER("${saved_entry}") BODY), "saved_entry");
	assert_null(grub_variable("set default=0\n"));
	assert_null(grub_variable(""));
}

static void test_env(void **state)
{
	static const char env[] =
		"# GRUB Environment Block\nxsaved_entry=no\nsaved_entry=a>b\n"
		"next_entry=\n####";
	char out[GRUB_ENTRY_MAX];

	grub_env_value(env, "saved_entry", out);
	assert_string_equal(out, "a>b");
	grub_env_value(env, "next_entry", out);
	assert_string_equal(out, "");
	grub_env_value(env, "none", out);
	assert_string_equal(out, "");
	grub_env_value("saved_entry", "saved_entry", out);
	assert_string_equal(out, "");
}

/* ---- a host ---- */

struct host {
	char top[64], root[80], state[80];
	struct arena *a;
	bool has_tool;
};

/* What grub-editenv does, in a shell's own words. */
static const char tool[] =
	"#!/bin/sh\n"
	"[ -z \"$FAIL\" ] && [ ! -e /fail ] || { echo 'cannot write'; exit 1; }\n"
	"key=${3%%=*} new=''\n"
	"while read -r l; do case $l in \"$key=\"*|'#'*) ;; *) new=\"$new$l\n\" ;; esac; done < \"$1\"\n"
	"[ $2 = unset ] || new=\"$new$3\n\"\n"
	"printf '# GRUB Environment Block\\n%s' \"$new\" > \"$1\"\n";

static void put(struct host *h, const char *file, const char *text, mode_t mode)
{
	char path[PATH_MAX], *slash;

	assert_int_equal(path_join(path, sizeof(path), h->root, file, NULL), 0);
	slash = strrchr(path, '/');
	*slash = '\0';
	assert_int_equal(dir_make(path, 0755, NULL), 0);
	*slash = '/';
	assert_int_equal(file_write_atomic(path, text, strlen(text), mode, NULL), 0);
}

/* A root with nothing in it but a shell. */
static bool put_shell(struct host *h)
{
	static const char *const files[] = { "/bin/sh", "/lib64/ld-linux-x86-64.so.2",
		"/lib/x86_64-linux-gnu/libc.so.6" };
	char to[PATH_MAX];

	if (geteuid() != 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		put(h, files[i], "", 0755);
		if (path_join(to, sizeof(to), h->root, files[i], NULL) < 0 ||
			file_copy(files[i], to, 0755, NULL) < 0)
			return false;
	}
	return true;
}

static int setup(void **state)
{
	struct host *h = calloc(1, sizeof(*h));

	assert_non_null(h);
	(void)snprintf(h->top, sizeof(h->top), "/tmp/farrier-grub-XXXXXX");
	assert_non_null(mkdtemp(h->top));
	(void)snprintf(h->root, sizeof(h->root), "%s/root", h->top);
	(void)snprintf(h->state, sizeof(h->state), "%s/state", h->top);
	assert_int_equal(mkdir(h->root, 0755) | mkdir(h->state, 0755), 0);
	h->a = arena_new(1 << 20);
	h->has_tool = put_shell(h);
	put(h, "usr/bin/grub-editenv", tool, 0755);
	put(h, "boot/grub/grubenv", "# GRUB Environment Block\nother=1\n", 0644);
	*state = h;
	return 0;
}

static int teardown(void **state)
{
	struct host *h = *state;
	int r = dir_remove(h->top, NULL);

	arena_free(h->a);
	free(h);
	return r;
}

static const char *value(struct host *h, const char *key)
{
	static char out[GRUB_ENTRY_MAX];
	CLEANUP(freep) char *text = NULL;
	char path[PATH_MAX];
	size_t len;

	assert_int_equal(
		path_join(path, sizeof(path), h->root, "boot/grub/grubenv", NULL), 0);
	assert_int_equal(file_read(path, 4096, &text, &len, NULL), 0);
	grub_env_value(text, key, out);
	return out;
}

static void must(int r, const struct err *e)
{
	if (r < 0)
		fail_msg("%s", e->text);
}

#define OLD_ENTRY "gnulinux-advanced-UUID>gnulinux-6.1.0-47-amd64-advanced-UUID"

static void keep_and_let_go(struct host *h, const char *variable, const char *before)
{
	struct err e = { 0 };

	if (!h->has_tool)
		skip();
	assert_null(grub_kept(h->a, h->root, h->state));
	must(grub_keep(h->root, h->state, "6.1.0-47-amd64", &e), &e);
	assert_string_equal(value(h, variable), OLD_ENTRY);
	assert_string_equal(value(h, "other"), "1");
	assert_string_equal(grub_kept(h->a, h->root, h->state), "6.1.0-47-amd64");
	/* Once more, and to another one: what was there before us is not forgotten. */
	must(grub_keep(h->root, h->state, "6.1.0-47-amd64", &e), &e);
	must(grub_keep(h->root, h->state, "6.1.0-56-amd64", &e), &e);
	assert_string_equal(grub_kept(h->a, h->root, h->state), "6.1.0-56-amd64");
	must(grub_let_go(h->root, h->state, &e), &e);
	assert_string_equal(value(h, variable), before);
	assert_false(grub_is_noted(h->state));
	must(grub_let_go(h->root, h->state, &e), &e);
}

static void test_saved(void **state)
{
	put(*state, "boot/grub/grub.cfg", HEADER("${saved_entry}") BODY, 0644);
	put(*state, "boot/grub/grubenv",
		"# GRUB Environment Block\nother=1\nsaved_entry=gnulinux-simple-UUID\n",
		0644);
	keep_and_let_go(*state, "saved_entry", "gnulinux-simple-UUID");
}

static void test_next(void **state)
{
	put(*state, "boot/grub/grub.cfg", HEADER("0") BODY, 0644);
	keep_and_let_go(*state, "next_entry", "");
}

static void test_a_boot_forgets_next_entry(void **state)
{
	struct host *h = *state;
	struct err e = { 0 };

	if (!h->has_tool)
		skip();
	put(h, "boot/grub/grub.cfg", HEADER("0") BODY, 0644);
	must(grub_keep(h->root, h->state, "6.1.0-47-amd64", &e), &e);
	put(h, "boot/grub/grubenv", "# GRUB Environment Block\nother=1\nnext_entry=\n",
		0644);
	/* So it is not kept, and will be again. */
	assert_null(grub_kept(h->a, h->root, h->state));
	assert_true(grub_is_noted(h->state));
	must(grub_keep(h->root, h->state, "6.1.0-47-amd64", &e), &e);
	assert_string_equal(value(h, "next_entry"), OLD_ENTRY);
	must(grub_let_go(h->root, h->state, &e), &e);
	assert_string_equal(value(h, "next_entry"), "");
}

static void test_an_admins_choice_stays(void **state)
{
	struct host *h = *state;
	struct err e = { 0 };

	if (!h->has_tool)
		skip();
	put(h, "boot/grub/grub.cfg", HEADER("${saved_entry}") BODY, 0644);
	must(grub_keep(h->root, h->state, "6.1.0-47-amd64", &e), &e);
	put(h, "boot/grub/grubenv", "# GRUB Environment Block\nsaved_entry=mine\n", 0644);
	must(grub_let_go(h->root, h->state, &e), &e);
	assert_string_equal(value(h, "saved_entry"), "mine");
	assert_false(grub_is_noted(h->state));
}

static void test_what_cannot_be(void **state)
{
	struct host *h = *state;
	struct err e = { 0 };

	assert_int_equal(grub_keep(h->root, h->state, "6.1.0-47-amd64", &e), -ENOENT);
	assert_non_null(strstr(e.text, "no GRUB"));
	put(h, "boot/grub/grub.cfg", "set default=0\n", 0644);
	assert_int_equal(grub_keep(h->root, h->state, "6.1.0-47-amd64", &e), -ENOENT);
	assert_non_null(strstr(e.text, "GRUB_DEFAULT=saved"));
	put(h, "boot/grub/grub.cfg", HEADER("0") BODY, 0644);
	assert_int_equal(grub_keep(h->root, h->state, "5.10.0-1", &e), -ENOENT);
	assert_non_null(strstr(e.text, "5.10.0-1"));
	assert_false(grub_is_noted(h->state));
	if (!h->has_tool)
		skip();
	put(h, "fail", "", 0644);
	assert_true(grub_keep(h->root, h->state, "6.1.0-47-amd64", &e) < 0);
	assert_non_null(strstr(e.text, "cannot write"));
	assert_null(grub_kept(h->a, h->root, h->state));
}

static void test_damaged_note(void **state)
{
	static const char *const texts[] = {
		"", "{", "{}", "{\"version\":2}",
		"{\"version\":1,\"kernel\":\"x\",\"variable\":\"PATH\",\"entry\":\"a\",\"before\":\"b\"}"
	};
	struct host *h = *state;
	char path[PATH_MAX];
	struct err e = { 0 };

	put(h, "boot/grub/grub.cfg", HEADER("0") BODY, 0644);
	assert_int_equal(path_join(path, sizeof(path), h->state, "grub.json", NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		assert_int_equal(
			file_write_atomic(path, texts[i], strlen(texts[i]), 0644, NULL),
			0);
		assert_null(grub_kept(h->a, h->root, h->state));
		must(grub_let_go(h->root, h->state, &e), &e);
		assert_false(grub_is_noted(h->state));
	}
}

static void test_entry_files(void **state)
{
	struct host *h = *state;
	struct err e = { 0 };

	if (!h->has_tool)
		skip();
	put(h, "boot/grub/grub.cfg", HEADER("${saved_entry}") "insmod blscfg\nblscfg\n",
		0644);
	put(h, "boot/loader/entries/0-rescue.conf", "title x\nversion 5.14.0-1\n", 0644);
	put(h, "boot/loader/entries/m-5.14.0-1.conf",
		"title x\nversion 5.14.0-1\nlinux /vmlinuz-5.14.0-1\n", 0644);
	must(grub_keep(h->root, h->state, "5.14.0-1", &e), &e);
	assert_string_equal(value(h, "saved_entry"), "m-5.14.0-1");
	must(grub_let_go(h->root, h->state, &e), &e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		cmocka_unit_test(test_entries),
		cmocka_unit_test(test_long_names),
		cmocka_unit_test(test_variable),
		cmocka_unit_test(test_env),
		T(test_saved),
		T(test_next),
		T(test_a_boot_forgets_next_entry),
		T(test_an_admins_choice_stays),
		T(test_what_cannot_be),
		T(test_damaged_note),
		T(test_entry_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
