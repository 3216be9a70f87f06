// SPDX-License-Identifier: Apache-2.0
/* For external*.c only. */
#pragma once

#include <limits.h>

#include "external.h"

/* Where the signature of the module with this digest is: the host's folder first. -ENOENT. */
int external_path(const char *root, const char *sha256, char ret[PATH_MAX]) _must_check_;
/* The key of @a, signed: @signatures are the digests of its signatures, in the modules' order. */
int external_key_make(const struct artifact *a, const char (*signatures)[DIGEST_HEX + 1],
	char ret[DIGEST_HEX + 1]) _must_check_;
