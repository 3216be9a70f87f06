// SPDX-License-Identifier: Apache-2.0
/* A push scanner over JSON tokens: it knows where it is in the structure and copies what is wanted. */
#include "frame.h"

#include <sys/types.h>

#include "json.h"

enum state {
	S_ROOT, /* a document or white space */
	S_END, /* the list is complete: white space only */
	S_VALUE,
	S_FIRST_VALUE, /* behind '[': a value or ']' */
	S_FIRST_KEY, /* behind '{': a key or '}' */
	S_KEY,
	S_COLON,
	S_AFTER, /* behind a value: ',' or what closes */
	S_STRING,
	S_ESCAPE,
	S_SCALAR
};

enum capture { CAPTURE_NONE, CAPTURE_ITEM, CAPTURE_META };

enum { KEY_MAX = 64, ALL_SKIPS = 0xff };

struct skip {
	const char *part[FRAME_SKIP_PARTS_MAX];
	size_t len[FRAME_SKIP_PARTS_MAX];
	unsigned parts;
};

/* One open container; level[d] is the one at depth d, the first has depth 1. */
struct level {
	char type; /* '{' or '[' */
	bool has_member; /* something of it was copied: a comma is due */
	uint8_t mask; /* the skips whose path leads here */
};

struct frame {
	enum frame_kind kind;
	frame_item_fn fn;
	void *user;
	size_t item_max;

	struct skip skip[FRAME_SKIPS_MAX];
	unsigned n_skip;

	enum state state;
	struct level level[FRAME_DEPTH_MAX + 1];
	unsigned depth;
	uint64_t offset;
	int failed;

	bool is_key; /* the string being read */
	char key[KEY_MAX];
	size_t key_len; /* KEY_MAX: too long or escaped, equal to nothing */
	uint8_t key_mask; /* the skips whose path leads to this key */
	size_t key_mark; /* where the copy was before this key */

	enum capture capture;
	unsigned capture_depth;
	bool is_skipping;
	unsigned skip_depth;
	bool in_items, had_items;
	struct buf out;

	char *resource_version, *cont;
};

static int split_skip(struct skip *s, const char *path)
{
	for (;;) {
		size_t n = strcspn(path, ".");

		if (n == 0 || n >= KEY_MAX || s->parts == FRAME_SKIP_PARTS_MAX)
			return -EINVAL;
		s->part[s->parts] = path;
		s->len[s->parts++] = n;
		if (!path[n])
			return 0;
		path += n + 1;
	}
}

int frame_new(const struct frame_options *o, frame_item_fn fn, void *user,
	struct frame **ret, struct err *e)
{
	CLEANUP(frame_freep) struct frame *f = calloc(1, sizeof(*f));

	if (!f)
		return err_set(e, -ENOMEM, "out of memory");
	f->kind = o->kind;
	f->fn = fn;
	f->user = user;
	f->item_max = o->item_max ? o->item_max : FRAME_ITEM_MAX;
	buf_init(&f->out, f->item_max);

	for (size_t i = 0; o->skip && o->skip[i]; i++) {
		if (f->n_skip == FRAME_SKIPS_MAX)
			return err_set(e, -E2BIG, "too many members to skip");
		if (split_skip(&f->skip[f->n_skip++], o->skip[i]) < 0)
			return err_set(e, -EINVAL, "'%s': not a member path", o->skip[i]);
	}
	*ret = TAKE(f);
	return 0;
}

void frame_free(struct frame *f)
{
	if (!f)
		return;
	buf_done(&f->out);
	free(f->resource_version);
	free(f->cont);
	free(f);
}

const char *frame_resource_version(const struct frame *f)
{
	return f->resource_version ? f->resource_version : "";
}

const char *frame_continue(const struct frame *f)
{
	return f->cont ? f->cont : "";
}

static int garbage(struct frame *f, struct err *e, const char *what)
{
	return err_set(e, -EPROTO, "byte %llu: %s", (unsigned long long)f->offset, what);
}

static int emit(struct frame *f, const char *data, size_t len, struct err *e)
{
	int r;

	if (f->capture == CAPTURE_NONE || f->is_skipping)
		return 0;
	r = buf_add(&f->out, data, len);
	if (r == -ENOBUFS)
		return err_set(e, -EFBIG, "an item has more than %zu bytes", f->out.max);
	if (r < 0)
		return err_set(e, r, "out of memory");
	return 0;
}

static bool key_is(const struct frame *f, const char *name)
{
	size_t n = strlen(name);

	return f->key_len == n && memcmp(f->key, name, n) == 0;
}

/* The metadata of a list: small, parsed at once. */
static int keep_meta(struct frame *f, struct err *e)
{
	CLEANUP(json_freep) struct json *j = NULL;
	CLEANUP(freep) char *rv = NULL, *cont = NULL;
	const char *s;
	int r = json_parse(f->out.data, f->out.len, &j, e);

	if (r < 0)
		return err_wrap(e, r == -ENOMEM ? r : -EPROTO, "'metadata'");
	s = json_get_str(j, "resourceVersion");
	rv = strdup(s ? s : "");
	s = json_get_str(j, "continue");
	cont = strdup(s ? s : "");
	if (!rv || !cont)
		return err_set(e, -ENOMEM, "out of memory");
	free(f->resource_version);
	free(f->cont);
	f->resource_version = TAKE(rv);
	f->cont = TAKE(cont);
	return 0;
}

/* Starts to copy when the value that begins with @c is one that somebody wants. */
static int value_begins(struct frame *f, char c, struct err *e)
{
	enum capture want = CAPTURE_NONE;

	if (f->depth == 0) {
		if (c != '{')
			return garbage(f, e, "not a JSON object");
		if (f->kind == FRAME_LINES)
			want = CAPTURE_ITEM;
	} else if (f->kind == FRAME_LIST && f->depth == 1) {
		f->in_items = key_is(f, "items");
		if (f->in_items && f->had_items)
			return garbage(f, e, "a second 'items'");
		if (f->in_items && c != '[' && c != 'n')
			return garbage(f, e, "'items' is no list");
		f->had_items |= f->in_items;
		if (key_is(f, "metadata") && c == '{')
			want = CAPTURE_META;
	} else if (f->in_items && f->depth == 2) {
		if (c != '{')
			return garbage(f, e, "an item is no object");
		want = CAPTURE_ITEM;
	}
	if (want == CAPTURE_NONE)
		return 0;
	f->capture = want;
	f->capture_depth = f->depth;
	buf_clear(&f->out);
	f->out.max = want == CAPTURE_META ? FRAME_META_MAX : f->item_max;
	return 0;
}

static int value_ends(struct frame *f, struct err *e)
{
	enum capture had = f->capture;
	int r;

	f->state = f->depth ? S_AFTER : f->kind == FRAME_LINES ? S_ROOT : S_END;
	if (f->is_skipping && f->depth == f->skip_depth)
		f->is_skipping = false;
	if (f->depth == 1)
		f->in_items = false;
	if (had == CAPTURE_NONE || f->depth != f->capture_depth)
		return 0;
	f->capture = CAPTURE_NONE;
	if (had == CAPTURE_META)
		return keep_meta(f, e);
	r = f->fn(f->out.data, f->out.len, f->user);
	return r < 0 ? err_set(e, r, "an item was refused") : 0;
}

static int open_container(struct frame *f, char c, struct err *e)
{
	const struct level *parent = &f->level[f->depth];
	struct level *l;
	uint8_t mask = 0;
	int r;

	if (f->depth == FRAME_DEPTH_MAX)
		return err_set(e, -E2BIG, "byte %llu: more than %d levels deep",
			(unsigned long long)f->offset, FRAME_DEPTH_MAX);
	if (f->capture == CAPTURE_ITEM && f->depth == f->capture_depth)
		mask = ALL_SKIPS;
	else if (f->capture == CAPTURE_ITEM && parent->type == '{')
		mask = f->key_mask;
	r = emit(f, &c, 1, e);
	if (r < 0)
		return r;
	l = &f->level[++f->depth];
	*l = (struct level){ .type = c, .mask = mask };
	f->state = c == '{' ? S_FIRST_KEY : S_FIRST_VALUE;
	return 0;
}

static int close_container(struct frame *f, char c, struct err *e)
{
	int r;

	if (f->level[f->depth].type != (c == '}' ? '{' : '['))
		return garbage(f, e, "a bracket that closes nothing");
	r = emit(f, &c, 1, e);
	if (r < 0)
		return r;
	f->depth--;
	return value_ends(f, e);
}

static int key_begins(struct frame *f, struct err *e)
{
	int r = 0;

	f->is_key = true;
	f->key_len = 0;
	f->key_mark = f->out.len;
	f->state = S_STRING;
	if (f->level[f->depth].has_member)
		r = emit(f, ",", 1, e);
	return r < 0 ? r : emit(f, "\"", 1, e);
}

/* Decides about the member whose key is complete. */
static int key_ends(struct frame *f, struct err *e)
{
	struct level *l = &f->level[f->depth];
	bool skip = false;

	f->is_key = false;
	f->state = S_COLON;
	f->key_mask = 0;
	if (f->capture == CAPTURE_ITEM && !f->is_skipping && l->mask) {
		unsigned at = f->depth - f->capture_depth - 1;

		for (unsigned i = 0; i < f->n_skip; i++) {
			const struct skip *s = &f->skip[i];

			if (!(l->mask & (1u << i)) || at >= s->parts ||
				s->len[at] != f->key_len ||
				memcmp(s->part[at], f->key, f->key_len) != 0)
				continue;
			f->key_mask |= (uint8_t)(1u << i);
			skip |= s->parts == at + 1;
		}
	}
	if (skip) {
		f->out.len = f->key_mark;
		f->is_skipping = true;
		f->skip_depth = f->depth;
		return 0;
	}
	l->has_member |= f->capture != CAPTURE_NONE && !f->is_skipping;
	return emit(f, "\"", 1, e);
}

/* The bytes of a string up to its next quote or backslash. Returns how many were taken. */
static ssize_t string_bytes(struct frame *f, const char *p, size_t len, struct err *e)
{
	size_t n = 0;
	int r;

	while (n < len && p[n] != '"' && p[n] != '\\' && (unsigned char)p[n] >= 0x20)
		n++;
	if (n < len && (unsigned char)p[n] < 0x20) {
		f->offset += n;
		return garbage(f, e, "a control character in a string");
	}
	r = emit(f, p, n, e);
	if (r < 0)
		return r;
	if (f->is_key) {
		if (n < KEY_MAX - f->key_len) {
			memcpy(f->key + f->key_len, p, n);
			f->key_len += n;
		} else {
			f->key_len = KEY_MAX;
		}
	}
	return (ssize_t)n;
}

static int string_stop(struct frame *f, char c, struct err *e)
{
	int r;

	if (c == '\\') {
		f->state = S_ESCAPE;
		if (f->is_key)
			f->key_len = KEY_MAX;
		return emit(f, "\\", 1, e);
	}
	if (f->is_key)
		return key_ends(f, e);
	r = emit(f, "\"", 1, e);
	return r < 0 ? r : value_ends(f, e);
}

static bool is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static bool is_scalar(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
	       (c >= 'A' && c <= 'Z') || c == '-' || c == '+' || c == '.';
}

static int begin_value(struct frame *f, char c, struct err *e)
{
	int r = value_begins(f, c, e);

	if (r < 0)
		return r;
	if (c == '{' || c == '[')
		return open_container(f, c, e);
	if (c == '"') {
		f->is_key = false;
		f->state = S_STRING;
	} else if (is_scalar(c)) {
		f->state = S_SCALAR;
	} else {
		return garbage(f, e, "not a JSON value");
	}
	return emit(f, &c, 1, e);
}

/* One byte outside strings and scalars that is no white space. */
static int token(struct frame *f, char c, struct err *e)
{
	switch (f->state) {
	case S_FIRST_VALUE:
		if (c == ']')
			return close_container(f, c, e);
		return begin_value(f, c, e);
	case S_ROOT:
	case S_VALUE:
		return begin_value(f, c, e);
	case S_FIRST_KEY:
		if (c == '}')
			return close_container(f, c, e);
		/* fall through */
	case S_KEY:
		if (c != '"')
			return garbage(f, e, "a key was expected");
		return key_begins(f, e);
	case S_COLON:
		if (c != ':')
			return garbage(f, e, "':' was expected");
		f->state = S_VALUE;
		return emit(f, ":", 1, e);
	case S_AFTER:
		if (c == '}' || c == ']')
			return close_container(f, c, e);
		if (c != ',')
			return garbage(f, e, "',' was expected");
		f->state = f->level[f->depth].type == '{' ? S_KEY : S_VALUE;
		/* Between members the comma waits until the next key is known to stay. */
		return f->state == S_KEY ? 0 : emit(f, ",", 1, e);
	default:
		return garbage(f, e, "something behind the end");
	}
}

/* Takes at least one of @len bytes, or none where a scalar ends. */
static ssize_t step(struct frame *f, const char *p, size_t len, struct err *e)
{
	size_t n = 0;
	int r;

	switch (f->state) {
	case S_STRING:
		if (*p != '"' && *p != '\\')
			return string_bytes(f, p, len, e);
		r = string_stop(f, *p, e);
		return r ? r : 1;
	case S_ESCAPE:
		if (!strchr("\"\\/bfnrtu", *p) || !*p)
			return garbage(f, e, "a wrong escape");
		f->state = S_STRING;
		r = emit(f, p, 1, e);
		return r ? r : 1;
	case S_SCALAR:
		while (n < len && is_scalar(p[n]))
			n++;
		r = emit(f, p, n, e);
		if (!r && n < len)
			r = value_ends(f, e);
		return r ? r : (ssize_t)n;
	default:
		while (n < len && is_space(p[n]))
			n++;
		if (n)
			return (ssize_t)n;
		r = token(f, *p, e);
		return r ? r : 1;
	}
}

int frame_feed(struct frame *f, const char *data, size_t len, struct err *e)
{
	if (f->failed)
		return err_set(e, f->failed, "the stream had failed before");
	while (len) {
		ssize_t n = step(f, data, len, e);

		if (n < 0) {
			f->failed = (int)n;
			return f->failed;
		}
		data += n;
		len -= (size_t)n;
		f->offset += (size_t)n;
	}
	return 0;
}

int frame_end(struct frame *f, struct err *e)
{
	if (f->failed)
		return err_set(e, f->failed, "the stream had failed before");
	if (f->state != (f->kind == FRAME_LINES ? S_ROOT : S_END))
		return garbage(f, e, "the stream ended too early");
	return 0;
}
