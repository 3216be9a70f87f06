// SPDX-License-Identifier: Apache-2.0
/* Keys with certificates of their own, for tests of signatures. */
#pragma once

#include <limits.h>
#include <stdio.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

/* Where one is kept: DIR/NAME.key, DIR/NAME.pem, DIR/NAME.der. */
struct identity {
	char key[PATH_MAX + 32], pem[PATH_MAX + 32], der[PATH_MAX + 32];
	char key_id[41];
	char cn[64];
};

static FILE *identity_file(const char *path)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	return f;
}

static void identity_extend(X509 *x, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *ext;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert_non_null(ext);
	assert_int_equal(X509_add_ext(x, ext, -1), 1);
	X509_EXTENSION_free(ext);
}

static X509 *identity_cert(EVP_PKEY *key, const char *cn, long serial)
{
	X509 *x = X509_new();
	X509_NAME *name;

	assert_non_null(x);
	assert_int_equal(X509_set_version(x, X509_VERSION_3), 1);
	assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(x), serial), 1);
	assert_non_null(X509_gmtime_adj(X509_getm_notBefore(x), 0));
	assert_non_null(X509_gmtime_adj(X509_getm_notAfter(x), 86400));
	name = X509_get_subject_name(x);
	assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
				 (const unsigned char *)cn, -1, -1, 0),
		1);
	assert_int_equal(X509_set_issuer_name(x, name), 1);
	assert_int_equal(X509_set_pubkey(x, key), 1);
	identity_extend(x, NID_subject_key_identifier, "hash");
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	return x;
}

static void identity_make(
	struct identity *ret, const char *dir, const char *cn, long serial)
{
	EVP_PKEY *key = EVP_RSA_gen(2048);
	const ASN1_OCTET_STRING *id;
	X509 *x;
	FILE *f;
	int i;

	assert_non_null(key);
	x = identity_cert(key, cn, serial);
	(void)snprintf(ret->cn, sizeof(ret->cn), "%s", cn);
	(void)snprintf(ret->key, sizeof(ret->key), "%s/%ld.key", dir, serial);
	(void)snprintf(ret->pem, sizeof(ret->pem), "%s/%ld.pem", dir, serial);
	(void)snprintf(ret->der, sizeof(ret->der), "%s/%ld.der", dir, serial);
	f = identity_file(ret->key);
	assert_int_equal(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
	assert_int_equal(fclose(f), 0);
	f = identity_file(ret->pem);
	assert_int_equal(PEM_write_X509(f, x), 1);
	assert_int_equal(fclose(f), 0);
	f = identity_file(ret->der);
	assert_int_equal(i2d_X509_fp(f, x), 1);
	assert_int_equal(fclose(f), 0);
	id = X509_get0_subject_key_id(x);
	assert_non_null(id);
	assert_int_equal(ASN1_STRING_length(id), 20);
	for (i = 0; i < 20; i++)
		(void)snprintf(
			ret->key_id + 2 * i, 3, "%02x", ASN1_STRING_get0_data(id)[i]);
	X509_free(x);
	EVP_PKEY_free(key);
}
