// SPDX-License-Identifier: Apache-2.0
/* Store -> proof -> kernel or boot folder. */
#include <limits.h>

#include "boot.h"
#include "depends.h"
#include "elf.h"
#include "file.h"
#include "firmware.h"
#include "stage_inside.h"
#include "verify.h"

enum { STAGE_ARENA = 16 << 20 };

void proved_done(struct proved *p)
{
	artifact_done(&p->artifact);
	arena_free(p->a);
}

static int prove(const struct stage *s, struct proved *p, struct err *e)
{
	CLEANUP(verify_kernel_freep) struct verify_kernel *v = NULL;
	CLEANUP(freep) struct verify_report *reports = NULL;
	char path[PATH_MAX];
	size_t n;
	int r;

	r = store_get(s->env->state, s->key, &p->artifact, e);
	if (r == -ENOENT)
		return err_reason(e, r, REASON_ARTIFACT_CORRUPT,
			"artifact %.12s is no longer in the store", s->key);
	if (r < 0)
		return err_wrap(e, r, "artifact %.12s", s->key);
	n = p->artifact.modules_n;
	p->paths = arena_array(p->a, MAX(n, VERIFY_SIBLINGS_MAX), sizeof(*p->paths));
	reports = calloc(MAX(n, VERIFY_SIBLINGS_MAX), sizeof(*reports));
	if (!p->paths || !reports)
		return err_errno(e, -ENOMEM, "artifact %.12s", s->key);
	for (size_t i = 0; i < p->artifact.modules_n; i++) {
		r = path_join(path, sizeof(path), p->artifact.dir,
			p->artifact.modules[i].file, NULL);
		p->paths[i] = r == 0 ? arena_strdup(p->a, path) : NULL;
		if (!p->paths[i])
			return err_errno(e, -ENOMEM, "artifact %.12s", s->key);
	}
	r = verify_kernel_open(s->kernel, s->env->root, &v, e);
	if (r < 0 && e->reason == REASON_HEADERS_MISSING &&
		streq(p->artifact.kernel, s->kernel->release)) {
		/* The headers have left the host since. These very bytes, by their digests, were
		 * proved against them when they were built for this kernel. */
		err_clear(e);
		return 0;
	}
	/* What it was built against counts as loaded before it. */
	if (r == 0)
		r = depends_paths(s->env->state, &p->artifact, p->a, p->paths,
			VERIFY_SIBLINGS_MAX, &n, e);
	if (r == 0)
		r = verify_files_among(v, p->paths, p->artifact.modules_n, n, reports, e);
	return r < 0 ? err_wrap(e, r, "verify for '%s'", s->kernel->release) : 0;
}

int proved_init(const struct stage *s, struct proved *p, struct err *e)
{
	*p = (struct proved){ .a = arena_new(STAGE_ARENA) };
	if (!p->a)
		return err_errno(e, -ENOMEM, "verify");
	return s->key ? prove(s, p, e) : 0;
}

/* What the module says it needs, out of its file. */
static int read_depends(
	struct arena *a, const char *path, const char **ret, struct err *e)
{
	CLEANUP(freep) char *data = NULL;
	struct elf elf = { 0 };
	size_t len;
	int r;

	r = elf_read_file(path, &data, &len, e);
	if (r == 0)
		r = elf_parse(data, len, &elf, e);
	if (r < 0)
		return r;
	*ret = arena_strdup(a, elf.depends ? elf.depends : "");
	elf_done(&elf);
	return *ret ? 0 : err_errno(e, -ENOMEM, "'%s'", path);
}

static bool is_listed(const struct load_list *l, const char *name)
{
	for (size_t i = 0; i < l->n; i++)
		if (streq(l->files[i].name, name))
			return true;
	return false;
}

/* Appends module @name, those of the same artifact that it needs before it. */
static int add_file(
	struct load_list *l, const char *name, const struct api_module *m, struct err *e)
{
	const struct artifact_module *am = artifact_find(&l->p->artifact, name);
	const char *depends, *word;
	size_t i;
	int r;

	if (!am)
		return err_reason(e, -ENOENT, REASON_MODULE_MISSING,
			"module '%s' was not built", name);
	if (is_listed(l, am->name) || l->depth > l->p->artifact.modules_n)
		return 0;
	i = (size_t)(am - l->p->artifact.modules);
	r = read_depends(l->p->a, l->p->paths[i], &depends, e);
	l->depth++;
	for (const char *c = depends; r == 0 && *c;) {
		size_t len = strcspn(c, ",");

		word = arena_strndup(l->p->a, c, len);
		if (!word)
			return err_errno(e, -ENOMEM, "'%s'", name);
		if (artifact_find(&l->p->artifact, word))
			r = add_file(l, word, NULL, e);
		c += len + (c[len] == ',');
	}
	l->depth--;
	if (r == 0 && !is_listed(l, am->name))
		l->files[l->n++] = (struct modules_file){
			.name = am->name,
			.path = l->p->paths[i],
			.parameters = m ? &m->parameters : NULL,
			.replaces = m ? &m->replaces : NULL,
			.depends = depends,
		};
	return r;
}

int load_list_make(
	const struct stage *s, struct proved *p, struct load_list *l, struct err *e)
{
	const struct api_module *m = s->modules->items;
	int r = 0;

	*l = (struct load_list){ .s = s, .p = p };
	l->files = arena_array(p->a, p->artifact.modules_n + 1, sizeof(*l->files));
	if (!l->files)
		return err_errno(e, -ENOMEM, "modules");
	for (size_t i = 0; r == 0 && i < s->modules->n; i++)
		r = add_file(l, m[i].name, &m[i], e);
	/* One that came in as a dependency still has its own parameters and rivals. */
	for (size_t i = 0; r == 0 && i < s->modules->n; i++)
		for (size_t k = 0; k < l->n; k++)
			if (artifact_find(&p->artifact, m[i].name) ==
				artifact_find(&p->artifact, l->files[k].name)) {
				l->files[k].parameters = &m[i].parameters;
				l->files[k].replaces = &m[i].replaces;
			}
	return r;
}

struct modules_env stage_modules_env(const struct stage *s)
{
	return (struct modules_env){ s->env->root, s->env->sys, s->env->proc,
		s->kernel->release };
}

int stage_parameters(struct arena *a, const struct list *modules, const char **ret)
{
	const struct api_module *m = modules->items;
	const char *text = "", *options;

	for (size_t i = 0; i < modules->n; i++) {
		int r = modules_options(a, &m[i].parameters, &options, NULL);

		if (r < 0)
			return r;
		if (*options)
			text = arena_fmt(a, "%s%s %s\n", text, m[i].name, options);
		if (!text)
			return -ENOMEM;
	}
	*ret = text;
	return 0;
}

int stage_firmware(const struct stage *s, struct err *e)
{
	return s->firmware
		       ? firmware_check(s->env->root, s->kernel->release, s->firmware, e)
		       : 0;
}

int stage_load(const struct stage *s, struct err *e)
{
	struct proved p CLEANUP(proved_done);
	struct modules_env env = stage_modules_env(s);
	struct load_list l;
	int r;

	r = proved_init(s, &p, e);
	if (r == 0)
		r = stage_firmware(s, e);
	if (r == 0)
		r = load_list_make(s, &p, &l, e);
	return r == 0 ? modules_load(p.a, &env, l.files, l.n, e) : r;
}

int stage_unload(const struct stage *s, struct err *e)
{
	const struct api_module *m = s->modules->items;
	struct modules_env env = stage_modules_env(s);
	struct arena *a = arena_new(STAGE_ARENA);
	const char **items = a ? arena_array(a, s->modules->n + 1, sizeof(*items)) : NULL;
	struct list names = { items, s->modules->n };
	int r;

	if (!items) {
		arena_free(a);
		return err_errno(e, -ENOMEM, "unload");
	}
	for (size_t i = 0; i < s->modules->n; i++)
		items[i] = m[i].name;
	r = modules_unload(a, &env, &names, e);
	arena_free(a);
	return r;
}

int stage_install(const struct stage *s, struct err *e)
{
	struct proved p CLEANUP(proved_done);
	int r;

	r = proved_init(s, &p, e);
	/* The index comes last: it is what makes the files count as installed. */
	if (r == 0 && s->is_listed)
		r = MIN(boot_write_config(p.a, s->env->root, s->driver, s->modules, e),
			0);
	return r == 0 ? boot_install(s->env->root, s->kernel->release, &p.artifact, e)
		      : r;
}

int stage_uninstall(const struct stage *s, struct err *e)
{
	int r = boot_remove_config(s->env->root, s->driver, e);

	return r < 0 ? r
		     : boot_uninstall(s->env->root, s->kernel->release, s->modules, e);
}
