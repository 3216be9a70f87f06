// SPDX-License-Identifier: Apache-2.0
/*
 * Kernel headers out of archives that a spec names (build.headers), for kernels whose headers the host does
 * not have. What is unpacked is a root of its own, STATE/headers/<digest>/root: the trees lie where they
 * would on a host, so that the absolute paths in them hold in the sandbox. It is kept, so that the next
 * build needs neither archive nor network.
 */
#pragma once

#include "api.h"
#include "digest.h"
#include "kernels.h"

enum { HEADERS_KEPT_MAX = 4 };

/* The first entry for @release; NULL when there is none. */
const struct api_kernel_headers *headers_named(
	const struct api_build *b, const char *release);
/* Its name in the state: a digest over those of its archives, in their order. */
int headers_digest(const struct api_kernel_headers *h, char ret[DIGEST_HEX + 1],
	struct err *e) _must_check_;

/* Makes a root, @dir/root, of what was unpacked into @dir/tree: a root already, or one tree of headers. For
 * each release in it /lib/modules/R/build is made. REASON_HEADERS_MISSING when there is none,
 * REASON_SOURCE_INVALID for what is in the way. */
int headers_settle(const char *dir, struct err *e) _must_check_;

/* Takes away those used longest ago, HEADERS_KEPT_MAX stay, and what a killed one left; never one that is
 * locked. @headers: STATE/headers. */
void headers_prune(const char *headers);
