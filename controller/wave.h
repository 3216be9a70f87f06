// SPDX-License-Identifier: Apache-2.0
/*
 * Waves: how one node after another gets a new build of its drivers. Pure. Each call takes every
 * node at most one step, from the record that is stored in its AcceleratorNode. What a state does
 * to the cluster (cordon, evictions) is done only while its record is stored, so that whoever
 * leads next knows what was begun.
 */
#pragma once

#include "plan.h"

struct wave_node {
	struct view_node *node;
	struct list assigns; /* struct view_assign: what it should have */
	/* The next record: that of the view where it stays, else the arena's; see wave_renew(). There is one
	 * wave_node for each node, so that its size decides how much a plan needs. */
	const struct view_upgrade *upgrade;
	struct list evict; /* struct view_pod * */
	enum plan_cordon cordon;
	bool need_pods;
	bool record_before; /* the upgrade begins: keep what is allocatable now */
	bool is_candidate; /* may start if the budget allows */
	bool is_soon; /* will be one: waits for a build */
};

struct wave {
	struct arena *a;
	const struct view *v;
	struct plan_driver *drivers; /* as in the view */
	struct wave_node *nodes; /* as in the view */
	int64_t now, wake_at;
	struct list gangs; /* const char *: to be listed */
	struct wave_node **grouped; /* those whose record names a group */
	size_t n_grouped;
	struct wave_node **sorted; /* all, by name; NULL: not made yet */
};

/* The names that upgrade.reason can have besides those of enum reason. */
#define WAVE_PAUSED "Paused"
#define WAVE_MANUAL "AutoUpgradeOff"
#define WAVE_SKIPPED "Skipped"
#define WAVE_BUDGET "WaitingForBudget"
#define WAVE_BUILD "WaitingForBuild"
#define WAVE_GANG "WaitingForGang"
#define WAVE_GANG_LARGE "GangTooLarge"
#define WAVE_REBOOTING "Rebooting"
#define WAVE_BLOCKED_POD "PodNotEvictable"

/* Takes the steps; @w->nodes[].assigns are filled by the caller, the rest is filled here. -ENOMEM. */
int wave_run(struct wave *w) _must_check_;

/* Whether the node is on its way: from cordon to uncordon. */
bool wave_is_active(int state);
/* Whether @target ("edu@3,foo@2") names driver @name; at @generation when that is not 0. */
bool wave_targets(const char *target, const char *name, int64_t generation);
/* Whether the agent may replace modules in this state. */
bool wave_may_replace(int state);

/* wave_pods.c: what a node's pods mean for a state. */
enum { WAVE_DRIVERS_MAX = 16 }; /* of one node that are upgraded at once */
struct wave_policies {
	const struct api_upgrade_policy *p[WAVE_DRIVERS_MAX];
	size_t n;
};
struct wave_verdict {
	size_t left; /* pods that still have to go */
	size_t blocked; /* of those: held by a disruption budget */
	const struct view_pod *refused; /* a pod that policy does not let us evict */
};
/* For WAIT_FOR_JOBS, POD_DELETION, DRAIN. @evict (may be NULL) gets pods to evict now. -ENOMEM. */
int wave_judge_pods(struct arena *a, const struct wave_policies *ps, int state,
	const struct view_pods *pods, int64_t now, struct wave_verdict *ret,
	struct list *evict);
/* Whether the pod would be evicted in some state: its gang is concerned. */
bool wave_would_evict(const struct wave_policies *ps, const struct view_pod *pod);
/* Whether any policy asks for the state at all, and its time limit: 0 is none. */
bool wave_wants_state(const struct wave_policies *ps, int state);
int64_t wave_state_limit(const struct wave_policies *ps, int state);
