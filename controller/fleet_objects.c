// SPDX-License-Identifier: Apache-2.0
/* Drivers and classes of the fleet: the last spec that could be read stays in force. */
#include "fleet_inside.h"

#include "jhash.h"
#include "kube.h"

void fleet_driver_free(void *value)
{
	struct driver *d = value;

	if (!d)
		return;
	arena_free(d->good);
	arena_free(d->head);
	json_free(d->spec);
	json_free(d->good_spec);
	json_free(d->object);
	free(d);
}

void fleet_class_free(void *value)
{
	struct class_ *c = value;

	if (!c)
		return;
	arena_free(c->good);
	arena_free(c->head);
	json_free(c->spec);
	free(c);
}

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
static int take_driver_spec(
	const struct fleet *f, struct driver *d, const struct json *obj)
{
	CLEANUP(arena_freep) struct arena *a = arena_new(FLEET_OBJECT_MAX);
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
		d->v.invalid_reason = REASON_MANIFEST_INVALID;
		return d->v.invalid ? 0 : -ENOMEM;
	}
	spec = json_copy(json_get(obj, "spec"));
	if (!spec)
		return -ENOMEM;
	r = fleet_embed(f, spec, d->head, &d->v.invalid, &d->v.invalid_reason);
	if (r < 0 || d->v.invalid)
		return r;
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

/* What an older controller, or a stranger, wrote there and cannot be used is none. -ENOMEM. */
static int read_good(struct driver *d, const struct json *j)
{
	CLEANUP(arena_freep) struct arena *a = arena_new(FLEET_OBJECT_MAX);
	CLEANUP(json_freep) struct json *spec = NULL;
	const char *text = json_get_str(j, "spec");
	int64_t generation = json_get_int(j, "generation", 0);
	struct api_driver_spec parsed;

	json_free(TAKE(d->good_spec));
	d->v.good = (struct view_good){ 0 };
	memset(&parsed, 0, sizeof(parsed));
	if (!a)
		return -ENOMEM;
	if (generation <= 0 || !text || json_parse(text, strlen(text), &spec, NULL) < 0 ||
		field_parse_at(a, api_driver_spec_fields, spec, "spec", false, &parsed,
			NULL) < 0)
		return 0;
	d->v.good = (struct view_good){
		.generation = generation,
		.version = arena_strdup(d->head, view_str(json_get_str(j, "version"))),
		.text = arena_strdup(d->head, text),
		.spec_hash = jhash(spec),
	};
	d->good_spec = TAKE(spec);
	return d->v.good.version && d->v.good.text ? 0 : -ENOMEM;
}

/* What its source came from is read again when the ConfigMap changes. -ENOMEM. */
static int keep_object(struct driver *d, const struct json *obj)
{
	json_free(TAKE(d->object));
	if (!fleet_wants_config(obj))
		return 0;
	d->object = json_copy(obj);
	return d->object ? 0 : -ENOMEM;
}

int fleet_embed_again(struct fleet *f, const char *name)
{
	int r = 0, n = 0;
	size_t it = 0;
	void *value;

	while (r >= 0 && map_next(f->drivers, &it, NULL, &value)) {
		struct driver *d = value;

		if (!d->object ||
			(name && !streq(name, view_str(json_str(json_path(d->object,
						      "spec.source.configMap.name"))))))
			continue;
		d->v.invalid = NULL;
		r = take_driver_spec(f, d, d->object);
		f->is_dirty = true;
		n++;
	}
	return r < 0 ? r : n > 0;
}

static int fill_driver(const struct fleet *f, struct driver *d, const struct json *obj)
{
	arena_free(d->head);
	d->v.conditions = (struct list){ 0 };
	d->v.invalid = NULL;
	d->head = arena_new(FLEET_OBJECT_MAX);
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
	if (read_conditions(d->head, json_get(obj, "status"), &d->v.conditions) < 0 ||
		read_good(d, json_path(obj, "status.lastGood")) < 0)
		return -ENOMEM;
	if (keep_object(d, obj) < 0)
		return -ENOMEM;
	return take_driver_spec(f, d, obj);
}

int fleet_put_driver(struct fleet *f, const char *name, const struct json *obj)
{
	struct driver *d = map_get(f->drivers, name);
	int r;

	f->is_dirty = true;
	if (d && fleet_is_older(project_version(obj), d->version)) {
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
	r = fill_driver(f, d, obj);
	if (r < 0)
		(void)map_del(f->drivers, name);
	return r < 0 ? r : 1;
}

static int take_class_spec(struct class_ *c, const struct json *obj)
{
	CLEANUP(arena_freep) struct arena *a = arena_new(FLEET_OBJECT_MAX);
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
	c->head = arena_new(FLEET_OBJECT_MAX);
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

int fleet_put_class(struct fleet *f, const char *name, const struct json *obj)
{
	struct class_ *c = map_get(f->classes, name);
	int r;

	f->is_dirty = true;
	if (c && fleet_is_older(project_version(obj), c->version)) {
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

/* ---- what is stored ---- */

const struct json *fleet_driver_spec(const struct fleet *f, const char *name)
{
	const struct driver *d = map_get(f->drivers, name);

	return d ? d->spec : NULL;
}

const struct json *fleet_driver_spec_of(
	const struct fleet *f, const char *name, int64_t generation)
{
	const struct driver *d = map_get(f->drivers, name);

	if (!d || !d->v.has_spec)
		return NULL;
	if (generation == d->v.d.meta.generation)
		return d->spec;
	return generation == d->v.good.generation ? d->good_spec : NULL;
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
