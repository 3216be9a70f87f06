// SPDX-License-Identifier: Apache-2.0
/* A growing byte buffer with a mandatory cap. Always zero-terminated behind its last byte. */
#pragma once

#include <stdarg.h>

#include "base.h"

struct buf {
	char *data; /* NULL until something was added */
	size_t len;
	size_t cap;
	size_t max; /* never holds more than this many bytes */
	int failed; /* -ENOBUFS or -ENOMEM of the first addition that failed: sticky, see buf_ok() */
};

/* @max in bytes, without the terminating zero. No allocation. */
void buf_init(struct buf *b, size_t max);
void buf_done(struct buf *b);
void buf_clear(struct buf *b);

/* -ENOBUFS beyond the cap, -ENOMEM; what was there before stays. The error is sticky, so that a
 * sequence of additions may be checked once, by buf_ok(). */
int buf_add(struct buf *b, const void *data, size_t len);
int buf_str(struct buf *b, const char *s);
int buf_chr(struct buf *b, char c);
int buf_fmt(struct buf *b, const char *fmt, ...) _printf_(2, 3);
int buf_vfmt(struct buf *b, const char *fmt, va_list ap);

/* Adds @s with every byte that is no valid UTF-8 replaced by U+FFFD. */
int buf_utf8(struct buf *b, const char *s);
/* Bytes of the valid UTF-8 sequence at the zero-terminated @s (1 for the zero itself), 0 when it is none. */
size_t utf8_len(const char *s);

/* 0, or the first error since buf_init()/buf_clear(). */
int buf_ok(const struct buf *b);

/* Removes @n bytes from the front. */
void buf_consume(struct buf *b, size_t n);

/* The text, "" when empty. Borrowed until the next change. */
const char *buf_cstr(const struct buf *b);

/* Gives the text away (caller frees) and empties the buffer; NULL when memory is short. */
char *buf_steal(struct buf *b);
