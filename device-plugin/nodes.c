// SPDX-License-Identifier: Apache-2.0
/* From what a class asks for to paths below /dev. */
#include "nodes.h"

#include <fnmatch.h>

#include "attribute.h"
#include "file.h"

struct find {
	const struct snapshot_options *o;
	struct inventory *inv;
	struct arena *arena;
	struct claim *claim;
};

static bool node_exists(const struct find *f, const char *path)
{
	char full[1024];

	return path_join(full, sizeof(full), *f->o->root ? f->o->root : "/", path,
		       NULL) == 0 &&
	       file_exists(full);
}

/* @link NULL: the path itself is stable. */
static int add_node(
	struct find *f, const char *path, const char *link, const char *permissions)
{
	struct claim *c = f->claim;
	struct claim_node *n = &c->nodes[c->n_nodes];

	n->path = arena_strdup(f->arena, path);
	n->link = link ? link : n->path;
	n->permissions = str_empty(permissions) ? "rw" : permissions;
	if (!n->path || !n->link)
		return -ENOMEM;
	c->n_nodes++;
	return 0;
}

/* Another function of the same PCI slot: an FPGA's management beside its user function. */
static struct device *function_of(const struct find *f, int64_t function)
{
	struct device *d = f->claim->device;
	size_t n = strlen(d->id);

	if (function < 0)
		return d;
	if (d->bus != API_BUS_PCI || n == 0)
		return NULL;
	for (size_t i = 0; i < inventory_len(f->inv); i++) {
		struct device *o = inventory_at(f->inv, i);

		if (o->bus == API_BUS_PCI && strlen(o->id) == n && o->is_present &&
			memcmp(o->id, d->id, n - 1) == 0 &&
			o->id[n - 1] == '0' + (char)function)
			return o;
	}
	return NULL;
}

/* How many of the claim's links begin with @prefix: the next one's number. */
static size_t count_links(const struct claim *c, const char *prefix)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n_nodes; i++)
		n += str_starts(c->nodes[i].link, prefix);
	return n;
}

static bool is_wanted(const struct api_device_node *want, const struct device_node *n)
{
	return streq(n->subsystem, want->subsystem) &&
	       (str_empty(want->name) || fnmatch(want->name, n->name, 0) == 0);
}

/* All nodes of a device in one subsystem; *ret_n says how many are there. */
static int add_subsystem(
	struct find *f, const struct api_device_node *want, size_t *ret_n)
{
	const struct device *d = function_of(f, want->function);
	const char *prefix = arena_fmt(f->arena, "%s/dev/%s/%s-", f->o->run,
		f->claim->device->id, want->subsystem);

	if (!prefix)
		return -ENOMEM;
	for (size_t i = 0; d && i < d->n_nodes; i++) {
		const char *link;
		int r;

		if (!is_wanted(want, &d->nodes[i]) || !node_exists(f, d->nodes[i].path))
			continue;
		link = arena_fmt(
			f->arena, "%s%zu", prefix, count_links(f->claim, prefix));
		r = link ? add_node(f, d->nodes[i].path, link, want->permissions)
			 : -ENOMEM;
		if (r < 0)
			return r;
		(*ret_n)++;
	}
	return 0;
}

/* One node by its path; a path with variables gets a link that stays, as its number may not. */
static int add_path(
	struct find *f, const struct api_device_node *want, size_t i, size_t *ret_n)
{
	const struct claim *c = f->claim;
	char path[EXPANDED_MAX];
	const char *link = NULL;

	if (expand(f->inv, c->device, &c->class_->spec, want->path, path, sizeof(path),
		    NULL) < 0 ||
		!node_exists(f, path))
		return 0;
	if (has_variables(want->path)) {
		link = arena_fmt(
			f->arena, "%s/dev/%s/path-%zu", f->o->run, c->device->id, i);
		if (!link)
			return -ENOMEM;
	}
	*ret_n = 1;
	return add_node(f, path, link, want->permissions);
}

/* Room for all nodes that could be found. */
static int make_room(struct find *f, const struct api_device_node *want, size_t n)
{
	size_t total = 1;

	for (size_t i = 0; i < n; i++) {
		struct device *d = function_of(f, want[i].function);
		int r = d ? inventory_nodes(f->inv, d) : 0;

		if (r < 0)
			return r;
		total += 1 + (d ? d->n_nodes : 0);
	}
	f->claim->nodes = arena_array(f->arena, total, sizeof(*f->claim->nodes));
	return f->claim->nodes ? 0 : -ENOMEM;
}

/* The names in other vendors' specs; *ret_missing is one that cannot be told. */
static int name_cdi(struct find *f, const char **ret_missing)
{
	struct claim *c = f->claim;
	const char *const *names = c->class_->spec.cdi_devices.items;
	size_t n = c->class_->spec.cdi_devices.n;

	c->cdi_devices = arena_array(f->arena, n + 1, sizeof(*c->cdi_devices));
	if (!c->cdi_devices)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		char name[EXPANDED_MAX];

		if (expand(f->inv, c->device, &c->class_->spec, names[i], name,
			    sizeof(name), NULL) < 0) {
			*ret_missing = names[i];
			return 0;
		}
		c->cdi_devices[c->n_cdi_devices] = arena_strdup(f->arena, name);
		if (!c->cdi_devices[c->n_cdi_devices++])
			return -ENOMEM;
	}
	return 0;
}

int nodes_resolve(const struct snapshot_options *o, struct inventory *inv,
	struct arena *a, struct claim *c, const char **ret_missing)
{
	const struct api_device_node *want = c->class_->spec.device_nodes.items;
	size_t n = c->class_->spec.device_nodes.n;
	struct find f = { o, inv, a, c };
	const char *missing = NULL;
	int r = make_room(&f, want, n);

	for (size_t i = 0; i < n && r == 0; i++) {
		size_t found = 0;

		r = str_empty(want[i].subsystem) ? add_path(&f, &want[i], i, &found)
						 : add_subsystem(&f, &want[i], &found);
		if (!found && !missing && !want[i].optional)
			missing = str_empty(want[i].subsystem) ? want[i].path
							       : want[i].subsystem;
	}
	c->has_nodes = !missing;
	if (r == 0)
		r = name_cdi(&f, &missing);
	if (missing)
		*ret_missing = missing;
	return r;
}
