// SPDX-License-Identifier: Apache-2.0
/* Finds secrets by what stands before them. Too much is taken rather than too little. */
#include "redact.h"

#include <ctype.h>

static const char stars[] = "***";

/* Words that a secret follows, after any of ":= and blanks. */
static const char *const words[] = { "password", "passwd", "secret", "token", "apikey",
	"api_key", "api-key", "authorization", "bearer", "credential", "identitytoken" };

static bool is_end(char c)
{
	return !c || c == '"' || c == '\'' || isspace((unsigned char)c);
}

/* Length of the word that @s starts with, 0: none. */
static size_t word_at(const char *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		size_t n = strlen(words[i]);

		if (strncasecmp(s, words[i], n) == 0)
			return n;
	}
	return 0;
}

/* "token": "x", token=x, Bearer x. What follows the word up to the secret is kept: it may be JSON. */
static const char *take_word(const char *s, size_t len, struct buf *out)
{
	const char *p = s + len, *secret;

	while (*p == '"' || *p == '\\' || *p == ' ' || *p == ':' || *p == '=' ||
		*p == '\'') {
		/* In {"token":"x"} one quote closes the name and one opens the value. */
		p++;
	}
	if (p == s + len || !*p || strchr(",{}[]", *p))
		return NULL;
	for (secret = p; !is_end(*p) && *p != '\\' && *p != ','; p++)
		;
	if (p == secret)
		return NULL;
	(void)buf_add(out, s, (size_t)(secret - s));
	(void)buf_str(out, stars);
	return p;
}

/* "://user:pass@host/path?query" */
static const char *take_url(const char *s, struct buf *out)
{
	const char *p = s + 3, *end, *at = NULL;

	for (end = p; !is_end(*end) && *end != '/' && *end != '?'; end++)
		if (*end == '@')
			at = end;
	(void)buf_add(out, s, 3);
	if (at) {
		(void)buf_str(out, stars);
		p = at;
	}
	for (end = p; !is_end(*end) && *end != '?'; end++)
		;
	(void)buf_add(out, p, (size_t)(end - p));
	if (*end != '?')
		return end;
	(void)buf_chr(out, '?');
	(void)buf_str(out, stars);
	while (!is_end(*end))
		end++;
	return end;
}

static const char *take_key(const char *s, struct buf *out)
{
	static const char begin[] = "-----BEGIN", end_mark[] = "-----END";
	const char *line = strstr(s, "-----END"), *p = s + sizeof(begin) - 1;

	while (isupper((unsigned char)*p) || *p == ' ')
		p++;
	if (p - s < 11 || !memmem(s, (size_t)(p - s), "PRIVATE KEY", 11))
		return NULL;
	(void)buf_str(out, stars);
	for (p = s; *p && *p != '"' && p != line; p++)
		;
	if (p != line)
		return p;
	p += sizeof(end_mark) - 1;
	while (isupper((unsigned char)*p) || *p == ' ')
		p++;
	while (*p == '-')
		p++;
	return p;
}

int redact(const char *text, struct buf *out)
{
	bool is_start = true; /* of a word */

	for (const char *s = text; *s;) {
		size_t len = is_start ? word_at(s) : 0;
		const char *next = NULL;

		if (len)
			next = take_word(s, len, out);
		else if (str_starts(s, "://"))
			next = take_url(s, out);
		else if (str_starts(s, "-----BEGIN"))
			next = take_key(s, out);
		is_start = !isalpha((unsigned char)*s);
		if (next)
			s = next;
		else
			(void)buf_chr(out, *s++);
	}
	return buf_ok(out);
}
