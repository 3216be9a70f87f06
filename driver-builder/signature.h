// SPDX-License-Identifier: Apache-2.0
/*
 * The signature behind a kernel module: whose it is, and whether it fits the bytes. As the kernel
 * reads it (kernel/module/signing.c, crypto/asymmetric_keys/pkcs7_*): PKCS#7 without signed
 * attributes over the bytes in front. What a kernel trusts is trust.h's. The only user of
 * libcrypto's PKCS#7 and X.509 here.
 */
#pragma once

#include "err.h"

enum {
	SIGNATURE_BYTES_MAX = 1 << 20,
	SIGNATURE_SIGNERS_MAX = 8,
	CERT_BYTES_MAX = 64 << 10
};

/* How a signature names a key: by the certificate's issuer and serial number (the usual), or by its
 * subject key identifier. Equal ids, equal key; the two forms are never equal. */
struct signer {
	char id[72]; /* "serial:<digest>" or "key:<hex>" */
	char name[192]; /* for people: "CN, serial 1234" or "key id abcd" */
	char issuer[128]; /* common name of the issuer; "" when named by key id */
	char hash[24]; /* "sha256" */
};

struct signature;
/* DER, without the module's trailer. -EKEYREJECTED (REASON_KEY_REJECTED) for what the kernel would not
 * read: no PKCS#7, none or too many signers, signed attributes, content of its own. */
int signature_parse(const void *data, size_t len, struct signature **ret, struct err *e)
	_must_check_;
void signature_free(struct signature *s);
DEFINE_CLEANUP(struct signature, signature_free)
size_t signature_signers(const struct signature *s, const struct signer **ret);
/* Does it bring certificates along, by which a kernel may reach a key that it trusts? */
bool signature_has_certs(const struct signature *s);

struct cert;
/* DER or PEM. -EBADMSG for anything else. */
int cert_parse(const void *data, size_t len, struct cert **ret, struct err *e)
	_must_check_;
void cert_free(struct cert *c);
DEFINE_CLEANUP(struct cert, cert_free)
const char *cert_name(const struct cert *c); /* "CN, serial 1234" */
const char *cert_key_id(const struct cert *c); /* lower-case hex; "" when it names none */
/* Does @s name the key of @c? */
bool cert_is_signer(const struct cert *c, const struct signer *s);

/* Do the bytes carry the signature of @c's key? -EKEYREJECTED (REASON_KEY_REJECTED) when they do not. */
int signature_check(const struct signature *s, const struct cert *c, const void *data,
	size_t len, struct err *e) _must_check_;

/* What stands behind a signed module: the signature @der (at most SIGNATURE_BYTES_MAX), what the kernel
 * wants to know of it, and the magic. *ret is the caller's. -ENOMEM. */
int signature_trailer(const void *der, size_t n, char **ret, size_t *ret_len)
	_must_check_;

/* A signature as the kernel's own scripts/sign-file makes it, trailer and all, to be put behind
 * @data. SHA-256; equal bytes for equal input (RSA). @key and @cert: PEM or DER files. The
 * certificate has to be of the key (-EINVAL). *ret is the caller's. */
int signature_make(const char *key, const char *cert, const void *data, size_t len,
	char **ret, size_t *ret_len, struct err *e) _must_check_;
