// SPDX-License-Identifier: Apache-2.0
/* `signing.mode: External`: a kernel that demands signatures, real keys, signatures of every kind from outside. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/cms.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "driver-builder/boot.h"
#include "driver-builder/elf.h"
#include "driver-builder/external.h"
#include "driver-builder/signature.h"
#include "elf_maker.h"
#include "file.h"
#include "identity.h"
#include "map.h"

enum { KERNEL_FLAGS = CMS_NOCERTS | CMS_BINARY | CMS_NOSMIMECAP };

#define CONFIG \
	"CONFIG_X86_64=y\nCONFIG_SMP=y\nCONFIG_MODULE_UNLOAD=y\nCONFIG_MODVERSIONS=y\n" \
	"CONFIG_MODULE_SIG=y\nCONFIG_MODULE_SIG_FORCE=y\n"
#define SYMVERS \
	"0x00000007\tmodule_layout\tvmlinux\tEXPORT_SYMBOL\t\n" \
	"0x11111111\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n"
#define KEY "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

/* A host whose signatures and trusted keys are ours, and a built artifact that waits. */
struct host {
	char dir[64], state[96], root[96];
	struct kernel kernel;
	struct artifact bare;
	struct identity good, other;
	struct map *digests;
	struct err e;
};

static void put(const char *path, const void *data, size_t len)
{
	struct err e = { 0 };

	if (file_write_atomic(path, data, len, 0644, &e) < 0)
		fail_msg("%s", e.text);
}

static void in_host(const struct host *h, char out[PATH_MAX], const char *folder,
	const char *name, const char *ending)
{
	(void)snprintf(
		out, PATH_MAX, "%s/etc/farrier/%s/%s%s", h->root, folder, name, ending);
}

/* The tests go on where the one before ended. */
static void host_folders(struct host *h)
{
	char path[PATH_MAX];

	(void)snprintf(h->dir, sizeof(h->dir), "/tmp/farrier-external-XXXXXX");
	assert_non_null(mkdtemp(h->dir));
	(void)snprintf(h->root, sizeof(h->root), "%s/host", h->dir);
	(void)snprintf(h->state, sizeof(h->state), "%s/state", h->dir);
	in_host(h, path, "signatures", "", "");
	assert_int_equal(dir_make(path, 0755, NULL), 0);
	in_host(h, path, "trusted-keys", "", "");
	assert_int_equal(dir_make(path, 0755, NULL), 0);
	(void)snprintf(path, sizeof(path), "%s/.config", h->dir);
	put(path, CONFIG, strlen(CONFIG));
	(void)snprintf(path, sizeof(path), "%s/Module.symvers", h->dir);
	put(path, SYMVERS, strlen(SYMVERS));
	(void)snprintf(h->kernel.release, sizeof(h->kernel.release), "6.1.0-56");
	h->kernel.headers = h->dir;
}

/* What a build leaves in the store. */
static void host_build(struct host *h)
{
	static const struct made_symbol symbols[] = { { "printk", 0x11111111,
		.has_crc = true } };
	const struct made made = {
		"name=demo\0license=GPL\0vermagic=6.1.0-56 SMP mod_unload modversions \0",
		symbols, 1, .layout_crc = 7
	};
	struct artifact a = { .key = KEY,
		.driver = "demo",
		.kernel = "6.1.0-56",
		.source_digest = KEY,
		.headers_digest = KEY,
		.recipe = KEY,
		.config_digest = KEY,
		.created_at = "2026-01-01T00:00:00Z",
		.is_compiled = true };
	struct store_txn *t = NULL;
	char path[PATH_MAX];
	size_t len;
	uint8_t *bytes = make_module(&made, &len);

	(void)snprintf(path, sizeof(path), "%s/demo.ko", h->dir);
	put(path, bytes, len);
	free(bytes);
	a.modules = calloc(1, sizeof(*a.modules));
	assert_non_null(a.modules);
	a.modules_n = 1;
	(void)snprintf(a.modules[0].name, sizeof(a.modules[0].name), "demo");
	(void)snprintf(a.modules[0].file, sizeof(a.modules[0].file), "modules/demo.ko");
	assert_int_equal(store_begin(h->state, &t, NULL), 0);
	assert_int_equal(store_txn_add(t, path, "modules/demo.ko", NULL), 0);
	assert_int_equal(store_commit(t, &a, NULL), 0);
	artifact_done(&a);
	assert_int_equal(store_get(h->state, KEY, &h->bare, NULL), 0);
}

/* ---- signing as somebody outside would ---- */

static void sign_bytes(const struct identity *who, unsigned flags, const void *data,
	size_t len, BIO *out)
{
	FILE *f = fopen(who->key, "re");
	EVP_PKEY *key = PEM_read_PrivateKey(f, NULL, NULL, NULL);
	BIO *in = BIO_new_mem_buf(data, (int)len);
	CMS_ContentInfo *cms;
	X509 *x;

	assert_int_equal(fclose(f), 0);
	f = fopen(who->pem, "re");
	x = PEM_read_X509(f, NULL, NULL, NULL);
	assert_int_equal(fclose(f), 0);
	cms = CMS_sign(NULL, NULL, NULL, NULL,
		(flags & ~(unsigned)CMS_NOATTR) | CMS_DETACHED | CMS_PARTIAL);
	assert_non_null(cms);
	assert_non_null(CMS_add1_signer(cms, x, key, EVP_sha256(), flags));
	assert_int_equal(CMS_final(cms, in, NULL, CMS_BINARY | CMS_DETACHED), 1);
	assert_int_equal(i2d_CMS_bio(out, cms), 1);
	CMS_ContentInfo_free(cms);
	BIO_free(in);
	X509_free(x);
	EVP_PKEY_free(key);
}

/* Signs the module, or @text instead of it, into the host's folder. */
static void sign(
	struct host *h, const struct identity *who, unsigned flags, const char *text)
{
	BIO *out = BIO_new(BIO_s_mem());
	char path[PATH_MAX], *data = NULL, *der;
	size_t len = 0;
	long n;

	assert_int_equal(
		path_join(path, sizeof(path), h->bare.dir, h->bare.modules[0].file, NULL),
		0);
	assert_int_equal(file_read(path, ELF_BYTES_MAX, &data, &len, NULL), 0);
	sign_bytes(who, flags, text ? text : data, text ? strlen(text) : len, out);
	n = BIO_get_mem_data(out, &der);
	in_host(h, path, "signatures", h->bare.modules[0].sha256, ".p7s");
	put(path, der, (size_t)n);
	BIO_free(out);
	free(data);
}

static void trust(struct host *h, const struct identity *who)
{
	char path[PATH_MAX];

	in_host(h, path, "trusted-keys", who->cn, ".pem");
	assert_int_equal(file_copy(who->pem, path, 0644, NULL), 0);
}

static void look(struct host *h, char key[DIGEST_HEX + 1])
{
	assert_int_equal(external_key(h->root, &h->bare, h->digests, key), 0);
}

static int take(struct host *h, const char *key)
{
	const struct external_sign q = { h->root, h->state, &h->kernel, h->bare.key,
		key };

	err_clear(&h->e);
	return external_sign(&q, &h->e);
}

static size_t stored(const struct host *h)
{
	struct artifact *all = NULL;
	size_t n = 0;

	assert_int_equal(store_list(h->state, &all, &n, NULL), 0);
	artifacts_free(all, n);
	return n;
}

static int setup(void **state)
{
	struct host *h = calloc(1, sizeof(*h));

	assert_non_null(h);
	host_folders(h);
	host_build(h);
	identity_make(&h->good, h->dir, "good", 1);
	identity_make(&h->other, h->dir, "other", 2);
	h->digests = boot_digests_new();
	assert_non_null(h->digests);
	trust(h, &h->good);
	*state = h;
	return 0;
}

static int teardown(void **state)
{
	struct host *h = *state;
	int r = dir_remove(h->dir, NULL);

	artifact_done(&h->bare);
	map_free(h->digests);
	free(h);
	return r;
}

/* ---- tests ---- */

static void check_waiting(struct host *h)
{
	struct arena *a = arena_new(1 << 16);
	const char *text = external_wanted(a, h->root, &h->bare);
	char key[DIGEST_HEX + 1];

	look(h, key);
	assert_string_equal(key, "");
	assert_non_null(text);
	assert_non_null(strstr(text, "1 of 1 signatures"));
	assert_non_null(strstr(text, "demo.ko "));
	assert_non_null(strstr(text, h->bare.modules[0].sha256));
	assert_non_null(strstr(text, h->bare.dir));
	assert_non_null(strstr(text, EXTERNAL_FOLDER "/"));
	arena_free(a);
}

/* The unsigned bytes with the very signature behind them, which fits; nothing else is of another kernel. */
static void check_signed(struct host *h, const char *key)
{
	char bare[PATH_MAX], path[PATH_MAX], *data = NULL, *whole = NULL;
	struct elf_signature sig;
	struct artifact a = { 0 };
	size_t len, n, front;

	assert_int_equal(store_get(h->state, key, &a, &h->e), 0);
	assert_string_equal(a.signed_from, h->bare.key);
	assert_string_equal(a.recipe, "");
	assert_string_equal(a.kernel, h->bare.kernel);
	assert_int_equal(
		path_join(bare, sizeof(bare), h->bare.dir, a.modules[0].file, NULL), 0);
	assert_int_equal(
		path_join(path, sizeof(path), a.dir, a.modules[0].file, NULL), 0);
	assert_int_equal(file_read(bare, ELF_BYTES_MAX, &data, &len, NULL), 0);
	assert_int_equal(file_read(path, ELF_BYTES_MAX, &whole, &n, NULL), 0);
	assert_int_equal(elf_split_signature(whole, n, &front, &sig, NULL), 1);
	assert_true(sig.is_pkcs7);
	assert_int_equal(front, len);
	assert_memory_equal(whole, data, len);
	free(data);
	free(whole);
	artifact_done(&a);
	/* The unsigned one stays as it was. */
	assert_int_equal(store_get(h->state, h->bare.key, &a, NULL), 0);
	artifact_done(&a);
}

static void put_garbage(struct host *h)
{
	char path[PATH_MAX];

	in_host(h, path, "signatures", h->bare.modules[0].sha256, ".p7s");
	put(path, "-----BEGIN CMS-----", 19);
}
static void put_nothing(struct host *h)
{
	char path[PATH_MAX];

	in_host(h, path, "signatures", h->bare.modules[0].sha256, ".p7s");
	put(path, "", 0);
}
static void put_huge(struct host *h)
{
	char path[PATH_MAX];

	put_nothing(h);
	in_host(h, path, "signatures", h->bare.modules[0].sha256, ".p7s");
	assert_int_equal(truncate(path, (off_t)16 << 30), 0); /* with holes */
}
static void put_cut(struct host *h)
{
	char path[PATH_MAX];

	sign(h, &h->good, KERNEL_FLAGS | CMS_NOATTR, NULL);
	in_host(h, path, "signatures", h->bare.modules[0].sha256, ".p7s");
	assert_int_equal(truncate(path, 100), 0);
}
static void put_attributes(struct host *h)
{
	sign(h, &h->good, KERNEL_FLAGS, NULL);
}
static void put_of_other_bytes(struct host *h)
{
	sign(h, &h->good, KERNEL_FLAGS | CMS_NOATTR, "another module");
}

static const struct {
	const char *name;
	void (*put)(struct host *h);
	const char *says;
} bad[] = {
	{ "no DER", put_garbage, "is no PKCS#7 signature" },
	{ "empty", put_nothing, "is no PKCS#7 signature" },
	{ "huge", put_huge, "it is too large" },
	{ "cut short", put_cut, "is no PKCS#7 signature" },
	{ "with attributes", put_attributes, "signed attributes" },
	{ "of other bytes", put_of_other_bytes, "does not fit its bytes" },
};

static void test_bad_signatures(void **state)
{
	struct host *h = *state;
	char key[DIGEST_HEX + 1], path[PATH_MAX];

	check_waiting(h);
	in_host(h, path, "signatures", h->bare.modules[0].sha256, ".p7s");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		bad[i].put(h);
		look(h, key);
		if (strlen(key) != DIGEST_HEX)
			fail_msg("case '%s': no key", bad[i].name);
		if (take(h, key) >= 0 || h->e.reason != REASON_KEY_REJECTED ||
			!strstr(h->e.text, path) || !strstr(h->e.text, bad[i].says))
			fail_msg("case '%s': %s: %s", bad[i].name,
				reason_name(h->e.reason), h->e.text);
		/* Nothing of it is in the store, nor half of it. */
		assert_int_equal(stored(h), 1);
		assert_false(store_has(h->state, key));
		assert_int_equal(unlink(path), 0);
	}
	/* What is no file at all is no signature, and nobody hangs on it. */
	assert_int_equal(mkfifo(path, 0600), 0);
	look(h, key);
	assert_string_equal(key, "");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(take(h, h->bare.key), -EAGAIN);
	check_waiting(h);
}

static void test_signed_outside(void **state)
{
	char first[DIGEST_HEX + 1], second[DIGEST_HEX + 1], found[DIGEST_HEX + 1];
	struct host *h = *state;

	assert_int_equal(external_find(h->state, h->bare.key, found, NULL), -ENOENT);
	sign(h, &h->good, KERNEL_FLAGS | CMS_NOATTR, NULL);
	look(h, first);
	assert_int_equal(strlen(first), DIGEST_HEX);
	if (take(h, first) < 0)
		fail_msg("%s", h->e.text);
	check_signed(h, first);
	assert_int_equal(take(h, first), 0); /* it is there already */
	assert_int_equal(stored(h), 2);
	assert_int_equal(external_find(h->state, h->bare.key, found, NULL), 0);
	assert_string_equal(found, first);
	/* Another key's signature is another artifact, and the first one stays too. */
	trust(h, &h->other);
	sign(h, &h->other, KERNEL_FLAGS | CMS_NOATTR, NULL);
	assert_int_equal(take(h, first), -EAGAIN);
	look(h, second);
	assert_string_not_equal(first, second);
	assert_int_equal(take(h, second), 0);
	check_signed(h, second);
	check_signed(h, first);
	assert_int_equal(stored(h), 3);
}

/* The unsigned bytes changed in the store. */
static void test_damaged(void **state)
{
	struct host *h = *state;
	char key[DIGEST_HEX + 1], path[PATH_MAX];

	sign(h, &h->good, KERNEL_FLAGS | CMS_NOATTR, NULL);
	look(h, key);
	(void)snprintf(path, sizeof(path), "%s/%s", h->bare.dir, h->bare.modules[0].file);
	assert_int_equal(truncate(path, 4096), 0);
	assert_true(take(h, key) < 0);
	assert_int_equal(h->e.reason, REASON_ARTIFACT_CORRUPT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_signatures),
		cmocka_unit_test(test_signed_outside),
		cmocka_unit_test(test_damaged),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
