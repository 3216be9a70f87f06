// SPDX-License-Identifier: Apache-2.0
/* Cuts a stream of JSON bytes into items, without I/O and without ever holding more than one: the
 * documents of a watch, or the elements of "items" of a list. Members that nobody reads are dropped
 * byte by byte before a parser sees them. Only the structure is checked; items go to json_parse(). */
#pragma once

#include "buf.h"
#include "err.h"

struct frame;

enum frame_kind {
	FRAME_LINES, /* objects one after the other, as a watch sends them */
	FRAME_LIST /* one object with "metadata" and "items" */
};

enum {
	FRAME_ITEM_MAX = 4 << 20, /* default of item_max */
	FRAME_META_MAX = 64 << 10, /* "metadata" of a list */
	FRAME_DEPTH_MAX = 72, /* JSON_DEPTH_MAX and what is around an item */
	FRAME_SKIPS_MAX = 8,
	FRAME_SKIP_PARTS_MAX = 4
};

struct frame_options {
	enum frame_kind kind;
	size_t item_max; /* bytes of one item after skipping; 0: FRAME_ITEM_MAX */
	/* Members of an item to leave out, "metadata.managedFields"; NULL-terminated, may be NULL.
	 * Borrowed while the frame lives. A key written with escapes is not recognised. */
	const char *const *skip;
};

/* One item: a whole JSON object without white space between its tokens, zero-terminated, borrowed
 * until it returns. A negative errno stops the feed, which returns it. */
typedef int (*frame_item_fn)(const char *text, size_t len, void *user);

int frame_new(const struct frame_options *o, frame_item_fn fn, void *user,
	struct frame **ret, struct err *e) _must_check_;
void frame_free(struct frame *f);
DEFINE_CLEANUP(struct frame, frame_free)

/* Takes bytes, cut anywhere. -EPROTO for what is no JSON of this kind, -E2BIG too deep, -EFBIG item
 * too large, -ENOMEM. After an error every further call returns it again. */
int frame_feed(struct frame *f, const char *data, size_t len, struct err *e) _must_check_;

/* The stream ended: -EPROTO when that was in mid-item (or, for a list, before its end). */
int frame_end(struct frame *f, struct err *e) _must_check_;

/* Of a list, complete after frame_end(); "" when absent. Borrowed. */
const char *frame_resource_version(const struct frame *f);
const char *frame_continue(const struct frame *f);
