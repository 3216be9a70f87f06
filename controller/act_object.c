// SPDX-License-Identifier: Apache-2.0
/* Writes the statuses of drivers and classes, and drivers' finalizers. */
#include "act.h"
#include "bodies.h"
#include "jhash.h"
#include "log.h"

enum { PATH_MAX_ = 2048 };

static void tell(struct reconcile *rc, const struct view_driver *d, bool is_bad,
	const char *reason, const char *message)
{
	struct kube_ref ref = {
		.api_version = API_GROUP_VERSION,
		.kind = API_KIND_DRIVER,
		.name = d->name,
		.uid = d->uid,
	};
	struct err e = { 0 };

	log_event(is_bad ? LOG_WARN : LOG_INFO, reason, "driver", d->name, "detail",
		message, NULL);
	if (kube_event(rc->kube, &ref, API_MANAGER_CONTROLLER,
		    is_bad ? "Warning" : "Normal", reason, message, &e) < 0)
		log_error(&e, "event not written", "driver", d->name, NULL);
}

static const struct api_condition *find(const struct list *conds, const char *type)
{
	for (size_t i = 0; i < conds->n; i++)
		if (streq(VIEW_AT(struct api_condition, *conds, i)->type, type))
			return VIEW_AT(struct api_condition, *conds, i);
	return NULL;
}

/* Conditions that are worth an Event when they become true; all but the first are bad news. */
static const char *const event_types[] = { "Ready", "Stalled", "Degraded", "Conflict" };

static unsigned news_of(const struct view_driver *d, const struct json *body)
{
	const struct json *list = json_path(body, "status.conditions");
	unsigned news = 0;

	for (size_t i = 0; i < json_len(list); i++) {
		const struct json *c = json_at(list, i);
		const char *type = view_str(json_get_str(c, "type"));
		const struct api_condition *old = find(&d->conditions, type);

		if (!streq(view_str(json_get_str(c, "status")), "True") ||
			(old && streq(old->status, "True") &&
				streq(old->reason, view_str(json_get_str(c, "reason")))))
			continue;
		for (size_t k = 0; k < ARRAY_SIZE(event_types); k++)
			if (streq(type, event_types[k]))
				news |= 1u << k;
	}
	return news;
}

static void tell_news(struct reconcile *rc, const struct view_driver *d, unsigned news,
	const struct json *obj)
{
	const struct json *list = json_path(obj, "status.conditions");

	for (size_t i = 0; i < json_len(list); i++) {
		const struct json *c = json_at(list, i);

		for (size_t k = 0; k < ARRAY_SIZE(event_types); k++)
			if ((news & 1u << k) &&
				streq(view_str(json_get_str(c, "type")), event_types[k]))
				tell(rc, d, k > 0, view_str(json_get_str(c, "reason")),
					view_str(json_get_str(c, "message")));
	}
}

static void status_done(struct op *op, const struct kube_response *res)
{
	struct reconcile *rc = op->owner;
	enum fleet_kind kind = str_starts(op->key, "driver/") ? FLEET_DRIVERS
							      : FLEET_CLASSES;
	struct err e = { 0 };

	if (res->result == -ENOENT) { /* deleted meanwhile */
		op->failed = 0;
		(void)map_del(rc->bodies, op->key);
	}
	if (res->result < 0)
		return;
	if (kind == FLEET_DRIVERS && fleet_driver(rc->fleet, op->name))
		tell_news(rc, fleet_driver(rc->fleet, op->name), op->news, res->obj);
	if (fleet_answer(rc->fleet, kind, res->obj, &e) < 0)
		log_error(&e, "answer of a write cannot be read", NULL);
	op->written_hash = op->hash;
	op->stored_hash = jhash(json_get(res->obj, "status"));
	(void)map_del(rc->bodies, op->key);
}

static void finalizer_done(struct op *op, const struct kube_response *res)
{
	struct reconcile *rc = op->owner;
	struct err e = { 0 };

	(void)map_del(rc->bodies, op->key); /* the next plan has a newer one if need be */
	if (res->result == -ENOENT)
		op->failed = 0;
	/* An object that lost its last finalizer is gone: the watch says so. */
	if (res->result == 0 && !json_path(res->obj, "metadata.deletionTimestamp") &&
		fleet_answer(rc->fleet, FLEET_DRIVERS, res->obj, &e) < 0)
		log_error(&e, "answer of a write cannot be read", NULL);
}

int act_object(struct reconcile *rc, struct op *op, struct err *e)
{
	const struct json *body = map_get(rc->bodies, op->key);
	bool is_finalizer = str_starts(op->key, "finalizer/");
	struct buf path;
	int r;

	if (!body)
		return 0;
	buf_init(&path, PATH_MAX_);
	r = bodies_path(&path,
		str_starts(op->key, "class/") ? BODIES_API "/acceleratorclasses/"
					      : BODIES_API "/acceleratordrivers/",
		op->name,
		is_finalizer ? "?fieldManager=" API_MANAGER_CONTROLLER
			     : "/status" BODIES_APPLY);
	op->hash = jhash(json_get(body, "status"));
	op->written_us = loop_now(rc->loop);
	op->news = str_starts(op->key, "driver/") && fleet_driver(rc->fleet, op->name)
			   ? news_of(fleet_driver(rc->fleet, op->name), body)
			   : 0;
	if (r >= 0)
		r = op_start(op, rc->kube, "PATCH", buf_cstr(&path),
			is_finalizer ? KUBE_MERGE_PATCH : KUBE_APPLY, body,
			is_finalizer ? finalizer_done : status_done, e);
	buf_done(&path);
	return r;
}
