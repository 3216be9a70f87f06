// SPDX-License-Identifier: Apache-2.0
/* Takes one build out and another in, and goes back when that fails. */
#include <limits.h>
#include <time.h>

#include "file.h"
#include "hardware.h"
#include "stage_inside.h"

#define BIND_STEP_US (50 * USEC_PER_MSEC)

/* The build that is loaded now, proved while it still is. */
struct old {
	struct proved p;
	struct load_list list;
	bool is_there;
};

static void old_done(struct old *o)
{
	proved_done(&o->p);
}

/* What the kernel was given for @name, out of stage_parameters()' lines. */
static const char *options_of(struct arena *a, const char *parameters, const char *name)
{
	size_t n = strlen(name);

	for (const char *line = parameters; *line;) {
		const char *end = strchrnul(line, '\n');
		bool is_it = (size_t)(end - line) > n && line[n] == ' ';

		/* The kernel's names have '_' where people may write '-'. */
		for (size_t i = 0; is_it && i < n; i++)
			is_it = line[i] == name[i] || (line[i] == '-' && name[i] == '_');
		if (is_it)
			return arena_strndup(
				a, line + n + 1, (size_t)(end - line) - n - 1);
		line = *end ? end + 1 : end;
	}
	return "";
}

/* Those modules of the spec that are loaded and of the old artifact. */
static int old_modules(
	const struct stage *s, struct old *o, struct list *ret, struct err *e)
{
	const struct api_module *m = s->modules->items;
	struct api_module *out = arena_array(o->p.a, s->modules->n + 1, sizeof(*out));
	size_t n = 0;

	if (!out)
		return err_errno(e, -ENOMEM, "modules");
	for (size_t i = 0; i < s->modules->n; i++) {
		struct hardware_module h;
		int r = hardware_module(o->p.a, s->env->sys, m[i].name, &h, e);

		if (r < 0)
			return r;
		if (h.is_loaded && artifact_find(&o->p.artifact, m[i].name))
			out[n++] = (struct api_module){ .name = m[i].name };
	}
	*ret = (struct list){ out, n };
	return 0;
}

/* Without the old build there is no way back, which stops nothing. */
static void old_init(const struct stage *s, struct old *o)
{
	struct stage before = *s;
	struct list modules;
	int r;

	before.key = s->old_key;
	r = proved_init(&before, &o->p, NULL);
	if (r < 0 || !s->old_key)
		return;
	r = old_modules(s, o, &modules, NULL);
	before.modules = &modules;
	if (r == 0)
		r = load_list_make(&before, &o->p, &o->list, NULL);
	for (size_t i = 0; r == 0 && i < o->list.n; i++) {
		struct modules_file *f = &o->list.files[i];

		f->replaces = NULL;
		f->options = options_of(
			o->p.a, s->old_parameters ? s->old_parameters : "", f->name);
		if (!f->options)
			r = -ENOMEM;
	}
	o->is_there = r == 0 && o->list.n > 0;
}

static int unload(
	const struct stage *s, struct arena *a, const struct load_list *l, struct err *e)
{
	struct modules_env env = stage_modules_env(s);
	const char **items = arena_array(a, l->n + 1, sizeof(*items));
	struct list names;

	if (!items)
		return err_errno(e, -ENOMEM, "modules");
	for (size_t i = 0; i < l->n; i++)
		items[i] = l->files[i].name;
	names = (struct list){ items, l->n };
	return modules_unload(a, &env, &names, e);
}

/* The address of a device that was bound and is not; NULL: all are. */
static const char *unbound(const struct stage *s)
{
	const char *const *address = s->bound.items;
	char path[PATH_MAX];

	for (size_t i = 0; i < s->bound.n; i++)
		if (path_join(path, sizeof(path), s->env->sys, "bus/pci/devices",
			    address[i], "driver", NULL) < 0 ||
			!file_exists(path))
			return address[i];
	return NULL;
}

static int wait_bound(const struct stage *s, struct err *e)
{
	const struct timespec step = { 0, BIND_STEP_US * 1000 };
	const char *address = unbound(s);

	for (uint64_t us = 0; address && us < STAGE_BIND_US; us += BIND_STEP_US) {
		(void)nanosleep(&step, NULL);
		address = unbound(s);
	}
	if (!address)
		return 0;
	return err_reason(e, -ENODEV, REASON_DRIVER_NOT_BOUND,
		"the new build is loaded and does not bind %s, which the old one drove",
		address);
}

/* Back to what worked. @r and @e: why. */
static int go_back(const struct stage *s, const struct load_list *l, struct old *o, int r,
	struct err *e)
{
	struct modules_env env = stage_modules_env(s);
	struct err why = { 0 };
	int n;

	if (!o->is_there)
		return r;
	n = unload(s, o->p.a, l, &why);
	if (n == 0)
		n = modules_load(o->p.a, &env, o->list.files, o->list.n, &why);
	if (n < 0)
		return err_wrap(e, r,
			"the build before could not be loaded again (%.200s)", why.text);
	return err_wrap(
		e, -ECANCELED, "the build before is loaded again, because of this");
}

int stage_replace(const struct stage *s, struct err *e)
{
	struct proved p CLEANUP(proved_done);
	struct old o CLEANUP(old_done) = { .is_there = false };
	struct modules_env env = stage_modules_env(s);
	struct load_list l;
	int r;

	r = proved_init(s, &p, e);
	if (r == 0)
		r = stage_firmware(s, e);
	if (r == 0)
		r = load_list_make(s, &p, &l, e);
	if (r < 0)
		return r;
	old_init(s, &o);
	r = unload(s, p.a, &l, e);
	if (r < 0)
		return r;
	r = modules_load(p.a, &env, l.files, l.n, e);
	if (r == 0)
		r = wait_bound(s, e);
	return r < 0 ? go_back(s, &l, &o, r, e) : 0;
}
