// SPDX-License-Identifier: Apache-2.0
/* A seeded fleet with agents and an API server that delays, loses, repeats and refuses, driven by the
 * real plan(). Equal seeds give equal runs. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sim_result {
	char broken[256]; /* the property that did not hold, "" when all did */
	unsigned ticks; /* how far it got */
	unsigned upgrades, failures, evictions, conflicts, offline, restarts, reboots,
		rollbacks;
	unsigned grouped, gang_evictions;
	unsigned
		surplus; /* starts of a node alone, because its gang goes on without it */
};

/* Runs one seed. @trace prints what happens to stderr. False: see broken. */
bool sim_run(uint64_t seed, bool trace, struct sim_result *ret);
