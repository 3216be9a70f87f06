// SPDX-License-Identifier: Apache-2.0
/* What the fleet says about each driver and class: counts, kernels, conditions. Pure. */
#pragma once

#include "plan.h"

/* Adds one node to its drivers' and classes' counts. @assigns: what it should have. */
void summary_add(struct plan *p, const struct view_node *n, const struct list *assigns,
	const struct view_upgrade *up);

/* Conditions and finalizers, once all nodes are added. -ENOMEM. */
int summary_finish(struct arena *a, const struct view *v, struct plan *p, int64_t now)
	_must_check_;
