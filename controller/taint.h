// SPDX-License-Identifier: Apache-2.0
/* The start-up taint: with it a node joins, and without it pods may come. Whoever makes the node puts it
 * there; we only take it away, when the node's devices are advertised. Pure. */
#pragma once

#include "arena.h"
#include "marks.h"

/* Whether every driver of @n runs and the kubelet offers the devices of every class that has some here. */
bool taint_is_over(const struct view *v, const struct view_node *n,
	const struct list *assigns, const struct marks *m);
