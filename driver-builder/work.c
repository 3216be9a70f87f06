// SPDX-License-Identifier: Apache-2.0
/* A forked worker whose error comes back through a shared page. */
#include "work.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

struct work {
	struct loop_source *child, *timer;
	pid_t pid;
	struct err *shared;
	bool is_timed_out;
	work_done_fn done;
	void *user;
};

static void work_free(struct work *w)
{
	loop_source_free(w->child);
	loop_source_free(w->timer);
	if (w->shared)
		(void)munmap(w->shared, sizeof(*w->shared));
	free(w);
}

static void on_exit_of_worker(pid_t pid, int status, void *user)
{
	struct work *w = user;
	struct err result = *w->shared;

	result.text[sizeof(result.text) - 1] = '\0';
	if (w->is_timed_out)
		(void)err_reason(&result, -ETIMEDOUT, REASON_TIMEOUT, "took too long");
	else if (!WIFEXITED(status) || WEXITSTATUS(status) > 1)
		(void)err_reason(&result, -EIO, REASON_INTERNAL,
			"worker died with status %d", status);
	w->pid = -1;
	w->done(&result, w->user);
	work_free(w);
}

static void on_timeout(void *user)
{
	struct work *w = user;

	w->is_timed_out = true;
	(void)kill(-w->pid, SIGKILL);
	(void)kill(w->pid, SIGKILL);
}

static _Noreturn void worker_main(struct work *w, work_fn fn, pid_t parent)
{
	sigset_t none;
	int r;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(2);
	(void)setpgid(0, 0);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	r = fn(w->user, w->shared);
	if (r >= 0)
		err_clear(w->shared);
	else if (w->shared->code == 0)
		(void)err_errno(w->shared, r, "failed");
	_exit(r < 0 ? 1 : 0);
}

int work_start(struct loop *l, work_fn fn, work_done_fn done, void *user,
	uint64_t timeout_us, struct work **ret, struct err *e)
{
	struct work *w = calloc(1, sizeof(*w));
	pid_t parent = getpid();
	int r;

	if (!w)
		return err_errno(e, -ENOMEM, "worker");
	w->done = done;
	w->user = user;
	w->pid = -1;
	w->shared = mmap(NULL, sizeof(*w->shared), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (w->shared == MAP_FAILED) {
		w->shared = NULL;
		work_free(w);
		return err_errno(e, -ENOMEM, "worker");
	}
	w->pid = fork();
	if (w->pid == 0)
		worker_main(w, fn, parent);
	if (w->pid < 0) {
		r = -errno;
		work_free(w);
		return err_errno(e, r, "fork");
	}
	r = loop_child(l, w->pid, on_exit_of_worker, w, &w->child);
	if (r == 0)
		r = loop_timer(l, loop_now(l) + timeout_us, on_timeout, w, &w->timer);
	if (r < 0) {
		work_cancel(w);
		return err_errno(e, r, "worker");
	}
	*ret = w;
	return 0;
}

void work_cancel(struct work *w)
{
	if (!w)
		return;
	if (w->pid > 0) {
		(void)kill(-w->pid, SIGKILL);
		(void)kill(w->pid, SIGKILL);
		(void)waitpid(w->pid, NULL, 0);
	}
	work_free(w);
}
