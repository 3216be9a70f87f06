// SPDX-License-Identifier: Apache-2.0
/* Leader election over a coordination.k8s.io Lease, by the rules of the field's controllers:
 * 15 s duration, 10 s renew deadline, 2 s retry; released when freed while leading. */
#pragma once

#include "kube.h"

struct lease;
struct lease_options {
	const char *namespace_, *name, *identity;
	uint64_t duration_us, renew_deadline_us, retry_us; /* 0: the defaults above */
	/* Whether the API server answers for the Lease: the first time, then on change; @why is "" when
	 * it does. It must not free the lease. May be NULL. */
	void (*on_link)(bool is_up, const char *why, void *user);
};

/* @on_change(true) when we lead, (false) when we no longer do: then nothing may be written any more. */
int lease_new(struct kube *k, const struct lease_options *o,
	void (*on_change)(bool is_leader, void *user), void *user, struct lease **ret,
	struct err *e) _must_check_;
bool lease_is_leader(const struct lease *l);
/* Gives the lease up (best effort, @done from the loop when answered or after 2 s); then lease_free().
 * No longer leader at once; on_change is not called for it. */
void lease_release(struct lease *l, void (*done)(void *user), void *user);
void lease_free(struct lease *l);
DEFINE_CLEANUP(struct lease, lease_free)
