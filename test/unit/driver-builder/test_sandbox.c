// SPDX-License-Identifier: Apache-2.0
/* What a hostile build can and cannot do inside the sandbox. */
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

#include "driver-builder/sandbox.h"
#include "file.h"

#define SECOND USEC_PER_SEC

struct place {
	char top[64], root[80], work[80], out[80];
	bool is_possible;
};

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));
	struct err e = { 0 };

	assert_non_null(p);
	(void)snprintf(p->top, sizeof(p->top), "/tmp/farrier-sandbox-XXXXXX");
	assert_non_null(mkdtemp(p->top));
	(void)snprintf(p->root, sizeof(p->root), "%s/root", p->top);
	(void)snprintf(p->work, sizeof(p->work), "%s/work", p->top);
	(void)snprintf(p->out, sizeof(p->out), "%s/out", p->top);
	assert_int_equal(
		mkdir(p->root, 0755) | mkdir(p->work, 0755) | mkdir(p->out, 0755), 0);
	if (geteuid() == 0) {
		assert_int_equal(chown(p->work, SANDBOX_UID, SANDBOX_GID), 0);
		assert_int_equal(chown(p->out, SANDBOX_UID, SANDBOX_GID), 0);
	}
	p->is_possible = sandbox_check("/", p->root, &e) == 0;
	if (!p->is_possible)
		print_message("no sandbox here: %s\n", e.text);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;
	int r = dir_remove(p->top, NULL);

	free(p);
	return r;
}

/* Runs a shell script inside; its exit status, its output in @ret when that is not NULL. */
static int shell(struct place *p, const char *script, uint64_t timeout_us,
	uint64_t memory, struct sandbox_run *ret)
{
	const char *argv[] = { "/bin/sh", "-c", script, NULL };
	struct sandbox_options o = {
		.tools_root = "/",
		.mount_point = p->root,
		.work = p->work,
		.work_at = "/build",
		.out = p->out,
		.memory = memory,
		.file_size = 1 << 20,
		.processes = 500,
	};
	struct sandbox_run run = { 0 };
	struct sandbox *s = NULL;
	struct err e = { 0 };
	int status;

	if (!p->is_possible)
		skip();
	if (sandbox_new(&o, &s, &e) < 0 ||
		sandbox_run(s, argv, NULL, timeout_us, 64 << 10, &run, &e) < 0) {
		sandbox_free(s);
		fail_msg("%s", e.text);
	}
	sandbox_free(s);
	status = run.status;
	if (ret)
		*ret = run;
	else
		sandbox_run_done(&run);
	return status;
}

static const struct {
	const char *name, *script;
	int status;
} cases[] = {
	{ "status comes out", "exit 42", 42 },
	{ "killed by a signal", "kill -9 $$", 137 },
	{ "current folder is the build folder", "[ \"$PWD\" = /build ]", 0 },
	{ "build folder is writable", "echo x > /build/a && [ -s a ]", 0 },
	{ "out is writable", "echo x > /out/a", 0 },
	{ "tmp is writable and empty", "[ -z \"$(ls -A /tmp)\" ] && echo x > /tmp/a", 0 },
	{ "usr is read-only", "! touch /usr/x 2>/dev/null", 0 },
	{ "root is read-only", "! mkdir /x 2>/dev/null", 0 },
	{ "etc is ours", "! [ -e /etc/shadow ] && ! touch /etc/x 2>/dev/null", 0 },
	{ "no home of the host", "! [ -e /root ] && ! [ -e /home ] && ! [ -e /var ]", 0 },
	{ "no sysfs", "! [ -e /sys ]", 0 },
	{ "not root", "[ $(id -u) = 65534 ] && [ $(id -g) = 65534 ]", 0 },
	{ "no capability",
		"! grep -E '^Cap(Inh|Prm|Eff|Bnd|Amb):.*[1-9a-f]' /proc/self/status", 0 },
	{ "no new privileges", "grep -q '^NoNewPrivs:.1' /proc/self/status", 0 },
	{ "only itself to be seen", "[ $(ls /proc | grep -c '^[0-9]*$') -lt 8 ]", 0 },
	{ "no network but a silent lo", "[ $(tail -n +3 /proc/net/dev | wc -l) -le 1 ]",
		0 },
	{ "no route", "[ $(wc -l < /proc/net/route) -le 1 ]", 0 },
	{ "no raw socket files",
		"! [ -e /dev/vda ] && ! [ -e /dev/kmsg ] && ! [ -e /dev/mem ]", 0 },
	{ "system calls are filtered", "grep -q '^Seccomp:.2' /proc/self/status", 0 },
	{ "no user namespace", "! unshare -U true 2>/dev/null", 0 },
	{ "threads and forks go on", "(true | cat) && [ \"$(echo a | sed s/a/b/)\" = b ]",
		0 },
	{ "no mounting", "! mount -t tmpfs x /tmp 2>/dev/null", 0 },
	{ "no file beyond the limit", "! head -c 3000000 /dev/zero > big 2>/dev/null",
		0 },
	{ "dev/null works", "echo x > /dev/null && [ -c /dev/urandom ]", 0 },
	{ "host name", "[ \"$(uname -n)\" = farrier ]", 0 },
	{ "proc is read-only", "! echo 1 > /proc/sys/kernel/panic", 0 },
	{ "no open files of ours", "[ $(ls /proc/self/fd | wc -l) -le 4 ]", 0 },
};

static void test_inside(void **state)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct sandbox_run run = { 0 };
		int status = shell(*state, cases[i].script, 20 * SECOND, 0, &run);

		if (status != cases[i].status)
			print_message("case '%s': status %d: %s\n", cases[i].name, status,
				run.out);
		sandbox_run_done(&run);
		assert_int_equal(status, cases[i].status);
	}
}

/* What a shell cannot try. */
static const char probe[] =
	"import socket, sys, ctypes, errno\n"
	"def family(f):\n"
	"    try: socket.socket(f, socket.SOCK_STREAM).close(); return 0\n"
	"    except OSError as e: return e.errno\n"
	"libc = ctypes.CDLL(None, use_errno=True)\n"
	"def call(n):\n"
	"    libc.syscall(n, 0, 0, 0, 0, 0); return ctypes.get_errno()\n"
	"assert family(socket.AF_UNIX) == 0\n"
	"assert family(socket.AF_INET) == 0\n"
	"assert family(40) == errno.EAFNOSUPPORT\n" /* vsock */
	"assert family(38) == errno.EAFNOSUPPORT\n" /* the kernel's ciphers */
	"assert call(321) == errno.EPERM\n" /* bpf */
	"assert call(425) == errno.EPERM\n" /* io_uring_setup */
	"assert call(435) == errno.ENOSYS\n" /* clone3 */
	"assert call(0x40000000 + 39) == errno.EPERM\n" /* x32 */
	"import threading; t = threading.Thread(target=print); t.start(); t.join()\n";

static void test_denied_calls(void **state)
{
#if defined(__x86_64__)
	struct place *p = *state;
	char path[96];
	struct sandbox_run run = { 0 };
	int status;

	if (access("/usr/bin/python3", X_OK) < 0)
		skip();
	(void)snprintf(path, sizeof(path), "%s/probe.py", p->work);
	assert_int_equal(file_write_atomic(path, probe, strlen(probe), 0644, NULL), 0);
	status = shell(p, "exec /usr/bin/python3 -S probe.py", 60 * SECOND, 0, &run);
	if (status != 0)
		print_message("%s\n", run.out);
	sandbox_run_done(&run);
	assert_int_equal(status, 0);
#else
	skip();
#endif
}

static void test_time_limit_takes_everyone(void **state)
{
	struct place *p = *state;
	struct sandbox_run run = { 0 };
	char marker[96];
	struct stat st;
	off_t size;

	/* A daemon of its own session writes on; it must be dead with the rest. */
	(void)shell(p,
		"(setsid sh -c 'while :; do echo x >> /build/alive; sleep 0.05; done' "
		">/dev/null 2>&1 &) ; sleep 60",
		SECOND, 0, &run);
	assert_true(run.is_timed_out);
	sandbox_run_done(&run);
	(void)snprintf(marker, sizeof(marker), "%s/alive", p->work);
	assert_int_equal(stat(marker, &st), 0);
	(void)usleep(100 * 1000);
	assert_int_equal(stat(marker, &st), 0);
	size = st.st_size;
	(void)usleep(300 * 1000);
	assert_int_equal(stat(marker, &st), 0);
	assert_int_equal(st.st_size, size);
}

static void test_left_behind_dies_with_the_command(void **state)
{
	struct sandbox_run run = { 0 };

	/* The background process holds the output open: nothing may wait for it. */
	assert_int_equal(shell(*state, "sleep 60 & exit 3", 20 * SECOND, 0, &run), 3);
	assert_false(run.is_timed_out);
	assert_true(run.took_us < 10 * SECOND);
	sandbox_run_done(&run);
}

static const char hog[] =
	"set -e; n=$(head -c 400000000 /dev/zero | tail -c 400000000 | wc -c); "
	"[ $n = 400000000 ]; echo fine";

static void test_memory_limit(void **state)
{
	assert_int_not_equal(shell(*state, hog, 60 * SECOND, 200 << 20, NULL), 0);
}

static void run_with(struct place *p, struct sandbox_options *o, const char *script,
	struct sandbox_run *run)
{
	const char *argv[] = { "/bin/sh", "-c", script, NULL };
	struct sandbox *s = NULL;
	struct err e = { 0 };

	if (!p->is_possible)
		skip();
	o->tools_root = "/";
	o->mount_point = p->root;
	o->work = p->work;
	o->work_at = "/build";
	o->out = p->out;
	if (sandbox_new(o, &s, &e) < 0 ||
		sandbox_run(s, argv, NULL, 100 * SECOND, 64 << 10, run, &e) < 0) {
		sandbox_free(s);
		fail_msg("%s", e.text);
	}
	sandbox_free(s);
}

/* Skips where the host lets us make no control group that counts memory. */
static void need_groups(void)
{
	const struct cgroup_limits l = { 64 << 20, 100 };
	struct cgroup *c = NULL;
	bool has_memory;

	if (cgroup_new(&cgroup_host, &l, &c, NULL) < 0)
		skip();
	has_memory = cgroup_has_memory(c) && cgroup_has_processes(c);
	cgroup_free(c);
	if (!has_memory)
		skip();
}

static void test_memory_in_sum(void **state)
{
	/* Each is within the limit, all together are not. */
	struct sandbox_options o = { .memory = 150 << 20 };
	struct sandbox_run run = { 0 };

	need_groups();
	run_with(*state, &o,
		"for i in 1 2 3 4; do head -c 60000000 /dev/zero > /tmp/$i & done; wait; "
		"exit 5",
		&run);
	assert_true(run.is_out_of_memory);
	assert_false(run.is_timed_out);
	assert_non_null(strstr(run.out, "out of memory"));
	sandbox_run_done(&run);
}

static void test_failing_within_memory_is_no_memory_error(void **state)
{
	struct sandbox_options o = { .memory = 200 << 20 };
	struct sandbox_run run = { 0 };

	run_with(*state, &o, "echo 'x.c:1: error: no'; exit 2", &run);
	assert_false(run.is_out_of_memory);
	assert_int_equal(run.status, 2);
	assert_string_equal(run.out, "x.c:1: error: no\n");
	sandbox_run_done(&run);
}

static void test_memory_without_groups(void **state)
{
	static const struct cgroup_place nowhere = { "/nonexistent",
		"/nonexistent/self" };
	struct sandbox_options o = { .memory = 200 << 20, .groups = &nowhere };
	struct sandbox_run run = { 0 };

	run_with(*state, &o, hog, &run);
	assert_int_not_equal(run.status, 0);
	assert_null(strstr(run.out, "fine"));
	assert_false(run.is_out_of_memory);
	sandbox_run_done(&run);
}

static void test_disk_in_sum(void **state)
{
	/* No file is large, and there is no end of them. */
	struct sandbox_options o = { .disk = 20 << 20 };
	struct sandbox_run run = { 0 };

	run_with(*state, &o,
		"i=0; while :; do head -c 2000000 /dev/zero > /out/f$i; i=$((i+1)); "
		"[ $i -lt 200 ] || sleep 60; done",
		&run);
	assert_true(run.is_disk_full);
	assert_false(run.is_timed_out);
	assert_non_null(strstr(run.out, "No space left on device"));
	sandbox_run_done(&run);
}

static void test_output_has_a_cap(void **state)
{
	struct sandbox_options o = { .disk = 20 << 20 };
	struct sandbox_run run = { 0 };

	run_with(*state, &o,
		"head -c 1000000 /dev/zero | tr '\\0' y; "
		"while :; do head -c 2000000 /dev/zero >> /out/f; done",
		&run);
	/* What was said is cut, what ended it is still told. */
	assert_true(run.out_len <= 64 << 10);
	assert_true(run.out[0] == 'y');
	assert_non_null(strstr(run.out, "No space left on device"));
	sandbox_run_done(&run);
}

static void test_fork_bomb(void **state)
{
	struct sandbox_options o = { .processes = 100, .memory = 1 << 30 };
	struct sandbox_run run = { 0 };

	need_groups();
	run_with(*state, &o,
		"b() { b & b & wait; }; b 2>/dev/null; "
		"i=0; while [ $i -lt 200 ]; do sleep 50 & i=$((i+1)); done",
		&run);
	assert_int_not_equal(run.status, 0);
	assert_false(run.is_timed_out);
	assert_true(run.took_us < 90 * SECOND);
	sandbox_run_done(&run);
}

static void test_processes_are_limited(void **state)
{
	struct sandbox_run run = { 0 };
	int status = shell(*state,
		"i=0; while [ $i -lt 600 ]; do sleep 100 & i=$((i+1)); done; exit 0",
		90 * SECOND, 0, &run);

	sandbox_run_done(&run);
	assert_int_not_equal(status, 0);
}

static void test_unavailable_is_said(void **state)
{
	static const char *const argv[] = { "/bin/true", NULL };
	struct sandbox_options o = { .tools_root = "/", .mount_point = "/nonexistent/x" };
	struct sandbox_run run = { 0 };
	struct sandbox *s = NULL;
	struct err e = { 0 };
	int r;

	assert_int_equal(sandbox_new(&o, &s, &e), 0);
	r = sandbox_run(s, argv, NULL, 5 * SECOND, 4096, &run, &e);
	sandbox_free(s);
	assert_true(r < 0);
	assert_int_equal(e.reason, REASON_SANDBOX_UNAVAILABLE);
}

static void test_links_out_of_the_build_folder_lead_nowhere(void **state)
{
	struct place *p = *state;
	char link[96];

	(void)snprintf(link, sizeof(link), "%s/secret", p->work);
	assert_int_equal(symlink("/etc/shadow", link), 0);
	assert_int_equal(
		shell(p, "! cat /build/secret 2>/dev/null", 20 * SECOND, 0, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_inside),
		T(test_denied_calls),
		T(test_time_limit_takes_everyone),
		T(test_left_behind_dies_with_the_command),
		T(test_memory_limit),
		T(test_memory_in_sum),
		T(test_failing_within_memory_is_no_memory_error),
		T(test_memory_without_groups),
		T(test_disk_in_sum),
		T(test_output_has_a_cap),
		T(test_fork_bomb),
		T(test_processes_are_limited),
		T(test_unavailable_is_said),
		T(test_links_out_of_the_build_folder_lead_nowhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
