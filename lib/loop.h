// SPDX-License-Identifier: Apache-2.0
/*
 * The event loop: one thread, epoll, timers, signals, child processes. Callbacks never block.
 * Nothing frees itself inside its own callback: loop_source_free() marks the source dead, it is
 * reaped after the callback. Time comes from loop_now(), so that a test owns the clock.
 */
#pragma once

#include <sys/types.h>

#include "err.h"

struct loop;
struct loop_source;

/* @now_us gives monotonic, @wall_us real time, both in microseconds; NULL fields mean the system's clocks. */
struct loop_clock {
	uint64_t (*now_us)(void *user);
	uint64_t (*wall_us)(void *user);
	void *user;
};

/* @clock may be NULL. A loop with a made-up clock never sleeps: it is stepped by loop_step(). */
int loop_new(struct loop **ret, const struct loop_clock *clock, struct err *e)
	_must_check_;
void loop_free(struct loop *l);
DEFINE_CLEANUP(struct loop, loop_free)

/* Monotonic microseconds, as of the start of this iteration. */
uint64_t loop_now(struct loop *l);
/* Microseconds since 1970. */
uint64_t loop_wall(struct loop *l);

/* Uniform in [0, @below), from the seed set by loop_seed() (default: from getrandom). For jitter, not for secrets. */
uint64_t loop_random(struct loop *l, uint64_t below);
void loop_seed(struct loop *l, uint64_t seed);

typedef void (*loop_io_fn)(int fd, uint32_t events, void *user);
typedef void (*loop_fn)(void *user);
/* @status as waitpid() gives it. */
typedef void (*loop_child_fn)(pid_t pid, int status, void *user);
typedef void (*loop_signal_fn)(int signo, void *user);

/* @events are EPOLLIN/EPOLLOUT; the fd stays the caller's. All: *ret_s may be NULL if nobody will
 * free it before the loop. -ENOMEM or epoll's error. */
int loop_io(struct loop *l, int fd, uint32_t events, loop_io_fn fn, void *user,
	struct loop_source **ret_s);
int loop_io_set(struct loop_source *s, uint32_t events);

/* Once, at loop_now() >= @at_us; armed again by loop_timer_set(). @at_us UINT64_MAX: disarmed. */
int loop_timer(struct loop *l, uint64_t at_us, loop_fn fn, void *user,
	struct loop_source **ret_s);
void loop_timer_set(struct loop_source *s, uint64_t at_us);

/* Watches a child through a pidfd and reaps it. Fires once. */
int loop_child(struct loop *l, pid_t pid, loop_child_fn fn, void *user,
	struct loop_source **ret_s);

/* Blocks @signo for the process and delivers it here (signalfd). */
int loop_signal(struct loop *l, int signo, loop_signal_fn fn, void *user,
	struct loop_source **ret_s);

/* Runs @fn once, before the loop sleeps again. */
int loop_defer(struct loop *l, loop_fn fn, void *user);

/* NULL is fine. */
void loop_source_free(struct loop_source *s);
DEFINE_CLEANUP(struct loop_source, loop_source_free)

/* Runs until loop_exit(); returns its code, or a negative errno. */
int loop_run(struct loop *l);
/* One iteration that waits at most @timeout_us for events. Returns 1 when something was called, else 0. */
int loop_step(struct loop *l, uint64_t timeout_us);
void loop_exit(struct loop *l, int code);
