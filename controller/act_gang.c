// SPDX-License-Identifier: Apache-2.0
/* Lists where the pods of a gang are, and asks how many it needs, when a wave comes to one of its nodes. */
#include "act.h"
#include "arena.h"
#include "gang.h"
#include "log.h"

enum { PATH_MAX_ = 2048, PODS_PAGE = 100, GANG_ARENA = 4 << 20 };

static int list_page(
	struct reconcile *rc, struct op *op, const char *more, struct err *e);

/* The gang is known, as well as it can be. */
static void finish(struct reconcile *rc, struct op *op, const char *why)
{
	if (op->failed >= 0)
		op->failed = fleet_set_gang(rc->fleet, &op->gang);
	if (op->failed < 0)
		log_event(
			LOG_WARN, "gang not listed", "gang", op->name, "why", why, NULL);
	op_drop_gang(op);
	(void)map_del(rc->gangs, op->name);
}

/* Without an answer, for whatever reason, it counts as needing all of its pods. */
static void object_done(struct op *op, const struct kube_response *res)
{
	if (res->result >= 0)
		op->gang->min = gang_min(op->name, res->obj);
	op->failed = 0;
	finish(op->owner, op, "");
}

/* False when there is nothing to ask. */
static bool ask_object(struct reconcile *rc, struct op *op)
{
	struct buf path CLEANUP(buf_done);
	struct err e = { 0 };

	buf_init(&path, PATH_MAX_);
	return gang_object(&path, op->name) >= 0 &&
	       op_start(op, rc->kube, "GET", buf_cstr(&path), NULL, NULL, object_done,
		       &e) >= 0;
}

static void page_done(struct op *op, const struct kube_response *res)
{
	struct reconcile *rc = op->owner;
	const char *more = json_str(json_path(res->obj, "metadata.continue"));
	struct err e = { 0 };
	int r = res->result;

	if (r >= 0)
		r = project_gang(op->gang, res->obj);
	if (r >= 0 && !str_empty(more)) {
		r = list_page(rc, op, more, &e);
		if (r >= 0)
			return;
	}
	op->failed = r;
	if (r < 0 || !ask_object(rc, op))
		finish(rc, op, view_str(res->message));
}

static int list_page(struct reconcile *rc, struct op *op, const char *more, struct err *e)
{
	struct buf path;
	int r;

	buf_init(&path, PATH_MAX_);
	r = gang_path(&path, op->name, PODS_PAGE);
	if (r >= 0 && more) {
		(void)buf_str(&path, "&continue=");
		(void)kube_path_escape(&path, more);
		r = buf_ok(&path);
	}
	if (r >= 0)
		r = op_start(
			op, rc->kube, "GET", buf_cstr(&path), NULL, NULL, page_done, e);
	else
		r = err_errno(e, r, "gang '%s'", op->name);
	buf_done(&path);
	return r;
}

int act_gang(struct reconcile *rc, struct op *op, struct err *e)
{
	int r;

	if (!map_get(rc->gangs, op->name))
		return 0;
	op_drop_gang(op);
	op->gang = project_gang_new(op->name, GANG_ARENA);
	if (!op->gang)
		return err_set(e, -ENOMEM, "gang '%s'", op->name);
	op->gang->listed_at = (int64_t)(loop_wall(rc->loop) / USEC_PER_SEC);
	r = list_page(rc, op, NULL, e);
	if (r < 0)
		op_drop_gang(op);
	return r;
}
