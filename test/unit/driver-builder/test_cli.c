// SPDX-License-Identifier: Apache-2.0
/* cli.c: options in every form, and what is refused. */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "driver-builder/cli.h"
#include "file.h"

static const struct {
	const char *name;
	const char *argv[8];
	bool is_ok;
	const char *kernel, *root;
	bool is_flag, is_json;
	int n_args;
} cases[] = {
	{ "nothing", { "c", "a" }, true, NULL, "/", false, false, 1 },
	{ "option behind", { "c", "a", "--kernel", "R" }, true, "R", "/", false, false,
		1 },
	{ "option before", { "c", "--kernel=R", "a" }, true, "R", "/", false, false, 1 },
	{ "flag and common", { "c", "--flag", "--json", "--root", "/host", "a" }, true,
		NULL, "/host", true, true, 1 },
	{ "after --", { "c", "--", "--flag" }, true, NULL, "/", false, false, 1 },
	{ "empty argument", { "c", "a", "--kernel=" }, true, "", "/", false, false, 1 },
	{ "a lone dash is a name", { "c", "-" }, true, NULL, "/", false, false, 1 },
	{ "unknown option", { "c", "a", "--kernels", "R" }, false },
	{ "short option", { "c", "a", "-k" }, false },
	{ "argument missing", { "c", "a", "--kernel" }, false },
	{ "argument of a flag", { "c", "a", "--flag=1" }, false },
	{ "too few", { "c" }, false },
	{ "too many", { "c", "a", "b", "d" }, false },
	{ "no such level", { "c", "a", "--log-level", "loud" }, false },
	{ "help", { "c", "--help" }, false },
};

static void test_parse(void **state)
{
	static const struct cli_command cmd = { "c", "A [B]", "test", NULL };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *kernel = NULL;
		bool flag = false;
		const struct cli_option own[] = {
			{ "kernel", "R", &kernel, "" },
			{ "flag", NULL, &flag, "" },
			{ NULL },
		};
		char *argv[8];
		struct cli c;
		int argc = 0;

		for (; cases[i].argv[argc]; argc++)
			argv[argc] = (char *)cases[i].argv[argc];
		if (cli_parse(&c, &cmd, own, argc, argv, 1, 2) != cases[i].is_ok)
			fail_msg("case '%s'", cases[i].name);
		if (!cases[i].is_ok) {
			assert_int_equal(cli_early(&c),
				streq(cases[i].name, "help") ? CLI_DONE : CLI_USAGE);
			continue;
		}
		if (!streq(kernel ? kernel : "(none)",
			    cases[i].kernel ? cases[i].kernel : "(none)") ||
			!streq(c.env.root, cases[i].root) || flag != cases[i].is_flag ||
			c.is_json != cases[i].is_json || c.n_args != cases[i].n_args)
			fail_msg("case '%s'", cases[i].name);
	}
}

/* Every command is in the table once, tells its help, and refuses what it does not know. */
static void test_commands(void **state)
{
	for (const struct cli_command *x = cli_commands; x->name; x++) {
		char name[64], help[] = "--help", bad[] = "--no-such-option";
		char program[] = "farrier-driver-builder";
		char *asked[] = { program, name, help },
		     *wrong[] = { program, name, bad };

		(void)snprintf(name, sizeof(name), "%s", x->name);
		assert_ptr_equal(cli_find(x->name), x);
		assert_int_equal(cli_main(3, asked), CLI_DONE);
		assert_int_equal(cli_main(3, wrong), CLI_USAGE);
	}
	assert_null(cli_find("nonsense"));
}

/* What `--help` of the command @name prints; the caller frees it. */
static char *help_of(const char *name)
{
	char path[] = "/tmp/farrier-help-XXXXXX", command[64], option[] = "--help",
	     program[] = "farrier-driver-builder", *text = NULL;
	char *argv[] = { program, command, option };
	int fd = mkstemp(path), saved = dup(STDOUT_FILENO);
	size_t len;

	assert_true(fd >= 0 && saved >= 0);
	(void)snprintf(command, sizeof(command), "%s", name);
	(void)fflush(stdout);
	assert_true(dup2(fd, STDOUT_FILENO) >= 0);
	assert_int_equal(cli_main(3, argv), CLI_DONE);
	(void)fflush(stdout);
	assert_true(dup2(saved, STDOUT_FILENO) >= 0);
	(void)close(saved);
	(void)close(fd);
	assert_int_equal(file_read(path, 1 << 16, &text, &len, NULL), 0);
	(void)unlink(path);
	return text;
}

/* The manual without its backslashes: "\-\-root" becomes "--root". */
static char *manual(void)
{
	const char *source = getenv("FARRIER_SOURCE");
	char path[4096], *text = NULL, *to;
	size_t len;

	assert_int_equal(path_join(path, sizeof(path), source ? source : ".",
				 "man/farrier-driver-builder.8", NULL),
		0);
	assert_int_equal(file_read(path, 1 << 20, &text, &len, NULL), 0);
	to = text;
	for (const char *p = text; *p; p++)
		if (*p != '\\')
			*to++ = *p;
	*to = '\0';
	return text;
}

/* @word in the manual, not as the beginning of a longer one. */
static bool tells(const char *man, const char *word)
{
	for (const char *p = man; (p = strstr(p, word)); p++) {
		char after = p[strlen(word)];

		if (after != '-' && !isalnum((unsigned char)after))
			return true;
	}
	return false;
}

static void test_manual(void **state)
{
	char *man = manual();

	for (const struct cli_command *x = cli_commands; x->name; x++) {
		char *help = help_of(x->name), *line, *rest = help;

		if (!tells(man, x->name))
			fail_msg("the manual does not tell command '%s'", x->name);
		while ((line = strsep(&rest, "\n"))) {
			if (!str_starts(line, "  --"))
				continue;
			line[2 + strcspn(line + 2, " ")] = '\0';
			if (!tells(man, line + 2))
				fail_msg("the manual does not tell '%s' of '%s'",
					line + 2, x->name);
		}
		free(help);
	}
	free(man);
}

static void test_exit_status(void **state)
{
	struct cli c = { .is_json = true };
	struct err e = { 0 };

	(void)err_set(&e, -EACCES, "no");
	assert_int_equal(cli_fail(&c, &e), CLI_ENVIRONMENT);
	(void)err_reason(&e, -EIO, REASON_BUILD_FAILED, "no");
	assert_int_equal(cli_fail(&c, &e), CLI_FAILED);
	(void)err_reason(&e, -ENOSYS, REASON_SANDBOX_UNAVAILABLE, "no");
	assert_int_equal(cli_fail(&c, &e), CLI_ENVIRONMENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_parse),
		cmocka_unit_test(test_commands), cmocka_unit_test(test_manual),
		cmocka_unit_test(test_exit_status) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
