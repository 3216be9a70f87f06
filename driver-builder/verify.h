// SPDX-License-Identifier: Apache-2.0
/*
 * Would this kernel load this module? Proved from files, before any kernel has to try it: a valid
 * ELF for the machine; a signature that fits, of a key that the kernel has where it demands one
 * (trust.h); every imported symbol there with the CRC that the module was built against (CRCs
 * decide, the release in vermagic does not, as in the kernel itself), its namespace imported, its
 * licence met; vermagic's flags equal; the modules that it depends on there. Missing firmware and a
 * module of the same name in the kernel's own tree are warnings. What no file tells is listed as
 * unproven.
 */
#pragma once

#include "elf.h"
#include "kernels.h"
#include "symvers.h"
#include "trust.h"

enum {
	VERIFY_WARNINGS_MAX = 16,
	VERIFY_UNPROVEN_MAX = 8,
	VERIFY_TEXT_MAX = 256,
	VERIFY_SIBLINGS_MAX = 256
};

/* What is known of a kernel, read once for many modules. */
struct verify_kernel;
/* @root: for firmware, keys and in-tree modules. Symbols come from the headers' Module.symvers, or
 * from /boot/symvers-R.* or /lib/modules/R/symvers.*; REASON_HEADERS_MISSING without any. @k must
 * live as long. */
int verify_kernel_open(const struct kernel *k, const char *root,
	struct verify_kernel **ret, struct err *e) _must_check_;
/* The same; where nothing lists the symbols, out of the CRCs that the kernel's own modules carry, which
 * takes seconds. Symbols that none of them uses stay unproven. */
int verify_kernel_open_bare(const struct kernel *k, const char *root,
	struct verify_kernel **ret, struct err *e) _must_check_;
void verify_kernel_free(struct verify_kernel *v);
/* From now on a module without a signature passes, though the kernel may demand one: it is signed later,
 * and proved again then. */
void verify_kernel_allow_unsigned(struct verify_kernel *v);
DEFINE_CLEANUP(struct verify_kernel, verify_kernel_free)
/* The vermagic flags ("SMP preempt mod_unload modversions ") that a configuration gives. Pure. */
int verify_flags(const char *config, const char *machine, char *out, size_t size);

struct verify_report {
	char name[64], vermagic[VERIFY_TEXT_MAX], srcversion[64], version[64];
	size_t symbols; /* imports that were proved */
	bool is_signed;
	/* Its CRCs, not the release in its vermagic, tie it to a kernel: it may be another's. */
	bool is_portable;
	struct trust_result trust;
	size_t warnings_n;
	char warnings[VERIFY_WARNINGS_MAX][VERIFY_TEXT_MAX];
	size_t unproven_n; /* what only a load can tell; no more than the first few are listed */
	char unproven[VERIFY_UNPROVEN_MAX][VERIFY_TEXT_MAX];
};

/* One module against a kernel. @siblings (may be NULL) are modules loaded before it: their exports
 * count. @ret is filled with what could be read, on refusal too. 0, or a negative errno with
 * REASON_MODULE_INVALID, _VERMAGIC_MISMATCH, _SYMBOL_MISSING (also a namespace, a licence, a module
 * it depends on), _SYMBOL_CRC_MISMATCH, _KEY_REJECTED. */
int verify_module(const struct verify_kernel *v, const struct elf *m,
	const struct elf *siblings, size_t siblings_n, struct verify_report *ret,
	struct err *e) _must_check_;

/* The same for files that belong together, in any order: each may import from the others.
 * @reports has @n elements. Stops at the first refusal, whose path is in the text. */
int verify_files(const struct verify_kernel *v, const char *const *paths, size_t n,
	struct verify_report *reports, struct err *e) _must_check_;
/* As verify_files() for the first @n of @all files; the others, loaded before them, only lend their
 * exports. They were proved for themselves. */
int verify_files_among(const struct verify_kernel *v, const char *const *paths, size_t n,
	size_t all, struct verify_report *reports, struct err *e) _must_check_;
