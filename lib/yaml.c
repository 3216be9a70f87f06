// SPDX-License-Identifier: Apache-2.0
/* libyaml's events into JSON values; the parts of YAML that surprise people are refused. */
#include "yaml.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <yaml.h>

#include "file.h"

enum { YAML_VALUES_MAX = 500000, YAML_NUMBER_MAX = 40 };

struct frame {
	struct json *node; /* belongs to its parent, the first to the builder */
	char *key; /* of an object: read, its value awaited */
};

struct builder {
	struct json *docs;
	struct frame stack[JSON_DEPTH_MAX];
	size_t depth, values, n_docs;
	unsigned line; /* of what is wrong */
	struct err *e;
};

static int fail(struct builder *b, const yaml_mark_t *mark, int r, const char *fmt, ...)
	_printf_(4, 5);
static int fail(struct builder *b, const yaml_mark_t *mark, int r, const char *fmt, ...)
{
	char what[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	b->line = (unsigned)mark->line + 1;
	return err_reason(b->e, r, REASON_MANIFEST_INVALID, "%s (column %zu)", what,
		mark->column + 1);
}

/* ---- plain scalars ---- */

static size_t digits(const char *s)
{
	return strspn(s, "0123456789");
}

enum number { NUMBER_NONE, NUMBER_INT, NUMBER_DOUBLE };

/* As JSON writes numbers: no sign '+', no leading zero, no bare point. */
static enum number number_kind(const char *s)
{
	enum number kind = NUMBER_INT;
	size_t n;

	s += *s == '-';
	n = digits(s);
	if (n == 0 || (*s == '0' && n > 1))
		return NUMBER_NONE;
	s += n;
	if (*s == '.') {
		n = digits(s + 1);
		if (n == 0)
			return NUMBER_NONE;
		s += 1 + n;
		kind = NUMBER_DOUBLE;
	}
	if (*s == 'e' || *s == 'E') {
		s += s[1] == '+' || s[1] == '-' ? 2 : 1;
		n = digits(s);
		if (n == 0)
			return NUMBER_NONE;
		s += n;
		kind = NUMBER_DOUBLE;
	}
	return *s ? NUMBER_NONE : kind;
}

static bool is_one_of(const char *s, const char *a, const char *b, const char *c)
{
	return streq(s, a) || streq(s, b) || streq(s, c);
}

static bool is_null(const char *s)
{
	return !*s || streq(s, "~") || is_one_of(s, "null", "Null", "NULL");
}

/* Numbers that do not fit stay what was written: a string. */
static struct json *plain_value(const char *s)
{
	size_t len = strlen(s);
	long long i;
	double d;

	if (is_one_of(s, "true", "True", "TRUE"))
		return json_new_bool(true);
	if (is_one_of(s, "false", "False", "FALSE"))
		return json_new_bool(false);
	switch (len < YAML_NUMBER_MAX ? number_kind(s) : NUMBER_NONE) {
	case NUMBER_INT:
		errno = 0;
		i = strtoll(s, NULL, 10);
		return errno ? json_new_str(s) : json_new_int(i);
	case NUMBER_DOUBLE:
		d = strtod(s, NULL);
		return isfinite(d) ? json_new_double(d) : json_new_str(s);
	case NUMBER_NONE:
		break;
	}
	return json_new_str(s);
}

static bool is_string_when_plain(const char *s)
{
	return !is_null(s) && number_kind(s) == NUMBER_NONE &&
	       !is_one_of(s, "true", "True", "TRUE") &&
	       !is_one_of(s, "false", "False", "FALSE");
}

/* ---- building ---- */

/* Puts @value (NULL and @null: a null) where it belongs; owns it. */
static int put(struct builder *b, struct json *value, bool null, const yaml_mark_t *mark)
{
	struct frame *f = b->depth ? &b->stack[b->depth - 1] : NULL;
	int r;

	if (!value && !null)
		return fail(b, mark, -ENOMEM, "out of memory");
	if (++b->values > YAML_VALUES_MAX) {
		json_free(value);
		return fail(b, mark, -E2BIG, "more than %d values", YAML_VALUES_MAX);
	}
	json_set_line(value, (unsigned)mark->line + 1);
	if (!f) {
		if (null)
			return 0;
		if (b->n_docs++ >= YAML_DOCS_MAX) {
			json_free(value);
			return fail(
				b, mark, -E2BIG, "more than %d documents", YAML_DOCS_MAX);
		}
		r = json_add(b->docs, value);
	} else if (json_type(f->node) == JSON_ARRAY) {
		r = null ? json_add_null(f->node) : json_add(f->node, value);
	} else {
		r = null ? json_set_null(f->node, f->key)
			 : json_set(f->node, f->key, value);
		free(TAKE(f->key));
	}
	return r < 0 ? fail(b, mark, r, "out of memory") : 0;
}

static int take_key(struct builder *b, struct frame *f, const yaml_event_t *ev)
{
	const char *s = (const char *)ev->data.scalar.value;

	if (ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && !is_string_when_plain(s))
		return fail(b, &ev->start_mark, -EINVAL,
			"key '%.100s' is no string: write it in quotes", s);
	if (json_has(f->node, s))
		return fail(b, &ev->start_mark, -EINVAL, "key '%.100s' comes twice", s);
	f->key = strdup(s);
	return f->key ? 0 : fail(b, &ev->start_mark, -ENOMEM, "out of memory");
}

static bool awaits_key(const struct builder *b)
{
	const struct frame *f = b->depth ? &b->stack[b->depth - 1] : NULL;

	return f && json_type(f->node) == JSON_OBJECT && !f->key;
}

static int take_scalar(struct builder *b, const yaml_event_t *ev)
{
	const char *s = (const char *)ev->data.scalar.value;
	bool is_plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;

	if (strlen(s) != ev->data.scalar.length)
		return fail(b, &ev->start_mark, -EINVAL, "zero byte in a string");
	if (awaits_key(b))
		return take_key(b, &b->stack[b->depth - 1], ev);
	if (is_plain && is_null(s))
		return put(b, NULL, true, &ev->start_mark);
	return put(
		b, is_plain ? plain_value(s) : json_new_str(s), false, &ev->start_mark);
}

static int open_container(struct builder *b, struct json *node, const yaml_mark_t *mark)
{
	int r;

	if (awaits_key(b)) {
		json_free(node);
		return fail(b, mark, -EINVAL, "a key must be a string");
	}
	if (b->depth == JSON_DEPTH_MAX) {
		json_free(node);
		return fail(b, mark, -E2BIG, "nested too deep");
	}
	r = put(b, node, false, mark);
	if (r < 0)
		return r;
	b->stack[b->depth++] = (struct frame){ .node = node };
	return 0;
}

static void close_container(struct builder *b)
{
	b->depth--;
	free(TAKE(b->stack[b->depth].key));
}

static int check_props(struct builder *b, const yaml_event_t *ev,
	const yaml_char_t *anchor, const yaml_char_t *tag)
{
	if (anchor)
		return fail(b, &ev->start_mark, -EINVAL, "anchors are not supported");
	if (tag)
		return fail(b, &ev->start_mark, -EINVAL, "tags are not supported");
	return 0;
}

static int take_event(struct builder *b, const yaml_event_t *ev)
{
	int r;

	switch (ev->type) {
	case YAML_SCALAR_EVENT:
		r = check_props(b, ev, ev->data.scalar.anchor, ev->data.scalar.tag);
		return r < 0 ? r : take_scalar(b, ev);
	case YAML_SEQUENCE_START_EVENT:
		r = check_props(b, ev, ev->data.sequence_start.anchor,
			ev->data.sequence_start.tag);
		return r < 0 ? r : open_container(b, json_new_array(), &ev->start_mark);
	case YAML_MAPPING_START_EVENT:
		r = check_props(
			b, ev, ev->data.mapping_start.anchor, ev->data.mapping_start.tag);
		return r < 0 ? r : open_container(b, json_new_object(), &ev->start_mark);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		close_container(b);
		return 0;
	case YAML_ALIAS_EVENT:
		return fail(b, &ev->start_mark, -EINVAL, "aliases are not supported");
	default:
		return 0;
	}
}

static int parser_fail(struct builder *b, const yaml_parser_t *p)
{
	const yaml_mark_t *mark = p->error == YAML_READER_ERROR ? &p->mark
								: &p->problem_mark;

	if (p->error == YAML_MEMORY_ERROR)
		return fail(b, &p->mark, -ENOMEM, "out of memory");
	return fail(b, mark, -EINVAL, "%s%s%s", p->context ? p->context : "",
		p->context ? ": " : "", p->problem ? p->problem : "not YAML");
}

static int build(struct builder *b, const char *text, size_t len)
{
	yaml_parser_t p;
	bool is_end = false;
	int r = 0;

	if (!yaml_parser_initialize(&p))
		return err_errno(b->e, -ENOMEM, "yaml");
	yaml_parser_set_encoding(&p, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&p, (const unsigned char *)text, len);
	while (r == 0 && !is_end) {
		yaml_event_t ev;

		if (!yaml_parser_parse(&p, &ev)) {
			r = parser_fail(b, &p);
			break;
		}
		is_end = ev.type == YAML_STREAM_END_EVENT;
		r = take_event(b, &ev);
		yaml_event_delete(&ev);
	}
	yaml_parser_delete(&p);
	while (b->depth > 0)
		close_container(b);
	return r;
}

/* *ret_line: where it failed, 0 when that has no line. The text of @e has no line yet. */
static int parse(const char *text, size_t len, struct json **ret_docs, unsigned *ret_line,
	struct err *e)
{
	struct builder b = { .e = e };
	int r;

	*ret_line = 0;
	if (len > YAML_BYTES_MAX)
		return err_reason(e, -E2BIG, REASON_MANIFEST_INVALID,
			"more than %d bytes", YAML_BYTES_MAX);
	b.docs = json_new_array();
	if (!b.docs)
		return err_errno(e, -ENOMEM, "yaml");
	r = build(&b, text, len);
	*ret_line = b.line;
	if (r < 0)
		json_free(b.docs);
	else
		*ret_docs = b.docs;
	return r;
}

int yaml_parse(const char *text, size_t len, struct json **ret_docs, struct err *e)
{
	unsigned line;
	int r = parse(text, len, ret_docs, &line, e);

	return r < 0 && line ? err_wrap(e, r, "line %u", line) : r;
}

int yaml_read_file(const char *path, struct json **ret_docs, struct err *e)
{
	CLEANUP(freep) char *text = NULL;
	size_t len = 0;
	unsigned line;
	int r = file_read(path, YAML_BYTES_MAX, &text, &len, e);

	if (r < 0)
		return r;
	r = parse(text, len, ret_docs, &line, e);
	if (r < 0)
		return line ? err_wrap(e, r, "%s:%u", path, line)
			    : err_wrap(e, r, "%s", path);
	return 0;
}
