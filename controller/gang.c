// SPDX-License-Identifier: Apache-2.0
/* The marks of gangs, in order of precedence. */
#include "gang.h"

#include "kube.h"
#include "project.h"

#define VOLCANO "/apis/scheduling.volcano.sh/v1beta1"
#define KOORDINATOR_MIN "gang.scheduling.koordinator.sh/min-available"

enum { MIN_MAX = 1000000 };
enum where { IN_SPEC, IN_ANNOTATIONS, IN_LABELS };

static const struct mark {
	const char *id; /* in our keys, no '/' */
	enum where where;
	const char *name;
	const char *api; /* where its PodGroup is; NULL: it has none that we know */
	const char *min; /* the member of that which says how many it needs */
} marks[] = {
	{ "group", IN_SPEC, "schedulingGroup.podGroupName",
		"/apis/scheduling.k8s.io/v1alpha2",
		"spec.schedulingPolicy.gang.minCount" },
	{ "podgroup", IN_ANNOTATIONS, "scheduling.k8s.io/group-name", VOLCANO,
		"spec.minMember" },
	{ "volcano", IN_ANNOTATIONS, "scheduling.volcano.sh/group-name", VOLCANO,
		"spec.minMember" },
	{ "coscheduling", IN_LABELS, "scheduling.x-k8s.io/pod-group",
		"/apis/scheduling.x-k8s.io/v1alpha1", "spec.minMember" },
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

/* Takes @key apart: its namespace into @ns, its value to *@ret_value. NULL when it is no key. */
static const struct mark *split(const char *key, char ns[256], const char **ret_value)
{
	const char *id = strchr(key, '/');
	const char *value = id ? strchr(id + 1, '/') : NULL;
	const struct mark *m = value ? mark_of(id + 1, (size_t)(value - id) - 1) : NULL;

	if (!m || !value[1] || id == key || id - key >= 256)
		return NULL;
	memcpy(ns, key, (size_t)(id - key));
	ns[id - key] = '\0';
	*ret_value = value + 1;
	return m;
}

int gang_path(struct buf *out, const char *key, int page)
{
	char ns[256];
	const char *value;
	const struct mark *m = split(key, ns, &value);

	if (!m)
		return -EINVAL;
	buf_clear(out);
	(void)buf_str(out, "/api/v1/namespaces/");
	(void)kube_path_escape(out, ns);
	(void)buf_fmt(out, "/pods?limit=%d", page);
	if (m->where == IN_LABELS) { /* only these can be asked for */
		(void)buf_str(out, "&labelSelector=");
		(void)kube_path_escape(out, m->name);
		(void)buf_str(out, "%3D");
		(void)kube_path_escape(out, value);
	}
	return buf_ok(out);
}

int gang_object(struct buf *out, const char *key)
{
	char ns[256];
	const char *value;
	const struct mark *m = split(key, ns, &value);

	if (!m)
		return -EINVAL;
	if (!m->api)
		return -ENOENT;
	buf_clear(out);
	(void)buf_str(out, m->api);
	(void)buf_str(out, "/namespaces/");
	(void)kube_path_escape(out, ns);
	(void)buf_str(out, "/podgroups/");
	(void)kube_path_escape(out, value);
	return buf_ok(out);
}

static int64_t sane(int64_t n)
{
	return n > 0 && n <= MIN_MAX ? n : 0;
}

int64_t gang_min(const char *key, const struct json *object)
{
	char ns[256];
	const char *value;
	const struct mark *m = split(key, ns, &value);
	int64_t n = 0;

	if (!m || !m->min || json_int(json_path(object, m->min), &n) < 0)
		return 0;
	return sane(n);
}

int64_t gang_min_of_pod(const struct json *pod)
{
	const char *text = json_get_str(
		json_path(pod, "metadata.annotations"), KOORDINATOR_MIN);
	int64_t n = 0;

	if (str_empty(text) || project_int(text, strlen(text), &n) < 0)
		return 0;
	return sane(n);
}
