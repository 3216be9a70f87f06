// SPDX-License-Identifier: Apache-2.0
/* Which signatures from outside are there, and which are waited for. */
#include "external.h"

#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "boot.h"
#include "external_inside.h"
#include "file.h"
#include "signature.h"

enum { NAMED_MAX = 16 };

static const char format_tag[] = "farrier-signed-1";

/* ---- the files ---- */

static int is_file(const char *path, struct stat *st)
{
	if (stat(path, st) < 0)
		return -errno;
	return S_ISREG(st->st_mode) ? 0 : -ENOENT;
}

int external_path(const char *root, const char *sha256, char ret[PATH_MAX])
{
	CLEANUP(freep) char *real = NULL;
	char name[sizeof(EXTERNAL_FOLDER) + DIGEST_HEX + 8];
	struct stat st;
	int r;

	(void)snprintf(name, sizeof(name), "%s/%s.p7s", EXTERNAL_FOLDER, sha256);
	if (root_resolve(root, name, &real, NULL) == 0 && is_file(real, &st) == 0)
		return path_join(ret, PATH_MAX, real, NULL);
	/* Our own, where it is another than the host's. */
	r = is_file(name, &st);
	return r < 0 ? r : path_join(ret, PATH_MAX, name, NULL);
}

int external_key_make(const struct artifact *a, const char (*signatures)[DIGEST_HEX + 1],
	char ret[DIGEST_HEX + 1])
{
	CLEANUP(digest_freep) struct digest *d = NULL;
	int r = digest_new(&d);

	if (r == 0)
		r = digest_add_str(d, format_tag);
	if (r == 0)
		r = digest_add_str(d, a->key);
	for (size_t i = 0; r == 0 && i < a->modules_n; i++) {
		r = digest_add_str(d, a->modules[i].file);
		if (r == 0)
			r = digest_add_str(d, signatures[i]);
	}
	return r == 0 ? digest_hex(d, ret) : r;
}

/* What cannot be a signature counts as one: whoever signs with it says what is wrong. */
static int digest_of(const char *path, struct map *digests, char ret[DIGEST_HEX + 1])
{
	struct stat st;
	int r = is_file(path, &st);

	if (r == 0 && st.st_size > SIGNATURE_BYTES_MAX)
		r = -EFBIG;
	if (r == 0)
		r = boot_digest(digests, path, ret);
	if (r == 0 || r == -ENOMEM || r == -ENOENT)
		return r;
	(void)snprintf(ret, DIGEST_HEX + 1, "error %d", -r);
	return 0;
}

int external_key(const char *root, const struct artifact *a, struct map *digests,
	char ret[DIGEST_HEX + 1])
{
	char(*all)[DIGEST_HEX + 1] = calloc(a->modules_n + 1, sizeof(*all));
	char path[PATH_MAX];
	int r = all ? 0 : -ENOMEM;

	ret[0] = '\0';
	for (size_t i = 0; r == 0 && i < a->modules_n; i++) {
		r = external_path(root, a->modules[i].sha256, path);
		if (r == 0)
			r = digest_of(path, digests, all[i]);
	}
	if (r == 0 && a->modules_n > 0)
		r = external_key_make(a, (const char(*)[DIGEST_HEX + 1]) all, ret);
	free(all);
	return r == -ENOMEM ? r : 0;
}

/* ---- for people ---- */

static const char *base_name(const char *file)
{
	const char *slash = strrchr(file, '/');

	return slash ? slash + 1 : file;
}

const char *external_wanted(
	struct arena *arena, const char *root, const struct artifact *a)
{
	const char *text = "";
	size_t n = 0;

	for (size_t i = 0; text && i < a->modules_n; i++) {
		const struct artifact_module *m = &a->modules[i];
		char path[PATH_MAX];

		if (external_path(root, m->sha256, path) == 0 || ++n > NAMED_MAX)
			continue;
		text = arena_fmt(arena, "%s%s%s %s", text, *text ? ", " : "",
			base_name(m->file), m->sha256);
	}
	if (text && n > NAMED_MAX)
		text = arena_fmt(arena, "%s and %zu more (manifest.json has all)", text,
			n - NAMED_MAX);
	if (!text || n == 0)
		return text ? "its signatures are there and not yet checked" : NULL;
	return arena_fmt(arena,
		"built, waits for %zu of %zu signatures from outside: %s; the files lie in "
		"'%s/modules', each signature goes to " EXTERNAL_FOLDER "/<SHA-256>.p7s",
		n, a->modules_n, text, a->dir);
}

/* ---- the store ---- */

int external_find(const char *state, const char *unsigned_key, char ret[DIGEST_HEX + 1],
	struct err *e)
{
	const struct artifact *best = NULL;
	struct artifact *all = NULL;
	size_t n = 0;
	int r = store_list(state, &all, &n, e);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		/* Times are written so that their order is that of their letters. */
		if (streq(all[i].signed_from, unsigned_key) &&
			(!best || strcmp(all[i].created_at, best->created_at) > 0))
			best = &all[i];
	if (best)
		memcpy(ret, best->key, DIGEST_HEX + 1);
	artifacts_free(all, n);
	return best ? 0 : -ENOENT;
}
