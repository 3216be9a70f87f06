// SPDX-License-Identifier: Apache-2.0
/* The lock by which two plugins never serve one node. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "device-plugin/single.h"
#include "file.h"

static char dir[64], run[80];

static int make_dir(void **state)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/test-single-XXXXXX");
	assert_non_null(mkdtemp(dir));
	(void)snprintf(run, sizeof(run), "%s/run/farrier", dir);
	return 0;
}

static int remove_dir(void **state)
{
	return dir_remove(dir, NULL);
}

/* Another process that takes the lock and waits to be killed; so does a child of its own, whose pid is
 * told. */
static pid_t holder(pid_t *ret_child)
{
	int fds[2];
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		pid_t child;
		int lock;

		if (single_take(run, &lock, NULL) < 0)
			_exit(1);
		child = fork();
		if (child > 0 && write(fds[1], &child, sizeof(child)) != sizeof(child))
			_exit(1);
		for (;;)
			(void)pause();
	}
	assert_int_equal(read(fds[0], ret_child, sizeof(*ret_child)), sizeof(*ret_child));
	(void)close(fds[0]);
	(void)close(fds[1]);
	return pid;
}

static void end(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* However that process ends, and although a child of its lives on. */
static void test_one_at_a_time(void **state)
{
	struct err e = { 0 };
	pid_t child, pid;
	int fd = -1;

	pid = holder(&child); /* makes the folder */
	assert_int_equal(single_take(run, &fd, &e), -EAGAIN);
	assert_int_equal(fd, -1);
	assert_non_null(strstr(e.text, SINGLE_FILE));
	end(pid);
	assert_int_equal(kill(child, 0), 0);
	assert_int_equal(single_take(run, &fd, &e), 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(close(fd), 0);
	assert_int_equal(kill(child, SIGKILL), 0);
	end(holder(&child));
	assert_int_equal(kill(child, SIGKILL), 0);
}

static void test_what_cannot_be_locked(void **state)
{
	char path[128], long_name[5000];
	struct err e = { 0 };
	int fd = -1;

	memset(long_name, 'x', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	assert_true(single_take(long_name, &fd, &e) < 0);
	assert_true(single_take("/proc/nowhere", &fd, &e) < 0);

	/* A link in its place is not followed. */
	assert_int_equal(dir_make(run, 0755, NULL), 0);
	(void)snprintf(path, sizeof(path), "%s/" SINGLE_FILE, run);
	assert_int_equal(symlink("/dev/null", path), 0);
	assert_int_equal(single_take(run, &fd, &e), -ELOOP);
	assert_int_equal(fd, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_one_at_a_time, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(
			test_what_cannot_be_locked, make_dir, remove_dir),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
