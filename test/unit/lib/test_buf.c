// SPDX-License-Identifier: Apache-2.0
/* The capped buffer: caps, sticky errors, UTF-8. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "buf.h"

static void test_grow(void **state)
{
	struct buf b;
	size_t i;

	buf_init(&b, 100000);
	assert_string_equal(buf_cstr(&b), "");
	for (i = 0; i < 100000; i++)
		assert_int_equal(buf_chr(&b, (char)('a' + i % 26)), 0);
	assert_int_equal(b.len, 100000);
	assert_int_equal(strlen(buf_cstr(&b)), 100000);
	for (i = 0; i < b.len; i++)
		if (b.data[i] != (char)('a' + i % 26))
			fail_msg("byte %zu", i);
	assert_int_equal(buf_chr(&b, 'x'), -ENOBUFS);
	assert_int_equal(b.len, 100000);
	buf_done(&b);
}

static void test_cap_is_sticky(void **state)
{
	struct buf b;

	buf_init(&b, 8);
	assert_int_equal(buf_str(&b, "12345678"), 0);
	assert_int_equal(buf_ok(&b), 0);
	assert_int_equal(buf_add(&b, "", 0), 0);
	assert_int_equal(buf_str(&b, "9"), -ENOBUFS);
	buf_consume(&b, 4);
	assert_string_equal(buf_cstr(&b), "5678");
	assert_int_equal(buf_str(&b, "x"), -ENOBUFS);
	assert_int_equal(buf_fmt(&b, "%d", 1), -ENOBUFS);
	assert_int_equal(buf_ok(&b), -ENOBUFS);
	assert_string_equal(buf_cstr(&b), "5678");
	buf_clear(&b);
	assert_int_equal(buf_ok(&b), 0);
	assert_int_equal(buf_str(&b, "x"), 0);
	assert_string_equal(buf_cstr(&b), "x");
	buf_done(&b);
}

static void test_zero_cap(void **state)
{
	struct buf b;

	buf_init(&b, 0);
	assert_int_equal(buf_str(&b, ""), 0);
	assert_int_equal(buf_str(&b, "a"), -ENOBUFS);
	assert_string_equal(buf_cstr(&b), "");
	buf_done(&b);
	buf_init(&b, SIZE_MAX); /* the zero behind must not overflow */
	assert_int_equal(buf_str(&b, "a"), 0);
	assert_int_equal(buf_add(&b, "a", SIZE_MAX / 2), -ENOBUFS);
	buf_done(&b);
}

static void test_fmt(void **state)
{
	char big[5000];
	struct buf b;

	memset(big, 'z', sizeof(big));
	big[sizeof(big) - 1] = '\0';
	buf_init(&b, 9000);
	assert_int_equal(buf_fmt(&b, "%s-%d", big, 42), 0);
	assert_int_equal(b.len, 4999 + 3);
	assert_string_equal(buf_cstr(&b) + 4999, "-42");
	assert_int_equal(buf_fmt(&b, "%s", big), -ENOBUFS);
	assert_int_equal(b.len, 5002);
	buf_done(&b);
}

static void test_consume_steal(void **state)
{
	struct buf b;
	char *s;

	buf_init(&b, 100);
	buf_consume(&b, 5);
	assert_int_equal(buf_str(&b, "hello"), 0);
	buf_consume(&b, 0);
	buf_consume(&b, 2);
	assert_string_equal(buf_cstr(&b), "llo");
	buf_consume(&b, 99);
	assert_string_equal(buf_cstr(&b), "");
	assert_int_equal(buf_str(&b, "again"), 0);
	s = buf_steal(&b);
	assert_string_equal(s, "again");
	free(s);
	assert_int_equal(b.len, 0);
	s = buf_steal(&b);
	assert_string_equal(s, "");
	free(s);
	assert_int_equal(buf_str(&b, "once more"), 0);
	buf_done(&b);
	buf_done(&b);
}

static void test_utf8(void **state)
{
	static const struct {
		const char *name, *in, *out;
	} cases[] = {
		{ "ascii", "abc", "abc" },
		{ "two bytes", "\xc3\xa4", "\xc3\xa4" },
		{ "three bytes", "\xe2\x82\xac", "\xe2\x82\xac" },
		{ "four bytes", "\xf0\x9f\x90\xb4", "\xf0\x9f\x90\xb4" },
		{ "lone continuation", "a\x80z", "a\xef\xbf\xbdz" },
		{ "cut at the end", "a\xe2\x82", "a\xef\xbf\xbd\xef\xbf\xbd" },
		{ "overlong", "\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd" },
		{ "overlong three", "\xe0\x80\x80",
			"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
		{ "surrogate", "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
		{ "beyond", "\xf4\x90\x80\x80",
			"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
		{ "ff", "\xff", "\xef\xbf\xbd" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct buf b;

		buf_init(&b, 100);
		if (buf_utf8(&b, cases[i].in) != 0 || !streq(buf_cstr(&b), cases[i].out))
			fail_msg("case '%s'", cases[i].name);
		buf_done(&b);
	}
	assert_int_equal(utf8_len(""), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grow),
		cmocka_unit_test(test_cap_is_sticky),
		cmocka_unit_test(test_zero_cap),
		cmocka_unit_test(test_fmt),
		cmocka_unit_test(test_consume_steal),
		cmocka_unit_test(test_utf8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
