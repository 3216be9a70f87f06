// SPDX-License-Identifier: Apache-2.0
/* Whose signature a kernel demands and trusts, on hosts of every kind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "driver-builder/trust.h"
#include "driver-builder/trust_keys.h"
#include "elf_maker.h"
#include "file.h"
#include "identity.h"

#define FORCE "CONFIG_MODULE_SIG=y\nCONFIG_MODULE_SIG_FORCE=y\n"
#define ASK "CONFIG_MODULE_SIG=y\n"
#define PLATFORM "CONFIG_INTEGRITY_PLATFORM_KEYRING=y\n"
#define MOK "sys/firmware/efi/efivars/MokListRT-605dab50-e046-4300-abb6-3dd810dd8b23"
#define DB "sys/firmware/efi/efivars/db-d719b2cb-3d3a-4596-a3bc-dad00e67656f"

static char keys_dir[] = "/tmp/farrier-trust-keys-XXXXXX";
static struct identity alice, bob;
static char dir[64], root[96], sys[96], proc[96];
static struct kernel kernel;

static int group_setup(void **state)
{
	if (!mkdtemp(keys_dir))
		return -1;
	identity_make(&alice, keys_dir, "Alice", 1);
	identity_make(&bob, keys_dir, "Bob", 2);
	return 0;
}

static int group_teardown(void **state)
{
	return dir_remove(keys_dir, NULL);
}

static int setup(void **state)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/farrier-trust-XXXXXX");
	assert_non_null(mkdtemp(dir));
	(void)snprintf(root, sizeof(root), "%s/root", dir);
	(void)snprintf(sys, sizeof(sys), "%s/sys", dir);
	(void)snprintf(proc, sizeof(proc), "%s/proc", dir);
	kernel = (struct kernel){ .release = "6.1.0-56", .is_running = true };
	return 0;
}

static int teardown(void **state)
{
	return dir_remove(dir, NULL);
}

static void put(const char *name, const void *data, size_t len)
{
	char path[PATH_MAX], *slash;
	struct err e = { 0 };

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	slash = strrchr(path, '/');
	*slash = '\0';
	assert_int_equal(dir_make(path, 0755, &e), 0);
	*slash = '/';
	if (file_write_atomic(path, data, len, 0644, &e) < 0)
		fail_msg("%s", e.text);
}

static void put_text(const char *name, const char *text)
{
	put(name, text, strlen(text));
}

static void put_file(const char *name, const char *from)
{
	char *data;
	size_t len;

	assert_int_equal(file_read(from, 1 << 20, &data, &len, NULL), 0);
	put(name, data, len);
	free(data);
}

/* A variable as efivarfs shows it, with one list of one certificate. */
static void put_efi(const char *name, const char *der)
{
	static const uint8_t head[] = { 7, 0, 0, 0, 0xa1, 0x59, 0xc0, 0xa5, 0xe4, 0x94,
		0xa7, 0x4a, 0x87, 0xb5, 0xab, 0x15, 0x5c, 0x2b, 0xf0, 0x72 };
	uint8_t *out;
	char *data;
	size_t len;
	uint32_t list, zero = 0, entry;

	assert_int_equal(file_read(der, 1 << 20, &data, &len, NULL), 0);
	out = calloc(1, len + 64);
	assert_non_null(out);
	entry = (uint32_t)len + 16;
	list = entry + 28;
	memcpy(out, head, sizeof(head));
	memcpy(out + 20, &list, 4);
	memcpy(out + 24, &zero, 4);
	memcpy(out + 28, &entry, 4);
	memcpy(out + 48, data, len);
	put(name, out, len + 48);
	free(out);
	free(data);
}

static void put_keys(const struct identity *who)
{
	char text[1024];

	(void)snprintf(text, sizeof(text),
		"00b28ddf I--Q---     3 perm 3f030000     0     0 keyring   _ses: 2\n"
		"0123abcd I------     1 perm 1f030000     0     0 asymmetri Debian: CA: "
		"6ccece7e4c6c0d1f6149f3dd27dfcc5cbb419ea1: X509.rsa bb419ea1 []\n"
		"0123abce I--R---     1 perm 1f030000     0     0 asymmetri Gone: "
		"0000000000000000000000000000000000000001: X509.rsa 00000001 []\n"
		"0123abcf I------     1 perm 1f030000     0     0 asymmetri Org: %s: %s: "
		"X509.rsa 01020304 []\n",
		who->cn, who->key_id);
	put_text("proc/keys", text);
}

static const struct made plain = { .modinfo = "name=demo\0vermagic=6.1.0-56\0" };

/* A module, signed by @who unless that is NULL. */
static uint8_t *module_of(const struct identity *who, size_t *ret_len)
{
	uint8_t *p = make_module(&plain, ret_len), *longer;
	struct err e = { 0 };
	char *sig;
	size_t len;

	if (!who)
		return p;
	if (signature_make(who->key, who->der, p, *ret_len, &sig, &len, &e) < 0)
		fail_msg("%s", e.text);
	longer = realloc(p, *ret_len + len);
	assert_non_null(longer);
	p = longer;
	memcpy(p + *ret_len, sig, len);
	*ret_len += len;
	free(sig);
	return p;
}

static int check(const char *config, uint8_t *p, size_t len, struct trust_result *ret,
	struct err *e)
{
	const struct trust_host h = { root, sys, proc };
	struct trust *t = NULL;
	struct elf m;
	int r;

	*e = (struct err){ 0 };
	assert_int_equal(elf_parse(p, len, &m, e), 0);
	assert_int_equal(trust_open(&kernel, config, &h, &t, e), 0);
	r = trust_check(t, &m, ret, e);
	trust_free(t);
	elf_done(&m);
	assert_true(r == 0 || (e->reason == REASON_KEY_REJECTED && e->code == r));
	return r;
}

/* The verdict on a module signed by @who; -1 when it is refused, with @says in the text. */
static int verdict(const char *config, const struct identity *who, const char *says)
{
	struct trust_result res;
	struct err e;
	size_t len;
	uint8_t *p = module_of(who, &len);
	int r = check(config, p, len, &res, &e);

	free(p);
	if (r < 0 && !strstr(e.text, says))
		fail_msg("no '%s' in '%s'", says, e.text);
	return r < 0 ? -1 : (int)res.verdict;
}

static void test_demands(void **state)
{
	assert_int_equal(verdict("", NULL, ""), TRUST_NOT_ASKED);
	assert_int_equal(verdict("", &alice, ""), TRUST_NOT_ASKED);
	assert_int_equal(verdict(ASK, NULL, ""), TRUST_UNSIGNED);
	assert_int_equal(verdict(FORCE, NULL, "CONFIG_MODULE_SIG_FORCE"), -1);
	put_text("sys/module/module/parameters/sig_enforce", "N\n");
	put_text("sys/kernel/security/lockdown", "[none] integrity confidentiality\n");
	assert_int_equal(verdict(ASK, NULL, ""), TRUST_UNSIGNED);
	put_text("sys/kernel/security/lockdown", "none [integrity] confidentiality\n");
	assert_int_equal(verdict(ASK, NULL, "(lockdown)"), -1);
	put_text("sys/module/module/parameters/sig_enforce", "Y\n");
	assert_int_equal(verdict(ASK, NULL, "(module.sig_enforce)"), -1);
	/* Another root's kernel does not care how this machine runs. */
	kernel.is_running = false;
	assert_int_equal(verdict(ASK, NULL, ""), TRUST_UNSIGNED);
}

static void test_running_keyring(void **state)
{
	put_keys(&alice);
	/* Known by its name only, and by nobody else's. */
	assert_int_equal(verdict(FORCE, &alice, ""), TRUST_UNKNOWN);
	assert_int_equal(verdict(FORCE, &bob,
				 "does not have the key of 'Bob, serial 02'; "
				 "it trusts 'Debian: CA', 'Org: Alice'"),
		-1);
	assert_int_equal(verdict(ASK, &bob, ""), TRUST_STRANGER);
	/* With the certificate the key id says it. */
	put_file("root/var/lib/dkms/mok.pub", alice.der);
	assert_int_equal(verdict(FORCE, &alice, ""), TRUST_PROVED);
	put_keys(&bob);
	assert_int_equal(verdict(FORCE, &alice, "Alice"), -1);
	put_text("proc/keys", "");
	assert_int_equal(verdict(FORCE, &alice, ""), TRUST_UNKNOWN);
}

static void test_firmware_keys(void **state)
{
	put_keys(&bob);
	put_efi(MOK, alice.der);
	assert_int_equal(verdict(FORCE PLATFORM, &alice, ""), TRUST_PROVED);
	/* A kernel that does not take the machine's keys. */
	assert_int_equal(verdict(FORCE, &alice, "Alice"), -1);
	put_text(MOK, "\7\0\0\0rubbish");
	put_efi(DB, alice.der);
	assert_int_equal(verdict(FORCE PLATFORM, &alice, ""), TRUST_PROVED);
}

static void test_next_kernel(void **state)
{
	char path[PATH_MAX];
	uint8_t *p;
	size_t len;

	/* Of no machine that we know: only what lies below the root speaks. */
	kernel.is_running = false;
	put_keys(&alice);
	assert_int_equal(verdict(FORCE, &alice, ""), TRUST_UNKNOWN);
	p = module_of(&alice, &len);
	put("root/lib/modules/6.1.0-56/kernel/drivers/a/b.ko", p, len);
	free(p);
	assert_int_equal(verdict(FORCE, &alice, ""), TRUST_KEY_ONLY);
	assert_int_equal(verdict(FORCE, &bob, ""), TRUST_UNKNOWN);
	put_file("root/etc/farrier/trusted-keys/bob.pem", bob.pem);
	put_text("root/etc/farrier/trusted-keys/README", "certificates\n");
	assert_int_equal(verdict(FORCE, &bob, ""), TRUST_PROVED);
	/* A kernel that was built here. */
	(void)snprintf(path, sizeof(path), "%s/headers", dir);
	kernel.headers = path;
	put_file("headers/certs/signing_key.x509", alice.der);
	assert_int_equal(verdict(FORCE, &alice, ""), TRUST_PROVED);
}

static void test_bad_signatures(void **state)
{
	struct trust_result res;
	struct err e;
	size_t len;
	uint8_t *p = module_of(&alice, &len);

	put_file("root/etc/farrier/trusted-keys/alice.pem", alice.pem);
	assert_int_equal(check(ASK, p, len, &res, &e), 0);
	assert_int_equal(res.verdict, TRUST_PROVED);
	assert_string_equal(res.signer, "Alice, serial 01");
	/* A byte changed after signing: refused by kernels that demand nothing, too. */
	p[sizeof(Elf64_Ehdr)] ^= 1;
	assert_int_equal(check(ASK, p, len, &res, &e), -EKEYREJECTED);
	assert_non_null(strstr(e.text, "does not fit"));
	assert_int_equal(check("", p, len, &res, &e), 0);
	/* No PKCS#7 at all. */
	memset(p + len - 200, 0, 100);
	assert_int_equal(check(ASK, p, len, &res, &e), -EKEYREJECTED);
	p[len - 28 - 12 + 2] = 1; /* an older kind of signature */
	assert_int_equal(check(ASK, p, len, &res, &e), -EKEYREJECTED);
	assert_non_null(strstr(e.text, "kind"));
	free(p);
}

static void test_hostile_variables(void **state)
{
	struct trust_keys t = { 0 };
	uint8_t list[64] = { 0xa1, 0x59, 0xc0, 0xa5, 0xe4, 0x94, 0xa7, 0x4a, 0x87, 0xb5,
		0xab, 0x15, 0x5c, 0x2b, 0xf0, 0x72 };
	size_t i, n;

	for (i = 16; i < 28; i++)
		for (n = 0; n < 256; n += 15) {
			uint8_t *exact = malloc(sizeof(list));

			assert_non_null(exact);
			list[i] = (uint8_t)n;
			memcpy(exact, list, sizeof(list));
			assert_int_equal(
				trust_keys_add_efi(&t, exact, sizeof(list), true), 0);
			free(exact);
		}
	assert_int_equal(t.certs_n, 0);
	assert_int_equal(trust_keys_add_ring(&t, " asymmetri \n asymmetri : X509.\nx I "
						 "asymmetri a: zz: X509.rsa\n"
						 "x I 1 asymmetri : X509.rsa\n"
						 "x I 1 asymmetri b: : X509.rsa"),
		0);
	assert_int_equal(t.ring_n, 0);
	trust_keys_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_demands),
		T(test_running_keyring),
		T(test_firmware_keys),
		T(test_next_kernel),
		T(test_bad_signatures),
		T(test_hostile_variables),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
