// SPDX-License-Identifier: Apache-2.0
/* One request after the other, within a time limit. */
#include "chore.h"

#include <stdio.h>

static const uint64_t REQUEST_US = 10 * USEC_PER_SEC;
static const uint64_t LEAST_US = 2 * USEC_PER_SEC; /* for one, when patience is over */
static const uint64_t PAUSE_US = USEC_PER_SEC;

static void on_timer(void *user)
{
	struct chore *c = user;

	loop_exit(c->loop, 0);
}

int chore_begin(struct chore *c, struct kube *k, unsigned patience_s)
{
	memset(c, 0, sizeof(*c));
	c->kube = k;
	c->loop = kube_loop(k);
	c->deadline_us = loop_now(c->loop) +
			 (patience_s ? patience_s : CHORE_PATIENCE_S) * USEC_PER_SEC;
	return loop_timer(c->loop, UINT64_MAX, on_timer, c, &c->timer);
}

void chore_end(struct chore *c)
{
	http_cancel(c->req);
	loop_source_free(c->timer);
	json_free(c->obj);
	memset(c, 0, sizeof(*c));
}

bool chore_is_over(const struct chore *c)
{
	return loop_now(c->loop) >= c->deadline_us;
}

static void on_answer(const struct kube_response *res, void *user)
{
	struct chore *c = user;

	c->req = NULL;
	c->result = res->result;
	(void)snprintf(c->why, sizeof(c->why), "%s",
		res->result < 0 && res->message ? res->message : "");
	if (res->obj) {
		c->obj = json_copy(res->obj);
		if (!c->obj)
			c->result = -ENOMEM;
	}
	loop_exit(c->loop, 0);
}

int chore_ask(struct chore *c, const char *method, const char *path,
	const char *content_type, const struct json *body)
{
	uint64_t now = loop_now(c->loop), left;
	struct err e = { 0 };
	int r;

	json_free(TAKE(c->obj));
	if (!c->deadline_us) {
		(void)snprintf(c->why, sizeof(c->why), "ended from outside");
		return c->result = -ECANCELED;
	}
	left = now < c->deadline_us ? c->deadline_us - now : 0;
	r = kube_request(c->kube, method, path, content_type, body,
		MAX(LEAST_US, MIN(REQUEST_US, left)), on_answer, c, &c->req, &e);
	if (r < 0) {
		(void)snprintf(c->why, sizeof(c->why), "%.255s", e.text);
		return c->result = r;
	}
	r = loop_run(c->loop);
	if (!c->req)
		return r < 0 ? r : c->result;
	/* Told to end: nothing more is asked. */
	http_cancel(TAKE(c->req));
	c->deadline_us = 0;
	(void)snprintf(c->why, sizeof(c->why), "ended from outside");
	return c->result = -ECANCELED;
}

bool chore_pause(struct chore *c)
{
	uint64_t until = MIN(loop_now(c->loop) + PAUSE_US, c->deadline_us);

	if (chore_is_over(c))
		return false;
	loop_timer_set(c->timer, until);
	if (loop_run(c->loop) < 0 || loop_now(c->loop) < until)
		c->deadline_us = 0; /* a signal: nothing is asked any more */
	loop_timer_set(c->timer, UINT64_MAX);
	return !chore_is_over(c);
}

int chore_path(struct buf *out, const char *api, const char *ns, const char *kind,
	const char *name)
{
	buf_clear(out);
	(void)buf_str(out, api);
	(void)buf_str(out, "/namespaces/");
	(void)kube_path_escape(out, ns);
	(void)buf_fmt(out, "/%s/", kind);
	(void)kube_path_escape(out, name);
	return buf_ok(out);
}

int chore_is_led(struct chore *c, const char *ns, const char *name, int64_t age_s)
{
	int64_t now = (int64_t)(loop_wall(c->loop) / USEC_PER_SEC), renewed = 0;
	const struct json *spec;
	const char *time;
	struct buf path CLEANUP(buf_done);
	int r;

	buf_init(&path, 1024);
	r = chore_path(&path, "/apis/coordination.k8s.io/v1", ns, "leases", name);
	if (r >= 0)
		r = chore_ask(c, "GET", buf_cstr(&path), NULL, NULL);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	spec = json_get(c->obj, "spec");
	time = json_get_str(spec, "renewTime");
	if (str_empty(json_get_str(spec, "holderIdentity")) || !time ||
		kube_time_parse(time, &renewed) < 0)
		return 0;
	return now - renewed <= age_s;
}
