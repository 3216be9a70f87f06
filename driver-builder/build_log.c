// SPDX-License-Identifier: Apache-2.0
/* A build's output: what in it is worth telling, and its compressed copy; the only user of zlib here. */
#include <stdio.h>

#include <zlib.h>

#include "build_work.h"
#include "file.h"

enum {
	LINE_MAX_SEEN = 4096,
	GZIP_WINDOW = 15 + 16,
	GZIP_SLACK = 4096,
	STATUS_KILLED = 128 + 9
};

/* In order of how much a line with it says; within one class the first line wins. */
static const struct {
	const char *needle;
	enum reason reason;
} signs[] = {
	{ "virtual memory exhausted", REASON_OUT_OF_MEMORY },
	{ "out of memory", REASON_OUT_OF_MEMORY },
	{ "Cannot allocate memory", REASON_OUT_OF_MEMORY },
	{ "Killed signal terminated program", REASON_OUT_OF_MEMORY },
	{ "No space left on device", REASON_DISK_FULL },
	{ ": fatal error:", REASON_BUILD_FAILED },
	{ ": error:", REASON_BUILD_FAILED },
	{ "ERROR: modpost:", REASON_BUILD_FAILED },
	{ "undefined reference to", REASON_BUILD_FAILED },
	{ "internal compiler error", REASON_BUILD_FAILED },
	{ "command not found", REASON_BUILD_FAILED },
	{ ": not found", REASON_BUILD_FAILED },
	{ "Makefile:", REASON_NONE }, /* see is_make_stop() */
	{ "*** ", REASON_BUILD_FAILED },
	{ "Error: ", REASON_BUILD_FAILED },
	{ "error: ", REASON_BUILD_FAILED },
};

/* "Makefile:12: *** text.  Stop." says more than "make[1]: *** [Makefile:12: x] Error 2". */
static bool is_make_stop(const char *line)
{
	const char *stop = strstr(line, ": *** ");

	return stop && stop[6] != '[';
}

static int sign_of(const char *line)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(signs); i++) {
		if (!strstr(line, signs[i].needle))
			continue;
		if (signs[i].reason == REASON_NONE && !is_make_stop(line))
			continue;
		return (int)i;
	}
	return -1;
}

/* Copies @line without control characters and without the path of the build folder. */
static void tell(const char *line, char *out, size_t size)
{
	size_t n = 0;

	while (*line && n + 1 < size) {
		if (str_starts(line, BUILD_AT "/")) {
			line += strlen(BUILD_AT "/");
			continue;
		}
		if (str_starts(line, DKMS_TREE "/") && strstr(line, "/build/")) {
			line = strstr(line, "/build/") + strlen("/build/");
			continue;
		}
		out[n++] = (unsigned char)*line < ' ' ? ' ' : *line;
		line++;
	}
	while (n > 0 && out[n - 1] == ' ')
		n--;
	out[n] = '\0';
}

enum reason build_classify(const char *log, size_t len, int status, bool is_timed_out,
	char *out, size_t size)
{
	int best = (int)ARRAY_SIZE(signs);
	size_t off = 0;

	*out = '\0';
	while (off < len) {
		const char *nl = memchr(log + off, '\n', len - off);
		size_t n = nl ? (size_t)(nl - log) - off : len - off;
		char line[LINE_MAX_SEEN];
		int sign;

		(void)snprintf(line, sizeof(line), "%.*s", (int)MIN(n, sizeof(line) - 1),
			log + off);
		off += n + 1;
		sign = sign_of(line);
		if (sign < 0 || sign >= best)
			continue;
		best = sign;
		tell(line, out, size);
	}
	if (is_timed_out)
		return REASON_BUILD_TIMEOUT;
	if (status == 0)
		return REASON_NONE;
	/* SIGKILL that is not ours comes from the kernel, when memory is short. */
	if (status == STATUS_KILLED && best == (int)ARRAY_SIZE(signs)) {
		(void)snprintf(out, size, "the build was killed for want of memory");
		return REASON_OUT_OF_MEMORY;
	}
	if (best < (int)ARRAY_SIZE(signs) && signs[best].reason != REASON_NONE)
		return signs[best].reason;
	return REASON_BUILD_FAILED;
}

int build_log_write(const char *path, const char *text, size_t len, struct err *e)
{
	z_stream z = { .next_in = (Bytef *)(uintptr_t)text, .avail_in = (uInt)len };
	CLEANUP(freep) char *packed = NULL;
	size_t room;
	int r;

	if (deflateInit2(&z, Z_BEST_SPEED, Z_DEFLATED, GZIP_WINDOW, 8,
		    Z_DEFAULT_STRATEGY) != Z_OK)
		return err_errno(e, -ENOMEM, "compress '%s'", path);
	room = deflateBound(&z, (uLong)len) + GZIP_SLACK;
	packed = malloc(room);
	z.next_out = (Bytef *)packed;
	z.avail_out = (uInt)room;
	r = packed && deflate(&z, Z_FINISH) == Z_STREAM_END ? 0 : -ENOMEM;
	room = z.total_out;
	(void)deflateEnd(&z);
	if (r < 0)
		return err_errno(e, r, "compress '%s'", path);
	return file_write_atomic(path, packed, room, 0644, e);
}
