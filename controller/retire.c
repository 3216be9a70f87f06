// SPDX-License-Identifier: Apache-2.0
/* Before a release is uninstalled: nothing may wait afterwards for a controller or an agent that is gone. */
#include <stdio.h>

#include "api.h"
#include "chore.h"
#include "view.h"

enum {
	PATH_MAX_ = 2048,
	PAGE = 100,
	LEAD_S = 20, /* who renewed its Lease longer ago leads no more */
	TRIES = 3, /* of a patch that meets a conflict */
	AGENTS_MAX = 8,
};
#define MODE "--plugin-mode"

/* Answer to an ask that failed, for people. */
static void say(const char *what, const struct chore *c)
{
	(void)printf("left as it is: %s: %s\n", what, c->why);
}

/* ---- the controller ---- */

/* It would put the finalizers back: it has to be gone first. */
static void stop_controller(struct chore *c, const struct chore_options *o)
{
	static const char body[] = "{\"spec\":{\"replicas\":0}}";
	CLEANUP(json_freep) struct json *patch = NULL;
	struct buf path CLEANUP(buf_done);
	uint64_t now = loop_now(c->loop), until = now + (c->deadline_us - now) / 2;
	int r;

	buf_init(&path, PATH_MAX_);
	if (json_parse(body, sizeof(body) - 1, &patch, NULL) < 0 ||
		chore_path(&path, "/apis/apps/v1", o->namespace_, "deployments",
			o->deployment) < 0)
		return;
	r = chore_ask(c, "PATCH", buf_cstr(&path), KUBE_MERGE_PATCH, patch);
	if (r == -ENOENT)
		return;
	if (r < 0) {
		say("the controller", c);
		return;
	}
	while ((r = chore_is_led(c, o->namespace_, o->deployment, LEAD_S)) > 0)
		if (loop_now(c->loop) >= until || !chore_pause(c))
			break; /* the rest needs time as well */
	(void)printf("%s\n", r == 0 ? "the controller has stopped"
				    : "the controller was told to stop");
}

/* ---- finalizers ---- */

/* 1: @driver has our finalizer; *@ret is the merge patch without it. */
static int without_ours(const struct json *driver, struct json **ret)
{
	CLEANUP(json_freep)
	struct json *j = json_new_object(), *meta = json_new_object(),
		    *list = json_new_array();
	const struct json *now = json_path(driver, "metadata.finalizers");
	bool is_there = false;
	int r = j && meta && list ? 0 : -ENOMEM;

	for (size_t i = 0; i < json_len(now) && r >= 0; i++) {
		const char *s = json_str(json_at(now, i));

		if (s && streq(s, VIEW_FINALIZER))
			is_there = true;
		else
			r = json_add(list, json_copy(json_at(now, i)));
	}
	if (r < 0 || !is_there)
		return r;
	r = json_set(meta, "finalizers", TAKE(list));
	if (r >= 0)
		r = json_set_str(meta, "resourceVersion",
			json_str(json_path(driver, "metadata.resourceVersion")));
	if (r >= 0)
		r = json_set(j, "metadata", TAKE(meta));
	if (r < 0)
		return r;
	*ret = TAKE(j);
	return 1;
}

static int free_driver(struct chore *c, const char *name)
{
	struct buf path CLEANUP(buf_done);
	int r = 0;

	buf_init(&path, PATH_MAX_);
	(void)buf_str(&path, "/apis/" API_GROUP_VERSION "/acceleratordrivers/");
	(void)kube_path_escape(&path, name);
	if (buf_ok(&path) < 0)
		return -ENOMEM;
	for (unsigned i = 0; i < TRIES; i++) {
		CLEANUP(json_freep) struct json *patch = NULL;

		r = chore_ask(c, "GET", buf_cstr(&path), NULL, NULL);
		if (r >= 0)
			r = without_ours(c->obj, &patch);
		if (r > 0)
			r = chore_ask(
				c, "PATCH", buf_cstr(&path), KUBE_MERGE_PATCH, patch);
		if (r != -EAGAIN) /* a conflict: look again */
			break;
	}
	return r == -ENOENT ? 0 : r;
}

static void free_drivers(struct chore *c)
{
	CLEANUP(json_freep) struct json *page = NULL;
	struct buf path CLEANUP(buf_done);
	const char *more = "";

	buf_init(&path, PATH_MAX_);
	do {
		buf_clear(&path);
		(void)buf_fmt(&path,
			"/apis/" API_GROUP_VERSION "/acceleratordrivers?limit=%d", PAGE);
		if (*more) {
			(void)buf_str(&path, "&continue=");
			(void)kube_path_escape(&path, more);
		}
		if (buf_ok(&path) < 0)
			return;
		if (chore_ask(c, "GET", buf_cstr(&path), NULL, NULL) < 0) {
			if (c->result != -ENOENT) /* the definitions are gone already */
				say("finalizers", c);
			return;
		}
		json_free(page);
		page = TAKE(c->obj);
		more = view_str(json_str(json_path(page, "metadata.continue")));
		for (size_t i = 0; i < json_len(json_get(page, "items")); i++) {
			const struct json *d = json_at(json_get(page, "items"), i);
			const char *name = json_str(json_path(d, "metadata.name"));

			if (json_len(json_path(d, "metadata.finalizers")) == 0 || !name)
				continue;
			if (free_driver(c, name) < 0)
				say(name, c);
			if (chore_is_over(c))
				return;
		}
	} while (*more);
	(void)printf("no AcceleratorDriver waits for the controller\n");
}

/* ---- the plugin as a service of hosts ---- */

/* The place of the mode in the arguments of the agents, -1 when they run no service. */
static int mode_place(const struct json *set)
{
	const struct json *containers = json_path(set, "spec.template.spec.containers");
	const struct json *args = json_get(json_at(containers, 0), "args");

	for (size_t i = 0; i + 1 < json_len(args); i++) {
		const char *name = json_str(json_at(args, i));
		const char *mode = json_str(json_at(args, i + 1));

		if (name && mode && streq(name, MODE) && streq(mode, "HostService"))
			return (int)i + 1;
	}
	return -1;
}

static int ask_retire(struct chore *c, const char *path, int place)
{
	CLEANUP(json_freep) struct json *patch = NULL;
	char text[512];

	/* Agents take the service away when they start without it; all at once, because nothing of it is needed. */
	(void)snprintf(text, sizeof(text),
		"[{\"op\":\"test\",\"path\":\"/spec/template/spec/containers/0/args/%d\","
		"\"value\":\"HostService\"},"
		"{\"op\":\"replace\",\"path\":\"/spec/template/spec/containers/0/args/%d\","
		"\"value\":\"DaemonSet\"},"
		"{\"op\":\"add\",\"path\":\"/spec/updateStrategy\",\"value\":{\"type\":"
		"\"RollingUpdate\",\"rollingUpdate\":{\"maxUnavailable\":\"100%%\"}}}]",
		place, place);
	if (json_parse(text, strlen(text), &patch, NULL) < 0)
		return -ENOMEM;
	return chore_ask(c, "PATCH", path, KUBE_JSON_PATCH, patch);
}

/* How many of the agents still have to start anew. */
static int64_t agents_left(const struct json *set, int64_t *ret_all)
{
	const struct json *status = json_get(set, "status");
	int64_t all = json_get_int(status, "desiredNumberScheduled", 0);
	int64_t updated = json_get_int(status, "updatedNumberScheduled", 0);
	int64_t away = json_get_int(status, "numberUnavailable", 0);

	*ret_all = all;
	if (json_get_int(status, "observedGeneration", 0) <
		json_get_int(json_get(set, "metadata"), "generation", 0))
		return all > 0 ? all : 1;
	return MAX(all - updated, away);
}

static void retire_agents(
	struct chore *c, const struct chore_options *o, const char *name)
{
	struct buf path CLEANUP(buf_done);
	int64_t all = 0, left;
	int r, place;

	buf_init(&path, PATH_MAX_);
	r = chore_path(&path, "/apis/apps/v1", o->namespace_, "daemonsets", name);
	if (r >= 0)
		r = chore_ask(c, "GET", buf_cstr(&path), NULL, NULL);
	if (r == -ENOENT)
		return;
	place = r >= 0 ? mode_place(c->obj) : -1;
	if (r >= 0 && place < 0)
		return;
	if (r >= 0)
		r = ask_retire(c, buf_cstr(&path), place);
	if (r < 0) {
		say(name, c);
		return;
	}
	while ((left = agents_left(c->obj, &all)) > 0) {
		if (!chore_pause(c) ||
			chore_ask(c, "GET", buf_cstr(&path), NULL, NULL) < 0)
			break;
	}
	(void)printf("%s: the plugin's service is gone from %lld of %lld hosts%s\n", name,
		(long long)MAX(all - left, (int64_t)0), (long long)all,
		left > 0 ? "; on the others: farrier-driver-builder remove-plugin" : "");
}

static void retire_all_agents(struct chore *c, const struct chore_options *o)
{
	const char *at = view_str(o->agents);

	for (unsigned i = 0; *at && i < AGENTS_MAX; i++) {
		const char *end = strchrnul(at, ',');
		char name[256];

		if (end > at && (size_t)(end - at) < sizeof(name)) {
			memcpy(name, at, (size_t)(end - at));
			name[end - at] = '\0';
			retire_agents(c, o, name);
		}
		at = *end ? end + 1 : end;
	}
}

int retire_release(struct kube *k, const struct chore_options *o)
{
	struct chore c;
	int r = chore_begin(&c, k, o->patience_s);

	if (r < 0)
		return r;
	stop_controller(&c, o);
	free_drivers(&c);
	retire_all_agents(&c, o);
	(void)fflush(stdout);
	chore_end(&c);
	return 0;
}
