// SPDX-License-Identifier: Apache-2.0
/* A child process: fork, set up, exec, collect its output, end its whole group. */
#include "child.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum {
	CHILD_OUT_DEFAULT = 64 << 10,
	CHILD_LOG_MAX = 64 << 20,
	CHILD_CHUNK = 32 << 10,
	CHILD_DRAIN_MAX = 4 << 20, /* what a survivor outside the group may still say */
	CHILD_EXEC_WAIT_MS = 1000, /* how long child_start() waits to hear of exec */
	CHILD_SETUP_WAIT_MS =
		50, /* the same behind a hook, which may be slow by nature */
	CHILD_STATUS_FAILED = 127,
};

static const char *const env_default[] = {
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	"LC_ALL=C",
	"HOME=/",
	NULL,
};

enum stage { STAGE_FORK, STAGE_SETUP, STAGE_CWD, STAGE_EXEC, STAGES_ };
static const char *const stage_names[STAGES_] = {
	[STAGE_FORK] = "start",
	[STAGE_SETUP] = "set up",
	[STAGE_CWD] = "enter the folder",
	[STAGE_EXEC] = "execute",
};

/* What the forked child tells when it does not come to exec. */
struct report {
	int stage, code;
};

struct child {
	struct loop *l;
	pid_t pid;
	int pidfd, out_fd, report_fd;
	int log_fd;
	size_t log_left;
	struct loop_source *on_exit, *on_out, *on_timeout;
	struct buf out;
	bool is_timed_out, is_out_closed;
	uint64_t started_us;
	child_done_fn done;
	void *user;
};

static void child_free(struct child *c)
{
	if (!c)
		return;
	loop_source_free(c->on_exit);
	loop_source_free(c->on_out);
	loop_source_free(c->on_timeout);
	closep(&c->pidfd);
	closep(&c->out_fd);
	closep(&c->report_fd);
	buf_done(&c->out);
	free(c);
}
DEFINE_CLEANUP(struct child, child_free)

/* ---- in the forked child ---- */

static _Noreturn void child_fail(int report_fd, enum stage stage, int code)
{
	struct report rep = { (int)stage, code };
	ssize_t n = write(report_fd, &rep, sizeof(rep));

	(void)n;
	_exit(CHILD_STATUS_FAILED);
}

static void reset_signals(void)
{
	sigset_t none;
	int i;

	for (i = 1; i < NSIG; i++)
		if (i != SIGKILL && i != SIGSTOP)
			(void)signal(i, SIG_DFL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void child_main(
	const struct child_options *o, int in_fd, int out_fd, int report_fd, pid_t parent)
{
	int r;

	(void)setpgid(0, 0);
	/* An agent that is killed takes its builds along; they start anew with it. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(CHILD_STATUS_FAILED);
	reset_signals();
	if (dup2(in_fd, STDIN_FILENO) < 0 || dup2(out_fd, STDOUT_FILENO) < 0 ||
		dup2(out_fd, STDERR_FILENO) < 0)
		child_fail(report_fd, STAGE_FORK, -errno);
	r = o->setup ? o->setup(o->setup_user) : 0;
	if (r < 0)
		child_fail(report_fd, STAGE_SETUP, r);
	if (o->cwd && chdir(o->cwd) < 0)
		child_fail(report_fd, STAGE_CWD, -errno);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a change of user cleared it */
	(void)close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
	environ = (char **)(o->env ? o->env : env_default);
	(void)execvp(o->argv[0], (char *const *)o->argv);
	child_fail(report_fd, STAGE_EXEC, -errno);
}

/* ---- in the parent ---- */

static void take_output(struct child *c, const char *data, size_t n)
{
	size_t room = c->out.max - c->out.len, m = MIN(n, c->log_left);

	(void)buf_add(&c->out, data, MIN(n, room));
	/* The log is a convenience: a full disk must not stop the build. */
	while (c->log_fd > 0 && m > 0) {
		ssize_t w = write(c->log_fd, data, m);

		if (w <= 0 && errno != EINTR)
			c->log_fd = -1;
		if (w <= 0)
			continue;
		data += w;
		m -= (size_t)w;
		c->log_left -= (size_t)w;
	}
}

/* Bytes read, 0 at the end, -EAGAIN. */
static ssize_t read_output(struct child *c)
{
	char chunk[CHILD_CHUNK];
	ssize_t n = read(c->out_fd, chunk, sizeof(chunk));

	if (n < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	take_output(c, chunk, (size_t)n);
	return n;
}

static void on_out(int fd, uint32_t events, void *user)
{
	struct child *c = user;
	ssize_t n = read_output(c);

	if (n > 0 || n == -EAGAIN)
		return;
	c->is_out_closed = true;
	loop_source_free(TAKE(c->on_out));
}

/* The hook's or exec's failure that came too late for child_start(). */
static void add_late_report(struct child *c)
{
	struct report rep;
	char text[160];
	int n;

	if (read(c->report_fd, &rep, sizeof(rep)) != sizeof(rep) ||
		(unsigned)rep.stage >= STAGES_)
		return;
	n = snprintf(text, sizeof(text), "%s: %s\n", stage_names[rep.stage],
		strerror(-rep.code));
	take_output(c, text, (size_t)n);
}

static void on_exit_(int fd, uint32_t events, void *user)
{
	struct child *c = user;
	struct child_result res = { 0 };
	size_t drained = 0;
	ssize_t n = 1;

	/* While the leader is not reaped, its number still names its group and nobody else's. */
	(void)kill(-c->pid, SIGKILL);
	while (!c->is_out_closed && n > 0 && drained < CHILD_DRAIN_MAX) {
		n = read_output(c);
		drained += n > 0 ? (size_t)n : 0;
	}
	if (waitpid(c->pid, &res.status, WNOHANG) != c->pid)
		res.status = CHILD_STATUS_FAILED << 8;
	add_late_report(c);
	res.is_timed_out = c->is_timed_out;
	res.out = buf_cstr(&c->out);
	res.out_len = c->out.len;
	res.took_us = loop_now(c->l) - c->started_us;
	if (c->done)
		c->done(&res, c->user);
	child_free(c);
}

static void on_timeout(void *user)
{
	struct child *c = user;

	c->is_timed_out = true;
	child_kill(c);
}

void child_kill(struct child *c)
{
	(void)kill(-c->pid, SIGKILL);
	(void)kill(c->pid, SIGKILL); /* it may not have made its group yet */
}

static int make_stdin(const char *text)
{
	CLEANUP(closep) int fd = -1;
	size_t n = text ? strlen(text) : 0;

	if (!text) {
		fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		return fd < 0 ? -errno : TAKE_FD(fd);
	}
	fd = memfd_create("stdin", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (pwrite(fd, text, n, 0) != (ssize_t)n)
		return -EIO;
	return TAKE_FD(fd);
}

/* Waits a moment for exec, so that what cannot start fails here. Reaps the child then. */
static int hear_of_exec(struct child *c, const struct child_options *o, struct err *e)
{
	struct pollfd p = { .fd = c->report_fd, .events = POLLIN };
	struct report rep;
	ssize_t n;

	if (poll(&p, 1, o->setup ? CHILD_SETUP_WAIT_MS : CHILD_EXEC_WAIT_MS) <= 0)
		return 0;
	n = read(c->report_fd, &rep, sizeof(rep));
	if (n != sizeof(rep) || (unsigned)rep.stage >= STAGES_ || rep.code >= 0)
		return 0;
	(void)kill(-c->pid, SIGKILL);
	(void)waitpid(c->pid, NULL, 0);
	return err_errno(e, rep.code, "run '%s': %s", o->argv[0], stage_names[rep.stage]);
}

static int child_fork(struct child *c, const struct child_options *o)
{
	CLEANUP(closep) int in = make_stdin(o->stdin_text);
	int out[2] = { -1, -1 }, report[2] = { -1, -1 }, r;
	pid_t parent = getpid();

	if (in < 0)
		return in;
	if (pipe2(out, O_CLOEXEC) < 0)
		return -errno;
	c->out_fd = out[0];
	if (pipe2(report, O_CLOEXEC) < 0) {
		r = -errno;
		(void)close(out[1]);
		return r;
	}
	c->report_fd = report[0];
	c->pid = fork();
	if (c->pid == 0)
		child_main(o, in, out[1], report[1], parent);
	r = c->pid < 0 ? -errno : 0;
	(void)close(out[1]);
	(void)close(report[1]);
	if (r < 0)
		return r;
	(void)setpgid(c->pid, c->pid); /* whoever comes first */
	(void)fcntl(c->out_fd, F_SETFL, O_NONBLOCK);
	(void)fcntl(c->report_fd, F_SETFL, O_NONBLOCK);
	return 0;
}

static int child_watch(struct child *c, uint64_t timeout_us)
{
	int r;

	c->pidfd = pidfd_open(c->pid, 0);
	if (c->pidfd < 0)
		return -errno;
	r = loop_io(c->l, c->out_fd, EPOLLIN, on_out, c, &c->on_out);
	if (r == 0)
		r = loop_io(c->l, c->pidfd, EPOLLIN, on_exit_, c, &c->on_exit);
	if (r == 0 && timeout_us > 0)
		r = loop_timer(
			c->l, c->started_us + timeout_us, on_timeout, c, &c->on_timeout);
	return r;
}

int child_start(struct loop *l, const struct child_options *o, child_done_fn done,
	void *user, struct child **ret, struct err *e)
{
	CLEANUP(child_freep) struct child *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return err_errno(e, -ENOMEM, "run '%s'", o->argv[0]);
	c->l = l;
	c->pidfd = c->out_fd = c->report_fd = -1;
	c->log_fd = o->log_fd;
	c->log_left = CHILD_LOG_MAX;
	c->done = done;
	c->user = user;
	c->started_us = loop_now(l);
	buf_init(&c->out, o->out_max ? o->out_max : CHILD_OUT_DEFAULT);
	r = child_fork(c, o);
	if (r < 0)
		return err_errno(e, r, "run '%s'", o->argv[0]);
	r = hear_of_exec(c, o, e);
	if (r < 0)
		return r;
	r = child_watch(c, o->timeout_us);
	if (r < 0) {
		child_kill(c);
		(void)waitpid(c->pid, NULL, 0);
		return err_errno(e, r, "run '%s'", o->argv[0]);
	}
	if (ret)
		*ret = c;
	TAKE(c);
	return 0;
}

struct run {
	struct loop *l;
	int status;
	bool is_timed_out;
	char *out;
};

static void run_done(const struct child_result *res, void *user)
{
	struct run *run = user;

	run->status = res->status;
	run->is_timed_out = res->is_timed_out;
	run->out = strndup(res->out, res->out_len);
	loop_exit(run->l, 0);
}

int child_run(
	const struct child_options *o, int *ret_status, char **ret_out, struct err *e)
{
	CLEANUP(loop_freep) struct loop *l = NULL;
	struct run run = { 0 };
	int r = loop_new(&l, NULL, e);

	if (r < 0)
		return r;
	run.l = l;
	r = child_start(l, o, run_done, &run, NULL, e);
	if (r < 0)
		return r;
	r = loop_run(l);
	if (r == 0 && run.is_timed_out)
		r = -ETIMEDOUT;
	if (r == 0 && !run.out)
		r = -ENOMEM;
	if (r < 0) {
		free(run.out);
		return err_reason(e, r, r == -ETIMEDOUT ? REASON_TIMEOUT : REASON_NONE,
			"run '%s': %s", o->argv[0],
			r == -ETIMEDOUT ? "took too long, killed" : strerror(-r));
	}
	if (ret_status)
		*ret_status = run.status;
	if (ret_out)
		*ret_out = TAKE(run.out);
	free(run.out);
	return 0;
}
