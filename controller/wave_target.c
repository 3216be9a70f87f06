// SPDX-License-Identifier: Apache-2.0
/* What an upgrade of a node is for: its drivers that wait, and those that may start. */
#include "wave_inside.h"

#include <stdio.h>

bool wave_is_active(int state)
{
	return state >= API_UPGRADE_CORDON && state <= API_UPGRADE_UNCORDON;
}

bool wave_may_replace(int state)
{
	return state == API_UPGRADE_REPLACE || state == API_UPGRADE_VALIDATION ||
	       state == API_UPGRADE_ROLLBACK;
}

bool wave_targets(const char *target, const char *name, int64_t generation)
{
	size_t len = strlen(name), n;
	char want[32];

	n = (size_t)snprintf(want, sizeof(want), "%lld", (long long)generation);
	for (const char *p = target; p && *p;) {
		const char *end = strchrnul(p, ',');

		if (strncmp(p, name, len) == 0 && p[len] == '@')
			return generation == 0 ||
			       ((size_t)(end - p) == len + 1 + n &&
				       memcmp(p + len + 1, want, n) == 0);
		p = *end ? end + 1 : NULL;
	}
	return false;
}

const struct view_driver_state *wave_state_of(
	const struct view_node *v, const char *driver)
{
	for (size_t i = 0; i < v->states.n; i++) {
		const struct view_driver_state *d = VIEW_AT(
			struct view_driver_state, v->states, i);

		if (streq(d->name, driver))
			return d;
	}
	return NULL;
}

const struct view_driver_state *wave_current(
	const struct view_node *v, const struct plan_driver *d)
{
	const struct view_driver_state *st = wave_state_of(v, d->driver->name);

	return st && st->generation == d->driver->d.meta.generation ? st : NULL;
}

bool wave_is_pending(const struct view_node *v, const struct plan_driver *d)
{
	const struct view_driver_state *st = wave_current(v, d);

	return d->driver->has_spec && !d->driver->deleted_at && st &&
	       st->state == API_DRIVER_UPGRADE_REQUIRED;
}

const char *wave_held(const struct plan_driver *d)
{
	const struct api_driver_spec *spec = &d->driver->d.spec;

	if (spec->paused)
		return WAVE_PAUSED;
	if (d->is_stopped)
		return reason_name(REASON_ROLLOUT_STOPPED);
	if (spec->upgrade_policy.present && !spec->upgrade_policy.auto_upgrade)
		return WAVE_MANUAL;
	return NULL;
}

struct plan_driver *wave_driver(const struct wave *w, const struct wave_node *n, size_t i)
{
	return plan_find_driver(w->drivers, w->v->n_drivers,
		VIEW_AT(struct view_assign, n->assigns, i)->name);
}

const char *wave_target(struct wave *w, const struct wave_node *n, wave_want_fn want)
{
	struct plan_driver *sorted[WAVE_DRIVERS_MAX];
	size_t k = 0;
	const char *out = "";

	for (size_t i = 0; i < n->assigns.n && k < ARRAY_SIZE(sorted); i++) {
		struct plan_driver *d = wave_driver(w, n, i);
		size_t at = k;

		if (!d || !want(n, d))
			continue;
		while (at > 0 &&
			strcmp(sorted[at - 1]->driver->name, d->driver->name) > 0) {
			sorted[at] = sorted[at - 1];
			at--;
		}
		sorted[at] = d;
		k++;
	}
	for (size_t i = 0; i < k && out; i++)
		out = arena_fmt(w->a, "%s%s%s@%lld", out, *out ? "," : "",
			sorted[i]->driver->name,
			(long long)sorted[i]->driver->d.meta.generation);
	return out;
}

bool wave_want_pending(const struct wave_node *n, const struct plan_driver *d)
{
	return wave_is_pending(n->node, d);
}

bool wave_want_startable(const struct wave_node *n, const struct plan_driver *d)
{
	return wave_is_pending(n->node, d) && !wave_held(d);
}

bool wave_want_joined(const struct wave_node *n, const struct plan_driver *d)
{
	return (d->driver->has_spec && !d->driver->deleted_at &&
		       wave_targets(n->upgrade->target, d->driver->name, 0)) ||
	       wave_want_startable(n, d);
}
