// SPDX-License-Identifier: Apache-2.0
/* A strict look at JSON text before json-c sees it, which would take NaN, 'a', 1. and -01. No allocation. */
#include "json.h"

struct scan {
	const char *at, *end;
	const char *what; /* what is wrong, once something is */
	int code;
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

static bool take_number(struct scan *s)
{
	(void)take(s, '-');
	if (!take(s, '0') && !take_digits(s))
		return false;
	if (take(s, '.') && !take_digits(s))
		return false;
	if (take(s, 'e') || take(s, 'E')) {
		if (!take(s, '+'))
			(void)take(s, '-');
		return take_digits(s);
	}
	return true;
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

/* Behind "\u". */
static bool take_unicode(struct scan *s)
{
	int c = take_hex4(s);

	if (c < 0)
		return scan_fail(s, -EINVAL, "bad escape in a string");
	if (c == 0)
		return scan_fail(s, -EINVAL, "zero byte in a string");
	if (c >= 0xdc00 && c < 0xe000)
		return scan_fail(s, -EINVAL, "half a surrogate pair in a string");
	if (c < 0xd800 || c >= 0xdc00)
		return true;
	if (take(s, '\\') && take(s, 'u')) {
		c = take_hex4(s);
		if (c >= 0xdc00 && c < 0xe000)
			return true;
	}
	return scan_fail(s, -EINVAL, "half a surrogate pair in a string");
}

/* One character beyond ASCII, through a copy that ends in a zero, as utf8_len() wants it. */
static bool take_utf8(struct scan *s)
{
	char c[5] = { 0 };
	size_t n;

	memcpy(c, s->at, MIN((size_t)(s->end - s->at), (size_t)4));
	n = utf8_len(c);
	if (n < 2)
		return scan_fail(s, -EINVAL, "invalid UTF-8 in a string");
	s->at += n;
	return true;
}

static bool take_string(struct scan *s)
{
	if (!take(s, '"'))
		return scan_fail(s, -EINVAL, "not a string");
	while (s->at < s->end) {
		unsigned char c = (unsigned char)*s->at;

		if (c >= 0x80) {
			if (!take_utf8(s))
				return false;
			continue;
		}
		s->at++;
		if (c == '"')
			return true;
		if (c < 0x20)
			return scan_fail(s, -EINVAL, "control character in a string");
		if (c != '\\')
			continue;
		if (take(s, 'u')) {
			if (!take_unicode(s))
				return false;
		} else if (s->at == s->end || !memchr("\"\\/bfnrt", *s->at++, 8)) {
			return scan_fail(s, -EINVAL, "bad escape in a string");
		}
	}
	return scan_fail(s, -EINVAL, "a string has no end");
}

static bool take_scalar(struct scan *s)
{
	switch (*s->at) {
	case '"':
		return take_string(s);
	case 't':
		return take_word(s, "true");
	case 'f':
		return take_word(s, "false");
	case 'n':
		return take_word(s, "null");
	default:
		return take_number(s);
	}
}

static bool take_key(struct scan *s)
{
	skip_space(s);
	if (!take_string(s))
		return false;
	skip_space(s);
	return take(s, ':') || scan_fail(s, -EINVAL, "':' expected");
}

/* Without recursion: @close keeps what closes each level that is open. */
static bool take_value(struct scan *s)
{
	char close[JSON_DEPTH_MAX];
	size_t depth = 0;

	for (;;) {
		skip_space(s);
		if (s->at == s->end)
			return scan_fail(s, -EINVAL, "unexpected end");
		if (*s->at == '{' || *s->at == '[') {
			if (depth == JSON_DEPTH_MAX)
				return scan_fail(s, -E2BIG, "nested too deep");
			close[depth++] = *s->at++ == '{' ? '}' : ']';
			skip_space(s);
			if (!is_next(s, close[depth - 1])) {
				if (close[depth - 1] == '}' && !take_key(s))
					return false;
				continue;
			}
		} else if (!take_scalar(s)) {
			return false;
		}
		/* A value has ended: close what closes, then a comma and the next one. */
		for (;;) {
			skip_space(s);
			if (depth == 0)
				return true;
			if (!take(s, close[depth - 1]))
				break;
			depth--;
		}
		if (!take(s, ','))
			return scan_fail(s, -EINVAL, "',' or the end expected");
		if (close[depth - 1] == '}' && !take_key(s))
			return false;
	}
}

int json_check(const char *text, size_t len, struct err *e)
{
	struct scan s = { .at = text, .end = text + len };

	if (take_value(&s) && s.at < s.end)
		(void)scan_fail(&s, -EINVAL, "something behind the value");
	if (s.code == 0)
		return 0;
	return err_set(e, s.code, "json: offset %zu: %s", (size_t)(s.at - text), s.what);
}
