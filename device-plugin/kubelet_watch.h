// SPDX-License-Identifier: Apache-2.0
/* The kubelet's policies, looked up now and then in a child: its files and its process may hang. */
#pragma once

#include "kubelet_policy.h"
#include "loop.h"

struct kubelet_watch;

/* Asks after @delay_us and then every minute; @on_change is called when the answer is another one. @where's
 * texts outlive it. */
int kubelet_watch_new(struct loop *l, const struct kubelet_where *where,
	uint64_t delay_us, void (*on_change)(void *user), void *user,
	struct kubelet_watch **ret);
void kubelet_watch_free(struct kubelet_watch *w);
DEFINE_CLEANUP(struct kubelet_watch, kubelet_watch_free)

/* Not known before the first answer. */
const struct kubelet_policy *kubelet_watch_policy(const struct kubelet_watch *w);
/* Why it could not be read; NULL when it could, or none was found. */
const char *kubelet_watch_error(const struct kubelet_watch *w);
/* A first answer is still to come. */
bool kubelet_watch_pending(const struct kubelet_watch *w);
