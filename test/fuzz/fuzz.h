// SPDX-License-Identifier: Apache-2.0
/* What the fuzz targets share: properties that must hold, and a folder for parsers that read files. */
#pragma once

#include <limits.h>
#include <stdio.h>

#include "buf.h"
#include "err.h"
#include "file.h"
#include "json.h"

enum { FUZZ_TEXT_MAX = 8 << 20, FUZZ_ARENA_MAX = 16 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* A property that does not hold ends the run as a crash does. */
#define HOLDS(x) \
	do { \
		if (!(x)) { \
			(void)fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, \
				__LINE__, #x); \
			abort(); \
		} \
	} while (0)

/* A refusal says what it is: its code and a text. */
static inline _unused_ void says_why(int r, const struct err *e)
{
	HOLDS(r < 0);
	HOLDS(e->code == r);
	HOLDS(e->text[0]);
	HOLDS(memchr(e->text, '\0', sizeof(e->text)));
}

/* Printed, read again and printed again: nothing may change. */
static inline _unused_ void prints_and_reads(const struct json *j, bool pretty)
{
	CLEANUP(buf_done) struct buf one = { 0 };
	CLEANUP(buf_done) struct buf two = { 0 };
	CLEANUP(json_freep) struct json *again = NULL;
	struct err e = { 0 };

	buf_init(&one, FUZZ_TEXT_MAX);
	buf_init(&two, FUZZ_TEXT_MAX);
	HOLDS(json_print(j, pretty, &one) == 0);
	HOLDS(json_parse(one.data, one.len, &again, &e) == 0);
	HOLDS(json_equal(j, again));
	HOLDS(json_print(again, pretty, &two) == 0);
	HOLDS(streq(buf_cstr(&one), buf_cstr(&two)));
}

/* ---- a folder of this process, removed at its end ---- */
static char fuzz_dir[64];

static inline _unused_ void fuzz_dir_remove(void)
{
	if (dir_remove(fuzz_dir, NULL) < 0)
		(void)fprintf(stderr, "'%s' stays\n", fuzz_dir);
}

static inline _unused_ const char *fuzz_path(const char *name)
{
	static char path[PATH_MAX];

	if (!fuzz_dir[0]) {
		(void)snprintf(fuzz_dir, sizeof(fuzz_dir), "%s/farrier-fuzz-XXXXXX",
			access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
		HOLDS(mkdtemp(fuzz_dir));
		HOLDS(atexit(fuzz_dir_remove) == 0);
	}
	(void)snprintf(path, sizeof(path), "%s/%s", fuzz_dir, name);
	return path;
}

/* Moved into place, so that each content is a file of its own. */
static inline _unused_ void fuzz_file(const char *name, const void *data, size_t len)
{
	char tmp[PATH_MAX];
	FILE *f;

	(void)snprintf(tmp, sizeof(tmp), "%s", fuzz_path(".new"));
	f = fopen(tmp, "we");
	HOLDS(f);
	HOLDS(fwrite(data, 1, len, f) == len);
	HOLDS(fclose(f) == 0);
	HOLDS(rename(tmp, fuzz_path(name)) == 0);
}
