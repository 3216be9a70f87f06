// SPDX-License-Identifier: Apache-2.0
/* The verdict over a module's signature; trust_keys.c gathers what it is judged by. */
#include "trust.h"

#include <limits.h>
#include <stdio.h>
#include <sys/utsname.h>

#include "buf.h"
#include "file.h"
#include "signature.h"
#include "trust_keys.h"

enum { NAMES_MAX = 6, NAMES_TEXT_MAX = 600 };

struct trust {
	const struct kernel *k;
	const char *config;
	struct trust_host h;
	bool is_checking; /* CONFIG_MODULE_SIG */
	bool is_of_host; /* the kernel runs here, or may run here after a reboot */
	const char *demand;
	struct trust_keys keys;
	bool has_keys;
};

static bool is_set(const char *config, const char *option)
{
	char v[8];

	return kernel_config_find(config, option, v, sizeof(v)) == 0 && streq(v, "y");
}

/* Is @root that of the machine we run on? Then its firmware and command line speak for all kernels. */
static bool is_of_host(const struct kernel *k, const char *root)
{
	char path[PATH_MAX];
	struct utsname u;

	return k->is_running || (uname(&u) == 0 &&
					path_join(path, sizeof(path), root, "lib/modules",
						u.release, NULL) == 0 &&
					file_exists(path));
}

/* The kernel's lockdown file: "none [integrity] confidentiality". */
static bool is_locked_down(const struct trust_host *h)
{
	char path[PATH_MAX], line[128];

	if (path_join(path, sizeof(path), h->sys, "kernel/security/lockdown", NULL) < 0 ||
		file_read_line(path, line, sizeof(line)) < 0)
		return false;
	return strstr(line, "[integrity]") || strstr(line, "[confidentiality]");
}

static bool is_enforcing(const struct trust_host *h)
{
	char path[PATH_MAX], line[8];

	return path_join(path, sizeof(path), h->sys,
		       "module/module/parameters/sig_enforce", NULL) == 0 &&
	       file_read_line(path, line, sizeof(line)) == 0 && streq(line, "Y");
}

int trust_open(const struct kernel *k, const char *config, const struct trust_host *h,
	struct trust **ret, struct err *e)
{
	struct trust *t = calloc(1, sizeof(*t));

	if (!t)
		return err_errno(e, -ENOMEM, "kernel '%s'", k->release);
	t->k = k;
	t->config = config;
	t->h = *h;
	t->is_checking = is_set(config, "CONFIG_MODULE_SIG");
	t->is_of_host = is_of_host(k, h->root);
	if (is_set(config, "CONFIG_MODULE_SIG_FORCE"))
		t->demand = "CONFIG_MODULE_SIG_FORCE";
	else if (t->is_checking && t->is_of_host && is_enforcing(h))
		t->demand = "module.sig_enforce";
	else if (t->is_checking && t->is_of_host && is_locked_down(h))
		t->demand = "lockdown";
	*ret = t;
	return 0;
}

void trust_free(struct trust *t)
{
	if (!t)
		return;
	trust_keys_done(&t->keys);
	free(t);
}

const char *trust_demand(const struct trust *t)
{
	return t->demand;
}

/* ---- judging ---- */

static int read_keys(struct trust *t, struct err *e)
{
	const struct trust_scope scope = {
		.is_of_host = t->is_of_host,
		.is_running = t->k->is_running,
		.has_platform = is_set(t->config, "CONFIG_INTEGRITY_PLATFORM_KEYRING") ||
				is_set(t->config, "CONFIG_INTEGRITY_MACHINE_KEYRING"),
	};
	int r = t->has_keys ? 0 : trust_keys_read(&t->keys, t->k, &t->h, &scope, e);

	t->has_keys = r == 0;
	return r;
}

/* Names of keys that would have done, for the message. */
static void name_trusted(const struct trust *t, struct buf *b)
{
	size_t i, n = 0;

	for (i = 0; i < t->keys.certs_n && n < NAMES_MAX; i++)
		if (t->keys.certs[i].is_trusted)
			(void)buf_fmt(b, "%s'%.80s'", n++ ? ", " : "",
				cert_name(t->keys.certs[i].cert));
	for (i = 0; i < t->keys.builtin_n && n < NAMES_MAX; i++)
		(void)buf_fmt(b, "%s'%.80s'", n++ ? ", " : "", t->keys.builtin[i].name);
	for (i = 0; t->k->is_running && i < t->keys.ring_n && n < NAMES_MAX; i++)
		(void)buf_fmt(b, "%s'%.80s'", n++ ? ", " : "", t->keys.ring[i].name);
}

static int refuse_stranger(const struct trust *t, const char *signer, struct err *e)
{
	struct buf b CLEANUP(buf_done);

	buf_init(&b, NAMES_TEXT_MAX);
	name_trusted(t, &b);
	return err_reason(e, -EKEYREJECTED, REASON_KEY_REJECTED,
		"kernel '%s' demands signed modules (%s) and does not have the key of "
		"'%.150s'; it trusts %s",
		t->k->release, t->demand, signer,
		b.len ? buf_cstr(&b) : "no key that is known here");
}

static int judge_signer(const struct trust *t, const struct signature *s,
	const struct signer *who, const struct elf *m, enum trust_verdict *ret,
	struct err *e)
{
	const struct trust_cert *c = trust_keys_cert(&t->keys, who);
	bool in_ring = trust_keys_in_ring(&t->keys, who, c ? cert_key_id(c->cert) : NULL);
	int r = 0;

	if ((c && c->is_trusted) || (t->k->is_running && in_ring) ||
		trust_keys_builtin(&t->keys, who)) {
		/* It has to fit the bytes, demanded or not. */
		if (c)
			r = signature_check(s, c->cert, m->bytes, m->elf_len, e);
		*ret = c ? TRUST_PROVED : TRUST_KEY_ONLY;
		return r;
	}
	/* Another kernel's keyring has keys of the machine and keys of its own. */
	if (in_ring || !t->keys.is_complete || signature_has_certs(s) ||
		(!c && trust_keys_may_have(&t->keys, who)))
		*ret = TRUST_UNKNOWN;
	else
		*ret = TRUST_STRANGER;
	return 0;
}

static int check_signed(
	struct trust *t, const struct elf *m, struct trust_result *ret, struct err *e)
{
	CLEANUP(signature_freep) struct signature *s = NULL;
	enum trust_verdict best = TRUST_STRANGER;
	const struct signer *who;
	size_t i, n;
	int r;

	if (!m->signature.is_pkcs7)
		return err_reason(e, -EKEYREJECTED, REASON_KEY_REJECTED,
			"the module's signature is of a kind that kernels do not know");
	r = signature_parse(m->signature.data, m->signature.len, &s, e);
	if (r == 0)
		r = read_keys(t, e);
	if (r < 0)
		return r;
	n = signature_signers(s, &who);
	(void)snprintf(ret->signer, sizeof(ret->signer), "%s", who[0].name);
	for (i = 0; i < n; i++) {
		enum trust_verdict v = TRUST_STRANGER;

		r = judge_signer(t, s, &who[i], m, &v, e);
		if (r < 0)
			return r;
		/* The kernel is content with one key that it has. */
		if (v == TRUST_PROVED || v == TRUST_KEY_ONLY || best == TRUST_STRANGER)
			best = v;
	}
	ret->verdict = best;
	return best == TRUST_STRANGER && t->demand ? refuse_stranger(t, ret->signer, e)
						   : 0;
}

int trust_check(
	struct trust *t, const struct elf *m, struct trust_result *ret, struct err *e)
{
	struct trust_result out = { .verdict = TRUST_NOT_ASKED };
	int r = 0;

	if (!m->is_signed && t->demand)
		r = err_reason(e, -EKEYREJECTED, REASON_KEY_REJECTED,
			"kernel '%s' demands signed modules (%s), this one is not signed",
			t->k->release, t->demand);
	else if (!m->is_signed)
		out.verdict = t->is_checking ? TRUST_UNSIGNED : TRUST_NOT_ASKED;
	else if (t->is_checking || t->demand)
		r = check_signed(t, m, &out, e);
	*ret = out;
	return r;
}
