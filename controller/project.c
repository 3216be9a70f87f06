// SPDX-License-Identifier: Apache-2.0
/* The projection of a Node, and what all projections read with. */
#include "kube.h"
#include "marks.h"
#include "project_inside.h"

enum { LABELS_MAX = 256, TAINTS_MAX = 255 };

/* ---- small readers ---- */

int project_int(const char *s, size_t len, int64_t *ret)
{
	bool is_negative = len > 0 && s[0] == '-';
	int64_t v = 0;
	size_t i = is_negative ? 1 : 0;

	if (i == len)
		return -EINVAL;
	for (; i < len; i++) {
		if (s[i] < '0' || s[i] > '9' || v > (INT64_MAX - 9) / 10)
			return -EINVAL;
		v = v * 10 + (s[i] - '0');
	}
	*ret = is_negative ? -v : v;
	return 0;
}

uint64_t project_version(const struct json *obj)
{
	const char *text = json_str(json_path(obj, "metadata.resourceVersion"));
	int64_t v = 0;

	if (!text || project_int(text, strlen(text), &v) < 0 || v < 0)
		return 0;
	return (uint64_t)v;
}

const char *project_text(const struct json *obj, const char *key)
{
	return view_str(json_get_str(obj, key));
}

static bool list_has(const struct list *names, const char *name)
{
	for (size_t i = 0; i < names->n; i++)
		if (streq(*VIEW_AT(const char *, *names, i), name))
			return true;
	return false;
}

/* A list of @max elements at most, its n still 0. */
int project_room(struct list *l, size_t n, size_t max, size_t size)
{
	*l = (struct list){ 0 };
	n = MIN(n, max);
	if (n == 0)
		return 0;
	l->items = intern_room(n * size);
	return l->items ? 0 : -ENOMEM;
}

void project_share(struct intern *in, struct list *l, size_t size, project_put_fn put)
{
	bool is_known = false;
	void *shared;

	if (!l->items)
		return;
	if (l->n == 0) {
		project_drop(in, l, put);
		return;
	}
	shared = intern_share(in, l->items, l->n * size, &is_known);
	if (is_known) {
		put(in, l);
		intern_drop(in, l->items);
	}
	l->items = shared;
}

void project_drop(struct intern *in, struct list *l, project_put_fn put)
{
	if (l->items && intern_is_last(l->items))
		put(in, l);
	intern_drop(in, l->items);
	*l = (struct list){ 0 };
}

void project_put_counts(struct intern *in, const struct list *l)
{
	for (size_t i = 0; i < l->n; i++)
		intern_put(in, VIEW_AT(struct view_count, *l, i)->name);
}

static void put_labels(struct intern *in, const struct list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		intern_put(in, VIEW_AT(struct kv, *l, i)->key);
		intern_put(in, VIEW_AT(struct kv, *l, i)->value);
	}
}

/* ---- Node ---- */

void project_clear_node(struct intern *in, struct view_node *n)
{
	project_drop(in, &n->labels, put_labels);
	project_drop(in, &n->allocatable, project_put_counts);
	intern_put(in, n->arch);
	project_empty_node(n);
}

void project_empty_node(struct view_node *n)
{
	n->labels = n->allocatable = (struct list){ 0 };
	n->arch = NULL;
	n->has_node = n->is_ready = n->is_deleting = n->is_unschedulable = false;
	n->is_cordoned = n->is_skipped = false;
	n->taint_at = 0;
	n->version = 0;
	uid_set(&n->uid, NULL);
}

static int read_labels(struct intern *in, const struct project_filter *f,
	const struct json *labels, struct view_node *n)
{
	const struct json *value;
	const char *key;
	size_t it = 0;
	int r = project_room(&n->labels, f->keys.n, LABELS_MAX, sizeof(struct kv));

	if (r < 0)
		return r;
	while (n->labels.n < MIN(f->keys.n, (size_t)LABELS_MAX) &&
		json_next(labels, &it, &key, &value)) {
		struct kv *kv = VIEW_AT(struct kv, n->labels, n->labels.n);

		if (!json_str(value) || !list_has(&f->keys, key))
			continue;
		kv->key = intern_get(in, key);
		kv->value = intern_get(in, json_str(value));
		n->labels.n++;
		if (!kv->key || !kv->value)
			return -ENOMEM;
	}
	return 0;
}

static int read_allocatable(struct intern *in, const struct project_filter *f,
	const struct json *allocatable, struct view_node *n)
{
	int r = project_room(&n->allocatable, f->resources.n, PROJECT_ENTRIES_MAX,
		sizeof(struct view_count));

	if (r < 0)
		return r;
	for (size_t i = 0; i < f->resources.n && i < PROJECT_ENTRIES_MAX; i++) {
		const char *name = *VIEW_AT(const char *, f->resources, i);
		const char *text = json_get_str(allocatable, name);
		struct view_count *c = VIEW_AT(
			struct view_count, n->allocatable, n->allocatable.n);
		uint64_t v = 0;

		if (!text || api_quantity(text, &v) < 0)
			continue;
		c->name = intern_get(in, name);
		c->n = v > INT32_MAX ? INT32_MAX : (int64_t)v;
		if (!c->name)
			return -ENOMEM;
		n->allocatable.n++;
	}
	return 0;
}

static bool is_ready(const struct json *conditions)
{
	for (size_t i = 0; i < json_len(conditions); i++) {
		const struct json *c = json_at(conditions, i);

		if (streq(project_text(c, "type"), "Ready"))
			return streq(project_text(c, "status"), "True");
	}
	return false;
}

/* What it says of its drivers already. */
static void read_marks(const struct json *obj, struct view_node *n)
{
	const struct json *labels = json_path(obj, "metadata.labels"), *value;
	const struct json *conditions = json_path(obj, "status.conditions");
	const char *key;
	size_t it = 0;

	n->labels_mark.stored = n->condition_mark.stored = 0;
	n->condition_status = MARKS_NONE;
	n->condition_since = 0;
	while (json_next(labels, &it, &key, &value))
		if (marks_is_label(key) && json_str(value))
			n->labels_mark.stored = marks_add_label(
				n->labels_mark.stored, key, json_str(value));
	for (size_t i = 0; i < json_len(conditions); i++) {
		const struct json *c = json_at(conditions, i);

		if (!streq(project_text(c, "type"), MARKS_CONDITION))
			continue;
		n->condition_mark.stored = marks_of_condition(project_text(c, "status"),
			project_text(c, "reason"), project_text(c, "message"));
		n->condition_status = (uint8_t)marks_status(project_text(c, "status"));
		if (kube_time_parse(project_text(c, "lastTransitionTime"),
			    &n->condition_since) < 0)
			n->condition_since = 0;
	}
}

static uint8_t find_taint(const struct json *taints, const char *key)
{
	for (size_t i = 0; key && i < json_len(taints) && i < TAINTS_MAX; i++)
		if (streq(project_text(json_at(taints, i), "key"), key))
			return (uint8_t)(i + 1);
	return 0;
}

static bool says_true(const struct json *map, const char *key)
{
	return streq(project_text(map, key), "true");
}

int project_node(struct intern *in, const struct project_filter *f,
	const struct json *obj, struct view_node *n)
{
	const struct json *meta = json_get(obj, "metadata");
	const struct json *labels = json_get(meta, "labels");
	int r;

	project_clear_node(in, n);
	if (!json_get_str(meta, "name"))
		return -EINVAL;
	uid_set(&n->uid, json_get_str(meta, "uid"));
	n->version = project_version(obj);
	n->is_deleting = json_get_str(meta, "deletionTimestamp") != NULL;
	n->is_skipped = says_true(labels, API_NODE_SKIP_LABEL);
	n->is_cordoned = says_true(json_get(meta, "annotations"), API_NODE_CORDONED);
	n->is_unschedulable = json_get_bool(
		json_get(obj, "spec"), "unschedulable", false);
	n->is_ready = is_ready(json_path(obj, "status.conditions"));
	n->taint_at = find_taint(json_path(obj, "spec.taints"), f->taint);
	read_marks(obj, n);
	n->arch = intern_get(
		in, project_text(json_path(obj, "status.nodeInfo"), "architecture"));
	r = n->arch ? read_labels(in, f, labels, n) : -ENOMEM;
	if (r >= 0)
		r = read_allocatable(in, f, json_path(obj, "status.allocatable"), n);
	if (r < 0) {
		project_clear_node(in, n);
		return r;
	}
	project_share(in, &n->labels, sizeof(struct kv), put_labels);
	project_share(in, &n->allocatable, sizeof(struct view_count), project_put_counts);
	n->has_node = true;
	return 0;
}
