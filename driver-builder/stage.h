// SPDX-License-Identifier: Apache-2.0
/* From an artifact in the store into the kernel and into the host's boot. Each step reads the
 * artifact anew, checks its digests and proves it against the kernel right before it acts. They
 * block: the agent runs them in a worker (work.h), commands run them as they are. */
#pragma once

#include "api.h"
#include "env.h"
#include "kernels.h"

struct stage {
	const struct env *env;
	const struct kernel *kernel;
	const char *driver;
	const struct list *modules; /* struct api_module, in loading order */
	const struct list
		*firmware; /* const char *: files that a load needs; may be NULL */
	const char *key; /* artifact; NULL where none is needed */
	bool is_listed; /* install: the host's boot shall load them, not only find them */
	/* Replacement: the artifact that is loaded, its parameters (stage_parameters()), and the
	 * addresses (const char *) of devices that it drives: what a failure goes back to. NULL: unknown. */
	const char *old_key, *old_parameters;
	struct list bound;
};

/* "edu irq_mode=msi\n", a line for each module with parameters, in loading order. */
int stage_parameters(struct arena *a, const struct list *modules, const char **ret)
	_must_check_;

/* Loads what is not loaded, rivals out first. */
int stage_load(const struct stage *s, struct err *e) _must_check_;
/* Unloads another build and loads ours. Nothing is unloaded before ours is proved. Where ours does
 * not load, or devices that were bound stay unbound for STAGE_BIND_US, the old build is loaded again:
 * -ECANCELED with ours' reason when that worked. */
#define STAGE_BIND_US (10 * USEC_PER_SEC)
int stage_replace(const struct stage *s, struct err *e) _must_check_;
int stage_unload(const struct stage *s, struct err *e) _must_check_;
/* Installs for the boot of s->kernel, with the host's configuration files. */
int stage_install(const struct stage *s, struct err *e) _must_check_;
int stage_uninstall(const struct stage *s, struct err *e) _must_check_;
