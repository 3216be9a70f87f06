// SPDX-License-Identifier: Apache-2.0
/* What is known of the keys that a kernel trusts, for trust.c. */
#pragma once

#include "signature.h"
#include "trust.h"

enum { TRUST_CERTS_MAX = 128, TRUST_RING_MAX = 256 };

struct trust_cert {
	struct cert *cert;
	bool is_trusted; /* else only known: it tells whose key a signature names */
};

/* A key of /proc/keys. */
struct trust_ring_key {
	char name[128]; /* of its subject */
	char key_id[136]; /* hex */
};

struct trust_keys {
	struct trust_cert certs[TRUST_CERTS_MAX];
	size_t certs_n;
	struct signer builtin[SIGNATURE_SIGNERS_MAX]; /* of the kernel's own modules */
	size_t builtin_n;
	struct trust_ring_key *ring;
	size_t ring_n;
	bool is_complete; /* nothing that could hold a key was unreadable */
};

struct trust_scope {
	bool is_of_host; /* firmware and keyrings of this machine concern the kernel */
	bool is_running;
	bool has_platform; /* it takes keys that firmware or shim enrolled */
};

/* What cannot be read is left out; -ENOMEM only. */
int trust_keys_read(struct trust_keys *ret, const struct kernel *k,
	const struct trust_host *h, const struct trust_scope *scope, struct err *e)
	_must_check_;
void trust_keys_done(struct trust_keys *t);

/* The certificate that @who names, a trusted one before others; NULL. */
const struct trust_cert *trust_keys_cert(
	const struct trust_keys *t, const struct signer *who);
bool trust_keys_builtin(const struct trust_keys *t, const struct signer *who);
/* @key_id of the signer's certificate, NULL when that is not at hand. */
bool trust_keys_in_ring(
	const struct trust_keys *t, const struct signer *who, const char *key_id);
/* Is there a key whose name would fit, so that nobody can say? */
bool trust_keys_may_have(const struct trust_keys *t, const struct signer *who);

/* The X.509 certificates of an EFI signature database. Stops at what makes no sense. */
int trust_keys_add_efi(
	struct trust_keys *t, const void *data, size_t len, bool is_trusted);
/* The asymmetric keys of a text like /proc/keys. -ENOMEM. */
int trust_keys_add_ring(struct trust_keys *t, const char *text);
