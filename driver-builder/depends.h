// SPDX-License-Identifier: Apache-2.0
/* Modules of other drivers that an artifact was built against: their files are needed to prove it. */
#pragma once

#include "arena.h"
#include "store.h"

/* Appends the paths of the modules of @a's dependencies to @paths, which has room for @max in all and holds *n.
 * The files are proved by their digests. REASON_DEPENDENCY_MISSING when one has left the store. */
int depends_paths(const char *state, const struct artifact *a, struct arena *arena,
	const char **paths, size_t max, size_t *n, struct err *e) _must_check_;
