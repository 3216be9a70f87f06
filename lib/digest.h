// SPDX-License-Identifier: Apache-2.0
/* SHA-256 of bytes, files and folders, through libcrypto. */
#pragma once

#include "err.h"

enum { DIGEST_HEX = 64, DIGEST_BYTES = 32 };

struct digest; /* a running computation */

int digest_new(struct digest **ret);
void digest_free(struct digest *d);
DEFINE_CLEANUP(struct digest, digest_free)
int digest_add(struct digest *d, const void *data, size_t len);
/* Adds @s with its terminating zero, so that "ab","c" differs from "a","bc". */
int digest_add_str(struct digest *d, const char *s);
/* Lower-case hex, zero-terminated. @d can be freed only after this. */
int digest_hex(struct digest *d, char ret[DIGEST_HEX + 1]);

int digest_bytes(const void *data, size_t len, char ret[DIGEST_HEX + 1], struct err *e);
int digest_file(const char *path, char ret[DIGEST_HEX + 1], struct err *e) _must_check_;

/* Digest over the sorted relative names, types, executable bits, link targets and contents below
 * @path. Times and owners do not count. Devices and sockets are refused (-EINVAL). At most
 * @max_bytes of content (-EFBIG). */
int digest_dir(const char *path, uint64_t max_bytes, char ret[DIGEST_HEX + 1],
	struct err *e) _must_check_;
