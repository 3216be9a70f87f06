// SPDX-License-Identifier: Apache-2.0
/* A node on which the new generation failed gets the last good one back, drained as it still is. The
 * record keeps the target and the reason, so that the node counts as failed and is not tried again. */
#include "wave_step.h"

static bool goes_back(const struct step *s, const struct plan_driver *d)
{
	const struct api_upgrade_policy *p = &d->driver->d.spec.upgrade_policy;
	int64_t generation = d->driver->d.meta.generation;

	return d->driver->has_spec && (!p->present || p->rollback_on_failure) &&
	       d->driver->good.generation > 0 &&
	       d->driver->good.generation != generation &&
	       wave_targets(s->up->target, d->driver->name, generation);
}

/* Gives the drivers of the target their last good generation. 1 when there was one to give. */
static int give_back(struct step *s)
{
	struct view_assign *copy = arena_array(
		s->w->a, s->n->assigns.n + 1, sizeof(*copy));
	int r = 0;

	if (!copy)
		return -ENOMEM;
	for (size_t i = 0; i < s->n->assigns.n; i++) {
		struct plan_driver *d = wave_driver(s->w, s->n, i);

		copy[i] = *VIEW_AT(struct view_assign, s->n->assigns, i);
		if (!d || !goes_back(s, d))
			continue;
		copy[i].generation = d->driver->good.generation;
		r = 1;
	}
	if (r > 0)
		s->n->assigns.items = copy;
	return r;
}

int step_fail_build(struct step *s, const char *reason, const char *message)
{
	int r = give_back(s);

	if (r > 0)
		step_enter(s, API_UPGRADE_ROLLBACK, reason, message);
	else if (r == 0)
		step_fail(s, reason, message);
	return r < 0 ? r : 0;
}

static void end(struct step *s, const char *how)
{
	const char *message = arena_fmt(s->w->a, "%s; %s", s->up->message, how);

	step_fail(s, s->up->reason, view_str(message));
}

int step_rollback(struct step *s)
{
	bool is_back = true, is_hopeless = false;

	for (size_t i = 0; i < s->n->assigns.n; i++) {
		const struct view_assign *a = VIEW_AT(
			struct view_assign, s->n->assigns, i);
		struct plan_driver *d = wave_driver(s->w, s->n, i);
		const struct view_driver_state *st = wave_state_of(s->v, a->name);

		if (!d || a->generation == d->driver->d.meta.generation)
			continue;
		if (!st || st->generation != a->generation || !step_is_settled(st))
			is_back = false;
		if (st && st->generation == a->generation &&
			st->state == API_DRIVER_FAILED && !step_is_passing(st->reason))
			is_hopeless = true;
	}
	if (is_back)
		end(s, "the last good version runs again");
	else if (is_hopeless || step_is_late(s, step_validation_limit(s)))
		end(s, "the last good version could not be loaded again");
	return 0;
}
