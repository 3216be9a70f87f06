// SPDX-License-Identifier: Apache-2.0
/* What is known of a kernel, for the verify*.c files only. */
#pragma once

#include "map.h"
#include "trust.h"
#include "verify.h"

struct verify_kernel {
	char *root;
	struct kernel kernel; /* a copy, without what is for people */
	const char *release;
	struct symvers *symbols;
	bool is_partial; /* not every exported symbol is known */
	char *config;
	bool has_modversions;
	bool needs_namespaces; /* refuses a symbol whose namespace is not imported */
	struct trust *trust;
	bool is_unsigned_fine; /* verify_kernel_allow_unsigned() */
	char flags[VERIFY_TEXT_MAX]; /* of vermagic, for the kernel's own machine */
	uint16_t machine;
	struct map *
		tree; /* module name -> path below /lib/modules/R; NULL: nobody can say */
};

/* verify_tree.c: the modules of a kernel, out of modules.dep and modules.builtin. 0 without them;
 * -ENOMEM. */
int verify_tree_read(const char *root, const char *release, struct map **ret)
	_must_check_;
/* Where a module lies below /lib/modules/R, "" for one that is built in; NULL. '-' is '_'. */
const char *verify_tree_find(const struct map *tree, const char *name);
/* The CRCs that the modules of <root>/lib/modules/R ask for and give, as a Module.symvers. */
int verify_tree_symbols(const char *root, const char *release, struct symvers **ret,
	struct err *e) _must_check_;
