// SPDX-License-Identifier: Apache-2.0
/* What is free on each NUMA node, out of what the kernel and the kubelet say. */
#pragma once

#include "api.h"
#include "kubelet_policy.h"
#include "numa.h"
#include "podresources.h"

/*
 * Pure. In @a, with names that are @p's:
 * - a zone for each NUMA node below 16, also without anything to allocate, and an empty one where an id is
 *   missing: schedulers try combinations of zones, and take the id for the place in the list;
 * - devices with a NUMA node, once in each zone of theirs; those without are no zone's;
 * - `cpu`, `memory` and huge pages in every zone, because to a scheduler a zone without them has none. Where the
 *   kubelet gives nobody CPUs (memory) for himself, all that the zone has counts as available.
 * The fingerprint is of all pods, or of those alone that have something for themselves when the kubelet
 * tells both CPUs and memory. -ENOMEM.
 */
int topology_make(struct arena *a, const struct numa *n, const struct podres *p,
	const struct kubelet_policy *k, struct api_node_topology *ret) _must_check_;

/* "hugepages-2Mi" into @out; as Kubernetes names pages of @bytes. */
void topology_pages_name(uint64_t bytes, char out[32]);
