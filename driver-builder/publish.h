// SPDX-License-Identifier: Apache-2.0
/* What this node built, given to the fleet: pushed to the registry, and remembered as pushed in
 * STATE/published/<key>: a line with the manifest's digest, one with that of unsigned.h. */
#pragma once

#include "api.h"
#include "remote.h"

/* Whether others may use what is built from @s: it is named by a digest, or holds the source itself.
 * A host's own folder without a digest is only this host's business. */
bool publish_is_shareable(const struct api_source *s);

/* What is remembered of an artifact that was pushed. */
struct published {
	char digest[OCI_DIGEST_MAX + 1]; /* of the manifest */
	/* unsigned.h; UNSIGNED_NONE when we did not compile it; "" when an older agent pushed it */
	char unsigned_digest[DIGEST_HEX + 1];
};

/* Pushes the artifact @key of the store and remembers it. The same artifact gives the same manifest. */
int publish(struct loop *l, const struct remote *r, const char *state, const char *key,
	struct published *ret, struct err *e) _must_check_;

/* What was said of @key when it was pushed; false when it was not. */
bool publish_find(const char *state, const char *key, struct published *ret);
/* Forgets those whose artifact is gone from the store. */
void publish_gc(const char *state);
