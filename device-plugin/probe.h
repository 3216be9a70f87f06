// SPDX-License-Identifier: Apache-2.0
/* Something that may hang, done in a child with a time limit: the process itself never waits for it. */
#pragma once

#include "loop.h"

enum { PROBE_OUT_MAX = 4096 };

/* Runs in the forked child, which has nothing open but its answer: writes up to @size bytes of text
 * to @out and returns their number, or a negative errno. */
typedef int (*probe_fn)(const void *what, char *out, size_t size);

struct probe;
/* @r: 0, the child's errno, -ETIMEDOUT, -EIO when it crashed. @text: zero-terminated, borrowed. */
typedef void (*probe_done_fn)(int r, const char *text, void *user);

/* @done is called once, from the loop. *ret (may be NULL) is then still the caller's: see
 * probe_is_stuck(). What @what points at is read by the child alone. -ENOMEM, fork's error. */
int probe_start(struct loop *l, probe_fn fn, const void *what, uint64_t timeout_us,
	probe_done_fn done, void *user, struct probe **ret) _must_check_;
/* Its child is not gone yet: one that hangs in the kernel outlives even SIGKILL. Whoever asks again
 * and again waits until it is gone, so that never more than one hangs. */
bool probe_is_stuck(const struct probe *p);
/* Kills the child; @done does not come any more. NULL is fine; not from within @done. */
void probe_free(struct probe *p);
DEFINE_CLEANUP(struct probe, probe_free)
