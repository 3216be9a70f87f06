// SPDX-License-Identifier: Apache-2.0
/* Runs a function that blocks (depmod, a module's init) in a forked worker, so that the loop never
 * does. The worker dies with us; only its error comes back. */
#pragma once

#include "err.h"
#include "loop.h"

struct work;

/* Runs in the worker. Its result and @e come back to work_done_fn. */
typedef int (*work_fn)(void *user, struct err *e);
/* @result->code is 0 or what the function returned; -ETIMEDOUT (REASON_TIMEOUT) when it was killed
 * at its limit, -EIO (REASON_INTERNAL) when it died otherwise. The work is freed after it. */
typedef void (*work_done_fn)(const struct err *result, void *user);

/* @user goes to both. @timeout_us must be given: a worker that hangs is killed and reported. */
int work_start(struct loop *l, work_fn fn, work_done_fn done, void *user,
	uint64_t timeout_us, struct work **ret, struct err *e) _must_check_;
/* Kills it; no callback comes any more. NULL is fine. */
void work_cancel(struct work *w);
