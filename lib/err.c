// SPDX-License-Identifier: Apache-2.0
/* Error texts that read from the outside in; see err.h for how errors work. */
#include "err.h"

#include <stdarg.h>
#include <stdio.h>

/* A cut must not leave half a UTF-8 sequence behind: the text goes into JSON. */
static void text_trim(char *text, size_t size)
{
	size_t n = strlen(text), i;

	if (n + 1 < size)
		return;
	for (i = n; i > 0 && n - i < 4; i--) {
		unsigned char c = (unsigned char)text[i - 1];
		size_t need = c < 0x80	 ? 1
			      : c < 0xc0 ? 0
			      : c < 0xe0 ? 2
			      : c < 0xf0 ? 3
					 : 4;

		if (need == 0)
			continue;
		if (n - (i - 1) < need)
			text[i - 1] = '\0';
		return;
	}
}

/* Through a second buffer, since the arguments may point into @e. */
static void text_set(struct err *e, const char *fmt, va_list ap)
{
	char text[ERR_TEXT_MAX];

	(void)vsnprintf(text, sizeof(text), fmt, ap);
	text_trim(text, sizeof(text));
	memcpy(e->text, text, strlen(text) + 1);
}

int err_set(struct err *e, int r, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return r;
	va_start(ap, fmt);
	text_set(e, fmt, ap);
	va_end(ap);
	e->code = r;
	e->reason = REASON_NONE;
	return r;
}

int err_reason(struct err *e, int r, enum reason reason, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return r;
	va_start(ap, fmt);
	text_set(e, fmt, ap);
	va_end(ap);
	e->code = r;
	e->reason = reason;
	return r;
}

static void text_join(char *out, size_t size, const char *head, const char *tail)
{
	size_t n = MIN(strlen(head), size - 1);
	size_t sep = MIN((size_t)2, size - 1 - n);
	size_t m = MIN(strlen(tail), size - 1 - n - sep);

	memcpy(out, head, n);
	memcpy(out + n, ": ", sep);
	memcpy(out + n + sep, tail, m);
	out[n + sep + m] = '\0';
	text_trim(out, size);
}

int err_wrap(struct err *e, int r, const char *fmt, ...)
{
	char head[ERR_TEXT_MAX], text[ERR_TEXT_MAX];
	va_list ap;

	if (!e)
		return r;
	va_start(ap, fmt);
	(void)vsnprintf(head, sizeof(head), fmt, ap);
	va_end(ap);
	text_join(
		text, sizeof(text), head, *e->text ? e->text : strerror(r < 0 ? -r : r));
	memcpy(e->text, text, strlen(text) + 1);
	e->code = r;
	return r;
}

int err_errno(struct err *e, int r, const char *fmt, ...)
{
	char head[ERR_TEXT_MAX], text[ERR_TEXT_MAX];
	va_list ap;

	if (!e)
		return r;
	va_start(ap, fmt);
	(void)vsnprintf(head, sizeof(head), fmt, ap);
	va_end(ap);
	text_join(text, sizeof(text), head, strerror(r < 0 ? -r : r));
	memcpy(e->text, text, strlen(text) + 1);
	e->code = r;
	e->reason = r == -ENOSPC || r == -EDQUOT ? REASON_DISK_FULL : REASON_NONE;
	return r;
}

void err_clear(struct err *e)
{
	if (!e)
		return;
	e->code = 0;
	e->reason = REASON_NONE;
	e->text[0] = '\0';
}
