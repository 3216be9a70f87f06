// SPDX-License-Identifier: Apache-2.0
/* The content key of a build: same key, same artifact. docs/interfaces.md is its contract. */
#pragma once

#include "api.h"
#include "digest.h"
#include "kernels.h"

struct key_input {
	const char *source_digest;
	const char *release;
	const char *headers_digest;
	const char *compiler; /* version text */
	const char *build_system; /* "Kbuild", … */
	const struct list *make_args; /* const char *, in order; may be NULL */
	const struct list *patches; /* const char *: digests, in order; may be NULL */
};

/* Digest of the headers' Module.symvers and .config. REASON_HEADERS_MISSING. */
int key_headers(const struct kernel *k, char ret[DIGEST_HEX + 1], struct err *e)
	_must_check_;
/* Pure. */
int key_make(const struct key_input *in, char ret[DIGEST_HEX + 1], struct err *e)
	_must_check_;
/* 64 lower-case hex digits and nothing else. */
bool key_is_valid(const char *s);
