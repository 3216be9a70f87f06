// SPDX-License-Identifier: Apache-2.0
/* YAML: typing, lines, and what is refused with its line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "file.h"
#include "yaml.h"

static void test_typing(void **state)
{
	static const struct {
		const char *yaml, *json;
	} cases[] = {
		{ "a", "\"a\"" },
		{ "yes", "\"yes\"" },
		{ "no", "\"no\"" },
		{ "on", "\"on\"" },
		{ "off", "\"off\"" },
		{ "y", "\"y\"" },
		{ "0123", "\"0123\"" },
		{ "0x1f", "\"0x1f\"" },
		{ "+1", "\"+1\"" },
		{ "1_000", "\"1_000\"" },
		{ "12:30", "\"12:30\"" },
		{ "2026-01-01", "\"2026-01-01\"" },
		{ "1.", "\"1.\"" },
		{ ".5", "\".5\"" },
		{ "1e", "\"1e\"" },
		{ ".inf", "\".inf\"" },
		{ "-", "[null]" },
		{ "0", "0" },
		{ "-7", "-7" },
		{ "9223372036854775807", "9223372036854775807" },
		{ "9223372036854775808", "\"9223372036854775808\"" },
		{ "1.5", "1.5" },
		{ "1e3", "1000.0" },
		{ "1e999", "\"1e999\"" },
		{ "true", "true" },
		{ "False", "false" },
		{ "'true'", "\"true\"" },
		{ "\"1\"", "\"1\"" },
		{ "\"\"", "\"\"" },
		{ "'~'", "\"~\"" },
		{ "[~, null, Null, , 1]", NULL },
		{ "[~, null, 1]", "[null,null,1]" },
		{ "|\n a\n b\n", "\"a\\nb\\n\"" },
		{ ">-\n a\n b\n", "\"a b\"" },
		{ "a:\n- b: {c: [1, 'x']}\n  d:\n",
			"{\"a\":[{\"b\":{\"c\":[1,\"x\"]},\"d\":null}]}" },
		{ "{\"a\": 1, \"b\": [true]}", "{\"a\":1,\"b\":[true]}" },
		{ "\"\\u00e4\"", "\"\xc3\xa4\"" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(json_freep) struct json *docs = NULL;
		struct err e = { 0 };
		struct buf b;
		int r = yaml_parse(cases[i].yaml, strlen(cases[i].yaml), &docs, &e);

		if (!cases[i].json) {
			assert_int_equal(r, -EINVAL);
			continue;
		}
		if (r < 0 || json_len(docs) != 1)
			fail_msg("'%s': %s", cases[i].yaml, e.text);
		buf_init(&b, 1000);
		assert_int_equal(json_print(json_at(docs, 0), false, &b), 0);
		if (!streq(buf_cstr(&b), cases[i].json))
			fail_msg("'%s' became '%s'", cases[i].yaml, buf_cstr(&b));
		buf_done(&b);
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *name, *yaml, *text;
	} cases[] = {
		{ "duplicate", "a: 1\nb: 2\na: 3\n",
			"line 3: key 'a' comes twice (column 1)" },
		{ "duplicate null", "a:\na: 3\n", "line 2: key 'a' comes twice" },
		{ "duplicate, flow", "{a: 1, a: 2}", "line 1: key 'a' comes twice" },
		{ "anchor", "a: &x 1\n", "line 1: anchors" },
		{ "anchor on list", "a:\n  &x [1]\n", "line 2: anchors" },
		{ "alias", "a: 1\nb: *x\n", "line 2:" },
		{ "bomb", "a: &a [x]\nb: &b [*a, *a]\n", "line 1: anchors" },
		{ "tag", "a: !!str 1\n", "line 1: tags" },
		{ "own tag", "a: !x {}\n", "line 1: tags" },
		{ "number as key", "1: x\n", "line 1: key '1' is no string" },
		{ "true as key", "a:\n  true: x\n", "line 2: key 'true' is no string" },
		{ "null as key", "~: x\n", "line 1: key '~' is no string" },
		{ "list as key", "? [a]\n: x\n", "line 1: a key must be a string" },
		{ "map as key", "? {a: b}\n: x\n", "line 1: a key must be a string" },
		{ "zero byte", "a: \"x\\0y\"\n", "line 1: zero byte" },
		{ "tab", "a:\n\tb: 1\n", "line 2:" },
		{ "indentation", "a: 1\n b: 2\n", "line 2:" },
		{ "open list", "a: [1, 2\n", "line 2:" },
		{ "open quote", "a: 'x\n", "line" },
		{ "control character", "a: \x01\n", "line 1:" },
		{ "bad utf-8", "a: \xff\n", "line 1:" },
		{ "percent", "%foo\n", "line" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct json *docs = NULL;
		struct err e = { 0 };
		int r = yaml_parse(cases[i].yaml, strlen(cases[i].yaml), &docs, &e);

		if (r != -EINVAL || docs || !str_starts(e.text, cases[i].text) ||
			e.reason != REASON_MANIFEST_INVALID)
			fail_msg("case '%s': %d '%s'", cases[i].name, r, e.text);
	}
}

static void test_lines(void **state)
{
	static const char text[] = "# comment\n"
				   "a: 1\n"
				   "b:\n"
				   "  - x\n"
				   "  - c: 1.5\n"
				   "    d: |\n"
				   "      text\n"
				   "      more\n"
				   "    e: [true,\n"
				   "       {f: g}]\n"
				   "---\n"
				   "z: 1\n";
	CLEANUP(json_freep) struct json *docs = NULL;
	const struct json *j, *x;

	assert_int_equal(yaml_parse(text, strlen(text), &docs, NULL), 0);
	assert_int_equal(json_len(docs), 2);
	j = json_at(docs, 0);
	assert_int_equal(json_line(j), 2);
	assert_int_equal(json_line(json_get(j, "a")), 2);
	assert_int_equal(json_line(json_get(j, "b")), 4);
	assert_int_equal(json_line(json_at(json_get(j, "b"), 0)), 4);
	x = json_at(json_get(j, "b"), 1);
	assert_int_equal(json_line(x), 5);
	assert_int_equal(json_line(json_get(x, "c")), 5); /* a double */
	assert_int_equal(json_line(json_get(x, "d")), 6);
	assert_int_equal(json_line(json_get(x, "e")), 9);
	assert_int_equal(json_line(json_path(json_at(json_get(x, "e"), 1), "f")), 10);
	assert_int_equal(json_line(json_get(json_at(docs, 1), "z")), 12);
}

static void test_documents(void **state)
{
	CLEANUP(json_freep) struct json *docs = NULL, *none = NULL;
	static const char text[] =
		"---\n---\na: 1\n---\n# only a comment\n---\n~\n---\nb: 2\n...\n";
	struct buf b;
	int i;

	assert_int_equal(yaml_parse(text, strlen(text), &docs, NULL), 0);
	assert_int_equal(json_len(docs), 2);
	assert_int_equal(yaml_parse("", 0, &none, NULL), 0);
	assert_int_equal(json_len(none), 0);
	json_free(TAKE(docs));
	buf_init(&b, 1 << 20);
	for (i = 0; i <= YAML_DOCS_MAX; i++)
		assert_int_equal(buf_str(&b, "a: 1\n---\n"), 0);
	assert_int_equal(yaml_parse(b.data, b.len, &docs, NULL), -E2BIG);
	assert_null(docs);
	buf_consume(&b, strlen("a: 1\n---\n"));
	assert_int_equal(yaml_parse(b.data, b.len, &docs, NULL), 0);
	assert_int_equal(json_len(docs), YAML_DOCS_MAX);
	buf_done(&b);
}

static void test_caps(void **state)
{
	struct json *docs = NULL;
	CLEANUP(freep) char *text = malloc(YAML_BYTES_MAX + 1);
	struct err e = { 0 };
	size_t i;

	memset(text, '#', YAML_BYTES_MAX + 1);
	assert_int_equal(yaml_parse(text, YAML_BYTES_MAX, &docs, &e), 0);
	json_free(TAKE(docs));
	assert_int_equal(yaml_parse(text, YAML_BYTES_MAX + 1, &docs, &e), -E2BIG);
	memset(text, '[', 100000);
	assert_int_equal(yaml_parse(text, 100000, &docs, &e), -E2BIG);
	assert_non_null(strstr(e.text, "nested too deep"));
	for (i = 0; i < 2000000; i += 2)
		memcpy(text + i, "-\n", 2);
	assert_int_equal(yaml_parse(text, 2000000, &docs, &e), -E2BIG);
	assert_null(docs);
}

/* Every prefix and many changes of a manifest: no crash, no leak. */
static void test_mutilated(void **state)
{
	static const char text[] =
		"a: {b: [1, 'x', \"y\\n\"]}\nc:\n- |\n  t\n- ? k\n  : v\n---\n- 2\n";
	char copy[sizeof(text)];
	size_t i;
	int c;

	for (i = 0; i < sizeof(text); i++) {
		CLEANUP(json_freep) struct json *docs = NULL;

		(void)!yaml_parse(text, i, &docs, NULL);
	}
	for (i = 0; i < sizeof(text) - 1; i++)
		for (c = 0; c < 256; c += 3) {
			CLEANUP(json_freep) struct json *docs = NULL;

			memcpy(copy, text, sizeof(text));
			copy[i] = (char)c;
			if (yaml_parse(copy, sizeof(text) - 1, &docs, NULL) == 0)
				assert_non_null(docs);
		}
}

static void test_file(void **state)
{
	CLEANUP(json_freep) struct json *docs = NULL;
	char dir[] = "/tmp/farrier-yaml-XXXXXX", path[64], want[128];
	struct err e = { 0 };

	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/a.yaml", dir);
	assert_int_equal(yaml_read_file(path, &docs, &e), -ENOENT);
	assert_int_equal(file_write_atomic(path, "a: 1\nb: [\n", 10, 0644, NULL), 0);
	assert_int_equal(yaml_read_file(path, &docs, &e), -EINVAL);
	(void)snprintf(want, sizeof(want), "%s:3: ", path);
	if (!str_starts(e.text, want))
		fail_msg("'%s'", e.text);
	assert_int_equal(file_write_atomic(path, "a: 1\n", 5, 0644, NULL), 0);
	assert_int_equal(yaml_read_file(path, &docs, &e), 0);
	assert_int_equal(json_get_int(json_at(docs, 0), "a", 0), 1);
	assert_int_equal(dir_remove(dir, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_typing),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_documents),
		cmocka_unit_test(test_caps),
		cmocka_unit_test(test_mutilated),
		cmocka_unit_test(test_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
