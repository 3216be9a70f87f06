// SPDX-License-Identifier: Apache-2.0
/* How near devices are to one another, and which set of them is nearest. Pure, but for topology_load(). */
#pragma once

#include "err.h"

enum {
	TOPOLOGY_NODES_MAX = 64, /* NUMA nodes whose distances are kept */
	TOPOLOGY_EXACT_MAX = 16, /* candidates up to which the best set is searched out */
	/* Distances, only in this order: a SLIT entry is 10 to 254. */
	TOPOLOGY_NEAR_SWITCH = 10,
	TOPOLOGY_NEAR_ROOT = 20,
	TOPOLOGY_FAR = 30, /* plus the distance of the NUMA nodes: none in the same one */
	TOPOLOGY_NUMA_UNKNOWN = 255,
	TOPOLOGY_SAME_DEVICE = 1000, /* on top: two replicas are no more than one */
};

/* Distances between NUMA nodes as the firmware's SLIT says: 10 is local. */
struct topology {
	size_t n; /* nodes 0..n-1 */
	uint8_t slit[TOPOLOGY_NODES_MAX][TOPOLOGY_NODES_MAX]; /* 0: not known */
};

/* One that may be chosen. */
struct topology_point {
	const char *id; /* the last tie-breaker; unique */
	const char *device; /* replicas of one device share it */
	const char *path; /* real path in sysfs: common bridges are a common switch */
	const char *pcie_root; /* "" when not known */
	int numa_node; /* -1: none */
	unsigned load; /* replicas of its device that are taken: emptier ones first */
};

/* What counts when a set is chosen. */
enum topology_key {
	TOPOLOGY_KEY_NONE,
	TOPOLOGY_KEY_NUMA, /* SLIT distance of their NUMA nodes */
	TOPOLOGY_KEY_PCIE, /* same switch, same root complex, neither */
	TOPOLOGY_KEYS_
};

/* The most important first: the second only decides among sets that are equal by the first. Zeroed:
 * both at once, as topology_distance() has them. */
struct topology_order {
	enum topology_key first, second;
};

/* @sysfs NULL: "/sys". A machine without NUMA is an empty one. */
void topology_load(struct topology *t, const char *sysfs);

/* Length of the part of @path that devices below one switch share; 0 below none. */
size_t topology_switch(const char *path);
/* Between two NUMA nodes (-1: none): 0 the same, else as the SLIT says, TOPOLOGY_NUMA_UNKNOWN. */
unsigned topology_numa(const struct topology *t, int x, int y);
/* Steps apart: same switch < same root < same NUMA node < by SLIT. Replicas of one device are
 * farthest: two of them are no more than one. */
unsigned topology_distance(const struct topology *t, const struct topology_point *a,
	const struct topology_point *b);

/* Chooses @want of @points (sorted by id), all with @is_must among them, so that the sum of their
 * distances by @order is least, then of their loads, then the first by id: the best there is up to
 * TOPOLOGY_EXACT_MAX points, else greedily from many starts. @chosen[i] tells. -EINVAL when it
 * cannot be done, -ENOMEM. */
int topology_prefer(const struct topology *t, const struct topology_order *order,
	const struct topology_point *points, size_t n, const bool *is_must, size_t want,
	bool *chosen) _must_check_;
