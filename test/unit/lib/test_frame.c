// SPDX-License-Identifier: Apache-2.0
/* The framer: every way to cut its input gives the same items; nonsense gives errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include <cmocka.h>

#include "frame.h"
#include "json.h"

static const char *const skip_list[] = { "metadata.managedFields", "status.images",
	NULL };
static const char *const skip_events[] = { "object.metadata.managedFields",
	"object.status.images", NULL };

static int collect(const char *text, size_t len, void *user)
{
	struct buf *b = user;

	assert_int_equal(text[len], '\0');
	assert_int_equal(strlen(text), len);
	(void)buf_add(b, text, len);
	return buf_chr(b, '\n');
}

struct outcome {
	struct buf items;
	char rv[64], cont[64];
	int result;
};

/* Feeds @text in pieces of @first, then @piece bytes; each piece in memory of its own length. */
static void run(struct outcome *o, enum frame_kind kind, size_t item_max,
	const char *text, size_t len, size_t first, size_t piece)
{
	struct frame_options fo = { .kind = kind,
		.item_max = item_max,
		.skip = kind == FRAME_LIST ? skip_list : skip_events };
	struct frame *f = NULL;
	struct err e = { 0 };
	size_t at = 0;

	buf_init(&o->items, 1 << 20);
	assert_int_equal(frame_new(&fo, collect, &o->items, &f, &e), 0);
	o->result = 0;
	while (at < len && o->result == 0) {
		size_t n = MIN(at == 0 && first ? first : piece, len - at);
		char *copy = malloc(n);

		assert_non_null(copy);
		memcpy(copy, text + at, n);
		o->result = frame_feed(f, copy, n, &e);
		free(copy);
		at += n;
	}
	if (o->result == 0)
		o->result = frame_end(f, &e);
	if (o->result < 0) {
		assert_int_equal(e.code, o->result);
		assert_true(*e.text);
		/* It stays failed. */
		if (at)
			assert_true(frame_end(f, NULL) < 0);
	}
	(void)snprintf(o->rv, sizeof(o->rv), "%s", frame_resource_version(f));
	(void)snprintf(o->cont, sizeof(o->cont), "%s", frame_continue(f));
	frame_free(f);
}

struct good {
	const char *name;
	enum frame_kind kind;
	const char *text, *items, *rv, *cont;
};

static const struct good goods[] = {
	{ "two events", FRAME_LINES,
		"{\"type\":\"ADDED\",\"object\":{\"a\":1}}\n{\"type\":\"DELETED\",\"object\":{\"a\":[]}}\n",
		"{\"type\":\"ADDED\",\"object\":{\"a\":1}}\n{\"type\":\"DELETED\",\"object\":{\"a\":[]}}\n",
		"", "" },
	{ "nothing", FRAME_LINES, "", "", "", "" },
	{ "white space", FRAME_LINES, " \r\n\t", "", "", "" },
	{ "no line between", FRAME_LINES, "{}{}", "{}\n{}\n", "", "" },
	{ "space within", FRAME_LINES,
		"{ \"a\" : [ 1 , -2.5e+3 , true , null ] , \"b\" : { } }",
		"{\"a\":[1,-2.5e+3,true,null],\"b\":{}}\n", "", "" },
	{ "brackets in strings", FRAME_LINES,
		"{\"a\":\"}]{[\\\"\\\\\",\"b\\\"{\":\"\\u007b\"}",
		"{\"a\":\"}]{[\\\"\\\\\",\"b\\\"{\":\"\\u007b\"}\n", "", "" },
	{ "skip first", FRAME_LINES,
		"{\"object\":{\"metadata\":{\"managedFields\":[{\"f\":{\"}\":\"]\"}}],\"name\":\"x\"}}}",
		"{\"object\":{\"metadata\":{\"name\":\"x\"}}}\n", "", "" },
	{ "skip last", FRAME_LINES,
		"{\"object\":{\"metadata\":{\"name\":\"x\",\"managedFields\":[]},\"status\":{\"images\":[1,2]}}}",
		"{\"object\":{\"metadata\":{\"name\":\"x\"},\"status\":{}}}\n", "", "" },
	{ "skip in the middle, twice", FRAME_LINES,
		"{\"object\":{\"metadata\":{\"a\":1,\"managedFields\":\"s\",\"managedFields\":7,\"b\":2}}}",
		"{\"object\":{\"metadata\":{\"a\":1,\"b\":2}}}\n", "", "" },
	{ "skip only there", FRAME_LINES,
		"{\"managedFields\":1,\"object\":{\"managedFields\":2,\"spec\":{\"metadata\":{\"managedFields\":3}},"
		"\"list\":[{\"metadata\":{\"managedFields\":4}}]},\"metadata\":{\"managedFields\":5}}",
		"{\"managedFields\":1,\"object\":{\"managedFields\":2,\"spec\":{\"metadata\":{\"managedFields\":3}},"
		"\"list\":[{\"metadata\":{\"managedFields\":4}}]},\"metadata\":{\"managedFields\":5}}\n",
		"", "" },
	{ "a list", FRAME_LIST,
		"{\"kind\":\"NodeList\",\"metadata\":{\"resourceVersion\":\"12\",\"continue\":\"a\\u002fb\"},"
		"\"items\":[{\"metadata\":{\"name\":\"a\",\"managedFields\":[{\"x\":1}]}},{\"status\":{\"images\":[],\"b\":1}}]}\n",
		"{\"metadata\":{\"name\":\"a\"}}\n{\"status\":{\"b\":1}}\n", "12",
		"a/b" },
	{ "metadata last", FRAME_LIST,
		"{\"items\":[{}],\"metadata\":{\"resourceVersion\":\"3\"}}", "{}\n", "3",
		"" },
	{ "no items", FRAME_LIST,
		"{\"metadata\":{\"resourceVersion\":\"3\"},\"items\":[]}", "", "3", "" },
	{ "null items", FRAME_LIST, "{\"items\":null,\"metadata\":{}}", "", "", "" },
	{ "items elsewhere", FRAME_LIST,
		"{\"x\":{\"items\":[1,2]},\"y\":[[{\"metadata\":{\"resourceVersion\":\"9\"}}]],\"items\":[{\"items\":[3]}]}",
		"{\"items\":[3]}\n", "", "" },
};

static void every_cut_gives_the_same(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(goods); i++) {
		const struct good *g = &goods[i];
		size_t len = strlen(g->text);

		for (size_t cut = 0; cut <= len; cut++) {
			/* cut 0: byte by byte */
			struct outcome o;

			run(&o, g->kind, 0, g->text, len, cut, cut ? len : 1);
			if (o.result != 0 || strcmp(buf_cstr(&o.items), g->items) != 0 ||
				strcmp(o.rv, g->rv) != 0 || strcmp(o.cont, g->cont) != 0)
				fail_msg(
					"case '%s' cut at %zu: %d, items %s, rv '%s', continue '%s'",
					g->name, cut, o.result, buf_cstr(&o.items), o.rv,
					o.cont);
			buf_done(&o.items);
		}
	}
}

/* Every proper start of a good text either waits for more or is nothing but whole items. */
static void every_truncation_is_seen(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(goods); i++) {
		const struct good *g = &goods[i];
		size_t len = strlen(g->text);

		while (len && strchr(" \r\n\t", g->text[len - 1]))
			len--;
		for (size_t n = g->kind == FRAME_LIST ? 0 : 1; n < len; n++) {
			struct outcome o;
			bool whole;

			run(&o, g->kind, 0, g->text, n, 0, 7);
			/* Between two documents of a watch, the end is a fine one. */
			whole = g->kind == FRAME_LINES && g->text[n] != ' ' &&
				(g->text[n - 1] == '\n' ||
					(g->text[n - 1] == '}' &&
						(g->text[n] == '\n' ||
							g->text[n] == '{')));
			if (o.result != (whole ? 0 : -EPROTO))
				fail_msg("case '%s' ended at %zu: %d", g->name, n,
					o.result);
			buf_done(&o.items);
		}
	}
}

struct bad {
	const char *name;
	enum frame_kind kind;
	const char *text;
	int result;
};

static const struct bad bads[] = {
	{ "text", FRAME_LINES, "hello", -EPROTO },
	{ "html", FRAME_LIST, "<html>", -EPROTO },
	{ "array", FRAME_LINES, "[]", -EPROTO },
	{ "string", FRAME_LINES, "\"x\"", -EPROTO },
	{ "number", FRAME_LIST, "12", -EPROTO },
	{ "wrong bracket", FRAME_LINES, "{\"a\":[}}", -EPROTO },
	{ "too many brackets", FRAME_LIST, "{}}", -EPROTO },
	{ "two lists", FRAME_LIST, "{}{}", -EPROTO },
	{ "no colon", FRAME_LINES, "{\"a\" 1}", -EPROTO },
	{ "no key", FRAME_LINES, "{1:2}", -EPROTO },
	{ "no comma", FRAME_LINES, "{\"a\":1 2}", -EPROTO },
	{ "comma first", FRAME_LINES, "{,\"a\":1}", -EPROTO },
	{ "comma last", FRAME_LINES, "{\"a\":1,}", -EPROTO },
	{ "comma last in array", FRAME_LINES, "{\"a\":[1,]}", -EPROTO },
	{ "two commas", FRAME_LINES, "{\"a\":[1,,2]}", -EPROTO },
	{ "no value", FRAME_LINES, "{\"a\":}", -EPROTO },
	{ "wrong escape", FRAME_LINES, "{\"a\":\"\\x\"}", -EPROTO },
	{ "newline in string", FRAME_LINES, "{\"a\":\"\n\"}", -EPROTO },
	{ "newline in key", FRAME_LINES, "{\"a\nb\":1}", -EPROTO },
	{ "nonsense in what is skipped", FRAME_LINES,
		"{\"object\":{\"metadata\":{\"managedFields\":[}}}}", -EPROTO },
	{ "items that is an object", FRAME_LIST, "{\"items\":{}}", -EPROTO },
	{ "items that is a string", FRAME_LIST, "{\"items\":\"[]\"}", -EPROTO },
	{ "item that is a number", FRAME_LIST, "{\"items\":[1]}", -EPROTO },
	{ "item that is an array", FRAME_LIST, "{\"items\":[[]]}", -EPROTO },
	{ "items twice", FRAME_LIST, "{\"items\":[],\"items\":[{}]}", -EPROTO },
	{ "wrong metadata", FRAME_LIST, "{\"metadata\":{\"resourceVersion\":tru}}",
		-EPROTO },
};

static void nonsense_is_refused(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(bads); i++) {
		for (size_t piece = 1; piece < 20; piece += 6) {
			const struct bad *b = &bads[i];
			struct outcome o;

			run(&o, b->kind, 0, b->text, strlen(b->text), 0, piece);
			if (o.result != b->result)
				fail_msg("case '%s': %d", b->name, o.result);
			buf_done(&o.items);
		}
	}
}

static void zero_bytes_are_refused(void **state)
{
	struct outcome o;

	run(&o, FRAME_LINES, 0, "{\"a\":\"\0\"}", 9, 0, 9);
	assert_int_equal(o.result, -EPROTO);
	buf_done(&o.items);
	run(&o, FRAME_LINES, 0, "{\"a\":\"\\\0\"}", 10, 0, 10);
	assert_int_equal(o.result, -EPROTO);
	buf_done(&o.items);
	run(&o, FRAME_LINES, 0, "{}\0", 3, 0, 3);
	assert_int_equal(o.result, -EPROTO);
	buf_done(&o.items);
}

static void depth_is_capped(void **state)
{
	struct buf b;
	struct outcome o;

	for (unsigned depth = FRAME_DEPTH_MAX - 2; depth < FRAME_DEPTH_MAX + 3; depth++) {
		buf_init(&b, 4096);
		(void)buf_str(&b, "{\"a\":");
		for (unsigned i = 1; i < depth; i++)
			(void)buf_chr(&b, '[');
		for (unsigned i = 1; i < depth; i++)
			(void)buf_chr(&b, ']');
		(void)buf_chr(&b, '}');
		run(&o, FRAME_LINES, 0, b.data, b.len, 0, 11);
		assert_int_equal(o.result, depth <= FRAME_DEPTH_MAX ? 0 : -E2BIG);
		buf_done(&o.items);
		buf_done(&b);
	}
}

static void items_are_capped(void **state)
{
	const char *list = "{\"items\":[{\"a\":1},{\"b\":2},{\"c\":3}]}";
	struct outcome o;
	struct buf b;

	/* What is skipped does not count: 10,000 bytes pass a cap of 64. */
	buf_init(&b, 1 << 16);
	(void)buf_str(
		&b, "{\"object\":{\"metadata\":{\"name\":\"a\",\"managedFields\":\"");
	for (int i = 0; i < 10000; i++)
		(void)buf_chr(&b, 'x');
	(void)buf_str(&b, "\"}}}");
	run(&o, FRAME_LINES, 64, b.data, b.len, 0, 100);
	assert_int_equal(o.result, 0);
	assert_string_equal(
		buf_cstr(&o.items), "{\"object\":{\"metadata\":{\"name\":\"a\"}}}\n");
	buf_done(&o.items);
	buf_done(&b);

	run(&o, FRAME_LINES, 10, "{\"abcdef\":1}", 12, 0, 3);
	assert_int_equal(o.result, -EFBIG);
	buf_done(&o.items);
	run(&o, FRAME_LINES, 12, "{\"abcdef\":1}", 12, 0, 3);
	assert_int_equal(o.result, 0);
	buf_done(&o.items);
	/* The cap is on one item, not on all of them. */
	run(&o, FRAME_LIST, 8, list, strlen(list), 0, 5);
	assert_int_equal(o.result, 0);
	buf_done(&o.items);
}

static int refuse_second(const char *text, size_t len, void *user)
{
	unsigned *n = user;

	return ++*n == 2 ? -EXDEV : 0;
}

static void a_refused_item_stops(void **state)
{
	struct frame_options fo = { .kind = FRAME_LINES };
	struct frame *f = NULL;
	unsigned n = 0;

	assert_int_equal(frame_new(&fo, refuse_second, &n, &f, NULL), 0);
	assert_int_equal(frame_feed(f, "{}{}{}", 6, NULL), -EXDEV);
	assert_int_equal(n, 2);
	assert_int_equal(frame_feed(f, "{}", 2, NULL), -EXDEV);
	assert_int_equal(n, 2);
	frame_free(f);
}

static int parses(const char *text, size_t len, void *user)
{
	struct json *j = NULL;
	int r = json_parse(text, len, &j, NULL);

	json_free(j);
	*(unsigned *)user += r == 0;
	/* The scanner promises structure only, so what the parser refuses is refused here. */
	return r;
}

/* Bytes changed at random: no crash, and whatever is handed out as good was parsed as JSON. */
static void mutations_do_no_harm(void **state)
{
	uint64_t x = 88172645463325252ULL;
	unsigned items = 0;

	for (unsigned round = 0; round < 20000; round++) {
		const struct good *g = &goods[round % ARRAY_SIZE(goods)];
		struct frame_options fo = { .kind = g->kind,
			.skip = g->kind == FRAME_LIST ? skip_list : skip_events };
		size_t len = strlen(g->text);
		struct frame *f = NULL;
		char *text = malloc(len + 1);

		assert_non_null(text);
		memcpy(text, g->text, len + 1);
		for (unsigned k = 0; k < 3 && len; k++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			text[x % len] = "{}[]\":,\\ 1\n\xff"[(x >> 32) % 12];
		}
		assert_int_equal(frame_new(&fo, parses, &items, &f, NULL), 0);
		if (frame_feed(f, text, len, NULL) == 0)
			assert_true(frame_end(f, NULL) <= 0);
		frame_free(f);
		free(text);
	}
	assert_true(items > 100);
}

static void wrong_options_are_refused(void **state)
{
	static const char *const empty[] = { "", NULL };
	static const char *const hole[] = { "a..b", NULL };
	static const char *const deep[] = { "a.b.c.d.e", NULL };
	static const char *const many[] = { "a", "b", "c", "d", "e", "f", "g", "h", "i",
		NULL };
	static const char *const *const lists[] = { empty, hole, deep, many };
	struct frame *f = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		struct frame_options fo = { .kind = FRAME_LIST, .skip = lists[i] };

		assert_true(frame_new(&fo, collect, NULL, &f, NULL) < 0);
		assert_null(f);
	}
	frame_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_cut_gives_the_same),
		cmocka_unit_test(every_truncation_is_seen),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(zero_bytes_are_refused),
		cmocka_unit_test(depth_is_capped),
		cmocka_unit_test(items_are_capped),
		cmocka_unit_test(a_refused_item_stops),
		cmocka_unit_test(mutations_do_no_harm),
		cmocka_unit_test(wrong_options_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
