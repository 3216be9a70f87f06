// SPDX-License-Identifier: Apache-2.0
/* Plans when something changed and feeds the queue with what the plan wants done. */
#include "reconcile.h"

#include <malloc.h>
#include <stdio.h>
#include <time.h>

#include "act.h"
#include "arena.h"
#include "bodies.h"
#include "feed.h"
#include "jhash.h"
#include "log.h"
#include "schema.h"
#include "topology.h"
#include "wave.h"

enum {
	IN_FLIGHT_MAX = 32,
	ARENA_MAX = 1 << 30, /* a plan for 100,000 nodes that all need a write */
	KEY_MAX = 320,
	GANG_KEY_MAX = 1024,
	COST_SHARE = 20, /* planning takes at most one twentieth of the time */
};
static const uint64_t SOON_US = 50 * USEC_PER_MSEC;
static const uint64_t STATUS_EVERY_US = USEC_PER_SEC;
static const uint64_t BACKOFF_MAX_US = 60 * USEC_PER_SEC;

/* ---- when to plan ---- */

static void plan_at(struct reconcile *rc, uint64_t at_us)
{
	at_us = MAX(at_us, rc->planned_us + COST_SHARE * rc->plan_cost_us);
	if (at_us >= rc->timer_us)
		return;
	rc->timer_us = at_us;
	loop_timer_set(rc->timer, at_us);
}

void reconcile_kick(void *user)
{
	struct reconcile *rc = user;

	if (rc->is_leading)
		plan_at(rc, loop_now(rc->loop) + SOON_US);
}

/* ---- the queue ---- */

static struct queue *queue_of(struct reconcile *rc, const struct op *op)
{
	return op->is_urgent ? rc->urgent : rc->queue;
}

static void after(struct op *op)
{
	struct reconcile *rc = op->owner;

	if (op->req) /* it goes on with another request */
		return;
	if (rc->in_flight-- == IN_FLIGHT_MAX)
		queue_pause(rc->queue, false); /* the urgent one never waits */
	if (op->failed < 0)
		log_event(LOG_WARN, "request failed", "key", op->key, "why",
			strerror(-op->failed), NULL);
	(void)queue_add(queue_of(rc, op), op->key); /* the next thing, or the failure */
	reconcile_kick(rc);
}

static bool is_gang(const char *key)
{
	return str_starts(key, "gang/");
}

static bool is_object(const char *key)
{
	return !str_starts(key, "node/") && !is_gang(key);
}

/* Called by the queue: a failure is reported a call late, because requests end later than calls. */
static int64_t work(struct reconcile *rc, const char *key, bool is_urgent)
{
	struct err e = { 0 };
	uint64_t now = loop_now(rc->loop);
	struct op *op;
	int r;

	if (!rc->is_leading)
		return 0;
	op = op_get(rc->ops, key, rc, after);
	if (!op)
		return -ENOMEM;
	if (op->req)
		return 0;
	op->is_urgent = is_urgent;
	r = op->failed;
	op->failed = 0;
	op->is_backing_off = r < 0;
	if (r < 0)
		return r;
	if (is_object(key) && op->written_us && now < op->written_us + STATUS_EVERY_US)
		return (int64_t)(op->written_us + STATUS_EVERY_US - now);
	r = is_object(key) ? act_object(rc, op, &e)
	    : is_gang(key) ? act_gang(rc, op, &e)
			   : act_node(rc, op, &e);
	if (r < 0) {
		log_error(&e, "request not made", "key", key, NULL);
		op->is_backing_off = true;
		return r;
	}
	if (op->req && ++rc->in_flight >= IN_FLIGHT_MAX)
		queue_pause(rc->queue, true);
	/* Only objects' keys remember something once they are settled. */
	if (!op->req && !is_object(key))
		(void)map_del(rc->ops, key);
	return 0;
}

static int64_t work_nodes(const char *key, void *user)
{
	return work(user, key, false);
}

static int64_t work_urgent(const char *key, void *user)
{
	return work(user, key, true);
}

static int enqueue(struct reconcile *rc, const char *key, bool is_urgent)
{
	const struct op *op = map_get(rc->ops, key);

	if (op && (op->req || op->is_backing_off))
		return 0; /* comes again by itself */
	return queue_add(is_urgent ? rc->urgent : rc->queue, key);
}

/* ---- what the plan wants ---- */

static int want_nodes(struct reconcile *rc, struct plan *p)
{
	struct map *wants = map_new(NULL);
	char key[KEY_MAX];
	int r = 0;

	if (!wants)
		return -ENOMEM;
	for (size_t i = 0; i < p->n_nodes && r >= 0; i++)
		r = map_set(wants, p->nodes[i].name, &p->nodes[i]);
	if (r < 0) {
		map_free(wants);
		return r;
	}
	map_free(rc->wants);
	rc->wants = wants;
	for (size_t i = 0; i < p->n_nodes && r >= 0; i++) {
		(void)snprintf(key, sizeof(key), "node/%s", p->nodes[i].name);
		r = enqueue(rc, key,
			wave_is_active(p->nodes[i].upgrade.state) ||
				wave_is_active(p->nodes[i].node->upgrade.state) ||
				p->nodes[i].cordon != PLAN_CORDON_KEEP);
	}
	return r;
}

/* A wave waits for these. */
static int want_gangs(struct reconcile *rc, const struct plan *p)
{
	struct map *wants = map_new(NULL);
	int r = wants ? 0 : -ENOMEM;

	for (size_t i = 0; i < p->gangs.n && r >= 0; i++)
		r = map_set(wants, *VIEW_AT(const char *, p->gangs, i), wants);
	if (r < 0) {
		map_free(wants);
		return r;
	}
	map_free(rc->gangs);
	rc->gangs = wants;
	for (size_t i = 0; i < p->gangs.n && r >= 0; i++) {
		char key[GANG_KEY_MAX];

		if (snprintf(key, sizeof(key), "gang/%s",
			    *VIEW_AT(const char *, p->gangs, i)) < (int)sizeof(key))
			r = enqueue(rc, key, true);
	}
	return r;
}

/* Keeps @body for @key when its status is not what is stored. Takes @body. */
static int want_status(struct reconcile *rc, const char *prefix, const char *name,
	enum fleet_kind kind, struct json *body)
{
	uint64_t hash = jhash(json_get(body, "status"));
	uint64_t stored = fleet_status_hash(rc->fleet, kind, name);
	const struct op *op;
	char key[KEY_MAX];
	int r;

	(void)snprintf(key, sizeof(key), "%s/%s", prefix, name);
	op = map_get(rc->ops, key);
	if (hash == stored ||
		(op && hash == op->written_hash && stored == op->stored_hash)) {
		(void)map_del(rc->bodies, key);
		json_free(body);
		return 0;
	}
	r = map_set(rc->bodies, key, body);
	return r < 0 ? r : enqueue(rc, key, true);
}

static int want_finalizer(struct reconcile *rc, const struct plan_driver *d)
{
	struct json *body = NULL;
	char key[KEY_MAX];
	int r;

	(void)snprintf(key, sizeof(key), "finalizer/%s", d->driver->name);
	if (!d->add_finalizer && !d->drop_finalizer) {
		(void)map_del(rc->bodies, key);
		return 0;
	}
	r = bodies_finalizers(rc->fleet, d->driver->name, d->add_finalizer, &body);
	if (r < 0)
		return r;
	r = map_set(rc->bodies, key, body);
	return r < 0 ? r : enqueue(rc, key, true);
}

static int want_objects(struct reconcile *rc, struct plan *p)
{
	int r = 0;

	for (size_t i = 0; i < p->n_drivers && r >= 0; i++) {
		struct json *body = NULL;

		r = want_finalizer(rc, &p->drivers[i]);
		if (r >= 0)
			r = bodies_driver_status(rc->fleet, &p->drivers[i], &body);
		if (r >= 0)
			r = want_status(rc, "driver", p->drivers[i].driver->name,
				FLEET_DRIVERS, body);
	}
	for (size_t i = 0; i < p->n_classes && r >= 0; i++) {
		struct json *body = NULL;

		r = bodies_class_status(&p->classes[i], &body);
		if (r >= 0)
			r = want_status(rc, "class", p->classes[i].class_->name,
				FLEET_CLASSES, body);
	}
	return r;
}

/* ---- metrics ---- */

static void gauge(struct reconcile *rc, const char *name, const char *labels,
	const char *help, double v)
{
	(void)metrics_set(rc->metrics, METRIC_GAUGE, name, labels, help, v);
}

static void show_driver(struct reconcile *rc, const struct plan_driver *d)
{
	const struct {
		const char *state;
		int64_t nodes;
	} rows[] = {
		{ "desired", d->desired },
		{ "ready", d->ready },
		{ "failed", d->failed },
		{ "upgrading", d->upgrading },
		{ "waiting", d->waiting },
		{ "offline", d->offline },
	};
	struct buf b;

	buf_init(&b, 1024);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		buf_clear(&b);
		(void)metrics_label(&b, "driver", d->driver->name);
		(void)metrics_label(&b, "state", rows[i].state);
		if (buf_ok(&b) >= 0)
			gauge(rc, "farrier_driver_nodes", buf_cstr(&b),
				"Nodes of a driver by state", (double)rows[i].nodes);
	}
	buf_done(&b);
}

static void show(struct reconcile *rc, const struct plan *p, size_t n_nodes)
{
	gauge(rc, "farrier_nodes", NULL, "Nodes known", (double)n_nodes);
	gauge(rc, "farrier_nodes_offline", NULL, "Nodes that are not ready",
		(double)p->n_offline);
	gauge(rc, "farrier_nodes_upgrading", NULL, "Nodes between cordon and uncordon",
		(double)p->n_upgrading);
	gauge(rc, "farrier_plan_seconds", NULL, "Time the last plan took",
		(double)rc->plan_cost_us / 1e6);
	metrics_clear(rc->metrics, "farrier_driver_nodes");
	for (size_t i = 0; i < p->n_drivers; i++)
		show_driver(rc, &p->drivers[i]);
	(void)metrics_add(rc->metrics, METRIC_COUNTER, "farrier_plans_total", NULL,
		"Plans made", 1);
}

/* ---- planning ---- */

/* The cost is real time spent, whatever clock the loop has. */
static uint64_t spent_us(const struct timespec *since)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)(now.tv_sec - since->tv_sec) * USEC_PER_SEC +
	       (uint64_t)(now.tv_nsec / 1000) - (uint64_t)(since->tv_nsec / 1000);
}

static int make_plan(struct reconcile *rc, struct err *e)
{
	CLEANUP(arena_freep)
	struct arena *kept = arena_new(ARENA_MAX), *a = arena_new(ARENA_MAX);
	int64_t now = (int64_t)(loop_wall(rc->loop) / USEC_PER_SEC);
	const struct view *v;
	struct timespec begun;
	struct plan p;
	int r;

	(void)clock_gettime(CLOCK_MONOTONIC, &begun);
	fleet_set_schema_note(rc->fleet, schema_note(rc->schema));
	v = fleet_view(rc->fleet);
	if (!kept || !a || !v)
		return err_set(e, -ENOMEM, "plan");
	r = plan_make_in(kept, a, v, now, &p);
	if (r < 0)
		return err_errno(e, r, "plan");
	r = want_nodes(rc, &p);
	if (r < 0)
		return err_errno(e, r, "plan");
	arena_free(rc->arena);
	rc->arena = TAKE(kept);
	r = want_gangs(rc, &p);
	if (r >= 0)
		r = want_objects(rc, &p);
	if (r < 0)
		return err_errno(e, r, "plan");
	rc->plan_cost_us = spent_us(&begun);
	show(rc, &p, v->n_nodes);
	if (p.wake_at != INT64_MAX)
		plan_at(rc,
			loop_now(rc->loop) + (uint64_t)MAX(p.wake_at - now, (int64_t)1) *
						     USEC_PER_SEC);
	if (rc->once && p.n_nodes == 0 && p.gangs.n == 0 && map_len(rc->bodies) == 0 &&
		rc->in_flight == 0)
		loop_exit(rc->loop, 0);
	return 0;
}

static void on_timer(void *user)
{
	struct reconcile *rc = user;
	struct err e = { 0 };

	rc->timer_us = UINT64_MAX;
	if (!rc->is_leading || !feed_check(rc->feed))
		return; /* what is missing calls again when it comes */
	rc->planned_us = loop_now(rc->loop);
	if (make_plan(rc, &e) < 0) {
		log_error(&e, "cannot plan", NULL);
		plan_at(rc, loop_now(rc->loop) + USEC_PER_SEC);
	}
	/* A plan for many nodes, or the list before it, leaves holes that the next one may not need. */
	(void)malloc_trim(0);
}

/* ---- life ---- */

static char *copy_or_null(const char *s)
{
	return str_empty(s) ? NULL : strdup(s);
}

int reconcile_new(struct kube *k, struct metrics *m, const struct reconcile_options *o,
	struct reconcile **ret, struct err *e)
{
	CLEANUP(reconcile_freep) struct reconcile *rc = calloc(1, sizeof(*rc));
	struct queue_options qo = { .max_us = BACKOFF_MAX_US };
	int r;

	if (!rc)
		return err_set(e, -ENOMEM, "out of memory");
	rc->kube = k;
	rc->loop = kube_loop(k);
	rc->metrics = m;
	rc->once = o->once;
	rc->builders = o->builders;
	rc->quorum = o->quorum;
	rc->namespace_ = o->namespace_;
	rc->stream_lists = o->stream_lists;
	rc->startup_taint = str_empty(o->startup_taint) ? NULL : o->startup_taint;
	rc->has_topology = o->topology;
	rc->timer_us = UINT64_MAX;
	rc->own_node = copy_or_null(o->own_node);
	rc->node_selector = copy_or_null(o->node_selector);
	if ((!str_empty(o->own_node) && !rc->own_node) ||
		(!str_empty(o->node_selector) && !rc->node_selector))
		return err_set(e, -ENOMEM, "out of memory");
	r = loop_timer(rc->loop, UINT64_MAX, on_timer, rc, &rc->timer);
	if (r < 0)
		return err_errno(e, r, "timer");
	r = queue_new(rc->loop, &qo, work_nodes, rc, &rc->queue, e);
	if (r >= 0)
		r = queue_new(rc->loop, &qo, work_urgent, rc, &rc->urgent, e);
	if (r < 0)
		return r;
	*ret = TAKE(rc);
	return 0;
}

static void free_json(void *j)
{
	json_free(j);
}

void reconcile_start(struct reconcile *rc)
{
	struct err e = { 0 };
	int r;

	if (rc->is_leading)
		return;
	rc->ops = map_new(op_free);
	rc->wants = map_new(NULL);
	rc->gangs = map_new(NULL);
	rc->bodies = map_new(free_json);
	r = rc->ops && rc->wants && rc->gangs && rc->bodies
		    ? fleet_new(rc->own_node, &rc->fleet)
		    : -ENOMEM;
	if (r >= 0)
		fleet_share(rc->fleet, rc->builders, rc->quorum);
	if (r >= 0)
		fleet_watch_taint(rc->fleet, rc->startup_taint);
	if (r >= 0)
		r = feed_new(rc->kube, rc->fleet, rc->namespace_, rc->node_selector,
			rc->stream_lists, reconcile_kick, rc, &rc->feed, &e);
	if (r >= 0)
		r = schema_new(rc->kube, reconcile_kick, rc, &rc->schema, &e);
	if (r >= 0 && rc->has_topology)
		r = topology_new(rc->kube, rc->metrics, &rc->topology, &e);
	if (r >= 0 && rc->topology)
		feed_observe(rc->feed, &topology_acc_ops, rc->topology);
	rc->is_leading = true;
	if (r < 0) {
		(void)err_wrap(&e, r, "start");
		log_error(&e, "cannot start", NULL);
		loop_exit(rc->loop, 1);
		return;
	}
	queue_pause(rc->queue, false);
	queue_pause(rc->urgent, false);
	reconcile_kick(rc);
}

void reconcile_stop(struct reconcile *rc)
{
	if (!rc->is_leading)
		return;
	rc->is_leading = false;
	queue_pause(rc->queue, true);
	queue_pause(rc->urgent, true);
	map_free(rc->ops); /* ends what is under way */
	rc->in_flight = 0;
	feed_free(rc->feed);
	schema_free(rc->schema);
	topology_free(rc->topology);
	map_free(rc->wants);
	map_free(rc->gangs);
	map_free(rc->bodies);
	fleet_free(rc->fleet);
	arena_free(rc->arena);
	rc->ops = rc->wants = rc->gangs = rc->bodies = NULL;
	rc->feed = NULL;
	rc->schema = NULL;
	rc->topology = NULL;
	rc->fleet = NULL;
	rc->arena = NULL;
	rc->timer_us = UINT64_MAX;
	loop_timer_set(rc->timer, UINT64_MAX);
}

void reconcile_free(struct reconcile *rc)
{
	if (!rc)
		return;
	if (rc->is_leading)
		reconcile_stop(rc);
	queue_free(rc->queue);
	queue_free(rc->urgent);
	loop_source_free(rc->timer);
	free(rc->own_node);
	free(rc->node_selector);
	free(rc);
}

bool reconcile_is_synced(const struct reconcile *rc)
{
	for (int i = 0; i < FLEET_KINDS_; i++)
		if (!rc->fleet || !fleet_is_synced(rc->fleet, i))
			return false;
	return true;
}
