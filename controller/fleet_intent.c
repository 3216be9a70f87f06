// SPDX-License-Identifier: Apache-2.0
/* What is under way for a node: the write whose end is not known, the pods that were listed. */
#include "fleet_inside.h"

static void intent_free(struct fleet *f, struct view_intent *it)
{
	struct view_assign *assigns;

	if (!it)
		return;
	assigns = it->assigns.items;
	intern_put(f->in, it->upgrade.target);
	intern_put(f->in, it->upgrade.reason);
	intern_put(f->in, it->upgrade.message);
	intern_put(f->in, it->upgrade.boot);
	intern_put(f->in, it->upgrade.group);
	for (size_t i = 0; i < it->assigns.n; i++)
		intern_put(f->in, assigns[i].name);
	free(assigns);
	free(it);
}

static int intent_init(struct fleet *f, struct view_intent *it,
	const struct view_upgrade *up, const struct list *assigns)
{
	struct view_assign *copy = calloc(assigns->n + 1, sizeof(*copy));

	if (!copy)
		return -ENOMEM;
	it->assigns.items = copy;
	for (size_t i = 0; i < assigns->n; i++) {
		copy[i] = *VIEW_AT(struct view_assign, *assigns, i);
		copy[i].name = intern_get(f->in, copy[i].name);
		it->assigns.n++;
		if (!copy[i].name)
			return -ENOMEM;
	}
	it->upgrade = (struct view_upgrade){
		.state = up->state,
		.since = up->since,
		.target = intern_get(f->in, up->target),
		.reason = intern_get(f->in, up->reason),
		.message = intern_get(f->in, up->message),
	};
	if (up->group) {
		it->upgrade.group = intern_get(f->in, up->group);
		if (!it->upgrade.group)
			return -ENOMEM;
	}
	if (up->boot) {
		it->upgrade.boot = intern_get(f->in, up->boot);
		if (!it->upgrade.boot)
			return -ENOMEM;
	}
	return it->upgrade.target && it->upgrade.reason && it->upgrade.message ? 0
									       : -ENOMEM;
}

int fleet_set_intent(struct fleet *f, struct view_node *v, const struct view_upgrade *up,
	const struct list *assigns)
{
	struct view_intent *fresh = up ? calloc(1, sizeof(*fresh)) : NULL;
	int r = up && !fresh ? -ENOMEM : up ? intent_init(f, fresh, up, assigns) : 0;

	if (r < 0) {
		intent_free(f, fresh);
		return r;
	}
	intent_free(f, v->intent);
	v->intent = fresh;
	return 0;
}

/* ---- gangs ---- */

enum { GANG_KEPT_S = 120 };

void fleet_gang_free(void *gang)
{
	struct view_gang *g = gang;

	if (g)
		arena_free(g->arena);
}

int fleet_set_gang(struct fleet *f, struct view_gang **g)
{
	int64_t now = (*g)->listed_at;
	const char *key;
	size_t it = 0;
	void *value;
	int r;

	f->is_dirty = true;
	while (map_next(f->gangs, &it, &key, &value))
		if (((struct view_gang *)value)->listed_at + GANG_KEPT_S < now)
			(void)map_del(f->gangs, key);
	r = map_set(f->gangs, (*g)->key, *g);
	*g = NULL; /* the map frees what it cannot take */
	return r;
}

/* ---- pods ---- */

static void carry_over(struct view_pods *to, const struct view_pods *from)
{
	for (size_t i = 0; i < to->n; i++) {
		for (size_t j = 0; j < from->n; j++) {
			if (!streq(to->pods[i].uid, from->pods[j].uid))
				continue;
			to->pods[i].is_blocked = from->pods[j].is_blocked;
			to->pods[i].retry_at = from->pods[j].retry_at;
		}
	}
}

void fleet_set_pods(struct view_node *n, struct view_pods *pods)
{
	if (pods && n->pods)
		carry_over(pods, n->pods);
	if (n->pods) {
		struct view_pods *old = n->pods;

		n->pods = NULL;
		arena_free(old->arena);
	}
	n->pods = pods;
}
