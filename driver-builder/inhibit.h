// SPDX-License-Identifier: Apache-2.0
/*
 * systemd's shutdown lock, taken while a reboot is held: a child of ours, `systemd-inhibit … cat` in the
 * host's root, that ends with us however we end. Hosts without systemd have none, which is no error.
 */
#pragma once

#include "loop.h"

struct inhibit;

/* Borrows @root. */
int inhibit_new(struct loop *l, const char *root, struct inhibit **ret, struct err *e)
	_must_check_;
/* Gives the lock back. NULL is fine. */
void inhibit_free(struct inhibit *i);
DEFINE_CLEANUP(struct inhibit, inhibit_free)

/* @why: hold, and show this to people (`systemd-inhibit --list`); NULL: do not hold. Level-triggered: a
 * lock that was lost is taken again by a later call. */
void inhibit_set(struct inhibit *i, const char *why);
bool inhibit_is_held(const struct inhibit *i);
