// SPDX-License-Identifier: Apache-2.0
/* A de-duplicating work queue of string keys with per-key exponential back-off and jitter. */
#pragma once

#include "loop.h"

struct queue;
struct queue_options {
	uint64_t base_us, max_us; /* back-off: 200 ms doubling to 1000 s by default (0) */
};

/* @fn is called from the loop for one key at a time. It returns 0 (done, back-off forgotten),
 * a positive number of microseconds (call again after it), or a negative errno (call again after
 * the back-off). A key added while it is being worked on is worked on again. */
typedef int64_t (*queue_fn)(const char *key, void *user);
int queue_new(struct loop *l, const struct queue_options *o, queue_fn fn, void *user,
	struct queue **ret, struct err *e) _must_check_;
void queue_free(struct queue *q);
DEFINE_CLEANUP(struct queue, queue_free)
/* A key that is due is not added twice. O(log n). -ENOMEM. */
int queue_add(struct queue *q, const char *key);
int queue_add_after(struct queue *q, const char *key, uint64_t delay_us);
/* Drops @key and its back-off; when it is being worked on, the result of that does not matter. */
void queue_forget(struct queue *q, const char *key);
size_t queue_len(const struct queue *q);
/* Pauses and resumes (a controller that does not lead). */
void queue_pause(struct queue *q, bool is_paused);
