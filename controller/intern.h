// SPDX-License-Identifier: Apache-2.0
/* Strings, and lists of them, that many records share, kept once: a fleet has few different labels, kernels,
 * reasons, and few different sets of them. */
#pragma once

#include "base.h"

struct intern;

struct intern *intern_new(void); /* NULL when memory is short */
void intern_free(struct intern *in);
DEFINE_CLEANUP(struct intern, intern_free)

/* The one copy of @s ("" for NULL), held until intern_put(). NULL when memory is short. O(1). */
const char *intern_get(struct intern *in, const char *s);
/* @s must come from intern_get(); NULL is fine. */
void intern_put(struct intern *in, const char *s);
size_t intern_len(const struct intern *in);

/* Room for the items of a list, zeroed; the caller fills it. NULL when memory is short. */
void *intern_room(size_t bytes);
/* The one copy of @items (of intern_room(), @bytes of which are in use), held until intern_drop(). When an
 * equal one was there, *ret_known says so and @items are still the caller's to drop; else they are taken. */
void *intern_share(struct intern *in, void *items, size_t bytes, bool *ret_known);
/* Whether the next intern_drop() frees @items: what they hold has to be let go before. */
bool intern_is_last(const void *items);
void intern_drop(struct intern *in, void *items);
