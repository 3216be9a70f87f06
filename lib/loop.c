// SPDX-License-Identifier: Apache-2.0
/* One thread, epoll, a heap of timers, pidfds and signalfds. */
#include "loop.h"

#include <assert.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>

enum { LOOP_EVENTS = 64, LOOP_DEFER_MAX = 1 << 20, LOOP_SIGNALS_AT_ONCE = 16 };
#define NOT_IN_HEAP SIZE_MAX

enum kind { KIND_IO, KIND_TIMER, KIND_CHILD, KIND_SIGNAL };

struct loop_source {
	struct loop *l;
	struct loop_source *prev, *next; /* in l->all, or next in l->dead */
	enum kind kind;
	bool is_dead;
	bool is_ours; /* nobody holds it: freed once it has fired */
	int fd; /* in epoll; ours unless KIND_IO */
	union {
		loop_io_fn io;
		loop_fn timer;
		loop_child_fn child;
		loop_signal_fn signal;
	} fn;
	void *user;
	pid_t pid;
	uint64_t at_us, seq; /* timers: when, and in which order of arming */
	size_t heap;
};

struct deferred {
	loop_fn fn;
	void *user;
};

struct loop {
	int epoll;
	struct loop_clock clock;
	uint64_t now, rng[4], seq;
	struct loop_source *all, *dead;
	struct loop_source **heap;
	size_t heap_n, heap_cap, timers; /* armed, room, all there are */
	struct deferred *defer;
	size_t defer_n, defer_cap;
	unsigned depth; /* > 0 while callbacks run */
	bool is_exiting;
	int exit_code;
};

/* ---- clock and chance ---- */

static uint64_t clock_us(clockid_t id)
{
	struct timespec ts = { 0 };

	(void)clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * USEC_PER_SEC + (uint64_t)ts.tv_nsec / 1000;
}

static uint64_t read_clock(const struct loop *l)
{
	return l->clock.now_us ? l->clock.now_us(l->clock.user)
			       : clock_us(CLOCK_MONOTONIC);
}

uint64_t loop_now(struct loop *l)
{
	if (l->depth == 0)
		l->now = read_clock(l);
	return l->now;
}

uint64_t loop_wall(struct loop *l)
{
	return l->clock.wall_us ? l->clock.wall_us(l->clock.user)
				: clock_us(CLOCK_REALTIME);
}

/* splitmix64 fills the state of xoshiro256**, both by Blackman and Vigna (public domain). */
void loop_seed(struct loop *l, uint64_t seed)
{
	unsigned i;

	for (i = 0; i < 4; i++) {
		uint64_t z = seed += 0x9e3779b97f4a7c15ULL;

		z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
		z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
		l->rng[i] = z ^ (z >> 31);
	}
}

static uint64_t rotl(uint64_t x, unsigned k)
{
	return x << k | x >> (64 - k);
}

static uint64_t rng_next(uint64_t s[4])
{
	uint64_t result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotl(s[3], 45);
	return result;
}

uint64_t loop_random(struct loop *l, uint64_t below)
{
	uint64_t skip, x;

	if (below < 2)
		return 0;
	skip = (0 - below) %
	       below; /* 2^64 mod below: those would make small results likelier */
	do
		x = rng_next(l->rng);
	while (x < skip);
	return x % below;
}

/* ---- the heap of timers, earliest first ---- */

static bool is_earlier(const struct loop_source *a, const struct loop_source *b)
{
	return a->at_us != b->at_us ? a->at_us < b->at_us : a->seq < b->seq;
}

static void heap_put(struct loop *l, size_t i, struct loop_source *s)
{
	l->heap[i] = s;
	s->heap = i;
}

static void heap_up(struct loop *l, size_t i)
{
	struct loop_source *s = l->heap[i];

	for (; i > 0 && is_earlier(s, l->heap[(i - 1) / 2]); i = (i - 1) / 2)
		heap_put(l, i, l->heap[(i - 1) / 2]);
	heap_put(l, i, s);
}

static void heap_down(struct loop *l, size_t i)
{
	struct loop_source *s = l->heap[i];

	for (;;) {
		size_t c = 2 * i + 1;

		if (c >= l->heap_n)
			break;
		if (c + 1 < l->heap_n && is_earlier(l->heap[c + 1], l->heap[c]))
			c++;
		if (!is_earlier(l->heap[c], s))
			break;
		heap_put(l, i, l->heap[c]);
		i = c;
	}
	heap_put(l, i, s);
}

static void heap_remove(struct loop *l, struct loop_source *s)
{
	size_t i = s->heap;
	struct loop_source *last;

	if (i == NOT_IN_HEAP)
		return;
	s->heap = NOT_IN_HEAP;
	last = l->heap[--l->heap_n];
	if (last == s)
		return;
	heap_put(l, i, last);
	heap_up(l, i);
	heap_down(l, last->heap);
}

/* ---- sources ---- */

static struct loop_source *source_new(
	struct loop *l, enum kind kind, void *user, struct loop_source **ret_s)
{
	struct loop_source *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->l = l;
	s->kind = kind;
	s->fd = -1;
	s->user = user;
	s->heap = NOT_IN_HEAP;
	s->is_ours = !ret_s;
	s->next = l->all;
	if (l->all)
		l->all->prev = s;
	l->all = s;
	l->timers += kind == KIND_TIMER;
	return s;
}

static void source_unwatch(struct loop_source *s)
{
	if (s->fd < 0)
		return;
	/* EBADF and ENOENT are usual: libraries close their descriptors before they tell. */
	(void)epoll_ctl(s->l->epoll, EPOLL_CTL_DEL, s->fd, NULL);
	if (s->kind != KIND_IO)
		closep(&s->fd);
	s->fd = -1;
}

void loop_source_free(struct loop_source *s)
{
	struct loop *l;

	if (!s || s->is_dead)
		return;
	l = s->l;
	s->is_dead = true;
	l->timers -= s->kind == KIND_TIMER;
	source_unwatch(s);
	heap_remove(l, s);
	if (s->prev)
		s->prev->next = s->next;
	else
		l->all = s->next;
	if (s->next)
		s->next->prev = s->prev;
	if (l->depth == 0) {
		free(s);
		return;
	}
	s->next = l->dead;
	l->dead = s;
}

static int source_watch(struct loop_source *s, int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = s };

	if (epoll_ctl(s->l->epoll, EPOLL_CTL_ADD, fd, &ev) < 0)
		return -errno;
	s->fd = fd;
	return 0;
}

static int source_give(struct loop_source *s, int r, struct loop_source **ret_s)
{
	if (r < 0)
		loop_source_free(s);
	else if (ret_s)
		*ret_s = s;
	return r;
}

int loop_io(struct loop *l, int fd, uint32_t events, loop_io_fn fn, void *user,
	struct loop_source **ret_s)
{
	struct loop_source *s = source_new(l, KIND_IO, user, ret_s);

	if (!s)
		return -ENOMEM;
	s->fn.io = fn;
	return source_give(s, source_watch(s, fd, events), ret_s);
}

int loop_io_set(struct loop_source *s, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = s };

	return epoll_ctl(s->l->epoll, EPOLL_CTL_MOD, s->fd, &ev) < 0 ? -errno : 0;
}

int loop_timer(struct loop *l, uint64_t at_us, loop_fn fn, void *user,
	struct loop_source **ret_s)
{
	struct loop_source *s;

	/* Room for every timer there is, so that loop_timer_set() cannot fail. */
	if (l->timers == l->heap_cap) {
		size_t cap = MAX(l->timers * 2, (size_t)16);
		struct loop_source **p = reallocarray(l->heap, cap, sizeof(*p));

		if (!p)
			return -ENOMEM;
		l->heap = p;
		l->heap_cap = cap;
	}
	s = source_new(l, KIND_TIMER, user, ret_s);
	if (!s)
		return -ENOMEM;
	s->fn.timer = fn;
	loop_timer_set(s, at_us);
	return source_give(s, 0, ret_s);
}

void loop_timer_set(struct loop_source *s, uint64_t at_us)
{
	struct loop *l = s->l;

	if (s->is_dead)
		return;
	heap_remove(l, s);
	s->at_us = at_us;
	if (at_us == UINT64_MAX)
		return;
	/* A time in the past counts as now: behind whatever is due already, so that none starves. */
	s->at_us = MAX(at_us, loop_now(l));
	s->seq = l->seq++;
	l->heap[l->heap_n] = s;
	s->heap = l->heap_n++;
	heap_up(l, s->heap);
}

int loop_child(struct loop *l, pid_t pid, loop_child_fn fn, void *user,
	struct loop_source **ret_s)
{
	struct loop_source *s = source_new(l, KIND_CHILD, user, ret_s);
	int fd, r;

	if (!s)
		return -ENOMEM;
	s->fn.child = fn;
	s->pid = pid;
	fd = pidfd_open(pid, 0);
	if (fd < 0)
		return source_give(s, -errno, ret_s);
	r = source_watch(s, fd, EPOLLIN);
	if (r < 0)
		(void)close(fd);
	return source_give(s, r, ret_s);
}

int loop_signal(struct loop *l, int signo, loop_signal_fn fn, void *user,
	struct loop_source **ret_s)
{
	struct loop_source *s = source_new(l, KIND_SIGNAL, user, ret_s);
	sigset_t set;
	int fd, r;

	if (!s)
		return -ENOMEM;
	s->fn.signal = fn;
	(void)sigemptyset(&set);
	if (sigaddset(&set, signo) < 0 || sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return source_give(s, -errno, ret_s);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return source_give(s, -errno, ret_s);
	r = source_watch(s, fd, EPOLLIN);
	if (r < 0)
		(void)close(fd);
	return source_give(s, r, ret_s);
}

int loop_defer(struct loop *l, loop_fn fn, void *user)
{
	if (l->defer_n == l->defer_cap) {
		size_t cap = MAX(l->defer_cap * 2, (size_t)16);
		struct deferred *p;

		if (cap > LOOP_DEFER_MAX)
			return -ENOBUFS;
		p = reallocarray(l->defer, cap, sizeof(*p));
		if (!p)
			return -ENOMEM;
		l->defer = p;
		l->defer_cap = cap;
	}
	l->defer[l->defer_n++] = (struct deferred){ fn, user };
	return 0;
}

/* ---- running ---- */

int loop_new(struct loop **ret, const struct loop_clock *clock, struct err *e)
{
	CLEANUP(loop_freep) struct loop *l = calloc(1, sizeof(*l));
	uint64_t seed = 0;

	if (!l)
		return err_errno(e, -ENOMEM, "event loop");
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll < 0)
		return err_errno(e, -errno, "event loop");
	if (clock)
		l->clock = *clock;
	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed))
		seed = clock_us(CLOCK_MONOTONIC) ^ (uint64_t)getpid() << 32;
	loop_seed(l, seed);
	l->now = read_clock(l);
	*ret = TAKE(l);
	return 0;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	assert(l->depth == 0);
	while (l->all)
		loop_source_free(l->all);
	closep(&l->epoll);
	free(l->heap);
	free(l->defer);
	free(l);
}

static void reap(struct loop *l)
{
	while (l->dead) {
		struct loop_source *s = l->dead;

		l->dead = s->next;
		free(s);
	}
}

/* Those that are there now; what they add waits for the next turn, which then does not sleep. */
static bool run_deferred(struct loop *l)
{
	CLEANUP(freep) struct deferred *batch = l->defer;
	size_t n = l->defer_n, i;

	l->defer = NULL;
	l->defer_n = l->defer_cap = 0;
	for (i = 0; i < n; i++)
		batch[i].fn(batch[i].user);
	return n > 0;
}

static bool fire_child(struct loop_source *s)
{
	int status = 0;
	pid_t got = waitpid(s->pid, &status, WNOHANG);

	if (got == 0)
		return false;
	if (got < 0)
		status = 0xff00; /* somebody else reaped it: "exited with 255" */
	source_unwatch(s);
	s->fn.child(s->pid, status, s->user);
	if (s->is_ours)
		loop_source_free(s);
	return true;
}

static bool fire_signal(struct loop_source *s)
{
	struct signalfd_siginfo info[LOOP_SIGNALS_AT_ONCE];
	ssize_t n = read(s->fd, info, sizeof(info));
	size_t i;

	if (n < (ssize_t)sizeof(info[0]))
		return false;
	for (i = 0; i < (size_t)n / sizeof(info[0]) && !s->is_dead; i++)
		s->fn.signal((int)info[i].ssi_signo, s->user);
	return true;
}

static bool fire(struct loop_source *s, uint32_t events)
{
	switch (s->kind) {
	case KIND_IO:
		s->fn.io(s->fd, events, s->user);
		return true;
	case KIND_CHILD:
		return fire_child(s);
	case KIND_SIGNAL:
		return fire_signal(s);
	case KIND_TIMER:
		break;
	}
	return false;
}

/* Those due that were armed before this turn: a timer that arms itself again cannot spin here. */
static bool fire_timers(struct loop *l)
{
	uint64_t seq = l->seq;
	bool any = false;

	while (l->heap_n > 0 && l->heap[0]->at_us <= l->now && l->heap[0]->seq < seq) {
		struct loop_source *s = l->heap[0];

		heap_remove(l, s);
		s->at_us = UINT64_MAX;
		s->fn.timer(s->user);
		if (s->is_ours)
			loop_source_free(s);
		any = true;
	}
	return any;
}

/* In milliseconds, rounded up so that a timer is due when we wake; -1: for ever. */
static int wait_ms(const struct loop *l, uint64_t timeout_us)
{
	uint64_t us = timeout_us;

	if (l->clock.now_us || l->defer_n > 0 || l->is_exiting)
		return 0;
	if (l->heap_n > 0)
		us = MIN(us, l->heap[0]->at_us > l->now ? l->heap[0]->at_us - l->now : 0);
	if (us == UINT64_MAX)
		return -1;
	return (int)MIN(us / 1000 + (us % 1000 > 0), (uint64_t)INT32_MAX);
}

static int turn(struct loop *l, uint64_t timeout_us, bool *ret_any)
{
	struct epoll_event ev[LOOP_EVENTS];
	bool any = false;
	int n, i, r = 0;

	l->now = read_clock(l);
	l->depth++;
	any |= run_deferred(l);
	n = epoll_wait(l->epoll, ev, LOOP_EVENTS, any ? 0 : wait_ms(l, timeout_us));
	if (n < 0 && errno != EINTR)
		r = -errno;
	l->now = read_clock(l);
	for (i = 0; i < n; i++) {
		struct loop_source *s = ev[i].data.ptr;

		if (!s->is_dead && s->fd >= 0)
			any |= fire(s, ev[i].events);
	}
	any |= fire_timers(l);
	if (--l->depth == 0)
		reap(l);
	*ret_any = any;
	return r;
}

int loop_run(struct loop *l)
{
	bool any;
	int r;

	while (!l->is_exiting) {
		r = turn(l, UINT64_MAX, &any);
		if (r < 0)
			return r;
	}
	l->is_exiting = false;
	return l->exit_code;
}

int loop_step(struct loop *l, uint64_t timeout_us)
{
	bool any = false;
	int r = turn(l, timeout_us, &any);

	return r < 0 ? r : any;
}

void loop_exit(struct loop *l, int code)
{
	l->is_exiting = true;
	l->exit_code = code;
}
