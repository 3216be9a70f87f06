// SPDX-License-Identifier: Apache-2.0
/* The arena: alignment, zeroes, cap, reset. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arena.h"

static void test_alloc(void **state)
{
	CLEANUP(arena_freep) struct arena *a = arena_new(10 << 20);
	unsigned char *all[3000];
	size_t size[ARRAY_SIZE(all)], i, j;

	assert_non_null(a);
	for (i = 0; i < ARRAY_SIZE(all); i++) {
		size[i] = i % 7 == 0 ? i * 3 : i % 50;
		all[i] = arena_alloc(a, size[i]);
		assert_non_null(all[i]);
		assert_int_equal((uintptr_t)all[i] % _Alignof(max_align_t), 0);
		for (j = 0; j < size[i]; j++)
			assert_int_equal(all[i][j], 0);
		memset(all[i], (int)(i & 0xff), size[i]);
	}
	/* Nobody wrote into anybody else's. */
	for (i = 0; i < ARRAY_SIZE(all); i++)
		for (j = 0; j < size[i]; j++)
			if (all[i][j] != (i & 0xff))
				fail_msg("piece %zu, byte %zu", i, j);
}

static void test_cap(void **state)
{
	CLEANUP(arena_freep) struct arena *a = arena_new(1000);
	size_t before;

	assert_non_null(arena_alloc(a, 500));
	before = arena_used(a);
	assert_null(arena_alloc(a, 501));
	assert_int_equal(arena_used(a), before);
	assert_null(arena_alloc(a, SIZE_MAX));
	assert_null(arena_alloc(a, SIZE_MAX - 8));
	assert_null(arena_array(a, SIZE_MAX / 2, 3));
	assert_null(arena_array(a, SIZE_MAX, SIZE_MAX));
	assert_non_null(arena_alloc(a, 100));
	arena_reset(a);
	assert_int_equal(arena_used(a), 0);
	assert_non_null(arena_alloc(a, 900));
	assert_null(arena_fmt(a, "%200d", 1));
	assert_null(
		arena_strdup(a, "a string that is longer than what is left of the arena, "
				"which is less than a hundred bytes by now, is it not"));
}

static void test_reset_zeroes(void **state)
{
	CLEANUP(arena_freep) struct arena *a = arena_new(1 << 20);
	unsigned char *p = arena_alloc(a, 100);
	int i;

	memset(p, 0xff, 100);
	arena_reset(a);
	p = arena_alloc(a, 100);
	for (i = 0; i < 100; i++)
		assert_int_equal(p[i], 0);
	assert_non_null(arena_alloc(a, 500000));
	arena_reset(a);
	arena_reset(a);
	assert_non_null(arena_alloc(a, 1));
}

static void test_strings(void **state)
{
	CLEANUP(arena_freep) struct arena *a = arena_new(1 << 20);
	char not_ended[3] = { 'a', 'b', 'c' };

	assert_string_equal(arena_strdup(a, ""), "");
	assert_string_equal(arena_strdup(a, "hello"), "hello");
	assert_string_equal(arena_strndup(a, "hello", 2), "he");
	assert_string_equal(arena_strndup(a, "hello", 99), "hello");
	assert_string_equal(arena_strndup(a, not_ended, 3), "abc");
	assert_string_equal(arena_fmt(a, "%s-%d", "x", 7), "x-7");
	assert_non_null(arena_alloc(a, 0));
	assert_non_null(arena_array(a, 0, 8));
}

/* Small pieces go on where they were after a big one. */
static void test_big_between_small(void **state)
{
	CLEANUP(arena_freep) struct arena *a = arena_new(1 << 20);
	char *x = arena_alloc(a, 16), *big = arena_alloc(a, 100000),
	     *y = arena_alloc(a, 16);

	assert_non_null(big);
	assert_ptr_equal(y, x + 16);
}

static void test_free_null(void **state)
{
	arena_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alloc),
		cmocka_unit_test(test_cap),
		cmocka_unit_test(test_reset_zeroes),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_big_between_small),
		cmocka_unit_test(test_free_null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
