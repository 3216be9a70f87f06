// SPDX-License-Identifier: Apache-2.0
/* A counted hash set of strings and of the items of lists, which are compared byte by byte. */
#include "intern.h"

struct entry {
	struct entry *next;
	uint32_t hash, refs;
	uint32_t
		bytes; /* of a list's items in the table; 0: a string, or not there yet */
	bool is_kept; /* in the table */
	_Alignas(8) char text[];
};

struct intern {
	struct entry **slots;
	size_t n_slots, n; /* n_slots is a power of two */
};

enum { SLOTS_MIN = 256 };

static uint32_t hash_of(const char *s)
{
	uint32_t h = 2166136261u;

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 16777619u;
	return h;
}

static uint32_t hash_bytes(const void *data, size_t bytes)
{
	const unsigned char *p = data;
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < bytes; i++)
		h = (h ^ p[i]) * 16777619u;
	return h;
}

struct intern *intern_new(void)
{
	struct intern *in = calloc(1, sizeof(*in));

	if (!in)
		return NULL;
	in->slots = calloc(SLOTS_MIN, sizeof(struct entry *));
	if (!in->slots) {
		free(in);
		return NULL;
	}
	in->n_slots = SLOTS_MIN;
	return in;
}

void intern_free(struct intern *in)
{
	if (!in)
		return;
	for (size_t i = 0; i < in->n_slots; i++) {
		for (struct entry *e = in->slots[i], *next; e; e = next) {
			next = e->next;
			free(e);
		}
	}
	free(in->slots);
	free(in);
}

/* A full table only gets slower: no memory for a larger one is no error. */
static void grow(struct intern *in)
{
	size_t n = in->n_slots * 2;
	struct entry **slots = calloc(n, sizeof(struct entry *));

	if (!slots)
		return;
	for (size_t i = 0; i < in->n_slots; i++) {
		for (struct entry *e = in->slots[i], *next; e; e = next) {
			next = e->next;
			e->next = slots[e->hash & (n - 1)];
			slots[e->hash & (n - 1)] = e;
		}
	}
	free(in->slots);
	in->slots = slots;
	in->n_slots = n;
}

static void insert(struct intern *in, struct entry *e)
{
	if (in->n >= in->n_slots)
		grow(in);
	e->is_kept = true;
	e->next = in->slots[e->hash & (in->n_slots - 1)];
	in->slots[e->hash & (in->n_slots - 1)] = e;
	in->n++;
}

static void drop(struct intern *in, struct entry *e)
{
	struct entry **at;

	if (--e->refs > 0)
		return;
	if (e->is_kept) {
		for (at = &in->slots[e->hash & (in->n_slots - 1)]; *at != e;
			at = &(*at)->next)
			;
		*at = e->next;
		in->n--;
	}
	free(e);
}

const char *intern_get(struct intern *in, const char *s)
{
	size_t len;
	uint32_t h;
	struct entry *e;

	s = s ? s : "";
	h = hash_of(s);
	for (e = in->slots[h & (in->n_slots - 1)]; e; e = e->next) {
		if (e->hash == h && e->bytes == 0 && streq(e->text, s)) {
			e->refs++;
			return e->text;
		}
	}
	len = strlen(s) + 1;
	e = calloc(1, sizeof(*e) + len);
	if (!e)
		return NULL;
	memcpy(e->text, s, len);
	e->hash = h;
	e->refs = 1;
	insert(in, e);
	return e->text;
}

void intern_put(struct intern *in, const char *s)
{
	if (s)
		drop(in, container_of(s, struct entry, text));
}

/* ---- lists ---- */

void *intern_room(size_t bytes)
{
	struct entry *e = calloc(1, sizeof(*e) + bytes);

	if (!e)
		return NULL;
	e->refs = 1;
	return e->text;
}

void *intern_share(struct intern *in, void *items, size_t bytes, bool *ret_known)
{
	uint32_t h = hash_bytes(items, bytes);
	struct entry *e, *small;

	*ret_known = true;
	for (e = in->slots[h & (in->n_slots - 1)]; e; e = e->next) {
		if (e->hash == h && e->bytes == bytes &&
			memcmp(e->text, items, bytes) == 0) {
			e->refs++;
			return e->text;
		}
	}
	*ret_known = false;
	e = container_of(items, struct entry, text);
	small = realloc(e, sizeof(*e) + bytes);
	e = small ? small : e;
	e->hash = h;
	e->bytes = (uint32_t)bytes;
	insert(in, e);
	return e->text;
}

bool intern_is_last(const void *items)
{
	return container_of(items, const struct entry, text)->refs == 1;
}

void intern_drop(struct intern *in, void *items)
{
	if (items)
		drop(in, container_of(items, struct entry, text));
}

size_t intern_len(const struct intern *in)
{
	return in->n;
}
