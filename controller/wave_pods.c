// SPDX-License-Identifier: Apache-2.0
/* What the pods of a node mean for a state of its upgrade: to wait for, to evict, in the way. */
#include "wave.h"

/* What an upgradePolicy that says nothing means. */
enum { DEFAULT_TIMEOUT_S = 300 };

bool wave_wants_state(const struct wave_policies *ps, int state)
{
	for (size_t i = 0; i < ps->n; i++) {
		const struct api_upgrade_policy *p = ps->p[i];

		if (state == API_UPGRADE_WAIT_FOR_JOBS && p->wait.present)
			return true;
		if (state == API_UPGRADE_DRAIN && p->drain.present && p->drain.enable)
			return true;
	}
	/* Pods that hold a device go in any case: a module in use cannot be replaced. */
	return state == API_UPGRADE_POD_DELETION;
}

static int64_t limit(const struct api_upgrade_policy *p, int state)
{
	switch (state) {
	case API_UPGRADE_WAIT_FOR_JOBS:
		return p->wait.present ? p->wait.timeout_seconds : -1;
	case API_UPGRADE_POD_DELETION:
		return p->pod_deletion.present ? p->pod_deletion.timeout_seconds
					       : DEFAULT_TIMEOUT_S;
	case API_UPGRADE_DRAIN:
		return p->drain.present && p->drain.enable ? p->drain.timeout_seconds
							   : -1;
	}
	return -1;
}

int64_t wave_state_limit(const struct wave_policies *ps, int state)
{
	int64_t longest = 0;

	for (size_t i = 0; i < ps->n; i++) {
		int64_t s = limit(ps->p[i], state);

		if (s == 0)
			return 0;
		longest = MAX(longest, s);
	}
	return longest;
}

/* Whether @p wants @pod gone (or waited for) in @state. */
static bool concerns(
	const struct api_upgrade_policy *p, int state, const struct view_pod *pod)
{
	switch (state) {
	case API_UPGRADE_WAIT_FOR_JOBS:
		if (!p->wait.present)
			return false;
		if (!p->wait.pod_selector.present)
			return pod->uses_devices;
		return api_selector_match(&p->wait.pod_selector, &pod->labels);
	case API_UPGRADE_POD_DELETION:
		return pod->uses_devices;
	case API_UPGRADE_DRAIN:
		return p->drain.present && p->drain.enable &&
		       api_selector_match(&p->drain.pod_selector, &pod->labels);
	}
	return false;
}

/* Whether @p lets @pod be evicted: a pod that nobody makes again, or that loses data, needs a word. */
static bool permits(
	const struct api_upgrade_policy *p, int state, const struct view_pod *pod)
{
	bool force = state == API_UPGRADE_DRAIN ? p->drain.force : p->pod_deletion.force;
	bool empty_dir = state == API_UPGRADE_DRAIN ? p->drain.delete_empty_dir
						    : p->pod_deletion.delete_empty_dir;

	return (pod->has_controller || force) && (!pod->has_empty_dir || empty_dir);
}

static bool is_exempt(const struct view_pod *pod)
{
	const char *skip = api_kv_get(&pod->labels, API_POD_SKIP_LABEL);

	return pod->is_finished || pod->is_mirror || pod->is_daemon ||
	       (skip && streq(skip, "true"));
}

bool wave_would_evict(const struct wave_policies *ps, const struct view_pod *pod)
{
	for (size_t i = 0; i < ps->n; i++)
		if (!is_exempt(pod) &&
			(concerns(ps->p[i], API_UPGRADE_POD_DELETION, pod) ||
				concerns(ps->p[i], API_UPGRADE_DRAIN, pod)))
			return true;
	return false;
}

int wave_judge_pods(struct arena *a, const struct wave_policies *ps, int state,
	const struct view_pods *pods, int64_t now, struct wave_verdict *ret,
	struct list *evict)
{
	struct wave_verdict v = { 0 };
	struct view_pod **out;
	size_t k = 0;

	out = arena_array(a, pods->n + 1, sizeof(struct view_pod *));
	if (!out)
		return -ENOMEM;
	for (size_t i = 0; i < pods->n; i++) {
		struct view_pod *pod = &pods->pods[i];
		bool wanted = false, permitted = true;

		for (size_t j = 0; j < ps->n; j++) {
			if (!concerns(ps->p[j], state, pod))
				continue;
			wanted = true;
			permitted = permitted && permits(ps->p[j], state, pod);
		}
		if (!wanted || is_exempt(pod))
			continue;
		v.left++;
		if (state == API_UPGRADE_WAIT_FOR_JOBS || pod->is_deleting)
			continue;
		if (!permitted) {
			v.refused = pod;
			continue;
		}
		if (pod->is_blocked)
			v.blocked++;
		if (pod->retry_at <= now)
			out[k++] = pod;
	}
	if (evict)
		*evict = (struct list){ out, k };
	*ret = v;
	return 0;
}
