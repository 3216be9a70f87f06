// SPDX-License-Identifier: Apache-2.0
/* Sums the nodes up into the status of drivers and classes. */
#include "summary.h"

#include "cond.h"
#include "jhash.h"
#include "kube.h"
#include "wave.h"

/* ---- counting ---- */

static const struct view_driver_state *state_of(
	const struct view_node *n, const char *driver)
{
	for (size_t i = 0; i < n->states.n; i++)
		if (streq(VIEW_AT(struct view_driver_state, n->states, i)->name, driver))
			return VIEW_AT(struct view_driver_state, n->states, i);
	return NULL;
}

static void add_kernel(struct plan_driver *d, const struct view_kernel *k)
{
	/* which of two states is the one to show: the worse */
	static const int rank[API_KERNEL_STATES_] = {
		[API_KERNEL_NOT_APPLICABLE] = 0,
		[API_KERNEL_READY] = 1,
		[API_KERNEL_PENDING] = 2,
		[API_KERNEL_BUILDING] = 3,
		[API_KERNEL_FAILED] = 4,
	};
	struct plan_kernel *out = NULL;

	for (size_t i = 0; i < d->n_kernels && !out; i++)
		if (streq(d->kernels[i].release, k->release))
			out = &d->kernels[i];
	if (!out && d->n_kernels == PLAN_KERNELS_MAX)
		return;
	if (!out) { /* in its place by name */
		out = &d->kernels[d->n_kernels++];
		for (; out > d->kernels && strcmp(out[-1].release, k->release) > 0; out--)
			*out = out[-1];
		*out = (struct plan_kernel){
			.release = k->release,
			.state = API_KERNEL_NOT_APPLICABLE,
			.artifact = "",
			.reason = "",
		};
	}
	out->nodes++;
	if (k->state < API_KERNEL_STATES_ && rank[k->state] > rank[out->state])
		out->state = k->state;
	if (k->state == API_KERNEL_FAILED && !*out->reason)
		out->reason = k->reason;
	/* the same of all nodes, whatever order they come in */
	if (*k->artifact && (!*out->artifact || strcmp(k->artifact, out->artifact) < 0))
		out->artifact = k->artifact;
	out->build_seconds = MAX(out->build_seconds, (int64_t)k->build_seconds);
}

static void note_failure(
	struct plan_driver *d, const struct view_node *n, const char *reason)
{
	d->failed++;
	if (d->first_failed && strcmp(d->first_failed, n->name) < 0)
		return;
	d->first_failed = n->name;
	d->first_failed_reason = reason;
}

static void add_driver(struct plan_driver *d, const struct view_node *n,
	const struct view_assign *s, const struct view_upgrade *up)
{
	const struct view_driver_state *st = state_of(n, s->name);
	bool is_current = st && st->generation == d->driver->d.meta.generation;
	bool is_target = wave_targets(up->target, s->name, d->driver->d.meta.generation);

	d->desired++;
	if (!n->is_ready)
		d->offline++;
	if (s->unload) {
		if (st && st->state == API_DRIVER_UNLOADED)
			d->unloaded++;
		else if (n->is_ready)
			d->unload_left++;
	}
	if (up->state == API_UPGRADE_FAILED && is_target)
		note_failure(d, n, up->reason);
	else if (is_current && st->state == API_DRIVER_FAILED)
		note_failure(d, n, st->reason);
	else if (is_current && st->state == API_DRIVER_LOADED &&
		 !(is_target &&
			 wave_is_active(up->state))) /* not before it is uncordoned */
		d->ready++;
	if (is_target && wave_is_active(up->state))
		d->upgrading++;
	if (is_target && up->state == API_UPGRADE_REQUIRED)
		d->waiting++;
}

static void add_class(struct plan_class *c, const struct view_node *n)
{
	int64_t devices = 0;

	for (size_t i = 0; i < n->devices.n; i++) {
		const struct view_class_devices *d = VIEW_AT(
			struct view_class_devices, n->devices, i);

		if (!streq(d->class_name, c->class_->name))
			continue;
		devices += d->total;
		c->healthy += d->healthy;
	}
	c->devices += devices;
	c->nodes += devices > 0;
}

void summary_add(struct plan *p, const struct view_node *n, const struct list *assigns,
	const struct view_upgrade *up)
{
	for (size_t i = 0; i < assigns->n; i++) {
		const struct view_assign *s = VIEW_AT(struct view_assign, *assigns, i);
		struct plan_driver *d = plan_find_driver(
			p->drivers, p->n_drivers, s->name);

		if (!d)
			continue;
		add_driver(d, n, s, up);
		for (size_t k = 0; k < n->kernels.n; k++) {
			const struct view_kernel *row = VIEW_AT(
				struct view_kernel, n->kernels, k);

			if (streq(row->driver, s->name))
				add_kernel(d, row);
		}
	}
	for (size_t i = 0; i < p->n_classes; i++)
		add_class(&p->classes[i], n);
	p->n_upgrading += wave_is_active(up->state);
	p->n_offline += !n->is_ready;
}

/* ---- conditions ---- */

struct saying {
	struct arena *a;
	struct list *conds;
	int64_t generation;
	char now[32];
	int r;
};

static void say(struct saying *s, const char *type, bool is_true, const char *reason,
	const char *message)
{
	if (s->r >= 0)
		s->r = cond_set(s->a, s->conds, type, is_true, reason, message,
			s->generation, s->now);
}

/* Conditions that are there only while they are true (kstatus). */
static void say_if(struct saying *s, const char *type, bool is_true, const char *reason,
	const char *message)
{
	if (is_true)
		say(s, type, true, reason, message);
	else
		cond_remove(s->conds, type);
}

static struct saying begin(struct arena *a, const struct list *stored, struct list *conds,
	int64_t generation, int64_t now)
{
	struct saying s = { .a = a, .conds = conds, .generation = generation };
	struct api_condition *copy = NULL;

	kube_time((uint64_t)now * USEC_PER_SEC, s.now);
	if (stored->n > 0) {
		copy = arena_array(a, stored->n, sizeof(*copy));
		if (copy)
			memcpy(copy, stored->items, stored->n * sizeof(*copy));
		else
			s.r = -ENOMEM;
	}
	*conds = (struct list){ copy, copy ? stored->n : 0 };
	return s;
}

static const struct plan_kernel *unbuildable(const struct plan_driver *d)
{
	for (size_t i = 0; i < d->n_kernels; i++)
		if (d->kernels[i].state == API_KERNEL_FAILED)
			return &d->kernels[i];
	return NULL;
}

static void say_ready(struct saying *s, struct plan_driver *d, const char *counts)
{
	if (d->driver->invalid)
		say(s, "Ready", false, reason_name(d->driver->invalid_reason),
			d->driver->invalid);
	else if (d->desired == 0)
		say(s, "Ready", false,
			d->conflicts > 0 ? reason_name(REASON_CONFLICT)
					 : reason_name(REASON_NO_MATCHING_NODES),
			"no node has both the labels and the devices");
	else if (d->ready == d->desired)
		say(s, "Ready", true, "AllNodesReady", counts);
	else
		say(s, "Ready", false, d->failed > 0 ? "NodesFailed" : "NodesNotReady",
			counts);
}

static void say_stalled(struct saying *s, struct plan_driver *d)
{
	if (d->driver->invalid)
		say(s, "Stalled", true, reason_name(d->driver->invalid_reason),
			d->driver->invalid);
	else if (d->is_stopped)
		say(s, "Stalled", true, reason_name(REASON_ROLLOUT_STOPPED),
			view_str(arena_fmt(s->a,
				"%d nodes failed with %s, the first is '%s'; edit the "
				"driver to go on",
				PLAN_BREAKER, d->stop_reason,
				view_str(d->first_failed))));
	else if (d->desired > 0 && d->failed > 0 && d->failed + d->ready == d->desired)
		say(s, "Stalled", true, "NodesFailed",
			view_str(arena_fmt(s->a, "node '%s': %s",
				view_str(d->first_failed),
				view_str(d->first_failed_reason))));
	else
		cond_remove(s->conds, "Stalled");
}

static void say_degraded(struct saying *s, const struct view *v, struct plan_driver *d)
{
	const struct plan_kernel *k = unbuildable(d);

	/* It may be an attack: nothing else is told before it. */
	if (d->share_note && d->share_reason == REASON_BUILDERS_DISAGREE)
		say(s, "Degraded", true, reason_name(d->share_reason), d->share_note);
	else if (d->failed > 0)
		say(s, "Degraded", true, "NodesFailed",
			view_str(arena_fmt(s->a, "%lld failed, the first is '%s': %s",
				(long long)d->failed, view_str(d->first_failed),
				view_str(d->first_failed_reason))));
	else if (k)
		say(s, "Degraded", true, *k->reason ? k->reason : "BuildFailed",
			view_str(arena_fmt(s->a, "no module for kernel %s: %s",
				k->release, k->reason)));
	else if (d->large_gang)
		say(s, "Degraded", true, WAVE_GANG_LARGE,
			view_str(arena_fmt(s->a,
				"gang '%s' spans more nodes than maxUnavailable allows: its "
				"jobs are waited for, then the nodes go one by one",
				d->large_gang)));
	else if (d->share_note)
		say(s, "Degraded", true, reason_name(d->share_reason), d->share_note);
	else if (v->schema_note)
		say(s, "Degraded", true, "DefinitionsOutdated", v->schema_note);
	else
		say(s, "Degraded", false, "AsExpected", "");
}

/* On all nodes that can be asked, and not by luck: nothing failed and nothing is on its way. */
static bool is_good(const struct plan_driver *d)
{
	return d->driver->has_spec && !d->driver->invalid && !d->driver->deleted_at &&
	       d->ready > 0 && d->failed == 0 && d->upgrading == 0 && d->waiting == 0 &&
	       d->ready + d->offline >= d->desired;
}

static int finish_driver(
	struct arena *a, const struct view *w, struct plan_driver *d, int64_t now)
{
	const struct view_driver *v = d->driver;
	struct saying s = begin(a, &v->conditions, &d->conditions, v->generation, now);
	bool is_moving;
	const char *counts = arena_fmt(a,
		"%lld of %lld ready, %lld failed, %lld upgrading, %lld waiting, %lld offline",
		(long long)d->ready, (long long)d->desired, (long long)d->failed,
		(long long)d->upgrading, (long long)d->waiting, (long long)d->offline);

	if (!counts)
		return -ENOMEM;
	d->is_good = is_good(d);
	is_moving = d->desired > d->ready + d->failed && !d->is_stopped && !v->invalid;
	say_ready(&s, d, counts);
	say_if(&s, "Reconciling", is_moving || v->deleted_at,
		v->deleted_at ? "Unloading" : "Progressing", counts);
	say_stalled(&s, d);
	say_degraded(&s, w, d);
	if (d->conflicts > 0)
		say(&s, "Conflict", true, reason_name(REASON_CONFLICT),
			view_str(arena_fmt(a,
				"driver '%s', which is older, has these devices on %lld "
				"node(s)",
				d->conflict_with, (long long)d->conflicts)));
	else
		say(&s, "Conflict", false, "AsExpected", "");
	return s.r;
}

static void finish_finalizer(struct plan *p, struct plan_driver *d, int64_t now)
{
	const struct view_driver *v = d->driver;
	bool wants = v->has_spec && v->d.spec.deletion_policy == API_DELETION_UNLOAD;

	if (!v->deleted_at) {
		d->add_finalizer = wants && !v->has_finalizer;
		d->drop_finalizer = v->has_spec && !wants && v->has_finalizer;
		return;
	}
	if (!v->has_finalizer)
		return;
	d->drop_finalizer = !wants || d->unload_left == 0 ||
			    now - v->deleted_at >= PLAN_UNLOAD_MAX_S;
	if (!d->drop_finalizer)
		p->wake_at = MIN(p->wake_at, v->deleted_at + PLAN_UNLOAD_MAX_S);
}

static int finish_class(struct arena *a, struct plan_class *c, int64_t now)
{
	const struct view_class *v = c->class_;
	struct saying s = begin(a, &v->conditions, &c->conditions, v->generation, now);
	const char *counts = arena_fmt(a, "%lld devices on %lld nodes, %lld healthy",
		(long long)c->devices, (long long)c->nodes, (long long)c->healthy);

	if (!counts)
		return -ENOMEM;
	if (v->invalid)
		say(&s, "Ready", false, reason_name(REASON_MANIFEST_INVALID), v->invalid);
	else if (c->devices == 0)
		say(&s, "Ready", false, reason_name(REASON_NO_MATCHING_DEVICES),
			"no node has a device that matches");
	else
		say(&s, "Ready", true, "DevicesFound", counts);
	say_if(&s, "Stalled", v->invalid, reason_name(REASON_MANIFEST_INVALID),
		view_str(v->invalid));
	say(&s, "Degraded", c->healthy < c->devices,
		c->healthy < c->devices ? "DevicesUnhealthy" : "AsExpected",
		c->healthy < c->devices ? counts : "");
	return s.r;
}

int summary_finish(struct arena *a, const struct view *v, struct plan *p, int64_t now)
{
	int r;

	for (size_t i = 0; i < p->n_drivers; i++) {
		finish_finalizer(p, &p->drivers[i], now);
		r = finish_driver(a, v, &p->drivers[i], now);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < p->n_classes; i++) {
		r = finish_class(a, &p->classes[i], now);
		if (r < 0)
			return r;
	}
	return 0;
}
