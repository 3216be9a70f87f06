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
