// SPDX-License-Identifier: Apache-2.0
/* A counted hash set of strings. */
#include "intern.h"

struct entry {
	struct entry *next;
	uint32_t hash, refs;
	char text[];
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

const char *intern_get(struct intern *in, const char *s)
{
	size_t len;
	uint32_t h;
	struct entry *e;

	s = s ? s : "";
	h = hash_of(s);
	for (e = in->slots[h & (in->n_slots - 1)]; e; e = e->next) {
		if (e->hash == h && streq(e->text, s)) {
			e->refs++;
			return e->text;
		}
	}
	if (in->n >= in->n_slots)
		grow(in);
	len = strlen(s) + 1;
	e = malloc(sizeof(*e) + len);
	if (!e)
		return NULL;
	memcpy(e->text, s, len);
	e->hash = h;
	e->refs = 1;
	e->next = in->slots[h & (in->n_slots - 1)];
	in->slots[h & (in->n_slots - 1)] = e;
	in->n++;
	return e->text;
}

void intern_put(struct intern *in, const char *s)
{
	struct entry *e, **at;

	if (!s)
		return;
	e = container_of(s, struct entry, text);
	if (--e->refs > 0)
		return;
	for (at = &in->slots[e->hash & (in->n_slots - 1)]; *at != e; at = &(*at)->next)
		;
	*at = e->next;
	in->n--;
	free(e);
}

size_t intern_len(const struct intern *in)
{
	return in->n;
}
