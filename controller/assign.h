// SPDX-License-Identifier: Apache-2.0
/* Which drivers a node should have. Pure. */
#pragma once

#include "plan.h"

/* Fills @ret (struct view_assign, in the arena, or @n's own list when nothing changed) with the
 * drivers of @n, in order of precedence. Counts conflicts in @drivers (as in @v). A driver once
 * assigned stays while it exists and its nodeSelector was not edited to leave the node out: a label
 * or a device that vanishes never removes it. -ENOMEM. */
int assign_node(struct arena *a, const struct view *v, struct plan_driver *drivers,
	const struct view_node *n, struct list *ret) _must_check_;

/* Whether some device may be matched by both. */
bool assign_overlap(const struct api_device_match *x, const struct api_device_match *y);
