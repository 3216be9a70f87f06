// SPDX-License-Identifier: Apache-2.0
/* Child processes: output, errors before exec, time limits, nothing left behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "child.h"
#include "file.h"

#define SH(script) \
	(const char *const[]) \
	{ \
		"sh", "-c", script, NULL \
	}

static void test_output(void **state)
{
	static const struct {
		const char *name, *script, *in, *out;
		size_t out_max;
		int status;
	} cases[] = {
		{ "nothing", ":", NULL, "", 0, 0 },
		{ "stdout", "echo a", NULL, "a\n", 0, 0 },
		{ "both in order", "echo a; echo b >&2; echo c", NULL, "a\nb\nc\n", 0,
			0 },
		{ "stdin", "cat; echo", "hello", "hello\n", 0, 0 },
		{ "no stdin", "cat; echo x", NULL, "x\n", 0, 0 },
		{ "status", "exit 3", NULL, "", 0, 3 << 8 },
		{ "killed", "kill -TERM $$", NULL, "", 0, SIGTERM },
		{ "capped", "echo 1234567890; exit 1", NULL, "12345", 5, 1 << 8 },
		{ "much more than a pipe", "head -c 3000000 /dev/zero | tr '\\0' x", NULL,
			"xxxxxxxxxx", 10, 0 },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct child_options o = { .argv = SH(cases[i].script),
			.stdin_text = cases[i].in,
			.out_max = cases[i].out_max };
		CLEANUP(freep) char *out = NULL;
		struct err e = { 0 };
		int status = -1;
		int r = child_run(&o, &status, &out, &e);

		if (r < 0 || status != cases[i].status || !streq(out, cases[i].out))
			fail_msg("case '%s': %d %x '%s' %s", cases[i].name, r, status,
				out ? out : "", e.text);
	}
}

static int hook_fails(void *user)
{
	return -ENOTTY;
}

static int hook_fails_late(void *user)
{
	(void)usleep(300000);
	return -ENOTTY;
}

/* As a sandbox does it: the hook goes on in a child of its own. */
static int hook_forks(void *user)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0)
		return 0;
	(void)waitpid(pid, &status, 0);
	_exit(WEXITSTATUS(status));
}

static void test_start_errors(void **state)
{
	static const struct {
		const char *name, *program, *cwd;
		child_setup_fn setup;
		int r;
		const char *text;
	} cases[] = {
		{ "no such program", "/no/such", NULL, NULL, -ENOENT,
			"run '/no/such': execute: No such file or directory" },
		{ "not in PATH", "no-such-program", NULL, NULL, -ENOENT, "execute" },
		{ "not executable", "/etc/passwd", NULL, NULL, -EACCES, "execute" },
		{ "no such folder", "true", "/no/such", NULL, -ENOENT,
			"enter the folder" },
		{ "hook", "true", NULL, hook_fails, -ENOTTY, "set up: Inappropriate" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *const argv[] = { cases[i].program, NULL };
		struct child_options o = {
			.argv = argv, .cwd = cases[i].cwd, .setup = cases[i].setup
		};
		struct err e = { 0 };
		int status = -7;
		char *out = NULL;
		int r = child_run(&o, &status, &out, &e);

		if (r != cases[i].r || !strstr(e.text, cases[i].text))
			fail_msg("case '%s': %d '%s'", cases[i].name, r, e.text);
		assert_null(out);
		assert_int_equal(status, -7);
	}
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* all reaped */
}

static void test_hooks(void **state)
{
	struct child_options o = { .argv = SH("echo hi; exit 5"), .setup = hook_forks };
	CLEANUP(freep) char *out = NULL, *late = NULL;
	int status = -1;

	assert_int_equal(child_run(&o, &status, &out, NULL), 0);
	assert_string_equal(out, "hi\n");
	assert_int_equal(WEXITSTATUS(status), 5);
	o.setup = hook_fails_late;
	assert_int_equal(child_run(&o, &status, &late, NULL), 0);
	assert_int_equal(WEXITSTATUS(status), 127);
	assert_string_equal(late, "set up: Inappropriate ioctl for device\n");
}

static void test_timeout(void **state)
{
	struct child_options o = { .argv = SH("echo $$; sleep 1000 & sleep 1000"),
		.timeout_us = 300000 };
	CLEANUP(freep) char *out = NULL;
	struct err e = { 0 };
	int status = 0;

	assert_int_equal(child_run(&o, &status, &out, &e), -ETIMEDOUT);
	assert_int_equal(e.reason, REASON_TIMEOUT);
	assert_null(out);
}

/* What a child leaves in its group goes with it, and does not hold up the end. */
static void test_nothing_survives(void **state)
{
	struct child_options o = { .argv = SH("sleep 1000 & echo $!") };
	CLEANUP(freep) char *out = NULL;
	int status = -1, i;
	pid_t pid;

	assert_int_equal(child_run(&o, &status, &out, NULL), 0);
	assert_int_equal(status, 0);
	pid = (pid_t)strtoul(out, NULL, 10);
	assert_true(pid > 1);
	for (i = 0; i < 1000; i++) {
		char path[64], text[1024], *p;

		(void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
		if (file_read_line(path, text, sizeof(text)) == -ENOENT)
			return;
		p = strrchr(text, ')');
		if (p && p[2] == 'Z') /* nobody has reaped it yet: not ours to do */
			return;
		(void)usleep(1000);
	}
	fail_msg("process %d is still there", pid);
}

static void test_environment(void **state)
{
	const char *const env[] = { "A=1", "PATH=/usr/bin:/bin", NULL };
	struct child_options o = { .argv = (const char *const[]){ "env", NULL } };
	CLEANUP(freep) char *fixed = NULL, *given = NULL, *fds = NULL, *cwd = NULL;
	int status = -1, leaked = open("/dev/null", O_RDONLY); /* without O_CLOEXEC */

	assert_int_equal(setenv("SECRET", "x", 1), 0);
	assert_int_equal(child_run(&o, &status, &fixed, NULL), 0);
	assert_null(strstr(fixed, "SECRET"));
	assert_non_null(strstr(fixed, "LC_ALL=C\n"));
	o.env = env;
	assert_int_equal(child_run(&o, &status, &given, NULL), 0);
	assert_string_equal(given, "A=1\nPATH=/usr/bin:/bin\n");
	o.argv = SH("ls /proc/self/fd | wc -l; trap -p; kill -l >/dev/null");
	assert_int_equal(child_run(&o, &status, &fds, NULL), 0);
	assert_int_equal(fds[0], '4'); /* 0, 1, 2 and that of ls itself */
	o.argv = (const char *const[]){ "pwd", NULL };
	o.cwd = "/proc";
	assert_int_equal(child_run(&o, &status, &cwd, NULL), 0);
	assert_string_equal(cwd, "/proc\n");
	(void)close(leaked);
}

static void test_log_fd(void **state)
{
	int fd = memfd_create("log", MFD_CLOEXEC);
	struct child_options o = {
		.argv = SH("echo 1234567890"), .out_max = 3, .log_fd = fd
	};
	CLEANUP(freep) char *out = NULL;
	char log[32] = "";
	int status = -1;

	assert_int_equal(child_run(&o, &status, &out, NULL), 0);
	assert_string_equal(out, "123");
	assert_int_equal(pread(fd, log, sizeof(log), 0), 11);
	assert_string_equal(log, "1234567890\n");
	(void)close(fd);
	o.log_fd = open(
		"/dev/full", O_WRONLY | O_CLOEXEC); /* a full disk stops nothing */
	free(TAKE(out));
	assert_int_equal(child_run(&o, &status, &out, NULL), 0);
	assert_int_equal(status, 0);
	assert_string_equal(out, "123");
	(void)close(o.log_fd);
}

struct many {
	struct loop *l;
	int left, ok;
	struct child *victim;
};

static void many_done(const struct child_result *res, void *user)
{
	struct many *m = user;

	m->ok += res->status == 0 && streq(res->out, "x\n") && res->out_len == 2;
	if (--m->left == 0)
		loop_exit(m->l, 0);
}

static void victim_done(const struct child_result *res, void *user)
{
	struct many *m = user;

	assert_true(WIFSIGNALED(res->status));
	assert_false(res->is_timed_out);
	m->victim = NULL;
	if (--m->left == 0)
		loop_exit(m->l, 0);
}

static void kill_victim(void *user)
{
	struct many *m = user;

	child_kill(m->victim);
	child_kill(m->victim);
}

static void test_many(void **state)
{
	CLEANUP(loop_freep) struct loop *l = NULL;
	struct child_options o = { .argv = SH("echo x") },
			     forever = { .argv = SH("sleep 1000") };
	struct many m = { 0 };
	int i;

	assert_int_equal(loop_new(&l, NULL, NULL), 0);
	m.l = l;
	for (i = 0; i < 20; i++, m.left++)
		assert_int_equal(child_start(l, &o, many_done, &m, NULL, NULL), 0);
	assert_int_equal(child_start(l, &forever, victim_done, &m, &m.victim, NULL), 0);
	m.left++;
	assert_int_equal(loop_defer(l, kill_victim, &m), 0);
	assert_int_equal(loop_run(l), 0);
	assert_int_equal(m.ok, 20);
	assert_null(m.victim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_output),
		cmocka_unit_test(test_start_errors),
		cmocka_unit_test(test_hooks),
		cmocka_unit_test(test_timeout),
		cmocka_unit_test(test_nothing_survives),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_log_fd),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
