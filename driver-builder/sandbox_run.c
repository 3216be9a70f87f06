// SPDX-License-Identifier: Apache-2.0
/* Runs a command in a sandbox, and ends it when it takes more memory or disk than it may. */
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>

#include "sandbox_plan.h"
#include "sandbox_watch.h"

#define WATCH_MIN_US (250 * USEC_PER_MSEC)
#define WATCH_MAX_US (5 * USEC_PER_SEC)
enum {
	CHECK_TIMEOUT_S = 20,
	WATCH_SHARE = 20,
	NOTE_MAX = 256,
	MIB_SHIFT = 20,
	STATUS_KILLED = 128 + 9
};

struct running {
	struct loop *loop;
	struct sandbox *s;
	struct child *child;
	struct loop_source *timer;
	struct sandbox_run *ret;
	uint64_t few; /* room that must stay on the disk; 0: there never was that much */
	bool is_out_of_processes;
	int result;
};

static const char *room_dir(const struct sandbox *s)
{
	return s->written[0] ? s->written[0] : s->written[1];
}

static bool is_disk_full(const struct running *w)
{
	const struct sandbox *s = w->s;
	uint64_t bytes = 0, files = 0, left, few;

	for (size_t i = 0; i < ARRAY_SIZE(s->written) && bytes <= s->disk; i++)
		if (s->written[i])
			sandbox_measure(s->written[i], s->disk, &bytes, &files);
	if (bytes > s->disk)
		return true;
	/* What was deleted and is still open is seen here only. */
	if (w->few == 0)
		return false;
	sandbox_room(room_dir(s), &left, &few);
	return left < w->few;
}

/* Looks as often as looking costs next to nothing. */
static void on_watch(void *user)
{
	struct running *w = user;
	uint64_t started = loop_now(w->loop), took;
	struct timespec a, b;

	if (!w->child)
		return;
	(void)clock_gettime(CLOCK_MONOTONIC, &a);
	w->ret->is_out_of_memory = cgroup_is_out_of_memory(w->s->cgroup);
	w->ret->is_disk_full = room_dir(w->s) && is_disk_full(w);
	if (w->ret->is_out_of_memory || w->ret->is_disk_full) {
		child_kill(w->child);
		return;
	}
	(void)clock_gettime(CLOCK_MONOTONIC, &b);
	took = (uint64_t)((b.tv_sec - a.tv_sec) * (int64_t)USEC_PER_SEC +
			  (b.tv_nsec - a.tv_nsec) / 1000);
	loop_timer_set(w->timer,
		started + MAX(WATCH_MIN_US, MIN(took * WATCH_SHARE, WATCH_MAX_US)));
}

static void on_done(const struct child_result *res, void *user)
{
	struct running *w = user;
	struct sandbox_run *r = w->ret;

	w->child = NULL;
	r->status = WIFEXITED(res->status) ? WEXITSTATUS(res->status)
					   : 128 + WTERMSIG(res->status);
	r->is_timed_out = res->is_timed_out;
	r->took_us = res->took_us;
	r->out = malloc(res->out_len + 1);
	if (r->out) {
		if (res->out_len > 0)
			memcpy(r->out, res->out, res->out_len);
		r->out[res->out_len] = '\0';
		r->out_len = res->out_len;
	} else {
		w->result = -ENOMEM;
	}
	loop_exit(w->loop, 0);
}

/* Puts a line of ours behind the output, within its cap. */
static _printf_(3, 4) int note(
	struct sandbox_run *r, size_t out_max, const char *fmt, ...)
{
	char line[NOTE_MAX];
	size_t n, keep;
	va_list ap;
	char *p;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	n = strlen(line);
	keep = MIN(r->out_len, out_max > n ? out_max - n : 0);
	p = realloc(r->out, keep + n + 1);
	if (!p)
		return -ENOMEM;
	memcpy(p + keep, line, n + 1);
	r->out = p;
	r->out_len = keep + n;
	return 0;
}

/* Why it ended, in words that build_classify() knows. */
static int say_why(struct running *w, size_t out_max)
{
	struct sandbox_run *r = w->ret;
	const struct sandbox *s = w->s;

	/* What a build got over by itself is nobody's business. */
	if (r->status == 0 && !r->is_disk_full) {
		r->is_out_of_memory = false;
		return 0;
	}
	if (r->is_disk_full)
		return note(r, out_max,
			"\nsandbox: No space left on device: the build wrote more than %llu MiB, "
			"or left too little room to others\n",
			(unsigned long long)(s->disk >> MIB_SHIFT));
	if (r->is_out_of_memory)
		return note(r, out_max,
			"\nsandbox: out of memory: the build used more than its %llu MiB\n",
			(unsigned long long)(s->memory >> MIB_SHIFT));
	/* Only where the kernel counts do we know that this was not for want of memory. */
	if (r->status == STATUS_KILLED && !r->is_timed_out &&
		cgroup_has_memory(s->cgroup))
		return note(r, out_max,
			"\nsandbox: error: the build was killed, and not for its memory\n");
	if (w->is_out_of_processes)
		return note(r, out_max,
			"\nsandbox: the build reached its limit of %u processes\n",
			s->processes);
	return 0;
}

static int start(struct running *w, const struct child_options *o, struct err *e)
{
	struct sandbox *s = w->s;
	struct cgroup_limits limits = { s->memory, s->processes };
	uint64_t left, few;
	int r;

	/* Without control groups each process has limits of its own. */
	if (cgroup_new(s->groups, &limits, &s->cgroup, NULL) < 0)
		s->cgroup = NULL;
	if (room_dir(s)) {
		sandbox_room(room_dir(s), &left, &few);
		w->few = left > few ? few : 0;
	}
	r = child_start(w->loop, o, on_done, w, &w->child, e);
	if (r < 0)
		return s->shared->error < 0 ? sandbox_result(s, e) : r;
	r = loop_timer(w->loop, loop_now(w->loop) + WATCH_MIN_US, on_watch, w, &w->timer);
	if (r < 0) {
		child_kill(w->child);
		w->result = err_errno(e, r, "sandbox");
	}
	return 0;
}

static int wait_for_it(struct running *w, struct err *e)
{
	int r = loop_run(w->loop);

	loop_source_free(TAKE(w->timer));
	if (r == 0)
		r = w->result;
	if (r < 0)
		return err_errno(e, r, "run in the sandbox");
	w->ret->is_out_of_memory = cgroup_is_out_of_memory(w->s->cgroup);
	w->is_out_of_processes = cgroup_is_out_of_processes(w->s->cgroup);
	/* Full before the first look: what cannot be written any more is full. */
	if (!w->ret->is_disk_full && w->ret->status != 0 && room_dir(w->s))
		w->ret->is_disk_full = is_disk_full(w);
	return w->ret->is_timed_out || w->ret->is_out_of_memory || w->ret->is_disk_full
		       ? 0
		       : sandbox_result(w->s, e);
}

int sandbox_run(struct sandbox *s, const char *const *argv, const char *const *env,
	uint64_t timeout_us, size_t out_max, struct sandbox_run *ret, struct err *e)
{
	CLEANUP(loop_freep) struct loop *loop = NULL;
	struct sandbox_run run = { 0 };
	struct running w = { .ret = &run, .s = s };
	struct child_options o = {
		.argv = argv,
		.env = env ? env : sandbox_env,
		.timeout_us = timeout_us,
		.out_max = out_max,
		.log_fd = -1,
		.setup = sandbox_setup,
		.setup_user = s,
	};
	int r = loop_new(&loop, NULL, e);

	if (r < 0)
		return r;
	w.loop = loop;
	*s->shared = (struct sandbox_shared){ 0 };
	r = start(&w, &o, e);
	if (r == 0)
		r = wait_for_it(&w, e);
	if (r == 0)
		r = say_why(&w, out_max);
	cgroup_free(TAKE(s->cgroup));
	if (r < 0) {
		sandbox_run_done(&run);
		return r;
	}
	*ret = run;
	return 0;
}

void sandbox_run_done(struct sandbox_run *r)
{
	free(TAKE(r->out));
}

int sandbox_check(const char *tools_root, const char *scratch, struct err *e)
{
	static const char *const argv[] = { "/bin/sh", "-c", ":", NULL };
	CLEANUP(sandbox_freep) struct sandbox *s = NULL;
	struct sandbox_options o = { .tools_root = tools_root, .mount_point = scratch };
	struct sandbox_run run = { 0 };
	int r = sandbox_new(&o, &s, e);

	if (r == 0)
		r = sandbox_run(
			s, argv, NULL, CHECK_TIMEOUT_S * USEC_PER_SEC, 4096, &run, e);
	if (r < 0)
		return r;
	if (run.status != 0)
		r = err_reason(e, -EIO, REASON_SANDBOX_UNAVAILABLE,
			"sandbox: a shell ends with status %d", run.status);
	sandbox_run_done(&run);
	return r;
}
