// SPDX-License-Identifier: Apache-2.0
/*
 * Which node builds what, where the fleet shares its builds. Pure.
 *
 * For each driver's generation and kernel one node is asked: a claim, with an epoch that counts the
 * nodes that were asked. It lies in the AcceleratorNodes of all that wait for it, so nothing is lost
 * with the controller. It passes on when its node is not Ready, failed, or took too long; after
 * CLAIM_EPOCHS_MAX of them every node builds for itself. What was published is handed on only when a
 * node that may build for others says so of itself. With v->quorum above 1 several are asked, and have
 * to have built the same (claim_quorum.c).
 */
#pragma once

#include "arena.h"
#include "view.h"

enum { CLAIM_EPOCHS_MAX = 3, CLAIM_MARGIN_S = 15 * 60, CLAIM_TIMEOUT_S = 30 * 60 };
/* How many may have to agree; how many more than those are asked; how long builders that are missing are
 * waited for. */
enum {
	CLAIM_QUORUM_MAX = 9,
	CLAIM_SPARE = 4,
	CLAIM_ASKED_MAX = CLAIM_QUORUM_MAX + CLAIM_SPARE,
	CLAIM_GATHER_S = 120
};

/* Why builders of a driver that have to agree do not: they disagree, or are too few. */
struct claim_note {
	const char *driver;
	enum reason reason;
	const char *text;
};

/* Whether @name matches one of the shell patterns in @builders ("build-*,n7"). NULL matches nothing. */
bool claim_may_build(const char *builders, const char *name);

/* Fills @ret (struct list of struct view_build for each node of @v, in the arena or the node's own).
 * @assigns: struct list of struct view_assign for each node. *@wake_at is brought forward to when a
 * claim runs out. @ret_notes: struct claim_note, one for a driver at most. Without v->builders every list
 * is empty. -ENOMEM. */
int claim_make(struct arena *a, const struct view *v, const struct list *assigns,
	int64_t now, struct list *ret, struct list *ret_notes, int64_t *wake_at)
	_must_check_;
