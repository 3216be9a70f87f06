// SPDX-License-Identifier: Apache-2.0
/* JSON log lines on stderr, one write() for each. */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "buf.h"

enum { LOG_LINE_MAX = 16 << 10, LOG_VALUE_MAX = 4 << 10 };

static const char *const level_names[LOG_LEVELS_] = {
	[LOG_DEBUG] = "debug",
	[LOG_INFO] = "info",
	[LOG_WARN] = "warn",
	[LOG_ERROR] = "error",
};

/* The one piece of global state in lib/: where lines come from and which are wanted. */
static struct {
	const char *component;
	enum log_level least;
} config = { "farrier", LOG_INFO };

void log_init(const char *component, enum log_level least)
{
	config.component = component;
	config.least = least;
}

int log_level_parse(const char *name, enum log_level *ret)
{
	unsigned i;

	for (i = 0; i < LOG_LEVELS_; i++) {
		if (!streq(level_names[i], name))
			continue;
		*ret = i;
		return 0;
	}
	return -EINVAL;
}

static void add_quoted(struct buf *b, const char *text)
{
	const char *s = text;
	size_t n = 0, len;

	(void)buf_chr(b, '"');
	for (; *s && n < LOG_VALUE_MAX; s += len, n += len) {
		len = utf8_len(s);
		if (len == 0) {
			(void)buf_str(b, "\\ufffd");
			len = 1;
		} else if (*s == '"' || *s == '\\') {
			(void)buf_fmt(b, "\\%c", *s);
		} else if (*s == '\n') {
			(void)buf_str(b, "\\n");
		} else if (*s == '\t') {
			(void)buf_str(b, "\\t");
		} else if ((unsigned char)*s < 0x20 || *s == 0x7f) {
			(void)buf_fmt(b, "\\u%04x", (unsigned char)*s);
		} else {
			(void)buf_add(b, s, len);
		}
	}
	if (*s)
		(void)buf_str(b, "…");
	(void)buf_chr(b, '"');
}

/* A pair that does not fit is left out whole, so that the line stays JSON. */
static void add_pair(struct buf *b, const char *key, const char *value)
{
	size_t before = b->len;

	if (!value)
		return;
	if (b->len > 1)
		(void)buf_chr(b, ',');
	add_quoted(b, key);
	(void)buf_chr(b, ':');
	add_quoted(b, value);
	if (buf_ok(b) == 0)
		return;
	b->failed = 0;
	b->len = before;
}

static void log_line(
	enum log_level level, const struct err *e, const char *msg, va_list ap)
{
	char when[64];
	struct timespec ts = { 0 };
	struct tm tm = { 0 };
	const char *key;
	int saved = errno;
	ssize_t written;
	struct buf b;
	size_t n;

	buf_init(&b, LOG_LINE_MAX);
	(void)clock_gettime(CLOCK_REALTIME, &ts);
	(void)gmtime_r(&ts.tv_sec, &tm);
	n = strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(when + n, sizeof(when) - n, ".%03ldZ", ts.tv_nsec / 1000000);
	(void)buf_chr(&b, '{');
	add_pair(&b, "time", when);
	add_pair(&b, "level", level_names[level]);
	add_pair(&b, "component", config.component);
	add_pair(&b, "msg", msg);
	if (e) {
		add_pair(&b, "error", *e->text ? e->text : strerror(-e->code));
		add_pair(&b, "reason", e->reason ? reason_name(e->reason) : NULL);
	}
	while ((key = va_arg(ap, const char *)))
		add_pair(&b, key, va_arg(ap, const char *));
	b.max = LOG_LINE_MAX + 2;
	(void)buf_str(&b, "}\n");
	/* Nobody can be told that telling failed. */
	written = buf_ok(&b) == 0 ? write(STDERR_FILENO, b.data, b.len) : 0;
	(void)written;
	buf_done(&b);
	errno = saved;
}

void log_event(enum log_level level, const char *msg, ...)
{
	va_list ap;

	if (level < config.least)
		return;
	va_start(ap, msg);
	log_line(level, NULL, msg, ap);
	va_end(ap);
}

void log_error(const struct err *e, const char *msg, ...)
{
	va_list ap;

	va_start(ap, msg);
	log_line(LOG_ERROR, e, msg, ap);
	va_end(ap);
}
