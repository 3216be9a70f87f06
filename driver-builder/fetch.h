// SPDX-License-Identifier: Apache-2.0
/* Archives out of the network, kept by digest below STATE/sources, so that the next kernel needs no
 * network any more. */
#pragma once

#include "digest.h"
#include "err.h"

enum { FETCH_KEPT_MAX = 16, FETCH_REDIRECTS_MAX = 5, FETCH_URL_MAX = 2048 };
#define FETCH_BYTES_MAX (2ULL << 30)

struct fetch_limits { /* 0: the default */
	uint64_t bytes; /* FETCH_BYTES_MAX */
	uint64_t stall_us; /* nothing came for so long: a minute */
	uint64_t total_us; /* the whole may take so long: an hour */
};

/* Has the archive with @sha256 as STATE/sources/<sha256>, downloading it from @url when it is not there
 * (or damaged), and @ret_path tells where. Blocks, so it is for workers and commands. A download that was
 * cut off, by a kill as well, goes on where it stopped where the server allows it; redirects are followed
 * (five, never from https to http). Keeps the FETCH_KEPT_MAX archives used last. @limits may be NULL.
 * REASON_SOURCE_UNAVAILABLE (tried again later), _SOURCE_DIGEST_MISMATCH, _SOURCE_INVALID (too large),
 * _DISK_FULL. */
int fetch_archive(const char *state, const char *url, const char *sha256,
	const struct fetch_limits *limits, char ret_path[4096], struct err *e)
	_must_check_;
