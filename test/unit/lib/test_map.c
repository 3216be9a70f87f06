// SPDX-License-Identifier: Apache-2.0
/* The map against a plain model, and its walks under deletion and growth. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "map.h"

static int freed;

static void count_free(void *value)
{
	freed++;
	free(value);
}

static char *value(const char *s)
{
	char *v = strdup(s);

	assert_non_null(v);
	return v;
}

static void test_basics(void **state)
{
	CLEANUP(map_freep) struct map *m = map_new(count_free);

	freed = 0;
	assert_null(map_get(m, "a"));
	assert_false(map_del(m, "a"));
	assert_int_equal(map_set(m, "a", value("1")), 0);
	assert_int_equal(map_set(m, "", value("empty")), 0);
	assert_string_equal(map_get(m, "a"), "1");
	assert_string_equal(map_get(m, ""), "empty");
	assert_string_equal(map_key(m, "a"), "a");
	assert_null(map_key(m, "b"));
	assert_int_equal(map_set(m, "a", value("2")), 0);
	assert_int_equal(freed, 1);
	assert_int_equal(map_len(m), 2);
	assert_int_equal(map_set(m, "a", map_get(m, "a")), 0); /* itself: not freed */
	assert_int_equal(freed, 1);
	assert_true(map_del(m, "a"));
	assert_int_equal(freed, 2);
	assert_false(map_del(m, "a"));
	assert_int_equal(map_len(m), 1);
	map_free(TAKE(m));
	assert_int_equal(freed, 3);
	map_free(NULL);
}

enum { KEYS = 300, STEPS = 60000 };

/* Every operation on the map and on an array; they must agree at all times. */
static void test_against_model(void **state)
{
	CLEANUP(map_freep) struct map *m = map_new(NULL);
	static char model[KEYS];
	uint32_t seed = 12345;
	size_t live = 0, i;
	char key[32];

	memset(model, 0, sizeof(model));
	for (i = 0; i < STEPS; i++) {
		size_t k;

		seed = seed * 1664525 + 1013904223;
		k = (seed >> 8) % KEYS;
		(void)snprintf(key, sizeof(key), "node-%zu", k);
		if ((seed >> 28) < 7) {
			assert_int_equal(map_set(m, key, &model[k]), 0);
			live += !model[k];
			model[k] = 1;
		} else if ((seed >> 28) < 13) {
			assert_int_equal(map_del(m, key), model[k]);
			live -= (size_t)model[k];
			model[k] = 0;
		} else {
			assert_ptr_equal(map_get(m, key), model[k] ? &model[k] : NULL);
		}
		if (map_len(m) != live)
			fail_msg("step %zu: %zu entries, not %zu", i, map_len(m), live);
	}
}

static void test_order(void **state)
{
	CLEANUP(map_freep) struct map *m = map_new(NULL);
	const char *key;
	size_t it = 0, n = 0;
	char name[16];
	void *v;

	for (n = 0; n < 1000; n++) {
		(void)snprintf(name, sizeof(name), "%zu", n);
		assert_int_equal(map_set(m, name, m), 0);
	}
	for (n = 0; n < 1000; n += 2) {
		(void)snprintf(name, sizeof(name), "%zu", n);
		assert_true(map_del(m, name));
	}
	for (n = 1; map_next(m, &it, &key, &v); n += 2) {
		(void)snprintf(name, sizeof(name), "%zu", n);
		assert_string_equal(key, name);
		assert_ptr_equal(v, m);
	}
	assert_int_equal(n, 1001);
	assert_false(map_next(m, &it, &key, &v));
}

/* Each entry that stays is seen exactly once, though others are deleted and added all the while. */
static void test_walk_while_changing(void **state)
{
	CLEANUP(map_freep) struct map *m = map_new(NULL);
	char seen[200] = { 0 };
	size_t it = 0, i;
	const char *key;
	char name[32];
	void *v;

	for (i = 0; i < ARRAY_SIZE(seen); i++) {
		(void)snprintf(name, sizeof(name), "old-%zu", i);
		assert_int_equal(map_set(m, name, &seen[i]), 0);
	}
	for (i = 0; map_next(m, &it, &key, &v); i++) {
		if (str_starts(key, "new"))
			continue;
		(*(char *)v)++;
		(void)snprintf(name, sizeof(name), "%s", key);
		assert_true(map_del(m, name)); /* the one just returned */
		(void)snprintf(name, sizeof(name), "new-%zu", i);
		assert_int_equal(map_set(m, name, seen), 0);
	}
	for (i = 0; i < ARRAY_SIZE(seen); i++)
		if (seen[i] != 1)
			fail_msg("entry %zu seen %d times", i, seen[i]);
}

static void test_empty_walk(void **state)
{
	CLEANUP(map_freep) struct map *m = map_new(NULL);
	size_t it = 0;

	assert_false(map_next(m, &it, NULL, NULL));
	assert_int_equal(map_set(m, "a", m), 0);
	it = 0;
	assert_true(map_next(m, &it, NULL, NULL));
	assert_false(map_next(m, &it, NULL, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_basics),
		cmocka_unit_test(test_against_model),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_walk_while_changing),
		cmocka_unit_test(test_empty_walk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
