// SPDX-License-Identifier: Apache-2.0
/* What the artifacts of one key have in common whoever built and signed them, as one digest: so builders
 * can be compared, and what came from a registry with what they agreed on. */
#pragma once

#include "store.h"

/* Of an artifact that was published without having been compiled by its publisher. */
#define UNSIGNED_NONE "none"

/* SHA-256 over each module's file, name and bytes without the signature behind them, in the order of the
 * files; the package; the artifacts it depends on. @dir: where the files lie now. -ENOEXEC
 * (REASON_MODULE_INVALID) for a signature that is cut short, errors of reading. */
int unsigned_digest(const struct artifact *a, const char *dir, char ret[DIGEST_HEX + 1],
	struct err *e) _must_check_;
