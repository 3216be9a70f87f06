// SPDX-License-Identifier: Apache-2.0
/* What claim.c and claim_quorum.c share: one node that wants something, and what is known about it. */
#pragma once

#include "claim.h"

/* One node that wants a driver for a kernel. */
struct want {
	const char *driver, *release, *arch;
	int64_t generation;
	size_t node; /* index */
	const struct view_kernel *row;
	const struct view_build
		*stored; /* what its AcceleratorNode says; NULL: nothing */
	const struct view_build *out; /* NULL: nothing to say */
};

struct maker {
	struct arena *a;
	const struct view *v;
	int64_t now, wake_at;
	struct claim_note *notes; /* room for one of each driver */
	size_t n_notes;
};

const char *claim_name(const struct maker *m, const struct want *w);
bool claim_is_in(const struct want *w, enum api_kernel_state state);
bool claim_is_trusted(const struct maker *m, const struct want *w);
/* Published by a node that may build for others. */
bool claim_is_published(const struct maker *m, const struct want *w);
/* Can it be asked, or go on being asked? */
bool claim_is_able(const struct maker *m, const struct want *w);
/* Seconds that a node has for a build of @driver. */
int64_t claim_time_limit(const struct maker *m, const char *driver);
/* The claim that counts: the latest that any node of the group has stored; NULL: none. */
const struct view_build *claim_latest(const struct want *g, size_t n);

/* claim_quorum.c: decides for a group in which several builders have to agree. -ENOMEM. */
int claim_quorum(struct maker *m, struct want *g, size_t n) _must_check_;
