// SPDX-License-Identifier: Apache-2.0
/*
 * Artifacts that the fleet shares, as OCI artifacts in a registry: one for each key, a layer for each
 * file, under REGISTRY/<driver>, tagged with the start of the key so that people find them.
 *
 * The registry is only a place. Which manifest is taken is said by a digest that came through the API
 * server; what it names has to have its digests, the key has to be our own, and the modules are proved
 * against our kernel like those of our own builds before the store has them.
 *
 * Everything here waits: for workers and commands, with a loop of their own.
 */
#pragma once

#include "kernels.h"
#include "loop.h"
#include "oci.h"

#define REMOTE_ARTIFACT_TYPE "application/vnd.farrier.module.v1"
#define REMOTE_FILE_TYPE "application/vnd.farrier.module.file.v1"
#define REMOTE_NOTE_KEY "dev.farrier.key"
#define REMOTE_NOTE_KERNEL "dev.farrier.kernel"
#define REMOTE_NOTE_DRIVER "dev.farrier.driver"
#define REMOTE_NOTE_VERSION "dev.farrier.driver-version"
#define REMOTE_NOTE_CREATED "org.opencontainers.image.created"

enum { REMOTE_TAG_DIGITS = 16 };
#define REMOTE_FILE_MAX (512LL << 20)
#define REMOTE_BYTES_MAX (2LL << 30)

/* Where and as whom; strings are borrowed. */
struct remote {
	const char *
		registry; /* "host[:port]/prefix"; NULL: none, each node builds for itself */
	const char *auth_file, *ca_file; /* NULL: none, the system's */
};

/* "REGISTRY/<driver>" with neither tag nor digest. */
int remote_ref(const struct remote *r, const char *driver, struct oci_ref *ret,
	struct err *e) _must_check_;

struct remote_want {
	const char *root, *state;
	const char *driver;
	const struct kernel *kernel;
	const char *key; /* our own */
	const char *digest; /* of the manifest, from the API server */
	const char *
		unsigned_digest; /* that builders agreed on (unsigned.h); NULL: one was enough */
	bool is_unsigned_fine; /* they are signed later, here */
	/* Our own (reuse.h): what a manifest says of them is not believed. NULL: left alone. */
	const char *recipe, *config_digest;
};
/* Puts the artifact into the store, proved; it is there under its key then. What was received of it
 * stays in STATE/pull until it is whole, so that a second try goes on. -EBADMSG when it is not what it
 * should be (REASON_ARTIFACT_NOT_AGREED: not what the builders agreed on), verify's reasons, otherwise
 * as oci_get_blob(). */
int remote_pull(struct loop *l, const struct remote *r, const struct remote_want *w,
	struct err *e) _must_check_;

/* The source in the image @image ("…@sha256:…"): an image manifest with one layer, a tar archive. It is
 * kept in STATE/images/<digest>, so that the next kernel needs no network any more; the REMOTE_IMAGES_MAX
 * used last are. @ret_path tells where the archive is; its digest has been checked. Of @r only
 * credentials and CA are used. REASON_SOURCE_UNAVAILABLE, _SOURCE_DIGEST_MISMATCH, _SOURCE_INVALID. */
enum { REMOTE_IMAGES_MAX = 16 };
int remote_source(struct loop *l, const struct remote *r, const char *state,
	const char *image, char ret_path[4096], struct err *e) _must_check_;
