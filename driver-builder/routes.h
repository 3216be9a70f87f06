// SPDX-License-Identifier: Apache-2.0
/* Which modules the node is reached through: taking one of them out cuts it off. */
#pragma once

#include "arena.h"
#include "err.h"

/* The network interface with a default route (through bridges, bonds and VLANs down to the device)
 * that module @name drives, as the host's first process sees routes; NULL when there is none, and when
 * that cannot be read. '-' counts as '_'. Lies in @a. */
const char *routes_device_of(
	struct arena *a, const char *sys, const char *proc, const char *name);
