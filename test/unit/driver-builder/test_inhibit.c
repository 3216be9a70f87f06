// SPDX-License-Identifier: Apache-2.0
/* inhibit.c with a systemd-inhibit of our own in a root of our own: taken, given back, never left behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "driver-builder/inhibit.h"
#include "file.h"

#define PATIENCE_US (60 * USEC_PER_SEC)

struct host {
	char top[64];
	struct loop *loop;
	bool is_ready;
};

/* Says who it is, then waits as `cat` would. */
static const char tool[] =
	"#!/bin/sh\necho \"$*\" > /args\necho $$ > /pid\nread x\nexit 0\n";

static void put(struct host *h, const char *file, const char *text, mode_t mode)
{
	char path[PATH_MAX], *slash;

	assert_int_equal(path_join(path, sizeof(path), h->top, file, NULL), 0);
	slash = strrchr(path, '/');
	*slash = '\0';
	assert_int_equal(dir_make(path, 0755, NULL), 0);
	*slash = '/';
	assert_int_equal(file_write_atomic(path, text, strlen(text), mode, NULL), 0);
}

static int setup(void **state)
{
	static const char *const files[] = { "/bin/sh", "/lib64/ld-linux-x86-64.so.2",
		"/lib/x86_64-linux-gnu/libc.so.6" };
	struct host *h = calloc(1, sizeof(*h));
	char to[PATH_MAX];

	assert_non_null(h);
	(void)snprintf(h->top, sizeof(h->top), "/tmp/farrier-inhibit-XXXXXX");
	assert_non_null(mkdtemp(h->top));
	h->is_ready = geteuid() == 0;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		put(h, files[i], "", 0755);
		if (path_join(to, sizeof(to), h->top, files[i], NULL) < 0 ||
			file_copy(files[i], to, 0755, NULL) < 0)
			h->is_ready = false;
	}
	put(h, "usr/bin/systemd-inhibit", tool, 0755);
	put(h, "run/systemd/system/x", "", 0644);
	assert_int_equal(loop_new(&h->loop, NULL, NULL), 0);
	*state = h;
	return 0;
}

static uint64_t now_us(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * USEC_PER_SEC + (uint64_t)t.tv_nsec / 1000;
}

/* What was let go is freed when the loop has heard of its child's end: a dead child is not enough. */
static void settle(struct host *h)
{
	uint64_t until = now_us() + PATIENCE_US;
	siginfo_t info;

	while (now_us() < until &&
		waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0)
		(void)loop_step(h->loop, 20 * USEC_PER_MSEC);
	while (loop_step(h->loop, 50 * USEC_PER_MSEC) > 0)
		;
}

static int teardown(void **state)
{
	struct host *h = *state;
	int r = dir_remove(h->top, NULL);

	settle(h);
	loop_free(h->loop);
	free(h);
	return r;
}

/* The number that the tool wrote, once it did; 0 when it never does. */
static pid_t wait_pid(struct host *h)
{
	uint64_t until = now_us() + PATIENCE_US;
	char path[PATH_MAX], line[64];

	assert_int_equal(path_join(path, sizeof(path), h->top, "pid", NULL), 0);
	while (now_us() < until) {
		(void)loop_step(h->loop, 20 * USEC_PER_MSEC);
		if (file_read_line(path, line, sizeof(line)) == 0 && *line)
			return (pid_t)strtoull(line, NULL, 10);
	}
	return 0;
}

/* Where nobody reaps orphans they stay as zombies, which hold nothing. */
static bool is_dead(pid_t pid)
{
	char path[64], line[512], *state;

	if (kill(pid, 0) < 0 && errno == ESRCH)
		return true;
	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (file_read_line(path, line, sizeof(line)) < 0)
		return true;
	state = strrchr(line, ')');
	return state && str_starts(state, ") Z");
}

static bool is_gone(struct host *h, pid_t pid)
{
	uint64_t until = now_us() + PATIENCE_US;

	while (now_us() < until) {
		(void)loop_step(h->loop, 20 * USEC_PER_MSEC);
		if (is_dead(pid))
			return true;
	}
	return false;
}

static void test_take_and_give_back(void **state)
{
	struct host *h = *state;
	struct inhibit *i = NULL;
	char path[PATH_MAX], line[512] = "";
	pid_t pid;

	if (!h->is_ready)
		skip();
	assert_int_equal(inhibit_new(h->loop, h->top, &i, NULL), 0);
	inhibit_set(i, NULL);
	assert_false(inhibit_is_held(i));
	inhibit_set(i, "6.1.0-56 edu BuildFailed\nno");
	pid = wait_pid(h);
	assert_true(pid > 0);
	assert_true(inhibit_is_held(i));
	assert_int_equal(path_join(path, sizeof(path), h->top, "args", NULL), 0);
	assert_int_equal(file_read_line(path, line, sizeof(line)), 0);
	assert_non_null(strstr(line, "--what=shutdown --mode=block"));
	assert_non_null(strstr(line, "6.1.0-56 edu BuildFailed no"));
	/* Still wanted: the same one. */
	inhibit_set(i, "another reason");
	assert_int_equal(kill(pid, 0), 0);
	inhibit_set(i, NULL);
	assert_false(inhibit_is_held(i));
	assert_true(is_gone(h, pid));
	inhibit_free(i);
}

static void test_a_lost_lock_is_known(void **state)
{
	struct host *h = *state;
	struct inhibit *i = NULL;
	pid_t pid;

	if (!h->is_ready)
		skip();
	assert_int_equal(inhibit_new(h->loop, h->top, &i, NULL), 0);
	inhibit_set(i, "why");
	pid = wait_pid(h);
	assert_true(pid > 0);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_true(is_gone(h, pid));
	for (uint64_t until = now_us() + PATIENCE_US;
		inhibit_is_held(i) && now_us() < until;)
		(void)loop_step(h->loop, 20 * USEC_PER_MSEC);
	assert_false(inhibit_is_held(i));
	inhibit_free(i);
}

static void test_an_orderly_end(void **state)
{
	struct host *h = *state;
	struct inhibit *i = NULL;
	pid_t pid;

	if (!h->is_ready)
		skip();
	assert_int_equal(inhibit_new(h->loop, h->top, &i, NULL), 0);
	inhibit_set(i, "why");
	pid = wait_pid(h);
	assert_true(pid > 0);
	inhibit_free(i);
	assert_true(is_gone(h, pid));
}

static void test_killed(void **state)
{
	struct host *h = *state;
	pid_t agent, pid;

	if (!h->is_ready)
		skip();
	agent = fork();
	assert_true(agent >= 0);
	if (agent == 0) {
		struct loop *l = NULL;
		struct inhibit *i = NULL;

		if (loop_new(&l, NULL, NULL) < 0 || inhibit_new(l, h->top, &i, NULL) < 0)
			_exit(1);
		inhibit_set(i, "why");
		(void)pause();
		_exit(1);
	}
	pid = wait_pid(h);
	(void)kill(agent, SIGKILL);
	assert_int_equal(waitpid(agent, NULL, 0), agent);
	assert_true(pid > 0);
	assert_true(is_gone(h, pid));
}

static uint64_t fake_now(void *user)
{
	return *(const uint64_t *)user;
}

/* Wants the lock, and sees it lost. */
static void lose(struct loop *l, struct inhibit *i)
{
	inhibit_set(i, "why");
	assert_true(inhibit_is_held(i));
	for (uint64_t until = now_us() + PATIENCE_US;
		inhibit_is_held(i) && now_us() < until;)
		(void)loop_step(l, 20 * USEC_PER_MSEC);
	assert_false(inhibit_is_held(i));
}

/* A host without a bus loses the lock every time: said once, not with every attempt. */
static void test_the_same_loss_is_said_once(void **state)
{
	static const char lost[] = "shutdown lock lost";
	struct host *h = *state;
	struct inhibit *i = NULL;
	struct loop *l = NULL;
	uint64_t at_us = USEC_PER_SEC;
	const struct loop_clock clock = { .now_us = fake_now, .user = &at_us };
	char path[PATH_MAX];
	char *said = NULL;
	size_t len = 0, n = 0;
	int fd, was;

	if (!h->is_ready)
		skip();
	put(h, "usr/bin/systemd-inhibit", "#!/bin/sh\necho no bus\nexit 1\n", 0755);
	assert_int_equal(path_join(path, sizeof(path), h->top, "log", NULL), 0);
	fd = open(path, O_CREAT | O_RDWR | O_APPEND | O_CLOEXEC, 0600);
	was = dup(STDERR_FILENO);
	assert_true(fd >= 0 && was >= 0);
	assert_true(dup2(fd, STDERR_FILENO) >= 0);
	assert_int_equal(loop_new(&l, &clock, NULL), 0);
	assert_int_equal(inhibit_new(l, h->top, &i, NULL), 0);
	for (int round = 0; round < 3; round++, at_us += 40 * USEC_PER_SEC)
		lose(l, i);
	assert_true(dup2(was, STDERR_FILENO) >= 0);
	(void)close(was);
	(void)close(fd);
	inhibit_free(i);
	loop_free(l);
	assert_int_equal(file_read(path, 65536, &said, &len, NULL), 0);
	for (const char *at = said; at && (at = strstr(at, lost)); at += sizeof(lost) - 1)
		n++;
	free(said);
	assert_int_equal(n, 1);
}

static void test_no_systemd(void **state)
{
	struct host *h = *state;
	struct inhibit *i = NULL;

	assert_int_equal(inhibit_new(h->loop, "/nonexistent", &i, NULL), 0);
	inhibit_set(i, "why");
	assert_false(inhibit_is_held(i));
	inhibit_set(i, NULL);
	inhibit_free(i);
	inhibit_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_take_and_give_back),
		T(test_a_lost_lock_is_known),
		T(test_an_orderly_end),
		T(test_killed),
		T(test_the_same_loss_is_said_once),
		T(test_no_systemd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
