// SPDX-License-Identifier: Apache-2.0
/* A dense array of entries in insertion order with an open-addressed index of it. */
#include "map.h"

enum { MAP_FIRST = 16 };
#define SLOT_EMPTY UINT32_MAX
#define MAP_MAX (UINT32_MAX / 4)

struct entry {
	char *key; /* NULL: deleted */
	void *value;
	uint64_t hash;
	size_t seq; /* ever growing: a walk survives the array's being packed */
};

struct map {
	void (*free_value)(void *value);
	struct entry *entries;
	size_t n, cap; /* entries used (deleted ones too), allocated */
	size_t live;
	size_t next_seq;
	uint32_t *
		slots; /* index into entries, or SLOT_EMPTY; deleted entries keep theirs */
	size_t n_slots; /* power of two, at least twice cap */
};

/* FNV-1a with a finisher. Keys are names of Kubernetes objects and devices. */
static uint64_t hash_of(const char *key)
{
	uint64_t h = 14695981039346656037ULL;

	for (; *key; key++)
		h = (h ^ (unsigned char)*key) * 1099511628211ULL;
	h ^= h >> 32;
	h *= 0x9e3779b97f4a7c15ULL;
	return h ^ (h >> 29);
}

struct map *map_new(void (*free_value)(void *value))
{
	struct map *m = calloc(1, sizeof(*m));

	if (m)
		m->free_value = free_value;
	return m;
}

static void value_free(const struct map *m, void *value)
{
	if (m->free_value && value)
		m->free_value(value);
}

void map_free(struct map *m)
{
	size_t i;

	if (!m)
		return;
	for (i = 0; i < m->n; i++) {
		if (!m->entries[i].key)
			continue;
		free(m->entries[i].key);
		value_free(m, m->entries[i].value);
	}
	free(m->entries);
	free(m->slots);
	free(m);
}

static struct entry *find(const struct map *m, const char *key, uint64_t hash)
{
	size_t i;

	if (m->n_slots == 0)
		return NULL;
	for (i = hash & (m->n_slots - 1); m->slots[i] != SLOT_EMPTY;
		i = (i + 1) & (m->n_slots - 1)) {
		struct entry *x = &m->entries[m->slots[i]];

		if (x->key && x->hash == hash && streq(x->key, key))
			return x;
	}
	return NULL;
}

void *map_get(const struct map *m, const char *key)
{
	struct entry *x = find(m, key, hash_of(key));

	return x ? x->value : NULL;
}

const char *map_key(const struct map *m, const char *key)
{
	const struct entry *x = find(m, key, hash_of(key));

	return x ? x->key : NULL;
}

static void slot_put(struct map *m, uint64_t hash, uint32_t index)
{
	size_t i = hash & (m->n_slots - 1);

	while (m->slots[i] != SLOT_EMPTY)
		i = (i + 1) & (m->n_slots - 1);
	m->slots[i] = index;
}

/* New tables without the deleted entries, with room to grow. The old ones stay on failure. */
static int rebuild(struct map *m)
{
	size_t cap = MAX((size_t)MAP_FIRST, m->live * 2), n_slots = MAP_FIRST * 2, i,
	       n = 0;
	CLEANUP(freep) struct entry *entries = NULL;
	uint32_t *slots;

	if (cap > MAP_MAX)
		return -ENOMEM;
	while (n_slots < cap * 2)
		n_slots *= 2;
	entries = calloc(cap, sizeof(*entries));
	slots = malloc(n_slots * sizeof(*slots));
	if (!entries || !slots) {
		free(slots);
		return -ENOMEM;
	}
	memset(slots, 0xff, n_slots * sizeof(*slots));
	for (i = 0; i < m->n; i++)
		if (m->entries[i].key)
			entries[n++] = m->entries[i];
	free(m->entries);
	free(m->slots);
	m->entries = TAKE(entries);
	m->slots = slots;
	m->n_slots = n_slots;
	m->cap = cap;
	m->n = n;
	for (i = 0; i < n; i++)
		slot_put(m, m->entries[i].hash, (uint32_t)i);
	return 0;
}

int map_set(struct map *m, const char *key, void *value)
{
	uint64_t hash = hash_of(key);
	struct entry *x = find(m, key, hash);
	char *copy;

	if (x) {
		void *old = x->value;

		x->value = value;
		if (old != value)
			value_free(m, old);
		return 0;
	}
	copy = strdup(key);
	if (!copy || (m->n == m->cap && rebuild(m) < 0)) {
		free(copy);
		value_free(m, value);
		return -ENOMEM;
	}
	m->entries[m->n] = (struct entry){ copy, value, hash, m->next_seq++ };
	slot_put(m, hash, (uint32_t)m->n);
	m->n++;
	m->live++;
	return 0;
}

bool map_del(struct map *m, const char *key)
{
	struct entry *x = find(m, key, hash_of(key));
	void *value;

	if (!x)
		return false;
	value = TAKE(x->value);
	free(TAKE(x->key));
	m->live--;
	value_free(m, value);
	return true;
}

size_t map_len(const struct map *m)
{
	return m->live;
}

/* Position of the first entry with @seq or a later one. */
static size_t seek(const struct map *m, size_t seq)
{
	size_t low = 0, high = m->n;

	while (low < high) {
		/* Where nothing was packed away, the first guess is right. */
		size_t mid = seq - m->entries[low].seq < high - low && low == 0
				     ? seq - m->entries[0].seq
				     : low + (high - low) / 2;

		if (m->entries[mid].seq == seq)
			return mid;
		if (m->entries[mid].seq < seq)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

bool map_next(const struct map *m, size_t *it, const char **ret_key, void **ret_value)
{
	size_t i;

	for (i = seek(m, *it); i < m->n; i++) {
		const struct entry *x = &m->entries[i];

		if (!x->key)
			continue;
		if (ret_key)
			*ret_key = x->key;
		if (ret_value)
			*ret_value = x->value;
		*it = x->seq + 1;
		return true;
	}
	*it = m->next_seq;
	return false;
}
