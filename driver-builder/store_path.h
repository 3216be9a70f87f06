// SPDX-License-Identifier: Apache-2.0
/* Names in the store, for the files that implement it. */
#pragma once

#include "file.h"
#include "key.h"

#define STORE_TMP_PREFIX ".new-" /* of folders that are being written or removed */

/* STATE/store/<kk>/<key> */
static inline _unused_ int store_key_path(
	char *out, size_t size, const char *store, const char *key)
{
	char kk[3] = { key[0], key[1], '\0' };

	return path_join(out, size, store, kk, key, NULL);
}
