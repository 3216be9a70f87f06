// SPDX-License-Identifier: Apache-2.0
/* Memory that is freed all at once: for one parse, one plan, one reconcile. */
#pragma once

#include <stdarg.h>

#include "base.h"

struct arena;

/* NULL when memory is short. @max caps the bytes that the arena may hand out in all. */
struct arena *arena_new(size_t max);
void arena_free(struct arena *a);
/* Keeps the arena, forgets everything in it. */
void arena_reset(struct arena *a);
DEFINE_CLEANUP(struct arena, arena_free)

/* Zeroed, aligned for any type; NULL when memory is short or the cap is reached. */
void *arena_alloc(struct arena *a, size_t size);
/* As arena_alloc() for @n elements of @size bytes; refuses an overflow. */
void *arena_array(struct arena *a, size_t n, size_t size);
char *arena_strdup(struct arena *a, const char *s);
char *arena_strndup(struct arena *a, const char *s, size_t n);
char *arena_fmt(struct arena *a, const char *fmt, ...) _printf_(2, 3);
size_t arena_used(const struct arena *a);
