// SPDX-License-Identifier: Apache-2.0
/* The fleet of world.h at one moment of a wave, with pods that are deleted for an upgrade. */
#pragma once

#include "world.h"

enum { NOW = 10000 };

/* Driver "edu" of generation 2, the one before it loaded on @n nodes. Pods that hold a device are
 * deleted, by force and within 100 s. */
static void setup(struct world *w, size_t n)
{
	world_init(w, n, 2);
	w->d.d.spec.upgrade_policy.pod_deletion.present = true;
	w->d.d.spec.upgrade_policy.pod_deletion.force = true;
	w->d.d.spec.upgrade_policy.pod_deletion.timeout_seconds = 100;
}

/* Plans at NOW. */
static void run(struct world *w)
{
	assert_int_equal(plan_make(w->a, &w->view, NOW, &w->plan), 0);
}

/* Node @i is in @state since @since. */
static void record(struct world *w, size_t i, int state, int64_t since)
{
	w->nodes[i].upgrade = (struct view_upgrade){ state, since, "edu@2", "", "",
		state == API_UPGRADE_REBOOT ? "boot-1" : NULL };
	w->nodes[i].boot_id = "boot-1";
	if (state == API_UPGRADE_REQUIRED) { /* no pods, no gangs */
		w->pods[i] = (struct view_pods){
			.listed_at = NOW, .for_state = state, .for_since = since
		};
		w->nodes[i].pods = &w->pods[i];
	}
}
