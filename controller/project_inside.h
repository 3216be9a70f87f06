// SPDX-License-Identifier: Apache-2.0
/* What the projections share: project.c (Node), project_acc.c (AcceleratorNode). */
#pragma once

#include "project.h"

enum { PROJECT_ENTRIES_MAX = 256 }; /* drivers, classes */

/* The member @key as text, "" when there is none. */
const char *project_text(const struct json *obj, const char *key);
/* Room for @n elements, @max at most; its n is still 0. -ENOMEM. */
int project_room(struct list *l, size_t n, size_t max, size_t size) _must_check_;

/* Lets go of the strings that the items hold. */
typedef void (*project_put_fn)(struct intern *in, const struct list *l);
/* The list is complete: nodes that have an equal one share it. Its items must not be changed any more. */
void project_share(struct intern *in, struct list *l, size_t size, project_put_fn put);
/* Empties the list; the last one that shares it lets go of the strings. */
void project_drop(struct intern *in, struct list *l, project_put_fn put);
/* Of struct view_count. */
void project_put_counts(struct intern *in, const struct list *l);
