// SPDX-License-Identifier: Apache-2.0
/* The links below <run>/dev. */
#include "links.h"

#include <stdio.h>

#include "file.h"

struct sweep {
	const struct snapshot *s;
	const char *dir; /* <run>/dev */
	const char *id; /* the device whose folder is swept */
};

static bool wants_links(const struct claim *c)
{
	return !c->class_->spec.cdi && c->device->is_present;
}

static bool is_wanted(const struct snapshot *s, const char *id, const char *path)
{
	for (size_t i = 0; i < s->n_claims; i++) {
		const struct claim *c = &s->claims[i];

		if (!wants_links(c) || !streq(c->device->id, id))
			continue;
		if (!path)
			return true;
		for (size_t k = 0; k < c->n_nodes; k++)
			if (streq(c->nodes[k].link, path))
				return true;
	}
	return false;
}

static int sweep_link(const char *name, void *user)
{
	struct sweep *w = user;
	char path[1024];

	if (path_join(path, sizeof(path), w->dir, w->id, name, NULL) == 0 &&
		!is_wanted(w->s, w->id, path))
		(void)unlink(path);
	return 0;
}

static int sweep_device(const char *id, void *user)
{
	struct sweep *w = user, inner = { w->s, w->dir, id };
	char path[1024];

	if (path_join(path, sizeof(path), w->dir, id, NULL) < 0)
		return 0;
	(void)dir_each(path, sweep_link, &inner, NULL);
	if (!is_wanted(w->s, id, NULL))
		(void)rmdir(path);
	return 0;
}

/* Old or new, never absent in between. */
static int make_link(const char *to, const char *path, struct err *e)
{
	char have[1024], tmp[1024];
	ssize_t n = readlink(path, have, sizeof(have) - 1);

	if (n >= 0) {
		have[n] = '\0';
		if (streq(have, to))
			return 0;
	}
	if (snprintf(tmp, sizeof(tmp), "%s.new", path) >= (int)sizeof(tmp))
		return err_set(e, -ENAMETOOLONG, "'%s': too long", path);
	(void)unlink(tmp);
	if (symlink(to, tmp) < 0 || rename(tmp, path) < 0)
		return err_errno(e, -errno, "'%s'", path);
	return 0;
}

static int link_claim(const char *dir, const struct claim *c, struct err *e)
{
	char folder[1024];
	int r = path_join(folder, sizeof(folder), dir, c->device->id, NULL);

	if (r == 0)
		r = dir_make(folder, 0755, e);
	for (size_t i = 0; i < c->n_nodes && r == 0; i++)
		if (c->nodes[i].link != c->nodes[i].path)
			r = make_link(c->nodes[i].path, c->nodes[i].link, e);
	return r;
}

int links_write(const char *run, const struct snapshot *s, struct err *e)
{
	char dir[1024];
	struct sweep w = { s, dir, NULL };
	int r = path_join(dir, sizeof(dir), run, "dev", NULL);

	if (r < 0)
		return err_errno(e, r, "'%s'", run);
	for (size_t i = 0; i < s->n_claims && r == 0; i++)
		if (wants_links(&s->claims[i]) && s->claims[i].n_nodes)
			r = link_claim(dir, &s->claims[i], e);
	if (r < 0)
		return err_wrap(e, r, "device links");
	if (file_exists(dir))
		(void)dir_each(dir, sweep_device, &w, NULL);
	return 0;
}
