// SPDX-License-Identifier: Apache-2.0
/* What agents say, what is published, and where they differ. */
#include "topology_inside.h"

#include <stdio.h>

#include "jhash.h"
#include "log.h"

enum { KEY_MAX = 320 };
static const uint64_t LOOK_EVERY_US = 300 * USEC_PER_SEC; /* for the kind */
static const uint64_t LOOK_TIMEOUT_US = 30 * USEC_PER_SEC;
static const uint64_t BACKOFF_MAX_US = 300 * USEC_PER_SEC;

/* ---- what is to be done ---- */

bool topology_is_settled(const struct topology_entry *x)
{
	if (x->want)
		return x->want == x->have ||
		       (x->have && x->want == x->wrote && x->have == x->gave);
	return x->raw || !x->have || !x->is_ours;
}

bool topology_is_open(const struct topology *t)
{
	return t->watch && t->has_accs && t->has_nrts;
}

static void kick(struct topology *t, const char *name)
{
	const struct topology_entry *x = map_get(t->entries, name);
	char key[KEY_MAX];

	if (!x || topology_is_settled(x) || !topology_is_open(t) ||
		snprintf(key, sizeof(key), "nrt/%s", name) >= (int)sizeof(key))
		return;
	(void)queue_add(t->queue, key);
}

static void kick_all(struct topology *t)
{
	const char *name;
	size_t it = 0;

	while (map_next(t->entries, &it, &name, NULL))
		kick(t, name);
}

static struct topology_entry *entry_get(struct topology *t, const char *name)
{
	struct topology_entry *x = map_get(t->entries, name);

	if (x)
		return x;
	x = calloc(1, sizeof(*x));
	if (!x || map_set(t->entries, name, x) < 0)
		return NULL;
	x->gone_us = loop_now(t->loop);
	return x;
}

void topology_forget_if_idle(
	struct topology *t, const char *name, const struct topology_entry *x)
{
	char key[KEY_MAX];

	if (x->raw || x->have)
		return;
	if (snprintf(key, sizeof(key), "nrt/%s", name) < (int)sizeof(key) &&
		map_get(t->ops, key))
		return; /* a request is under way */
	(void)map_del(t->entries, name);
}

/* ---- AcceleratorNodes ---- */

static void no_topology(struct topology *t, struct topology_entry *x)
{
	if (x->want || !x->gone_us)
		x->gone_us = loop_now(t->loop);
	x->raw = x->want = 0;
}

int topology_set_want(
	struct topology *t, struct topology_entry *x, const struct json *acc)
{
	const struct json *said = json_path(acc, "status.topology");
	CLEANUP(json_freep) struct json *body = NULL;
	struct err e = { 0 };
	uint64_t raw = said ? jhash(said) : 0;

	if (!raw) {
		no_topology(t, x);
		return 0;
	}
	if (raw == x->raw)
		return 0;
	x->raw = raw;
	if (topology_body(acc, &body, &x->want, &e) >= 0)
		return 0;
	log_error(&e, "topology not usable", "node",
		json_str(json_path(acc, "metadata.name")), NULL);
	return -EINVAL;
}

static void on_acc(const struct json *obj, void *user)
{
	struct topology *t = user;
	const char *name = json_str(json_path(obj, "metadata.name"));
	struct topology_entry *x;

	/* Most nodes have nothing to say, and cost nothing. */
	if (!name || (!json_path(obj, "status.topology") && !map_get(t->entries, name)))
		return;
	x = entry_get(t, name);
	if (!x)
		return;
	x->acc_list = t->acc_list;
	(void)topology_set_want(t, x, obj);
	kick(t, name);
}

static void on_acc_gone(const struct json *obj, void *user)
{
	struct topology *t = user;
	const char *name = json_str(json_path(obj, "metadata.name"));
	struct topology_entry *x = name ? map_get(t->entries, name) : NULL;

	if (!x)
		return;
	no_topology(t, x);
	kick(t, name);
	topology_forget_if_idle(t, name, x);
}

static void on_acc_list(void *user)
{
	((struct topology *)user)->acc_list++;
	((struct topology *)user)->has_accs = false;
}

static void on_acc_sync(void *user)
{
	struct topology *t = user;
	const char *name;
	size_t it = 0;
	void *value;

	t->has_accs = true;
	while (map_next(t->entries, &it, &name, &value)) {
		struct topology_entry *x = value;

		if (x->acc_list != t->acc_list)
			no_topology(t, x);
		topology_forget_if_idle(t, name, x);
	}
	kick_all(t);
}

const struct watch_ops topology_acc_ops = {
	.on_list = on_acc_list,
	.on_item = on_acc,
	.on_delete = on_acc_gone,
	.on_sync = on_acc_sync,
};

/* ---- NodeResourceTopologies with our label ---- */

void topology_set_have(struct topology_entry *x, const struct json *nrt)
{
	x->have = topology_hash(nrt);
	x->is_ours = topology_is_ours(nrt, x->have);
}

static void on_nrt(const struct json *obj, void *user)
{
	struct topology *t = user;
	const char *name = json_str(json_path(obj, "metadata.name"));
	struct topology_entry *x = name ? entry_get(t, name) : NULL;

	if (!x)
		return;
	x->nrt_list = t->nrt_list;
	topology_set_have(x, obj);
	kick(t, name);
}

static void no_object(struct topology *t, const char *name, struct topology_entry *x)
{
	/* Whoever took it away left room for ours. */
	if (x->have)
		x->until_us = 0;
	x->have = 0;
	x->is_ours = false;
	kick(t, name);
	topology_forget_if_idle(t, name, x);
}

static void on_nrt_gone(const struct json *obj, void *user)
{
	struct topology *t = user;
	const char *name = json_str(json_path(obj, "metadata.name"));
	struct topology_entry *x = name ? map_get(t->entries, name) : NULL;

	if (x)
		no_object(t, name, x);
}

static void on_nrt_list(void *user)
{
	((struct topology *)user)->nrt_list++;
	((struct topology *)user)->has_nrts = false;
}

static void sweep_nrts(struct topology *t)
{
	const char *name;
	size_t it = 0;
	void *value;

	while (map_next(t->entries, &it, &name, &value))
		if (((struct topology_entry *)value)->nrt_list != t->nrt_list)
			no_object(t, name, value);
}

static void on_nrt_sync(void *user)
{
	struct topology *t = user;

	sweep_nrts(t);
	t->has_nrts = true;
	kick_all(t);
}

static void on_nrt_link(bool is_up, const char *why, void *user)
{
	log_event(is_up ? LOG_INFO : LOG_WARN, is_up ? "watching" : "cannot watch",
		"collection", TOPOLOGY_NRTS, "why", is_up ? NULL : why, NULL);
}

static const struct watch_ops nrt_ops = {
	.on_list = on_nrt_list,
	.on_item = on_nrt,
	.on_delete = on_nrt_gone,
	.on_sync = on_nrt_sync,
	.on_link = on_nrt_link,
};

/* ---- is the kind there? ---- */

static void set_kind(struct topology *t, bool is_there)
{
	const struct watch_options o = { .path = TOPOLOGY_NRTS,
		.label_selector = TOPOLOGY_LABEL };
	struct err e = { 0 };

	(void)metrics_set(t->metrics, METRIC_GAUGE, "farrier_topology_kind", NULL,
		"1 when the cluster knows NodeResourceTopology", is_there);
	if (is_there == (t->watch != NULL))
		return;
	log_event(LOG_INFO,
		is_there ? "publishing NodeResourceTopology"
			 : "NodeResourceTopology is not known here any more",
		NULL);
	if (is_there) {
		if (watch_new(t->kube, &o, &nrt_ops, t, &t->watch, &e) < 0)
			log_error(&e, "cannot watch", "collection", TOPOLOGY_NRTS, NULL);
		return;
	}
	watch_free(t->watch);
	t->watch = NULL;
	t->has_nrts = false;
	t->nrt_list++;
	sweep_nrts(t);
}

static void on_looked(const struct kube_response *res, void *user)
{
	struct topology *t = user;
	const struct json *list = json_get(res->obj, "resources");
	bool is_there = false;

	t->look = NULL;
	for (size_t i = 0; res->result >= 0 && i < json_len(list); i++) {
		const char *name = json_get_str(json_at(list, i), "name");

		is_there |= name && streq(name, "noderesourcetopologies");
	}
	/* An API server that is away, or says no, says nothing of the kind. */
	if (res->result >= 0 || res->result == -ENOENT)
		set_kind(t, is_there);
	loop_timer_set(t->timer, loop_now(t->loop) + LOOK_EVERY_US +
					 loop_random(t->loop, LOOK_EVERY_US / 4));
}

static void on_timer(void *user)
{
	struct topology *t = user;
	struct err e = { 0 };

	if (t->look)
		return;
	if (kube_request(t->kube, "GET", TOPOLOGY_API, NULL, NULL, LOOK_TIMEOUT_US,
		    on_looked, t, &t->look, &e) >= 0)
		return;
	log_error(&e, "kinds not read", NULL);
	loop_timer_set(t->timer, loop_now(t->loop) + LOOK_EVERY_US);
}

/* ---- life ---- */

int topology_new(struct kube *k, struct metrics *m, struct topology **ret, struct err *e)
{
	CLEANUP(topology_freep) struct topology *t = calloc(1, sizeof(*t));
	const struct queue_options qo = { .base_us = USEC_PER_SEC,
		.max_us = BACKOFF_MAX_US };
	int r;

	if (!t)
		return err_errno(e, -ENOMEM, "topology");
	t->kube = k;
	t->loop = kube_loop(k);
	t->metrics = m;
	t->entries = map_new(free);
	t->ops = map_new(op_free);
	if (!t->entries || !t->ops)
		return err_errno(e, -ENOMEM, "topology");
	r = queue_new(t->loop, &qo, topology_work, t, &t->queue, e);
	if (r < 0)
		return r;
	r = loop_timer(t->loop, loop_now(t->loop), on_timer, t, &t->timer);
	if (r < 0)
		return err_errno(e, r, "timer");
	*ret = TAKE(t);
	return 0;
}

void topology_free(struct topology *t)
{
	if (!t)
		return;
	http_cancel(t->look);
	watch_free(t->watch);
	map_free(t->ops); /* ends what is under way */
	queue_free(t->queue);
	loop_source_free(t->timer);
	map_free(t->entries);
	free(t);
}
