// SPDX-License-Identifier: Apache-2.0
/* The table engine on a table of its own: every type, every flag, every error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "field.h"
#include "yaml.h"

struct inner {
	const char *name;
	int64_t n;
};

struct outer {
	const char *s, *with_default, *id;
	bool flag, flag_on;
	int64_t i;
	int e;
	struct {
		bool present;
		const char *x;
		struct {
			bool on;
		} deep;
	} obj;
	struct list list, strs, unique, map;
	struct intstr is;
	const struct json *any;
	int64_t always;
};

#define INNER(m) .off = offsetof(struct inner, m)
static const struct field inner_fields[] = {
	{ .name = "name", .type = FIELD_STR, .flags = FIELD_KEY, INNER(name) },
	{ .name = "n", .type = FIELD_INT, INNER(n), .def = 5 },
	{ 0 },
};

static const struct field deep_fields[] = {
	{ .name = "on", .type = FIELD_BOOL, .def = true },
	{ 0 },
};

static const struct field obj_fields[] = {
	{ .name = "x",
		.type = FIELD_STR,
		.flags = FIELD_REQUIRED,
		.off = offsetof(struct outer, obj.x) - offsetof(struct outer, obj) },
	{ .name = "deep",
		.type = FIELD_OBJ,
		.sub = deep_fields,
		.off = offsetof(struct outer, obj.deep) - offsetof(struct outer, obj) },
	{ 0 },
};

static const char *const colours[] = { "Red", "Green", NULL };

#define OUTER(m) .off = offsetof(struct outer, m)
static const struct field fields[] = {
	{ .name = "s",
		.type = FIELD_STR,
		.flags = FIELD_REQUIRED,
		OUTER(s),
		.min = 2,
		.max = 5 },
	{ .name = "withDefault",
		.type = FIELD_STR,
		OUTER(with_default),
		.def_str = "def" },
	{ .name = "id", .type = FIELD_STR, OUTER(id), .pattern = "^[0-9a-f]{4}$" },
	{ .name = "flag", .type = FIELD_BOOL, OUTER(flag) },
	{ .name = "flagOn", .type = FIELD_BOOL, OUTER(flag_on), .def = true },
	{ .name = "i", .type = FIELD_INT, OUTER(i), .min = -1, .max = 10, .def = 3 },
	{ .name = "e", .type = FIELD_ENUM, OUTER(e), .names = colours, .def = 1 },
	{ .name = "obj",
		.type = FIELD_OBJ,
		OUTER(obj),
		.sub = obj_fields,
		.present_off = offsetof(struct outer, obj.present) },
	{ .name = "list",
		.type = FIELD_LIST,
		OUTER(list),
		.sub = inner_fields,
		.size = sizeof(struct inner),
		.max = 100 },
	{ .name = "strs", .type = FIELD_STRS, OUTER(strs), .names = colours },
	{ .name = "unique",
		.type = FIELD_STRS,
		.flags = FIELD_KEY,
		OUTER(unique),
		.max = 3 },
	{ .name = "map", .type = FIELD_STRMAP, OUTER(map), .max = 2 },
	{ .name = "is", .type = FIELD_INTSTR, OUTER(is), .def_str = "25%" },
	{ .name = "any", .type = FIELD_JSON, OUTER(any) },
	{ .name = "always", .type = FIELD_INT, .flags = FIELD_ALWAYS, OUTER(always) },
	{ 0 },
};

static struct arena *arena;

static int setup(void **state)
{
	arena = arena_new(1 << 20);
	return arena ? 0 : -1;
}

static int teardown(void **state)
{
	arena_free(TAKE(arena));
	return 0;
}

static struct json *docs;

/* The first document of @text; freed by the next call. */
static const struct json *yaml(const char *text)
{
	struct err e = { 0 };

	json_free(TAKE(docs));
	if (text && yaml_parse(text, strlen(text), &docs, &e) < 0)
		fail_msg("'%s': %s", text, e.text);
	return text ? json_at(docs, 0) : NULL;
}

static void test_errors(void **state)
{
	static const struct {
		const char *name, *yaml, *text;
	} cases[] = {
		{ "no object", "[1]", "line 1: 'p': must be an object, is list" },
		{ "required", "flag: true", "line 1: 'p.s': required" },
		{ "required is null", "s: ~", "line 1: 'p.s': required" },
		{ "unknown", "s: ab\nzzz: 1", "line 2: 'p.zzz': unknown field" },
		{ "unknown null", "s: ab\nzzz:", "'p.zzz': unknown field" },
		{ "meant", "s: ab\nflga: 1",
			"line 2: 'p.flga': unknown field (did you mean 'flag'?)" },
		{ "case", "s: ab\nwithdefault: x", "(did you mean 'withDefault'?)" },
		{ "too short", "s: a", "line 1: 'p.s': too short" },
		{ "empty", "s: ''", "line 1: 'p.s': must not be empty" },
		{ "too long", "s: abcdef", "line 1: 'p.s': longer than 5 bytes" },
		{ "number for string", "s: 12",
			"line 1: 'p.s': must be a string, is integer (write it in quotes)" },
		{ "list for string", "s: []",
			"line 1: 'p.s': must be a string, is list" },
		{ "pattern", "s: ab\nid: xyzw", "line 2: 'p.id': 'xyzw' does not match" },
		{ "upper case", "s: ab\nid: 10DE",
			"line 2: 'p.id': '10DE': write it in lower case" },
		{ "0x", "s: ab\nid: '0x10de'", "'0x10de': write it without 0x" },
		{ "bool", "s: ab\nflag: 'true'",
			"'p.flag': must be true or false, is string" },
		{ "int below", "s: ab\ni: -2", "'p.i': -2 is not in -1..10" },
		{ "int above", "s: ab\ni: 11", "'p.i': 11 is not in -1..10" },
		{ "int as string", "s: ab\ni: '5'",
			"'p.i': must be an integer, is string" },
		{ "int as double", "s: ab\ni: 5.0",
			"line 2: 'p.i': must be an integer, is number" },
		{ "enum", "s: ab\ne: Blue", "'p.e': 'Blue' is not one of Red, Green" },
		{ "enum type", "s: ab\ne: 1", "'p.e': must be a string" },
		{ "object", "s: ab\nobj: []",
			"line 2: 'p.obj': must be an object, is list" },
		{ "in object", "s: ab\nobj:\n  deep: {}", "line 3: 'p.obj.x': required" },
		{ "deeper", "s: ab\nobj: {x: a, deep: {off: 1}}",
			"line 2: 'p.obj.deep.off': unknown" },
		{ "list", "s: ab\nlist: {}", "'p.list': must be a list, is object" },
		{ "list element", "s: ab\nlist:\n- name: a\n- 3",
			"line 4: 'p.list[1]': must be an object" },
		{ "list element null", "s: ab\nlist: [~]",
			"line 2: 'p.list[0]': must be an object, is null" },
		{ "key missing", "s: ab\nlist:\n- n: 1",
			"line 3: 'p.list[0].name': required" },
		{ "key empty", "s: ab\nlist:\n- name: ''",
			"'p.list[0].name': must not be empty" },
		{ "key twice", "s: ab\nlist:\n- name: a\n- name: b\n- name: a",
			"line 5: 'p.list[2]': 'a' comes twice" },
		{ "strs element", "s: ab\nstrs: [Red, 1]",
			"'p.strs[1]': must be a string" },
		{ "strs value", "s: ab\nstrs: [Red, Blue]",
			"'p.strs[1]': 'Blue' is not one of" },
		{ "unique twice", "s: ab\nunique: [a, b, a]",
			"'p.unique[2]': 'a' comes twice" },
		{ "unique too long", "s: ab\nunique: [abcd]",
			"'p.unique[0]': longer than 3 bytes" },
		{ "map", "s: ab\nmap: []", "'p.map': must be an object" },
		{ "map value", "s: ab\nmap: {a: 1}",
			"'p.map[a]': must be a string, is integer (write" },
		{ "map size", "s: ab\nmap: {a: x, b: x, c: x}",
			"'p.map': more than 2 elements" },
		{ "intstr negative", "s: ab\nis: -1",
			"'p.is': must be a count or a percentage" },
		{ "intstr plain", "s: ab\nis: '25'", "'p.is': must be a count" },
		{ "intstr too much", "s: ab\nis: 101%", "'p.is': must be a count" },
		{ "intstr double", "s: ab\nis: 2.5", "'p.is': must be a count" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct outer o = { 0 };
		struct err e = { 0 };
		int r = field_parse_at(
			arena, fields, yaml(cases[i].yaml), "p", true, &o, &e);

		if (r != -EINVAL || e.reason != REASON_MANIFEST_INVALID ||
			!strstr(e.text, cases[i].text))
			fail_msg("case '%s': %d '%s'", cases[i].name, r, e.text);
	}
	yaml(NULL);
}

static void test_all(void **state)
{
	static const char text[] =
		"s: abc\nwithDefault: x\nid: 10de\nflag: true\nflagOn: false\n"
		"i: 10\ne: Red\nobj: {x: y, deep: {on: false}}\n"
		"list: [{name: a}, {name: b, n: 7}]\nstrs: [Green, Green]\n"
		"unique: [a, b]\nmap: {z: '1', a: '2'}\nis: 3\nany: {k: [1]}\n"
		"always: 9\n";
	struct outer o = { 0 };
	struct err e = { 0 };
	const struct inner *in;
	const struct kv *kv;

	if (field_parse(arena, fields, yaml(text), &o, &e) < 0)
		fail_msg("%s", e.text);
	assert_string_equal(o.s, "abc");
	assert_string_equal(o.with_default, "x");
	assert_string_equal(o.id, "10de");
	assert_true(o.flag);
	assert_false(o.flag_on);
	assert_int_equal(o.i, 10);
	assert_int_equal(o.e, 0);
	assert_true(o.obj.present);
	assert_string_equal(o.obj.x, "y");
	assert_false(o.obj.deep.on);
	assert_int_equal(o.list.n, 2);
	in = o.list.items;
	assert_string_equal(in[0].name, "a");
	assert_int_equal(in[0].n, 5);
	assert_int_equal(in[1].n, 7);
	assert_int_equal(o.strs.n, 2);
	assert_string_equal(((const char **)o.strs.items)[1], "Green");
	kv = o.map.items;
	assert_int_equal(o.map.n, 2);
	assert_string_equal(kv[0].key, "z"); /* as written */
	assert_string_equal(kv[1].value, "2");
	assert_false(o.is.is_percent);
	assert_int_equal(o.is.value, 3);
	assert_int_equal(json_len(json_get(o.any, "k")), 1);
	assert_int_equal(o.always, 9);
	yaml(NULL);
}

static void test_defaults(void **state)
{
	struct outer o = { 0 };

	assert_int_equal(
		field_parse(arena, fields, yaml("{s: ab, obj: ~}"), &o, NULL), 0);
	assert_string_equal(o.with_default, "def");
	assert_null(o.id);
	assert_true(o.flag_on);
	assert_int_equal(o.i, 3);
	assert_int_equal(o.e, 1);
	assert_false(o.obj.present);
	assert_true(o.obj.deep.on); /* of an object that is absent */
	assert_true(o.is.is_percent);
	assert_int_equal(o.is.value, 25);
	assert_int_equal(o.list.n, 0);
	assert_null(o.any);
	yaml(NULL);
}

static void test_lenient(void **state)
{
	const struct json *j = yaml(
		"{s: ab, new: 1, obj: {x: y, newer: {}}, list: [{name: a, z: 1}]}");
	struct outer o = { 0 };

	assert_int_equal(field_parse_at(arena, fields, j, "", true, &o, NULL), -EINVAL);
	assert_int_equal(field_parse_at(arena, fields, j, "", false, &o, NULL), 0);
	assert_string_equal(o.obj.x, "y");
	assert_int_equal(o.list.n, 1);
	yaml(NULL);
}

static void assert_prints(const struct outer *o, const char *want)
{
	CLEANUP(json_freep) struct json *j = field_print(fields, o);
	struct buf b;

	buf_init(&b, 10000);
	assert_int_equal(json_print(j, false, &b), 0);
	assert_string_equal(buf_cstr(&b), want);
	buf_done(&b);
}

static void test_print(void **state)
{
	static const char *const cases[] = {
		"{\"s\":\"ab\",\"always\":0}",
		"{\"s\":\"ab\",\"withDefault\":\"x\",\"id\":\"0123\",\"flag\":true,\"flagOn\":false,\"i\":0,"
		"\"e\":\"Red\",\"obj\":{\"x\":\"\",\"deep\":{\"on\":false}},\"list\":[{\"name\":\"a\"},{\"name\":"
		"\"b\",\"n\":0}],\"strs\":[\"Red\"],\"unique\":[\"x\"],\"map\":{\"a\":\"\"},\"is\":0,\"any\":[null],"
		"\"always\":1}",
		"{\"s\":\"ab\",\"obj\":{\"x\":\"y\"},\"is\":\"0%\",\"always\":0}",
	};
	size_t i;

	/* What was printed parses to the same, and prints the same. */
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct outer o = { 0 };
		struct err e = { 0 };

		if (field_parse(arena, fields, yaml(cases[i]), &o, &e) < 0)
			fail_msg("case %zu: %s", i, e.text);
		assert_prints(&o, cases[i]);
	}
	yaml(NULL);
}

/* A structure made by hand, with NULL strings. */
static void test_print_bare(void **state)
{
	struct outer o = { 0 };

	field_defaults(fields, &o);
	assert_prints(&o, "{\"s\":\"\",\"always\":0}");
	o.obj.deep.on = false; /* not said to be present, but not the default either */
	assert_prints(&o,
		"{\"s\":\"\",\"obj\":{\"x\":\"\",\"deep\":{\"on\":false}},\"always\":0}");
}

static void test_memory(void **state)
{
	CLEANUP(arena_freep) struct arena *small = arena_new(64);
	struct outer o = { 0 };
	struct err e = { 0 };

	assert_int_equal(
		field_parse(small, fields,
			yaml("{s: ab, list: [{name: a}, {name: b}, {name: c}, {name: d}]}"),
			&o, &e),
		-ENOMEM);
	assert_non_null(strstr(e.text, "'list'"));
	yaml(NULL);
}

/* Many elements with keys, the last one a repetition; and more than are allowed. */
static void test_long_list(void **state)
{
	struct outer o = { 0 };
	struct err e = { 0 };
	struct buf b;
	int i;

	buf_init(&b, 1 << 20);
	assert_int_equal(buf_str(&b, "{s: ab, list: ["), 0);
	for (i = 0; i < 99; i++)
		assert_int_equal(buf_fmt(&b, "{name: x%d},", i), 0);
	assert_int_equal(buf_str(&b, "{name: x50}]}"), 0);
	assert_int_equal(field_parse(arena, fields, yaml(buf_cstr(&b)), &o, &e), -EINVAL);
	assert_non_null(strstr(e.text, "'list[99]': 'x50' comes twice"));
	b.len -= strlen("{name: x50}]}");
	assert_int_equal(buf_str(&b, "{name: y},{name: z}]}"), 0);
	assert_int_equal(field_parse(arena, fields, yaml(buf_cstr(&b)), &o, &e), -EINVAL);
	assert_non_null(strstr(e.text, "more than 100 elements"));
	buf_done(&b);
	yaml(NULL);
}

/* Names and paths from outside that are longer than any buffer of ours. */
static void test_long_names(void **state)
{
	char name[1000], text[1100]; /* libyaml takes keys of 1024 bytes */
	struct outer o = { 0 };
	struct err e = { 0 };

	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	(void)snprintf(text, sizeof(text), "{s: ab, \"%s\": 1}", name);
	assert_int_equal(field_parse(arena, fields, yaml(text), &o, &e), -EINVAL);
	assert_non_null(strstr(e.text, "unknown field"));
	(void)snprintf(text, sizeof(text), "{s: ab, id: \"%s\"}", name);
	assert_int_equal(field_parse(arena, fields, yaml(text), &o, &e), -EINVAL);
	(void)snprintf(text, sizeof(text), "{s: ab, map: {\"%s\": 1}}", name);
	assert_int_equal(field_parse(arena, fields, yaml(text), &o, &e), -EINVAL);
	yaml(NULL);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_errors),
		T(test_all),
		T(test_defaults),
		T(test_lenient),
		T(test_print),
		T(test_print_bare),
		T(test_memory),
		T(test_long_list),
		T(test_long_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
