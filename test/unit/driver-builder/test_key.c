// SPDX-License-Identifier: Apache-2.0
/* The key changes with everything that can change the outcome, and with nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <sys/stat.h>

#include "driver-builder/key.h"
#include "file.h"

static const char *const none[] = { NULL };
static const char *const ab[] = { "a", "b" };
static const char *const ba[] = { "b", "a" };
static const char *const joined[] = { "ab" };
#define LIST(x, n) \
	&(const struct list) \
	{ \
		(void *)(uintptr_t)(x), n \
	}

/* Every row must have a key of its own. */
static void test_each_input_counts(void **state)
{
	const struct key_input rows[] = {
		{ "src", "6.1", "hdr", "gcc 12", "Kbuild", NULL, NULL },
		{ "srd", "6.1", "hdr", "gcc 12", "Kbuild", NULL, NULL },
		{ "src", "6.2", "hdr", "gcc 12", "Kbuild", NULL, NULL },
		{ "src", "6.1", "hds", "gcc 12", "Kbuild", NULL, NULL },
		{ "src", "6.1", "hdr", "gcc 13", "Kbuild", NULL, NULL },
		{ "src", "6.1", "hdr", "gcc 12", "DKMS", NULL, NULL },
		{ "src", "6.1", "hdr", "gcc 12", "Kbuild", LIST(ab, 2), NULL },
		{ "src", "6.1", "hdr", "gcc 12", "Kbuild", LIST(ba, 2), NULL },
		{ "src", "6.1", "hdr", "gcc 12", "Kbuild", LIST(joined, 1), NULL },
		{ "src", "6.1", "hdr", "gcc 12", "Kbuild", NULL, LIST(ab, 2) },
		{ "src", "6.1", "hdr", "gcc 12", "Kbuild", LIST(ab, 1), LIST(ab + 1, 1) },
		{ "sr", "c6.1", "hdr", "gcc 12", "Kbuild", NULL, NULL },
	};
	char keys[ARRAY_SIZE(rows)][DIGEST_HEX + 1], again[DIGEST_HEX + 1];
	struct key_input empty = rows[0];
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(key_make(&rows[i], keys[i], NULL), 0);
		assert_true(key_is_valid(keys[i]));
		for (j = 0; j < i; j++)
			if (streq(keys[i], keys[j]))
				fail_msg("rows %zu and %zu have one key", j, i);
	}
	/* No list and an empty list are the same. */
	empty.make_args = LIST(none, 0);
	assert_int_equal(key_make(&empty, again, NULL), 0);
	assert_string_equal(again, keys[0]);
}

static void put(const char *dir, const char *name, const char *text)
{
	char path[128];
	struct err e = { 0 };

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(file_write_atomic(path, text, strlen(text), 0644, &e), 0);
}

static void test_headers(void **state)
{
	char dir[] = "/tmp/farrier-key-XXXXXX", a[DIGEST_HEX + 1], b[DIGEST_HEX + 1];
	struct kernel k = { .release = "6.1", .headers = dir };
	struct kernel bare = { .release = "6.1" };
	struct err e = { 0 };

	assert_int_equal(key_headers(&bare, a, &e), -ENOENT);
	assert_int_equal(e.reason, REASON_HEADERS_MISSING);
	assert_non_null(mkdtemp(dir));
	assert_true(key_headers(&k, a, &e) < 0);
	assert_int_equal(e.reason, REASON_HEADERS_MISSING);
	put(dir, "Module.symvers", "one");
	put(dir, ".config", "two");
	assert_int_equal(key_headers(&k, a, &e), 0);
	put(dir, "Makefile", "does not count");
	assert_int_equal(key_headers(&k, b, &e), 0);
	assert_string_equal(a, b);
	put(dir, ".config", "three");
	assert_int_equal(key_headers(&k, b, &e), 0);
	assert_string_not_equal(a, b);
	assert_int_equal(dir_remove(dir, &e), 0);
}

static void test_validity(void **state)
{
	char key[80];

	memset(key, 'a', sizeof(key));
	key[64] = '\0';
	assert_true(key_is_valid(key));
	key[5] = 'A';
	assert_false(key_is_valid(key));
	key[5] = '/';
	assert_false(key_is_valid(key));
	key[5] = 'a';
	key[63] = '\0';
	assert_false(key_is_valid(key));
	memset(key, 'a', 65);
	key[65] = '\0';
	assert_false(key_is_valid(key));
	assert_false(key_is_valid(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_input_counts),
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_validity),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
