// SPDX-License-Identifier: Apache-2.0
/* The source of a driver: found, digested, recognised, copied into a build folder. */
#pragma once

#include "api.h"
#include "digest.h"

enum { SOURCE_FILES_MAX = 200000, SOURCE_DEPTH_MAX = 64 };
#define SOURCE_BYTES_MAX (4ULL << 30)

struct source {
	char *path; /* folder or archive as we see it; NULL for inline files and what is to be fetched */
	const struct list *files; /* inline: struct kv, borrowed from the spec */
	const char *url; /* an archive to be fetched, borrowed from the spec */
	const char *
		image; /* an image that holds the archive, to be fetched; borrowed as well */
	bool is_archive; /* unpacked by build_source(), not copied */
	char digest[DIGEST_HEX + 1]; /* of the tree; of the archive, when it is one */
	int system; /* enum api_build_system as recognised; AUTO for an archive not yet unpacked */
};

/* Finds the source that @s names, digests it and checks a given sha256. Host paths are looked up
 * below @root (links stay inside). @system AUTO recognises: dkms.conf -> DKMS; Kbuild, or a Makefile
 * with obj-m -> Kbuild; any other Makefile -> Make. Reads the whole source: do not call it from the
 * agent's loop for large trees, the build worker does it. REASON_SOURCE_MISSING, _SOURCE_INVALID,
 * _SOURCE_DIGEST_MISMATCH. A type that is not supported here says so (SOURCE_INVALID).
 * Of an HTTP or OCI source nothing is fetched yet: its digest is in the spec, so what was built from it is found
 * without the network.
 * Inline and embedded ConfigMap sources are both the `inline_` member by the time they come here. */
int source_open(const struct api_source *s, const char *root, int system,
	struct source *ret, struct err *e) _must_check_;
void source_done(struct source *s);
/* What the tree at @dir is (enum api_build_system, never AUTO); REASON_SOURCE_INVALID. */
int source_recognise(const char *dir, struct err *e) _must_check_;

/* Writes the source into the empty folder @dest, everything owned by @uid:@gid (-1: unchanged), and
 * checks that what was written has the digest of @s. Never writes outside @dest; devices, sockets and
 * names with ".." are refused. */
int source_copy(const struct source *s, const char *dest, uid_t uid, gid_t gid,
	struct err *e) _must_check_;
