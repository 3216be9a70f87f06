// SPDX-License-Identifier: Apache-2.0
/* XXH64 over the sorted hashes of pods; the only user of xxhash, which is all in its header. */
#include "fingerprint.h"

#include <endian.h>
#include <inttypes.h>
#include <stdio.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t fingerprint_pod(const char *namespace_, const char *name)
{
	return XXH64(name, strlen(name), XXH64(namespace_, strlen(namespace_), 0));
}

static int by_value(const void *x, const void *y)
{
	uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;

	return a < b ? -1 : a > b;
}

void fingerprint_make(uint64_t *hashes, size_t n, char out[FINGERPRINT_MAX])
{
	if (n > 0)
		qsort(hashes, n, sizeof(*hashes), by_value);
	for (size_t i = 0; i < n; i++)
		hashes[i] = htole64(hashes[i]);
	(void)snprintf(out, FINGERPRINT_MAX, "pfp0v001%016" PRIx64,
		XXH64(n > 0 ? (const void *)hashes : "", n * sizeof(*hashes), 0));
}
