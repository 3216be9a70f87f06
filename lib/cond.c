// SPDX-License-Identifier: Apache-2.0
/* Conditions: set, replaced, removed; the time moves only with the status. */
#include "cond.h"

static struct api_condition *find(const struct list *conds, const char *type)
{
	struct api_condition *c = conds->items;
	size_t i;

	for (i = 0; i < conds->n; i++)
		if (streq(c[i].type, type))
			return &c[i];
	return NULL;
}

const struct api_condition *cond_get(const struct list *conds, const char *type)
{
	return find(conds, type);
}

int cond_set(struct arena *a, struct list *conds, const char *type, bool is_true,
	const char *reason, const char *message, int64_t generation, const char *now)
{
	struct api_condition *old = find(conds, type), *items;
	struct api_condition c = { .status = is_true ? "True" : "False",
		.observed_generation = generation };

	c.type = old ? old->type : arena_strdup(a, type);
	/* The API server refuses a condition without a reason. */
	c.reason = arena_strdup(a, str_empty(reason) ? type : reason);
	c.message = arena_strdup(a, message ? message : "");
	if (old && old->last_transition_time && streq(old->status, c.status))
		c.last_transition_time = old->last_transition_time;
	else
		c.last_transition_time = arena_strdup(a, now);
	if (!c.type || !c.reason || !c.message || !c.last_transition_time)
		return -ENOMEM;
	if (old) {
		*old = c;
		return 0;
	}
	items = arena_array(a, conds->n + 1, sizeof(*items));
	if (!items)
		return -ENOMEM;
	if (conds->n > 0)
		memcpy(items, conds->items, conds->n * sizeof(*items));
	items[conds->n] = c;
	conds->items = items;
	conds->n++;
	return 0;
}

void cond_remove(struct list *conds, const char *type)
{
	struct api_condition *c = find(conds, type), *all = conds->items;

	if (!c)
		return;
	memmove(c, c + 1, (size_t)(all + conds->n - (c + 1)) * sizeof(*c));
	conds->n--;
}
