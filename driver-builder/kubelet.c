// SPDX-License-Identifier: Apache-2.0
/* One look at the kubelet, one note. */
#include "kubelet.h"

#include "kubelet_policy.h"

static const uint64_t again_us = 60 * USEC_PER_SEC;

int kubelet_note(const struct env *env, uint64_t now_us, uint64_t *last_us, struct err *e)
{
	struct kubelet_where where = { .root = env->root, .proc = env->proc };
	struct kubelet_policy p = { 0 };
	int r, w;

	if (*last_us && now_us - *last_us < again_us)
		return KUBELET_NOT_YET;
	*last_us = now_us;
	r = kubelet_policy_read(&where, &p, e);
	if (r < 0)
		p.is_known = false;
	w = kubelet_policy_write(env->run, &p, r < 0 ? NULL : e);
	return r < 0 ? r : w;
}
