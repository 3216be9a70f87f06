// SPDX-License-Identifier: Apache-2.0
/*
 * Other device plugins of the node, as far as one plugin can see them: sockets in the kubelet's folder
 * that somebody listens on, and what the kubelet's checkpoint says is served. A resource that another
 * one serves is left to it: two that register for one name throw each other out.
 */
#pragma once

#include "metrics.h"
#include "snapshot.h"

enum {
	OTHERS_MAX = 64, /* sockets that are looked at */
	OTHERS_CHECKPOINT_MAX = 16 << 20,
};

struct others;

/* @kubelet_dir outlives it. */
int others_new(const char *kubelet_dir, struct others **ret, struct err *e) _must_check_;
void others_free(struct others *o);
DEFINE_CLEANUP(struct others, others_free)

/* Looks who is there. A socket is called once, and again after a minute: it may be left over. */
void others_look(struct others *o, uint64_t now_us);
/* Is anybody there? */
bool others_any(const struct others *o);
/* Takes the resources that another plugin serves out of @s; their claims say who does. Logs when that
 * changes, and sets a metric; @m NULL: neither. -ENOMEM. */
int others_apply(struct others *o, struct snapshot *s, struct metrics *m) _must_check_;
