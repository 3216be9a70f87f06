// SPDX-License-Identifier: Apache-2.0
/* reboot.c: who is obeyed, once, and not while the reboot is held. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "driver-builder/reboot.h"

#define BOOT "0e5cb3e2-9d6b-4a55-8a5b-1d3c4f1c9f10"

static const struct {
	const char *name;
	struct api_node_upgrade up;
	bool wanted;
} cases[] = {
	{ "no record", { .present = false }, false },
	{ "told to", { true, API_UPGRADE_REBOOT, 1, "edu@2", BOOT, NULL, "", "" }, true },
	{ "another boot",
		{ true, API_UPGRADE_REBOOT, 1, "edu@2",
			"7e5cb3e2-9d6b-4a55-8a5b-1d3c4f1c9f10", NULL, "", "" },
		false },
	{ "no boot named", { true, API_UPGRADE_REBOOT, 1, "edu@2", NULL, NULL, "", "" },
		false },
	{ "an empty name", { true, API_UPGRADE_REBOOT, 1, "edu@2", "", NULL, "", "" },
		false },
	{ "before", { true, API_UPGRADE_DRAIN, 1, "edu@2", BOOT, NULL, "", "" }, false },
	{ "after", { true, API_UPGRADE_VALIDATION, 1, "edu@2", BOOT, NULL, "", "" },
		false },
};

static void test_wanted(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (reboot_is_wanted(&cases[i].up, BOOT) != cases[i].wanted)
			fail_msg("case '%s'", cases[i].name);
	assert_false(reboot_is_wanted(&cases[4].up, ""));
}

struct said {
	unsigned good, bad;
	char last[256];
};

static void on_say(bool is_good, const char *message, void *user)
{
	struct said *s = user;

	*(is_good ? &s->good : &s->bad) += 1;
	(void)snprintf(s->last, sizeof(s->last), "%s", message);
}

/* Steps until the file is there or something bad was said; false when neither comes. */
static bool wait_for(struct loop *l, const char *path, const struct said *s)
{
	uint64_t end = loop_now(l) + 60 * USEC_PER_SEC;

	while (access(path, F_OK) < 0 && s->bad == 0 && loop_now(l) < end)
		(void)loop_step(l, 100 * USEC_PER_MSEC);
	return loop_now(l) < end;
}

static void write_script(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	(void)fputs(text, f);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, 0755), 0);
}

static void test_runs_once(void **state)
{
	static const struct env env = { .root = "/", .proc = "/proc" };
	char dir[] = "/tmp/test-reboot-XXXXXX", script[64], mark[64], text[256];
	const struct api_node_upgrade *up = &cases[1].up;
	struct said said = { 0 };
	struct reboot_options o = {
		.env = &env, .command = script, .say = on_say, .user = &said
	};
	struct reboot *r = NULL;
	struct loop *l = NULL;

	assert_non_null(mkdtemp(dir));
	(void)snprintf(script, sizeof(script), "%s/reboot", dir);
	(void)snprintf(mark, sizeof(mark), "%s/mark", dir);
	(void)snprintf(text, sizeof(text), "#!/bin/sh\necho x >>%s\n", mark);
	write_script(script, text);
	assert_int_equal(loop_new(&l, NULL, NULL), 0);
	assert_int_equal(reboot_new(l, &o, &r), 0);

	reboot_look(r, up, BOOT, "6.1 edu BuildFailed no\n"); /* held: said, once */
	reboot_look(r, up, BOOT, "6.1 edu BuildFailed no\n");
	assert_int_equal(said.bad, 1);
	assert_int_equal(said.good, 0);
	said.bad = 0;
	reboot_look(r, up, BOOT, "");
	reboot_look(r, up, BOOT, ""); /* it runs */
	assert_int_equal(said.good, 1);
	assert_true(wait_for(l, mark, &said));
	assert_int_equal(said.bad, 0);
	for (int i = 0; i < 5; i++) /* asked for already */
		reboot_look(r, up, BOOT, ""), (void)loop_step(l, 10 * USEC_PER_MSEC);
	assert_int_equal(said.good, 1);
	reboot_free(r);

	write_script(script, "#!/bin/sh\necho 'no such luck'\nexit 1\n");
	assert_int_equal(unlink(mark), 0);
	assert_int_equal(reboot_new(l, &o, &r), 0);
	reboot_look(r, up, BOOT, "");
	assert_true(wait_for(l, mark, &said));
	assert_int_equal(said.bad, 1);
	assert_non_null(strstr(said.last, "no such luck"));
	reboot_free(r);
	loop_free(l);
	assert_int_equal(unlink(script), 0);
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wanted),
		cmocka_unit_test(test_runs_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
