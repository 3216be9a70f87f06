// SPDX-License-Identifier: Apache-2.0
/* Who may start an upgrade next: budgets, and the breaker that stops a rollout. */
#include "wave_inside.h"

const struct view_upgrade *wave_effective(const struct view_node *v)
{
	return v->intent ? &v->intent->upgrade : &v->upgrade;
}

static void add_signature(struct plan_driver *d, const char *reason)
{
	size_t i = 0;

	while (i < d->n_signatures && !streq(d->signatures[i].reason, reason))
		i++;
	if (i == PLAN_SIGNATURES_MAX)
		return;
	if (i == d->n_signatures)
		d->signatures[d->n_signatures++] = (struct plan_signature){ reason, 0 };
	if (++d->signatures[i].nodes >= PLAN_BREAKER && !d->is_stopped) {
		d->is_stopped = true;
		d->stop_reason = d->signatures[i].reason;
	}
}

/* Adds @n to what its drivers' budgets have used. */
static void count_busy(struct wave *w, struct wave_node *n, const struct view_upgrade *up)
{
	for (size_t i = 0; i < n->assigns.n; i++) {
		struct plan_driver *d = wave_driver(w, n, i);

		if (!d)
			continue;
		d->busy++;
		if (wave_targets(up->target, d->driver->name, 0))
			d->parallel++;
	}
}

static void count_node(struct wave *w, struct wave_node *n)
{
	const struct view_node *v = n->node;
	const struct view_upgrade *up = wave_effective(v);
	/* One that we sent away counts until it is back or given up. */
	bool is_up = v->is_ready || up->state == API_UPGRADE_REBOOT ||
		     v->upgrade.state == API_UPGRADE_REBOOT;

	for (size_t i = 0; i < n->assigns.n; i++) {
		const struct view_assign *s = VIEW_AT(struct view_assign, n->assigns, i);
		struct plan_driver *d = plan_find_driver(
			w->drivers, w->v->n_drivers, s->name);

		if (!d)
			continue;
		if (is_up)
			d->online++;
		if (up->state == API_UPGRADE_FAILED &&
			wave_targets(up->target, s->name, d->driver->d.meta.generation))
			add_signature(d, up->reason);
	}
	/* Also one that has ended and is not free yet, or whose end is not stored yet. */
	if (is_up && (wave_is_active(up->state) || v->is_cordoned ||
			     (wave_is_active(v->upgrade.state) &&
				     v->upgrade.state != API_UPGRADE_UNCORDON)))
		count_busy(w, n, up);
}

void wave_count(struct wave *w)
{
	for (size_t i = 0; i < w->v->n_nodes; i++) {
		w->nodes[i].node = w->v->nodes[i];
		if (w->v->nodes[i]->has_node && w->v->nodes[i]->has_acc)
			count_node(w, &w->nodes[i]);
	}
}

static bool fits(struct wave *w, const struct wave_node *n)
{
	for (size_t i = 0; i < n->assigns.n; i++) {
		const struct plan_driver *d = wave_driver(w, n, i);
		const struct api_upgrade_policy *p;
		struct intstr quarter = { .is_percent = true, .value = 25 };

		if (!d || !d->driver->has_spec)
			continue;
		p = &d->driver->d.spec.upgrade_policy;
		if (d->busy >= api_budget(p->present ? &p->max_unavailable : &quarter,
				       d->online))
			return false;
		if (!wave_is_pending(n->node, d) || wave_held(d))
			continue;
		if (!p->present && d->parallel >= 1)
			return false;
		if (p->present && p->max_parallel > 0 &&
			d->parallel >= (size_t)p->max_parallel)
			return false;
	}
	return true;
}

static int by_name(const void *x, const void *y)
{
	const struct wave_node *const *a = x, *const *b = y;

	return strcmp((*a)->node->name, (*b)->node->name);
}

static int start(struct wave *w, struct wave_node *n)
{
	const char *target = wave_target(w, n, wave_want_startable);

	if (!target)
		return -ENOMEM;
	n->upgrade = (struct view_upgrade){ API_UPGRADE_CORDON, w->now, target, "", "" };
	n->record_before = true;
	count_busy(w, n, &n->upgrade);
	return 0;
}

int wave_start(struct wave *w)
{
	size_t n_nodes = w->v->n_nodes, n = 0, left;
	struct wave_node **c, *own = NULL;
	int r;

	for (size_t i = 0; i < n_nodes; i++)
		n += w->nodes[i].is_candidate;
	if (n == 0)
		return 0;
	c = arena_array(w->a, n, sizeof(struct wave_node *));
	if (!c)
		return -ENOMEM;
	n = 0;
	for (size_t i = 0; i < n_nodes; i++) {
		if (!w->nodes[i].is_candidate)
			continue;
		if (w->v->own_node && streq(w->nodes[i].node->name, w->v->own_node))
			own = &w->nodes[i];
		else
			c[n++] = &w->nodes[i];
	}
	qsort(c, n, sizeof(struct wave_node *), by_name);
	left = n;
	for (size_t i = 0; i < n; i++) {
		if (!fits(w, c[i]))
			continue;
		r = start(w, c[i]);
		if (r < 0)
			return r;
		left--;
	}
	return own && left == 0 && fits(w, own) ? start(w, own) : 0;
}
