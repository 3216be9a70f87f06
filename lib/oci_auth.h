// SPDX-License-Identifier: Apache-2.0
/* How one logs in to a registry: what it asks for, and who we are to it. For lib/oci*.c only. Pure. */
#pragma once

#include "buf.h"
#include "err.h"
#include "oci.h"

enum { OCI_AUTH_FILE_MAX = 1 << 20, OCI_TOKEN_MAX = 32 << 10 };

/* A WWW-Authenticate header. */
struct oci_challenge {
	bool is_bearer; /* else Basic */
	char realm[1024], service[256], scope[512];
};
/* -EINVAL when it is neither Bearer with a realm nor Basic. */
int oci_challenge_parse(const char *header, struct oci_challenge *ret) _must_check_;

/* The user's part of "Authorization: Basic …" for @ref out of the text of a Docker config.json, the
 * entry of the longest matching name; -ENOENT when there is none. Caller frees. */
int oci_auth_find(const char *text, size_t len, const struct oci_ref *ref, char **ret,
	struct err *e) _must_check_;

/* "@realm?service=…&scope=…" with everything escaped. */
int oci_token_url(const struct oci_challenge *c, const char *scope, struct buf *out);
/* The token of a token server's answer. Caller frees. -EBADMSG. */
int oci_token_parse(const char *text, size_t len, char **ret, struct err *e) _must_check_;
