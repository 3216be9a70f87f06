// SPDX-License-Identifier: Apache-2.0
/*
 * Does a kernel demand signed modules, and whose signature does it trust? Out of what is to be had
 * before any module is offered to it: its configuration, the signer of its own modules, a key built
 * into it, the certificates that the machine's firmware and shim enrolled (db, MokListRT), the
 * keyrings of the running kernel (/proc/keys), and what the admin says in /etc/farrier/trusted-keys.
 * What follows from none of these is said to be unknown, not guessed.
 */
#pragma once

#include "elf.h"
#include "kernels.h"

#define TRUST_FOLDER "/etc/farrier/trusted-keys"
#define TRUST_SIGNING "/etc/farrier/signing" /* as the agent sees it: BUILD_SIGNING */

struct trust_host {
	const char *root; /* with the kernel's /lib/modules */
	const char *sys, *proc; /* of the running kernel */
};

enum trust_verdict {
	TRUST_NOT_ASKED, /* the kernel knows no signatures */
	TRUST_UNSIGNED, /* and it does not mind */
	TRUST_PROVED, /* the kernel has the key, and the signature fits */
	TRUST_KEY_ONLY, /* the kernel has the key; its certificate is not at hand for a check */
	TRUST_STRANGER, /* it has not, and does not mind: the kernel will be tainted */
	TRUST_UNKNOWN, /* nobody can say before the load */
	TRUST_VERDICTS_
};

struct trust_result {
	enum trust_verdict verdict;
	char signer[192]; /* "CN, serial 1234"; "" when unsigned */
};

struct trust;
/* @config: the kernel's configuration. Copies nothing: @k, @config and @h's strings must live on.
 * Certificates and keyrings are read when the first signed module comes. */
int trust_open(const struct kernel *k, const char *config, const struct trust_host *h,
	struct trust **ret, struct err *e) _must_check_;
void trust_free(struct trust *t);
DEFINE_CLEANUP(struct trust, trust_free)
/* Why it demands signatures: "CONFIG_MODULE_SIG_FORCE", …; NULL when it does not. */
const char *trust_demand(const struct trust *t);
/* 0 with @ret filled; -EKEYREJECTED (REASON_KEY_REJECTED) when the kernel would refuse the module:
 * a signature that is broken or does not fit, and, where it demands one, none or a stranger's. */
int trust_check(struct trust *t, const struct elf *m, struct trust_result *ret,
	struct err *e) _must_check_;
