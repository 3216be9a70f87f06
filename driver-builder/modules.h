// SPDX-License-Identifier: Apache-2.0
/* Loads and unloads kernel modules; the only user of libkmod. Whoever calls has verified the files. */
#pragma once

#include "arena.h"
#include "err.h"
#include "field.h"

enum { MODULES_OPTIONS_MAX = 4096 };

struct modules_env {
	const char *root; /* the host's root as seen from here */
	const char *sys, *proc; /* "/sys", "/proc" */
	const char *release; /* of the running kernel */
};

struct modules_file {
	const char *name; /* as the kernel calls it */
	const char *path;
	const struct list *parameters; /* struct kv */
	const struct list *replaces; /* const char *: rivals, taken out first */
	const char *depends; /* modinfo's: "drm,video"; NULL or "": none */
	const char *
		options; /* instead of @parameters, as the kernel reads them; NULL: none */
};

/* Loads those of @files that are not loaded, in order, their in-tree dependencies and the removal of
 * rivals first. Stops at the first failure, which names the module: REASON_IN_TREE_CONFLICT,
 * _MANAGEMENT_DEVICE, _KEY_REJECTED, _MODULE_INVALID, _SYMBOL_MISSING, _MODULE_MISSING, _OUT_OF_MEMORY, _LOAD_FAILED. */
int modules_load(struct arena *a, const struct modules_env *env,
	const struct modules_file *files, size_t n, struct err *e) _must_check_;

/* Unloads those of @names (const char *, loading order) that are loaded, last first. Looks before
 * it starts, so that a driver in use stays whole: REASON_MODULE_IN_USE names who holds it,
 * REASON_MANAGEMENT_DEVICE the interface that the node is reached by. */
int modules_unload(struct arena *a, const struct modules_env *env,
	const struct list *names, struct err *e) _must_check_;

/* "irq_mode=msi name=\"a b\"", as the kernel reads it. -EINVAL for what it cannot carry. */
int modules_options(struct arena *a, const struct list *parameters, const char **ret,
	struct err *e) _must_check_;
