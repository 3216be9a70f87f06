// SPDX-License-Identifier: Apache-2.0
/* JSON text into values. Of our own, since json-c's tokener takes NaN, 'a', 1. and -01 however strict it
 * is told to be, cuts keys at a zero byte, and loses members without a word when memory is short. */
#include "json.h"

struct scan {
	const char *at, *end;
	const char *what; /* what is wrong, once something is */
	int code;
	size_t depth;
	char close[JSON_DEPTH_MAX]; /* what closes each level that is open */
	bool builds; /* the rest only when a value is wanted */
	struct json *root, *nodes[JSON_DEPTH_MAX]; /* the nodes belong to the root */
	struct buf key, text; /* the key whose value is awaited, the string just read */
};

static bool scan_fail(struct scan *s, int code, const char *what)
{
	s->code = code;
	s->what = what;
	return false;
}

static void skip_space(struct scan *s)
{
	while (s->at < s->end &&
		(*s->at == ' ' || *s->at == '\n' || *s->at == '\r' || *s->at == '\t'))
		s->at++;
}

/* Puts a value where it belongs and owns it; a NULL without @is_null means that memory was short. */
static bool put(struct scan *s, struct json *v, bool is_null)
{
	struct json *top = s->depth > 0 ? s->nodes[s->depth - 1] : NULL;
	int r = 0;

	if (!s->builds)
		return true;
	if (!v && !is_null)
		return scan_fail(s, -ENOMEM, "out of memory");
	if (!top)
		s->root = v;
	else if (s->close[s->depth - 1] == ']')
		r = is_null ? json_add_null(top) : json_add(top, v);
	else
		r = is_null ? json_set_null(top, buf_cstr(&s->key))
			    : json_set(top, buf_cstr(&s->key), v);
	return r == 0 || scan_fail(s, -ENOMEM, "out of memory");
}

static bool is_next(const struct scan *s, char c)
{
	return s->at < s->end && *s->at == c;
}

static bool take(struct scan *s, char c)
{
	if (!is_next(s, c))
		return false;
	s->at++;
	return true;
}

static bool take_word(struct scan *s, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(s->end - s->at) < n || memcmp(s->at, word, n) != 0)
		return scan_fail(s, -EINVAL, "not a JSON value");
	s->at += n;
	return true;
}

static bool take_digits(struct scan *s)
{
	const char *from = s->at;

	while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
		s->at++;
	return s->at > from || scan_fail(s, -EINVAL, "not a number");
}

/* What does not fit 64 bits stays as it was written, and is no integer to anybody. */
static struct json *new_number(const char *text, bool is_int)
{
	long long v;

	if (is_int) {
		errno = 0;
		v = strtoll(text, NULL, 10);
		if (errno == 0)
			return json_new_int(v);
	}
	return json_new_number(text);
}

static bool take_number(struct scan *s)
{
	const char *from = s->at;
	bool is_int = true;

	(void)take(s, '-');
	if (!take(s, '0') && !take_digits(s))
		return false;
	if (take(s, '.')) {
		is_int = false;
		if (!take_digits(s))
			return false;
	}
	if (take(s, 'e') || take(s, 'E')) {
		is_int = false;
		if (!take(s, '+'))
			(void)take(s, '-');
		if (!take_digits(s))
			return false;
	}
	if (!s->builds)
		return true;
	buf_clear(&s->text);
	if (buf_add(&s->text, from, (size_t)(s->at - from)) < 0)
		return scan_fail(s, -ENOMEM, "out of memory");
	return put(s, new_number(buf_cstr(&s->text), is_int), false);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Four hex digits; -1 when they are none. */
static int take_hex4(struct scan *s)
{
	int v = 0, i, d;

	if (s->end - s->at < 4)
		return -1;
	for (i = 0; i < 4; i++) {
		d = hex_digit(*s->at++);
		if (d < 0)
			return -1;
		v = v << 4 | d;
	}
	return v;
}

static void add_utf8(struct buf *b, int c)
{
	if (c >= 0x10000) {
		(void)buf_chr(b, (char)(0xf0 | c >> 18));
		(void)buf_chr(b, (char)(0x80 | (c >> 12 & 0x3f)));
	} else if (c >= 0x800) {
		(void)buf_chr(b, (char)(0xe0 | c >> 12));
	} else if (c >= 0x80) {
		(void)buf_chr(b, (char)(0xc0 | c >> 6));
	} else {
		(void)buf_chr(b, (char)c);
		return;
	}
	if (c >= 0x800)
		(void)buf_chr(b, (char)(0x80 | (c >> 6 & 0x3f)));
	(void)buf_chr(b, (char)(0x80 | (c & 0x3f)));
}

/* Behind "\u". */
static bool take_unicode(struct scan *s, struct buf *out)
{
	int c = take_hex4(s), low = 0;

	if (c < 0)
		return scan_fail(s, -EINVAL, "bad escape in a string");
	if (c == 0)
		return scan_fail(s, -EINVAL, "zero byte in a string");
	if (c >= 0xd800 && c < 0xe000) {
		if (c < 0xdc00 && take(s, '\\') && take(s, 'u'))
			low = take_hex4(s);
		if (low < 0xdc00 || low >= 0xe000)
			return scan_fail(s, -EINVAL, "half a surrogate pair in a string");
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	}
	if (s->builds)
		add_utf8(out, c);
	return true;
}

/* Behind a backslash. */
static bool take_escape(struct scan *s, struct buf *out)
{
	static const char names[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
	const char *p;

	if (take(s, 'u'))
		return take_unicode(s, out);
	p = s->at < s->end && *s->at ? strchr(names, *s->at) : NULL;
	if (!p)
		return scan_fail(s, -EINVAL, "bad escape in a string");
	s->at++;
	if (s->builds)
		(void)buf_chr(out, bytes[p - names]);
	return true;
}

/* Past what stands for itself; false at a byte that may not be in a string. */
static bool skip_plain(struct scan *s)
{
	while (s->at < s->end && *s->at != '"' && *s->at != '\\') {
		char c[5] = { 0 }; /* utf8_len() wants a zero behind it */
		size_t n;

		if ((unsigned char)*s->at < 0x20)
			return scan_fail(s, -EINVAL, "control character in a string");
		if ((unsigned char)*s->at < 0x80) {
			s->at++;
			continue;
		}
		memcpy(c, s->at, MIN((size_t)(s->end - s->at), (size_t)4));
		n = utf8_len(c);
		if (n < 2)
			return scan_fail(s, -EINVAL, "invalid UTF-8 in a string");
		s->at += n;
	}
	return true;
}

static bool take_string(struct scan *s, struct buf *out)
{
	if (!take(s, '"'))
		return scan_fail(s, -EINVAL, "not a string");
	if (s->builds)
		buf_clear(out);
	for (;;) {
		const char *from = s->at;

		if (!skip_plain(s))
			return false;
		if (s->builds)
			(void)buf_add(out, from, (size_t)(s->at - from));
		if (take(s, '"'))
			break;
		if (!take(s, '\\'))
			return scan_fail(s, -EINVAL, "a string has no end");
		if (!take_escape(s, out))
			return false;
	}
	if (s->builds && buf_ok(out) < 0)
		return scan_fail(s, -ENOMEM, "out of memory");
	return true;
}

static bool take_scalar(struct scan *s)
{
	switch (*s->at) {
	case '"':
		return take_string(s, &s->text) &&
		       put(s,
			       s->builds ? json_new_strn(buf_cstr(&s->text), s->text.len)
					 : NULL,
			       false);
	case 't':
		return take_word(s, "true") &&
		       put(s, s->builds ? json_new_bool(true) : NULL, false);
	case 'f':
		return take_word(s, "false") &&
		       put(s, s->builds ? json_new_bool(false) : NULL, false);
	case 'n':
		return take_word(s, "null") && put(s, NULL, true);
	default:
		return take_number(s);
	}
}

static bool take_key(struct scan *s)
{
	skip_space(s);
	if (!take_string(s, &s->key))
		return false;
	if (s->builds && json_has(s->nodes[s->depth - 1], buf_cstr(&s->key)))
		return scan_fail(s, -EINVAL, "a key comes twice");
	skip_space(s);
	return take(s, ':') || scan_fail(s, -EINVAL, "':' expected");
}

static bool open_container(struct scan *s)
{
	bool is_object = *s->at++ == '{';
	struct json *j = NULL;

	if (s->depth == JSON_DEPTH_MAX)
		return scan_fail(s, -E2BIG, "nested too deep");
	if (s->builds)
		j = is_object ? json_new_object() : json_new_array();
	if (!put(s, j, false))
		return false;
	s->nodes[s->depth] = j;
	s->close[s->depth++] = is_object ? '}' : ']';
	return true;
}

/* Without recursion, by the stack in @s. */
static bool take_value(struct scan *s)
{
	for (;;) {
		skip_space(s);
		if (s->at == s->end)
			return scan_fail(s, -EINVAL, "unexpected end");
		if (*s->at == '{' || *s->at == '[') {
			if (!open_container(s))
				return false;
			skip_space(s);
			if (!is_next(s, s->close[s->depth - 1])) {
				if (s->close[s->depth - 1] == '}' && !take_key(s))
					return false;
				continue;
			}
		} else if (!take_scalar(s)) {
			return false;
		}
		/* A value has ended: close what closes, then a comma and the next one. */
		for (;;) {
			skip_space(s);
			if (s->depth == 0)
				return true;
			if (!take(s, s->close[s->depth - 1]))
				break;
			s->depth--;
		}
		if (!take(s, ','))
			return scan_fail(s, -EINVAL, "',' or the end expected");
		if (s->close[s->depth - 1] == '}' && !take_key(s))
			return false;
	}
}

static int scan(struct scan *s, const char *text, size_t len, struct err *e)
{
	s->at = text;
	s->end = text + len;
	if (take_value(s) && s->at < s->end)
		(void)scan_fail(s, -EINVAL, "something behind the value");
	if (s->code == 0)
		return 0;
	return err_set(
		e, s->code, "json: offset %zu: %s", (size_t)(s->at - text), s->what);
}

int json_check(const char *text, size_t len, struct err *e)
{
	struct scan s = { .builds = false };

	return scan(&s, text, len, e);
}

int json_parse(const char *text, size_t len, struct json **ret, struct err *e)
{
	struct scan s = { .builds = true };
	int r;

	buf_init(&s.key, SIZE_MAX);
	buf_init(&s.text, SIZE_MAX);
	r = scan(&s, text, len, e);
	buf_done(&s.key);
	buf_done(&s.text);
	if (r < 0)
		json_free(s.root);
	else
		*ret = s.root;
	return r;
}
