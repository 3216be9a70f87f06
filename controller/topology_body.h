// SPDX-License-Identifier: Apache-2.0
/* What an agent says of its NUMA nodes, as a NodeResourceTopology. Pure. */
#pragma once

#include "json.h"

#define TOPOLOGY_API "/apis/topology.node.k8s.io/v1alpha2"
#define TOPOLOGY_LABEL "farrier.dev/topology" /* the hash of what we wrote, in hex */

/* The object for @acc, an AcceleratorNode with a status.topology, owned by its Node; and the hash of its
 * content. What the agent says is checked as if it were hostile. -EINVAL, -ENOMEM. */
int topology_body(const struct json *acc, struct json **ret, uint64_t *ret_hash,
	struct err *e) _must_check_;

/* The hash of the content of a NodeResourceTopology, never 0; of its metadata nothing counts. */
uint64_t topology_hash(const struct json *nrt);
/* Whether its label says that hash: we wrote it, and nobody changed it since. */
bool topology_is_ours(const struct json *nrt, uint64_t hash);
