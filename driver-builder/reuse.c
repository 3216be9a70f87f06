// SPDX-License-Identifier: Apache-2.0
/* Finds an artifact of another kernel that fits, proves it, and stores it under the new key. */
#include "reuse.h"

#include <limits.h>
#include <stdio.h>
#include <time.h>

#include "api.h"
#include "file.h"
#include "verify.h"

int reuse_recipe(const struct key_input *in, char ret[DIGEST_HEX + 1], struct err *e)
{
	struct key_input rest = *in;

	rest.release = rest.headers_digest = "";
	return key_make(&rest, ret, e);
}

int reuse_config(const char *config, char ret[DIGEST_HEX + 1], struct err *e)
{
	static const char *const names[] = {
		"CONFIG_BUILD_SALT=", "CONFIG_LOCALVERSION=", "CONFIG_VERSION_SIGNATURE="
	};
	CLEANUP(digest_freep) struct digest *d = NULL;
	const char *p;
	size_t i, len;
	int r = digest_new(&d);

	for (p = config; r == 0 && *p; p += len + (p[len] == '\n')) {
		bool is_name = false;

		len = strcspn(p, "\n");
		for (i = 0; i < ARRAY_SIZE(names); i++)
			is_name |= str_starts(p, names[i]);
		/* Comments say what is not set, and when the file was made. */
		if (str_starts(p, "CONFIG_") && !is_name)
			r = digest_add(d, p, len + (p[len] == '\n'));
	}
	if (r == 0)
		r = digest_hex(d, ret);
	return r < 0 ? err_errno(e, r, "configuration") : 0;
}

static bool has_modules(const struct artifact *a, const struct list *wanted)
{
	const struct api_module *m = wanted->items;
	size_t i;

	for (i = 0; i < wanted->n; i++)
		if (!artifact_find(a, m[i].name))
			return false;
	return a->modules_n > 0;
}

static bool is_candidate(const struct reuse_request *q, const struct artifact *a)
{
	return *a->recipe && streq(a->recipe, q->recipe) && *a->config_digest &&
	       streq(a->config_digest, q->config_digest) && streq(a->driver, q->driver) &&
	       !streq(a->kernel, q->kernel->release) && has_modules(a, q->modules);
}

/* ---- the proof ---- */

/* Would @v load every module of @a? Anything but a plain yes is a no. */
static bool is_proved(const struct verify_kernel *v, const struct artifact *a)
{
	CLEANUP(freep)
	struct verify_report *reports = calloc(a->modules_n, sizeof(*reports));
	char(*files)[PATH_MAX] = calloc(a->modules_n, sizeof(*files));
	const char **paths = calloc(a->modules_n, sizeof(*paths));
	bool is_good = reports && files && paths;
	size_t i;

	for (i = 0; is_good && i < a->modules_n; i++) {
		is_good = path_join(files[i], sizeof(files[i]), a->dir,
				  a->modules[i].file, NULL) == 0;
		paths[i] = files[i];
	}
	is_good = is_good && verify_files(v, paths, a->modules_n, reports, NULL) == 0;
	for (i = 0; is_good && i < a->modules_n; i++)
		is_good = reports[i].is_portable && reports[i].unproven_n == 0;
	free(paths);
	free(files);
	return is_good;
}

/* ---- keeping ---- */

static int copy_files(const struct artifact *a, struct store_txn *t, struct err *e)
{
	char path[PATH_MAX];
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < a->modules_n; i++) {
		r = path_join(path, sizeof(path), a->dir, a->modules[i].file, NULL);
		if (r == 0)
			r = store_txn_add(t, path, a->modules[i].file, e);
	}
	if (r == 0)
		r = path_join(path, sizeof(path), a->dir, "build.log.gz", NULL);
	if (r == 0 && file_exists(path))
		r = store_txn_add(t, path, "build.log.gz", e);
	return r;
}

static int keep(const struct reuse_request *q, struct artifact *a, struct err *e)
{
	CLEANUP(store_abortp) struct store_txn *t = NULL;
	time_t now = time(NULL);
	struct tm tm;
	int r = store_begin(q->state, &t, e);

	if (r == 0)
		r = copy_files(a, t, e);
	if (r < 0)
		return r;
	a->is_compiled = false;
	memcpy(a->reused_from, a->key, sizeof(a->reused_from));
	(void)snprintf(a->key, sizeof(a->key), "%s", q->key);
	(void)snprintf(a->kernel, sizeof(a->kernel), "%s", q->kernel->release);
	(void)snprintf(
		a->headers_digest, sizeof(a->headers_digest), "%s", q->headers_digest);
	(void)snprintf(
		a->driver_version, sizeof(a->driver_version), "%s", q->driver_version);
	if (gmtime_r(&now, &tm))
		(void)strftime(
			a->created_at, sizeof(a->created_at), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return store_commit(TAKE(t), a, e);
}

static int try_one(const struct reuse_request *q, const struct verify_kernel *v,
	const char *key, struct err *e)
{
	struct artifact a = { 0 };
	int r;

	/* A damaged one is in quarantine now, and is none. */
	if (store_get(q->state, key, &a, NULL) < 0)
		return 0;
	r = is_proved(v, &a) ? keep(q, &a, e) : -ENOEXEC;
	artifact_done(&a);
	if (r == -ENOEXEC)
		return 0;
	return r < 0 ? r : 1;
}

int reuse_try(const struct reuse_request *q, char ret_from[DIGEST_HEX + 1], struct err *e)
{
	CLEANUP(verify_kernel_freep) struct verify_kernel *v = NULL;
	struct artifact *all = NULL;
	size_t n = 0, i, tries = 0;
	int r;

	if (!*q->recipe || !*q->config_digest)
		return 0;
	r = store_list(q->state, &all, &n, e);
	if (r < 0)
		return r;
	for (i = 0; r == 0 && i < n && tries < REUSE_TRIES_MAX; i++) {
		if (!is_candidate(q, &all[i]))
			continue;
		tries++;
		/* Without the kernel's CRCs there is nothing to prove. */
		if (!v && verify_kernel_open(q->kernel, q->root, &v, NULL) < 0)
			break;
		if (q->is_unsigned_fine)
			verify_kernel_allow_unsigned(v);
		r = try_one(q, v, all[i].key, e);
		if (r == 1)
			memcpy(ret_from, all[i].key, DIGEST_HEX + 1);
	}
	artifacts_free(all, n);
	return r;
}
