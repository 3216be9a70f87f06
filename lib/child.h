// SPDX-License-Identifier: Apache-2.0
/* A child process with its output collected and a hard time limit, watched by the loop. */
#pragma once

#include "buf.h"
#include "loop.h"

struct child;

struct child_result {
	int status; /* as waitpid() */
	bool is_timed_out; /* killed by us, with its whole process group */
	const char *
		out; /* stdout and stderr in order of arrival, the first part when capped; borrowed */
	size_t out_len;
	uint64_t took_us;
};

typedef void (*child_done_fn)(const struct child_result *res, void *user);
/* Runs in the forked child before exec: async-signal-safe code that sets up a sandbox. 0 or negative
 * errno, which becomes the error of child_start() when it comes soon, a line of output and exit status
 * 127 when it comes later (a hook may fork, wait and be slow). */
typedef int (*child_setup_fn)(void *user);

struct child_options {
	const char *const *argv; /* argv[0] is a path or looked up in PATH */
	const char *const *env; /* NULL: a small fixed one (PATH, LC_ALL=C, HOME=/) */
	const char *cwd; /* NULL: unchanged; entered after @setup */
	const char *stdin_text; /* NULL: /dev/null */
	uint64_t timeout_us; /* 0: none */
	size_t out_max; /* cap of the collected output, bytes, 0: 64 KiB; the rest is read and dropped */
	int log_fd; /* > 0: output is also written here (64 MiB at most); borrowed until done */
	child_setup_fn setup;
	void *setup_user;
};

/* Starts it in its own process group, which does not outlive it: what is left of the group when the
 * child ends is killed. @done is called once from the loop; after it the child is freed. *ret may be NULL. */
int child_start(struct loop *l, const struct child_options *o, child_done_fn done,
	void *user, struct child **ret, struct err *e) _must_check_;
/* SIGKILL to the group; @done still comes. */
void child_kill(struct child *c);

/* The same and waits for the end: for commands that are not inside a loop. -ETIMEDOUT when it was killed
 * for its time. *ret_out (may be NULL) is the caller's to free. */
int child_run(const struct child_options *o, int *ret_status, char **ret_out,
	struct err *e) _must_check_;
