// SPDX-License-Identifier: Apache-2.0
/* The marks of gangs, in order of precedence. */
#include "gang.h"

#include "kube.h"

enum where { IN_SPEC, IN_ANNOTATIONS, IN_LABELS };

static const struct mark {
	const char *id; /* in our keys, no '/' */
	enum where where;
	const char *name;
} marks[] = {
	{ "group", IN_SPEC, "schedulingGroup.podGroupName" },
	{ "podgroup", IN_ANNOTATIONS, "scheduling.k8s.io/group-name" },
	{ "volcano", IN_ANNOTATIONS, "scheduling.volcano.sh/group-name" },
	{ "coscheduling", IN_LABELS, "scheduling.x-k8s.io/pod-group" },
	{ "pod-group-name", IN_LABELS, "pod-group-name" },
	{ "kueue", IN_LABELS, "kueue.x-k8s.io/pod-group-name" },
	{ "jobset", IN_LABELS, "jobset.sigs.k8s.io/jobset-name" },
	{ "training", IN_LABELS, "training.kubeflow.org/job-name" },
	{ "koordinator", IN_ANNOTATIONS, "gang.scheduling.koordinator.sh/name" },
	{ "job", IN_LABELS, "batch.kubernetes.io/job-name" },
};

static const char *value_of(const struct json *pod, const struct mark *m)
{
	switch (m->where) {
	case IN_SPEC:
		return json_str(json_path(json_get(pod, "spec"), m->name));
	case IN_ANNOTATIONS:
		return json_get_str(json_path(pod, "metadata.annotations"), m->name);
	case IN_LABELS:
		return json_get_str(json_path(pod, "metadata.labels"), m->name);
	}
	return NULL;
}

int gang_of(struct arena *a, const struct json *pod, const char **ret)
{
	const char *ns = json_str(json_path(pod, "metadata.namespace"));

	*ret = NULL;
	for (size_t i = 0; ns && i < ARRAY_SIZE(marks); i++) {
		const char *value = value_of(pod, &marks[i]);

		if (str_empty(value))
			continue;
		*ret = arena_fmt(a, "%s/%s/%s", ns, marks[i].id, value);
		return *ret ? 0 : -ENOMEM;
	}
	return 0;
}

static const struct mark *mark_of(const char *id, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(marks); i++)
		if (strlen(marks[i].id) == len && memcmp(marks[i].id, id, len) == 0)
			return &marks[i];
	return NULL;
}

int gang_path(struct buf *out, const char *key, int page)
{
	const char *id = strchr(key, '/');
	const char *value = id ? strchr(id + 1, '/') : NULL;
	const struct mark *m = value ? mark_of(id + 1, (size_t)(value - id) - 1) : NULL;
	char ns[256];

	if (!m || !value[1] || id == key || (size_t)(id - key) >= sizeof(ns))
		return -EINVAL;
	memcpy(ns, key, (size_t)(id - key));
	ns[id - key] = '\0';
	buf_clear(out);
	(void)buf_str(out, "/api/v1/namespaces/");
	(void)kube_path_escape(out, ns);
	(void)buf_fmt(out, "/pods?limit=%d", page);
	if (m->where == IN_LABELS) { /* only these can be asked for */
		(void)buf_str(out, "&labelSelector=");
		(void)kube_path_escape(out, m->name);
		(void)buf_str(out, "%3D");
		(void)kube_path_escape(out, value + 1);
	}
	return buf_ok(out);
}
