// SPDX-License-Identifier: Apache-2.0
/* JSON: what is refused, what is kept as it was, what never converts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "json.h"

static struct json *parse(const char *text)
{
	struct json *j = NULL;
	struct err e = { 0 };

	if (json_parse(text, strlen(text), &j, &e) < 0)
		fail_msg("'%s': %s", text, e.text);
	return j;
}

static void assert_prints(const struct json *j, const char *want)
{
	struct buf b;

	buf_init(&b, 10000);
	assert_int_equal(json_print(j, false, &b), 0);
	assert_string_equal(buf_cstr(&b), want);
	buf_done(&b);
}

static void test_refused(void **state)
{
	static const struct {
		const char *name, *text;
	} cases[] = {
		{ "empty", "" },
		{ "space", "  \n" },
		{ "two values", "1 2" },
		{ "value and rubbish", "{} x" },
		{ "open list", "[1" },
		{ "open object", "{\"a\":1" },
		{ "open string", "\"abc" },
		{ "string ends in escape", "\"abc\\" },
		{ "trailing comma", "[1,]" },
		{ "trailing comma in object", "{\"a\":1,}" },
		{ "leading comma", "[,1]" },
		{ "no comma", "[1 2]" },
		{ "no colon", "{\"a\" 1}" },
		{ "key without quotes", "{a:1}" },
		{ "key is a number", "{1:1}" },
		{ "single quotes", "{'a':1}" },
		{ "mixed brackets", "[1}" },
		{ "closed too often", "[1]]" },
		{ "NaN", "NaN" },
		{ "Infinity", "-Infinity" },
		{ "True", "True" },
		{ "truer", "truer" },
		{ "tru", "tru" },
		{ "leading zero", "01" },
		{ "minus zero one", "-01" },
		{ "bare minus", "-" },
		{ "plus", "+1" },
		{ "bare point", "1." },
		{ "point first", ".5" },
		{ "bare exponent", "1e" },
		{ "hex", "0x10" },
		{ "two points", "1.5.5" },
		{ "comment", "/*x*/1" },
		{ "tab in string", "\"a\tb\"" },
		{ "newline in string", "\"a\nb\"" },
		{ "unknown escape", "\"\\x\"" },
		{ "short unicode", "\"\\u00\"" },
		{ "zero in string", "\"\\u0000\"" },
		{ "zero in key", "{\"\\u0000a\":1}" },
		{ "high surrogate alone", "\"\\ud800\"" },
		{ "low surrogate alone", "\"\\udc00\"" },
		{ "high and no low", "\"\\ud800\\u0041\"" },
		{ "bad utf-8", "\"\xff\"" },
		{ "cut utf-8", "\"\xe2\x82\"" },
		{ "utf-8 surrogate", "\"\xed\xa0\x80\"" },
		{ "key twice", "{\"a\":1,\"b\":{},\"a\":null}" },
		{ "byte order mark", "\xef\xbb\xbf"
				     "1" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct json *j = NULL;
		struct err e = { 0 };
		int r = json_parse(cases[i].text, strlen(cases[i].text), &j, &e);

		if (r != -EINVAL || j || !strstr(e.text, "offset"))
			fail_msg("case '%s': %d '%s'", cases[i].name, r, e.text);
	}
}

static void test_zero_byte(void **state)
{
	struct json *j = NULL;

	assert_int_equal(json_parse("1\0", 2, &j, NULL), -EINVAL);
	assert_int_equal(json_parse("\"a\0b\"", 5, &j, NULL), -EINVAL);
	assert_int_equal(json_parse("\0", 1, &j, NULL), -EINVAL);
	assert_null(j);
}

static void test_kept(void **state)
{
	static const struct {
		const char *text, *out;
	} cases[] = {
		{ "null", "null" },
		{ " true ", "true" },
		{ "0", "0" },
		{ "-0", "0" },
		{ "-12", "-12" },
		{ "9223372036854775807", "9223372036854775807" },
		{ "18446744073709551615", "18446744073709551615" },
		{ "99999999999999999999", "99999999999999999999" },
		{ "-9223372036854775808", "-9223372036854775808" },
		{ "1e999", "1e999" },
		{ "1.50", "1.50" },
		{ "1E+2", "1E+2" },
		{ "\"\"", "\"\"" },
		{ "\"a/b\"", "\"a/b\"" },
		{ "\"\\u00e4\\ud83d\\udc34\\n\\/\"", "\"\xc3\xa4\xf0\x9f\x90\xb4\\n/\"" },
		{ "[]", "[]" },
		{ "{}", "{}" },
		{ "[ [ ] , { } , null ]", "[[],{},null]" },
		{ "{\"z\":1,\"a\":2,\"m\":{\"b\":null}}",
			"{\"z\":1,\"a\":2,\"m\":{\"b\":null}}" },
		{ "{\"\":1}", "{\"\":1}" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(json_freep)
		struct json *j = parse(cases[i].text), *c = json_copy(j);

		assert_prints(j, cases[i].out);
		assert_prints(c, cases[i].out);
		assert_true(json_equal(j, c));
	}
}

/* Every prefix of a document, and the document with each byte changed: no crash, no leak. */
static void test_mutilated(void **state)
{
	static const char text[] =
		"{\"a\":[1,-2.5e3,true,null,\"x\\u00e4\\\\\"],\"b\":{\"c\":{}}}";
	char copy[sizeof(text)];
	size_t i;
	int c;

	for (i = 0; i < sizeof(text) - 1; i++) {
		struct json *j = NULL;

		assert_int_equal(json_parse(text, i, &j, NULL), -EINVAL);
	}
	for (i = 0; i < sizeof(text) - 1; i++) {
		for (c = 0; c < 256; c++) {
			struct json *j = NULL;
			struct buf b;

			memcpy(copy, text, sizeof(text));
			copy[i] = (char)c;
			if (json_parse(copy, sizeof(text) - 1, &j, NULL) < 0)
				continue;
			/* What is taken can be printed and read again. */
			buf_init(&b, 1000);
			assert_int_equal(json_print(j, false, &b), 0);
			json_free(j);
			j = NULL;
			if (json_parse(b.data, b.len, &j, NULL) < 0)
				fail_msg("'%s' became '%s'", copy, buf_cstr(&b));
			json_free(j);
			buf_done(&b);
		}
	}
}

static void test_depth(void **state)
{
	char text[2 * (JSON_DEPTH_MAX + 1) + 1];
	struct json *j = NULL;
	size_t n;

	for (n = JSON_DEPTH_MAX; n <= JSON_DEPTH_MAX + 1; n++) {
		int r;

		memset(text, '[', n);
		memset(text + n, ']', n);
		r = json_parse(text, 2 * n, &j, NULL);
		assert_int_equal(r, n > JSON_DEPTH_MAX ? -E2BIG : 0);
		json_free(TAKE(j));
	}
	/* A million of them cost nothing. */
	{
		CLEANUP(freep) char *many = malloc(1000000);

		memset(many, '[', 1000000);
		assert_int_equal(json_parse(many, 1000000, &j, NULL), -E2BIG);
	}
}

static void test_reading(void **state)
{
	CLEANUP(json_freep)
	struct json *j = parse(
		"{\"s\":\"x\",\"i\":5,\"d\":1.5,\"b\":true,\"n\":null,\"l\":[1,null],\"o\":{\"p\":{\"q\":7}},"
		"\"q\":\"100m\",\"big\":9223372036854775808,\"huge\":99999999999999999999,"
		"\"low\":-99999999999999999999}");
	int64_t v = 77;
	bool b = false;

	assert_string_equal(json_get_str(j, "s"), "x");
	assert_null(json_get_str(j, "i"));
	assert_null(json_get_str(j, "absent"));
	assert_null(json_get_str(NULL, "s"));
	assert_null(json_get(j, "n"));
	assert_true(json_has(j, "n"));
	assert_false(json_has(j, "absent"));
	assert_int_equal(json_get_int(j, "i", 9), 5);
	assert_int_equal(json_get_int(j, "s", 9), 9);
	assert_int_equal(json_get_int(j, "q", 9), 9); /* "100m" is not 100 */
	assert_int_equal(json_int(json_get(j, "d"), &v), -EINVAL);
	assert_int_equal(json_int(json_get(j, "b"), &v), -EINVAL);
	assert_int_equal(json_int(json_get(j, "big"), &v), -EINVAL);
	assert_int_equal(json_int(json_get(j, "huge"), &v), -EINVAL);
	assert_int_equal(json_int(json_get(j, "low"), &v), -EINVAL);
	assert_int_equal(json_int(NULL, &v), -EINVAL);
	assert_int_equal(v, 77);
	assert_int_equal(json_bool(json_get(j, "b"), &b), 0);
	assert_true(b);
	assert_int_equal(json_bool(json_get(j, "i"), &b), -EINVAL);
	assert_true(json_get_bool(j, "absent", true));
	assert_int_equal(json_type(json_get(j, "d")), JSON_DOUBLE);
	assert_int_equal(json_type(NULL), JSON_NULL);
	assert_int_equal(json_len(json_get(j, "l")), 2);
	assert_int_equal(json_len(j), 11);
	assert_int_equal(json_len(json_get(j, "s")), 0);
	assert_null(json_at(json_get(j, "l"), 1));
	assert_null(json_at(json_get(j, "l"), 2));
	assert_null(json_at(j, 0));
	assert_int_equal(json_get_int(json_path(j, "o.p"), "q", 0), 7);
	assert_non_null(json_path(j, "o.p.q"));
	assert_null(json_path(j, "o.x.q"));
	assert_null(json_path(j, "s.x"));
	assert_null(json_path(j, ""));
}

static void test_next(void **state)
{
	CLEANUP(json_freep) struct json *j = parse("{\"z\":1,\"a\":null,\"m\":3}");
	CLEANUP(json_freep) struct json *none = json_new_object();
	const struct json *v;
	const char *key;
	size_t it = 0;

	assert_true(json_next(j, &it, &key, &v));
	assert_string_equal(key, "z");
	assert_true(json_next(j, &it, &key, &v));
	assert_string_equal(key, "a");
	assert_null(v);
	assert_true(json_next(j, &it, &key, &v));
	assert_string_equal(key, "m");
	assert_false(json_next(j, &it, &key, &v));
	assert_false(json_next(j, &it, &key, &v));
	it = 0;
	assert_false(json_next(none, &it, &key, &v));
	it = 0;
	assert_false(json_next(NULL, &it, &key, &v));
}

static void test_writing(void **state)
{
	CLEANUP(json_freep) struct json *j = json_new_object();
	CLEANUP(json_freep) struct json *s = json_new_str("x");
	struct json *l = json_new_array();

	assert_int_equal(json_set_str(j, "s", "a/\"b\xff"), 0);
	assert_int_equal(json_set_str(j, "absent", NULL), 0);
	assert_int_equal(json_set_int(j, "i", INT64_MAX), 0);
	assert_int_equal(json_set_bool(j, "b", false), 0);
	assert_int_equal(json_set_null(j, "n"), 0);
	assert_int_equal(json_add(l, json_new_int(-1)), 0);
	assert_int_equal(json_add_null(l), 0);
	assert_int_equal(json_set(j, "l", l), 0);
	assert_prints(j,
		"{\"s\":\"a/\\\"b\xef\xbf\xbd\",\"i\":9223372036854775807,\"b\":false,"
		"\"n\":null,\"l\":[-1,null]}");
	assert_int_equal(json_set_int(j, "i", 1), 0); /* replaced where it is */
	assert_int_equal(json_del(j, "l"), 0);
	assert_int_equal(json_del(j, "n"), 0);
	assert_int_equal(json_del(j, "l"), -ENOENT);
	assert_prints(j, "{\"s\":\"a/\\\"b\xef\xbf\xbd\",\"i\":1,\"b\":false}");
	/* The value is taken over in any case: a leak would show here. */
	assert_int_equal(json_set(NULL, "x", json_new_int(1)), -ENOMEM);
	assert_int_equal(json_set(s, "x", json_new_int(1)), -EINVAL);
	assert_int_equal(json_set(j, "x", NULL), -ENOMEM);
	assert_int_equal(json_add(NULL, json_new_int(1)), -ENOMEM);
	assert_int_equal(json_add(j, json_new_int(1)), -EINVAL);
	assert_int_equal(json_add(s, NULL), -ENOMEM);
	assert_null(json_new_str(NULL));
	assert_null(json_new_double(1.0 / 0.0));
	json_free(NULL);
}

static void test_pretty_and_cap(void **state)
{
	CLEANUP(json_freep) struct json *j = parse("{\"a\":[1]}");
	struct buf b;

	buf_init(&b, 1000);
	assert_int_equal(json_print(j, true, &b), 0);
	assert_non_null(strchr(buf_cstr(&b), '\n'));
	buf_done(&b);
	buf_init(&b, 5);
	assert_int_equal(json_print(j, false, &b), -ENOBUFS);
	buf_done(&b);
}

static void test_equal(void **state)
{
	static const struct {
		const char *a, *b;
		bool equal;
	} cases[] = {
		{ "{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1}", true },
		{ "[1,2]", "[2,1]", false },
		{ "{\"a\":1}", "{\"a\":1,\"b\":null}", false },
		{ "1", "\"1\"", false },
		{ "null", "null", true },
		{ "null", "false", false },
		{ "{\"a\":[{\"b\":\"x\"}]}", "{\"a\":[{\"b\":\"x\"}]}", true },
		{ "{\"a\":[{\"b\":\"x\"}]}", "{\"a\":[{\"b\":\"y\"}]}", false },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(json_freep)
		struct json *a = parse(cases[i].a), *b = parse(cases[i].b);

		if (json_equal(a, b) != cases[i].equal ||
			json_equal(b, a) != cases[i].equal)
			fail_msg("'%s' and '%s'", cases[i].a, cases[i].b);
	}
}

/* A line does not hurt a value: it prints, copies and compares as before. */
static void test_lines(void **state)
{
	CLEANUP(json_freep) struct json *j = parse("[1,1.25,\"s\",true,[],{}]");
	CLEANUP(json_freep) struct json *copy = NULL;
	size_t i;

	assert_int_equal(json_line(NULL), 0);
	json_set_line(NULL, 1);
	for (i = 0; i < json_len(j); i++) {
		assert_int_equal(json_line(json_at(j, i)), 0);
		json_set_line((struct json *)json_at(j, i), (unsigned)i + 10);
		assert_int_equal(json_line(json_at(j, i)), i + 10);
	}
	copy = json_copy(j);
	assert_prints(copy, "[1,1.25,\"s\",true,[],{}]");
	for (i = 0; i < json_len(j); i++)
		assert_int_equal(json_line(json_at(copy, i)), i + 10);
	json_set_line(copy, 1u << 31);
	assert_int_equal(json_line(copy), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_zero_byte),
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_mutilated),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_reading),
		cmocka_unit_test(test_next),
		cmocka_unit_test(test_writing),
		cmocka_unit_test(test_pretty_and_cap),
		cmocka_unit_test(test_equal),
		cmocka_unit_test(test_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
