// SPDX-License-Identifier: Apache-2.0
/* What a node needs, request by request: its AcceleratorNode, its cordon, its pods. */
#include <stdio.h>

#include "act.h"
#include "arena.h"
#include "bodies.h"
#include "jhash.h"
#include "log.h"

enum {
	PATH_MAX_ = 2048,
	PODS_PAGE = 50, /* pods are large: a few at a time */
	PODS_MAX = 2000,
	PODS_ARENA = 16 << 20,
	EVICT_RETRY_S = 5,
};

/* ---- events ---- */

static void tell(struct reconcile *rc, const char *name, const char *type,
	const char *reason, const char *message)
{
	const struct view_node *n = fleet_node(rc->fleet, name);
	char uid[UID_TEXT_MAX];
	struct kube_ref ref = {
		.api_version = API_GROUP_VERSION,
		.kind = API_KIND_NODE,
		.name = name,
		.uid = n ? uid_text(&n->acc_uid, uid) : "",
	};
	struct err e = { 0 };

	log_event(streq(type, "Warning") ? LOG_WARN : LOG_INFO, reason, "node", name,
		"detail", message, NULL);
	if (kube_event(rc->kube, &ref, API_MANAGER_CONTROLLER, type, reason, message,
		    &e) < 0)
		log_error(&e, "event not written", "node", name, NULL);
}

static void tell_step(struct reconcile *rc, const char *name, int old_state)
{
	static const char *const reasons[API_UPGRADE_STATES_] = {
		[API_UPGRADE_CORDON] = "UpgradeStarted",
		[API_UPGRADE_REPLACE] = "NodeDrained",
		[API_UPGRADE_DONE] = "UpgradeDone",
		[API_UPGRADE_FAILED] = "UpgradeFailed",
	};
	const struct view_node *n = fleet_node(rc->fleet, name);
	const struct view_upgrade *up;
	char text[512];

	if (!n)
		return;
	up = &n->upgrade;
	if (up->state == old_state || !reasons[up->state])
		return;
	(void)snprintf(text, sizeof(text), "%s%s%s%s%s", up->target,
		*up->reason ? ": " : "", up->reason, *up->message ? ": " : "",
		up->message);
	tell(rc, name, up->state == API_UPGRADE_FAILED ? "Warning" : "Normal",
		reasons[up->state], text);
}

/* ---- AcceleratorNode ---- */

static void write_done(struct op *op, const struct kube_response *res)
{
	struct reconcile *rc = op->owner;
	struct view_node *n = fleet_node(rc->fleet, op->name);
	struct plan_node *w = map_get(rc->wants, op->name);
	struct err e = { 0 };

	if (res->result < 0) {
		bool is_settled = op_is_refused(res->result) && !op->is_uncertain;

		op->is_uncertain = op->is_uncertain || !op_is_refused(res->result);
		if (n && is_settled)
			(void)fleet_set_intent(rc->fleet, n, NULL, NULL);
		return;
	}
	op->is_uncertain = false;
	if (fleet_put(rc->fleet, FLEET_ACCS, res->obj, &e) < 0)
		log_error(&e, "answer of a write cannot be read", NULL);
	n = fleet_node(rc->fleet, op->name);
	if (!n)
		return;
	(void)fleet_set_intent(rc->fleet, n, NULL, NULL);
	n->written_hash = op->hash;
	n->stored_hash = project_hash(res->obj);
	if (n->written_hash != n->stored_hash)
		log_event(LOG_WARN, "the server changed what was written",
			"acceleratornode", op->name, NULL);
	if (w && w->hash == op->hash)
		w->write = false;
	tell_step(rc, op->name, op->old_state);
}

static int write_acc(struct reconcile *rc, struct op *op, struct view_node *n,
	struct plan_node *w, struct err *e)
{
	CLEANUP(json_freep) struct json *body = NULL;
	struct buf path;
	int r = bodies_acc(rc->fleet, w, &body);

	if (r == -ESTALE) /* the next plan knows better */
		return 0;
	if (r < 0)
		return err_errno(e, r, "body of AcceleratorNode '%s'", op->name);
	if (!op->is_uncertain)
		op->old_state = n->upgrade.state;
	r = fleet_set_intent(rc->fleet, n, &w->upgrade, &w->assigns);
	if (r < 0)
		return err_errno(e, r, "AcceleratorNode '%s'", op->name);
	op->hash = w->hash;
	buf_init(&path, PATH_MAX_);
	r = bodies_path(&path, BODIES_API "/acceleratornodes/", op->name, BODIES_APPLY);
	if (r >= 0)
		r = op_start(op, rc->kube, "PATCH", buf_cstr(&path), KUBE_APPLY, body,
			write_done, e);
	buf_done(&path);
	if (r < 0 && !op->is_uncertain)
		(void)fleet_set_intent(rc->fleet, n, NULL, NULL);
	return r;
}

/* ---- cordon ---- */

static void cordon_done(struct op *op, const struct kube_response *res)
{
	struct reconcile *rc = op->owner;
	struct plan_node *w = map_get(rc->wants, op->name);
	const struct view_node *n;
	struct err e = { 0 };

	if (res->result < 0)
		return;
	if (fleet_put(rc->fleet, FLEET_NODES, res->obj, &e) < 0)
		log_error(&e, "answer of a write cannot be read", NULL);
	if (w)
		w->cordon = PLAN_CORDON_KEEP;
	n = fleet_node(rc->fleet, op->name);
	if (n)
		tell(rc, op->name, "Normal",
			n->is_cordoned ? "NodeCordoned" : "NodeUncordoned",
			n->is_cordoned ? "for a driver upgrade" : "driver upgrade over");
}

int act_patch_node(struct reconcile *rc, struct op *op, const char *tail,
	const char *content_type, const struct json *body, op_done_fn done, struct err *e)
{
	struct buf path;
	int r;

	buf_init(&path, PATH_MAX_);
	r = bodies_path(&path, "/api/v1/nodes/", op->name, tail);
	if (r >= 0)
		r = op_start(op, rc->kube, "PATCH", buf_cstr(&path), content_type, body,
			done, e);
	buf_done(&path);
	return r;
}

static int write_cordon(struct reconcile *rc, struct op *op, const struct view_node *n,
	bool on, struct err *e)
{
	CLEANUP(json_freep) struct json *body = NULL;
	int r = bodies_cordon(n, on, &body);

	if (r < 0)
		return err_errno(e, r, "body of Node '%s'", op->name);
	return act_patch_node(rc, op, "?fieldManager=" API_MANAGER_CONTROLLER,
		KUBE_MERGE_PATCH, body, cordon_done, e);
}

/* ---- pods ---- */

static int list_page(
	struct reconcile *rc, struct op *op, const char *more, struct err *e);

static int append(struct view_pods *p, const struct view_pod *pods, size_t n)
{
	struct view_pod *all;

	if (p->n + n > PODS_MAX)
		return -E2BIG;
	all = arena_array(p->arena, p->n + n + 1, sizeof(*all));
	if (!all)
		return -ENOMEM;
	if (p->n > 0)
		memcpy(all, p->pods, p->n * sizeof(*all));
	memcpy(all + p->n, pods, n * sizeof(*all));
	p->pods = all;
	p->n += n;
	return 0;
}

static void page_done(struct op *op, const struct kube_response *res)
{
	struct reconcile *rc = op->owner;
	struct view_node *n = fleet_node(rc->fleet, op->name);
	struct plan_node *w = map_get(rc->wants, op->name);
	const char *more = json_str(json_path(res->obj, "metadata.continue"));
	struct view_pod *pods = NULL;
	struct err e = { 0 };
	size_t k = 0;
	int r = res->result;

	if (r >= 0)
		r = project_pods(
			op->pods->arena, res->obj, fleet_resources(rc->fleet), &pods, &k);
	if (r >= 0)
		r = append(op->pods, pods, k);
	if (r >= 0 && !str_empty(more)) {
		r = list_page(rc, op, more, &e);
		if (r >= 0)
			return;
	}
	op->failed = r;
	if (r < 0 || !n) {
		op_drop_pods(op);
		return;
	}
	fleet_set_pods(n, TAKE(op->pods));
	if (w) {
		w->need_pods = false;
		w->evict.n = 0;
	}
}

static int list_page(struct reconcile *rc, struct op *op, const char *more, struct err *e)
{
	struct buf path;
	int r;

	buf_init(&path, PATH_MAX_);
	(void)buf_fmt(&path, "/api/v1/pods?limit=%d&fieldSelector=spec.nodeName%%3D",
		PODS_PAGE);
	(void)kube_path_escape(&path, op->name);
	if (more) {
		(void)buf_str(&path, "&continue=");
		(void)kube_path_escape(&path, more);
	}
	r = buf_ok(&path);
	if (r >= 0)
		r = op_start(
			op, rc->kube, "GET", buf_cstr(&path), NULL, NULL, page_done, e);
	buf_done(&path);
	return r;
}

static int list_pods(
	struct reconcile *rc, struct op *op, const struct view_node *n, struct err *e)
{
	struct arena *a = arena_new(PODS_ARENA);
	int r;

	op_drop_pods(op);
	if (a)
		op->pods = arena_alloc(a, sizeof(*op->pods));
	if (!op->pods) {
		arena_free(a);
		return err_set(e, -ENOMEM, "pods of node '%s'", op->name);
	}
	*op->pods = (struct view_pods){
		.arena = a,
		.serial = ++rc->pods_serial,
		.listed_at = (int64_t)(loop_wall(rc->loop) / USEC_PER_SEC),
		.for_state = n->upgrade.state,
		.for_since = n->upgrade.since,
	};
	r = list_page(rc, op, NULL, e);
	if (r < 0)
		op_drop_pods(op);
	return r;
}

/* ---- evictions ---- */

static struct view_pod *pod_by_uid(const struct view_node *n, const char *uid)
{
	for (size_t i = 0; n && n->pods && i < n->pods->n; i++)
		if (streq(n->pods->pods[i].uid, uid))
			return &n->pods->pods[i];
	return NULL;
}

static void evict_done(struct op *op, const struct kube_response *res)
{
	struct reconcile *rc = op->owner;
	struct view_pod *pod = pod_by_uid(fleet_node(rc->fleet, op->name), op->uid);
	int64_t now = (int64_t)(loop_wall(rc->loop) / USEC_PER_SEC);

	op->failed = 0; /* each pod has its own time to come again */
	if (!pod)
		return;
	if (res->result == 0 || res->result == -ENOENT || res->result == -EAGAIN) {
		pod->is_deleting = true; /* or gone already: the next listing knows */
		pod->is_blocked = false;
		log_event(LOG_INFO, "pod evicted", "node", op->name, "namespace",
			pod->namespace_, "pod", pod->name, NULL);
		return;
	}
	pod->is_blocked = res->result == -EBUSY;
	pod->retry_at = now + MAX((int64_t)(res->retry_after_us / USEC_PER_SEC),
				      (int64_t)EVICT_RETRY_S);
	if (!pod->is_blocked)
		log_event(LOG_WARN, "pod not evicted", "node", op->name, "namespace",
			pod->namespace_, "pod", pod->name, "why", res->message, NULL);
}

static int evict(
	struct reconcile *rc, struct op *op, const struct view_pod *pod, struct err *e)
{
	CLEANUP(json_freep) struct json *body = NULL;
	struct buf path;
	int r = bodies_eviction(pod, &body);

	if (r < 0)
		return err_errno(e, r, "eviction of pod '%s'", pod->name);
	(void)snprintf(op->uid, sizeof(op->uid), "%s", pod->uid);
	buf_init(&path, PATH_MAX_);
	(void)buf_str(&path, "/api/v1/namespaces/");
	(void)kube_path_escape(&path, pod->namespace_);
	(void)buf_str(&path, "/pods/");
	(void)kube_path_escape(&path, pod->name);
	(void)buf_str(&path, "/eviction");
	r = buf_ok(&path);
	if (r >= 0)
		r = op_start(op, rc->kube, "POST", buf_cstr(&path), KUBE_JSON, body,
			evict_done, e);
	buf_done(&path);
	return r;
}

/* The next pod of the plan that was not asked to go yet; NULL when there is none. */
static const struct view_pod *next_pod(
	const struct reconcile *rc, const struct view_node *n, const struct plan_node *w)
{
	int64_t now = (int64_t)(loop_wall(rc->loop) / USEC_PER_SEC);

	if (!n->pods || n->pods->serial != w->evict_serial || !n->is_unschedulable)
		return NULL;
	for (size_t i = 0; i < w->evict.n; i++) {
		const struct view_pod *pod = *VIEW_AT(struct view_pod *, w->evict, i);

		if (!pod->is_deleting && pod->retry_at <= now)
			return pod;
	}
	return NULL;
}

int act_node(struct reconcile *rc, struct op *op, struct err *e)
{
	struct view_node *n = fleet_node(rc->fleet, op->name);
	struct plan_node *w = map_get(rc->wants, op->name);
	const struct view_pod *pod;

	if (!n || !w || !n->has_node)
		return 0;
	if (w->write)
		return write_acc(rc, op, n, w, e);
	if (w->cordon != PLAN_CORDON_KEEP && n->version != w->node_version)
		return 0; /* decided on another Node than it is now */
	if (w->cordon != PLAN_CORDON_KEEP)
		return write_cordon(rc, op, n, w->cordon == PLAN_CORDON_ON, e);
	if (w->need_pods)
		return list_pods(rc, op, n, e);
	pod = next_pod(rc, n, w);
	return pod ? evict(rc, op, pod, e) : act_marks(rc, op, e);
}
