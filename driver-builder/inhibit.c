// SPDX-License-Identifier: Apache-2.0
/* Holds a pipe; at its other end the host's systemd-inhibit holds the lock. */
#include "inhibit.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>

#include "child.h"
#include "file.h"
#include "log.h"

#define PROGRAM "/usr/bin/systemd-inhibit"
#define RETRY_US (30 * USEC_PER_SEC)
enum { WHY_MAX = 200 };

struct inhibit {
	struct loop *loop;
	const char *root;
	struct child *child; /* NULL: not held */
	int hold; /* our end of the pipe */
	int other; /* the child's end, while it starts */
	uint64_t retry_at_us;
	bool is_ending; /* we let go; its end is no news */
	bool was_told; /* that it cannot be held: a host without a bus loses it every time */
	uint64_t taken_at_us;
};

int inhibit_new(struct loop *l, const char *root, struct inhibit **ret, struct err *e)
{
	struct inhibit *i = calloc(1, sizeof(*i));

	if (!i)
		return err_errno(e, -ENOMEM, "inhibitor");
	*i = (struct inhibit){ .loop = l, .root = root, .hold = -1, .other = -1 };
	*ret = i;
	return 0;
}

static void let_go(struct inhibit *i)
{
	closep(&i->hold);
	i->hold = -1;
	/* It would end by itself now; this makes it certain. */
	if (i->child)
		child_kill(i->child);
}

/* In the child: the pipe is what `cat` reads, for as long as we live. */
static int enter(void *user)
{
	const struct inhibit *i = user;

	if (dup2(i->other, STDIN_FILENO) < 0)
		return -errno;
	if (!streq(i->root, "/") && (chroot(i->root) < 0 || chdir("/") < 0))
		return -errno;
	return 0;
}

static void on_end(const struct child_result *res, void *user)
{
	struct inhibit *i = user;
	char said[WHY_MAX];

	/* Freed in between: nobody is there any more. */
	if (!i->loop) {
		free(i);
		return;
	}
	i->child = NULL;
	closep(&i->hold);
	i->hold = -1;
	if (!i->is_ending) {
		(void)snprintf(said, sizeof(said), "%.*s",
			(int)MIN(res->out_len, sizeof(said) - 1), res->out);
		if (!i->was_told || loop_now(i->loop) > i->taken_at_us + RETRY_US)
			log_event(LOG_WARN, "shutdown lock lost", "error", said, NULL);
		i->was_told = true;
		i->retry_at_us = loop_now(i->loop) + RETRY_US;
	}
}

static bool is_possible(const struct inhibit *i)
{
	char program[PATH_MAX], running[PATH_MAX];

	return path_join(program, sizeof(program), i->root, PROGRAM, NULL) == 0 &&
	       path_join(running, sizeof(running), i->root, "run/systemd/system", NULL) ==
		       0 &&
	       file_exists(program) && file_exists(running);
}

static void take(struct inhibit *i, const char *why)
{
	char text[WHY_MAX + 8];
	const char *const argv[] = { PROGRAM, "--what=shutdown", "--mode=block",
		"--who=farrier", text, "cat", NULL };
	struct child_options o = { .argv = argv,
		.out_max = 4096,
		.log_fd = -1,
		.setup = enter,
		.setup_user = i };
	struct err e = { 0 };
	int ends[2];

	if (loop_now(i->loop) < i->retry_at_us || !is_possible(i))
		return;
	i->taken_at_us = loop_now(i->loop);
	i->retry_at_us = i->taken_at_us + RETRY_US;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return;
	i->hold = ends[1];
	i->other = ends[0];
	i->is_ending = false;
	(void)snprintf(text, sizeof(text), "--why=%.*s", WHY_MAX - 1, why);
	for (char *c = text; *c; c++)
		*c = *c < ' ' ? ' ' : *c;
	if (child_start(i->loop, &o, on_end, i, &i->child, &e) < 0) {
		log_error(&e, "shutdown lock not taken", NULL);
		i->child = NULL;
		closep(&i->hold);
		i->hold = -1;
	}
	closep(&i->other);
	i->other = -1;
}

void inhibit_set(struct inhibit *i, const char *why)
{
	if (why && !i->child) {
		take(i, why);
	} else if (!why && i->child && !i->is_ending) {
		i->is_ending = true;
		i->retry_at_us = 0;
		i->was_told = false;
		let_go(i);
	}
}

bool inhibit_is_held(const struct inhibit *i)
{
	return i->child && !i->is_ending;
}

void inhibit_free(struct inhibit *i)
{
	if (!i)
		return;
	let_go(i);
	/* Where the loop goes on, the child's end frees us; where it does not, the end of the process does. */
	if (i->child)
		i->loop = NULL;
	else
		free(i);
}
