// SPDX-License-Identifier: Apache-2.0
/* What a Node says of its drivers, for schedulers and people: labels with the versions that run and the
 * state of the next kernel, and the condition AcceleratorDriverReady. Pure. */
#pragma once

#include "arena.h"
#include "view.h"

#define MARKS_DRIVER API_GROUP "/driver." /* + name = version */
#define MARKS_NEXT API_GROUP "/next-kernel" /* = Ready, Building or Failed */
#define MARKS_CONDITION "AcceleratorDriverReady"

struct marks {
	struct list labels; /* struct kv */
	const char *status, *reason, *message; /* status NULL: no condition */
	uint32_t labels_hash, condition_hash; /* 0: none */
};

/* What @n should say. -ENOMEM. */
int marks_make(struct arena *a, const struct view *v, const struct view_node *n,
	const struct list *assigns, struct marks *ret) _must_check_;

enum marks_status { MARKS_NONE, MARKS_TRUE, MARKS_FALSE, MARKS_OTHER };
enum marks_status marks_status(const char *status);

/* Whether a label is one of ours. */
bool marks_is_label(const char *key);
/* The hashes of what a Node says: of labels in any order, of the condition. */
uint32_t marks_add_label(uint32_t hash, const char *key, const char *value);
uint32_t marks_of_condition(const char *status, const char *reason, const char *message);
