// SPDX-License-Identifier: Apache-2.0
/* AcceleratorNode.spec.builds: read, hashed and written. Decided by claim.h. */
#pragma once

#include "intern.h"
#include "json.h"
#include "view.h"

struct arena;

/* Fills n->builds, which must be empty, out of the stored list; strings are @in's. -ENOMEM. */
int builds_read(struct intern *in, const struct json *list, struct view_node *n)
	_must_check_;
void builds_clear(struct intern *in, struct view_node *n);

/* For the server; NULL when memory is short. */
struct json *builds_json(const struct list *builds);

/* jhash() of builds_json() without making it. 0 for an empty list, as for an absent one. */
uint64_t builds_hash(const struct list *builds);
uint64_t builds_hash_json(const struct json *list);
/* The hash of an AcceleratorNode out of that of its other members and that of its builds. */
uint64_t builds_hash_with(uint64_t rest, uint64_t builds);

/* A copy of @builds that lies in @a with all its strings. -ENOMEM. */
int builds_keep(struct arena *a, struct list *builds) _must_check_;
