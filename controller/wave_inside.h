// SPDX-License-Identifier: Apache-2.0
/* What the files of the wave share: wave.c (states), wave_target.c, wave_budget.c. */
#pragma once

#include "wave.h"

/* The status of a driver on a node; wave_current(): only if it speaks of the current generation. */
const struct view_driver_state *wave_state_of(
	const struct view_node *v, const char *driver);
const struct view_driver_state *wave_current(
	const struct view_node *v, const struct plan_driver *d);

/* Whether @d waits for an upgrade on @v. */
bool wave_is_pending(const struct view_node *v, const struct plan_driver *d);
/* Why @d may not begin on any node now; NULL when it may. */
const char *wave_held(const struct plan_driver *d);
/* The driver of the node's assignment @i; NULL when it is gone. */
struct plan_driver *wave_driver(
	const struct wave *w, const struct wave_node *n, size_t i);

/* "a@1,b@2": those of the node's drivers that @want, by name. NULL when memory is short. */
typedef bool (*wave_want_fn)(const struct wave_node *n, const struct plan_driver *d);
const char *wave_target(struct wave *w, const struct wave_node *n, wave_want_fn want);
bool wave_want_pending(const struct wave_node *n, const struct plan_driver *d);
bool wave_want_startable(const struct wave_node *n, const struct plan_driver *d);
/* On the way: what it set out for, at today's generation, and what came in addition. */
bool wave_want_joined(const struct wave_node *n, const struct plan_driver *d);

/* The record that counts: of a write under way, else as stored. */
const struct view_upgrade *wave_effective(const struct view_node *v);
/* Adds all nodes to what their drivers' budgets have used, and failures to the breakers. */
void wave_count(struct wave *w);
/* Starts candidates by name while the budgets allow; the node that we run on comes last. -ENOMEM. */
int wave_start(struct wave *w) _must_check_;
