// SPDX-License-Identifier: Apache-2.0
/* The artifact store, read: every digest is checked, what is damaged is moved out of the way. */
#include "store.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "file.h"
#include "key.h"
#include "store_manifest.h"
#include "store_path.h"

enum { QUARANTINE_TRIES = 100 };

/* What cannot be removed now is removed by the next store_gc(). */
static void drop(const char *dir)
{
	int r = dir_remove(dir, NULL);

	(void)r;
}

/* ---- reading ---- */

void artifact_done(struct artifact *a)
{
	free(a->modules);
	free(a->dir);
	*a = (struct artifact){ 0 };
}

void artifacts_free(struct artifact *a, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		artifact_done(&a[i]);
	free(a);
}

const struct artifact_module *artifact_find(const struct artifact *a, const char *name)
{
	size_t i;

	for (i = 0; i < a->modules_n; i++) {
		const char *x = a->modules[i].name, *y = name;

		while (*x && (*x == *y || (*x == '_' && *y == '-') ||
				     (*x == '-' && *y == '_'))) {
			x++;
			y++;
		}
		if (!*x && !*y)
			return &a->modules[i];
	}
	return NULL;
}

/* The manifest alone. -EBADMSG when it does not hold what its folder says. */
static int read_manifest(
	const char *dir, const char *key, struct artifact *ret, struct err *e)
{
	CLEANUP(freep) char *text = NULL;
	char path[PATH_MAX];
	size_t len;
	int r = path_join(path, sizeof(path), dir, "manifest.json", NULL);

	if (r == 0)
		r = file_read(path, STORE_MANIFEST_MAX, &text, &len, e);
	if (r == -ENOMEM || r == -EACCES || r == -EIO)
		return r;
	if (r < 0)
		return err_set(e, -EBADMSG, "no manifest in '%s'", dir);
	r = manifest_parse(text, len, ret, e);
	if (r < 0)
		return r;
	if (!streq(ret->key, key))
		r = err_set(e, -EBADMSG, "the manifest in '%s' is of another key", dir);
	else if (!(ret->dir = strdup(dir)))
		r = err_errno(e, -ENOMEM, "store");
	if (r < 0)
		artifact_done(ret);
	return r;
}

static int check_module(const char *dir, const struct artifact_module *m, struct err *e)
{
	char path[PATH_MAX], hex[DIGEST_HEX + 1];
	struct stat st;
	int r = path_join(path, sizeof(path), dir, m->file, NULL);

	if (r < 0)
		return r;
	if (lstat(path, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(e, -EBADMSG, "'%s' is missing", path);
	if (st.st_size != m->size)
		return err_set(e, -EBADMSG, "'%s' holds %lld bytes, not %lld", path,
			(long long)st.st_size, (long long)m->size);
	r = digest_file(path, hex, e);
	if (r < 0)
		return r == -EIO ? err_set(e, -EBADMSG, "'%s' cannot be read", path) : r;
	return streq(hex, m->sha256)
		       ? 0
		       : err_set(e, -EBADMSG, "'%s' does not have its digest", path);
}

/* Out of the way and kept for a look; the name is free again at once. */
static void quarantine(const char *state, const char *dir, const char *key)
{
	char to[PATH_MAX];
	unsigned i;

	if (path_join(to, sizeof(to), state, "quarantine", NULL) < 0 ||
		dir_make(to, 0700, NULL) < 0)
		return;
	for (i = 0; i < QUARANTINE_TRIES; i++) {
		(void)snprintf(to, sizeof(to), "%s/quarantine/%s-%u", state, key, i);
		if (renameat2(AT_FDCWD, dir, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
			return;
		if (errno != EEXIST && errno != ENOTEMPTY)
			break;
	}
	/* So many times damaged: what is kept already is enough. */
	drop(dir);
}

int store_get(const char *state, const char *key, struct artifact *ret, struct err *e)
{
	char store[PATH_MAX], dir[PATH_MAX];
	struct artifact a = { 0 };
	struct stat st;
	size_t i;
	int r;

	if (!key_is_valid(key))
		return err_set(e, -EINVAL, "store: '%.80s' is no key", key);
	r = path_join(store, sizeof(store), state, "store", NULL);
	if (r == 0)
		r = store_key_path(dir, sizeof(dir), store, key);
	if (r < 0)
		return err_errno(e, r, "store");
	if (lstat(dir, &st) < 0)
		return err_set(e, -errno, "artifact '%.12s' is not in the store", key);
	r = read_manifest(dir, key, &a, e);
	for (i = 0; r == 0 && i < a.modules_n; i++)
		r = check_module(dir, &a.modules[i], e);
	if (r == 0) {
		*ret = a;
		return 0;
	}
	artifact_done(&a);
	if (r != -EBADMSG)
		return err_wrap(e, r, "store");
	quarantine(state, dir, key);
	if (e)
		e->reason = REASON_ARTIFACT_CORRUPT;
	return err_wrap(e, r, "artifact '%.12s'", key);
}

bool store_has(const char *state, const char *key)
{
	char store[PATH_MAX], dir[PATH_MAX];

	return key_is_valid(key) &&
	       path_join(store, sizeof(store), state, "store", NULL) == 0 &&
	       store_key_path(dir, sizeof(dir), store, key) == 0 && file_exists(dir);
}

/* ---- all of it ---- */

/* Calls @fn with the folder and name of every artifact, and of every temporary folder. */
struct each {
	char dir[PATH_MAX];
	int (*fn)(const char *dir, const char *name, void *user);
	void *user;
	bool is_inner;
};

static int each_entry(const char *name, void *user)
{
	struct each *x = user;
	struct each inner = { .fn = x->fn, .user = x->user, .is_inner = true };
	char path[PATH_MAX];

	if (path_join(path, sizeof(path), x->dir, name, NULL) < 0)
		return 0;
	if (x->is_inner ? key_is_valid(name) : str_starts(name, STORE_TMP_PREFIX))
		return x->fn(path, name, x->user);
	if (x->is_inner || strlen(name) != 2)
		return 0;
	memcpy(inner.dir, path, sizeof(path));
	return dir_each(path, each_entry, &inner, NULL);
}

static int each(const char *state, int (*fn)(const char *, const char *, void *),
	void *user, struct err *e)
{
	struct each x = { .fn = fn, .user = user };
	int r = path_join(x.dir, sizeof(x.dir), state, "store", NULL);

	if (r == 0 && !file_exists(x.dir))
		return 0;
	return r < 0 ? err_errno(e, r, "store") : dir_each(x.dir, each_entry, &x, e);
}

struct listing {
	struct artifact *items;
	size_t n, cap;
};

static int list_one(const char *dir, const char *name, void *user)
{
	struct listing *l = user;

	if (str_starts(name, STORE_TMP_PREFIX))
		return 0;
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 16;
		struct artifact *p = reallocarray(l->items, cap, sizeof(*p));

		if (!p)
			return -ENOMEM;
		l->items = p;
		l->cap = cap;
	}
	l->items[l->n] = (struct artifact){ 0 };
	if (read_manifest(dir, name, &l->items[l->n], NULL) == 0)
		l->n++;
	return 0;
}

int store_list(const char *state, struct artifact **ret, size_t *ret_n, struct err *e)
{
	struct listing l = { 0 };
	int r = each(state, list_one, &l, e);

	if (r < 0) {
		artifacts_free(l.items, l.n);
		return r == -ENOMEM ? err_errno(e, r, "store") : r;
	}
	*ret = l.items;
	*ret_n = l.n;
	return 0;
}

struct gc {
	const char *const *keep;
	size_t keep_n, removed;
	bool is_sweep; /* only what is temporary */
	char store[PATH_MAX];
	struct err *e;
};

/* A temporary folder whose lock nobody holds has no writer any more. */
static bool is_orphan(const char *dir)
{
	CLEANUP(closep) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0;
}

/* Under a temporary name first: half an artifact must never lie under its key. */
static int gc_artifact(const char *store, const char *dir, const char *key, struct err *e)
{
	char tmp[PATH_MAX];
	int n = snprintf(tmp, sizeof(tmp), "%s/" STORE_TMP_PREFIX "%s", store, key);

	if (n < 0 || n >= PATH_MAX)
		return err_errno(e, -ENAMETOOLONG, "store");
	if (rename(dir, tmp) < 0)
		return err_errno(e, -errno, "rename '%s'", dir);
	return dir_remove(tmp, e);
}

static int gc_one(const char *dir, const char *name, void *user)
{
	struct gc *g = user;
	size_t i;
	int r;

	if (str_starts(name, STORE_TMP_PREFIX)) {
		if (!is_orphan(dir))
			return 0;
		r = dir_remove(dir, g->e);
	} else if (g->is_sweep) {
		return 0;
	} else {
		for (i = 0; i < g->keep_n; i++)
			if (streq(g->keep[i], name))
				return 0;
		r = gc_artifact(g->store, dir, name, g->e);
	}
	g->removed += r == 0;
	return r;
}

int store_gc(const char *state, const char *const *keep, size_t keep_n,
	size_t *ret_removed, struct err *e)
{
	struct gc g = { .keep = keep, .keep_n = keep_n, .e = e };
	int r = path_join(g.store, sizeof(g.store), state, "store", NULL);

	r = r < 0 ? err_errno(e, r, "store") : each(state, gc_one, &g, e);

	if (ret_removed)
		*ret_removed = g.removed;
	return r;
}

int store_sweep(const char *state, struct err *e)
{
	struct gc g = { .is_sweep = true, .e = e };

	return each(state, gc_one, &g, e);
}
