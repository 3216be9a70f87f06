// SPDX-License-Identifier: Apache-2.0
/* Publishes what agents say of their NUMA nodes: a NodeResourceTopology for each node that does, where the
 * cluster knows the kind. It stands beside the plan: it decides nothing about drivers. */
#pragma once

#include "metrics.h"
#include "watch.h"

struct topology;

/* Looks at once whether the kind is there, and every few minutes. */
int topology_new(struct kube *k, struct metrics *m, struct topology **ret, struct err *e)
	_must_check_;
void topology_free(struct topology *t);
DEFINE_CLEANUP(struct topology, topology_free)

/* To be told of AcceleratorNodes, with the topology as the user; on_link is not there. */
extern const struct watch_ops topology_acc_ops;
