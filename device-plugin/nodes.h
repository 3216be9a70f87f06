// SPDX-License-Identifier: Apache-2.0
/* The device nodes that a class asks for, found for one device. */
#pragma once

#include "snapshot.h"

/* Fills @c's nodes from @a. *ret_missing is the first that the class must have and that is not there,
 * as the class names it; untouched when all are. -ENOMEM. */
int nodes_resolve(const struct snapshot_options *o, struct inventory *inv,
	struct arena *a, struct claim *c, const char **ret_missing) _must_check_;
