// SPDX-License-Identifier: Apache-2.0
/* The inside of the reconciler: its state, and what it does for one key at a time. */
#pragma once

#include "fleet.h"
#include "ops.h"
#include "plan.h"
#include "queue.h"
#include "reconcile.h"

struct feed;
struct schema;
struct topology;

struct reconcile {
	struct kube *kube;
	struct loop *loop;
	struct metrics *metrics;
	char *own_node, *node_selector;
	const char *builders, *startup_taint, *namespace_;
	size_t quorum;
	bool once, stream_lists, is_leading;

	struct fleet *fleet;
	struct feed *feed;
	struct schema *schema;
	struct topology *topology; /* NULL: not asked for */
	bool has_topology;
	struct queue *queue; /* nodes: many, so that only some requests run at once */
	struct queue *urgent; /* statuses, and nodes on their way through an upgrade */
	struct map *ops; /* key -> struct op */
	size_t in_flight;
	uint64_t pods_serial;

	/* the newest plan */
	struct arena *arena;
	struct map *wants; /* name -> struct plan_node in the arena */
	struct map *gangs; /* keys of gangs to list */
	struct map *bodies; /* key of a status or finalizer -> struct json */
	struct loop_source *timer;
	uint64_t timer_us, planned_us, plan_cost_us;
};

/* Starts the next request that node @op->name needs. 0: started, or nothing to do; negative: cannot. */
int act_node(struct reconcile *rc, struct op *op, struct err *e) _must_check_;

/* The same for what the Node says of its drivers, and for its start-up taint (act_marks.c). 0 as well when
 * there is nothing to say. */
int act_marks(struct reconcile *rc, struct op *op, struct err *e) _must_check_;

/* PATCH of the Node @op->name with @body of @content_type; @tail: what follows the name in the address. */
int act_patch_node(struct reconcile *rc, struct op *op, const char *tail,
	const char *content_type, const struct json *body, op_done_fn done, struct err *e)
	_must_check_;

/* Writes the body prepared for @op->key: "driver/a", "class/a", "finalizer/a". */
int act_object(struct reconcile *rc, struct op *op, struct err *e) _must_check_;

/* Lists the gang @op->name. */
int act_gang(struct reconcile *rc, struct op *op, struct err *e) _must_check_;

/* Something changed: plan soon. */
void reconcile_kick(void *rc);
