// SPDX-License-Identifier: Apache-2.0
/*
 * A second kernel without a compile: an artifact of the store that was built for another kernel from
 * the same recipe (source, compiler, build system, arguments) and the same configuration, and whose
 * every import has the very CRC that this kernel gives, is stored for this kernel too. The kernel
 * itself takes such modules: with CRCs in __versions it skips the release in vermagic
 * (same_magic()). Whatever is not proved symbol by symbol is built.
 */
#pragma once

#include "key.h"
#include "store.h"

enum { REUSE_TRIES_MAX = 8 };

struct reuse_request {
	const char *root, *state;
	const char *driver, *driver_version;
	const struct kernel *kernel;
	const char *key, *headers_digest; /* of the build that this stands in for */
	const char *recipe, *config_digest;
	bool is_unsigned_fine; /* they are signed later (verify_kernel_allow_unsigned()) */
	const struct list *modules; /* struct api_module: the artifact must have each */
};

/* The key without what differs from kernel to kernel. */
int reuse_recipe(const struct key_input *in, char ret[DIGEST_HEX + 1], struct err *e)
	_must_check_;
/* Of a kernel's configuration, without the names that its packager gave it. */
int reuse_config(const char *config, char ret[DIGEST_HEX + 1], struct err *e)
	_must_check_;

/* 1 when the store has @q->key now, and @ret_from is the artifact that it came from; 0 when none
 * fits; negative when the store could not be read or written. */
int reuse_try(const struct reuse_request *q, char ret_from[DIGEST_HEX + 1], struct err *e)
	_must_check_;
