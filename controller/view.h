// SPDX-License-Identifier: Apache-2.0
/* What the controller knows of the cluster: small projections, never whole objects. The fleet
 * (fleet.h) fills them, the plan (plan.h) only reads them; strings are the fleet's. */
#pragma once

#include "api.h"
#include "reason.h"
#include "uid.h"

struct arena;

enum { VIEW_REASON_MAX = 63 };

#define VIEW_FINALIZER API_GROUP "/unload"
/* Annotations of ours on an AcceleratorNode: the selector by which each driver was assigned, and
 * what was allocatable before the node's upgrade. Both "name=value,name=value". */
#define VIEW_SELECTORS API_GROUP "/selectors"
#define VIEW_BEFORE API_GROUP "/allocatable-before"

struct view_count {
	const char *name;
	int64_t n;
};

/* One entry of AcceleratorNode.spec.drivers. */
struct view_assign {
	const char *name;
	int64_t generation, proceed;
	uint64_t selector; /* hash of the nodeSelector that assigned it; 0: unknown */
	bool unload;
};

/* One entry of AcceleratorNode.status.drivers. */
struct view_driver_state {
	const char *name, *reason;
	int64_t generation;
	int state; /* enum api_driver_state */
	uint16_t devices, bound;
};

/* One driver for one kernel of AcceleratorNode.status.kernels. */
struct view_kernel {
	const char *release, *driver, *reason, *artifact;
	const char *digest; /* published under it; NULL: not */
	const char *unsigned_digest; /* said with it; NULL: nothing */
	int64_t generation; /* that it speaks of */
	uint32_t build_seconds;
	uint8_t state; /* enum api_kernel_state */
	bool running, next;
};

/* One entry of AcceleratorNode.spec.builds. */
struct view_build {
	const char *driver, *kernel, *node; /* node "": every node for itself */
	const char *key, *digest; /* NULL: not published */
	int64_t generation, epoch, since;
	const char *unsigned_digest; /* that several agreed on; NULL: one was enough */
	const char *asked; /* "<node>=<since>,…" where several have to agree, else NULL */
};

/* Devices of one class on one node. */
struct view_class_devices {
	const char *class_name;
	uint16_t total, healthy;
};

struct view_upgrade {
	int state; /* enum api_upgrade_state; NONE: no record */
	int64_t since;
	const char *target, *reason, *message; /* never NULL */
	const char *boot; /* of REBOOT: the boot to end; NULL: none */
	/* "<first>/<count>": begun together because gangs span these nodes; NULL: alone */
	const char *group;
};

struct view_pod {
	const char *namespace_, *name, *uid;
	struct list labels; /* struct kv */
	const char *gang; /* key of gang.h; NULL: none */
	bool uses_devices; /* requests one of our resources */
	bool is_mirror, is_daemon, has_controller, has_empty_dir;
	bool is_finished; /* Succeeded or Failed */
	bool is_deleting;
	bool is_blocked; /* the last eviction was refused: a disruption budget */
	int64_t retry_at; /* seconds: no eviction before */
};

/* The pods of one node, listed for one state of its upgrade. */
struct view_pods {
	struct arena *arena; /* what this and the pods live in */
	uint64_t serial; /* of this listing */
	struct view_pod *pods;
	size_t n;
	int64_t listed_at; /* seconds */
	int64_t for_since; /* the record that it was listed for */
	int for_state;
};

/* Where a gang has pods, listed when a wave came to one of its nodes. */
struct view_gang {
	struct arena *arena; /* what this lives in */
	const char *key;
	struct list nodes; /* const char *, no name twice */
	const uint32_t *running; /* of each of them: pods that run; NULL: not counted */
	int64_t min; /* pods without which it does not go on; 0: it needs all */
	int64_t listed_at; /* seconds */
};

struct view_intent {
	struct view_upgrade upgrade;
	struct list assigns; /* struct view_assign */
};

/* The hash of something that we keep on a Node; and of what was written last, with what came of it: a
 * server that changes what it is given must not be written to for ever. */
struct view_mark {
	uint32_t stored, written, gave;
};

struct view_node {
	const char *name;

	/* from the Node */
	bool has_node, is_ready, is_deleting, is_unschedulable;
	bool is_cordoned; /* by us: API_NODE_CORDONED */
	bool is_skipped; /* API_NODE_SKIP_LABEL */
	uint8_t condition_status; /* marks_status() of the stored condition */
	uint8_t taint_at; /* place of the start-up taint among its taints, from 1; 0: it has none */
	bool has_acc, is_known; /* see below; here because they cost no room */
	struct uid uid, acc_uid;
	uint64_t version; /* resourceVersion, 0 when it is no number */
	struct view_mark labels_mark, condition_mark; /* marks.h */
	int64_t condition_since; /* seconds: its lastTransitionTime; 0: unknown */
	const char *arch; /* "amd64"; "" when it does not say; NULL without a Node */
	struct list labels; /* struct kv: only the keys that selectors use */
	struct list allocatable; /* struct view_count: only resources of classes */

	/* from the AcceleratorNode, with has_acc, acc_uid and is_known: its agent has spoken, hardware means
	 * something */
	uint64_t acc_version;
	uint64_t spec_hash; /* jhash() of the stored spec and our annotations */
	/* What was written last and what the server made of it: a server that prunes a field must
	 * not be written to for ever. */
	uint64_t written_hash, stored_hash;
	struct list assigns; /* struct view_assign */
	struct list builds; /* struct view_build */
	struct list states; /* struct view_driver_state */
	struct list kernels; /* struct view_kernel */
	struct list hardware; /* const char * */
	struct list devices; /* struct view_class_devices */
	struct list before; /* struct view_count: allocatable before the upgrade */
	struct view_upgrade upgrade; /* as stored */
	const char *boot_id; /* only while an upgrade is on its way, else NULL */

	/* A write of the spec is under way, or its outcome is not known. Until that is settled the
	 * node's upgrade takes no step and counts as this. NULL: none. */
	struct view_intent *intent;
	struct view_pods *pods; /* NULL: not listed */
};

/* The generation that was ready on all nodes last, as the driver's status keeps it. */
struct view_good {
	int64_t generation; /* 0: none */
	const char *version, *text; /* text: the spec as nodes got it, as JSON */
	uint64_t spec_hash;
};

struct view_driver {
	struct api_driver d; /* the last that could be parsed */
	const char *name; /* also when it cannot be parsed */
	const char *uid;
	int64_t generation; /* of the object as it is now */
	int64_t created; /* seconds */
	int64_t deleted_at; /* seconds; 0: not being deleted */
	bool has_spec; /* d is usable */
	bool has_finalizer; /* VIEW_FINALIZER */
	const char *invalid; /* why the newest spec cannot be used; NULL: it can */
	enum reason invalid_reason;
	uint64_t selector; /* hash of spec.nodeSelector, never 0 */
	uint64_t spec_hash; /* jhash() of the spec as nodes get it */
	struct list conditions; /* struct api_condition, as stored */
	struct view_good good;
};

struct view_class {
	struct api_class c;
	const char *name;
	const char *uid;
	int64_t generation;
	bool has_spec;
	const char *invalid;
	uint64_t spec_hash;
	struct list conditions;
};

struct view {
	struct view_driver **drivers; /* by precedence: oldest first, then by name */
	size_t n_drivers;
	struct view_class **classes; /* by name */
	size_t n_classes;
	struct view_node **nodes; /* in any order */
	size_t n_nodes;
	struct view_gang **gangs; /* in any order, few */
	size_t n_gangs;
	const char *
		builders; /* patterns of names of nodes that build for others; NULL: nothing is shared */
	size_t quorum; /* so many of them have to build the same; 0 and 1: one is enough */
	const char *
		schema_note; /* the server's definitions are too old; NULL: not that we know */
	const char *own_node; /* that this process runs on, may be NULL */
};

/* The hash of the spec that an entry of @generation carries: of the last good one, or of today's. */
static inline uint64_t view_spec_hash(const struct view_driver *d, int64_t generation)
{
	return generation != d->d.meta.generation && generation == d->good.generation
		       ? d->good.spec_hash
		       : d->spec_hash;
}

#define VIEW_AT(type, list, i) (&((type *)(list).items)[i])

static inline const char *view_str(const char *s)
{
	return s ? s : "";
}
