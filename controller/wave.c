// SPDX-License-Identifier: Apache-2.0
/* The upgrade of each node as a state machine. */
#include "wave_step.h"

enum {
	CORDON_LIMIT_S = 600,
	GROUP_LIMIT_S = 120, /* for all nodes of a group to be cordoned */
};

/* ---- the record ---- */

void step_enter(struct step *s, int state, const char *reason, const char *message)
{
	s->up->state = state;
	s->up->since = s->w->now;
	s->up->reason = reason;
	s->up->message = message;
	/* Who is done has left: another group may have the same name one day. */
	if (state == API_UPGRADE_REQUIRED || state >= API_UPGRADE_DONE)
		s->up->group = NULL;
	s->up->boot = state == API_UPGRADE_REBOOT ? s->v->boot_id : NULL;
}

void step_wake(struct wave *w, int64_t at)
{
	w->wake_at = MIN(w->wake_at, MAX(at, w->now + 1));
}

/* True when @limit seconds (0: for ever) have passed in this state; else sees to being asked again. */
bool step_is_late(struct step *s, int64_t limit)
{
	if (limit <= 0)
		return false;
	if (s->w->now - s->up->since >= limit)
		return true;
	step_wake(s->w, s->up->since + limit);
	return false;
}

/* Shows why nothing happens, without leaving the state. */
void step_show(struct step *s, const char *reason, const char *message)
{
	if (streq(s->up->reason, reason) && streq(s->up->message, message))
		return;
	s->up->reason = reason;
	s->up->message = message;
}

void step_fail(struct step *s, const char *reason, const char *message)
{
	step_enter(s, API_UPGRADE_FAILED, reason, message);
}

/* "<before>'<name>'<after>" */
const char *step_text(
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

bool step_is_settled(const struct view_driver_state *st)
{
	if (st->state == API_DRIVER_LOADED)
		return st->bound >= st->devices;
	return st->state == API_DRIVER_NOT_APPLICABLE ||
	       (st->state == API_DRIVER_BUILT && st->devices == 0);
}

/* Whether every driver of the target runs as wanted. */
bool step_all_loaded(struct step *s)
{
	for (size_t i = 0; i < s->n->assigns.n; i++) {
		struct plan_driver *d = wave_driver(s->w, s->n, i);
		const struct view_driver_state *st;

		if (!d || !wave_targets(s->up->target, d->driver->name, 0))
			continue;
		st = wave_current(s->v, d);
		if (!st || !step_is_settled(st))
			return false;
	}
	return true;
}

/* ---- states ---- */

/* Whether what waits here is what failed here. */
static bool is_all_tried(const struct step *s)
{
	for (size_t i = 0; i < s->n->assigns.n; i++) {
		struct plan_driver *d = wave_driver(s->w, s->n, i);

		if (d && wave_is_pending(s->v, d) &&
			!wave_targets(s->up->target, d->driver->name,
				d->driver->d.meta.generation))
			return false;
	}
	return true;
}

/* NONE, DONE, FAILED: begin when something is pending that was not tried already. */
static int at_rest(struct step *s)
{
	if (s->up->state == API_UPGRADE_FAILED && *s->up->target && step_all_loaded(s)) {
		step_enter(s, API_UPGRADE_DONE, "", "");
		return 0;
	}
	if (!*s->pending)
		return 0;
	if (s->up->state == API_UPGRADE_FAILED && is_all_tried(s))
		return 0;
	step_enter(s, API_UPGRADE_REQUIRED, "", "");
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
		step_show(s, WAVE_SKIPPED, "the node's label " API_NODE_SKIP_LABEL);
	} else if (!*s->startable) {
		step_show(s, view_str(s->held), "");
	} else if (!s->v->is_ready) {
		step_show(s, reason_name(REASON_NODE_OFFLINE), "");
	} else if (s->is_unsettled && !step_is_late(s, WAVE_SETTLE_LIMIT_S)) {
		step_show(s, WAVE_BUILD, "");
		s->n->is_soon = true;
	} else if (!s->v->is_cordoned) {
		step_show(s, WAVE_BUDGET, "");
		s->n->is_candidate = true;
	}
	return 0;
}

static int at_cordon(struct step *s)
{
	enum wave_peers peers = wave_peers_cordoned(s->w, s->n);

	if (peers ==
		WAVE_PEERS_LOST) { /* nothing was evicted yet: begin anew, together */
		step_enter(s, API_UPGRADE_UNCORDON, "", "");
		return 0;
	}
	if (s->v->is_unschedulable) { /* an admin's own cordon serves as well */
		if (peers == WAVE_PEERS_READY)
			step_enter(s, API_UPGRADE_WAIT_FOR_JOBS, "", "");
		else if (step_is_late(s, GROUP_LIMIT_S))
			step_enter(s, API_UPGRADE_UNCORDON, "", "");
		else
			step_show(s, WAVE_GANG, "");
		return 0;
	}
	s->n->cordon = PLAN_CORDON_ON;
	if (step_is_late(s, CORDON_LIMIT_S))
		step_fail(
			s, reason_name(REASON_TIMEOUT), "the node could not be cordoned");
	return 0;
}

static int at_uncordon(struct step *s)
{
	if (s->v->is_cordoned)
		s->n->cordon = PLAN_CORDON_OFF;
	else
		step_enter(s, API_UPGRADE_DONE, "", "");
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
		step_enter(s, API_UPGRADE_UNCORDON, "", "");
		return true;
	}
	if (!streq(joined, s->up->target)) {
		s->up->target = joined;
		if (wave_may_replace(s->up->state)) {
			step_enter(s, step_work(s), "", "");
			return true;
		}
	}
	if (s->up->state <= API_UPGRADE_DRAIN && step_all_loaded(s)) { /* taken back */
		step_enter(s, API_UPGRADE_UNCORDON, "", "");
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
	if (s->up->state == API_UPGRADE_REBOOT && !s->v->is_deleting)
		return false; /* away because we sent it away: its clock runs */
	if (s->up->state == API_UPGRADE_ROLLBACK) /* its reason is the failure's */
		return !s->v->is_ready || s->v->is_deleting;
	if (!s->v->is_ready || s->v->is_deleting) {
		step_show(s, offline, "");
		return true;
	}
	if (streq(s->up->reason, offline)) {
		step_enter(s, s->up->state, "", "");
		return true;
	}
	return false;
}

static int (*const steps[API_UPGRADE_STATES_])(struct step *s) = {
	[API_UPGRADE_NONE] = at_rest,
	[API_UPGRADE_REQUIRED] = at_required,
	[API_UPGRADE_CORDON] = at_cordon,
	[API_UPGRADE_WAIT_FOR_JOBS] = step_pods,
	[API_UPGRADE_POD_DELETION] = step_pods,
	[API_UPGRADE_DRAIN] = step_pods,
	[API_UPGRADE_REPLACE] = step_replace,
	[API_UPGRADE_REBOOT] = step_reboot,
	[API_UPGRADE_VALIDATION] = step_validation,
	[API_UPGRADE_ROLLBACK] = step_rollback,
	[API_UPGRADE_UNCORDON] = at_uncordon,
	[API_UPGRADE_DONE] = at_rest,
	[API_UPGRADE_FAILED] = at_rest,
};

static bool is_same(const struct view_upgrade *a, const struct view_upgrade *b)
{
	return a->state == b->state && a->since == b->since && a->target == b->target &&
	       a->reason == b->reason && a->message == b->message && a->boot == b->boot &&
	       a->group == b->group;
}

static int advance(struct step *s)
{
	int stored = s->v->upgrade.state;

	s->pending = wave_target(s->w, s->n, wave_want_pending);
	s->startable = wave_target(s->w, s->n, wave_want_startable);
	if (!s->pending || !s->startable)
		return -ENOMEM;
	if (hold_offline(s) || retarget(s))
		return 0;
	collect(s);
	collect_policies(s);
	return steps[stored](s);
}

static int take_step(struct wave *w, struct wave_node *n)
{
	struct view_upgrade next = n->node->upgrade, *up;
	struct step s = { .w = w, .n = n, .v = n->node, .up = &next };
	int r;

	/* Only what we cordoned, and only when no upgrade needs it: whatever came before. */
	if (n->node->is_cordoned && !wave_is_active(n->node->upgrade.state))
		n->cordon = PLAN_CORDON_OFF;
	r = advance(&s);
	if (r < 0 || is_same(&next, n->upgrade))
		return r;
	up = wave_renew(w, n);
	if (!up)
		return -ENOMEM;
	*up = next;
	return 0;
}

int wave_run(struct wave *w)
{
	int r;

	w->wake_at = INT64_MAX;
	r = wave_count(w);
	if (r < 0)
		return r;
	for (size_t i = 0; i < w->v->n_nodes; i++)
		w->nodes[i].upgrade = wave_effective(w->v->nodes[i]);
	for (size_t i = 0; i < w->v->n_nodes; i++) {
		struct wave_node *n = &w->nodes[i];

		if (!n->node->has_node || !n->node->has_acc || n->node->intent)
			continue;
		r = take_step(w, n);
		if (r < 0)
			return r;
	}
	return wave_start(w);
}
