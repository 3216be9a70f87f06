// SPDX-License-Identifier: Apache-2.0
/*
 * The decisions of the controller: view in, actions out. Pure: no I/O, no clock, no memory but the
 * arena, so that a simulator can drive it (test/sim). Level-triggered: an action that got lost is
 * decided again, one that was done already is not.
 */
#pragma once

#include "arena.h"
#include "marks.h"
#include "view.h"

enum plan_cordon { PLAN_CORDON_KEEP, PLAN_CORDON_ON, PLAN_CORDON_OFF };

/* What one node needs. Only nodes with something to do have one. But for node and evict all of it
 * is the plan's own, and stays when the fleet changes. */
struct plan_node {
	struct view_node *node;
	const char *name;
	bool write; /* AcceleratorNode is to be written: all of the following six */
	struct list assigns; /* struct view_assign */
	struct list builds; /* struct view_build */
	struct view_upgrade upgrade;
	const char *selectors, *before; /* the annotations */
	uint64_t hash;
	/* Not before the record on which they rest is stored: never beside write. */
	enum plan_cordon cordon;
	uint64_t node_version; /* of the Node that it was decided on */
	bool need_pods;
	struct list evict; /* struct view_pod * */
	uint64_t evict_serial; /* the listing that they are of */
	bool mark_labels, mark_condition; /* the Node is to say what marks holds */
	struct marks marks;
	bool drop_taint; /* the start-up taint has served its purpose */
};

struct plan_kernel {
	const char *release;
	int64_t nodes;
	int state; /* enum api_kernel_state: the worst */
	const char *artifact, *reason; /* reason: of a failure */
	int64_t build_seconds; /* the longest */
};
enum { PLAN_KERNELS_MAX = 64, PLAN_SIGNATURES_MAX = 16, PLAN_BREAKER = 3 };

struct plan_signature {
	const char *reason;
	size_t nodes;
};

/* What the fleet says about one driver. */
struct plan_driver {
	struct view_driver *driver;
	int64_t desired, ready, failed, offline, upgrading, waiting, conflicts;
	int64_t unloaded, unload_left; /* of a driver that is being deleted */
	struct plan_kernel kernels[PLAN_KERNELS_MAX];
	size_t n_kernels;
	/* budget */
	size_t online; /* matching nodes that are up: what percentages are of */
	size_t busy; /* of those, unavailable through us */
	size_t parallel; /* nodes being upgraded for this driver */
	bool is_stopped; /* three equal failures */
	struct plan_signature
		signatures[PLAN_SIGNATURES_MAX]; /* failures of this generation */
	size_t n_signatures;
	const char *stop_reason;
	const char *first_failed, *first_failed_reason; /* a node, for the message */
	const char *conflict_with;
	const char
		*share_note; /* why builders that have to agree do not; NULL: they do */
	enum reason share_reason;
	const char *large_gang; /* spans more nodes than maxUnavailable allows */
	/* out */
	struct list conditions; /* struct api_condition */
	bool add_finalizer, drop_finalizer;
	bool is_good; /* today's generation is ready on all nodes: the one to go back to */
};

struct plan_class {
	struct view_class *class_;
	int64_t nodes, devices, healthy;
	struct list conditions;
};

struct plan {
	struct plan_node *nodes;
	size_t n_nodes;
	struct plan_driver *drivers; /* as in the view */
	size_t n_drivers;
	struct plan_class *classes; /* as in the view */
	size_t n_classes;
	int64_t wake_at; /* seconds: plan again at this time even if nothing changes; INT64_MAX: no need */
	struct list gangs; /* const char *: keys whose pods are to be listed */
	size_t n_upgrading, n_offline;
};

/* What can wait is planned for so many nodes at a time, and for the others a second later: all nodes of a large
 * fleet want something at once when a driver is edited, and few can be written at once. */
enum { PLAN_NODES_MAX = 8192 };

/* A driver that is being deleted with Unload lets go after this time even if nodes never answered. */
enum { PLAN_UNLOAD_MAX_S = 15 * 60 };

/* @now: seconds since 1970. -ENOMEM. */
int plan_make(struct arena *a, const struct view *v, int64_t now, struct plan *ret)
	_must_check_;
/* The same with two arenas: what outlives changes of the fleet (nodes) lives in @kept, and everything else,
 * which is far more, in @scratch. */
int plan_make_in(struct arena *kept, struct arena *scratch, const struct view *v,
	int64_t now, struct plan *ret) _must_check_;

/* jhash() of what an AcceleratorNode with these members holds: spec and annotations. */
uint64_t plan_hash(const struct view *v, const struct list *assigns,
	const struct view_upgrade *up, const char *selectors, const char *before);

/* The driver called @name, NULL when there is none. */
struct plan_driver *plan_find_driver(
	struct plan_driver *drivers, size_t n, const char *name);
