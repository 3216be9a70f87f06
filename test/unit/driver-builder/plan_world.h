// SPDX-License-Identifier: Apache-2.0
/* Kernels and drivers to plan for, and the actions of a plan as text. */
#pragma once

#include "buf.h"
#include "driver-builder/plan.h"

enum { KERNELS = 3, DRIVERS = 3, MODULES = 2 };

/* Points into itself: never copied. */
struct world {
	struct plan_kernel kernels[KERNELS];
	struct plan_driver drivers[DRIVERS];
	struct plan_module modules[DRIVERS][MODULES];
	struct plan_pair pairs[DRIVERS][KERNELS];
	struct plan_input in;
};

/* @kernels kernels, the second of which runs, and @drivers drivers, each of one module and with
 * one device. Nothing is built. */
static void world_init(struct world *w, size_t kernels, size_t drivers)
{
	static const char *const releases[] = { "6.1.0-56", "6.1.0-47", "6.1.0-40" };
	static const char *const names[] = { "edu", "nv", "dfl" };

	memset(w, 0, sizeof(*w));
	for (size_t k = 0; k < kernels; k++)
		w->kernels[k] = (struct plan_kernel){ releases[k], k == 1, k == 0, false,
			true };
	for (size_t d = 0; d < drivers; d++) {
		w->modules[d][0].name = names[d];
		w->modules[d][1].name = "extra";
		w->drivers[d] = (struct plan_driver){
			.name = names[d],
			.generation = 2,
			.prebuild = true,
			.wants_device = true,
			.devices = 1,
			.modules = w->modules[d],
			.n_modules = 1,
			.pairs = w->pairs[d],
		};
	}
	w->in = (struct plan_input){ w->kernels, kernels, w->drivers, drivers, false };
}

/* What there is of driver @d for kernel @k; a build that failed may be tried again at 500. */
static void set_pair(struct world *w, size_t d, size_t k, enum plan_artifact artifact,
	enum plan_installed installed)
{
	w->pairs[d][k].artifact = artifact;
	w->pairs[d][k].key = "key";
	w->pairs[d][k].installed = installed;
	if (artifact == PLAN_ARTIFACT_FAILED)
		w->pairs[d][k].failure = (struct plan_failure){ REASON_BUILD_FAILED,
			"edu.c:1: no", 500 };
}

/* The actions of @p, "build:edu@6.1.0-47 …"; @b is the caller's to end. */
static const char *actions_text(
	const struct world *w, const struct plan *p, struct buf *b)
{
	buf_init(b, 4096);
	for (size_t i = 0; i < p->n_actions; i++) {
		const struct plan_action *x = &p->actions[i];

		(void)buf_fmt(b, "%s%s", i ? " " : "", plan_verb_names[x->verb]);
		if (x->driver != SIZE_MAX)
			(void)buf_fmt(b, ":%s", w->drivers[x->driver].name);
		if (x->kernel != SIZE_MAX)
			(void)buf_fmt(b, "@%s", w->kernels[x->kernel].release);
	}
	return buf_cstr(b);
}
