// SPDX-License-Identifier: Apache-2.0
/* The upgrade of each node as a state machine. */
#include "assign.h"
#include "wave_inside.h"

enum {
	POLL_PODS_S = 2, /* how often a draining node's pods are listed */
	CORDON_LIMIT_S = 600,
	SETTLE_LIMIT_S =
		600, /* how long a node waits for its other drivers' builds, to drain once */
	DEFAULT_VALIDATION_S = 600,
};

struct step {
	struct wave *w;
	struct wave_node *n;
	const struct view_node *v;
	struct view_upgrade *up; /* the next record, at first a copy of the stored one */
	struct wave_policies policies; /* of the drivers in the target */
	const char *pending,
		*startable; /* targets: drivers that wait here; that may start */
	const char *held; /* why the others may not */
	bool is_unsettled; /* some driver here is still being built */
};

/* ---- the record ---- */

static void enter(struct step *s, int state, const char *reason, const char *message)
{
	s->up->state = state;
	s->up->since = s->w->now;
	s->up->reason = reason;
	s->up->message = message;
}

static void wake(struct wave *w, int64_t at)
{
	w->wake_at = MIN(w->wake_at, MAX(at, w->now + 1));
}

/* True when @limit seconds (0: for ever) have passed in this state; else sees to being asked again. */
static bool is_late(struct step *s, int64_t limit)
{
	if (limit <= 0)
		return false;
	if (s->w->now - s->up->since >= limit)
		return true;
	wake(s->w, s->up->since + limit);
	return false;
}

/* Shows why nothing happens, without leaving the state. */
static void show(struct step *s, const char *reason, const char *message)
{
	if (streq(s->up->reason, reason) && streq(s->up->message, message))
		return;
	s->up->reason = reason;
	s->up->message = message;
}

static void fail(struct step *s, const char *reason, const char *message)
{
	enter(s, API_UPGRADE_FAILED, reason, message);
}

/* "<before>'<name>'<after>" */
static const char *text(
	struct step *s, const char *before, const char *name, const char *after)
{
	return view_str(arena_fmt(s->w->a, "%s'%s'%s", before, name, after));
}

static void collect(struct step *s)
{
	for (size_t i = 0; i < s->n->assigns.n; i++) {
		struct plan_driver *d = wave_driver(s->w, s->n, i);
		const struct view_driver_state *st;

		if (!d || !d->driver->has_spec)
			continue;
		st = wave_state_of(s->v, d->driver->name);
		if (wave_is_pending(s->v, d) && wave_held(d) && !s->held)
			s->held = wave_held(d);
		if (!st || st->generation < d->driver->d.meta.generation ||
			st->state == API_DRIVER_PENDING ||
			st->state == API_DRIVER_BUILDING)
			s->is_unsettled = true;
	}
}

static void collect_policies(struct step *s)
{
	s->policies.n = 0;
	for (size_t i = 0; i < s->n->assigns.n; i++) {
		struct plan_driver *d = wave_driver(s->w, s->n, i);

		if (d && d->driver->has_spec &&
			wave_targets(s->up->target, d->driver->name, 0) &&
			s->policies.n < ARRAY_SIZE(s->policies.p))
			s->policies.p[s->policies.n++] =
				&d->driver->d.spec.upgrade_policy;
	}
}

static bool is_settled(const struct view_driver_state *st)
{
	if (st->state == API_DRIVER_LOADED)
		return st->bound >= st->devices;
	return st->state == API_DRIVER_NOT_APPLICABLE ||
	       (st->state == API_DRIVER_BUILT && st->devices == 0);
}

/* Whether every driver of the target runs as wanted. */
static bool all_loaded(struct step *s)
{
	for (size_t i = 0; i < s->n->assigns.n; i++) {
		struct plan_driver *d = wave_driver(s->w, s->n, i);
		const struct view_driver_state *st;

		if (!d || !wave_targets(s->up->target, d->driver->name, 0))
			continue;
		st = wave_current(s->v, d);
		if (!st || !is_settled(st))
			return false;
	}
	return true;
}

/* ---- states ---- */

/* NONE, DONE, FAILED: begin when something is pending that was not tried already. */
static int at_rest(struct step *s)
{
	if (s->up->state == API_UPGRADE_FAILED && *s->up->target && all_loaded(s)) {
		enter(s, API_UPGRADE_DONE, "", "");
		return 0;
	}
	if (!*s->pending)
		return 0;
	if (s->up->state == API_UPGRADE_FAILED && streq(s->up->target, s->pending))
		return 0;
	enter(s, API_UPGRADE_REQUIRED, "", "");
	s->up->target = s->pending;
	return 0;
}

static int at_required(struct step *s)
{
	if (!*s->pending) {
		*s->up = (struct view_upgrade){ API_UPGRADE_NONE, 0, "", "", "" };
		return 0;
	}
	s->up->target = s->pending;
	if (s->v->is_skipped) {
		show(s, WAVE_SKIPPED, "the node's label " API_NODE_SKIP_LABEL);
	} else if (!*s->startable) {
		show(s, view_str(s->held), "");
	} else if (!s->v->is_ready) {
		show(s, reason_name(REASON_NODE_OFFLINE), "");
	} else if (s->is_unsettled && !is_late(s, SETTLE_LIMIT_S)) {
		show(s, WAVE_BUILD, "");
	} else if (!s->v->is_cordoned) {
		show(s, WAVE_BUDGET, "");
		s->n->is_candidate = true;
	}
	return 0;
}

static int at_cordon(struct step *s)
{
	if (s->v->is_unschedulable) { /* an admin's own cordon serves as well */
		enter(s, API_UPGRADE_WAIT_FOR_JOBS, "", "");
		return 0;
	}
	s->n->cordon = PLAN_CORDON_ON;
	if (is_late(s, CORDON_LIMIT_S))
		fail(s, reason_name(REASON_TIMEOUT), "the node could not be cordoned");
	return 0;
}

static bool are_pods_fresh(struct step *s)
{
	const struct view_pods *p = s->v->pods;

	return p && p->for_state == s->v->upgrade.state &&
	       p->for_since == s->v->upgrade.since;
}

static void next_pod_state(struct step *s)
{
	static const int next[API_UPGRADE_STATES_] = {
		[API_UPGRADE_WAIT_FOR_JOBS] = API_UPGRADE_POD_DELETION,
		[API_UPGRADE_POD_DELETION] = API_UPGRADE_DRAIN,
		[API_UPGRADE_DRAIN] = API_UPGRADE_REPLACE,
	};
	int state = next[s->up->state];

	while (state != API_UPGRADE_REPLACE && !wave_wants_state(&s->policies, state))
		state = next[state];
	enter(s, state, "", "");
}

static void pods_too_late(struct step *s, const struct wave_verdict *v)
{
	if (s->up->state ==
		API_UPGRADE_WAIT_FOR_JOBS) /* waited long enough: they go now */
		next_pod_state(s);
	else if (v->refused)
		fail(s, reason_name(REASON_DRAIN_BLOCKED),
			text(s, "pod ", v->refused->name,
				" may not be evicted: see force and deleteEmptyDir"));
	else if (v->blocked)
		fail(s, reason_name(REASON_DRAIN_BLOCKED),
			"a PodDisruptionBudget kept its pods");
	else
		fail(s, reason_name(REASON_DRAIN_TIMEOUT), "pods did not end in time");
}

/* WAIT_FOR_JOBS, POD_DELETION, DRAIN */
static int at_pods(struct step *s)
{
	struct wave_verdict v = { 0 };
	int r;

	if (!s->v->is_unschedulable) {
		fail(s, reason_name(REASON_DRAIN_BLOCKED),
			"the node was uncordoned while it was being drained");
		return 0;
	}
	if (!wave_wants_state(&s->policies, s->up->state)) {
		next_pod_state(s);
		return 0;
	}
	if (!are_pods_fresh(s)) {
		s->n->need_pods = true;
		return 0;
	}
	r = wave_judge_pods(s->w->a, &s->policies, s->up->state, s->v->pods, s->w->now,
		&v, &s->n->evict);
	if (r < 0)
		return r;
	if (v.left == 0) {
		next_pod_state(s);
		return 0;
	}
	if (is_late(s, wave_state_limit(&s->policies, s->up->state))) {
		pods_too_late(s, &v);
		return 0;
	}
	if (v.refused)
		show(s, WAVE_BLOCKED_POD, v.refused->name);
	else if (v.blocked)
		show(s, reason_name(REASON_DRAIN_BLOCKED),
			"a PodDisruptionBudget keeps pods here");
	else
		show(s, "", "");
	if (s->w->now - s->v->pods->listed_at >= POLL_PODS_S)
		s->n->need_pods = true;
	wake(s->w, s->v->pods->listed_at + POLL_PODS_S);
	return 0;
}

static int64_t validation_limit(const struct step *s)
{
	int64_t longest = 0;

	for (size_t i = 0; i < s->policies.n; i++)
		longest = MAX(longest, s->policies.p[i]->validation_timeout_seconds);
	return longest > 0 ? longest : DEFAULT_VALIDATION_S;
}

/* Failures that may pass by themselves: they count when time is up. */
static bool is_passing(const char *reason)
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

static void validation_too_late(struct step *s)
{
	const struct view_driver_state *f = failure(s);

	if (f && *f->reason)
		fail(s, f->reason,
			text(s, "driver ", f->name, " did not recover in time"));
	else
		fail(s, reason_name(REASON_VALIDATION_TIMEOUT),
			"the driver was not loaded, bound and advertised in time");
}

static int at_replace(struct step *s)
{
	for (size_t i = 0; i < s->n->assigns.n; i++) {
		struct plan_driver *d = wave_driver(s->w, s->n, i);
		const struct view_driver_state *st;

		if (!d || !wave_targets(s->up->target, d->driver->name, 0))
			continue;
		st = wave_current(s->v, d);
		if (st && (is_settled(st) || st->state == API_DRIVER_FAILED))
			continue;
		if (is_late(s, validation_limit(s)))
			validation_too_late(s);
		return 0;
	}
	enter(s, API_UPGRADE_VALIDATION, "", "");
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

/* Whether the kubelet offers what it offered before; the name of what is missing, or NULL. */
static const char *missing_resource(struct step *s)
{
	for (size_t i = 0; i < s->v->before.n; i++) {
		const struct view_count *c = VIEW_AT(struct view_count, s->v->before, i);

		if (is_concerned(s, c->name) &&
			count_of(&s->v->allocatable, c->name) < c->n)
			return c->name;
	}
	return NULL;
}

static int at_validation(struct step *s)
{
	const struct view_driver_state *f = failure(s);
	const char *missing = missing_resource(s);

	if (f && !is_passing(f->reason)) {
		fail(s, *f->reason ? f->reason : reason_name(REASON_LOAD_FAILED),
			text(s, "driver ", f->name, " failed on this node"));
		return 0;
	}
	if (all_loaded(s) && !missing) {
		enter(s, API_UPGRADE_UNCORDON, "", "");
		return 0;
	}
	if (is_late(s, validation_limit(s)))
		validation_too_late(s);
	else if (missing)
		show(s, "", text(s, "waiting for ", missing, " to be allocatable"));
	return 0;
}

static int at_uncordon(struct step *s)
{
	if (s->v->is_cordoned)
		s->n->cordon = PLAN_CORDON_OFF;
	else
		enter(s, API_UPGRADE_DONE, "", "");
	return 0;
}

/* ---- one step ---- */

/* What an active node is on its way for may change under it. True when its state was changed. */
static bool retarget(struct step *s)
{
	const char *joined;

	if (!wave_is_active(s->up->state) || s->up->state == API_UPGRADE_UNCORDON)
		return false;
	joined = wave_target(s->w, s->n, wave_want_joined);
	if (!joined)
		return false;
	if (!*joined) { /* nothing left to do here */
		enter(s, API_UPGRADE_UNCORDON, "", "");
		return true;
	}
	if (!streq(joined, s->up->target)) {
		s->up->target = joined;
		if (wave_may_replace(s->up->state)) {
			enter(s, API_UPGRADE_REPLACE, "", "");
			return true;
		}
	}
	if (s->up->state <= API_UPGRADE_DRAIN && all_loaded(s)) { /* taken back */
		enter(s, API_UPGRADE_UNCORDON, "", "");
		return true;
	}
	return false;
}

/* A node that is away neither moves nor ages; its clock starts again when it is back. True: hold. */
static bool hold_offline(struct step *s)
{
	const char *offline = reason_name(REASON_NODE_OFFLINE);

	if (!wave_is_active(s->up->state))
		return false;
	if (!s->v->is_ready || s->v->is_deleting) {
		show(s, offline, "");
		return true;
	}
	if (streq(s->up->reason, offline)) {
		enter(s, s->up->state, "", "");
		return true;
	}
	return false;
}

static int (*const steps[API_UPGRADE_STATES_])(struct step *s) = {
	[API_UPGRADE_NONE] = at_rest,
	[API_UPGRADE_REQUIRED] = at_required,
	[API_UPGRADE_CORDON] = at_cordon,
	[API_UPGRADE_WAIT_FOR_JOBS] = at_pods,
	[API_UPGRADE_POD_DELETION] = at_pods,
	[API_UPGRADE_DRAIN] = at_pods,
	[API_UPGRADE_REPLACE] = at_replace,
	[API_UPGRADE_VALIDATION] = at_validation,
	[API_UPGRADE_UNCORDON] = at_uncordon,
	[API_UPGRADE_DONE] = at_rest,
	[API_UPGRADE_FAILED] = at_rest,
};

static int take_step(struct wave *w, struct wave_node *n)
{
	struct step s = { .w = w, .n = n, .v = n->node, .up = &n->upgrade };
	int stored = n->node->upgrade.state;

	n->upgrade = n->node->upgrade;
	/* Only what we cordoned, and only when no upgrade needs it: whatever came before. */
	if (n->node->is_cordoned && !wave_is_active(stored))
		n->cordon = PLAN_CORDON_OFF;
	s.pending = wave_target(w, n, wave_want_pending);
	s.startable = wave_target(w, n, wave_want_startable);
	if (!s.pending || !s.startable)
		return -ENOMEM;
	if (hold_offline(&s) || retarget(&s))
		return 0;
	collect(&s);
	collect_policies(&s);
	return steps[stored](&s);
}

int wave_run(struct wave *w)
{
	w->wake_at = INT64_MAX;
	wave_count(w);
	for (size_t i = 0; i < w->v->n_nodes; i++) {
		struct wave_node *n = &w->nodes[i];
		int r;

		n->upgrade = *wave_effective(n->node);
		if (!n->node->has_node || !n->node->has_acc || n->node->intent)
			continue;
		r = take_step(w, n);
		if (r < 0)
			return r;
	}
	return wave_start(w);
}
