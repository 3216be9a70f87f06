// SPDX-License-Identifier: Apache-2.0
/* What the files of the wave share: wave.c (states), wave_target.c, wave_budget.c. */
#pragma once

#include "wave.h"

enum { WAVE_SETTLE_LIMIT_S = 600 }; /* how long a node waits for builds, to drain once */

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
/* A record of @n's own, to be changed: at first a copy of its last one. NULL when memory is short. */
struct view_upgrade *wave_renew(struct wave *w, struct wave_node *n);
/* wave_budget.c. Adds all nodes to what their drivers' budgets have used, and failures to the breakers;
 * finds the groups. -ENOMEM. */
int wave_count(struct wave *w) _must_check_;
/* Adds @n to what its drivers' budgets have used, as with the record @up. */
void wave_count_busy(struct wave *w, struct wave_node *n, const struct view_upgrade *up);
/* Whether @n may start; @is_member: beside another of its group, whose place it shares. */
bool wave_fits(struct wave *w, const struct wave_node *n, bool is_member);
/* How many nodes of @d may be unavailable at once. */
size_t wave_allowed(const struct plan_driver *d);

/* wave_unit.c. Starts candidates by name while the budgets allow, those that a gang spans together; the
 * node that we run on comes last. -ENOMEM. */
int wave_start(struct wave *w) _must_check_;

/* wave_group.c: how far the others are that were started together with @n. LOST: some never came, or
 * left before it began. All are READY for a node without a group. */
enum wave_peers { WAVE_PEERS_READY, WAVE_PEERS_WAIT, WAVE_PEERS_LOST };
enum wave_peers wave_peers_cordoned(const struct wave *w, const struct wave_node *n);
bool wave_peers_waited(const struct wave *w, const struct wave_node *n);
bool wave_peers_validated(const struct wave *w, const struct wave_node *n);
/* Whether @name is the first of the group: it stands for all in maxParallelUpgrades. */
bool wave_group_leads(const char *group, const char *name);
