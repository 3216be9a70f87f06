// SPDX-License-Identifier: Apache-2.0
/* One step of one node: what wave.c (begin and end), wave_drain.c (pods) and wave_validate.c (the agent's
 * part) share. */
#pragma once

#include "wave_inside.h"

struct step {
	struct wave *w;
	struct wave_node *n;
	const struct view_node *v;
	struct view_upgrade *up; /* the next record, at first a copy of the stored one */
	struct wave_policies policies; /* of the drivers in the target */
	const char *pending,
		*startable; /* targets: drivers that wait here; that may start */
	const char *held; /* why the others may not */
	bool is_unsettled; /* some driver here is still being built */
};

/* Goes to another state, now. */
void step_enter(struct step *s, int state, const char *reason, const char *message);
void step_fail(struct step *s, const char *reason, const char *message);
/* Shows why nothing happens, without leaving the state. */
void step_show(struct step *s, const char *reason, const char *message);
/* Sees to being asked again at @at. */
void step_wake(struct wave *w, int64_t at);
/* True when @limit seconds (0: for ever) have passed in this state; else sees to being asked again. */
bool step_is_late(struct step *s, int64_t limit);
/* "<before>'<name>'<after>" */
const char *step_text(
	struct step *s, const char *before, const char *name, const char *after);

/* Whether a driver runs as wanted; every driver of the target. */
bool step_is_settled(const struct view_driver_state *st);
bool step_all_loaded(struct step *s);

/* How the agent is to bring the target about: REPLACE or REBOOT. */
int step_work(struct step *s);

/* The states. */
int step_pods(struct step *s) _must_check_; /* WAIT_FOR_JOBS, POD_DELETION, DRAIN */
int step_replace(struct step *s) _must_check_;
int step_reboot(struct step *s) _must_check_;
int step_validation(struct step *s) _must_check_;
int step_rollback(struct step *s) _must_check_;

/* wave_rollback.c: the new build failed: back to the last good one where there is one. -ENOMEM. */
int step_fail_build(struct step *s, const char *reason, const char *message) _must_check_;
/* wave_validate.c */
int64_t step_validation_limit(const struct step *s);
bool step_is_passing(const char *reason);
