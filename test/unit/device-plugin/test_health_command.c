// SPDX-License-Identifier: Apache-2.0
/* A class's own command: what its end means, whatever it does. */
#include "fake_sysfs.h"

#include <ctype.h>
#include <fcntl.h>
#include <signal.h>
#include <time.h>

#include "device-plugin/health_file.h"
#include "device-plugin/probe.h"
#include "loop.h"

#define S "\x1f"
#define SHELL "/bin/sh" S "-c" S

static const struct {
	const char *name, *args;
	unsigned seconds;
	enum health_file want;
	const char *text; /* it begins so */
} cases[] = {
	{ "well", SHELL "exit 0" S, 20, HEALTH_FILE_GOOD, "" },
	{ "well and talkative", SHELL "echo fine; echo fine >&2" S, 20, HEALTH_FILE_GOOD,
		"" },
	{ "ill", SHELL "exit 3" S, 20, HEALTH_FILE_ILL, "exit status 3" },
	{ "ill, and why", SHELL "echo; echo 'too  hot'; echo more; exit 1" S, 20,
		HEALTH_FILE_ILL, "exit status 1: too  hot" },
	{ "on stderr", SHELL "echo no card >&2; exit 2" S, 20, HEALTH_FILE_ILL,
		"exit status 2: no card" },
	{ "status 255", SHELL "exit 255" S, 20, HEALTH_FILE_ILL, "exit status 255" },
	{ "no text", SHELL "printf '\\033[31m\\377\\0x'; exit 1" S, 20, HEALTH_FILE_ILL,
		"exit status 1: ?[31m?" },
	{ "a flood",
		SHELL
		"i=0; while [ $i -lt 3000 ]; do echo $i 'line after line after line after line after line'; "
		"i=$((i + 1)); done; exit 1" S,
		20, HEALTH_FILE_ILL, "exit status 1: 0 line" },
	{ "one long line", SHELL "printf '%05000d' 7; exit 4" S, 20, HEALTH_FILE_ILL,
		"exit status 4: 000" },
	{ "crashed", SHELL "kill -SEGV $$" S, 20, HEALTH_FILE_ILL,
		"ended by signal 11 (Segmentation fault)" },
	{ "killed", SHELL "kill -KILL $$" S, 20, HEALTH_FILE_ILL, "ended by signal 9" },
	{ "hangs", "/bin/sleep" S "1000" S, 1, HEALTH_FILE_SILENT,
		"no end within 1 s, killed" },
	{ "hangs and ignores", SHELL "trap '' TERM INT HUP; while :; do read x; done" S,
		1, HEALTH_FILE_SILENT, "no end within 1 s, killed" },
	{ "floods for ever", "/usr/bin/yes" S, 1, HEALTH_FILE_SILENT,
		"no end within 1 s, killed" },
	{ "no such program", "/nonexistent/check" S "0000:21:00.0" S, 20,
		HEALTH_FILE_FAILED, "No such file" },
	{ "no program", "/etc/passwd" S, 20, HEALTH_FILE_FAILED, "Permission denied" },
	{ "a folder", "/etc" S, 20, HEALTH_FILE_FAILED, "Permission denied" },
	{ "a tool of it is missing", SHELL "exit 127" S, 20, HEALTH_FILE_FAILED,
		"exit status 127" },
	{ "no shell between", "/usr/bin/test" S "$(exit 1);" S "=" S "$(exit 1);" S, 20,
		HEALTH_FILE_GOOD, "" },
	{ "an empty argument", "/usr/bin/test" S "-z" S S, 20, HEALTH_FILE_GOOD, "" },
	{ "stdin is empty", SHELL "read x; [ -z \"$x\" ]" S, 20, HEALTH_FILE_GOOD, "" },
};

static void changed(void *user)
{
	(*(int *)user)++;
}

static void wait_all(struct loop *l, const struct health_files *h)
{
	while (health_files_pending(h))
		(void)loop_step(l, USEC_PER_SEC);
}

/* All at once, as on a machine with many cards. */
static void ends(void **state)
{
	struct health_files *h = NULL;
	struct loop *l = NULL;
	int changes = 0;
	const char *text = NULL;

	assert_int_equal(loop_new(&l, NULL, NULL), 0);
	assert_int_equal(health_files_new(l, changed, &changes, &h), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct health_command c = { cases[i].args,
			cases[i].seconds * USEC_PER_SEC };

		(void)health_files_run(h, &c, 3600 * USEC_PER_SEC, &text);
	}
	wait_all(l, h);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct health_command c = { cases[i].args,
			cases[i].seconds * USEC_PER_SEC };
		enum health_file got = health_files_run(
			h, &c, 3600 * USEC_PER_SEC, &text);

		if (got != cases[i].want || !str_starts(text, cases[i].text) ||
			(!*cases[i].text && *text))
			fail_msg("case '%s': %d '%s'", cases[i].name, (int)got, text);
		for (const char *p = text; *p; p++)
			assert_true(isprint((unsigned char)*p));
	}
	assert_int_equal(changes, ARRAY_SIZE(cases));
	health_files_free(h);
	loop_free(l);
}

/* What it has started ends with it. */
static void nothing_stays(void **state)
{
	struct health_files *h = NULL;
	struct loop *l = NULL;
	int changes = 0, fds[2];
	const char *text = NULL;
	char args[256], byte;
	struct health_command c = { args, 1 * USEC_PER_SEC };

	/* A pipe by name: its other ends are closed when nobody is left that has it open. */
	assert_int_equal(mkfifo(fake_path("pipe"), 0600), 0);
	fds[0] = open(fake_path("pipe"), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	fds[1] = open(fake_path("pipe"), O_WRONLY | O_CLOEXEC);
	assert_true(fds[0] >= 0 && fds[1] >= 0);
	assert_int_equal(fcntl(fds[0], F_SETFL, 0), 0);
	(void)snprintf(args, sizeof(args),
		SHELL "exec 8>'%s'; printf x >&8; sleep 1000 & wait" S,
		fake_path("pipe"));
	assert_int_equal(loop_new(&l, NULL, NULL), 0);
	assert_int_equal(health_files_new(l, changed, &changes, &h), 0);
	(void)health_files_run(h, &c, 60 * USEC_PER_SEC, &text);
	wait_all(l, h);
	assert_int_equal(
		health_files_run(h, &c, 60 * USEC_PER_SEC, &text), HEALTH_FILE_SILENT);
	(void)close(fds[1]);
	/* Ends when both the shell and its sleep are gone, and not before. */
	while (read(fds[0], &byte, 1) > 0)
		;
	(void)close(fds[0]);
	health_files_free(h);
	loop_free(l);
}

struct clock {
	uint64_t now;
};

static uint64_t clock_now(void *user)
{
	return ((struct clock *)user)->now;
}

static size_t runs(void)
{
	struct stat st;

	return stat(fake_path("runs"), &st) == 0 ? (size_t)st.st_size : 0;
}

/* As often as it was said while all is well, soon when not; never twice at once. */
static void interval(void **state)
{
	struct clock clock = { 1000 * USEC_PER_SEC };
	struct loop_clock lc = { .now_us = clock_now, .user = &clock };
	struct health_files *h = NULL;
	struct loop *l = NULL;
	int changes = 0;
	char args[512];
	struct health_command c = { args, 60 * USEC_PER_SEC };
	static const struct {
		unsigned after; /* s since the step before */
		size_t runs; /* in all */
		bool is_ill; /* from now on */
	} steps[] = { { 0, 1, false }, { 5, 1, false }, { 24, 1, true }, { 1, 2, true },
		{ 5, 3, true }, { 1, 3, false }, { 5, 4, false }, { 5, 4, false },
		{ 26, 5, false } };

	(void)snprintf(args, sizeof(args), SHELL "printf x >>'%s'; test ! -e '%s'" S,
		fake_path("runs"), fake_path("ill"));
	assert_int_equal(loop_new(&l, &lc, NULL), 0);
	assert_int_equal(health_files_new(l, changed, &changes, &h), 0);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		const char *text = NULL;

		clock.now += steps[i].after * USEC_PER_SEC;
		(void)loop_step(l, 0);
		(void)health_files_run(h, &c, 30 * USEC_PER_SEC, &text);
		(void)health_files_run(h, &c, 30 * USEC_PER_SEC, &text);
		while (health_files_pending(h))
			if (!loop_step(l, 0))
				(void)usleep(1000);
		if (runs() != steps[i].runs)
			fail_msg("step %zu: %zu runs", i, runs());
		if (steps[i].is_ill)
			fake_file(fake_path("ill"), "");
		else
			(void)unlink(fake_path("ill"));
	}
	assert_int_equal(changes, 3); /* well, ill, well */
	health_files_free(h);
	loop_free(l);
}

/* Freed with one under way; and answers that no command of ours gives. */
static void odds(void **state)
{
	struct health_files *h = NULL;
	struct loop *l = NULL;
	int changes = 0;
	const char *text = NULL;
	struct health_command c = { "/bin/sleep" S "1000" S, 60 * USEC_PER_SEC };
	char out[PROBE_OUT_MAX];

	assert_int_equal(loop_new(&l, NULL, NULL), 0);
	assert_int_equal(health_files_new(l, changed, &changes, &h), 0);
	(void)health_files_run(h, &c, 60 * USEC_PER_SEC, &text);
	assert_true(health_files_pending(h));
	health_files_free(h);
	loop_free(l);
	c.args = "/bin/true"; /* not ended */
	assert_int_equal(health_command_ask(&c, out, sizeof(out)), -EINVAL);
	c.args = "";
	assert_int_equal(health_command_ask(&c, out, sizeof(out)), -EINVAL);
	assert_int_equal(health_command_verdict("", &text), HEALTH_FILE_FAILED);
	assert_string_equal(text, "");
	assert_int_equal(health_command_verdict("?x", &text), HEALTH_FILE_FAILED);
	assert_int_equal(health_command_verdict("Ix", &text), HEALTH_FILE_ILL);
	assert_string_equal(text, "x");
}

#define T(f) cmocka_unit_test_setup_teardown(f, fake_setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(ends),
		T(nothing_stays),
		T(interval),
		cmocka_unit_test(odds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
