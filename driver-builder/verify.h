// SPDX-License-Identifier: Apache-2.0
/*
 * Would this kernel load this module? Proved from files, before any kernel has to try it: a valid
 * ELF for the machine; every imported symbol there with the CRC that the module was built against
 * (CRCs decide, the release in vermagic does not, as in the kernel itself); vermagic's flags equal;
 * signed where the kernel demands it. Missing firmware is a warning.
 */
#pragma once

#include "elf.h"
#include "kernels.h"
#include "symvers.h"

enum { VERIFY_WARNINGS_MAX = 16, VERIFY_TEXT_MAX = 256, VERIFY_SIBLINGS_MAX = 256 };

/* What is known of a kernel, read once for many modules. */
struct verify_kernel;
/* @root: for firmware and in-tree modules. REASON_HEADERS_MISSING without Module.symvers. */
int verify_kernel_open(const struct kernel *k, const char *root,
	struct verify_kernel **ret, struct err *e) _must_check_;
void verify_kernel_free(struct verify_kernel *v);
DEFINE_CLEANUP(struct verify_kernel, verify_kernel_free)
/* The vermagic flags ("SMP preempt mod_unload modversions ") that a configuration gives. Pure. */
int verify_flags(const char *config, const char *machine, char *out, size_t size);

struct verify_report {
	char name[64], vermagic[VERIFY_TEXT_MAX], srcversion[64], version[64];
	size_t symbols; /* imports that were proved */
	bool is_signed;
	size_t warnings_n;
	char warnings[VERIFY_WARNINGS_MAX][VERIFY_TEXT_MAX];
};

/* One module against a kernel. @siblings (may be NULL) are modules loaded before it: their exports
 * count. @ret is filled with what could be read, on refusal too. 0, or a negative errno with
 * REASON_MODULE_INVALID, _VERMAGIC_MISMATCH, _SYMBOL_MISSING, _SYMBOL_CRC_MISMATCH, _KEY_REJECTED. */
int verify_module(const struct verify_kernel *v, const struct elf *m,
	const struct elf *siblings, size_t siblings_n, struct verify_report *ret,
	struct err *e) _must_check_;

/* The same for files that belong together, in any order: each may import from the others.
 * @reports has @n elements. Stops at the first refusal, whose path is in the text. */
int verify_files(const struct verify_kernel *v, const char *const *paths, size_t n,
	struct verify_report *reports, struct err *e) _must_check_;
