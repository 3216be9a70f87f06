// SPDX-License-Identifier: Apache-2.0
/* Files and folders: capped reads, writes that are old or new and never torn, walks that stay inside. */
#pragma once

#include <sys/types.h>

#include "buf.h"
#include "err.h"

/* Reads all of @path, at most @max bytes (-EFBIG beyond). Caller frees *ret; zero-terminated.
 * Works for sysfs and procfs, whose size says nothing. -ENOENT is returned like any other. */
int file_read(const char *path, size_t max, char **ret, size_t *ret_len, struct err *e)
	_must_check_;

/* The first line of a sysfs-like file without its newline into @out (always terminated).
 * -ENOENT, -EIO, -ENOBUFS. No error text: absence is the usual case. */
int file_read_line(const char *path, char *out, size_t size);

/* Writes @path so that after any crash it holds either the old bytes or all the new ones:
 * temporary file in the same folder, fsync, rename, fsync of the folder. */
int file_write_atomic(const char *path, const void *data, size_t len, mode_t mode,
	struct err *e) _must_check_;

/* As file_write_atomic(), but does nothing when @path holds these bytes already. 1 when written, 0 when equal. */
int file_write_if_changed(const char *path, const void *data, size_t len, mode_t mode,
	struct err *e) _must_check_;

/* Copies bytes and mode, atomically at @to. */
int file_copy(const char *from, const char *to, mode_t mode, struct err *e) _must_check_;

/* mkdir -p; folders that exist are fine. */
int dir_make(const char *path, mode_t mode, struct err *e) _must_check_;

/* rm -rf that follows no link and crosses no mount. Absent is fine. */
int dir_remove(const char *path, struct err *e) _must_check_;

/* fsync of a folder. */
int dir_sync(const char *path, struct err *e) _must_check_;

/* Calls @fn for each entry of @path but "." and "..", sorted by name; stops at the first non-zero
 * result and returns it. At most FILE_DIR_MAX entries (-E2BIG). */
enum { FILE_DIR_MAX = 100000 };
int dir_each(const char *path, int (*fn)(const char *name, void *user), void *user,
	struct err *e);

bool file_exists(const char *path);

/* Joins with exactly one '/' between parts into @out. -ENAMETOOLONG. Last argument NULL. */
int path_join(char *out, size_t size, ...) __attribute__((sentinel)) _must_check_;
