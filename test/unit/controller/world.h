/* SPDX-License-Identifier: Apache-2.0 */
/* A fleet of one driver that waits for its upgrade on every node: what the tests of waves start from. */
#ifndef FARRIER_TEST_CONTROLLER_WORLD_H
#define FARRIER_TEST_CONTROLLER_WORLD_H

#include "controller/wave.h"

enum { WORLD_NODES = 8 };

/* Points into itself: never copied. @a is the caller's to free. */
struct world {
	struct arena *a;
	struct view_driver d, *drivers[1];
	struct api_device_match match;
	struct view_node nodes[WORLD_NODES], *ptrs[WORLD_NODES];
	struct view_assign assigns[WORLD_NODES];
	struct view_driver_state states[WORLD_NODES];
	struct view_pods pods[WORLD_NODES];
	const char *hardware;
	struct view view;
	struct plan plan;
};

/* Driver "edu" of @generation, the one before loaded on nodes n0 to n<@n - 1>, all of them ready and each with a device;
 * automatic upgrades, one at a time, without a limit of unavailable nodes. No record of an upgrade yet. */
static inline void world_init(struct world *w, size_t n, int64_t generation)
{
	static const char *const names[WORLD_NODES] = { "n0", "n1", "n2", "n3", "n4",
		"n5", "n6", "n7" };

	assert_in_range(n, 1, WORLD_NODES);
	memset(w, 0, sizeof(*w));
	w->a = arena_new(16 << 20);
	assert_non_null(w->a);
	w->match = (struct api_device_match){ .vendor = "1234", .device = "11e8" };
	w->hardware = "pci:1234:11e8";
	w->d = (struct view_driver){ .name = "edu",
		.uid = "u",
		.generation = generation,
		.has_spec = true,
		.selector = 7 };
	w->d.d.meta.generation = generation;
	w->d.d.spec.devices = (struct list){ &w->match, 1 };
	w->d.d.spec.upgrade_policy = (struct api_upgrade_policy){
		.present = true,
		.auto_upgrade = true,
		.max_parallel = 1,
		.max_unavailable = { true, 100 },
		.validation_timeout_seconds = 200,
	};
	w->drivers[0] = &w->d;
	for (size_t i = 0; i < n; i++) {
		w->assigns[i] = (struct view_assign){ "edu", generation, 0, 7, false };
		w->states[i] = (struct view_driver_state){ "edu", "", generation,
			API_DRIVER_UPGRADE_REQUIRED, 1, 1 };
		w->nodes[i] = (struct view_node){
			.name = names[i],
			.has_node = true,
			.is_ready = true,
			.has_acc = true,
			.is_known = true,
			.assigns = { &w->assigns[i], 1 },
			.states = { &w->states[i], 1 },
			.hardware = { &w->hardware, 1 },
			.upgrade = { 0, 0, "", "", "" },
		};
		w->ptrs[i] = &w->nodes[i];
	}
	w->view = (struct view){
		.drivers = w->drivers, .n_drivers = 1, .nodes = w->ptrs, .n_nodes = n
	};
}

/* What the plan says of node @i; NULL: nothing to do. */
static inline const struct plan_node *world_plan(const struct world *w, size_t i)
{
	for (size_t k = 0; k < w->plan.n_nodes; k++)
		if (w->plan.nodes[k].node == &w->nodes[i])
			return &w->plan.nodes[k];
	return NULL;
}

#endif
