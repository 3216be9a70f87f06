// SPDX-License-Identifier: Apache-2.0
/* The fingerprint of a set of pods, as topology-aware schedulers compute it from their side: equal ones
 * mean that both have seen the same pods. */
#pragma once

#include "base.h"

enum { FINGERPRINT_MAX = 25 }; /* "pfp0v001", 16 hex digits, the end */

/* The hash of one pod. */
uint64_t fingerprint_pod(const char *namespace_, const char *name);

/* Uses @hashes up; their order does not matter. */
void fingerprint_make(uint64_t *hashes, size_t n, char out[FINGERPRINT_MAX]);
