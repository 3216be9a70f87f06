// SPDX-License-Identifier: Apache-2.0
/* Claims, judgements and resources of one refresh. */
#include "snapshot.h"

#include <ctype.h>
#include <stdio.h>

#include "attribute.h"
#include "memory.h"
#include "nodes.h"
#include "vitals.h"

struct build {
	const struct snapshot_options *o;
	const struct classes *classes;
	struct inventory *inv;
	struct snapshot *s;
};

/* ---- who claims it ---- */
static const struct api_class *choose(
	struct build *b, struct device *d, const struct api_class **ret_rival)
{
	const struct api_class *yes = NULL, *unbound = NULL, *before = NULL;

	*ret_rival = NULL;
	for (size_t i = 0; i < classes_len(b->classes); i++) {
		const struct api_class *c = classes_at(b->classes, i);
		enum class_match m = class_match(c, b->inv, d);

		if (d->class_name && streq(d->class_name, c->meta.name) &&
			(m != CLASS_NO || !d->is_present))
			before = c; /* also when another driver is bound now */
		if (m == CLASS_YES && !yes)
			yes = c;
		else if (m == CLASS_YES && !*ret_rival)
			*ret_rival = c;
		else if (m == CLASS_UNBOUND && !unbound)
			unbound = c;
	}
	/* What is gone can no longer be looked at: it stays what it was. */
	if (yes && (d->is_present || !before))
		return yes;
	return before ? before : unbound;
}

/* The driver that the class wants for this device: of the first match that would take it. */
static const char *wanted_driver(const struct claim *c)
{
	const struct api_device_match *m = c->class_->spec.match.items;

	for (size_t i = 0; i < c->class_->spec.match.n; i++)
		if (!str_empty(m[i].driver) &&
			(str_empty(m[i].vendor) ||
				strcasecmp(m[i].vendor, c->device->vendor) == 0) &&
			(str_empty(m[i].device) ||
				strcasecmp(m[i].device, c->device->device) == 0))
			return m[i].driver;
	return "";
}

static int judge(struct build *b, struct claim *c)
{
	struct device *d = c->device;
	struct health_facts f = { 0 };
	int r;

	r = nodes_resolve(b->o, b->inv, b->s->arena, c, &f.missing_node);
	if (r < 0)
		return r;
	/* A full match says that the driver is right, whichever entry of the list took it. */
	f.wanted_driver = class_match(c->class_, b->inv, d) == CLASS_YES
				  ? d->driver
				  : wanted_driver(c);
	vitals_read(b->inv, d, &c->class_->spec, b->o->files, &f);
	if (!d->health.is_known)
		memory_restore(b->o->before, d, b->o->now_us);
	health_step(&d->health, &f, b->o->now_us);
	b->s->next_us = MIN(b->s->next_us, health_next(&d->health));
	c->health = d->health.state;
	c->reason = health_reason(&d->health);
	c->text = arena_fmt(b->s->arena, "%s%s",
		c->health == HEALTH_RECOVERING ? MEMORY_WATCHED : "", d->health.text);
	return c->text ? 0 : -ENOMEM;
}

/* What the kubelet takes behind the slash. */
static bool is_resource(const char *name)
{
	const char *tail = strchr(name, '/') + 1;
	size_t n = strlen(tail);

	return n > 0 && n <= 63 && isalnum((unsigned char)tail[0]) &&
	       isalnum((unsigned char)tail[n - 1]) && !strchr(tail, ':');
}

/* The resource may differ from device to device; one that is gone keeps the last that it had. */
static int name_resource(struct build *b, struct claim *c)
{
	const struct api_class_spec *s = &c->class_->spec;
	struct device *d = c->device;
	char name[EXPANDED_MAX], *last;
	struct err e = { 0 };

	c->resource = s->resource_name;
	if (!has_variables(s->resource_name))
		return 0;
	c->resource = NULL;
	if (expand(b->inv, d, s, s->resource_name, name, sizeof(name), &e) < 0) {
		c->resource = d->resource_name;
	} else if (!is_resource(name)) {
		(void)err_set(&e, -EINVAL, "'%.80s' is no name of a resource", name);
	} else if (d->resource_name && streq(d->resource_name, name)) {
		c->resource = d->resource_name;
	} else {
		last = strdup(name);
		if (!last)
			return -ENOMEM;
		free(d->resource_name);
		d->resource_name = last;
		c->resource = last;
	}
	if (c->resource)
		c->resource = arena_strdup(b->s->arena, c->resource);
	else
		c->nameless = arena_strdup(b->s->arena, e.text);
	return c->resource || c->nameless ? 0 : -ENOMEM;
}

static int claim_device(struct build *b, struct device *d)
{
	int r;
	struct claim *c = &b->s->claims[b->s->n_claims];
	const struct api_class *rival, *class_ = choose(b, d, &rival);
	char *name;

	if (!class_) {
		d->is_held = false;
		d->health = (struct health_track){ 0 };
		free(TAKE(d->class_name));
		free(TAKE(d->resource_name));
		return 0;
	}
	if (!d->class_name || !streq(d->class_name, class_->meta.name)) {
		name = strdup(class_->meta.name);
		if (!name)
			return -ENOMEM;
		free(d->class_name);
		d->class_name = name;
		free(TAKE(d->resource_name));
	}
	d->is_held = true;
	c->device = d;
	c->class_ = class_;
	c->rival = rival;
	b->s->n_claims++;
	r = name_resource(b, c);
	return r < 0 ? r : judge(b, c);
}

/* ---- resources ---- */
/* 0 for a class whose devices somebody else hands out. */
static size_t units_of(const struct claim *c)
{
	const struct api_class_spec *s = &c->class_->spec;

	if (!c->resource)
		return 0;
	if (!s->sharing.present)
		return 1;
	switch (s->sharing.strategy) {
	case API_SHARING_EXTERNAL:
		return 0;
	case API_SHARING_TIMESLICE:
		return (size_t)MAX(1, MIN(s->sharing.time_slice.replicas, REPLICAS_MAX));
	default:
		return 1;
	}
}

static bool is_replicated(const struct claim *c)
{
	return c->class_->spec.sharing.present &&
	       c->class_->spec.sharing.strategy == API_SHARING_TIMESLICE;
}

static struct resource_view *view_of(struct snapshot *s, const char *name)
{
	for (size_t i = 0; i < s->n_resources; i++)
		if (streq(s->resources[i].name, name))
			return &s->resources[i];
	return NULL;
}

static int add_units(struct build *b, struct resource_view *v, const struct claim *c)
{
	for (size_t k = 0, n = units_of(c); k < n; k++) {
		struct unit *u = &v->units[v->n_units];

		u->claim = c;
		u->id = is_replicated(c)
				? arena_fmt(b->s->arena, "%s::%zu", c->device->id, k)
				: c->device->id;
		if (!u->id)
			return -ENOMEM;
		v->n_units++;
	}
	return 0;
}

static int by_id(const void *a, const void *b)
{
	return strcmp(((const struct unit *)a)->id, ((const struct unit *)b)->id);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct resource_view *)a)->name,
		((const struct resource_view *)b)->name);
}

static void finish_view(struct resource_view *v)
{
	bool has = false, has_not = false;

	qsort(v->units, v->n_units, sizeof(v->units[0]), by_id);
	for (size_t i = 0; i < v->n_units; i++) {
		has |= v->units[i].claim->device->numa_node >= 0;
		has_not |= v->units[i].claim->device->numa_node < 0;
		v->wants_pre_start |= v->units[i].claim->class_->spec.health.present;
	}
	v->is_mixed = has && has_not;
}

static int group(struct build *b)
{
	struct snapshot *s = b->s;
	int r;

	s->resources = arena_array(s->arena, s->n_claims + 1, sizeof(*s->resources));
	if (!s->resources)
		return -ENOMEM;
	for (size_t i = 0; i < s->n_claims; i++) {
		const char *name = s->claims[i].resource;
		size_t total = 0;
		struct resource_view *v;

		if (units_of(&s->claims[i]) == 0 || view_of(s, name))
			continue;
		for (size_t k = i; k < s->n_claims; k++)
			if (units_of(&s->claims[k]) && streq(s->claims[k].resource, name))
				total += units_of(&s->claims[k]);
		v = &s->resources[s->n_resources];
		v->name = name;
		v->units = arena_array(s->arena, total, sizeof(*v->units));
		if (!v->units)
			return -ENOMEM;
		s->n_resources++;
		for (size_t k = i; k < s->n_claims; k++) {
			if (!units_of(&s->claims[k]) ||
				!streq(s->claims[k].resource, name))
				continue;
			r = add_units(b, v, &s->claims[k]);
			if (r < 0)
				return r;
		}
		finish_view(v);
	}
	qsort(s->resources, s->n_resources, sizeof(s->resources[0]), by_name);
	return 0;
}

int snapshot_new(const struct snapshot_options *o, const struct classes *classes,
	struct inventory *inv, struct snapshot **ret, struct err *e)
{
	CLEANUP(snapshot_freep) struct snapshot *s = calloc(1, sizeof(*s));
	struct build b = { o, classes, inv, s };
	size_t n = inventory_len(inv);
	int r = 0;

	if (!s)
		return err_errno(e, -ENOMEM, "snapshot");
	s->next_us = UINT64_MAX;
	s->arena = arena_new(SNAPSHOT_BYTES_MAX);
	if (!s->arena)
		return err_errno(e, -ENOMEM, "snapshot");
	s->claims = arena_array(s->arena, n + 1, sizeof(*s->claims));
	if (!s->claims)
		return err_errno(e, -ENOMEM, "snapshot");
	for (size_t i = 0; i < n && r == 0; i++)
		r = claim_device(&b, inventory_at(inv, i));
	if (r == 0)
		r = group(&b);
	if (r < 0)
		return err_errno(e, r, "snapshot");
	*ret = TAKE(s);
	return 0;
}

void snapshot_free(struct snapshot *s)
{
	if (!s)
		return;
	arena_free(s->arena);
	free(s);
}

const struct resource_view *snapshot_resource(const struct snapshot *s, const char *name)
{
	return view_of((struct snapshot *)s, name);
}

const struct unit *resource_unit(const struct resource_view *r, const char *id)
{
	const struct unit key = { .id = id };

	return bsearch(&key, r->units, r->n_units, sizeof(r->units[0]), by_id);
}

bool claim_is_healthy(const struct claim *c)
{
	return health_is_usable(c->health);
}
