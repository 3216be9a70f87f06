// SPDX-License-Identifier: Apache-2.0
/* Takes an artifact from the registry: by digest, proved, into the store. */
#include "remote.h"

#include <limits.h>
#include <stdio.h>

#include "file.h"
#include "key.h"
#include "store.h"
#include "store_manifest.h"
#include "unsigned.h"
#include "verify.h"

#define LOG_FILE "build.log.gz"

int remote_ref(
	const struct remote *r, const char *driver, struct oci_ref *ret, struct err *e)
{
	char text[1024];

	if (snprintf(text, sizeof(text), "%s/%s", r->registry, driver) >=
		(int)sizeof(text))
		return err_set(e, -EINVAL, "the registry's name is too long");
	return oci_ref_parse(text, ret, e);
}

/* One artifact on its way. */
struct pull {
	const struct remote_want *w;
	struct oci *oci;
	struct oci_ref ref;
	struct oci_manifest manifest;
	struct artifact artifact;
	char dir[PATH_MAX]; /* STATE/pull/<digest> */
	struct err *e;
};

static int bad(struct pull *p, const char *what)
{
	return err_reason(p->e, -EBADMSG, REASON_ARTIFACT_CORRUPT,
		"artifact %.19s of '%s': %s", p->w->digest, p->ref.host, what);
}

static const struct oci_blob *find_layer(const struct oci_manifest *m, const char *title)
{
	for (size_t i = 0; i < m->layers_n; i++)
		if (streq(m->layers[i].title, title))
			return &m->layers[i];
	return NULL;
}

/* ---- receiving ---- */

/* Artifacts that were once begun and are not wanted any more. */
static int drop_other(const char *name, void *user)
{
	struct pull *p = user;
	char path[PATH_MAX];
	const char *own = strrchr(p->dir, '/') + 1;

	if (streq(name, own) ||
		path_join(path, sizeof(path), p->w->state, "pull", name, NULL) < 0)
		return 0;
	return dir_remove(path, p->e);
}

static int make_folder(struct pull *p)
{
	char path[PATH_MAX];
	int r = path_join(path, sizeof(path), p->w->state, "pull", NULL);

	if (r == 0)
		r = path_join(p->dir, sizeof(p->dir), path,
			p->w->digest + strlen("sha256:"), NULL);
	if (r < 0)
		return err_errno(p->e, r, "pull");
	r = dir_make(path, 0700, p->e);
	if (r == 0)
		r = dir_each(path, drop_other, p, p->e);
	if (r == 0)
		r = path_join(path, sizeof(path), p->dir, "modules", NULL);
	return r == 0 ? dir_make(path, 0700, p->e) : r;
}

/* What is there was whole and had its digest when it got its name; the store digests it again. */
static int receive(struct pull *p, const struct oci_blob *b, const char *file)
{
	char path[PATH_MAX];
	int r = path_join(path, sizeof(path), p->dir, file, NULL);

	if (r < 0)
		return err_errno(p->e, r, "pull");
	return file_exists(path) ? 0 : oci_get_blob(p->oci, &p->ref, b, path, p->e);
}

static int receive_manifest(struct pull *p)
{
	CLEANUP(freep) char *text = NULL;
	const struct oci_blob *b;
	char path[PATH_MAX];
	const char *key;
	size_t len;
	int r = oci_get_manifest(p->oci, &p->ref, &p->manifest, p->e);

	if (r < 0)
		return r;
	key = oci_manifest_note(&p->manifest, REMOTE_NOTE_KEY);
	if (!streq(p->manifest.artifact_type, REMOTE_ARTIFACT_TYPE) || !key ||
		!streq(key, p->w->key))
		return bad(p, "it is of another key");
	b = find_layer(&p->manifest, "manifest.json");
	if (!b || b->size > STORE_MANIFEST_MAX)
		return bad(p, "it has no manifest");
	r = receive(p, b, "manifest.json");
	if (r == 0)
		r = path_join(path, sizeof(path), p->dir, "manifest.json", NULL);
	if (r == 0)
		r = file_read(path, STORE_MANIFEST_MAX, &text, &len, p->e);
	if (r == 0)
		r = manifest_parse(text, len, &p->artifact, p->e);
	if (r < 0)
		return r;
	if (!streq(p->artifact.key, p->w->key) ||
		!streq(p->artifact.kernel, p->w->kernel->release) ||
		p->artifact.modules_n == 0)
		return bad(p, "its manifest is of something else");
	return 0;
}

static int receive_modules(struct pull *p)
{
	const struct oci_blob *log = find_layer(&p->manifest, LOG_FILE);
	int64_t total = 0;

	for (size_t i = 0; i < p->artifact.modules_n; i++) {
		const struct artifact_module *m = &p->artifact.modules[i];
		const struct oci_blob *b = find_layer(&p->manifest, m->file);
		int r;

		if (!b || !streq(b->digest + strlen("sha256:"), m->sha256) ||
			b->size != m->size)
			return bad(p, "its files are not those of its manifest");
		total += b->size > REMOTE_FILE_MAX ? REMOTE_BYTES_MAX : b->size;
		if (total > REMOTE_BYTES_MAX)
			return bad(p, "it is too large");
		r = receive(p, b, m->file);
		if (r < 0)
			return r;
	}
	/* Only for people to read. */
	if (log && log->size <= STORE_MANIFEST_MAX && receive(p, log, LOG_FILE) < 0)
		err_clear(p->e);
	return 0;
}

/* ---- proving and keeping ---- */

/* As our own builds are proved; what the manifest says about the modules does not count. */
static int prove(struct pull *p)
{
	CLEANUP(verify_kernel_freep) struct verify_kernel *v = NULL;
	struct artifact *a = &p->artifact;
	CLEANUP(freep)
	struct verify_report *reports = calloc(a->modules_n, sizeof(*reports));
	CLEANUP(freep) const char **paths = calloc(a->modules_n, sizeof(*paths));
	CLEANUP(freep) char *names = calloc(a->modules_n, PATH_MAX);
	int r = reports && paths && names ? 0 : err_errno(p->e, -ENOMEM, "verify");

	for (size_t i = 0; r == 0 && i < a->modules_n; i++) {
		paths[i] = names + i * PATH_MAX;
		r = path_join(
			names + i * PATH_MAX, PATH_MAX, p->dir, a->modules[i].file, NULL);
	}
	if (r == 0)
		r = verify_kernel_open(p->w->kernel, p->w->root, &v, p->e);
	if (r == 0 && p->w->is_unsigned_fine)
		verify_kernel_allow_unsigned(v);
	if (r == 0)
		r = verify_files(v, paths, a->modules_n, reports, p->e);
	for (size_t i = 0; r == 0 && i < a->modules_n; i++) {
		struct artifact_module *m = &a->modules[i];

		if (!streq(m->name, reports[i].name))
			return bad(p, "a module has another name than its manifest says");
		(void)snprintf(
			m->vermagic, sizeof(m->vermagic), "%s", reports[i].vermagic);
		(void)snprintf(m->srcversion, sizeof(m->srcversion), "%s",
			reports[i].srcversion);
		m->symbols = (int64_t)reports[i].symbols;
	}
	return r;
}

/* What stays is taken away by the next pull. */
static void drop(struct pull *p)
{
	int r = dir_remove(p->dir, NULL);

	(void)r;
}

static int add_file(struct pull *p, struct store_txn *t, const char *file)
{
	char path[PATH_MAX];
	int r = path_join(path, sizeof(path), p->dir, file, NULL);

	return r < 0 ? err_errno(p->e, r, "pull") : store_txn_add(t, path, file, p->e);
}

/* Of the bytes that the store will have, not of those that were received. */
static int check_agreed(struct pull *p, const char *dir)
{
	char hex[DIGEST_HEX + 1];
	int r;

	if (!p->w->unsigned_digest)
		return 0;
	r = unsigned_digest(&p->artifact, dir, hex, p->e);
	if (r < 0 && r != -ENOEXEC)
		return r;
	if (r == 0 && streq(hex, p->w->unsigned_digest))
		return 0;
	return err_reason(p->e, -EBADMSG, REASON_ARTIFACT_NOT_AGREED,
		"artifact %.19s of '%s' is not what the builders agreed on: %.12s, not %.12s",
		p->w->digest, p->ref.host, r == 0 ? hex : "damaged",
		p->w->unsigned_digest);
}

/* What the publisher says of itself and of its store is not so of ours. */
static void own(struct pull *p)
{
	struct artifact *a = &p->artifact;

	a->is_compiled = false;
	a->signed_from[0] = '\0';
	if (p->w->recipe)
		(void)snprintf(a->recipe, sizeof(a->recipe), "%s", p->w->recipe);
	if (p->w->config_digest)
		(void)snprintf(a->config_digest, sizeof(a->config_digest), "%s",
			p->w->config_digest);
}

static int keep(struct pull *p)
{
	CLEANUP(store_abortp) struct store_txn *t = NULL;
	struct artifact *a = &p->artifact;
	char path[PATH_MAX], sha256[DIGEST_HEX + 1];
	int r = store_begin(p->w->state, &t, p->e);

	for (size_t i = 0; r == 0 && i < a->modules_n; i++) {
		r = add_file(p, t, a->modules[i].file);
		/* What is stored is what was named, whatever lay in our folder. */
		if (r == 0)
			r = path_join(path, sizeof(path), store_txn_dir(t),
				a->modules[i].file, NULL);
		if (r == 0)
			r = digest_file(path, sha256, p->e);
		if (r == 0 && !streq(sha256, a->modules[i].sha256)) {
			drop(p);
			return bad(p, "a file does not have its digest");
		}
	}
	if (r == 0)
		r = check_agreed(p, store_txn_dir(t));
	if (r == 0)
		r = path_join(path, sizeof(path), p->dir, LOG_FILE, NULL);
	if (r == 0 && file_exists(path))
		r = add_file(p, t, LOG_FILE);
	own(p);
	return r < 0 ? r : store_commit(TAKE(t), a, p->e);
}

static int pull(struct pull *p)
{
	int r = make_folder(p);

	if (r == 0)
		r = receive_manifest(p);
	if (r == 0)
		r = receive_modules(p);
	if (r == 0)
		r = prove(p);
	if (r == 0)
		r = keep(p);
	/* Whole, or not worth keeping: only what was cut off may go on. */
	if (r == 0 || r == -EBADMSG)
		drop(p);
	return r;
}

int remote_pull(struct loop *l, const struct remote *r, const struct remote_want *w,
	struct err *e)
{
	const struct oci_options o = { .auth_file = r->auth_file, .ca_file = r->ca_file };
	CLEANUP(oci_freep) struct oci *oci = NULL;
	struct err none = { 0 };
	CLEANUP(freep) struct pull *p = calloc(1, sizeof(*p));
	int result;

	if (!p)
		return err_errno(e, -ENOMEM, "pull");
	if (!oci_digest_is_valid(w->digest) || !key_is_valid(w->key))
		return err_set(e, -EINVAL, "pull: bad key or digest");
	p->w = w;
	p->e = e ? e : &none;
	result = remote_ref(r, w->driver, &p->ref, p->e);
	if (result == 0)
		result = oci_new(l, &o, &oci, p->e);
	if (result < 0)
		return result;
	p->oci = oci;
	memcpy(p->ref.digest, w->digest, sizeof(p->ref.digest));
	result = pull(p);
	oci_manifest_done(&p->manifest);
	artifact_done(&p->artifact);
	return result;
}
