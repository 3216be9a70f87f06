// SPDX-License-Identifier: Apache-2.0
/*
 * A client of OCI registries by the distribution API: references, manifests, blobs in and out.
 *
 * Nothing that a registry says is believed: what is asked for by digest has that digest, a blob has
 * the size and digest that its manifest gives it. Who calls must have the digest by another road.
 *
 * oci_get_*() and oci_put_*() wait, turning the loop that the client was made with: they are for
 * commands and workers, never for the loop of an agent. Lost connections and answers 429 and 5xx are
 * tried again, by Retry-After where it is given; a blob goes on where it was cut off.
 */
#pragma once

#include "buf.h"
#include "digest.h"
#include "loop.h"

enum {
	OCI_DIGEST_MAX = 7 + DIGEST_HEX, /* "sha256:" and the digits */
	OCI_MANIFEST_MAX = 4 << 20,
	OCI_LAYERS_MAX = 512,
	OCI_NOTES_MAX = 64,
};

#define OCI_TYPE_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define OCI_TYPE_INDEX "application/vnd.oci.image.index.v1+json"
#define OCI_TYPE_DOCKER "application/vnd.docker.distribution.manifest.v2+json"
#define OCI_TYPE_DOCKER_LIST "application/vnd.docker.distribution.manifest.list.v2+json"
#define OCI_TYPE_EMPTY "application/vnd.oci.empty.v1+json"
#define OCI_NOTE_TITLE "org.opencontainers.image.title"

/* "[http://|https://]host[:port]/repository[:tag][@sha256:…]". Plain HTTP only where the text asks
 * for it, or for loopback; HTTPS everywhere else. */
struct oci_ref {
	char host[256]; /* with port */
	char repo[256], tag[129];
	char digest[OCI_DIGEST_MAX + 1]; /* wins over the tag; "": none */
	bool is_plain;
};
/* The host must be there: no registry is meant when none is named. Without tag and digest both are
 * "". -EINVAL. */
int oci_ref_parse(const char *text, struct oci_ref *ret, struct err *e) _must_check_;
/* "sha256:" and 64 lower-case hex digits. */
bool oci_digest_is_valid(const char *s);

struct oci_blob {
	char digest[OCI_DIGEST_MAX + 1];
	int64_t size;
	char type[128]; /* media type */
	char title[256]; /* annotation: the file's name, "": none */
};
struct oci_note {
	char key[128], value[512];
};
struct oci_manifest {
	char digest[OCI_DIGEST_MAX + 1]; /* of the manifest itself, where it is known */
	char artifact_type[128];
	struct oci_blob config;
	struct oci_blob *layers;
	size_t layers_n;
	struct oci_note *notes; /* annotations */
	size_t notes_n;
	char *text; /* as it came, by oci_get_manifest(); NULL otherwise */
};
void oci_manifest_done(struct oci_manifest *m);
/* An image manifest, of OCI or Docker; an index is refused. Pure. -EBADMSG, -E2BIG, -ENOMEM. */
int oci_manifest_parse(const char *text, size_t len, struct oci_manifest *ret,
	struct err *e) _must_check_;
/* The same manifest gives the same bytes. */
int oci_manifest_print(const struct oci_manifest *m, struct buf *out);
/* NULL when there is no such annotation. */
const char *oci_manifest_note(const struct oci_manifest *m, const char *key);

struct oci;
struct oci_options {
	const char *auth_file; /* Docker's config.json; NULL: none. Read at each login. */
	const char *ca_file; /* NULL: the system's */
	uint64_t retry_us; /* first pause, doubled each time; 0: 1 s */
	unsigned tries; /* 0: 5 */
};
/* Borrows @l. */
int oci_new(struct loop *l, const struct oci_options *o, struct oci **ret, struct err *e)
	_must_check_;
void oci_free(struct oci *c);
DEFINE_CLEANUP(struct oci, oci_free)

/* All below: -ENOENT the registry has no such thing, -EACCES it refuses us, -EBADMSG what came is
 * not what it should be, -EFBIG, -ETIMEDOUT, other negative errno for lost connections. */

/* By digest, or else by tag ("latest" when there is none). An index is followed to the manifest for
 * linux on this machine's architecture. */
int oci_get_manifest(struct oci *c, const struct oci_ref *ref, struct oci_manifest *ret,
	struct err *e) _must_check_;
/* Into the file @path, which appears when it is whole and durable. What came of it before stays in
 * "@path.part" and is not asked for again. At most @blob->size bytes are written. */
int oci_get_blob(struct oci *c, const struct oci_ref *ref, const struct oci_blob *blob,
	const char *path, struct err *e) _must_check_;
/* Uploads the file unless the registry has it; fills in digest and size of @ret. */
int oci_put_file(struct oci *c, const struct oci_ref *ref, const char *path,
	struct oci_blob *ret, struct err *e) _must_check_;
int oci_put_bytes(struct oci *c, const struct oci_ref *ref, const void *data, size_t len,
	struct oci_blob *ret, struct err *e) _must_check_;
/* Under the tag of @ref, or by its digest when there is none. Fills in @m->digest. The blobs must be
 * there. */
int oci_put_manifest(struct oci *c, const struct oci_ref *ref, struct oci_manifest *m,
	struct err *e) _must_check_;
