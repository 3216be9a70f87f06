// SPDX-License-Identifier: Apache-2.0
/* Kubernetes conditions by the kstatus rules: Ready from the first status write, Reconciling and Stalled only when true. */
#pragma once

#include "api.h"

/* Sets or replaces the condition of @type in @list (struct api_condition, arena memory); the
 * transition time changes only when the status does. @now RFC 3339. -ENOMEM. */
int cond_set(struct arena *a, struct list *conds, const char *type, bool is_true,
	const char *reason, const char *message, int64_t generation, const char *now);
void cond_remove(struct list *conds, const char *type);
const struct api_condition *cond_get(const struct list *conds, const char *type);
