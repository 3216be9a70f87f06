// SPDX-License-Identifier: Apache-2.0
/* Keeps nodes, drivers and classes as the watches tell them. */
#include "fleet.h"

#include "jhash.h"
#include "kube.h"
#include "map.h"

enum { OBJECT_MAX = 4 << 20 }; /* arena of one driver or class */

struct node {
	struct view_node v; /* first: a struct view_node * is a struct node * */
	struct fleet *f;
	char *name;
	unsigned seen[FLEET_KINDS_]; /* the list that named it last */
	struct view_intent intent;
};

struct driver {
	struct view_driver v; /* first */
	struct arena *good; /* what v.d lives in */
	struct arena *head; /* metadata and conditions of the newest object */
	struct json *spec; /* as nodes get it */
	struct api_meta meta;
	uint64_t version, status_hash;
	unsigned seen;
};

struct class_ {
	struct view_class v; /* first */
	struct arena *good, *head;
	struct json *spec;
	struct api_meta meta;
	uint64_t version, status_hash;
	unsigned seen;
};

struct fleet {
	struct intern *in;
	struct map *nodes, *drivers, *classes;
	unsigned lists[FLEET_KINDS_];
	bool is_synced[FLEET_KINDS_];
	struct project_filter filter; /* in use by the records */
	struct arena *filter_arena;
	bool is_dirty; /* the arrays of the view */
	struct view view;
	char *own_node;
};

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
	free(n->name);
	free(n);
}

static void driver_free(void *value)
{
	struct driver *d = value;

	if (!d)
		return;
	arena_free(d->good);
	arena_free(d->head);
	json_free(d->spec);
	free(d);
}

static void class_free(void *value)
{
	struct class_ *c = value;

	if (!c)
		return;
	arena_free(c->good);
	arena_free(c->head);
	json_free(c->spec);
	free(c);
}

int fleet_new(const char *own_node, struct fleet **ret)
{
	CLEANUP(fleet_freep) struct fleet *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->in = intern_new();
	f->nodes = map_new(node_free);
	f->drivers = map_new(driver_free);
	f->classes = map_new(class_free);
	f->is_dirty = true;
	if (!f->in || !f->nodes || !f->drivers || !f->classes)
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
	*v = (struct view){ 0 };
}

void fleet_free(struct fleet *f)
{
	if (!f)
		return;
	map_free(f->nodes);
	map_free(f->drivers);
	map_free(f->classes);
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

static void sweep_nodes(struct fleet *f, enum fleet_kind kind)
{
	size_t it = 0;
	void *value;

	while (map_next(f->nodes, &it, NULL, &value)) {
		struct node *n = value;
		bool has = kind == FLEET_NODES ? n->v.has_node : n->v.has_acc;

		if (has && n->seen[kind] != f->lists[kind])
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
	n->name = strdup(name);
	if (!n->name) {
		node_free(n);
		return NULL;
	}
	n->v.name = n->name;
	return map_set(f->nodes, name, n) < 0 ? NULL : n;
}

static bool is_older(uint64_t version, uint64_t than)
{
	return version && than && version < than;
}

static int put_node(
	struct fleet *f, enum fleet_kind kind, const char *name, const struct json *obj)
{
	struct node *n = map_get(f->nodes, name);
	uint64_t has, version = project_version(obj);
	int r;

	if (!n) {
		n = node_make(f, name);
		if (!n)
			return -ENOMEM;
		f->is_dirty = true;
	}
	has = kind == FLEET_NODES ? n->v.version : n->v.acc_version;
	n->seen[kind] = f->lists[kind];
	if (is_older(version, has))
		return 0;
	if (kind == FLEET_NODES)
		r = project_node(f->in, &f->filter, obj, &n->v);
	else
		r = project_acc(f->in, obj, &n->v);
	if (r < 0)
		return r;
	return 1;
}

/* ---- drivers and classes ---- */

static int read_conditions(struct arena *a, const struct json *status, struct list *ret)
{
	const struct json *list = json_get(status, "conditions");
	struct api_condition *out = arena_array(a, json_len(list) + 1, sizeof(*out));

	if (!out)
		return -ENOMEM;
	for (size_t i = 0; i < json_len(list); i++) {
		const struct json *c = json_at(list, i);

		out[i] = (struct api_condition){
			.type = arena_strdup(a, view_str(json_get_str(c, "type"))),
			.status = arena_strdup(a, view_str(json_get_str(c, "status"))),
			.reason = arena_strdup(a, view_str(json_get_str(c, "reason"))),
			.message = arena_strdup(a, view_str(json_get_str(c, "message"))),
			.last_transition_time = arena_strdup(
				a, view_str(json_get_str(c, "lastTransitionTime"))),
			.observed_generation = json_get_int(c, "observedGeneration", 0),
		};
		if (!out[i].type || !out[i].status || !out[i].reason || !out[i].message ||
			!out[i].last_transition_time)
			return -ENOMEM;
	}
	*ret = (struct list){ out, json_len(list) };
	return 0;
}

static int64_t seconds(const struct json *obj, const char *path)
{
	const char *text = json_str(json_path(obj, path));
	int64_t s = 0;

	return text && kube_time_parse(text, &s) >= 0 ? s : 0;
}

static bool has_finalizer(const struct api_meta *m)
{
	for (size_t i = 0; i < m->finalizers.n; i++)
		if (streq(*VIEW_AT(const char *, m->finalizers, i), VIEW_FINALIZER))
			return true;
	return false;
}

static uint64_t hash_or_1(uint64_t h)
{
	return h ? h : 1;
}

/* Takes the spec of @obj into @d when it can be used. -ENOMEM. */
static int take_driver_spec(struct driver *d, const struct json *obj)
{
	CLEANUP(arena_freep) struct arena *a = arena_new(OBJECT_MAX);
	CLEANUP(json_freep) struct json *spec = NULL;
	struct api_driver parsed = { 0 };
	struct err e = { 0 };
	int r;

	if (!a)
		return -ENOMEM;
	r = api_driver_parse(a, obj, false, &parsed, &e);
	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		d->v.invalid = arena_strdup(d->head, e.text);
		return d->v.invalid ? 0 : -ENOMEM;
	}
	spec = json_copy(json_get(obj, "spec"));
	if (!spec)
		return -ENOMEM;
	(void)json_del(spec, "nodeSelector");
	(void)json_del(spec, "upgradePolicy");
	arena_free(d->good);
	json_free(d->spec);
	d->v.d = parsed;
	d->v.selector = hash_or_1(jhash(json_path(obj, "spec.nodeSelector")));
	d->v.spec_hash = jhash(spec);
	d->good = TAKE(a);
	d->spec = TAKE(spec);
	d->v.has_spec = true;
	return 0;
}

static int fill_driver(struct driver *d, const struct json *obj)
{
	arena_free(d->head);
	d->v.conditions = (struct list){ 0 };
	d->v.invalid = NULL;
	d->head = arena_new(OBJECT_MAX);
	if (!d->head || api_meta_parse(d->head, obj, &d->meta, NULL) < 0)
		return -ENOMEM;
	d->version = project_version(obj);
	d->v.name = d->meta.name;
	d->v.uid = view_str(d->meta.uid);
	d->v.generation = d->meta.generation;
	d->v.created = seconds(obj, "metadata.creationTimestamp");
	d->v.deleted_at = seconds(obj, "metadata.deletionTimestamp");
	d->v.has_finalizer = has_finalizer(&d->meta);
	d->status_hash = json_get(obj, "status") ? jhash(json_get(obj, "status")) : 0;
	if (read_conditions(d->head, json_get(obj, "status"), &d->v.conditions) < 0)
		return -ENOMEM;
	return take_driver_spec(d, obj);
}

static int put_driver(struct fleet *f, const char *name, const struct json *obj)
{
	struct driver *d = map_get(f->drivers, name);
	int r;

	f->is_dirty = true;
	if (d && is_older(project_version(obj), d->version)) {
		d->seen = f->lists[FLEET_DRIVERS];
		return 0;
	}
	/* Made anew under the same name: nothing of the old one counts. */
	if (d && !streq(d->v.uid, view_str(json_str(json_path(obj, "metadata.uid"))))) {
		(void)map_del(f->drivers, name);
		d = NULL;
	}
	if (!d) {
		d = calloc(1, sizeof(*d));
		if (!d || map_set(f->drivers, name, d) < 0)
			return -ENOMEM;
	}
	d->seen = f->lists[FLEET_DRIVERS];
	r = fill_driver(d, obj);
	if (r < 0)
		(void)map_del(f->drivers, name);
	return r < 0 ? r : 1;
}

static int take_class_spec(struct class_ *c, const struct json *obj)
{
	CLEANUP(arena_freep) struct arena *a = arena_new(OBJECT_MAX);
	CLEANUP(json_freep) struct json *spec = NULL;
	struct api_class parsed = { 0 };
	struct err e = { 0 };
	int r;

	if (!a)
		return -ENOMEM;
	r = api_class_parse(a, obj, false, &parsed, &e);
	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		c->v.invalid = arena_strdup(c->head, e.text);
		return c->v.invalid ? 0 : -ENOMEM;
	}
	spec = json_copy(json_get(obj, "spec"));
	if (!spec)
		return -ENOMEM;
	arena_free(c->good);
	json_free(c->spec);
	c->v.c = parsed;
	c->v.spec_hash = jhash(spec);
	c->good = TAKE(a);
	c->spec = TAKE(spec);
	c->v.has_spec = true;
	return 0;
}

static int fill_class(struct class_ *c, const struct json *obj)
{
	arena_free(c->head);
	c->v.conditions = (struct list){ 0 };
	c->v.invalid = NULL;
	c->head = arena_new(OBJECT_MAX);
	if (!c->head || api_meta_parse(c->head, obj, &c->meta, NULL) < 0)
		return -ENOMEM;
	c->version = project_version(obj);
	c->v.name = c->meta.name;
	c->v.uid = view_str(c->meta.uid);
	c->v.generation = c->meta.generation;
	c->status_hash = json_get(obj, "status") ? jhash(json_get(obj, "status")) : 0;
	if (read_conditions(c->head, json_get(obj, "status"), &c->v.conditions) < 0)
		return -ENOMEM;
	return take_class_spec(c, obj);
}

static int put_class(struct fleet *f, const char *name, const struct json *obj)
{
	struct class_ *c = map_get(f->classes, name);
	int r;

	f->is_dirty = true;
	if (c && is_older(project_version(obj), c->version)) {
		c->seen = f->lists[FLEET_CLASSES];
		return 0;
	}
	if (!c) {
		c = calloc(1, sizeof(*c));
		if (!c || map_set(f->classes, name, c) < 0)
			return -ENOMEM;
	}
	c->seen = f->lists[FLEET_CLASSES];
	r = fill_class(c, obj);
	if (r < 0)
		(void)map_del(f->classes, name);
	return r < 0 ? r : 1;
}

int fleet_put(
	struct fleet *f, enum fleet_kind kind, const struct json *obj, struct err *e)
{
	const char *name = json_str(json_path(obj, "metadata.name"));
	int r = -EINVAL;

	if (!name)
		return err_set(e, -EINVAL, "object without a name");
	switch (kind) {
	case FLEET_DRIVERS:
		r = put_driver(f, name, obj);
		break;
	case FLEET_CLASSES:
		r = put_class(f, name, obj);
		break;
	case FLEET_NODES:
	case FLEET_ACCS:
		r = put_node(f, kind, name, obj);
		break;
	case FLEET_KINDS_:
		break;
	}
	return r < 0 ? err_errno(e, r, "'%s'", name) : r;
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
	case FLEET_KINDS_:
		return;
	}
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

const struct view *fleet_view(struct fleet *f)
{
	struct view v = { .own_node = f->own_node };

	if (!f->is_dirty)
		return &f->view;
	v.drivers = values(f->drivers, &v.n_drivers);
	v.classes = values(f->classes, &v.n_classes);
	v.nodes = values(f->nodes, &v.n_nodes);
	if (!v.drivers || !v.classes || !v.nodes) {
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

const struct json *fleet_driver_spec(const struct fleet *f, const char *name)
{
	const struct driver *d = map_get(f->drivers, name);

	return d ? d->spec : NULL;
}

const struct json *fleet_class_spec(const struct fleet *f, const char *name)
{
	const struct class_ *c = map_get(f->classes, name);

	return c ? c->spec : NULL;
}

uint64_t fleet_status_hash(const struct fleet *f, enum fleet_kind kind, const char *name)
{
	const struct driver *d;
	const struct class_ *c;

	if (kind == FLEET_DRIVERS) {
		d = map_get(f->drivers, name);
		return d ? d->status_hash : 0;
	}
	c = map_get(f->classes, name);
	return c ? c->status_hash : 0;
}

const char *fleet_version(const struct fleet *f, const char *driver)
{
	const struct driver *d = map_get(f->drivers, driver);

	return d ? d->meta.resource_version : NULL;
}

const struct list *fleet_finalizers(const struct fleet *f, const char *driver)
{
	const struct driver *d = map_get(f->drivers, driver);

	return d ? &d->meta.finalizers : NULL;
}

/* ---- the filter ---- */

static bool list_has(const struct list *l, const char *s)
{
	for (size_t i = 0; i < l->n; i++)
		if (streq(*VIEW_AT(const char *, *l, i), s))
			return true;
	return false;
}

static int list_add(struct arena *a, struct list *l, size_t max, const char *s)
{
	if (!s || list_has(l, s) || l->n == max)
		return 0;
	*VIEW_AT(const char *, *l, l->n) = arena_strdup(a, s);
	return *VIEW_AT(const char *, *l, l->n++) ? 0 : -ENOMEM;
}

enum { FILTER_MAX = 1024 };

static int make_filter(struct fleet *f, struct arena *a, struct project_filter *ret)
{
	const struct view *v = fleet_view(f);
	struct project_filter p = { 0 };
	int r = 0;

	if (!v)
		return -ENOMEM;
	p.keys.items = arena_array(a, FILTER_MAX, sizeof(const char *));
	p.resources.items = arena_array(a, FILTER_MAX, sizeof(const char *));
	if (!p.keys.items || !p.resources.items)
		return -ENOMEM;
	for (size_t i = 0; i < v->n_drivers && r >= 0; i++) {
		const struct api_selector *s = &v->drivers[i]->d.spec.node_selector;

		if (!v->drivers[i]->has_spec)
			continue;
		for (size_t j = 0; j < s->match_labels.n && r >= 0; j++)
			r = list_add(a, &p.keys, FILTER_MAX,
				VIEW_AT(struct kv, s->match_labels, j)->key);
		for (size_t j = 0; j < s->exprs.n && r >= 0; j++)
			r = list_add(a, &p.keys, FILTER_MAX,
				VIEW_AT(struct api_selector_expr, s->exprs, j)->key);
	}
	for (size_t i = 0; i < v->n_classes && r >= 0; i++)
		if (v->classes[i]->has_spec)
			r = list_add(a, &p.resources, FILTER_MAX,
				v->classes[i]->c.spec.resource_name);
	*ret = p;
	return r;
}

static bool covers(const struct list *l, const struct list *other)
{
	for (size_t i = 0; i < other->n; i++)
		if (!list_has(l, *VIEW_AT(const char *, *other, i)))
			return false;
	return true;
}

bool fleet_filter_grew(struct fleet *f)
{
	CLEANUP(arena_freep) struct arena *a = arena_new(OBJECT_MAX);
	struct project_filter p;

	if (!a || make_filter(f, a, &p) < 0)
		return false;
	if (covers(&f->filter.keys, &p.keys) &&
		covers(&f->filter.resources, &p.resources))
		return false;
	arena_free(f->filter_arena);
	f->filter_arena = TAKE(a);
	f->filter = p;
	return true;
}

const struct list *fleet_resources(const struct fleet *f)
{
	return &f->filter.resources;
}

/* ---- what is under way ---- */

static void intent_done(struct fleet *f, struct view_intent *it)
{
	struct view_assign *assigns = it->assigns.items;

	intern_put(f->in, it->upgrade.target);
	intern_put(f->in, it->upgrade.reason);
	intern_put(f->in, it->upgrade.message);
	for (size_t i = 0; i < it->assigns.n; i++)
		intern_put(f->in, assigns[i].name);
	free(assigns);
	memset(it, 0, sizeof(*it));
}

static int intent_init(struct fleet *f, struct view_intent *it,
	const struct view_upgrade *up, const struct list *assigns)
{
	struct view_assign *copy = calloc(assigns->n + 1, sizeof(*copy));

	if (!copy)
		return -ENOMEM;
	it->assigns.items = copy;
	for (size_t i = 0; i < assigns->n; i++) {
		copy[i] = *VIEW_AT(struct view_assign, *assigns, i);
		copy[i].name = intern_get(f->in, copy[i].name);
		it->assigns.n++;
		if (!copy[i].name)
			return -ENOMEM;
	}
	it->upgrade = (struct view_upgrade){
		.state = up->state,
		.since = up->since,
		.target = intern_get(f->in, up->target),
		.reason = intern_get(f->in, up->reason),
		.message = intern_get(f->in, up->message),
	};
	return it->upgrade.target && it->upgrade.reason && it->upgrade.message ? 0
									       : -ENOMEM;
}

int fleet_set_intent(struct fleet *f, struct view_node *v, const struct view_upgrade *up,
	const struct list *assigns)
{
	struct node *n = container_of(v, struct node, v);
	struct view_intent fresh = { 0 };
	int r = up ? intent_init(f, &fresh, up, assigns) : 0;

	if (r < 0) {
		intent_done(f, &fresh);
		return r;
	}
	intent_done(f, &n->intent);
	n->intent = fresh;
	v->intent = up ? &n->intent : NULL;
	return 0;
}

static void carry_over(struct view_pods *to, const struct view_pods *from)
{
	for (size_t i = 0; i < to->n; i++) {
		for (size_t j = 0; j < from->n; j++) {
			if (!streq(to->pods[i].uid, from->pods[j].uid))
				continue;
			to->pods[i].is_blocked = from->pods[j].is_blocked;
			to->pods[i].retry_at = from->pods[j].retry_at;
		}
	}
}

void fleet_set_pods(struct view_node *n, struct view_pods *pods)
{
	if (pods && n->pods)
		carry_over(pods, n->pods);
	if (n->pods) {
		struct view_pods *old = n->pods;

		n->pods = NULL;
		arena_free(old->arena);
	}
	n->pods = pods;
}
