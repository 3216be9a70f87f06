// SPDX-License-Identifier: Apache-2.0
/*
 * Where what is said and what is published differ, the AcceleratorNode is read again and applied, without
 * force: a field that somebody else wrote is his, and so is the object.
 */
#include "topology_inside.h"

#include <stdio.h>

#include "bodies.h"
#include "log.h"

enum { IN_FLIGHT_MAX = 8, PATH_MAX_ = 2048 };
static const uint64_t YIELD_US = 1800 * USEC_PER_SEC; /* to who owns the object */
static const uint64_t REFUSED_US = 600 * USEC_PER_SEC;
static const uint64_t AGAIN_US = 5 * USEC_PER_SEC;
static const uint64_t GONE_US = 600 * USEC_PER_SEC; /* before an object is taken back */

static int ask(struct topology *t, struct op *op, const char *method, const char *prefix,
	const char *suffix, const char *type, const struct json *body, op_done_fn done,
	struct err *e)
{
	struct buf path CLEANUP(buf_done);
	int r;

	buf_init(&path, PATH_MAX_);
	r = bodies_path(&path, prefix, op->name, suffix);
	return r < 0 ? err_errno(e, r, "'%s'", op->name)
		     : op_start(
			       op, t->kube, method, buf_cstr(&path), type, body, done, e);
}

static void count(struct topology *t, const char *result)
{
	char labels[64];

	(void)snprintf(labels, sizeof(labels), "result=\"%s\"", result);
	(void)metrics_add(t->metrics, METRIC_COUNTER, "farrier_topology_writes_total",
		labels, "Writes of NodeResourceTopologies", 1);
}

static void yield(
	struct topology *t, struct op *op, struct topology_entry *x, const char *why)
{
	const struct kube_ref ref = { API_GROUP_VERSION, API_KIND_NODE, op->name, NULL,
		op->uid };
	char text[1024];

	x->until_us = loop_now(t->loop) + YIELD_US + loop_random(t->loop, YIELD_US / 4);
	if (x->is_yielded)
		return;
	x->is_yielded = true;
	(void)snprintf(text, sizeof(text),
		"its NodeResourceTopology belongs to another publisher and is left to it; "
		"delete the object if it is nobody's: %.512s",
		why);
	log_event(
		LOG_WARN, "topology left to another", "node", op->name, "why", why, NULL);
	(void)kube_event(t->kube, &ref, API_MANAGER_CONTROLLER, "Warning",
		"TopologyNotOurs", text, NULL);
}

static void on_applied(struct op *op, const struct kube_response *res)
{
	struct topology *t = op->owner;
	struct topology_entry *x = map_get(t->entries, op->name);

	count(t, res->result >= 0	  ? "done"
		 : res->result == -EAGAIN ? "yielded"
					  : "failed");
	if (!x)
		return;
	if (res->result >= 0) {
		topology_set_have(x, res->obj);
		x->wrote = op->hash;
		x->gave = x->have;
		x->is_yielded = false;
		return;
	}
	if (res->result == -EAGAIN) {
		op->failed = 0;
		yield(t, op, x, res->message);
	} else if (op_is_refused(res->result)) {
		/* A kind that left, no right to it, a schema that does not fit: it will not pass soon. */
		op->failed = 0;
		x->until_us = loop_now(t->loop) + REFUSED_US;
		log_event(LOG_WARN, "topology not published", "node", op->name, "why",
			res->message, NULL);
	}
}

static void on_read(struct op *op, const struct kube_response *res)
{
	struct topology *t = op->owner;
	struct topology_entry *x = map_get(t->entries, op->name);
	CLEANUP(json_freep) struct json *body = NULL;
	const char *uid = json_str(json_path(res->obj, "metadata.uid"));
	struct err e = { 0 };
	uint64_t hash = 0;

	if (res->result == -ENOENT)
		op->failed = 0; /* the watch says so too */
	if (x && res->result == -ENOENT)
		x->until_us = loop_now(t->loop) + AGAIN_US;
	if (res->result < 0 || !x)
		return;
	if (topology_set_want(t, x, res->obj) < 0 ||
		(x->want && topology_body(res->obj, &body, &hash, &e) < 0)) {
		x->until_us = loop_now(t->loop) + REFUSED_US;
		return;
	}
	if (topology_is_settled(x) || !body)
		return;
	(void)snprintf(op->uid, sizeof(op->uid), "%s", uid ? uid : "");
	op->hash = hash;
	op->failed = ask(t, op, "PATCH", TOPOLOGY_NRTS "/",
		"?fieldManager=" API_MANAGER_CONTROLLER, KUBE_APPLY, body, on_applied,
		&e);
}

/* ---- taking back ---- */

static void on_deleted(struct op *op, const struct kube_response *res)
{
	struct topology *t = op->owner;
	struct topology_entry *x = map_get(t->entries, op->name);

	/* Gone, or not that very object any more: the watch tells what is there now. */
	if (res->result == -ENOENT || res->result == -EAGAIN)
		op->failed = 0;
	if (x && (res->result >= 0 || res->result == -ENOENT))
		x->have = 0;
	if (res->result >= 0)
		count(t, "deleted");
}

static struct json *delete_options(const struct json *nrt)
{
	CLEANUP(json_freep)
	struct json *j = bodies_object("v1", "DeleteOptions", ""),
		    *pre = json_new_object();
	const struct json *meta = json_get(nrt, "metadata");

	if (!j || !pre || json_del(j, "metadata") < 0 ||
		json_set_str(pre, "uid", json_get_str(meta, "uid")) < 0 ||
		json_set_str(pre, "resourceVersion",
			json_get_str(meta, "resourceVersion")) < 0 ||
		json_set(j, "preconditions", TAKE(pre)) < 0)
		return NULL;
	return TAKE(j);
}

static void on_seen(struct op *op, const struct kube_response *res)
{
	struct topology *t = op->owner;
	struct topology_entry *x = map_get(t->entries, op->name);
	CLEANUP(json_freep) struct json *body = NULL;
	struct err e = { 0 };

	if (res->result == -ENOENT) {
		op->failed = 0;
		if (x)
			x->have = 0;
	}
	if (res->result < 0 || !x)
		return;
	topology_set_have(x, res->obj);
	if (x->want || !x->is_ours)
		return;
	body = delete_options(res->obj);
	op->failed = body ? ask(t, op, "DELETE", TOPOLOGY_NRTS "/", "", KUBE_JSON, body,
				    on_deleted, &e)
			  : -ENOMEM;
}

/* ---- the queue ---- */

static void after(struct op *op)
{
	struct topology *t = op->owner;

	if (op->req) /* it goes on with another request */
		return;
	if (t->in_flight-- == IN_FLIGHT_MAX)
		queue_pause(t->queue, false);
	if (op->failed < 0)
		log_event(LOG_WARN, "request failed", "key", op->key, "why",
			strerror(-op->failed), NULL);
	(void)queue_add(t->queue, op->key); /* what is left, or the failure */
}

/* 0: something was asked; positive: not before so many microseconds. */
static int64_t act(struct topology *t, struct op *op, struct topology_entry *x)
{
	uint64_t now = loop_now(t->loop),
		 from = x->want ? x->until_us : x->gone_us + GONE_US;
	struct err e = { 0 };
	int r;

	if (now < from)
		return (int64_t)(from - now);
	r = x->want ? ask(t, op, "GET", BODIES_API "/acceleratornodes/", "", NULL, NULL,
			      on_read, &e)
		    : ask(t, op, "GET", TOPOLOGY_NRTS "/", "", NULL, NULL, on_seen, &e);
	if (r < 0)
		log_error(&e, "request not made", "key", op->key, NULL);
	return r;
}

int64_t topology_work(const char *key, void *user)
{
	struct topology *t = user;
	struct op *op = op_get(t->ops, key, t, after);
	struct topology_entry *x;
	int64_t r;

	if (!op)
		return -ENOMEM;
	if (op->req)
		return 0;
	r = op->failed;
	op->failed = 0;
	if (r < 0)
		return r;
	x = map_get(t->entries, op->name);
	if (x && !topology_is_settled(x) && topology_is_open(t)) {
		r = act(t, op, x);
		if (op->req && ++t->in_flight >= IN_FLIGHT_MAX)
			queue_pause(t->queue, true);
		return r;
	}
	(void)map_del(t->ops, key);
	if (x)
		topology_forget_if_idle(t, strchr(key, '/') + 1, x);
	return 0;
}
