// SPDX-License-Identifier: Apache-2.0
/* The compiler that a kernel wants, and whether the tools of a root have it. */
#pragma once

#include "api.h"
#include "kernels.h"

enum { TOOLCHAIN_NAME_MAX = 64, TOOLCHAIN_TEXT_MAX = 256 };

struct toolchain {
	char root[4096]; /* whose tools: "/" or the host's root */
	char cc[TOOLCHAIN_NAME_MAX]; /* "gcc-12", "clang-14": found in root's PATH folders */
	char text[TOOLCHAIN_TEXT_MAX]; /* what the kernel says it was built with */
	char version[TOOLCHAIN_TEXT_MAX]; /* what the found compiler says of itself */
	bool is_clang; /* the kernel wants LLVM=1 */
};

/* "gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0" -> family and major version. Pure. -EINVAL. */
int toolchain_parse_text(const char *text, bool *ret_is_clang, unsigned *ret_major);

/* Chooses by CONFIG_CC_VERSION_TEXT of @k: cc-MAJOR, else a plain cc of the same major. @which SELF:
 * the tools of our own root, HOST: those of @root. Runs the compiler once, in a sandbox, for its
 * version; @scratch is an empty folder for it. REASON_COMPILER_MISSING (nothing of that family, or no make), REASON_COMPILER_MISMATCH
 * (only another major), REASON_HEADERS_MISSING, REASON_SANDBOX_UNAVAILABLE. */
int toolchain_find(const struct kernel *k, int which, const char *root,
	const char *scratch, struct toolchain *ret, struct err *e) _must_check_;
/* Whether the tools of @root have @program in one of their PATH folders. */
bool toolchain_has(const char *root, const char *program);
