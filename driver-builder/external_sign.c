// SPDX-License-Identifier: Apache-2.0
/* Puts signatures from outside behind the modules of an artifact, proves them, stores them. */
#include <stdio.h>
#include <time.h>

#include "depends.h"
#include "elf.h"
#include "external_inside.h"
#include "file.h"
#include "signature.h"
#include "verify.h"

enum { ARENA_MAX = 16 << 20 };

/* One artifact that is being signed. */
struct job {
	const struct external_sign *q;
	struct arena *arena;
	struct artifact bare;
	struct store_txn *txn;
	char (*signatures)[DIGEST_HEX + 1]; /* their digests, of each module */
	const char **files; /* their paths */
	struct err *e;
};

static void job_done(struct job *j)
{
	store_abort(j->txn);
	artifact_done(&j->bare);
	free(j->signatures);
	free(j->files);
	arena_free(j->arena);
}

/* ---- one module ---- */

static int read_signature(
	struct job *j, size_t i, char **ret, size_t *ret_len, struct err *e)
{
	CLEANUP(signature_freep) struct signature *s = NULL;
	CLEANUP(freep) char *der = NULL;
	char path[PATH_MAX];
	size_t len;
	int r = external_path(j->q->root, j->bare.modules[i].sha256, path);

	/* Taken away since: whoever asked looks again. */
	if (r < 0)
		return err_set(e, -EAGAIN, "the signature of '%s' is not there any more",
			j->bare.modules[i].file);
	j->files[i] = arena_strdup(j->arena, path);
	if (!j->files[i])
		return err_errno(e, -ENOMEM, "sign");
	r = file_read(path, SIGNATURE_BYTES_MAX, &der, &len, e);
	if (r < 0)
		return err_reason(e, r, REASON_KEY_REJECTED,
			"the signature '%s' cannot be read: %s", path,
			r == -EFBIG ? "it is too large" : strerror(-r));
	r = signature_parse(der, len, &s, e);
	if (r < 0)
		return err_wrap(e, r, "'%s'", path);
	r = digest_bytes(der, len, j->signatures[i], e);
	if (r == 0 && (r = signature_trailer(der, len, ret, ret_len)) < 0)
		r = err_errno(e, r, "sign");
	return r;
}

static int write_module(struct job *j, const char *file, const void *data, size_t len,
	const void *trailer, size_t trailer_len)
{
	struct buf out CLEANUP(buf_done);
	char path[PATH_MAX];
	int r = path_join(path, sizeof(path), store_txn_dir(j->txn), file, NULL);

	buf_init(&out, (size_t)ELF_BYTES_MAX + 2 * SIGNATURE_BYTES_MAX);
	if (r == 0)
		r = buf_add(&out, data, len);
	if (r == 0)
		r = buf_add(&out, trailer, trailer_len);
	return r < 0 ? err_errno(j->e, r, "sign '%s'", file)
		     : file_write_atomic(path, out.data, out.len, 0644, j->e);
}

static int sign_module(struct job *j, size_t i)
{
	const struct artifact_module *m = &j->bare.modules[i];
	CLEANUP(freep) char *data = NULL, *trailer = NULL;
	struct elf_signature had;
	char path[PATH_MAX];
	size_t len = 0, n = 0, bare;
	int r = read_signature(j, i, &trailer, &n, j->e);

	if (r == 0)
		r = path_join(path, sizeof(path), j->bare.dir, m->file, NULL);
	if (r == 0)
		r = file_read(path, ELF_BYTES_MAX, &data, &len, j->e);
	if (r == 0)
		r = elf_split_signature(data, len, &bare, &had, j->e);
	if (r > 0)
		r = err_reason(j->e, -EEXIST, REASON_MODULE_INVALID,
			"'%s' has a signature already", m->file);
	return r == 0 ? write_module(j, m->file, data, len, trailer, n) : r;
}

/* ---- all of them ---- */

/* The refusal names a file of a temporary folder: the signature is what somebody can change. */
static int name_signature(struct job *j, const char *const *paths, int r)
{
	char text[ERR_TEXT_MAX];

	for (size_t i = 0; j->e && i < j->bare.modules_n; i++) {
		char *at = strstr(j->e->text, paths[i]);

		if (!at)
			continue;
		(void)snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - j->e->text),
			j->e->text, j->files[i], at + strlen(paths[i]));
		memcpy(j->e->text, text, sizeof(text));
		break;
	}
	return r;
}

static int prove(struct job *j)
{
	CLEANUP(verify_kernel_freep) struct verify_kernel *v = NULL;
	const size_t own = j->bare.modules_n;
	CLEANUP(freep)
	struct verify_report *reports = calloc(own + 1, sizeof(*reports));
	const char **paths = arena_array(j->arena, VERIFY_SIBLINGS_MAX, sizeof(*paths));
	char path[PATH_MAX];
	size_t n = own;
	int r = reports && paths ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < own; i++) {
		r = path_join(path, sizeof(path), store_txn_dir(j->txn),
			j->bare.modules[i].file, NULL);
		paths[i] = r == 0 ? arena_strdup(j->arena, path) : NULL;
		if (!paths[i])
			r = -ENOMEM;
	}
	if (r < 0)
		return err_errno(j->e, r, "verify");
	r = verify_kernel_open(j->q->kernel, j->q->root, &v, j->e);
	if (r < 0 && j->e && j->e->reason == REASON_HEADERS_MISSING) {
		/* Gone since: the unsigned bytes were proved when they were built, the kernel says
		 * the rest. */
		err_clear(j->e);
		return 0;
	}
	if (r == 0)
		r = depends_paths(j->q->state, &j->bare, j->arena, paths,
			VERIFY_SIBLINGS_MAX, &n, j->e);
	if (r == 0)
		r = verify_files_among(v, paths, own, n, reports, j->e);
	return r < 0 ? name_signature(j, paths, r) : 0;
}

/* As the unsigned one, but no other kernel's build may be made of it. */
static void describe(struct job *j)
{
	struct artifact *a = &j->bare;
	time_t now = time(NULL);
	struct tm tm;

	memcpy(a->signed_from, a->key, sizeof(a->signed_from));
	(void)snprintf(a->key, sizeof(a->key), "%s", j->q->key);
	a->recipe[0] = a->config_digest[0] = a->reused_from[0] = '\0';
	if (gmtime_r(&now, &tm))
		(void)strftime(
			a->created_at, sizeof(a->created_at), "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static int copy_log(struct job *j)
{
	char path[PATH_MAX];
	int r = path_join(path, sizeof(path), j->bare.dir, "build.log.gz", NULL);

	if (r < 0)
		return err_errno(j->e, r, "sign");
	return file_exists(path) ? store_txn_add(j->txn, path, "build.log.gz", j->e) : 0;
}

static int sign_all(struct job *j)
{
	char key[DIGEST_HEX + 1];
	int r = store_get(j->q->state, j->q->unsigned_key, &j->bare, j->e);

	if (r < 0)
		return r;
	if (j->bare.modules_n > VERIFY_SIBLINGS_MAX)
		return err_set(j->e, -E2BIG, "more than %d modules", VERIFY_SIBLINGS_MAX);
	j->signatures = calloc(j->bare.modules_n + 1, sizeof(*j->signatures));
	j->files = calloc(j->bare.modules_n + 1, sizeof(*j->files));
	j->arena = arena_new(ARENA_MAX);
	if (!j->signatures || !j->files || !j->arena)
		return err_errno(j->e, -ENOMEM, "sign");
	r = store_begin(j->q->state, &j->txn, j->e);
	for (size_t i = 0; r == 0 && i < j->bare.modules_n; i++)
		r = sign_module(j, i);
	if (r == 0)
		r = external_key_make(
			&j->bare, (const char(*)[DIGEST_HEX + 1]) j->signatures, key);
	if (r == 0 && !streq(key, j->q->key))
		r = err_set(j->e, -EAGAIN, "the signatures changed meanwhile");
	if (r == 0)
		r = prove(j);
	if (r == 0)
		r = copy_log(j);
	if (r < 0)
		return r;
	describe(j);
	return store_commit(TAKE(j->txn), &j->bare, j->e);
}

int external_sign(const struct external_sign *q, struct err *e)
{
	struct err none = { 0 };
	struct job j CLEANUP(job_done) = { .q = q, .e = e ? e : &none };
	int r = sign_all(&j);

	if (r == -ENOSPC)
		j.e->reason = REASON_DISK_FULL;
	return r < 0 ? err_wrap(j.e, r, "sign") : 0;
}
