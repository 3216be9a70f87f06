// SPDX-License-Identifier: Apache-2.0
/* Events about objects. Equal ones count up in one object; what is remembered for that is bounded. */
#include "kube_config.h"

#include "map.h"

enum {
	EVENTS_MAX = 512, /* remembered; the oldest go first */
	EVENT_MESSAGE_MAX = 1024,
	EVENT_KEY_MAX = 4096,
	EVENT_NAME_MAX = 230 /* of the object, so that name and suffix fit 253 */
};
static const uint64_t SAME_US = 600 * USEC_PER_SEC;
static const uint64_t PATCH_EVERY_US =
	USEC_PER_SEC; /* a storm of equal ones is counted, not sent */
static const uint64_t EVENT_TIMEOUT_US = 10 * USEC_PER_SEC;

struct event {
	struct kube_events *events;
	char *path; /* of the Event object once it exists */
	int64_t count; /* also those that were not sent yet */
	uint64_t first_us; /* loop time of the first */
	uint64_t sent_us;
	bool exists;
	bool is_waiting; /* for an answer */
};

struct kube_events {
	struct kube *kube;
	struct map *events; /* everything that makes two events equal -> struct event */
	uint64_t seq;
};

static void event_free(void *p)
{
	struct event *v = p;

	if (!v)
		return;
	free(v->path);
	free(v);
}

int kube_events_new(struct kube *k, struct kube_events **ret)
{
	struct kube_events *x = calloc(1, sizeof(*x));

	if (!x)
		return -ENOMEM;
	x->kube = k;
	x->events = map_new(event_free);
	if (!x->events) {
		free(x);
		return -ENOMEM;
	}
	*ret = x;
	return 0;
}

/* After http is gone: no answer comes any more. */
void kube_events_free(struct kube_events *x)
{
	if (!x)
		return;
	map_free(x->events);
	free(x);
}

static void event_done(const struct kube_response *res, void *user)
{
	struct event *v = user;

	v->is_waiting = false;
	if (res->result == 0 || res->result == -EEXIST)
		v->exists = true;
	else if (res->result == -ENOENT)
		v->exists = false; /* expired: the next one is a new object */
}

static int event_send(struct kube *k, struct event *v, const char *method,
	const char *path, const char *type, const struct json *body, struct err *e)
{
	int r = kube_request(
		k, method, path, type, body, EVENT_TIMEOUT_US, event_done, v, NULL, e);

	if (r < 0)
		return r;
	v->is_waiting = true;
	v->sent_us = loop_now(kube_loop(k));
	return 0;
}

static int event_count(struct kube *k, struct event *v, struct err *e)
{
	CLEANUP(json_freep) struct json *body = json_new_object();
	char now[32];

	kube_time(loop_wall(kube_loop(k)), now);
	if (!body || json_set_int(body, "count", v->count) < 0 ||
		json_set_str(body, "lastTimestamp", now) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	return event_send(k, v, "PATCH", v->path, KUBE_MERGE_PATCH, body, e);
}

static struct json *ref_json(const struct kube_ref *obj)
{
	struct json *j = json_new_object();

	if (j && json_set_str(j, "apiVersion", obj->api_version) == 0 &&
		json_set_str(j, "kind", obj->kind) == 0 &&
		json_set_str(j, "name", obj->name) == 0 &&
		json_set_str(j, "namespace", obj->namespace_) == 0 &&
		json_set_str(j, "uid", obj->uid) == 0)
		return j;
	json_free(j);
	return NULL;
}

static struct json *event_json(struct kube *k, const char *name, const char *ns,
	const struct kube_ref *obj, const char *component, const char *type,
	const char *reason, const char *message)
{
	CLEANUP(json_freep)
	struct json *j = json_new_object(), *meta = json_new_object(),
		    *source = json_new_object();
	char now[32];

	kube_time(loop_wall(kube_loop(k)), now);
	if (!j || !meta || !source || json_set_str(meta, "name", name) < 0 ||
		json_set_str(meta, "namespace", ns) < 0 ||
		json_set_str(source, "component", component) < 0 ||
		json_set_str(j, "apiVersion", "v1") < 0 ||
		json_set_str(j, "kind", "Event") < 0 ||
		json_set(j, "metadata", TAKE(meta)) < 0 ||
		json_set(j, "involvedObject", ref_json(obj)) < 0 ||
		json_set_str(j, "type", type) < 0 ||
		json_set_str(j, "reason", reason) < 0 ||
		json_set_str(j, "message", message) < 0 ||
		json_set(j, "source", TAKE(source)) < 0 ||
		json_set_str(j, "reportingComponent", component) < 0 ||
		json_set_str(j, "reportingInstance", component) < 0 ||
		json_set_str(j, "firstTimestamp", now) < 0 ||
		json_set_str(j, "lastTimestamp", now) < 0 ||
		json_set_int(j, "count", 1) < 0)
		return NULL;
	return TAKE(j);
}

/* Fills @v->path with the place of the new object and posts it. */
static int event_create(struct kube_events *x, struct event *v,
	const struct kube_ref *obj, const char *component, const char *type,
	const char *reason, const char *message, struct err *e)
{
	const char *ns = str_empty(obj->namespace_) ? "default" : obj->namespace_;
	CLEANUP(json_freep) struct json *body = NULL;
	struct loop *l = kube_loop(x->kube);
	struct buf name, path;
	int r = -ENOMEM;

	buf_init(&name, EVENT_KEY_MAX);
	buf_init(&path, EVENT_KEY_MAX);
	(void)buf_fmt(&name, "%.*s.%llx%llx", EVENT_NAME_MAX, obj->name,
		(unsigned long long)loop_wall(l), (unsigned long long)(x->seq++ & 0xfff));
	(void)buf_str(&path, "/api/v1/namespaces/");
	(void)kube_path_escape(&path, ns);
	(void)buf_str(&path, "/events");
	body = event_json(
		x->kube, buf_cstr(&name), ns, obj, component, type, reason, message);
	if (body && buf_ok(&name) == 0 && buf_ok(&path) == 0)
		r = event_send(x->kube, v, "POST", buf_cstr(&path), KUBE_JSON, body, e);
	else
		(void)err_set(e, r, "event about '%s'", obj->name);
	if (r == 0) {
		(void)buf_chr(&path, '/');
		(void)kube_path_escape(&path, buf_cstr(&name));
		free(v->path);
		v->path = buf_ok(&path) == 0 ? buf_steal(&path) : NULL;
		v->count = 1;
		v->exists = false;
		v->first_us = loop_now(l);
	}
	buf_done(&name);
	buf_done(&path);
	return r;
}

/* Makes room for one more. What waits for an answer has to stay. */
static int forget_oldest(struct kube_events *x)
{
	const char *key;
	size_t it = 0;
	void *v;

	if (map_len(x->events) < EVENTS_MAX)
		return 0;
	while (map_next(x->events, &it, &key, &v)) {
		if (((struct event *)v)->is_waiting)
			continue;
		(void)map_del(x->events, key);
		return 0;
	}
	return -EBUSY;
}

/* The event that is equal to this one, made when there is none yet. */
static int event_get(struct kube_events *x, const char *key, struct event **ret)
{
	struct event *v = map_get(x->events, key);
	int r;

	if (!v) {
		r = forget_oldest(x);
		if (r < 0)
			return r;
		v = calloc(1, sizeof(*v));
		if (!v)
			return -ENOMEM;
		v->events = x;
		r = map_set(x->events, key, v);
		if (r < 0)
			return r;
	}
	*ret = v;
	return 0;
}

/* The longest start of @s that is valid to send: at most @max bytes, no character cut in two. */
static size_t cut(const char *s, size_t max)
{
	size_t n = strnlen(s, max + 1);

	if (n <= max)
		return n;
	for (n = max; n && ((unsigned char)s[n] & 0xc0) == 0x80; n--)
		;
	return n;
}

int kube_event(struct kube *k, const struct kube_ref *obj, const char *component,
	const char *type, const char *reason, const char *message, struct err *e)
{
	struct kube_events *x = kube_events_of(k);
	CLEANUP(freep) char *text = strndup(message, cut(message, EVENT_MESSAGE_MAX));
	uint64_t now = loop_now(kube_loop(k));
	struct event *v = NULL;
	struct buf key;
	int r;

	if (!text)
		return err_set(e, -ENOMEM, "out of memory");
	buf_init(&key, EVENT_KEY_MAX);
	(void)buf_fmt(&key, "%s\n%s\n%s\n%s\n%s\n%s\n%s\n%s", obj->kind,
		obj->namespace_ ? obj->namespace_ : "", obj->name,
		obj->uid ? obj->uid : "", component, type, reason, text);
	r = buf_ok(&key);
	if (r == 0)
		r = event_get(x, buf_cstr(&key), &v);
	buf_done(&key);
	if (r < 0)
		return err_errno(e, r, "event about '%s'", obj->name);

	if (!v->is_waiting && (!v->exists || !v->path || now - v->first_us > SAME_US))
		return event_create(x, v, obj, component, type, reason, text, e);
	v->count++;
	if (v->is_waiting || now - v->sent_us < PATCH_EVERY_US)
		return 0;
	return event_count(k, v, e);
}
