// SPDX-License-Identifier: Apache-2.0
/* Projection of a node's pods, listed when its upgrade needs them. */
#include "arena.h"
#include "gang.h"
#include "project.h"

static const char *copy(struct arena *a, const char *s)
{
	return arena_strdup(a, view_str(s));
}

static int read_labels(struct arena *a, const struct json *labels, struct list *ret)
{
	struct kv *kvs = arena_array(a, json_len(labels) + 1, sizeof(*kvs));
	const struct json *value;
	const char *key;
	size_t it = 0, n = 0;

	if (!kvs)
		return -ENOMEM;
	while (json_next(labels, &it, &key, &value)) {
		if (!json_str(value))
			continue;
		kvs[n].key = copy(a, key);
		kvs[n].value = copy(a, json_str(value));
		if (!kvs[n].key || !kvs[n].value)
			return -ENOMEM;
		n++;
	}
	*ret = (struct list){ kvs, n };
	return 0;
}

static bool uses(const struct json *containers, const struct list *resources)
{
	for (size_t i = 0; i < json_len(containers); i++) {
		const struct json *r = json_get(json_at(containers, i), "resources");

		for (size_t j = 0; j < resources->n; j++) {
			const char *name = *VIEW_AT(const char *, *resources, j);

			if (json_get(json_get(r, "limits"), name) ||
				json_get(json_get(r, "requests"), name))
				return true;
		}
	}
	return false;
}

/* The controller among the owners, or NULL. */
static const char *owner_kind(const struct json *owners)
{
	for (size_t i = 0; i < json_len(owners); i++)
		if (json_get_bool(json_at(owners, i), "controller", false))
			return json_get_str(json_at(owners, i), "kind");
	return NULL;
}

static bool has_empty_dir(const struct json *volumes)
{
	for (size_t i = 0; i < json_len(volumes); i++)
		if (json_get(json_at(volumes, i), "emptyDir"))
			return true;
	return false;
}

static bool has_ended(const struct json *pod)
{
	const char *phase = view_str(json_str(json_path(pod, "status.phase")));

	return streq(phase, "Succeeded") || streq(phase, "Failed");
}

static int read_pod(struct arena *a, const struct json *pod, const struct list *resources,
	struct view_pod *ret)
{
	const struct json *meta = json_get(pod, "metadata"),
			  *spec = json_get(pod, "spec");
	const char *owner = owner_kind(json_get(meta, "ownerReferences"));

	*ret = (struct view_pod){
		.namespace_ = copy(a, json_get_str(meta, "namespace")),
		.name = copy(a, json_get_str(meta, "name")),
		.uid = copy(a, json_get_str(meta, "uid")),
		.uses_devices = uses(json_get(spec, "containers"), resources) ||
				uses(json_get(spec, "initContainers"), resources),
		.is_mirror = json_get_str(json_get(meta, "annotations"),
				     "kubernetes.io/config.mirror") != NULL,
		.has_controller = owner != NULL,
		.is_daemon = owner && streq(owner, "DaemonSet"),
		.has_empty_dir = has_empty_dir(json_get(spec, "volumes")),
		.is_finished = has_ended(pod),
		.is_deleting = json_get_str(meta, "deletionTimestamp") != NULL,
	};
	if (!ret->namespace_ || !ret->name || !ret->uid ||
		gang_of(a, pod, &ret->gang) < 0)
		return -ENOMEM;
	return read_labels(a, json_get(meta, "labels"), &ret->labels);
}

int project_pods(struct arena *a, const struct json *list, const struct list *resources,
	struct view_pod **ret, size_t *ret_n)
{
	const struct json *items = json_get(list, "items");
	struct view_pod *pods = arena_array(a, json_len(items) + 1, sizeof(*pods));

	if (!pods)
		return -ENOMEM;
	for (size_t i = 0; i < json_len(items); i++) {
		int r = read_pod(a, json_at(items, i), resources, &pods[i]);

		if (r < 0)
			return r;
	}
	*ret = pods;
	*ret_n = json_len(items);
	return 0;
}

struct view_gang *project_gang_new(const char *key, size_t size)
{
	struct arena *a = arena_new(size);
	struct view_gang *g = a ? arena_alloc(a, sizeof(*g)) : NULL;

	if (g)
		*g = (struct view_gang){ .arena = a, .key = arena_strdup(a, key) };
	if (g && g->key)
		return g;
	arena_free(a);
	return NULL;
}

/* The place of @name among the nodes, or their number. */
static size_t place_of(const struct list *names, const char *name)
{
	size_t i = 0;

	while (i < names->n && !streq(*VIEW_AT(const char *, *names, i), name))
		i++;
	return i;
}

static bool is_running(const struct json *pod)
{
	const char *phase = view_str(json_str(json_path(pod, "status.phase")));

	return streq(phase, "Running") &&
	       !json_str(json_path(pod, "metadata.deletionTimestamp"));
}

/* Room for @more nodes. */
static int grow_gang(struct view_gang *g, size_t more, uint32_t **ret_running)
{
	const char **names = arena_array(g->arena, g->nodes.n + more + 1, sizeof(*names));
	uint32_t *running = arena_array(
		g->arena, g->nodes.n + more + 1, sizeof(*running));

	if (!names || !running)
		return -ENOMEM;
	if (g->nodes.n > 0) {
		memcpy(names, g->nodes.items, g->nodes.n * sizeof(*names));
		memcpy(running, g->running, g->nodes.n * sizeof(*running));
	}
	g->nodes.items = names;
	g->running = *ret_running = running;
	return 0;
}

int project_gang(struct view_gang *g, const struct json *list)
{
	const struct json *items = json_get(list, "items");
	uint32_t *running;
	int r = grow_gang(g, json_len(items), &running);

	for (size_t i = 0; r >= 0 && i < json_len(items); i++) {
		const struct json *pod = json_at(items, i);
		const char *node = json_str(json_path(pod, "spec.nodeName")), *key;
		size_t at;

		if (gang_of(g->arena, pod, &key) < 0)
			return -ENOMEM;
		if (!key || !streq(key, g->key) || has_ended(pod))
			continue;
		g->min = MAX(g->min, gang_min_of_pod(pod));
		if (str_empty(node))
			continue;
		at = place_of(&g->nodes, node);
		if (at == g->nodes.n) {
			const char **name = VIEW_AT(const char *, g->nodes, at);

			*name = arena_strdup(g->arena, node);
			if (!*name)
				return -ENOMEM;
			running[at] = 0;
			g->nodes.n++;
		}
		running[at] += is_running(pod);
	}
	return r;
}
