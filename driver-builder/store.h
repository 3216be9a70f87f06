// SPDX-License-Identifier: Apache-2.0
/*
 * Artifacts on disk: STATE/store/<kk>/<key>/{manifest.json,modules/<name>.ko,build.log.gz}.
 *
 * A folder under its key is complete or not there: everything is written into a temporary folder,
 * each file and folder is fsynced, and one rename makes it visible. So a power cut leaves the old
 * state, the new one, or a temporary folder that store_gc() takes away. Reading checks every digest.
 */
#pragma once

#include "digest.h"
#include "err.h"

enum { STORE_MODULES_MAX = 256, STORE_DEPENDS_MAX = 8, STORE_MANIFEST_MAX = 1 << 20 };

struct artifact_module {
	char name[64]; /* kernel's name, with '_' */
	char file[96]; /* "modules/edu.ko" */
	char sha256[DIGEST_HEX + 1];
	int64_t size;
	char vermagic[256], srcversion[64];
	int64_t symbols;
};

struct artifact {
	char key[DIGEST_HEX + 1];
	char driver[256], driver_version[128], kernel[65];
	char build_system[16], toolchain[256];
	char source_digest[DIGEST_HEX + 1], headers_digest[DIGEST_HEX + 1];
	char created_at[32];
	int64_t build_seconds;
	char package
		[128]; /* PACKAGE_NAME, when built by DKMS: what BUILD_DEPENDS[] names; "" */
	/* Artifacts of other drivers whose symbols its modules use. */
	char depends[STORE_DEPENDS_MAX][DIGEST_HEX + 1];
	size_t depends_n;
	/* For reuse.h; "" in artifacts that cannot be reused. */
	char recipe[DIGEST_HEX + 1], config_digest[DIGEST_HEX + 1];
	char reused_from[DIGEST_HEX +
			 1]; /* key of the artifact whose modules these are; "" */
	char signed_from[DIGEST_HEX +
			 1]; /* key of the artifact that was signed from outside; "" */
	bool is_compiled; /* by this node: not taken from a registry or another kernel's */
	struct artifact_module *modules;
	size_t modules_n;
	char *dir; /* absolute path of the artifact's folder; set by store_get/store_list */
};
void artifact_done(struct artifact *a);
/* The module called @name ('-' and '_' are equal), NULL. */
const struct artifact_module *artifact_find(const struct artifact *a, const char *name);

/* Starts a new artifact: makes and locks a temporary folder with modules/ in it. */
struct store_txn;
int store_begin(const char *state, struct store_txn **ret, struct err *e) _must_check_;
const char *store_txn_dir(const struct store_txn *t);
/* Copies @from to @file ("modules/edu.ko") below the temporary folder. */
int store_txn_add(struct store_txn *t, const char *from, const char *file, struct err *e)
	_must_check_;
/* Fills in each module's sha256 and size from the files, writes the manifest, makes it durable and
 * visible. An artifact that is there already under this key is kept and the new one dropped (0).
 * @t is gone either way. REASON_DISK_FULL. */
int store_commit(struct store_txn *t, struct artifact *a, struct err *e) _must_check_;
/* Removes the temporary folder. NULL is fine. */
void store_abort(struct store_txn *t);
DEFINE_CLEANUP(struct store_txn, store_abort)

/* Reads and checks: manifest, key, size and digest of every module. -ENOENT when absent (no reason);
 * REASON_ARTIFACT_CORRUPT (-EBADMSG) when damaged: then it has been moved to STATE/quarantine. */
int store_get(const char *state, const char *key, struct artifact *ret, struct err *e)
	_must_check_;
/* Only whether the folder is there; no digests. */
bool store_has(const char *state, const char *key);

/* Manifests of all artifacts, digests unchecked, sorted by key; damaged ones are left out. */
int store_list(const char *state, struct artifact **ret, size_t *ret_n, struct err *e)
	_must_check_;
void artifacts_free(struct artifact *a, size_t n);

/* Removes artifacts whose key is not in @keep, and temporary folders of writers that are gone.
 * *ret_removed may be NULL. */
int store_gc(const char *state, const char *const *keep, size_t keep_n,
	size_t *ret_removed, struct err *e) _must_check_;
/* Removes only temporary folders of writers that are gone. */
int store_sweep(const char *state, struct err *e) _must_check_;
