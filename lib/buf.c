// SPDX-License-Identifier: Apache-2.0
/* A growing byte buffer that never grows past its cap. */
#include "buf.h"

#include <stdio.h>

enum { BUF_FIRST = 64 };

void buf_init(struct buf *b, size_t max)
{
	/* One byte is kept for the zero: the sum below must not overflow. */
	*b = (struct buf){ .max = MIN(max, SIZE_MAX / 4) };
}

void buf_done(struct buf *b)
{
	free(b->data);
	*b = (struct buf){ .max = b->max };
}

void buf_clear(struct buf *b)
{
	b->len = 0;
	b->failed = 0;
	if (b->data)
		b->data[0] = '\0';
}

static int buf_fail(struct buf *b, int r)
{
	b->failed = r;
	return r;
}

/* Room for @n more bytes and the zero. */
static int buf_reserve(struct buf *b, size_t n)
{
	size_t cap;
	char *p;

	if (b->failed)
		return b->failed;
	if (n > b->max - b->len)
		return buf_fail(b, -ENOBUFS);
	if (b->data && b->len + n < b->cap)
		return 0;
	cap = MAX(b->len + n + 1, MIN(MAX(b->cap * 2, (size_t)BUF_FIRST), b->max + 1));
	p = realloc(b->data, cap);
	if (!p)
		return buf_fail(b, -ENOMEM);
	b->data = p;
	b->cap = cap;
	b->data[b->len] = '\0';
	return 0;
}

int buf_add(struct buf *b, const void *data, size_t len)
{
	int r = buf_reserve(b, len);

	if (r < 0)
		return r;
	if (len)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = '\0';
	return 0;
}

int buf_str(struct buf *b, const char *s)
{
	return buf_add(b, s, strlen(s));
}

int buf_chr(struct buf *b, char c)
{
	return buf_add(b, &c, 1);
}

int buf_vfmt(struct buf *b, const char *fmt, va_list ap)
{
	va_list again;
	int n, r;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (n < 0)
		return buf_fail(b, -ENOMEM);
	r = buf_reserve(b, (size_t)n);
	if (r < 0)
		return r;
	(void)vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
	b->len += (size_t)n;
	return 0;
}

int buf_fmt(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = buf_vfmt(b, fmt, ap);
	va_end(ap);
	return r;
}

size_t utf8_len(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	uint32_t c;
	size_t n, i;

	if (s[0] < 0x80)
		return 1;
	n = s[0] >= 0xf0 && s[0] < 0xf5 ? 4 : s[0] >= 0xe0 && s[0] < 0xf0 ? 3 : 2;
	if (s[0] < 0xc2 || s[0] >= 0xf5)
		return 0;
	c = s[0] & (0xffu >> (n + 1));
	for (i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if ((n == 3 && c < 0x800) || (n == 4 && (c < 0x10000 || c > 0x10ffff)) ||
		(c >= 0xd800 && c < 0xe000))
		return 0;
	return n;
}

int buf_utf8(struct buf *b, const char *s)
{
	size_t n;

	for (; *s; s += MAX(n, (size_t)1)) {
		n = utf8_len(s);
		if (n == 0)
			(void)buf_str(b, "\xef\xbf\xbd");
		else
			(void)buf_add(b, s, n);
	}
	return b->failed;
}

int buf_ok(const struct buf *b)
{
	return b->failed;
}

void buf_consume(struct buf *b, size_t n)
{
	n = MIN(n, b->len);
	if (n == 0)
		return;
	b->len -= n;
	memmove(b->data, b->data + n, b->len);
	b->data[b->len] = '\0';
}

const char *buf_cstr(const struct buf *b)
{
	return b->data ? b->data : "";
}

char *buf_steal(struct buf *b)
{
	char *s = b->data ? TAKE(b->data) : calloc(1, 1);

	*b = (struct buf){ .max = b->max };
	return s;
}
