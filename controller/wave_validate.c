// SPDX-License-Identifier: Apache-2.0
/* The states of an upgrade in which the agent acts: it replaces, and shows that it works. */
#include "assign.h"
#include "wave_step.h"

enum {
	DEFAULT_VALIDATION_S = 600,
	REBOOT_LIMIT_S = 1800, /* at least: large servers take their time */
};

int64_t step_validation_limit(const struct step *s)
{
	int64_t longest = 0;

	for (size_t i = 0; i < s->policies.n; i++)
		longest = MAX(longest, s->policies.p[i]->validation_timeout_seconds);
	return longest > 0 ? longest : DEFAULT_VALIDATION_S;
}

/* Failures that may pass by themselves: they count when time is up. */
bool step_is_passing(const char *reason)
{
	return streq(reason, reason_name(REASON_MODULE_IN_USE)) ||
	       streq(reason, reason_name(REASON_DRIVER_NOT_BOUND)) ||
	       streq(reason, reason_name(REASON_DEVICE_LOST));
}

/* The failure that a driver of the target reports, NULL when none does. */
static const struct view_driver_state *failure(struct step *s)
{
	for (size_t i = 0; i < s->n->assigns.n; i++) {
		struct plan_driver *d = wave_driver(s->w, s->n, i);
		const struct view_driver_state *st = d ? wave_current(s->v, d) : NULL;

		if (st && st->state == API_DRIVER_FAILED &&
			wave_targets(s->up->target, d->driver->name, 0))
			return st;
	}
	return NULL;
}

static int validation_too_late(struct step *s)
{
	const struct view_driver_state *f = failure(s);

	if (f && *f->reason)
		return step_fail_build(s, f->reason,
			step_text(s, "driver ", f->name, " did not recover in time"));
	return step_fail_build(s, reason_name(REASON_VALIDATION_TIMEOUT),
		"the driver was not loaded, bound and advertised in time");
}

int step_work(struct step *s)
{
	for (size_t i = 0; i < s->n->assigns.n; i++) {
		struct plan_driver *d = wave_driver(s->w, s->n, i);
		const struct view_driver_state *st = d ? wave_current(s->v, d) : NULL;

		if (d && d->driver->has_spec &&
			d->driver->d.spec.upgrade_policy.reboot_required &&
			wave_targets(s->up->target, d->driver->name, 0) &&
			!(st && step_is_settled(st)))
			return API_UPGRADE_REBOOT;
	}
	return API_UPGRADE_REPLACE;
}

/* The boot that the record names has to end. What another boot says is of after it. */
int step_reboot(struct step *s)
{
	int64_t limit = MAX(step_validation_limit(s), (int64_t)REBOOT_LIMIT_S);

	if (str_empty(s->up->boot)) {
		s->up->boot = str_empty(s->v->boot_id) ? NULL : s->v->boot_id;
	} else if (s->v->is_ready && !str_empty(s->v->boot_id) &&
		   !streq(s->v->boot_id, s->up->boot)) {
		step_enter(s, API_UPGRADE_VALIDATION, "", "");
		return 0;
	}
	if (s->v->is_ready && !s->v->is_unschedulable)
		step_fail(s, reason_name(REASON_DRAIN_BLOCKED),
			"the node was uncordoned before its reboot");
	else if (!step_is_late(s, limit))
		step_show(s, s->v->is_ready ? "" : WAVE_REBOOTING, "");
	else if (s->v->is_ready)
		step_fail(s, reason_name(REASON_TIMEOUT),
			"the node did not reboot in time; its agent says why");
	else
		step_fail(s, reason_name(REASON_NODE_OFFLINE),
			"the node did not come back from its reboot in time");
	return 0;
}

int step_replace(struct step *s)
{
	if (step_work(s) == API_UPGRADE_REBOOT) {
		step_enter(s, API_UPGRADE_REBOOT, "", "");
		return 0;
	}
	for (size_t i = 0; i < s->n->assigns.n; i++) {
		struct plan_driver *d = wave_driver(s->w, s->n, i);
		const struct view_driver_state *st;

		if (!d || !wave_targets(s->up->target, d->driver->name, 0))
			continue;
		st = wave_current(s->v, d);
		if (st && (step_is_settled(st) || st->state == API_DRIVER_FAILED))
			continue;
		if (step_is_late(s, step_validation_limit(s)))
			return validation_too_late(s);
		return 0;
	}
	step_enter(s, API_UPGRADE_VALIDATION, "", "");
	return 0;
}

static int64_t count_of(const struct list *counts, const char *name)
{
	for (size_t i = 0; i < counts->n; i++)
		if (streq(VIEW_AT(struct view_count, *counts, i)->name, name))
			return VIEW_AT(struct view_count, *counts, i)->n;
	return 0;
}

/* Whether @d drives devices of @k. */
static bool serves(const struct view_driver *d, const struct view_class *k)
{
	const struct list *devices = &d->d.spec.devices, *match = &k->c.spec.match;

	for (size_t i = 0; i < match->n; i++)
		for (size_t j = 0; j < devices->n; j++)
			if (assign_overlap(VIEW_AT(struct api_device_match, *match, i),
				    VIEW_AT(struct api_device_match, *devices, j)))
				return true;
	return devices->n == 0;
}

/* Whether @resource comes from devices of a driver that is being upgraded here. */
static bool is_concerned(struct step *s, const char *resource)
{
	for (size_t i = 0; i < s->w->v->n_classes; i++) {
		const struct view_class *k = s->w->v->classes[i];

		if (!k->has_spec || !streq(view_str(k->c.spec.resource_name), resource))
			continue;
		for (size_t j = 0; j < s->n->assigns.n; j++) {
			struct plan_driver *d = wave_driver(s->w, s->n, j);

			if (d && d->driver->has_spec && serves(d->driver, k) &&
				wave_targets(s->up->target, d->driver->name, 0))
				return true;
		}
	}
	return false;
}

/* Whether fewer devices are healthy than were offered as @c. The plugin says so at once; the Node may still show
 * what was allocatable before the driver went, and a pod that came now would be refused. */
static bool is_away(struct step *s, const struct view_count *c)
{
	int64_t total = 0, healthy = 0, per_device = 1;

	for (size_t i = 0; i < s->w->v->n_classes; i++) {
		const struct view_class *k = s->w->v->classes[i];

		if (!k->has_spec || !streq(view_str(k->c.spec.resource_name), c->name))
			continue;
		if (k->c.spec.sharing.present && k->c.spec.sharing.time_slice.present)
			per_device = MAX(
				per_device, k->c.spec.sharing.time_slice.replicas);
		for (size_t j = 0; j < s->v->devices.n; j++) {
			const struct view_class_devices *d = VIEW_AT(
				struct view_class_devices, s->v->devices, j);

			if (!streq(d->class_name, k->name))
				continue;
			total += d->total;
			healthy += d->healthy;
		}
	}
	return healthy < MIN(total, (c->n + per_device - 1) / per_device);
}

/* Whether the kubelet offers what it offered before; the name of what is missing, or NULL. */
static const char *missing_resource(struct step *s)
{
	for (size_t i = 0; i < s->v->before.n; i++) {
		const struct view_count *c = VIEW_AT(struct view_count, s->v->before, i);

		if (is_concerned(s, c->name) &&
			(count_of(&s->v->allocatable, c->name) < c->n || is_away(s, c)))
			return c->name;
	}
	return NULL;
}

int step_validation(struct step *s)
{
	const struct view_driver_state *f = failure(s);
	const char *missing = missing_resource(s);

	if (f && !step_is_passing(f->reason)) {
		return step_fail_build(s,
			*f->reason ? f->reason : reason_name(REASON_LOAD_FAILED),
			step_text(s, "driver ", f->name, " failed on this node"));
	}
	if (step_all_loaded(s) && !missing) {
		if (wave_peers_validated(s->w, s->n)) /* so that gangs find room again */
			step_enter(s, API_UPGRADE_UNCORDON, "", "");
		else
			step_show(s, WAVE_GANG, "");
		return 0;
	}
	if (step_is_late(s, step_validation_limit(s)))
		return validation_too_late(s);
	if (missing)
		step_show(s, "",
			step_text(s, "waiting for ", missing, " to be allocatable"));
	return 0;
}
