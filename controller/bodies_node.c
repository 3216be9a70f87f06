// SPDX-License-Identifier: Apache-2.0
/* Bodies of the writes to Nodes and pods. */
#include "bodies.h"

#include <stdio.h>

#include "kube.h"

/* json_get() for what we built ourselves. */
static struct json *member(struct json *j, const char *key)
{
	return (struct json *)json_get(j, key);
}

int bodies_cordon(const struct view_node *n, bool on, struct json **ret)
{
	CLEANUP(json_freep)
	struct json *j = json_new_object(), *meta = json_new_object(),
		    *notes = json_new_object(), *spec = json_new_object();
	char version[32];
	int r;

	if (!j || !meta || !notes || !spec)
		return -ENOMEM;
	(void)snprintf(version, sizeof(version), "%llu", (unsigned long long)n->version);
	if (on)
		r = json_set_str(notes, API_NODE_CORDONED, "true");
	else
		r = json_set_null(notes, API_NODE_CORDONED);
	if (r >= 0)
		r = json_set(meta, "annotations", TAKE(notes));
	if (r >= 0 && n->version)
		r = json_set_str(meta, "resourceVersion", version);
	if (r >= 0)
		r = on ? json_set_bool(spec, "unschedulable", true)
		       : json_set_null(spec, "unschedulable");
	if (r >= 0)
		r = json_set(j, "metadata", TAKE(meta));
	if (r >= 0)
		r = json_set(j, "spec", TAKE(spec));
	if (r < 0)
		return r;
	*ret = TAKE(j);
	return 0;
}

static struct json *node_object(const struct view_node *n)
{
	struct json *j = bodies_object("v1", "Node", n->name);
	char uid[UID_TEXT_MAX];

	if (j && json_set_str(member(j, "metadata"), "uid", uid_text(&n->uid, uid)) >= 0)
		return j;
	json_free(j);
	return NULL;
}

int bodies_labels(const struct view_node *n, const struct marks *m, struct json **ret)
{
	CLEANUP(json_freep)
	struct json *j = node_object(n), *labels = json_new_object();
	int r = j && labels ? 0 : -ENOMEM;

	for (size_t i = 0; i < m->labels.n && r >= 0; i++)
		r = json_set_str(labels, VIEW_AT(struct kv, m->labels, i)->key,
			VIEW_AT(struct kv, m->labels, i)->value);
	if (r >= 0)
		r = json_set(member(j, "metadata"), "labels", TAKE(labels));
	if (r < 0)
		return r;
	*ret = TAKE(j);
	return 0;
}

/* Since when it is so: a new reason or message is no transition. */
static const char *transition(
	const struct view_node *n, const struct marks *m, const char *now, char out[32])
{
	if (n->condition_since <= 0 || n->condition_status != marks_status(m->status))
		return now;
	kube_time((uint64_t)n->condition_since * USEC_PER_SEC, out);
	return out;
}

int bodies_node_condition(const struct view_node *n, const struct marks *m,
	const char *time, struct json **ret)
{
	char since[32];
	CLEANUP(json_freep)
	struct json *j = node_object(n), *status = json_new_object(),
		    *list = json_new_array(), *c = json_new_object();
	int r = j && status && list && c ? 0 : -ENOMEM;

	if (r >= 0 && m->status) {
		if (json_set_str(c, "type", MARKS_CONDITION) < 0 ||
			json_set_str(c, "status", m->status) < 0 ||
			json_set_str(c, "reason", m->reason) < 0 ||
			json_set_str(c, "message", m->message) < 0 ||
			json_set_str(c, "lastHeartbeatTime", time) < 0 ||
			json_set_str(c, "lastTransitionTime",
				transition(n, m, time, since)) < 0)
			return -ENOMEM;
		r = json_add(list, TAKE(c));
	}
	if (r >= 0)
		r = json_set(status, "conditions", TAKE(list));
	if (r >= 0)
		r = json_set(j, "status", TAKE(status));
	if (r < 0)
		return r;
	*ret = TAKE(j);
	return 0;
}

/* The server takes the place only while that taint is there; if not, a newer Node is on its way. */
int bodies_taint(const struct view_node *n, const char *key, struct json **ret)
{
	CLEANUP(json_freep)
	struct json *j = json_new_array(), *test = json_new_object(),
		    *remove = json_new_object();
	char place[64], whole[64];
	int r;

	if (!j || !test || !remove)
		return -ENOMEM;
	(void)snprintf(place, sizeof(place), "/spec/taints/%d/key", n->taint_at - 1);
	(void)snprintf(whole, sizeof(whole), "/spec/taints/%d", n->taint_at - 1);
	if (json_set_str(test, "op", "test") < 0 ||
		json_set_str(test, "path", place) < 0 ||
		json_set_str(test, "value", key) < 0 ||
		json_set_str(remove, "op", "remove") < 0 ||
		json_set_str(remove, "path", whole) < 0)
		return -ENOMEM;
	r = json_add(j, TAKE(test));
	if (r >= 0)
		r = json_add(j, TAKE(remove));
	if (r < 0)
		return r;
	*ret = TAKE(j);
	return 0;
}

int bodies_eviction(const struct view_pod *pod, struct json **ret)
{
	CLEANUP(json_freep)
	struct json *j = bodies_object("policy/v1", "Eviction", pod->name),
		    *options = json_new_object(), *pre = json_new_object();
	int r;

	if (!j || !options || !pre)
		return -ENOMEM;
	r = json_set_str(member(j, "metadata"), "namespace", pod->namespace_);
	if (r >= 0)
		r = json_set_str(pre, "uid", pod->uid);
	if (r >= 0)
		r = json_set(options, "preconditions", TAKE(pre));
	if (r >= 0)
		r = json_set(j, "deleteOptions", TAKE(options));
	if (r < 0)
		return r;
	*ret = TAKE(j);
	return 0;
}
