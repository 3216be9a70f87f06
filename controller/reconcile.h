// SPDX-License-Identifier: Apache-2.0
/*
 * Makes the cluster as the plan says: watches fill the fleet, changes call for a plan (soon, not at
 * once), and each node, driver and class with something to do is a key of a queue. One request per
 * key at a time; what fails comes again after a back-off, from the plan that is then the newest.
 */
#pragma once

#include "kube.h"
#include "metrics.h"

struct reconcile;

struct reconcile_options {
	const char *
		namespace_; /* of ConfigMaps; borrowed; NULL: that of the configuration */
	const char *own_node; /* may be NULL */
	const char *
		builders; /* patterns of names of nodes that build for others; borrowed; NULL: none */
	size_t quorum; /* so many of them have to build the same; 0 and 1: one is enough */
	const char *
		startup_taint; /* key of the taint that nodes join with; borrowed; NULL: none */
	const char *node_selector; /* label selector of the Nodes to manage; NULL: all */
	bool stream_lists; /* ask for lists of Nodes and AcceleratorNodes as streams (lib/watch.h) */
	bool topology; /* publish NodeResourceTopologies (topology.h) */
	bool once; /* leave the loop when nothing is left to do */
};

/* Does nothing until started. */
int reconcile_new(struct kube *k, struct metrics *m, const struct reconcile_options *o,
	struct reconcile **ret, struct err *e) _must_check_;
void reconcile_free(struct reconcile *rc);
DEFINE_CLEANUP(struct reconcile, reconcile_free)

/* We lead: lists everything anew, then acts. We do not: drops everything, ends every request. */
void reconcile_start(struct reconcile *rc);
void reconcile_stop(struct reconcile *rc);
/* All is listed. */
bool reconcile_is_synced(const struct reconcile *rc);
