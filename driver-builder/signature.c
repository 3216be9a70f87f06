// SPDX-License-Identifier: Apache-2.0
/* PKCS#7 signatures and X.509 certificates, through libcrypto's CMS. */
#include "signature.h"

#include <stdio.h>

#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "buf.h"
#include "digest.h"
#include "file.h"

enum { NAME_DER_MAX = 16 << 10 };

struct signature {
	CMS_ContentInfo *cms;
	void *der;
	size_t len;
	struct signer signers[SIGNATURE_SIGNERS_MAX];
	size_t n;
};

struct cert {
	X509 *x509;
	char name[192], key_id[2 * 64 + 1], serial_id[72];
};

static void bio_freep(BIO **b)
{
	BIO_free(*b);
}

static int rejected(struct err *e, const char *why)
{
	ERR_clear_error();
	return err_reason(
		e, -EKEYREJECTED, REASON_KEY_REJECTED, "the module's signature %s", why);
}

/* ---- names ---- */

static void hex(char *out, size_t size, const uint8_t *p, size_t n)
{
	size_t i;

	out[0] = '\0';
	for (i = 0; i < n && 2 * i + 2 < size; i++)
		(void)snprintf(out + 2 * i, size - 2 * i, "%02x", p[i]);
}

/* The common name, else the organisation, printable characters only. */
static void name_of(const X509_NAME *name, char *out, size_t size)
{
	static const int nids[] = { NID_commonName, NID_organizationName,
		NID_pkcs9_emailAddress };
	size_t i;
	int at = -1;

	for (i = 0; at < 0 && i < ARRAY_SIZE(nids); i++)
		at = X509_NAME_get_index_by_NID(name, nids[i], -1);
	(void)snprintf(out, size, "a name that says nothing");
	if (at >= 0) {
		const ASN1_STRING *s = X509_NAME_ENTRY_get_data(
			X509_NAME_get_entry(name, at));
		size_t n = MIN((size_t)ASN1_STRING_length(s), size - 1);

		memcpy(out, ASN1_STRING_get0_data(s), n);
		out[n] = '\0';
	}
	for (i = 0; out[i]; i++)
		if ((unsigned char)out[i] < ' ' || (unsigned char)out[i] > '~')
			out[i] = '?';
}

/* "serial:<digest over issuer and serial number, as they are encoded>" */
static int serial_id(
	X509_NAME *issuer, const ASN1_INTEGER *serial, char *out, size_t size)
{
	CLEANUP(digest_freep) struct digest *d = NULL;
	uint8_t *name = NULL, *number = NULL;
	int n = i2d_X509_NAME(issuer, &name);
	int m = i2d_ASN1_INTEGER((ASN1_INTEGER *)(uintptr_t)serial, &number);
	char text[DIGEST_HEX + 1];
	int r = n <= 0 || n > NAME_DER_MAX || m <= 0 ? -EBADMSG : digest_new(&d);

	if (r == 0)
		r = digest_add(d, name, (size_t)n);
	if (r == 0)
		r = digest_add(d, number, (size_t)m);
	if (r == 0)
		r = digest_hex(d, text);
	OPENSSL_free(name);
	OPENSSL_free(number);
	if (r == 0)
		(void)snprintf(out, size, "serial:%s", text);
	return r;
}

/* Cut so that it fits: key ids are 20 bytes, what is longer is compared by its head. */
static void key_id_text(const ASN1_OCTET_STRING *id, char *out, size_t size)
{
	int n = (int)snprintf(out, size, "key:");

	hex(out + n, size - (size_t)n, ASN1_STRING_get0_data(id),
		(size_t)ASN1_STRING_length(id));
}

static void name_with_serial(
	X509_NAME *name, const ASN1_INTEGER *serial, char *out, size_t size)
{
	char cn[128], number[41];

	name_of(name, cn, sizeof(cn));
	hex(number, sizeof(number), ASN1_STRING_get0_data(serial),
		(size_t)ASN1_STRING_length(serial));
	(void)snprintf(out, size, "%s, serial %s", cn, number);
}

/* ---- signatures ---- */

static int read_signer(CMS_SignerInfo *si, struct signer *ret, struct err *e)
{
	struct signer out = { 0 };
	ASN1_OCTET_STRING *key_id = NULL;
	ASN1_INTEGER *serial = NULL;
	X509_NAME *issuer = NULL;
	X509_ALGOR *digest = NULL;
	const ASN1_OBJECT *oid = NULL;

	if (CMS_signed_get_attr_count(si) > 0)
		return rejected(e, "has signed attributes, which the kernel refuses");
	if (CMS_SignerInfo_get0_signer_id(si, &key_id, &issuer, &serial) != 1)
		return rejected(e, "names no signer");
	if (issuer && serial) {
		name_with_serial(issuer, serial, out.name, sizeof(out.name));
		name_of(issuer, out.issuer, sizeof(out.issuer));
		if (serial_id(issuer, serial, out.id, sizeof(out.id)) < 0)
			return rejected(e, "names a signer that cannot be read");
	} else if (key_id) {
		key_id_text(key_id, out.id, sizeof(out.id));
		(void)snprintf(out.name, sizeof(out.name), "key id %.64s",
			out.id + strlen("key:"));
	} else {
		return rejected(e, "names no signer");
	}
	CMS_SignerInfo_get0_algs(si, NULL, NULL, &digest, NULL);
	X509_ALGOR_get0(&oid, NULL, NULL, digest);
	(void)snprintf(out.hash, sizeof(out.hash), "%s", OBJ_nid2sn(OBJ_obj2nid(oid)));
	*ret = out;
	return 0;
}

static int read_signers(struct signature *s, struct err *e)
{
	STACK_OF(CMS_SignerInfo) *all = CMS_get0_SignerInfos(s->cms);
	int i, n = all ? sk_CMS_SignerInfo_num(all) : 0;

	if (n <= 0 || n > SIGNATURE_SIGNERS_MAX)
		return rejected(e, "has no signer, or too many");
	for (i = 0; i < n; i++) {
		int r = read_signer(sk_CMS_SignerInfo_value(all, i), &s->signers[i], e);

		if (r < 0)
			return r;
	}
	s->n = (size_t)n;
	return 0;
}

int signature_parse(const void *data, size_t len, struct signature **ret, struct err *e)
{
	CLEANUP(signature_freep) struct signature *s = calloc(1, sizeof(*s));
	const uint8_t *p = data;
	int r;

	if (!s)
		return err_errno(e, -ENOMEM, "signature");
	if (len > SIGNATURE_BYTES_MAX)
		return rejected(e, "is too long");
	s->cms = d2i_CMS_ContentInfo(NULL, &p, (long)len);
	if (!s->cms || OBJ_obj2nid(CMS_get0_type(s->cms)) != NID_pkcs7_signed)
		return rejected(e, "is no PKCS#7 signature");
	if (p != (const uint8_t *)data + len)
		return rejected(e, "has bytes behind it that belong to nothing");
	if (CMS_is_detached(s->cms) != 1)
		return rejected(e, "holds other content than the module");
	r = read_signers(s, e);
	if (r < 0)
		return r;
	s->der = malloc(len);
	if (!s->der)
		return err_errno(e, -ENOMEM, "signature");
	memcpy(s->der, data, len);
	s->len = len;
	*ret = TAKE(s);
	return 0;
}

void signature_free(struct signature *s)
{
	if (!s)
		return;
	CMS_ContentInfo_free(s->cms);
	free(s->der);
	free(s);
}

size_t signature_signers(const struct signature *s, const struct signer **ret)
{
	*ret = s->signers;
	return s->n;
}

bool signature_has_certs(const struct signature *s)
{
	STACK_OF(X509) *certs = CMS_get1_certs(s->cms);
	bool has = certs && sk_X509_num(certs) > 0;

	sk_X509_pop_free(certs, X509_free);
	return has;
}

/* Reads the signature anew: a CMS object remembers the certificate that it was verified with. */
int signature_check(const struct signature *s, const struct cert *c, const void *data,
	size_t len, struct err *e)
{
	const unsigned flags = CMS_NO_SIGNER_CERT_VERIFY | CMS_BINARY | CMS_NOINTERN;
	STACK_OF(X509) *certs = sk_X509_new_null();
	BIO *in = len <= INT32_MAX ? BIO_new_mem_buf(data, (int)len) : NULL;
	const uint8_t *p = s->der;
	CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &p, (long)s->len);
	bool is_read = cms && certs && in && sk_X509_push(certs, c->x509) > 0;
	bool is_fitting = is_read && CMS_verify(cms, certs, NULL, in, NULL, flags) == 1;

	CMS_ContentInfo_free(cms);
	sk_X509_free(certs);
	BIO_free(in);
	if (!is_read)
		return err_errno(e, -ENOMEM, "signature");
	return is_fitting ? 0
			  : rejected(e, "does not fit its bytes: they were changed after "
					"signing, or another key made it");
}

/* ---- certificates ---- */

static X509 *read_x509(const void *data, size_t len)
{
	CLEANUP(bio_freep) BIO *in = NULL;
	const uint8_t *p = data;
	X509 *x = d2i_X509(NULL, &p, (long)len);

	if (x)
		return x;
	in = BIO_new_mem_buf(data, (int)len);
	return in ? PEM_read_bio_X509(in, NULL, NULL, NULL) : NULL;
}

int cert_parse(const void *data, size_t len, struct cert **ret, struct err *e)
{
	CLEANUP(cert_freep) struct cert *c = calloc(1, sizeof(*c));
	const ASN1_OCTET_STRING *id;

	if (!c)
		return err_errno(e, -ENOMEM, "certificate");
	c->x509 = len <= CERT_BYTES_MAX ? read_x509(data, len) : NULL;
	if (!c->x509 ||
		serial_id(X509_get_issuer_name(c->x509), X509_get0_serialNumber(c->x509),
			c->serial_id, sizeof(c->serial_id)) < 0) {
		ERR_clear_error();
		return err_set(e, -EBADMSG, "no X.509 certificate");
	}
	name_with_serial(X509_get_subject_name(c->x509), X509_get0_serialNumber(c->x509),
		c->name, sizeof(c->name));
	id = X509_get0_subject_key_id(c->x509);
	if (id)
		hex(c->key_id, sizeof(c->key_id), ASN1_STRING_get0_data(id),
			(size_t)ASN1_STRING_length(id));
	ERR_clear_error();
	*ret = TAKE(c);
	return 0;
}

void cert_free(struct cert *c)
{
	if (!c)
		return;
	X509_free(c->x509);
	free(c);
}

const char *cert_name(const struct cert *c)
{
	return c->name;
}

const char *cert_key_id(const struct cert *c)
{
	return c->key_id;
}

bool cert_is_signer(const struct cert *c, const struct signer *s)
{
	if (str_starts(s->id, "key:"))
		return *c->key_id && streq(s->id + strlen("key:"), c->key_id);
	return streq(s->id, c->serial_id);
}

/* ---- signing ---- */

static int read_key(const char *path, EVP_PKEY **ret, struct err *e)
{
	CLEANUP(freep) char *text = NULL;
	CLEANUP(bio_freep) BIO *in = NULL;
	size_t len;
	int r = file_read(path, CERT_BYTES_MAX, &text, &len, e);

	if (r < 0)
		return r;
	in = BIO_new_mem_buf(text, (int)len);
	*ret = in ? PEM_read_bio_PrivateKey(in, NULL, NULL, (void *)"") : NULL;
	if (!*ret && in && BIO_reset(in) == 1)
		*ret = d2i_PrivateKey_bio(in, NULL);
	OPENSSL_cleanse(text, len);
	ERR_clear_error();
	return *ret ? 0 : err_set(e, -EINVAL, "'%s' holds no private key", path);
}

static int read_cert(const char *path, struct cert **ret, struct err *e)
{
	CLEANUP(freep) char *text = NULL;
	size_t len;
	int r = file_read(path, CERT_BYTES_MAX, &text, &len, e);

	if (r == 0 && (r = cert_parse(text, len, ret, e)) < 0)
		r = err_wrap(e, r, "'%s'", path);
	return r;
}

/* What sign-file's CMS_sign() and CMS_add1_signer() are given. */
static CMS_ContentInfo *sign(
	const struct cert *c, EVP_PKEY *key, const void *data, size_t len)
{
	const unsigned flags = CMS_NOCERTS | CMS_BINARY | CMS_DETACHED | CMS_STREAM;
	CLEANUP(bio_freep) BIO *in = BIO_new_mem_buf(data, (int)len);
	CMS_ContentInfo *cms = in ? CMS_sign(NULL, NULL, NULL, NULL, flags) : NULL;

	if (cms &&
		CMS_add1_signer(cms, c->x509, key, EVP_sha256(),
			CMS_NOCERTS | CMS_BINARY | CMS_NOSMIMECAP | CMS_NOATTR) &&
		CMS_final(cms, in, NULL, CMS_NOCERTS | CMS_BINARY) == 1)
		return cms;
	CMS_ContentInfo_free(cms);
	return NULL;
}

int signature_trailer(const void *der, size_t n, char **ret, size_t *ret_len)
{
	static const char magic[] = "~Module signature appended~\n";
	const uint8_t info[12] = { [2] = 2 /* PKCS#7 */,
		[8] = (uint8_t)(n >> 24),
		(uint8_t)(n >> 16),
		(uint8_t)(n >> 8),
		(uint8_t)n };
	const size_t len = n + sizeof(info) + sizeof(magic) - 1;
	char *out = malloc(len);

	if (!out)
		return -ENOMEM;
	memcpy(out, der, n);
	memcpy(out + n, info, sizeof(info));
	memcpy(out + n + sizeof(info), magic, sizeof(magic) - 1);
	*ret = out;
	*ret_len = len;
	return 0;
}

int signature_make(const char *key, const char *cert, const void *data, size_t len,
	char **ret, size_t *ret_len, struct err *e)
{
	CLEANUP(cert_freep) struct cert *c = NULL;
	CMS_ContentInfo *cms = NULL;
	EVP_PKEY *pkey = NULL;
	uint8_t *der = NULL;
	int n, r = len <= INT32_MAX ? read_cert(cert, &c, e) : -EFBIG;

	if (r == 0)
		r = read_key(key, &pkey, e);
	if (r == 0 && X509_check_private_key(c->x509, pkey) != 1)
		r = err_set(e, -EINVAL, "'%s' is not the certificate of '%s'", cert, key);
	if (r == 0 && !(cms = sign(c, pkey, data, len)))
		r = err_set(e, -EINVAL, "libcrypto cannot sign with '%s'", key);
	n = r == 0 ? i2d_CMS_ContentInfo(cms, &der) : 0;
	if (r == 0)
		r = n > 0 ? signature_trailer(der, (size_t)n, ret, ret_len) : -ENOMEM;
	OPENSSL_free(der);
	CMS_ContentInfo_free(cms);
	EVP_PKEY_free(pkey);
	ERR_clear_error();
	return r == -ENOMEM ? err_errno(e, r, "sign") : r;
}
