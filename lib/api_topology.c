// SPDX-License-Identifier: Apache-2.0
/* AcceleratorNode.status.topology: its field tables. */
#include "api_tables.h"

enum {
	ZONES_MAX = 16, /* schedulers try combinations of them */
	RESOURCES_MAX = 128,
	WORD_MAX = 63,
	ZONE_NAME_MAX = 16,
};
#define COUNT_MAX (INT64_C(1) << 53) /* what every JSON reader keeps exactly */
#define ZONE_PATTERN "^node-([0-9]|1[0-5])$"

#define COST(m) .off = offsetof(struct api_topology_cost, m)
static const struct field cost_fields[] = { { .name = "name",
						    .type = FIELD_STR,
						    .flags = FIELD_KEY,
						    COST(name),
						    .max = ZONE_NAME_MAX,
						    .pattern = ZONE_PATTERN,
						    .doc = "Name of a zone." },
	{ .name = "value",
		.type = FIELD_INT,
		.flags = FIELD_ALWAYS,
		COST(value),
		.max = 65535,
		.doc = "Distance to it as the firmware tells it; 10 is the zone itself." },
	{ 0 } };

#define RESOURCE(m) .off = offsetof(struct api_topology_resource, m)
static const struct field resource_fields[] = { { .name = "name",
							.type = FIELD_STR,
							.flags = FIELD_KEY,
							RESOURCE(name),
							.min = 1,
							.max = API_LABEL_NAME_MAX,
							.doc = "Name of the resource." },
	{ .name = "capacity",
		.type = FIELD_INT,
		.flags = FIELD_ALWAYS,
		RESOURCE(capacity),
		.max = COUNT_MAX,
		.doc = "How much there is; of devices, those that can be allocated." },
	{ .name = "allocatable",
		.type = FIELD_INT,
		.flags = FIELD_ALWAYS,
		RESOURCE(allocatable),
		.max = COUNT_MAX,
		.doc = "How much pods can get in all." },
	{ .name = "available",
		.type = FIELD_INT,
		.flags = FIELD_ALWAYS,
		RESOURCE(available),
		.max = COUNT_MAX,
		.doc = "How much of that no container holds for itself." },
	{ 0 } };

#define ZONE(m) .off = offsetof(struct api_topology_zone, m)
static const struct field zone_fields[] = { { .name = "name",
						    .type = FIELD_STR,
						    .flags = FIELD_KEY,
						    ZONE(name),
						    .max = ZONE_NAME_MAX,
						    .pattern = ZONE_PATTERN,
						    .doc = "The NUMA node: node-0." },
	{ .name = "costs",
		.type = FIELD_LIST,
		ZONE(costs),
		.max = ZONES_MAX,
		.sub = cost_fields,
		.size = sizeof(struct api_topology_cost),
		.doc = "Distances to all zones." },
	{ .name = "resources",
		.type = FIELD_LIST,
		ZONE(resources),
		.max = RESOURCES_MAX,
		.sub = resource_fields,
		.size = sizeof(struct api_topology_resource),
		.doc = "The zone's resources; bytes and whole numbers." },
	{ 0 } };

#define TOPOLOGY(m) .off = offsetof(struct api_node_topology, m)
const struct field api_node_topology_fields[] = {
	{ .name = "policy",
		.type = FIELD_STR,
		TOPOLOGY(policy),
		.max = WORD_MAX,
		.doc = "The policy of the kubelet's Topology Manager; empty: not known." },
	{ .name = "scope",
		.type = FIELD_STR,
		TOPOLOGY(scope),
		.max = WORD_MAX,
		.doc = "Its scope: container or pod." },
	{ .name = "podsFingerprint",
		.type = FIELD_STR,
		TOPOLOGY(fingerprint),
		.max = WORD_MAX,
		.doc = "Fingerprint of the pods that were counted." },
	{ .name = "podsFingerprintMethod",
		.type = FIELD_STR,
		TOPOLOGY(fingerprint_method),
		.max = WORD_MAX,
		.doc = "Which pods it is made of: all or with-exclusive-resources." },
	{ .name = "zones",
		.type = FIELD_LIST,
		TOPOLOGY(zones),
		.max = ZONES_MAX,
		.sub = zone_fields,
		.size = sizeof(struct api_topology_zone),
		.doc = "The NUMA nodes from node-0 on without a gap, also those without anything to "
		       "allocate." },
	{ 0 }
};
