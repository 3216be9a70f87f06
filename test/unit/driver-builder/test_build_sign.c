// SPDX-License-Identifier: Apache-2.0
/* `signing.mode: Secret`: what is built carries the key's signature, and another key is another build. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "build_fixture.h"
#include "driver-builder/elf.h"
#include "driver-builder/signature.h"
#include "driver-builder/store.h"
#include "identity.h"

/* STATE/signing/NAME/tls.{key,crt} */
static void put_key(struct fixture *f, const char *name, long serial)
{
	char path[PATH_MAX], dir[PATH_MAX];
	struct identity who = { 0 };

	(void)snprintf(dir, sizeof(dir), "%s/signing/%s", f->state, name);
	assert_int_equal(dir_make(dir, 0755, NULL), 0);
	identity_make(&who, dir, name, serial);
	assert_int_equal(path_join(path, sizeof(path), dir, "tls.key", NULL), 0);
	assert_int_equal(rename(who.key, path), 0);
	assert_int_equal(path_join(path, sizeof(path), dir, "tls.crt", NULL), 0);
	assert_int_equal(rename(who.pem, path), 0);
}

static void check_signed(struct fixture *f, const struct artifact *a)
{
	char path[PATH_MAX], *data, *pem;
	struct signature *s = NULL;
	const struct signer *who;
	struct cert *c = NULL;
	struct elf elf;
	size_t len, n;

	assert_int_equal(
		path_join(path, sizeof(path), a->dir, a->modules[0].file, NULL), 0);
	assert_int_equal(elf_read_file(path, &data, &len, NULL), 0);
	assert_int_equal(elf_parse(data, len, &elf, NULL), 0);
	assert_true(elf.is_signed);
	assert_int_equal(
		signature_parse(elf.signature.data, elf.signature.len, &s, NULL), 0);
	assert_int_equal(signature_signers(s, &who), 1);
	(void)snprintf(path, sizeof(path), "%s/signing/first/tls.crt", f->state);
	assert_int_equal(file_read(path, CERT_BYTES_MAX, &pem, &n, NULL), 0);
	assert_int_equal(cert_parse(pem, n, &c, NULL), 0);
	assert_true(cert_is_signer(c, who));
	assert_int_equal(signature_check(s, c, elf.bytes, elf.elf_len, NULL), 0);
	cert_free(c);
	free(pem);
	signature_free(s);
	elf_done(&elf);
	free(data);
}

static void test_signed_build(void **state)
{
	struct fixture *f = *state;
	struct job *j = job(f, f->new, "edu", "edu", API_BUILD_AUTO);
	char folder[PATH_MAX], key[PATH_MAX + 16], keys[3][DIGEST_HEX + 1];
	struct artifact a = { 0 };
	struct build_result *res;
	struct err e = { 0 };

	need(f);
	(void)snprintf(folder, sizeof(folder), "%s/signing", f->state);
	j->q.signing = folder;
	assert_int_equal(build_key(&j->q, keys[0], &e), 0);
	/* What waits for a signature is never taken for what needs none. */
	j->spec.signing.mode = API_SIGNING_EXTERNAL;
	assert_int_equal(build_key(&j->q, keys[1], &e), 0);
	assert_string_not_equal(keys[0], keys[1]);
	j->spec.signing.mode = API_SIGNING_SECRET;
	j->spec.signing.secret_ref = "first";
	res = run(j, -1, REASON_KEY_REJECTED);
	assert_non_null(strstr(res->err.text, "signing/first/tls.crt"));
	j->spec.signing.secret_ref = "../signing/first";
	(void)run(j, -1, REASON_KEY_REJECTED);
	put_key(f, "first", 1);
	put_key(f, "second", 2);
	j->spec.signing.secret_ref = "second";
	assert_int_equal(build_key(&j->q, keys[1], &e), 0);
	j->spec.signing.secret_ref = "first";
	assert_int_equal(build_key(&j->q, keys[2], &e), 0);
	assert_string_not_equal(keys[0], keys[1]);
	assert_string_not_equal(keys[0], keys[2]);
	assert_string_not_equal(keys[1], keys[2]);
	res = run(j, 0, REASON_NONE);
	assert_string_equal(res->key, keys[2]);
	assert_int_equal(store_get(f->state, res->key, &a, &e), 0);
	check_signed(f, &a);
	artifact_done(&a);
	/* With the certificate alone what is there is found, and nothing else is compiled. */
	(void)snprintf(key, sizeof(key), "%s/first/tls.key", folder);
	assert_int_equal(unlink(key), 0);
	res = run(j, 0, REASON_NONE);
	assert_true(res->is_reused);
	assert_string_equal(res->key, keys[2]);
	j->q.force = true;
	res = run(j, -1, REASON_KEY_REJECTED);
	assert_non_null(strstr(res->err.text, "signing/first/tls.key"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_signed_build, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
