// SPDX-License-Identifier: Apache-2.0
/* Gathers keys and certificates: firmware's and shim's variables, /proc/keys, files. */
#include "trust_keys.h"

#include <limits.h>
#include <stdio.h>

#include "file.h"

enum {
	EFI_BYTES_MAX = 4 << 20,
	EFI_ATTRIBUTES = 4, /* in front of a variable in efivarfs */
	EFI_LIST_HEAD = 28,
	EFI_OWNER = 16,
	RING_BYTES_MAX = 4 << 20,
	WALK_DEPTH_MAX = 8,
};

/* ---- certificates ---- */

/* -ENOENT for what is no certificate; it is left out. */
static int add_cert(struct trust_keys *t, const void *data, size_t len, bool is_trusted)
{
	struct cert *c = NULL;
	int r = cert_parse(data, len, &c, NULL);

	if (r < 0)
		return r == -ENOMEM ? r : -ENOENT;
	if (t->certs_n == TRUST_CERTS_MAX) {
		cert_free(c);
		t->is_complete = false;
		return -ENOENT;
	}
	t->certs[t->certs_n++] = (struct trust_cert){ c, is_trusted };
	return 0;
}

static int add_cert_file(struct trust_keys *t, const char *path, bool is_trusted)
{
	CLEANUP(freep) char *data = NULL;
	size_t len;
	int r = file_read(path, CERT_BYTES_MAX, &data, &len, NULL);

	if (r == 0)
		r = add_cert(t, data, len, is_trusted);
	return r == -ENOMEM ? r : 0;
}

static uint32_t le32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
	       (uint32_t)p[3] << 24;
}

/* Lists of type, size of list, of its header, of each entry; entries are owner and certificate. */
int trust_keys_add_efi(
	struct trust_keys *t, const void *data, size_t len, bool is_trusted)
{
	static const uint8_t x509[16] = { 0xa1, 0x59, 0xc0, 0xa5, 0xe4, 0x94, 0xa7, 0x4a,
		0x87, 0xb5, 0xab, 0x15, 0x5c, 0x2b, 0xf0, 0x72 };
	const uint8_t *p = data;

	while (len >= EFI_LIST_HEAD) {
		size_t list = le32(p + 16), head = le32(p + 20), entry = le32(p + 24);
		size_t at;

		if (list < EFI_LIST_HEAD || list > len || head > list - EFI_LIST_HEAD ||
			entry <= EFI_OWNER)
			return 0;
		for (at = EFI_LIST_HEAD + head; entry <= list - at; at += entry) {
			int r = memcmp(p, x509, sizeof(x509)) != 0
					? 0
					: add_cert(t, p + at + EFI_OWNER,
						  entry - EFI_OWNER, is_trusted);

			if (r == -ENOMEM)
				return r;
		}
		p += list;
		len -= list;
	}
	return 0;
}

static int any_entry(const char *name, void *user)
{
	return 1;
}

/* db, and shim's list of the machine owner's keys; is_complete when they could be read. */
static int read_efi(struct trust_keys *t, const struct trust_host *h, bool is_trusted)
{
	static const struct {
		const char *path;
		size_t skip;
	} all[] = {
		{ "firmware/efi/efivars/db-d719b2cb-3d3a-4596-a3bc-dad00e67656f",
			EFI_ATTRIBUTES },
		{ "firmware/efi/efivars/MokListRT-605dab50-e046-4300-abb6-3dd810dd8b23",
			EFI_ATTRIBUTES },
		{ "firmware/efi/mok-variables/MokListRT", 0 },
	};
	char path[PATH_MAX];
	size_t i, len;
	int r = path_join(path, sizeof(path), h->sys, "firmware/efi", NULL);

	if (r == 0 && !file_exists(path))
		return 0;
	/* The folder is there on every machine with EFI; what is in it only where it is mounted. */
	if (r == 0)
		r = path_join(path, sizeof(path), h->sys, "firmware/efi/efivars", NULL);
	if (r == 0 && dir_each(path, any_entry, NULL, NULL) != 1)
		t->is_complete = false;
	for (i = 0; i < ARRAY_SIZE(all); i++) {
		CLEANUP(freep) char *data = NULL;

		if (path_join(path, sizeof(path), h->sys, all[i].path, NULL) < 0)
			continue;
		r = file_read(path, EFI_BYTES_MAX, &data, &len, NULL);
		if (r == 0 && len > all[i].skip)
			r = trust_keys_add_efi(
				t, data + all[i].skip, len - all[i].skip, is_trusted);
		if (r == -ENOMEM)
			return r;
		if (r < 0 && r != -ENOENT)
			t->is_complete = false;
	}
	return 0;
}

struct folder {
	struct trust_keys *t;
	const char *dir;
};

static int folder_entry(const char *name, void *user)
{
	const struct folder *f = user;
	char path[PATH_MAX];

	return path_join(path, sizeof(path), f->dir, name, NULL) < 0
		       ? 0
		       : add_cert_file(f->t, path, true);
}

/* <name>/tls.crt: certificates of the keys that sign builds here. */
static int signing_entry(const char *name, void *user)
{
	char path[PATH_MAX];

	return path_join(path, sizeof(path), TRUST_SIGNING, name, "tls.crt", NULL) < 0
		       ? 0
		       : add_cert_file(user, path, false);
}

/* Below the host's root: what the admin says; then those of tools that sign modules, known only. */
static int read_files(
	struct trust_keys *t, const struct kernel *k, const struct trust_host *h)
{
	static const char *const known[] = { "/var/lib/dkms/mok.pub",
		"/var/lib/shim-signed/mok/MOK.der" };
	CLEANUP(freep) char *folder = NULL;
	char path[PATH_MAX];
	size_t i;
	int r = 0;

	if (root_resolve(h->root, TRUST_FOLDER, &folder, NULL) == 0) {
		struct folder f = { t, folder };

		if (dir_each(folder, folder_entry, &f, NULL) == -ENOMEM)
			return -ENOMEM;
	}
	/* Whose certificate they are is known; whether they are enrolled is not. */
	if (dir_each(TRUST_SIGNING, signing_entry, t, NULL) == -ENOMEM)
		return -ENOMEM;
	/* A kernel that was built on this machine trusts the key that its build made. */
	if (k->headers && path_join(path, sizeof(path), k->headers,
				  "certs/signing_key.x509", NULL) == 0)
		r = add_cert_file(t, path, true);
	for (i = 0; r == 0 && i < ARRAY_SIZE(known); i++) {
		CLEANUP(freep) char *real = NULL;

		if (root_resolve(h->root, known[i], &real, NULL) == 0)
			r = add_cert_file(t, real, false);
	}
	return r;
}

/* ---- the signer of the kernel's own modules ---- */

struct walk {
	char dir[PATH_MAX];
	char found[PATH_MAX];
	unsigned depth;
};

/* The first module below: 1 when found. */
static int walk_entry(const char *name, void *user)
{
	struct walk *w = user;
	size_t n = strlen(w->dir);
	int r;

	if (strstr(name, ".ko"))
		return path_join(w->found, sizeof(w->found), w->dir, name, NULL) == 0;
	if (w->depth >= WALK_DEPTH_MAX || n + strlen(name) + 2 > sizeof(w->dir))
		return 0;
	(void)snprintf(w->dir + n, sizeof(w->dir) - n, "/%s", name);
	w->depth++;
	r = dir_each(w->dir, walk_entry, w, NULL);
	w->depth--;
	w->dir[n] = '\0';
	return MAX(r, 0);
}

static int read_own_signer(
	struct trust_keys *t, const struct kernel *k, const struct trust_host *h)
{
	CLEANUP(signature_freep) struct signature *s = NULL;
	CLEANUP(freep) struct walk *w = calloc(1, sizeof(*w));
	CLEANUP(freep) char *data = NULL;
	struct elf_signature sig;
	const struct signer *who;
	size_t len;
	int r;

	if (!w)
		return -ENOMEM;
	if (path_join(w->dir, sizeof(w->dir), h->root, "lib/modules", k->release,
		    "kernel", NULL) < 0 ||
		dir_each(w->dir, walk_entry, w, NULL) <= 0)
		return 0;
	r = elf_read_file(w->found, &data, &len, NULL);
	if (r == 0 && elf_split_signature(data, len, &len, &sig, NULL) > 0)
		r = signature_parse(sig.data, sig.len, &s, NULL);
	if (!s)
		return r == -ENOMEM ? r : 0;
	t->builtin_n = signature_signers(s, &who);
	memcpy(t->builtin, who, t->builtin_n * sizeof(*who));
	return 0;
}

/* ---- /proc/keys ---- */

/* "Debian Secure Boot CA: 6ccece7e…: X509.rsa bb419ea1 []" in @s. */
static bool parse_key(char *s, struct trust_ring_key *ret)
{
	char *end = NULL, *p, *id = NULL;
	struct trust_ring_key out = { "" };

	for (p = s; (p = strstr(p, ": X509.")); p++)
		end = p;
	if (!end)
		return false;
	*end = '\0';
	for (p = s; (p = strstr(p, ": ")); p++)
		id = p + 2;
	if (!id || strlen(id) >= sizeof(out.key_id) || !*id ||
		id[strspn(id, "0123456789abcdef")])
		return false;
	(void)snprintf(out.key_id, sizeof(out.key_id), "%s", id);
	id[-2] = '\0';
	(void)snprintf(out.name, sizeof(out.name), "%.120s", s);
	*ret = out;
	return true;
}

/* "0a1b2c3d I------     1 perm 1f030000     0     0 asymmetri DESCRIPTION": instantiated, and neither
 * revoked, dead nor invalidated. */
static bool is_alive(const char *line)
{
	const char *flags = strchr(line, ' ');

	return flags && flags[1] == 'I' &&
	       !memchr(flags + 1, 'R', strcspn(flags + 1, " ")) &&
	       !memchr(flags + 1, 'D', strcspn(flags + 1, " ")) &&
	       !memchr(flags + 1, 'i', strcspn(flags + 1, " "));
}

int trust_keys_add_ring(struct trust_keys *t, const char *text)
{
	static const char type[] = " asymmetri ";
	CLEANUP(freep) char *copy = strdup(text);
	char *line, *next, *at;

	if (!copy)
		return -ENOMEM;
	if (!t->ring)
		t->ring = calloc(TRUST_RING_MAX, sizeof(*t->ring));
	if (!t->ring)
		return -ENOMEM;
	for (line = copy; line && *line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		at = strstr(line, type);
		if (!at || !is_alive(line))
			continue;
		if (t->ring_n == TRUST_RING_MAX) {
			t->is_complete = false;
			break;
		}
		t->ring_n += parse_key(at + strlen(type), &t->ring[t->ring_n]);
	}
	return 0;
}

static int read_ring(struct trust_keys *t, const struct trust_host *h)
{
	CLEANUP(freep) char *text = NULL;
	char path[PATH_MAX];
	int r = path_join(path, sizeof(path), h->proc, "keys", NULL);

	if (r == 0)
		r = file_read(path, RING_BYTES_MAX, &text, NULL, NULL);
	if (r == 0)
		r = trust_keys_add_ring(t, text);
	/* A kernel that checks signatures has at least one key: none means that we may not see. */
	if (r == 0 && t->ring_n > 0)
		return 0;
	t->is_complete = false;
	return r == -ENOMEM ? r : 0;
}

/* ---- all of it ---- */

int trust_keys_read(struct trust_keys *ret, const struct kernel *k,
	const struct trust_host *h, const struct trust_scope *scope, struct err *e)
{
	struct trust_keys t = { .is_complete = scope->is_of_host };
	int r = read_own_signer(&t, k, h);

	if (r == 0)
		r = read_files(&t, k, h);
	if (r == 0 && scope->is_of_host)
		r = read_efi(&t, h, scope->has_platform);
	if (r == 0 && scope->is_of_host)
		r = read_ring(&t, h);
	if (r < 0) {
		trust_keys_done(&t);
		return err_errno(e, r, "kernel '%s': keys", k->release);
	}
	*ret = t;
	return 0;
}

void trust_keys_done(struct trust_keys *t)
{
	size_t i;

	for (i = 0; i < t->certs_n; i++)
		cert_free(t->certs[i].cert);
	free(t->ring);
	*t = (struct trust_keys){ 0 };
}

const struct trust_cert *trust_keys_cert(
	const struct trust_keys *t, const struct signer *who)
{
	const struct trust_cert *known = NULL;
	size_t i;

	for (i = 0; i < t->certs_n; i++) {
		if (!cert_is_signer(t->certs[i].cert, who))
			continue;
		if (t->certs[i].is_trusted)
			return &t->certs[i];
		known = &t->certs[i];
	}
	return known;
}

bool trust_keys_builtin(const struct trust_keys *t, const struct signer *who)
{
	size_t i;

	for (i = 0; i < t->builtin_n; i++)
		if (streq(t->builtin[i].id, who->id))
			return true;
	return false;
}

bool trust_keys_in_ring(
	const struct trust_keys *t, const struct signer *who, const char *key_id)
{
	const char *id = str_starts(who->id, "key:") ? who->id + strlen("key:") : key_id;
	size_t i;

	for (i = 0; !str_empty(id) && i < t->ring_n; i++)
		if (streq(t->ring[i].key_id, id))
			return true;
	return false;
}

/* The kernel writes a subject as "CN" or "O: CN". */
bool trust_keys_may_have(const struct trust_keys *t, const struct signer *who)
{
	size_t i, n = strlen(who->issuer);

	for (i = 0; n > 0 && i < t->ring_n; i++) {
		size_t len = strlen(t->ring[i].name);

		if (len >= n && streq(t->ring[i].name + len - n, who->issuer))
			return true;
	}
	return false;
}
