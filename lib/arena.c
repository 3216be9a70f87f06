// SPDX-License-Identifier: Apache-2.0
/* Blocks that are filled from the front and freed together. */
#include "arena.h"

#include <stdio.h>

enum { ARENA_BLOCK = 16 << 10, ARENA_ALIGN = _Alignof(max_align_t) };

struct block {
	struct block *next;
	size_t size, used;
	_Alignas(ARENA_ALIGN) char data[];
};

struct arena {
	struct block *blocks; /* the first one is being filled */
	size_t used, max;
};

struct arena *arena_new(size_t max)
{
	struct arena *a = calloc(1, sizeof(*a));

	if (a)
		a->max = max;
	return a;
}

static void blocks_free(struct block *b)
{
	while (b) {
		struct block *next = b->next;

		free(b);
		b = next;
	}
}

void arena_free(struct arena *a)
{
	if (!a)
		return;
	blocks_free(a->blocks);
	free(a);
}

void arena_reset(struct arena *a)
{
	struct block *b = a->blocks;

	a->used = 0;
	if (!b)
		return;
	blocks_free(b->next);
	b->next = NULL;
	if (b->size > ARENA_BLOCK) { /* one huge parse must not pin its block for ever */
		free(b);
		a->blocks = NULL;
		return;
	}
	b->used = 0;
}

void *arena_alloc(struct arena *a, size_t size)
{
	struct block *b = a->blocks;
	size_t need;
	void *p;

	if (size > SIZE_MAX / 4)
		return NULL;
	need = (MAX(size, (size_t)1) + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
	if (need > a->max - a->used)
		return NULL;
	if (!b || need > b->size - b->used) {
		size_t room = MAX(need, (size_t)ARENA_BLOCK - sizeof(*b));
		struct block *fresh = malloc(sizeof(*fresh) + room);

		if (!fresh)
			return NULL;
		*fresh = (struct block){ .size = room };
		/* A big piece goes behind the block being filled, whose rest stays usable. */
		if (b && need >= ARENA_BLOCK / 2) {
			fresh->next = b->next;
			b->next = fresh;
		} else {
			fresh->next = b;
			a->blocks = fresh;
		}
		b = fresh;
	}
	p = b->data + b->used;
	b->used += need;
	a->used += need;
	memset(p, 0, need);
	return p;
}

void *arena_array(struct arena *a, size_t n, size_t size)
{
	size_t total;

	if (__builtin_mul_overflow(n, size, &total))
		return NULL;
	return arena_alloc(a, total);
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
	size_t len = strnlen(s, n);
	char *p = len < SIZE_MAX ? arena_alloc(a, len + 1) : NULL;

	if (p)
		memcpy(p, s, len);
	return p;
}

char *arena_strdup(struct arena *a, const char *s)
{
	return arena_strndup(a, s, strlen(s));
}

char *arena_fmt(struct arena *a, const char *fmt, ...)
{
	va_list ap, again;
	char *p = NULL;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (n >= 0)
		p = arena_alloc(a, (size_t)n + 1);
	if (p)
		(void)vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return p;
}

size_t arena_used(const struct arena *a)
{
	return a->used;
}
