// SPDX-License-Identifier: Apache-2.0
/* What a build left: finds the modules, proves them against the kernel, puts them into the store. */
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "build_work.h"
#include "depends.h"
#include "file.h"
#include "verify.h"

enum { WALK_DEPTH_MAX = 32 };

/* ---- finding: the sandbox is gone, nothing changes any more ---- */

/* "my-drv.ko" -> "my_drv" */
static void kernel_name(const char *file, char *out, size_t size)
{
	size_t i, n = strlen(file);

	n = n > 3 ? n - 3 : n;
	for (i = 0; i < n && i + 1 < size; i++)
		out[i] = file[i] == '-' ? '_' : file[i];
	out[i] = '\0';
}

static bool same_bytes(const char *a, const char *b)
{
	char da[DIGEST_HEX + 1], db[DIGEST_HEX + 1];

	return digest_file(a, da, NULL) == 0 && digest_file(b, db, NULL) == 0 &&
	       streq(da, db);
}

/* @built is the file that the build made: the kernel's name for the module is made of it, whatever the
 * file is called that is installed. */
static int add_module(
	struct work *w, const char *path, const char *built, const char *file, bool strip)
{
	struct build_module *m;
	size_t i;

	if (w->modules_n >= BUILD_MODULES_MAX)
		return err_reason(w->e, -E2BIG, REASON_SOURCE_INVALID,
			"more than %d modules were built", BUILD_MODULES_MAX);
	m = &w->modules[w->modules_n];
	if (strlen(file) >= sizeof(m->file) || strlen(built) - 3 >= sizeof(m->name))
		return err_reason(w->e, -ENAMETOOLONG, REASON_SOURCE_INVALID,
			"'%.128s' is too long for a module", file);
	(void)snprintf(m->path, sizeof(m->path), "%s", path);
	(void)snprintf(m->file, sizeof(m->file), "%s", file);
	kernel_name(built, m->name, sizeof(m->name));
	m->strip = strip;
	for (i = 0; i < w->modules_n; i++) {
		if (!streq(w->modules[i].name, m->name)) {
			if (!streq(w->modules[i].file, m->file))
				continue;
			return err_reason(w->e, -EEXIST, REASON_SOURCE_INVALID,
				"two modules want to be the file '%s'", m->file);
		}
		/* Makefiles like to copy what they built to a second place. */
		return same_bytes(w->modules[i].path, path)
			       ? 0
			       : err_reason(w->e, -EEXIST, REASON_SOURCE_INVALID,
					 "two different modules '%s' were built",
					 m->name);
	}
	w->modules_n++;
	return 0;
}

struct walk {
	struct work *w;
	char path[PATH_MAX];
	unsigned depth;
};

static int walk_entry(const char *name, void *user)
{
	struct walk *k = user;
	size_t len = strlen(k->path), n = strlen(name);
	struct stat st;
	int r = 0;

	if (len + 1 + n >= sizeof(k->path))
		return 0;
	k->path[len] = '/';
	memcpy(k->path + len + 1, name, n + 1);
	if (lstat(k->path, &st) == 0) {
		if (S_ISDIR(st.st_mode) && *name != '.' && k->depth < WALK_DEPTH_MAX) {
			k->depth++;
			r = dir_each(k->path, walk_entry, k, k->w->e);
			k->depth--;
		} else if (S_ISREG(st.st_mode) && n > 3 && streq(name + n - 3, ".ko")) {
			r = add_module(k->w, k->path, name, name, true);
		}
	}
	k->path[len] = '\0';
	return r;
}

static int collect_all(struct work *w)
{
	CLEANUP(freep) struct walk *k = calloc(1, sizeof(*k));
	int r;

	if (!k)
		return err_errno(w->e, -ENOMEM, "collect modules");
	k->w = w;
	memcpy(k->path, w->src, sizeof(k->path));
	r = dir_each(k->path, walk_entry, k, w->e);
	if (r == 0 && w->modules_n == 0)
		r = err_reason(w->e, -ENOENT, REASON_BUILD_FAILED,
			"the build ended well and left no module");
	return r;
}

/* Every folder on the way must be one: a link could lead out of the build folder. */
static bool is_plain_path(const struct work *w, const char *path)
{
	char part[PATH_MAX];
	const char *p = path + strlen(w->src);
	struct stat st;

	while ((p = strchr(p + 1, '/')) != NULL) {
		memcpy(part, path, (size_t)(p - path));
		part[p - path] = '\0';
		if (lstat(part, &st) < 0 || !S_ISDIR(st.st_mode))
			return false;
	}
	return lstat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* What dkms.conf names, and nothing else. */
static int collect_dkms(struct work *w)
{
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < w->dkms.modules_n; i++) {
		const struct dkms_module *m = &w->dkms.modules[i];
		char path[PATH_MAX], built[NAME_MAX + 1], file[NAME_MAX + 1];
		int n = snprintf(path, sizeof(path), "%s/%s%s%s.ko", w->src, m->location,
			*m->location ? "/" : "", m->name);

		if (n < 0 || n >= PATH_MAX || !is_plain_path(w, path))
			return err_reason(w->e, -ENOENT, REASON_BUILD_FAILED,
				"the build ended well and left no '%s%s%s.ko'",
				m->location, *m->location ? "/" : "", m->name);
		(void)snprintf(built, sizeof(built), "%s.ko", m->name);
		(void)snprintf(file, sizeof(file), "%s.ko", m->dest_name);
		r = add_module(w, path, built, file, m->strip);
	}
	return r;
}

static struct build_module *find_module(struct work *w, const char *name, size_t from)
{
	char wanted[64];
	size_t i;

	for (i = 0; name[i] && i + 1 < sizeof(wanted); i++)
		wanted[i] = name[i] == '-' ? '_' : name[i];
	wanted[i] = '\0';
	for (i = from; i < w->modules_n; i++)
		if (streq(w->modules[i].name, wanted))
			return &w->modules[i];
	return NULL;
}

/* What the kernel calls the module that is installed as @file; NULL. */
static const char *name_of_file(const struct work *w, const char *file)
{
	size_t i, n = strlen(file);

	for (i = 0; i < w->modules_n; i++)
		if (strncmp(w->modules[i].file, file, n) == 0 &&
			streq(w->modules[i].file + n, ".ko"))
			return w->modules[i].name;
	return NULL;
}

/* Those of the spec first, in its order: the order in which they are loaded. */
static int order_modules(struct work *w)
{
	const struct api_module *wanted = w->q->spec->modules.items;
	size_t i, at = 0;

	for (i = 0; i < w->q->spec->modules.n; i++) {
		struct build_module *m = find_module(w, wanted[i].name, 0), tmp;

		if (!m) {
			const char *other = name_of_file(w, wanted[i].name);

			return err_reason(w->e, -ENOENT, REASON_MODULE_MISSING,
				"the build made no module '%s'%s%s%s", wanted[i].name,
				other ? "; the kernel calls what is in that file '" : "",
				other ? other : "", other ? "'" : "");
		}
		if (m < &w->modules[at])
			continue; /* named twice */
		tmp = w->modules[at];
		w->modules[at++] = *m;
		*m = tmp;
	}
	return 0;
}

int build_collect(struct work *w)
{
	int r;

	w->modules = calloc(BUILD_MODULES_MAX, sizeof(*w->modules));
	if (!w->modules)
		return err_errno(w->e, -ENOMEM, "collect modules");
	r = w->source.system == API_BUILD_DKMS ? collect_dkms(w) : collect_all(w);
	return r < 0 ? r : order_modules(w);
}

/* ---- proving ---- */

static int prove(struct work *w, const struct artifact *a, struct verify_report *reports)
{
	CLEANUP(verify_kernel_freep) struct verify_kernel *v = NULL;
	const char *paths[BUILD_MODULES_MAX];
	size_t i, j, n = w->modules_n;
	int r = verify_kernel_open(w->q->kernel, w->q->root, &v, w->e);

	for (i = 0; i < w->modules_n; i++)
		paths[i] = w->modules[i].path;
	if (r == 0 && w->q->spec->signing.mode == API_SIGNING_EXTERNAL)
		verify_kernel_allow_unsigned(v);
	if (r == 0)
		r = depends_paths(
			w->q->state, a, w->arena, paths, BUILD_MODULES_MAX, &n, w->e);
	if (r == 0)
		r = verify_files_among(v, paths, w->modules_n, n, reports, w->e);
	if (r < 0) {
		/* The path of the build folder says nothing to anybody. */
		char text[ERR_TEXT_MAX];
		const char *tail = w->e ? strstr(w->e->text, w->src) : NULL;

		if (tail && strlen(tail) > strlen(w->src)) {
			(void)snprintf(
				text, sizeof(text), "'%s", tail + strlen(w->src) + 1);
			memcpy(w->e->text, text, sizeof(text));
		}
		return r;
	}
	for (i = 0; i < w->modules_n; i++)
		for (j = 0; j < reports[i].warnings_n; j++)
			build_warn(w, "module '%s': %.180s", w->modules[i].name,
				reports[i].warnings[j]);
	return 0;
}

/* ---- keeping ---- */

static int describe(
	const struct work *w, const struct verify_report *reports, struct artifact *a)
{
	static const char *const systems[] = { "Auto", "Kbuild", "DKMS", "Make" };
	struct tm tm;
	time_t now = time(NULL);
	size_t i;

	(void)snprintf(a->package, sizeof(a->package), "%s",
		w->dkms.package ? w->dkms.package : "");
	memcpy(a->key, w->res->key, sizeof(a->key));
	memcpy(a->source_digest, w->source.digest, sizeof(a->source_digest));
	memcpy(a->headers_digest, w->headers_digest, sizeof(a->headers_digest));
	memcpy(a->recipe, w->recipe, sizeof(a->recipe));
	memcpy(a->config_digest, w->config_digest, sizeof(a->config_digest));
	(void)snprintf(a->driver, sizeof(a->driver), "%s", w->q->driver);
	(void)snprintf(a->driver_version, sizeof(a->driver_version), "%s",
		w->q->spec->version ? w->q->spec->version : "");
	memcpy(a->kernel, w->q->kernel->release, sizeof(a->kernel));
	(void)snprintf(a->build_system, sizeof(a->build_system), "%s",
		systems[w->source.system]);
	(void)snprintf(a->toolchain, sizeof(a->toolchain), "%s", w->tc.version);
	if (gmtime_r(&now, &tm))
		(void)strftime(
			a->created_at, sizeof(a->created_at), "%Y-%m-%dT%H:%M:%SZ", &tm);
	a->build_seconds = w->res->build_seconds;
	a->is_compiled = true;
	a->modules = calloc(w->modules_n + 1, sizeof(*a->modules));
	if (!a->modules)
		return -ENOMEM;
	a->modules_n = w->modules_n;
	for (i = 0; i < w->modules_n; i++) {
		struct artifact_module *m = &a->modules[i];

		memcpy(m->name, w->modules[i].name, sizeof(m->name));
		(void)snprintf(
			m->file, sizeof(m->file), "modules/%s", w->modules[i].file);
		memcpy(m->vermagic, reports[i].vermagic, sizeof(m->vermagic));
		memcpy(m->srcversion, reports[i].srcversion, sizeof(m->srcversion));
		m->symbols = (int64_t)reports[i].symbols;
	}
	return 0;
}

static int copy_out(const struct work *w, struct store_txn *t)
{
	char to[PATH_MAX];
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < w->modules_n; i++) {
		(void)snprintf(to, sizeof(to), "modules/%s", w->modules[i].file);
		r = store_txn_add(t, w->modules[i].path, to, w->e);
	}
	if (r == 0)
		r = path_join(to, sizeof(to), store_txn_dir(t), "build.log.gz", NULL);
	if (r == 0)
		r = build_log_write(to, w->log ? w->log : "", w->log_len, w->e);
	return r;
}

int build_keep(struct work *w)
{
	CLEANUP(store_abortp) struct store_txn *t = NULL;
	CLEANUP(freep)
	struct verify_report *reports = calloc(BUILD_MODULES_MAX, sizeof(*reports));
	struct artifact a = { 0 };
	int r;

	if (!reports)
		return err_errno(w->e, -ENOMEM, "verify");
	for (; a.depends_n < w->depends_n; a.depends_n++)
		memcpy(a.depends[a.depends_n], w->depends[a.depends_n].key,
			sizeof(a.depends[0]));
	r = build_sign(w);
	if (r == 0)
		r = prove(w, &a, reports);
	if (r == 0)
		r = store_begin(w->q->state, &t, w->e);
	if (r == 0)
		r = copy_out(w, t);
	if (r == 0 && (r = describe(w, reports, &a)) < 0)
		(void)err_errno(w->e, r, "store");
	if (r == 0)
		r = store_commit(TAKE(t), &a, w->e);
	artifact_done(&a);
	if (r == -ENOSPC && w->e)
		w->e->reason = REASON_DISK_FULL;
	return r;
}
