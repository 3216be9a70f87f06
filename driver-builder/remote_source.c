// SPDX-License-Identifier: Apache-2.0
/* Sources in registries: an image with one layer, kept on the disk with its manifest, by digest. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "file.h"
#include "remote.h"

#define MANIFEST_FILE "manifest.json"
#define LAYER_FILE "source"

struct image {
	const char *state;
	struct oci_ref ref;
	char dir[PATH_MAX]; /* STATE/images/<digest> */
	char layer[PATH_MAX];
	struct err *e;
};

static int because(struct err *e, int r)
{
	if (!e || e->reason != REASON_NONE)
		return r;
	e->reason = r == -ENOSPC || r == -EDQUOT ? REASON_DISK_FULL
		    : r == -EBADMSG		 ? REASON_SOURCE_DIGEST_MISMATCH
						 : REASON_SOURCE_UNAVAILABLE;
	return r;
}

/* The one layer of @m. */
static int layer_of(struct image *x, const struct oci_manifest *m, struct oci_blob *ret)
{
	if (!streq(m->digest, x->ref.digest))
		return err_reason(x->e, -EINVAL, REASON_SOURCE_INVALID,
			"the digest is that of an index; that of the manifest in it is %s",
			m->digest);
	if (m->layers_n != 1)
		return err_reason(x->e, -EINVAL, REASON_SOURCE_INVALID,
			"the image has %zu layers; a source has one, a tar archive",
			m->layers_n);
	if (m->layers[0].size > REMOTE_BYTES_MAX)
		return err_reason(x->e, -EFBIG, REASON_SOURCE_INVALID,
			"the image's layer is larger than %lld bytes", REMOTE_BYTES_MAX);
	*ret = m->layers[0];
	return 0;
}

/* ---- what is on the disk ---- */

static int set_paths(struct image *x)
{
	char path[PATH_MAX];
	int r = path_join(path, sizeof(path), x->state, "images", NULL);

	if (r == 0)
		r = path_join(x->dir, sizeof(x->dir), path,
			x->ref.digest + strlen("sha256:"), NULL);
	if (r == 0)
		r = path_join(x->layer, sizeof(x->layer), x->dir, LAYER_FILE, NULL);
	return r < 0 ? err_errno(x->e, r, "images") : 0;
}

/* The manifest as it was kept; any doubt and it is fetched again. */
static int read_kept(struct image *x, struct oci_manifest *ret)
{
	CLEANUP(freep) char *text = NULL;
	char path[PATH_MAX], hex[DIGEST_HEX + 1];
	size_t len;
	int r = path_join(path, sizeof(path), x->dir, MANIFEST_FILE, NULL);

	if (r == 0)
		r = file_read(path, OCI_MANIFEST_MAX, &text, &len, NULL);
	if (r == 0)
		r = digest_bytes(text, len, hex, NULL);
	if (r == 0 && !streq(hex, x->ref.digest + strlen("sha256:")))
		r = -EBADMSG;
	if (r == 0)
		r = oci_manifest_parse(text, len, ret, NULL);
	if (r == 0)
		memcpy(ret->digest, x->ref.digest, sizeof(ret->digest));
	return r;
}

/* True when the archive is there with its digest. What is damaged is taken away. */
static bool is_kept(struct image *x, const struct oci_blob *b)
{
	char hex[DIGEST_HEX + 1];

	if (!file_exists(x->layer))
		return false;
	if (digest_file(x->layer, hex, NULL) == 0 &&
		streq(hex, b->digest + strlen("sha256:")))
		return true;
	(void)unlink(x->layer);
	return false;
}

struct oldest {
	const char *dir;
	char name[NAME_MAX + 1];
	time_t used;
	size_t n;
};

static int look_at(const char *name, void *user)
{
	struct oldest *o = user;
	char path[PATH_MAX];
	struct stat st;

	if (strlen(name) != DIGEST_HEX ||
		path_join(path, sizeof(path), o->dir, name, NULL) < 0 ||
		stat(path, &st) < 0)
		return 0;
	o->n++;
	if (*o->name && st.st_mtime >= o->used)
		return 0;
	memcpy(o->name, name, strlen(name) + 1);
	o->used = st.st_mtime;
	return 0;
}

/* Makes room: the one used longest ago goes. */
static int drop_oldest(struct image *x)
{
	char dir[PATH_MAX], path[PATH_MAX];
	int r = path_join(dir, sizeof(dir), x->state, "images", NULL);

	while (r == 0) {
		struct oldest o = { .dir = dir };

		r = dir_each(dir, look_at, &o, x->e);
		if (r < 0 || o.n < REMOTE_IMAGES_MAX)
			return r;
		r = path_join(path, sizeof(path), dir, o.name, NULL);
		if (r == 0)
			r = dir_remove(path, x->e);
	}
	return r;
}

/* ---- fetching ---- */

static int fetch_manifest(struct image *x, struct oci *c, struct oci_manifest *ret)
{
	char path[PATH_MAX];
	int r = oci_get_manifest(c, &x->ref, ret, x->e);

	if (r < 0 || !streq(ret->digest, x->ref.digest))
		return r; /* an index is refused later */
	if (!file_exists(x->dir)) {
		r = path_join(path, sizeof(path), x->state, "images", NULL);
		if (r == 0)
			r = dir_make(path, 0700, x->e);
		if (r == 0)
			r = drop_oldest(x);
		if (r == 0)
			r = dir_make(x->dir, 0700, x->e);
	}
	if (r == 0)
		r = path_join(path, sizeof(path), x->dir, MANIFEST_FILE, NULL);
	if (r == 0)
		r = file_write_atomic(path, ret->text, strlen(ret->text), 0600, x->e);
	if (r < 0)
		oci_manifest_done(ret);
	return r;
}

static int fetch(struct image *x, struct loop *l, const struct remote *r,
	struct oci_manifest *m, bool has_manifest)
{
	const struct oci_options o = { .auth_file = r->auth_file, .ca_file = r->ca_file };
	CLEANUP(oci_freep) struct oci *c = NULL;
	struct oci_blob b;
	int result = oci_new(l, &o, &c, x->e);

	if (result == 0 && !has_manifest)
		result = fetch_manifest(x, c, m);
	if (result < 0)
		return result;
	result = layer_of(x, m, &b);
	return result < 0 ? result : oci_get_blob(c, &x->ref, &b, x->layer, x->e);
}

int remote_source(struct loop *l, const struct remote *r, const char *state,
	const char *image, char ret_path[4096], struct err *e)
{
	struct err none = { 0 };
	struct image x = { .state = state, .e = e ? e : &none };
	struct oci_manifest m = { 0 };
	struct oci_blob b;
	bool has_manifest, is_there = false;
	int result = oci_ref_parse(image, &x.ref, x.e);

	if (result == 0 && !*x.ref.digest)
		result = err_set(x.e, -EINVAL, "the image has no digest");
	if (result < 0) {
		x.e->reason = REASON_SOURCE_INVALID;
		return err_wrap(e, result, "source");
	}
	result = set_paths(&x);
	if (result < 0)
		return result;
	has_manifest = read_kept(&x, &m) == 0;
	if (has_manifest) {
		result = layer_of(&x, &m, &b);
		is_there = result == 0 && is_kept(&x, &b);
	}
	if (result == 0 && !is_there)
		result = fetch(&x, l, r, &m, has_manifest);
	oci_manifest_done(&m);
	if (result < 0)
		return err_wrap(e, because(x.e, result), "source '%.300s'", image);
	(void)utimensat(AT_FDCWD, x.dir, NULL, 0); /* used now */
	(void)snprintf(ret_path, 4096, "%s", x.layer);
	return 0;
}
