// SPDX-License-Identifier: Apache-2.0
/* Regular expressions out of manifests, bounded before the C library compiles them: it copies what is
 * repeated, and copies of copies come to gigabytes. */
#include "api_tables.h"

#include <ctype.h>
#include <regex.h>
#include <stdio.h>

enum {
	LENGTH_MAX = 1024,
	REPEAT_MAX = 255,
	COST_MAX = 1024, /* characters, after all copying */
	DEPTH_MAX = 16
};

struct cost {
	unsigned long sum[DEPTH_MAX + 1]; /* of each group that is open */
	unsigned long last[DEPTH_MAX + 1]; /* of what a repeat would be of */
	size_t depth;
};

static void add(struct cost *c, unsigned long n)
{
	c->last[c->depth] = n;
	c->sum[c->depth] += n;
}

static bool is_within(const struct cost *c)
{
	return c->sum[c->depth] <= COST_MAX;
}

/* What came last is there @n times now. */
static void repeat(struct cost *c, unsigned long n)
{
	c->sum[c->depth] += c->last[c->depth] * (n - 1);
	c->last[c->depth] *= n;
}

/* Behind the bracket expression at @p ("[]a]", "[^]a]", "[[:digit:]]"). */
static const char *skip_bracket(const char *p)
{
	p++;
	p += *p == '^';
	p += *p == ']';
	for (; *p && *p != ']'; p++) {
		char kind = p[1];
		const char *end;

		if (*p != '[' || (kind != ':' && kind != '.' && kind != '='))
			continue;
		for (end = p + 2; *end && !(*end == kind && end[1] == ']'); end++)
			;
		if (!*end)
			return end;
		p = end + 1;
	}
	return *p ? p + 1 : p;
}

/* Behind the bounds at @p ("{3}", "{2,}", "{1,4}"); *ret copies are made of what stands before them. */
static const char *read_bounds(const char *p, unsigned long *ret)
{
	unsigned long n = 1;

	for (p++; isdigit((unsigned char)*p) || *p == ','; p += *p == ',') {
		unsigned long v = 0;

		for (; isdigit((unsigned char)*p); p++)
			if (v <= REPEAT_MAX)
				v = v * 10 + (unsigned long)(*p - '0');
		n = MAX(n, v);
	}
	*ret = n + (p[-1] == ',');
	return p + (*p == '}');
}

static int weigh(const char *p, const char *path, struct err *e)
{
	struct cost c = { .depth = 0 };

	while (*p) {
		unsigned long n;

		if (*p == '\\' && isdigit((unsigned char)p[1]))
			return api_bad(e, path, "no back references");
		switch (*p) {
		case '(':
			if (c.depth == DEPTH_MAX)
				return api_bad(e, path,
					"more than %d groups in one another", DEPTH_MAX);
			c.depth++;
			c.sum[c.depth] = 1;
			c.last[c.depth] = 0;
			p++;
			break;
		case ')':
			if (c.depth > 0) {
				n = c.sum[c.depth--];
				add(&c, n);
			}
			p++;
			break;
		case '[':
			p = skip_bracket(p);
			add(&c, 1);
			break;
		case '{':
			p = read_bounds(p, &n);
			if (n > REPEAT_MAX + 1)
				return api_bad(
					e, path, "more than %d repeats", REPEAT_MAX);
			repeat(&c, n);
			break;
		case '+':
			repeat(&c, 2);
			p++;
			break;
		case '*':
		case '?':
			p++;
			break;
		default:
			p += 1 + (*p == '\\' && p[1]);
			add(&c, 1);
		}
		if (!is_within(&c))
			return api_bad(e, path,
				"too many repeats: it comes to more than %d characters",
				COST_MAX);
	}
	return 0;
}

int api_regexp_check(const char *text, const char *path, struct err *e)
{
	char what[128];
	regex_t re;
	int r;

	if (strlen(text) > LENGTH_MAX)
		return api_bad(e, path, "more than %d characters", LENGTH_MAX);
	r = weigh(text, path, e);
	if (r < 0)
		return r;
	r = regcomp(&re, text, REG_EXTENDED | REG_NOSUB);
	if (r != 0) {
		(void)regerror(r, &re, what, sizeof(what));
		return api_bad(e, path, "'%.100s': %s", text, what);
	}
	regfree(&re);
	return 0;
}
