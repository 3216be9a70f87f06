// SPDX-License-Identifier: Apache-2.0
/* fork, one function, a pipe, a time limit. */
#include "probe.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>

struct probe {
	pid_t pid; /* 0: reaped */
	int fd; /* what it says; -1 closed */
	struct loop_source *on_out, *on_exit, *on_timeout;
	probe_done_fn done; /* NULL: called */
	void *user;
	size_t len;
	char out[sizeof(int) + PROBE_OUT_MAX + 1]; /* its result, then its text */
};

/* Everything else is closed: a child that hangs must not keep our sockets open. */
static _Noreturn void child_main(int fd, probe_fn fn, const void *what, pid_t parent)
{
	char out[sizeof(int) + PROBE_OUT_MAX];
	int r;
	ssize_t n;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || dup2(fd, STDOUT_FILENO) < 0)
		_exit(1);
	(void)close_range(STDERR_FILENO + 1, ~0U, 0);
	r = fn(what, out + sizeof(int), PROBE_OUT_MAX);
	memcpy(out, &r, sizeof(r));
	n = write(STDOUT_FILENO, out, sizeof(int) + (r > 0 ? (size_t)r : 0));
	_exit(n < 0);
}

static void finish(struct probe *p, int r)
{
	probe_done_fn done = p->done;

	p->done = NULL;
	loop_timer_set(p->on_timeout, UINT64_MAX);
	loop_source_free(TAKE(p->on_out));
	closep(&p->fd);
	p->fd = -1;
	if (done)
		done(r, p->out + sizeof(int), p->user);
}

/* All of it has come. */
static int result(struct probe *p)
{
	int r;

	if (p->len < sizeof(int))
		return -EIO;
	memcpy(&r, p->out, sizeof(r));
	if (r < 0)
		return r;
	return (size_t)r == p->len - sizeof(int) ? 0 : -EIO;
}

static void on_out(int fd, uint32_t events, void *user)
{
	struct probe *p = user;
	ssize_t n = read(fd, p->out + p->len, sizeof(p->out) - 1 - p->len);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n > 0) {
		p->len += (size_t)n;
		if (p->len < sizeof(p->out) - 1)
			return;
	}
	finish(p, result(p));
}

static void on_exit_(pid_t pid, int status, void *user)
{
	struct probe *p = user;

	p->pid = 0; /* its pipe says what came of it */
}

static void on_timeout(void *user)
{
	struct probe *p = user;

	if (p->pid)
		(void)kill(p->pid, SIGKILL);
	finish(p, -ETIMEDOUT);
}

static int watch(struct loop *l, struct probe *p, uint64_t timeout_us)
{
	int r = loop_io(l, p->fd, EPOLLIN, on_out, p, &p->on_out);

	if (r == 0)
		r = loop_child(l, p->pid, on_exit_, p, &p->on_exit);
	if (r == 0)
		r = loop_timer(
			l, loop_now(l) + timeout_us, on_timeout, p, &p->on_timeout);
	return r;
}

int probe_start(struct loop *l, probe_fn fn, const void *what, uint64_t timeout_us,
	probe_done_fn done, void *user, struct probe **ret)
{
	CLEANUP(probe_freep) struct probe *p = calloc(1, sizeof(*p));
	pid_t parent = getpid();
	int fds[2], r;

	if (!p)
		return -ENOMEM;
	p->fd = -1;
	p->done = done;
	p->user = user;
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	p->fd = fds[0];
	p->pid = fork();
	if (p->pid == 0)
		child_main(fds[1], fn, what, parent);
	r = p->pid < 0 ? -errno : 0;
	closep(&fds[1]);
	if (r < 0) {
		p->pid = 0;
		return r;
	}
	r = watch(l, p, timeout_us);
	if (r < 0)
		return r;
	*ret = TAKE(p);
	return 0;
}

bool probe_is_stuck(const struct probe *p)
{
	return p->pid != 0;
}

void probe_free(struct probe *p)
{
	if (!p)
		return;
	if (p->pid) {
		(void)kill(p->pid, SIGKILL);
		(void)waitpid(p->pid, NULL, WNOHANG);
	}
	loop_source_free(p->on_out);
	loop_source_free(p->on_exit);
	loop_source_free(p->on_timeout);
	closep(&p->fd);
	free(p);
}
