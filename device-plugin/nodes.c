// SPDX-License-Identifier: Apache-2.0
/* From what a class asks for to paths below /dev. */
#include "nodes.h"

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

/* All nodes of the device in one subsystem; *ret_n says how many are there. */
static int add_subsystem(
	struct find *f, const struct api_device_node *want, size_t *ret_n)
{
	struct device *d = f->claim->device;
	size_t n = 0;
	int r;

	for (size_t i = 0; i < d->n_nodes; i++) {
		const char *link;

		if (!streq(d->nodes[i].subsystem, want->subsystem) ||
			!node_exists(f, d->nodes[i].path))
			continue;
		link = arena_fmt(f->arena, "%s/dev/%s/%s-%zu", f->o->run, d->id,
			want->subsystem, n);
		r = link ? add_node(f, d->nodes[i].path, link, want->permissions)
			 : -ENOMEM;
		if (r < 0)
			return r;
		n++;
	}
	*ret_n = n;
	return 0;
}

int nodes_resolve(const struct snapshot_options *o, struct inventory *inv,
	struct arena *a, struct claim *c, const char **ret_missing)
{
	const struct api_device_node *want = c->class_->spec.device_nodes.items;
	size_t n = c->class_->spec.device_nodes.n;
	struct find f = { o, inv, a, c };
	const char *missing = NULL;
	int r;

	r = inventory_nodes(inv, c->device);
	if (r < 0)
		return r;
	c->nodes = arena_array(a, n * (c->device->n_nodes + 1) + 1, sizeof(*c->nodes));
	if (!c->nodes)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		size_t found = 0;

		if (!str_empty(want[i].subsystem)) {
			r = add_subsystem(&f, &want[i], &found);
		} else if (node_exists(&f, want[i].path)) {
			r = add_node(&f, want[i].path, NULL, want[i].permissions);
			found = 1;
		}
		if (r < 0)
			return r;
		if (!found && !missing)
			missing = str_empty(want[i].subsystem) ? want[i].path
							       : want[i].subsystem;
	}
	c->has_nodes = !missing;
	if (missing)
		*ret_missing = missing;
	return 0;
}
