// SPDX-License-Identifier: Apache-2.0
/* Keeps nodes, drivers and classes as the watches tell them. */
#include "fleet_inside.h"

#include "wave.h"

/* ---- life ---- */

static void node_free(void *value)
{
	struct node *n = value;

	if (!n)
		return;
	(void)fleet_set_intent(n->f, &n->v, NULL, NULL);
	fleet_set_pods(&n->v, NULL);
	project_clear_node(n->f->in, &n->v);
	project_clear_acc(n->f->in, &n->v);
	free(n);
}

int fleet_new(const char *own_node, struct fleet **ret)
{
	CLEANUP(fleet_freep) struct fleet *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->in = intern_new();
	f->nodes = map_new(node_free);
	f->drivers = map_new(fleet_driver_free);
	f->classes = map_new(fleet_class_free);
	f->gangs = map_new(fleet_gang_free);
	f->configs = map_new(fleet_config_free);
	f->config_wants = map_new(NULL);
	f->is_synced[FLEET_CONFIGS] = true;
	f->is_dirty = true;
	if (!f->in || !f->nodes || !f->drivers || !f->classes || !f->gangs ||
		!f->configs || !f->config_wants)
		return -ENOMEM;
	if (own_node) {
		f->own_node = strdup(own_node);
		if (!f->own_node)
			return -ENOMEM;
	}
	*ret = TAKE(f);
	return 0;
}

static void view_done(struct view *v)
{
	free(v->drivers);
	free(v->classes);
	free(v->nodes);
	free(v->gangs);
	*v = (struct view){ 0 };
}

void fleet_free(struct fleet *f)
{
	if (!f)
		return;
	map_free(f->nodes);
	map_free(f->drivers);
	map_free(f->classes);
	map_free(f->gangs);
	map_free(f->configs);
	map_free(f->config_wants);
	view_done(&f->view);
	arena_free(f->filter_arena);
	intern_free(f->in);
	free(f->own_node);
	free(f);
}

/* ---- lists ---- */

void fleet_list_begin(struct fleet *f, enum fleet_kind kind)
{
	f->lists[kind]++;
	f->is_synced[kind] = false;
}

static void forget_half(struct fleet *f, struct node *n, enum fleet_kind kind)
{
	if (kind == FLEET_NODES)
		project_clear_node(f->in, &n->v);
	else
		project_clear_acc(f->in, &n->v);
	f->is_dirty = true;
	if (!n->v.has_node && !n->v.has_acc)
		(void)map_del(f->nodes, n->v.name);
}

static unsigned *seen_of(struct node *n, enum fleet_kind kind)
{
	return kind == FLEET_NODES ? &n->node_seen : &n->acc_seen;
}

static void sweep_nodes(struct fleet *f, enum fleet_kind kind)
{
	size_t it = 0;
	void *value;

	while (map_next(f->nodes, &it, NULL, &value)) {
		struct node *n = value;
		bool has = kind == FLEET_NODES ? n->v.has_node : n->v.has_acc;

		if (has && *seen_of(n, kind) != f->lists[kind])
			forget_half(f, n, kind);
	}
}

void fleet_list_end(struct fleet *f, enum fleet_kind kind)
{
	struct map *m = kind == FLEET_DRIVERS ? f->drivers : f->classes;
	const char *key;
	size_t it = 0;
	void *value;

	f->is_synced[kind] = true;
	f->is_dirty = true;
	if (kind == FLEET_CONFIGS) {
		(void)fleet_sweep_configs(f); /* memory: the next change tries again */
		return;
	}
	if (kind == FLEET_NODES || kind == FLEET_ACCS) {
		sweep_nodes(f, kind);
		return;
	}
	while (map_next(m, &it, &key, &value)) {
		unsigned seen = kind == FLEET_DRIVERS ? ((struct driver *)value)->seen
						      : ((struct class_ *)value)->seen;

		if (seen != f->lists[kind])
			(void)map_del(m, key);
	}
}

bool fleet_is_synced(const struct fleet *f, enum fleet_kind kind)
{
	return f->is_synced[kind];
}

/* ---- nodes ---- */

static struct node *node_make(struct fleet *f, const char *name)
{
	struct node *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->f = f;
	project_clear_acc(f->in, &n->v);
	if (map_set(f->nodes, name, n) < 0)
		return NULL;
	n->v.name = map_key(f->nodes, name);
	return n;
}

/* Whether a version of an object that says nothing new may pass in silence: most are heartbeats. What is
 * decided on one very version of a Node is decided again with the next. */
static bool is_quiet(const struct view_node *was, const struct view_node *is)
{
	struct view_node a = *was, b = *is;

	if (wave_is_active(b.upgrade.state) || b.is_cordoned || b.intent)
		return false;
	a.version = b.version = a.acc_version = b.acc_version = 0;
	/* Padding that differs costs a plan and no more.
	 * NOLINTNEXTLINE(bugprone-suspicious-memory-comparison) */
	return memcmp(&a, &b, sizeof(a)) == 0;
}

static int put_node(
	struct fleet *f, enum fleet_kind kind, const char *name, const struct json *obj)
{
	struct node *n = map_get(f->nodes, name);
	uint64_t has, version = project_version(obj);
	struct view_node was;
	int r;

	if (!n) {
		n = node_make(f, name);
		if (!n)
			return -ENOMEM;
		f->is_dirty = true;
	}
	has = kind == FLEET_NODES ? n->v.version : n->v.acc_version;
	*seen_of(n, kind) = f->lists[kind];
	if (fleet_is_older(version, has))
		return 0;
	/* The old half is let go last: what stays the same is found again, and not made anew. */
	was = n->v;
	if (kind == FLEET_NODES) {
		project_empty_node(&n->v);
		r = project_node(f->in, &f->filter, obj, &n->v);
	} else {
		project_empty_acc(&n->v);
		r = project_acc(f->in, obj, &n->v);
	}
	r = r < 0 ? r : !is_quiet(&was, &n->v);
	if (kind == FLEET_NODES)
		project_clear_node(f->in, &was);
	else
		project_clear_acc(f->in, &was);
	return r;
}

/* ---- all kinds ---- */

int fleet_put(
	struct fleet *f, enum fleet_kind kind, const struct json *obj, struct err *e)
{
	const char *name = json_str(json_path(obj, "metadata.name"));
	int r = -EINVAL;

	if (!name)
		return err_set(e, -EINVAL, "object without a name");
	switch (kind) {
	case FLEET_DRIVERS:
		r = fleet_put_driver(f, name, obj);
		break;
	case FLEET_CLASSES:
		r = fleet_put_class(f, name, obj);
		break;
	case FLEET_NODES:
	case FLEET_ACCS:
		r = put_node(f, kind, name, obj);
		break;
	case FLEET_CONFIGS:
		r = fleet_put_config(f, name, obj);
		break;
	case FLEET_KINDS_:
		break;
	}
	return r < 0 ? err_errno(e, r, "'%s'", name) : r;
}

int fleet_answer(
	struct fleet *f, enum fleet_kind kind, const struct json *obj, struct err *e)
{
	const char *name = json_str(json_path(obj, "metadata.name"));
	bool is_there = name && (kind == FLEET_DRIVERS ? fleet_driver(f, name) != NULL
						       : fleet_class(f, name) != NULL);

	return name && !is_there ? 0 : fleet_put(f, kind, obj, e);
}

void fleet_delete(struct fleet *f, enum fleet_kind kind, const char *name)
{
	struct node *n;

	f->is_dirty = true;
	switch (kind) {
	case FLEET_DRIVERS:
		(void)map_del(f->drivers, name);
		return;
	case FLEET_CLASSES:
		(void)map_del(f->classes, name);
		return;
	case FLEET_NODES:
	case FLEET_ACCS:
		n = map_get(f->nodes, name);
		if (n)
			forget_half(f, n, kind);
		return;
	case FLEET_CONFIGS:
		(void)fleet_drop_config(f, name);
		return;
	case FLEET_KINDS_:
		return;
	}
}

void fleet_without_configs(struct fleet *f)
{
	f->is_synced[FLEET_CONFIGS] = true;
}

/* ---- the view ---- */

static int by_precedence(const void *x, const void *y)
{
	const struct view_driver *a = *(struct view_driver *const *)x;
	const struct view_driver *b = *(struct view_driver *const *)y;

	if (a->created != b->created)
		return a->created < b->created ? -1 : 1;
	return strcmp(a->name, b->name);
}

static int by_class_name(const void *x, const void *y)
{
	const struct view_class *a = *(struct view_class *const *)x;
	const struct view_class *b = *(struct view_class *const *)y;

	return strcmp(a->name, b->name);
}

/* The values of @m as an array of pointers; NULL when memory is short. */
static void *values(const struct map *m, size_t *ret_n)
{
	void **out = calloc(map_len(m) + 1, sizeof(void *));
	size_t it = 0, n = 0;
	void *value;

	if (!out)
		return NULL;
	while (map_next(m, &it, NULL, &value))
		out[n++] = value;
	*ret_n = n;
	return out;
}

void fleet_share(struct fleet *f, const char *builders, size_t quorum)
{
	f->builders = str_empty(builders) ? NULL : builders;
	f->quorum = quorum;
	f->is_dirty = true;
}

const struct view *fleet_view(struct fleet *f)
{
	struct view v = { .own_node = f->own_node,
		.builders = f->builders,
		.quorum = f->quorum,
		.schema_note = f->schema_note };

	if (!f->is_dirty)
		return &f->view;
	v.drivers = values(f->drivers, &v.n_drivers);
	v.classes = values(f->classes, &v.n_classes);
	v.nodes = values(f->nodes, &v.n_nodes);
	v.gangs = values(f->gangs, &v.n_gangs);
	if (!v.drivers || !v.classes || !v.nodes || !v.gangs) {
		view_done(&v);
		return NULL;
	}
	qsort(v.drivers, v.n_drivers, sizeof(*v.drivers), by_precedence);
	qsort(v.classes, v.n_classes, sizeof(*v.classes), by_class_name);
	view_done(&f->view);
	f->view = v;
	f->is_dirty = false;
	return &f->view;
}

void fleet_set_schema_note(struct fleet *f, const char *note)
{
	f->schema_note = note;
	f->view.schema_note = note;
}

struct view_node *fleet_node(const struct fleet *f, const char *name)
{
	return map_get(f->nodes, name);
}

struct view_driver *fleet_driver(const struct fleet *f, const char *name)
{
	return map_get(f->drivers, name);
}

struct view_class *fleet_class(const struct fleet *f, const char *name)
{
	return map_get(f->classes, name);
}
