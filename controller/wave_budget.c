// SPDX-License-Identifier: Apache-2.0
/* Who may start an upgrade next: budgets, and the breaker that stops a rollout. */
#include "wave_inside.h"

const struct view_upgrade *wave_effective(const struct view_node *v)
{
	return v->intent ? &v->intent->upgrade : &v->upgrade;
}

struct view_upgrade *wave_renew(struct wave *w, struct wave_node *n)
{
	struct view_upgrade *up = arena_alloc(w->a, sizeof(*up));

	if (!up)
		return NULL;
	*up = *n->upgrade;
	n->upgrade = up;
	return up;
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

void wave_count_busy(struct wave *w, struct wave_node *n, const struct view_upgrade *up)
{
	for (size_t i = 0; i < n->assigns.n; i++) {
		struct plan_driver *d = wave_driver(w, n, i);

		if (!d)
			continue;
		d->busy++;
		if (wave_targets(up->target, d->driver->name, 0) &&
			(!up->group || wave_group_leads(up->group, n->node->name)))
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
		wave_count_busy(w, n, up);
}

int wave_count(struct wave *w)
{
	size_t n = 0;

	for (size_t i = 0; i < w->v->n_nodes; i++) {
		w->nodes[i].node = w->v->nodes[i];
		n += w->v->nodes[i]->upgrade.group != NULL;
		if (w->v->nodes[i]->has_node && w->v->nodes[i]->has_acc)
			count_node(w, &w->nodes[i]);
	}
	if (n == 0)
		return 0;
	w->grouped = arena_array(w->a, n, sizeof(struct wave_node *));
	if (!w->grouped)
		return -ENOMEM;
	for (size_t i = 0; i < w->v->n_nodes; i++)
		if (w->v->nodes[i]->upgrade.group)
			w->grouped[w->n_grouped++] = &w->nodes[i];
	return 0;
}

size_t wave_allowed(const struct plan_driver *d)
{
	const struct api_upgrade_policy *p = &d->driver->d.spec.upgrade_policy;
	struct intstr quarter = { .is_percent = true, .value = 25 };

	return api_budget(p->present ? &p->max_unavailable : &quarter, d->online);
}

bool wave_fits(struct wave *w, const struct wave_node *n, bool is_member)
{
	for (size_t i = 0; i < n->assigns.n; i++) {
		const struct plan_driver *d = wave_driver(w, n, i);
		const struct api_upgrade_policy *p;

		if (!d || !d->driver->has_spec)
			continue;
		p = &d->driver->d.spec.upgrade_policy;
		if (d->busy >= wave_allowed(d))
			return false;
		if (is_member || !wave_is_pending(n->node, d) || wave_held(d))
			continue;
		if (!p->present && d->parallel >= 1)
			return false;
		if (p->present && p->max_parallel > 0 &&
			d->parallel >= (size_t)p->max_parallel)
			return false;
	}
	return true;
}
