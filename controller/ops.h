// SPDX-License-Identifier: Apache-2.0
/* What is known of a key of the queue ("node/a"), with its request: one at a time. */
#pragma once

#include "fleet.h"
#include "kube.h"
#include "map.h"

struct op;
typedef void (*op_done_fn)(struct op *op, const struct kube_response *res);

struct op {
	void *owner;
	char *key;
	const char *name; /* behind the '/' in key */
	struct http_req *req; /* NULL: none under way */
	op_done_fn done;
	void (*after)(struct op *op); /* when done has run: the owner's bookkeeping */
	int failed; /* how the last request ended, until the queue is told */
	bool is_backing_off; /* the queue was told */
	bool is_urgent;

	/* writes of an AcceleratorNode */
	bool is_uncertain; /* an earlier try may have been done */
	uint64_t hash;
	int old_state;
	/* evictions and lists of pods */
	struct view_pods *pods; /* being collected */
	char uid[64]; /* of the pod that is being evicted */
	struct view_gang *gang; /* being collected */
	/* statuses: what was written and what came of it */
	uint64_t written_hash, stored_hash, written_us;
	unsigned
		news; /* conditions that become true with it, by their place in the list of events */
};

/* Made when absent; NULL when memory is short. */
struct op *op_get(
	struct map *ops, const char *key, void *owner, void (*after)(struct op *));
/* Cancels what runs; for map_new(). */
void op_free(void *op);
void op_drop_pods(struct op *op);
void op_drop_gang(struct op *op);

/* Starts a request; @done, then @op->after come from the loop. */
int op_start(struct op *op, struct kube *k, const char *method, const char *path,
	const char *content_type, const struct json *body, op_done_fn done, struct err *e)
	_must_check_;

/* Whether a request that failed with @result cannot have changed anything. */
bool op_is_refused(int result);
