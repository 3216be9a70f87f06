// SPDX-License-Identifier: Apache-2.0
/* The states of an upgrade that wait for pods: jobs to end, device holders and the rest to go. */
#include "wave_step.h"

enum { POLL_PODS_S = 2 }; /* how often a draining node's pods are listed */

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

	/* What spans several nodes is evicted from all of them or from none. */
	if (s->up->state == API_UPGRADE_WAIT_FOR_JOBS && !wave_peers_waited(s->w, s->n)) {
		step_show(s, WAVE_GANG, "");
		return;
	}

	while (state != API_UPGRADE_REPLACE && !wave_wants_state(&s->policies, state))
		state = next[state];
	step_enter(s, state == API_UPGRADE_REPLACE ? step_work(s) : state, "", "");
}

static void pods_too_late(struct step *s, const struct wave_verdict *v)
{
	if (s->up->state ==
		API_UPGRADE_WAIT_FOR_JOBS) /* waited long enough: they go now */
		next_pod_state(s);
	else if (v->refused)
		step_fail(s, reason_name(REASON_DRAIN_BLOCKED),
			step_text(s, "pod ", v->refused->name,
				" may not be evicted: see force and deleteEmptyDir"));
	else if (v->blocked)
		step_fail(s, reason_name(REASON_DRAIN_BLOCKED),
			"a PodDisruptionBudget kept its pods");
	else
		step_fail(
			s, reason_name(REASON_DRAIN_TIMEOUT), "pods did not end in time");
}

/* WAIT_FOR_JOBS, POD_DELETION, DRAIN */
int step_pods(struct step *s)
{
	struct wave_verdict v = { 0 };
	int r;

	if (!s->v->is_unschedulable) {
		step_fail(s, reason_name(REASON_DRAIN_BLOCKED),
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
	if (step_is_late(s, wave_state_limit(&s->policies, s->up->state))) {
		pods_too_late(s, &v);
		return 0;
	}
	if (v.refused)
		step_show(s, WAVE_BLOCKED_POD, v.refused->name);
	else if (v.blocked)
		step_show(s, reason_name(REASON_DRAIN_BLOCKED),
			"a PodDisruptionBudget keeps pods here");
	else
		step_show(s, "", "");
	if (s->w->now - s->v->pods->listed_at >= POLL_PODS_S)
		s->n->need_pods = true;
	step_wake(s->w, s->v->pods->listed_at + POLL_PODS_S);
	return 0;
}
