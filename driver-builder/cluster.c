// SPDX-License-Identifier: Apache-2.0
/* Watch, status and Events of one AcceleratorNode. */
#include "cluster.h"

#include <stdio.h>

#include "api.h"
#include "kube.h"
#include "log.h"
#include "watch.h"

#define NODES "/apis/" API_GROUP_VERSION "/acceleratornodes"
#define SEND_DELAY_US (200 * USEC_PER_MSEC)
#define RETRY_MIN_US (1 * USEC_PER_SEC)
#define RETRY_MAX_US (300 * USEC_PER_SEC)

struct cluster {
	struct loop *loop;
	struct kube *kube;
	struct watch *watch;
	const struct cluster_ops *ops;
	void *user;
	char *node_name, *uid, *path;
	struct json *wanted, *sending, *written; /* statuses */
	struct http_req *request;
	struct loop_source *timer;
	uint64_t retry_us;
	bool is_there; /* our object exists, as far as we know */
};

static void arm(struct cluster *c, uint64_t delay_us)
{
	uint64_t jitter = loop_random(c->loop, delay_us / 2 + 1);

	loop_timer_set(c->timer, loop_now(c->loop) + delay_us + jitter);
}

static void on_written(const struct kube_response *res, void *user)
{
	struct cluster *c = user;

	c->request = NULL;
	if (res->result == 0) {
		json_free(c->written);
		c->written = TAKE(c->sending);
		c->retry_us = 0;
		if (c->wanted && !json_equal(c->wanted, c->written))
			arm(c, SEND_DELAY_US);
		return;
	}
	json_free(TAKE(c->sending));
	/* A status that was refused is not written: what was there before is not known either. */
	json_free(TAKE(c->written));
	if (res->result == -ENOENT)
		c->is_there = false; /* written when the object comes (back) */
	c->retry_us = MIN(MAX(c->retry_us * 2, RETRY_MIN_US), RETRY_MAX_US);
	arm(c, MAX(c->retry_us, res->retry_after_us));
	log_event(LOG_WARN, "status not written", "error", res->message, NULL);
}

static struct json *make_body(struct cluster *c)
{
	CLEANUP(json_freep) struct json *body = json_new_object();
	struct json *meta = json_new_object();

	if (!body || !meta || json_set_str(meta, "name", c->node_name) < 0 ||
		json_set_str(body, "apiVersion", API_GROUP_VERSION) < 0 ||
		json_set_str(body, "kind", API_KIND_NODE) < 0) {
		json_free(meta);
		return NULL;
	}
	if (json_set(body, "metadata", meta) < 0 ||
		json_set(body, "status", json_copy(c->wanted)) < 0)
		return NULL;
	return TAKE(body);
}

static void send_status(void *user)
{
	struct cluster *c = user;
	CLEANUP(json_freep) struct json *body = NULL;
	struct err e = { 0 };
	int r;

	if (c->request || !c->wanted || !c->is_there ||
		(c->written && json_equal(c->wanted, c->written)))
		return;
	body = make_body(c);
	c->sending = json_copy(c->wanted);
	r = body && c->sending ? kube_apply(c->kube, c->path, API_MANAGER_AGENT, body,
					 on_written, c, &c->request, &e)
			       : -ENOMEM;
	if (r < 0) {
		json_free(TAKE(c->sending));
		c->retry_us = MIN(MAX(c->retry_us * 2, RETRY_MIN_US), RETRY_MAX_US);
		arm(c, c->retry_us);
	}
}

int cluster_status(struct cluster *c, const struct json *status)
{
	struct json *copy = json_copy(status);

	if (!copy)
		return -ENOMEM;
	if (c->wanted && json_equal(c->wanted, copy)) {
		json_free(copy);
		return 0;
	}
	json_free(c->wanted);
	c->wanted = copy;
	if (!c->request && c->retry_us == 0)
		arm(c, SEND_DELAY_US);
	return 0;
}

void cluster_event(
	struct cluster *c, const char *type, const char *reason, const char *message)
{
	struct kube_ref ref = { API_GROUP_VERSION, API_KIND_NODE, c->node_name, NULL,
		c->uid };

	if (c->uid)
		(void)kube_event(
			c->kube, &ref, API_MANAGER_AGENT, type, reason, message, NULL);
}

static void on_item(const struct json *obj, void *user)
{
	struct cluster *c = user;
	const char *name = json_str(json_path(obj, "metadata.name"));
	const char *uid = json_str(json_path(obj, "metadata.uid"));

	if (!name || !uid || !streq(name, c->node_name))
		return;
	if (!c->uid || !streq(c->uid, uid)) {
		char *copy = strdup(uid);

		if (!copy)
			return;
		free(c->uid);
		c->uid = copy;
		json_free(
			TAKE(c->written)); /* another object: nothing is written in it */
	}
	if (!c->is_there) {
		c->is_there = true;
		c->retry_us = 0;
		arm(c, 0);
	}
	c->ops->on_node(obj, c->user);
}

/* A vanished object is no intent: the node goes on with what it knows. */
static void on_delete(const struct json *obj, void *user)
{
	struct cluster *c = user;

	c->is_there = false;
	log_event(LOG_WARN, "own AcceleratorNode is gone; nothing is changed by that",
		NULL);
}

static void on_nothing(void *user)
{
}

static void on_link(bool is_up, const char *why, void *user)
{
	struct cluster *c = user;

	if (is_up && c->retry_us > 0) {
		c->retry_us = 0;
		arm(c, SEND_DELAY_US);
	}
	c->ops->on_link(is_up, why, c->user);
}

static const struct watch_ops watch_ops = {
	.on_list = on_nothing,
	.on_item = on_item,
	.on_delete = on_delete,
	.on_sync = on_nothing,
	.on_link = on_link,
};

static int start(struct cluster *c, const struct cluster_options *o, struct err *e)
{
	struct kube_options kube = { o->kubeconfig,
		"farrier-driver-builder/" FARRIER_VERSION };
	struct buf path CLEANUP(buf_done);
	char selector[300];
	int r;

	buf_init(&path, 1024);
	(void)buf_str(&path, NODES "/");
	(void)kube_path_escape(&path, o->node_name);
	(void)buf_str(&path, "/status");
	c->path = buf_steal(&path);
	c->node_name = strdup(o->node_name);
	if (!c->path || !c->node_name)
		return err_errno(e, -ENOMEM, "cluster");
	if (snprintf(selector, sizeof(selector), "metadata.name=%s", o->node_name) >=
		(int)sizeof(selector))
		return err_set(e, -EINVAL, "node name is too long");
	r = kube_new(c->loop, &kube, &c->kube, e);
	if (r < 0)
		return r;
	r = loop_timer(c->loop, UINT64_MAX, send_status, c, &c->timer);
	if (r < 0)
		return err_errno(e, r, "timer");
	return watch_new(c->kube,
		&(struct watch_options){ .path = NODES, .field_selector = selector },
		&watch_ops, c, &c->watch, e);
}

int cluster_new(struct loop *l, const struct cluster_options *o,
	const struct cluster_ops *ops, void *user, struct cluster **ret, struct err *e)
{
	struct cluster *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return err_errno(e, -ENOMEM, "cluster");
	*c = (struct cluster){ .loop = l, .ops = ops, .user = user };
	r = start(c, o, e);
	if (r < 0) {
		cluster_free(c);
		return err_wrap(e, r, "cluster");
	}
	*ret = c;
	return 0;
}

void cluster_free(struct cluster *c)
{
	if (!c)
		return;
	if (c->request)
		http_cancel(c->request);
	watch_free(c->watch);
	loop_source_free(c->timer);
	kube_free(c->kube);
	json_free(c->wanted);
	json_free(c->sending);
	json_free(c->written);
	free(c->node_name);
	free(c->uid);
	free(c->path);
	free(c);
}
