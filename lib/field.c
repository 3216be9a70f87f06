// SPDX-License-Identifier: Apache-2.0
/* Fills structures from JSON by their tables, with errors that name the member and its line. */
#include "field.h"

#include <regex.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

#include "map.h"

enum { NAME_MAX_GUESS = 48, SMALL_LIST = 64 };

struct ctx {
	struct arena *a;
	struct err *e;
	bool strict;
	unsigned line; /* of the innermost object that knows its line */
	size_t len;
	char path[FIELD_PATH_MAX];
};

static int parse_object(
	struct ctx *c, const struct field *table, const struct json *obj, void *out);

/* ---- where we are, for errors ---- */

static size_t push(struct ctx *c, const char *fmt, ...) _printf_(2, 3);
static size_t push(struct ctx *c, const char *fmt, ...)
{
	size_t before = c->len;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(c->path + c->len, sizeof(c->path) - c->len, fmt, ap);
	va_end(ap);
	c->len = MIN(c->len + (n > 0 ? (size_t)n : 0), sizeof(c->path) - 1);
	return before;
}

static size_t push_name(struct ctx *c, const char *name)
{
	return push(c, "%s%s", c->len ? "." : "", name);
}

static void pop(struct ctx *c, size_t before)
{
	c->len = before;
	c->path[before] = '\0';
}

static int bad(struct ctx *c, const struct json *at, const char *fmt, ...) _printf_(3, 4);
static int bad(struct ctx *c, const struct json *at, const char *fmt, ...)
{
	unsigned line = json_line(at) ? json_line(at) : c->line;
	char what[512], where[32] = "";
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	if (line)
		(void)snprintf(where, sizeof(where), "line %u: ", line);
	if (c->len == 0)
		return err_reason(
			c->e, -EINVAL, REASON_MANIFEST_INVALID, "%s%s", where, what);
	return err_reason(c->e, -EINVAL, REASON_MANIFEST_INVALID, "%s'%s': %s", where,
		c->path, what);
}

static int bad_type(struct ctx *c, const struct json *v, const char *wanted)
{
	enum json_type t = json_type(v);
	bool is_scalar = t == JSON_INT || t == JSON_DOUBLE || t == JSON_BOOL;

	return bad(c, v, "must be %s, is %s%s", wanted, json_type_name(t),
		is_scalar && streq(wanted, "a string") ? " (write it in quotes)" : "");
}

static int no_memory(struct ctx *c)
{
	return err_set(c->e, -ENOMEM, "'%s': too large or out of memory", c->path);
}

/* ---- guessing what was meant ---- */

/* Levenshtein distance, in one row. */
static size_t distance(const char *a, const char *b)
{
	size_t row[NAME_MAX_GUESS + 1], i, j, n = strlen(b);

	if (n > NAME_MAX_GUESS || strlen(a) > NAME_MAX_GUESS)
		return SIZE_MAX;
	for (j = 0; j <= n; j++)
		row[j] = j;
	for (i = 0; a[i]; i++) {
		size_t diagonal = row[0];

		row[0] = i + 1;
		for (j = 1; j <= n; j++) {
			size_t cost = diagonal + (a[i] != b[j - 1]);

			diagonal = row[j];
			row[j] = MIN(cost, MIN(row[j], row[j - 1]) + 1);
		}
	}
	return row[n];
}

static const char *guess(const struct field *table, const char *name)
{
	const char *best = NULL;
	size_t least = 3;

	for (; table->name; table++) {
		size_t d = strcasecmp(table->name, name) == 0
				   ? 0
				   : distance(table->name, name);

		if (d < least && d * 2 <= strlen(table->name)) {
			least = d;
			best = table->name;
		}
	}
	return best;
}

static int check_unknown(struct ctx *c, const struct field *table, const struct json *obj)
{
	const struct json *v;
	const char *key;
	size_t it = 0;

	while (json_next(obj, &it, &key, &v)) {
		const struct field *f = table;
		const char *meant;

		while (f->name && !streq(f->name, key))
			f++;
		if (f->name)
			continue;
		meant = guess(table, key);
		(void)push_name(c, key);
		if (meant)
			return bad(c, v, "unknown field (did you mean '%s'?)", meant);
		return bad(c, v, "unknown field");
	}
	return 0;
}

/* ---- values ---- */

/* 1 when @s matches, 0 when not. */
static int matches(struct ctx *c, const char *pattern, const char *s)
{
	regex_t re;
	int r;

	if (regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB) != 0)
		return no_memory(c); /* the pattern is ours, so it is not at fault */
	r = regexec(&re, s, 0, NULL, 0);
	regfree(&re);
	return r == 0;
}

static int bad_pattern(
	struct ctx *c, const struct field *f, const struct json *v, const char *s)
{
	char lower[FIELD_PATH_MAX];
	size_t i, n = strlen(s);
	int r;

	if (str_starts(s, "0x") && matches(c, f->pattern, s + 2) == 1)
		return bad(c, v, "'%.100s': write it without 0x", s);
	for (i = 0; i <= n && i < sizeof(lower); i++)
		lower[i] = s[i] >= 'A' && s[i] <= 'Z' ? (char)(s[i] | 0x20) : s[i];
	r = n < sizeof(lower) ? matches(c, f->pattern, lower) : 0;
	if (r == 1)
		return bad(c, v, "'%.100s': write it in lower case", s);
	return bad(c, v, "'%.100s' does not match %s", s, f->pattern);
}

static int parse_string(
	struct ctx *c, const struct field *f, const struct json *v, const char **ret)
{
	const char *s = json_str(v);
	bool is_name = f->type == FIELD_STR && (f->flags & FIELD_KEY);
	int64_t len;
	int r = 1;

	if (!s)
		return bad_type(c, v, "a string");
	len = (int64_t)strlen(s);
	if (len < MAX(f->min, (int64_t)is_name))
		return bad(c, v, len == 0 ? "must not be empty" : "too short");
	if (f->max > 0 && len > f->max)
		return bad(c, v, "longer than %lld bytes", (long long)f->max);
	if (f->pattern)
		r = matches(c, f->pattern, s);
	if (r <= 0)
		return r < 0 ? r : bad_pattern(c, f, v, s);
	*ret = arena_strdup(c->a, s);
	return *ret ? 0 : no_memory(c);
}

static int parse_int(
	struct ctx *c, const struct field *f, const struct json *v, int64_t *ret)
{
	int64_t i;

	if (json_int(v, &i) < 0)
		return bad_type(c, v, "an integer");
	if (f->max > f->min && (i < f->min || i > f->max))
		return bad(c, v, "%lld is not in %lld..%lld", (long long)i,
			(long long)f->min, (long long)f->max);
	*ret = i;
	return 0;
}

/* @index may be NULL. */
static int parse_name(struct ctx *c, const char *const *names, const struct json *v,
	const char *s, int *index)
{
	struct buf b;
	int i, r;

	if (!s)
		return bad_type(c, v, "a string");
	for (i = 0; names[i]; i++) {
		if (!streq(names[i], s))
			continue;
		if (index)
			*index = i;
		return 0;
	}
	buf_init(&b, 256);
	for (i = 0; names[i]; i++)
		if (*names[i])
			(void)buf_fmt(&b, "%s%s", b.len ? ", " : "", names[i]);
	r = bad(c, v, "'%.100s' is not one of %s", s, buf_cstr(&b));
	buf_done(&b);
	return r;
}

/* ---- lists ---- */

struct keys {
	const char *base;
	size_t n, stride;
};

static const char *key_at(const struct keys *k, size_t i)
{
	return *(const char *const *)(k->base + i * k->stride);
}

/* Index of the second of two equal keys, @k->n when there is none; -ENOMEM. */
static int find_twice(const struct keys *k, size_t *ret)
{
	CLEANUP(map_freep) struct map *seen = NULL;
	size_t i, j;

	*ret = k->n;
	if (k->n > SMALL_LIST)
		seen = map_new(NULL);
	if (k->n > SMALL_LIST && !seen)
		return -ENOMEM;
	for (i = 0; i < k->n; i++) {
		bool twice = seen && map_get(seen, key_at(k, i));

		for (j = 0; !seen && j < i && !twice; j++)
			twice = streq(key_at(k, i), key_at(k, j));
		if (twice) {
			*ret = i;
			return 0;
		}
		if (seen && map_set(seen, key_at(k, i), (void *)key_at(k, i)) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int check_unique(struct ctx *c, const struct json *v, const struct keys *k)
{
	size_t twice, before;
	int r = find_twice(k, &twice);

	if (r < 0)
		return no_memory(c);
	if (twice == k->n)
		return 0;
	before = push(c, "[%zu]", twice);
	r = bad(c, json_at(v, twice), "'%.100s' comes twice", key_at(k, twice));
	pop(c, before);
	return r;
}

/* Room for the elements of @v in *@ret. */
static int make_list(struct ctx *c, const struct field *f, const struct json *v,
	enum json_type type, size_t size, struct list *ret)
{
	size_t n = json_len(v), max = FIELD_ELEMENTS_MAX;

	if (json_type(v) != type)
		return bad_type(c, v, type == JSON_ARRAY ? "a list" : "an object");
	if (f->type != FIELD_STRS && f->max > 0)
		max = (size_t)f->max;
	if (n > max)
		return bad(c, v, "more than %zu elements", max);
	if (n == 0 && (f->flags & FIELD_REQUIRED))
		return bad(c, v, "must not be empty");
	if (n == 0)
		return 0;
	ret->items = arena_array(c->a, n, size);
	if (!ret->items)
		return no_memory(c);
	ret->n = n;
	return 0;
}

static int parse_list(
	struct ctx *c, const struct field *f, const struct json *v, struct list *out)
{
	struct list l = { 0 };
	const struct field *k;
	size_t i;
	int r = make_list(c, f, v, JSON_ARRAY, f->size, &l);

	for (i = 0; r == 0 && i < l.n; i++) {
		size_t before = push(c, "[%zu]", i);

		r = parse_object(c, f->sub, json_at(v, i), (char *)l.items + i * f->size);
		if (r == 0)
			pop(c, before);
	}
	for (k = f->sub; r == 0 && k->name; k++) {
		struct keys keys = { (char *)l.items + k->off, l.n, f->size };

		if (k->type == FIELD_STR && (k->flags & FIELD_KEY) && l.n > 1)
			r = check_unique(c, v, &keys);
	}
	if (r == 0)
		*out = l;
	return r;
}

static int parse_strs(
	struct ctx *c, const struct field *f, const struct json *v, struct list *out)
{
	struct list l = { 0 };
	size_t i;
	int r = make_list(c, f, v, JSON_ARRAY, sizeof(const char *), &l);

	for (i = 0; r == 0 && i < l.n; i++) {
		size_t before = push(c, "[%zu]", i);
		const char **s = &((const char **)l.items)[i];

		r = parse_string(c, f, json_at(v, i), s);
		if (r == 0 && f->names)
			r = parse_name(c, f->names, json_at(v, i), *s, NULL);
		if (r == 0)
			pop(c, before);
	}
	if (r == 0 && (f->flags & FIELD_KEY)) {
		struct keys keys = { l.items, l.n, sizeof(const char *) };

		r = check_unique(c, v, &keys);
	}
	if (r == 0)
		*out = l;
	return r;
}

static int parse_strmap(
	struct ctx *c, const struct field *f, const struct json *v, struct list *out)
{
	struct list l = { 0 };
	const struct json *x;
	const char *key;
	size_t it = 0, n = 0;
	int r = make_list(c, f, v, JSON_OBJECT, sizeof(struct kv), &l);

	while (r == 0 && json_next(v, &it, &key, &x)) {
		struct kv *kv = &((struct kv *)l.items)[n++];
		size_t before = push(c, "[%s]", key);

		if (!json_str(x))
			return bad_type(c, x, "a string");
		kv->key = arena_strdup(c->a, key);
		kv->value = arena_strdup(c->a, json_str(x));
		if (!kv->key || !kv->value)
			return no_memory(c);
		pop(c, before);
	}
	if (r == 0)
		*out = l;
	return r;
}

/* ---- members and objects ---- */

static int parse_member(
	struct ctx *c, const struct field *f, const struct json *v, void *at)
{
	switch (f->type) {
	case FIELD_STR:
		return parse_string(c, f, v, at);
	case FIELD_BOOL:
		return json_bool(v, at) < 0 ? bad_type(c, v, "true or false") : 0;
	case FIELD_INT:
		return parse_int(c, f, v, at);
	case FIELD_ENUM:
		return parse_name(c, f->names, v, json_str(v), at);
	case FIELD_OBJ:
		return parse_object(c, f->sub, v, at);
	case FIELD_LIST:
		return parse_list(c, f, v, at);
	case FIELD_STRS:
		return parse_strs(c, f, v, at);
	case FIELD_STRMAP:
		return parse_strmap(c, f, v, at);
	case FIELD_INTSTR:
		return field_intstr(v, at) < 0
			       ? bad(c, v,
					 "must be a count or a percentage such as \"25%%\"")
			       : 0;
	case FIELD_JSON:
		*(const struct json **)at = v;
		return 0;
	}
	return -EINVAL;
}

static int parse_object(
	struct ctx *c, const struct field *table, const struct json *obj, void *out)
{
	unsigned above = c->line, here = json_line(obj) ? json_line(obj) : above;
	const struct field *f;
	int r;

	if (json_type(obj) != JSON_OBJECT)
		return bad_type(c, obj, "an object");
	c->line = here;
	field_defaults(table, out);
	r = c->strict ? check_unknown(c, table, obj) : 0;
	for (f = table; r == 0 && f->name; f++) {
		const struct json *v = json_get(obj, f->name);
		size_t before;

		if (!v && !(f->flags & FIELD_REQUIRED) &&
			!(f->type == FIELD_STR && (f->flags & FIELD_KEY)))
			continue;
		before = push_name(c, f->name);
		c->line = json_line(v) ? json_line(v)
				       : here; /* a null in a list has none */
		r = v ? parse_member(c, f, v, (char *)out + f->off)
		      : bad(c, obj, "required");
		c->line = here;
		if (r == 0 && f->type == FIELD_OBJ && f->present_off)
			*(bool *)((char *)out + f->present_off) = true;
		if (r == 0)
			pop(c, before);
	}
	c->line = above;
	return r;
}

int field_parse_at(struct arena *a, const struct field *table, const struct json *obj,
	const char *path, bool strict, void *out, struct err *e)
{
	struct ctx c = { .a = a, .e = e, .strict = strict };

	(void)push(&c, "%s", path);
	return parse_object(&c, table, obj, out);
}

int field_parse(struct arena *a, const struct field *table, const struct json *obj,
	void *out, struct err *e)
{
	return field_parse_at(a, table, obj, "", true, out, e);
}
