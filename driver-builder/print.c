// SPDX-License-Identifier: Apache-2.0
/* Cheap fingerprints out of stat(), so that looking at a large source every half minute costs nothing. */
#include "print.h"

#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "build.h"
#include "file.h"
#include "json.h"

enum { PRINT_DEPTH_MAX = 32, PRINT_FILES_MAX = 200000, SPEC_MAX = 1 << 20 };

struct walk {
	struct digest *d;
	const char *folder;
	int depth;
	size_t *files;
};

static int add_stat(struct digest *d, const char *name, const struct stat *st)
{
	char text[128];

	(void)snprintf(text, sizeof(text), "%o %lld %lld.%09ld", st->st_mode,
		S_ISDIR(st->st_mode) ? 0LL : (long long)st->st_size,
		S_ISDIR(st->st_mode) ? 0LL : (long long)st->st_mtim.tv_sec,
		S_ISDIR(st->st_mode) ? 0L : st->st_mtim.tv_nsec);
	return digest_add_str(d, name) < 0 || digest_add_str(d, text) < 0 ? -ENOMEM : 0;
}

static int visit(const char *name, void *user)
{
	struct walk *w = user;
	char path[PATH_MAX];
	struct stat st;
	int r;

	if (++*w->files > PRINT_FILES_MAX || w->depth > PRINT_DEPTH_MAX)
		return -E2BIG;
	if (path_join(path, sizeof(path), w->folder, name, NULL) < 0 ||
		lstat(path, &st) < 0)
		return 0;
	r = add_stat(w->d, name, &st);
	if (r == 0 && S_ISDIR(st.st_mode)) {
		struct walk below = { w->d, path, w->depth + 1, w->files };

		r = dir_each(path, visit, &below, NULL);
	}
	return r == 0 ? digest_add_str(w->d, "") : r;
}

static int print_source(
	const char *root, const struct api_source *s, char ret[DIGEST_HEX + 1])
{
	CLEANUP(digest_freep) struct digest *d = NULL;
	CLEANUP(freep) char *real = NULL;
	struct walk w = { .depth = 0 };
	size_t files = 0;
	struct stat st;
	int r;

	/* What lies in the spec itself is part of its own print. */
	if (s->type != API_SOURCE_HOST || !s->host.path)
		return 0;
	if (root_resolve(root, s->host.path, &real, NULL) < 0)
		return 0;
	r = digest_new(&d);
	if (r < 0)
		return r;
	w = (struct walk){ d, real, 0, &files };
	if (stat(real, &st) == 0 && S_ISREG(st.st_mode))
		r = add_stat(d, "", &st); /* an archive */
	else
		r = dir_each(real, visit, &w, NULL);
	if (r == -ENOMEM)
		return r;
	return r == 0 ? digest_hex(d, ret) : 0;
}

static int print_headers(const struct kernel *k, char ret[DIGEST_HEX + 1])
{
	static const char *const files[] = { "Module.symvers", ".config" };
	CLEANUP(digest_freep) struct digest *d = NULL;
	char path[PATH_MAX];
	struct stat st;
	int r;

	if (!k->headers || k->install != KERNEL_COMPLETE)
		return 0;
	r = digest_new(&d);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(files); i++)
		if (path_join(path, sizeof(path), k->headers, files[i], NULL) == 0 &&
			stat(path, &st) == 0)
			r = add_stat(d, files[i], &st);
	return r == 0 ? digest_hex(d, ret) : r;
}

/* Members of the spec that change nothing about what is built. */
static const char *const not_built[] = { "nodeSelector", "devices", "firmware",
	"onUnbuildable", "deletionPolicy", "paused", "upgradePolicy" };

/* The certificate's content: a mounted Secret is written anew when it did not change. None is a state too, which
 * ends when it comes. */
static int add_signer(const struct api_driver_spec *spec, struct buf *b)
{
	char path[PATH_MAX], hex[DIGEST_HEX + 1];

	if (spec->signing.mode != API_SIGNING_SECRET ||
		build_sign_path(NULL, spec->signing.secret_ref, "tls.crt", path) < 0 ||
		digest_file(path, hex, NULL) < 0)
		return 0;
	return buf_add(b, hex, strlen(hex));
}

static int print_spec(const struct api_driver_spec *spec, char ret[DIGEST_HEX + 1])
{
	CLEANUP(json_freep) struct json *j = field_print(api_driver_spec_fields, spec);
	struct buf b CLEANUP(buf_done);
	int r = 0;

	buf_init(&b, SPEC_MAX);
	if (!j)
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(not_built); i++)
		(void)json_del(j, not_built[i]);
	r = json_print(j, false, &b);
	if (r == 0)
		r = add_signer(spec, &b);
	return r == 0 ? digest_bytes(b.data, b.len, ret, NULL) : r;
}

int print_make(const char *root, const struct api_driver_spec *spec,
	const struct kernel *k, struct print *ret)
{
	struct print p;
	int r;

	memset(&p, 0, sizeof(p));
	r = print_spec(spec, p.spec);
	if (r == 0)
		r = print_source(root, &spec->source, p.source);
	if (r == 0)
		r = print_headers(k, p.headers);
	if (r == 0)
		*ret = p;
	return r;
}
