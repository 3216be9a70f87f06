// SPDX-License-Identifier: Apache-2.0
/* Module signatures: made as the kernel's sign-file makes them, read, checked, and damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/cms.h>

#include "driver-builder/elf.h"
#include "driver-builder/signature.h"
#include "file.h"
#include "identity.h"

static char dir[] = "/tmp/farrier-signature-XXXXXX";
static struct identity alice, bob;
static const char text[] = "the bytes of a module";

static int group_setup(void **state)
{
	if (!mkdtemp(dir))
		return -1;
	identity_make(&alice, dir, "Alice's key", 1);
	identity_make(&bob, dir, "Bob's key", 2);
	return 0;
}

static int group_teardown(void **state)
{
	return dir_remove(dir, NULL);
}

static struct cert *cert_of(const char *path)
{
	struct cert *c = NULL;
	struct err e = { 0 };
	char *data;
	size_t len;

	assert_int_equal(file_read(path, CERT_BYTES_MAX, &data, &len, &e), 0);
	if (cert_parse(data, len, &c, &e) < 0)
		fail_msg("%s", e.text);
	free(data);
	return c;
}

/* The text with its signature behind it. */
static char *signed_text(const struct identity *who, size_t *ret_len)
{
	struct err e = { 0 };
	char *sig, *all;
	size_t len;

	if (signature_make(who->key, who->pem, text, sizeof(text), &sig, &len, &e) < 0)
		fail_msg("%s", e.text);
	all = malloc(sizeof(text) + len);
	assert_non_null(all);
	memcpy(all, text, sizeof(text));
	memcpy(all + sizeof(text), sig, len);
	*ret_len = sizeof(text) + len;
	free(sig);
	return all;
}

static void test_round_trip(void **state)
{
	struct elf_signature place;
	struct signature *s = NULL;
	const struct signer *who;
	struct err e = { 0 };
	size_t len, n;
	char *all = signed_text(&alice, &len);
	struct cert *a = cert_of(alice.pem), *b = cert_of(bob.der);

	assert_int_equal(elf_split_signature(all, len, &n, &place, &e), 1);
	assert_int_equal(n, sizeof(text));
	assert_true(place.is_pkcs7);
	assert_int_equal(signature_parse(place.data, place.len, &s, &e), 0);
	assert_int_equal(signature_signers(s, &who), 1);
	assert_string_equal(who->name, "Alice's key, serial 01");
	assert_string_equal(who->issuer, "Alice's key");
	assert_string_equal(who->hash, "SHA256");
	assert_false(signature_has_certs(s));
	assert_true(cert_is_signer(a, who));
	assert_false(cert_is_signer(b, who));
	assert_string_equal(cert_key_id(a), alice.key_id);
	assert_string_equal(cert_name(b), "Bob's key, serial 02");
	assert_int_equal(signature_check(s, a, all, n, &e), 0);
	/* Twice is once: the signature is not consumed. */
	assert_int_equal(signature_check(s, a, all, n, &e), 0);
	assert_int_equal(signature_check(s, b, all, n, &e), -EKEYREJECTED);
	assert_int_equal(e.reason, REASON_KEY_REJECTED);
	all[3] ^= 1;
	assert_int_equal(signature_check(s, a, all, n, &e), -EKEYREJECTED);
	assert_int_equal(signature_check(s, a, all, n - 1, &e), -EKEYREJECTED);
	assert_int_equal(signature_check(s, a, "", 0, &e), -EKEYREJECTED);
	signature_free(s);
	cert_free(a);
	cert_free(b);
	free(all);
}

static void test_same_bytes(void **state)
{
	size_t n, m;
	char *a = signed_text(&alice, &n), *b = signed_text(&alice, &m);

	assert_int_equal(n, m);
	assert_memory_equal(a, b, n);
	free(a);
	free(b);
}

static void test_wrong_files(void **state)
{
	char path[PATH_MAX], *sig = NULL;
	struct err e = { 0 };
	size_t len;

	assert_int_equal(
		signature_make(alice.key, bob.pem, text, sizeof(text), &sig, &len, &e),
		-EINVAL);
	assert_non_null(strstr(e.text, "is not the certificate of"));
	assert_int_equal(
		signature_make(alice.pem, alice.pem, text, sizeof(text), &sig, &len, &e),
		-EINVAL);
	assert_true(signature_make(alice.key, alice.key, text, sizeof(text), &sig, &len,
			    &e) < 0);
	(void)snprintf(path, sizeof(path), "%s/none", dir);
	assert_int_equal(
		signature_make(path, alice.pem, text, sizeof(text), &sig, &len, &e),
		-ENOENT);
	assert_null(sig);
}

/* As sign-file -k and its like: what the kernel reads and what it refuses. */
static unsigned char *cms_with(unsigned flags, int *ret_len, bool is_attached)
{
	FILE *f = fopen(alice.key, "re"), *g = fopen(alice.pem, "re");
	BIO *in = BIO_new_mem_buf(text, sizeof(text));
	unsigned char *der = NULL;
	CMS_ContentInfo *cms;
	EVP_PKEY *key;
	X509 *x;

	assert_non_null(f);
	assert_non_null(g);
	key = PEM_read_PrivateKey(f, NULL, NULL, NULL);
	x = PEM_read_X509(g, NULL, NULL, NULL);
	cms = CMS_sign(NULL, NULL, NULL, NULL,
		CMS_BINARY | CMS_PARTIAL | (is_attached ? 0 : CMS_DETACHED));
	assert_non_null(cms);
	assert_non_null(CMS_add1_signer(cms, x, key, EVP_sha256(), CMS_BINARY | flags));
	assert_int_equal(CMS_final(cms, in, NULL, CMS_BINARY), 1);
	*ret_len = i2d_CMS_ContentInfo(cms, &der);
	assert_true(*ret_len > 0);
	CMS_ContentInfo_free(cms);
	X509_free(x);
	EVP_PKEY_free(key);
	BIO_free(in);
	(void)fclose(f);
	(void)fclose(g);
	return der;
}

static void test_kinds(void **state)
{
	static const struct {
		const char *name;
		unsigned flags;
		bool is_attached;
		int r;
	} cases[] = {
		{ "by serial", CMS_NOCERTS | CMS_NOATTR, false, 0 },
		{ "by key id", CMS_NOCERTS | CMS_NOATTR | CMS_USE_KEYID, false, 0 },
		{ "with its certificate", CMS_NOATTR, false, 0 },
		{ "with attributes", CMS_NOCERTS, false, -EKEYREJECTED },
		{ "with content", CMS_NOCERTS | CMS_NOATTR, true, -EKEYREJECTED },
	};
	struct cert *a = cert_of(alice.der);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct signature *s = NULL;
		const struct signer *who;
		struct err e = { 0 };
		int r, len;
		unsigned char *der = cms_with(cases[i].flags, &len, cases[i].is_attached);

		r = signature_parse(der, (size_t)len, &s, &e);
		if (r != cases[i].r)
			fail_msg("case '%s': %d %s", cases[i].name, r, e.text);
		if (r == 0) {
			assert_int_equal(signature_signers(s, &who), 1);
			assert_true(cert_is_signer(a, who));
			assert_int_equal(
				signature_has_certs(s), !(cases[i].flags & CMS_NOCERTS));
			assert_int_equal(
				signature_check(s, a, text, sizeof(text), &e), 0);
		} else {
			assert_int_equal(e.reason, REASON_KEY_REJECTED);
			assert_int_equal(e.code, r);
		}
		signature_free(s);
		OPENSSL_free(der);
	}
	cert_free(a);
}

/* No prefix and no single changed byte crashes, and none of them fits. */
static void test_damage(void **state)
{
	struct cert *a = cert_of(alice.pem);
	unsigned char *der;
	int len, i;

	der = cms_with(CMS_NOCERTS | CMS_NOATTR, &len, false);
	for (i = 0; i < 2 * len; i++) {
		struct signature *s = NULL;
		struct err e = { 0 };
		size_t n = i < len ? (size_t)i : (size_t)len;
		unsigned char *copy = malloc(n ? n : 1);

		assert_non_null(copy);
		memcpy(copy, der, n);
		if (i >= len)
			copy[i - len] ^= 0x5a;
		if (signature_parse(copy, n, &s, &e) == 0) {
			const struct signer *who;

			assert_true(i >= len);
			/* A bit that says nothing may change; the signer's name may not. */
			if (signature_check(s, a, text, sizeof(text), &e) == 0)
				assert_true(signature_signers(s, &who) == 1);
			signature_free(s);
		} else {
			assert_int_equal(e.reason, REASON_KEY_REJECTED);
		}
		free(copy);
	}
	OPENSSL_free(der);
	cert_free(a);
}

static void test_certs_that_are_none(void **state)
{
	struct cert *c = NULL;
	char *huge = calloc(1, CERT_BYTES_MAX + 1);
	struct err e = { 0 };

	assert_non_null(huge);
	assert_int_equal(cert_parse("", 0, &c, &e), -EBADMSG);
	assert_int_equal(cert_parse("0\202", 2, &c, &e), -EBADMSG);
	assert_int_equal(
		cert_parse("-----BEGIN CERTIFICATE-----\n", 28, &c, &e), -EBADMSG);
	assert_int_equal(cert_parse(huge, CERT_BYTES_MAX + 1, &c, &e), -EBADMSG);
	assert_null(c);
	free(huge);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_same_bytes),
		cmocka_unit_test(test_wrong_files),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_certs_that_are_none),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
