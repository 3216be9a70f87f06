// SPDX-License-Identifier: Apache-2.0
/* Writes what a Node says of its drivers: labels, then the condition; then takes its start-up taint away. */
#include "act.h"
#include "bodies.h"
#include "log.h"

enum { PATH_MAX_ = 2048 };

/* Whatever was done before: the answer is the Node as it is now. */
static void mark_done(struct op *op, const struct kube_response *res)
{
	struct reconcile *rc = op->owner;
	struct plan_node *w = map_get(rc->wants, op->name);
	struct view_node *n;
	struct err e = { 0 };

	if (res->result < 0)
		return;
	if (fleet_put(rc->fleet, FLEET_NODES, res->obj, &e) < 0)
		log_error(&e, "answer of a write cannot be read", NULL);
	n = fleet_node(rc->fleet, op->name);
	if (!n || !w)
		return;
	if (w->mark_labels) {
		n->labels_mark.written = w->marks.labels_hash;
		n->labels_mark.gave = n->labels_mark.stored;
		w->mark_labels = false;
	} else {
		n->condition_mark.written = w->marks.condition_hash;
		n->condition_mark.gave = n->condition_mark.stored;
		w->mark_condition = false;
	}
}

static void taint_done(struct op *op, const struct kube_response *res)
{
	struct reconcile *rc = op->owner;
	struct plan_node *w = map_get(rc->wants, op->name);
	struct err e = { 0 };

	if (res->result < 0)
		return;
	if (fleet_put(rc->fleet, FLEET_NODES, res->obj, &e) < 0)
		log_error(&e, "answer of a write cannot be read", NULL);
	if (w)
		w->drop_taint = false;
	log_event(LOG_INFO, "start-up taint removed", "node", op->name, NULL);
}

static int drop_taint(
	struct reconcile *rc, struct op *op, const struct view_node *n, struct err *e)
{
	CLEANUP(json_freep) struct json *body = NULL;
	int r = bodies_taint(n, rc->startup_taint, &body);

	if (r < 0)
		return err_errno(e, r, "body of Node '%s'", op->name);
	return act_patch_node(rc, op, "?fieldManager=" API_MANAGER_CONTROLLER,
		KUBE_JSON_PATCH, body, taint_done, e);
}

int act_marks(struct reconcile *rc, struct op *op, struct err *e)
{
	CLEANUP(json_freep) struct json *body = NULL;
	const struct view_node *n = fleet_node(rc->fleet, op->name);
	struct plan_node *w = map_get(rc->wants, op->name);
	char now[32];
	int r;

	if (!n || !w)
		return 0;
	if (!w->mark_labels && !w->mark_condition)
		return w->drop_taint && n->taint_at > 0 ? drop_taint(rc, op, n, e) : 0;
	kube_time(loop_wall(rc->loop), now);
	r = w->mark_labels ? bodies_labels(n, &w->marks, &body)
			   : bodies_node_condition(n, &w->marks, now, &body);
	if (r < 0)
		return err_errno(e, r, "body of Node '%s'", op->name);
	return act_patch_node(rc, op,
		w->mark_labels ? BODIES_APPLY : "/status" BODIES_APPLY, KUBE_APPLY, body,
		mark_done, e);
}
