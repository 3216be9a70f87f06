// SPDX-License-Identifier: Apache-2.0
/*
 * What is true now, ready to be told: which class claims which device, how healthy it is, and what
 * each resource consists of. Built anew at each refresh, never changed; it points into the inventory
 * and the classes of that refresh and dies with the next one.
 */
#pragma once

#include "arena.h"
#include "classes.h"
#include "health_file.h"
#include "inventory.h"
#include "json.h"

enum { SNAPSHOT_BYTES_MAX = 64 << 20, REPLICAS_MAX = 1024 };

struct claim_node {
	const char *path; /* on the host, also in the container: "/dev/edu0" */
	const char *link; /* stable name of it on the host, for answers without CDI */
	const char *permissions;
};

/* A device and the class that means it. */
struct claim {
	struct device *device;
	const struct api_class *class_;
	const struct api_class *rival; /* the next class that would claim it, NULL */
	enum health health;
	enum reason reason;
	const char *text; /* "" when healthy */
	const char *resource; /* what it is advertised as; NULL while that is not known */
	const char *nameless; /* why not; NULL */
	const char *served_by; /* another plugin, and how we know; NULL */
	const char **cdi_devices; /* names of other specs that go with it */
	size_t n_cdi_devices;
	struct claim_node *nodes;
	size_t n_nodes;
	bool has_nodes; /* all that the class asks for are there */
};

/* What is advertised: a device, or one of its replicas. */
struct unit {
	const char *id;
	const struct claim *claim;
};

struct resource_view {
	const char *name;
	struct unit *units; /* sorted by id */
	size_t n_units;
	bool wants_pre_start; /* some class of it asks for health checks */
	bool is_mixed; /* some have a NUMA node, some have none: those never satisfy a hint */
};

struct snapshot {
	struct arena *arena;
	struct claim *claims; /* in the order of the inventory */
	size_t n_claims;
	struct resource_view *resources; /* sorted by name; only those with a unit */
	size_t n_resources;
	uint64_t
		next_us; /* when time alone will change some device's health; UINT64_MAX never */
};

struct snapshot_options {
	const char *root; /* prefix of host paths, "" on the host */
	const char
		*run; /* folder of the stable links' folder dev/, as the host knows it */
	uint64_t now_us; /* of the look; not 0, never less than at the look before */
	struct health_files *files; /* NULL: the classes' own files are not asked */
	const struct json *
		before; /* see memory.h, for devices that are seen for the first time; NULL */
};

/* Decides who claims what: the first class by name that matches wins; one that matches all but the
 * driver comes after one that claimed the device before. Marks devices as held, and takes one step of
 * the health of each. -ENOMEM. */
int snapshot_new(const struct snapshot_options *o, const struct classes *classes,
	struct inventory *inv, struct snapshot **ret, struct err *e) _must_check_;
void snapshot_free(struct snapshot *s);
DEFINE_CLEANUP(struct snapshot, snapshot_free)

const struct resource_view *snapshot_resource(const struct snapshot *s, const char *name);
const struct unit *resource_unit(const struct resource_view *r, const char *id);
bool claim_is_healthy(const struct claim *c);
