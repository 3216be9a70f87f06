// SPDX-License-Identifier: Apache-2.0
/* What of a Node the fleet has to keep: labels that selectors use, resources that classes name. */
#include "fleet_inside.h"

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
	p.taint = f->filter.taint;
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
	CLEANUP(arena_freep) struct arena *a = arena_new(FLEET_OBJECT_MAX);
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

void fleet_watch_taint(struct fleet *f, const char *key)
{
	f->filter.taint = key;
}

const struct list *fleet_resources(const struct fleet *f)
{
	return &f->filter.resources;
}
