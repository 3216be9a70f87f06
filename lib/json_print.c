// SPDX-License-Identifier: Apache-2.0
/* JSON text from values. Of our own, since json-c's printer cuts its output when memory is short and
 * keeps a second copy of it in the value. */
#include "json.h"

struct printer {
	struct buf *out;
	bool pretty;
	size_t depth;
};

static int print_value(struct printer *p, const struct json *j);

static void print_string(struct buf *out, const char *s)
{
	(void)buf_chr(out, '"');
	while (*s) {
		size_t plain = 0;

		while ((unsigned char)s[plain] >= 0x20 && s[plain] != '"' &&
			s[plain] != '\\')
			plain++;
		(void)buf_add(out, s, plain);
		s += plain;
		if (!*s)
			break;
		if (*s == '"' || *s == '\\')
			(void)buf_fmt(out, "\\%c", *s);
		else if (*s == '\n')
			(void)buf_str(out, "\\n");
		else if (*s == '\t')
			(void)buf_str(out, "\\t");
		else if (*s == '\r')
			(void)buf_str(out, "\\r");
		else
			(void)buf_fmt(out, "\\u%04x", (unsigned char)*s);
		s++;
	}
	(void)buf_chr(out, '"');
}

static void print_newline(struct printer *p)
{
	size_t i;

	if (!p->pretty)
		return;
	(void)buf_chr(p->out, '\n');
	for (i = 0; i < p->depth; i++)
		(void)buf_str(p->out, "  ");
}

static int print_members(struct printer *p, const struct json *j)
{
	const struct json *v;
	const char *key;
	size_t it = 0;
	bool first = true;
	int r = 0;

	while (r == 0 && json_next(j, &it, &key, &v)) {
		if (!first)
			(void)buf_chr(p->out, ',');
		first = false;
		print_newline(p);
		print_string(p->out, key);
		(void)buf_str(p->out, p->pretty ? ": " : ":");
		r = print_value(p, v);
	}
	return r;
}

static int print_elements(struct printer *p, const struct json *j)
{
	size_t i, n = json_len(j);
	int r = 0;

	for (i = 0; r == 0 && i < n; i++) {
		if (i > 0)
			(void)buf_chr(p->out, ',');
		print_newline(p);
		r = print_value(p, json_at(j, i));
	}
	return r;
}

static int print_container(struct printer *p, const struct json *j)
{
	bool is_object = json_type(j) == JSON_OBJECT;
	int r;

	if (p->depth == JSON_DEPTH_MAX)
		return -E2BIG;
	(void)buf_chr(p->out, is_object ? '{' : '[');
	p->depth++;
	r = is_object ? print_members(p, j) : print_elements(p, j);
	p->depth--;
	if (r == 0 && json_len(j) > 0)
		print_newline(p);
	(void)buf_chr(p->out, is_object ? '}' : ']');
	return r;
}

static int print_value(struct printer *p, const struct json *j)
{
	const char *text;
	bool b = false;

	switch (json_type(j)) {
	case JSON_NULL:
		return buf_str(p->out, "null");
	case JSON_BOOL:
		(void)json_bool(j, &b);
		return buf_str(p->out, b ? "true" : "false");
	case JSON_INT:
	case JSON_DOUBLE:
		text = json_number_text(j);
		return text ? buf_str(p->out, text) : -ENOMEM;
	case JSON_STRING:
		text = json_str(j);
		if (!text)
			return -EINVAL;
		print_string(p->out, text);
		return buf_ok(p->out);
	case JSON_ARRAY:
	case JSON_OBJECT:
		return print_container(p, j);
	}
	return -EINVAL;
}

int json_print(const struct json *j, bool pretty, struct buf *out)
{
	struct printer p = { .out = out, .pretty = pretty };
	int r = print_value(&p, j);

	return r < 0 ? r : buf_ok(out);
}
