// SPDX-License-Identifier: Apache-2.0
/*
 * `signing.mode: External`: what was built and proved waits in the store until somebody outside has
 * signed it. A signature is a file, <SHA-256 of the unsigned module>.p7s: detached PKCS#7 in DER
 * without attributes, as the kernel's sign-file makes it. Builds are reproducible, so one serves
 * every node. It lies in EXTERNAL_FOLDER of the host, or of the agent (where the chart mounts a
 * ConfigMap).
 *
 * The signed modules are an artifact of their own, beside the unsigned one: its key is that of the
 * unsigned one together with the signatures. So the store holds one or the other or both, each whole;
 * another signature is another artifact; and nothing is ever compiled for a signature.
 */
#pragma once

#include "arena.h"
#include "kernels.h"
#include "store.h"

#define EXTERNAL_FOLDER "/etc/farrier/signatures"

struct map;
/* The key that @a, unsigned, has once it is signed with the signatures that are there now; 0 with "" while
 * one is missing. Nothing is checked but that they are files. @digests as for boot_digest(). */
int external_key(const char *root, const struct artifact *a, struct map *digests,
	char ret[DIGEST_HEX + 1]) _must_check_;

/* What somebody has to sign, for people: files and digests of those that lack a signature, where they lie,
 * and where the signatures go. NULL when memory is short. */
const char *external_wanted(
	struct arena *arena, const char *root, const struct artifact *a);

/* The newest artifact of the store that was signed from @unsigned_key; -ENOENT without one. */
int external_find(const char *state, const char *unsigned_key, char ret[DIGEST_HEX + 1],
	struct err *e) _must_check_;

struct external_sign {
	const char *root, *state;
	const struct kernel *kernel;
	const char *unsigned_key;
	const char *key; /* as external_key() told it */
};
/* Puts the signatures behind the modules, proves them against the kernel and stores them under @q->key.
 * Blocks. REASON_KEY_REJECTED names the signature's file; -EAGAIN when the signatures are others than
 * @q->key says: look again. Verification's reasons, REASON_ARTIFACT_CORRUPT, _DISK_FULL. */
int external_sign(const struct external_sign *q, struct err *e) _must_check_;
