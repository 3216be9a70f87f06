// SPDX-License-Identifier: Apache-2.0
/* A hash map from strings to pointers, in insertion order when walked. */
#pragma once

#include "base.h"

struct map;

/* @free_value (may be NULL) is called for a value that is replaced, deleted or left at the end. */
struct map *map_new(void (*free_value)(void *value));
void map_free(struct map *m);
DEFINE_CLEANUP(struct map, map_free)

/* NULL when absent. O(1). */
void *map_get(const struct map *m, const char *key);
/* Copies @key, owns @value from now on (also on failure: then it is freed). -ENOMEM. O(1). */
int map_set(struct map *m, const char *key, void *value);
/* The map's own copy of @key, valid until the entry is deleted; NULL when absent. O(1). */
const char *map_key(const struct map *m, const char *key);
/* True when it was there. */
bool map_del(struct map *m, const char *key);
size_t map_len(const struct map *m);

/* Walks: `size_t it = 0; while (map_next(m, &it, &key, &value))`. The entry just returned may be
 * deleted during the walk; additions during it may or may not be seen. */
bool map_next(const struct map *m, size_t *it, const char **ret_key, void **ret_value);
