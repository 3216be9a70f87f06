// SPDX-License-Identifier: Apache-2.0
/* One build while it is under way; shared by the build_*.c files only. */
#pragma once

#include <limits.h>

#include "arena.h"
#include "build.h"
#include "dkms.h"
#include "sandbox.h"
#include "source.h"
#include "toolchain.h"

enum { BUILD_ARGS_MAX = 128 };
#define BUILD_MEMORY_DEFAULT (2ULL << 30)
#define BUILD_AT "/build" /* the build folder, as the sandbox sees it */

struct build_module {
	char path[PATH_MAX]; /* of the .ko in the build folder */
	char name[64]; /* as the kernel calls it */
	char file[80]; /* as it is installed, "edu.ko" */
	bool strip;
};

struct work {
	const struct build_request *q;
	struct build_result *res;
	struct arena *arena;
	char top[PATH_MAX]; /* STATE/build/XXXXXX with src/, out/, root/ in it */
	char src[PATH_MAX], out[PATH_MAX], root[PATH_MAX];
	int lock; /* the folder, held locked while we live; 0: none */
	struct source source;
	struct toolchain tc;
	/* Where the headers come out of archives: the request with a kernel that has them. */
	struct build_request own;
	struct kernel kernel;
	char headers_at[PATH_MAX];
	int headers_lock; /* their tree, held locked while we need it; 0: none */
	const char *
		headers_root; /* the root that the headers are below: the host's, or headers_at */
	char headers_digest[DIGEST_HEX + 1];
	char recipe[DIGEST_HEX + 1], config_digest[DIGEST_HEX + 1]; /* reuse.h */
	struct artifact depends[STORE_DEPENDS_MAX]; /* what BUILD_DEPENDS[] names */
	size_t depends_n;
	char signer[10 + DIGEST_HEX +
		    1]; /* "signed-by:<digest of the certificate>", "signed-outside"; "" */
	const char *signer_item;
	struct list patches; /* of the key: @signer, or nothing */
	char *config; /* of the kernel */
	const char *args
		[BUILD_ARGS_MAX]; /* make arguments: of the spec, of the kernel, ours */
	size_t args_n, key_args_n; /* those in the key: without ours */
	int key_system; /* of an archive, what the spec says */
	struct dkms dkms; /* when the source is one */
	bool keeps_debug; /* debug information of some module is not taken off */
	struct build_module *modules;
	size_t modules_n;
	char *log;
	size_t log_len;
	uint64_t limit_us, deadline_us; /* how long the build may take; until when */
	struct err *e;
};

uint64_t build_now_us(void);
/* build.c: the key, @more in it as well. */
int build_make_key(struct work *w, const struct list *more);
void build_warn(struct work *w, const char *fmt, ...) _printf_(2, 3);

/* build_headers.c: headers out of archives that the spec names, where the host has none. */
int build_headers(struct work *w);

/* build_source.c: puts the source into the build folder, and knows its build system then. */
int build_source(struct work *w);

/* build_unpack.c: the archive @path into the folder @to, in a sandbox with the tools of @tools_root. */
struct archive_limits;
int build_unpack(struct work *w, const char *path, const char *to,
	const struct archive_limits *limits, const char *tools_root);

/* build_take.c: true when what another node published is in the store now. */
bool build_take(struct work *w);

/* build_depends.c: the artifacts that w->dkms depends on; their symbols go to /out, their keys into the key. */
#define BUILD_SYMBOLS "depends.symvers"
int build_depends(struct work *w);

/* build_reuse.c: true when another kernel's artifact is in the store for this one as well now. */
bool build_reuse(struct work *w);

/* build_sign.c: what the key has to say of signing, for which the certificate will do; whether this machine has
 * the signing key, asked before it compiles; then signs what was collected. */
int build_sign_open(struct work *w);
int build_sign_ready(struct work *w);
int build_sign(struct work *w);

/* build_make.c: runs the build; the log is in @w then. */
int build_make(struct work *w);
/* Takes debug information off the modules that were collected; runs POST_BUILD. */
int build_strip(struct work *w);

/* build_collect.c: finds what was built; then verifies and stores it. */
int build_collect(struct work *w);
int build_keep(struct work *w);

/* build_log.c: @text, gzipped, to @path. */
int build_log_write(const char *path, const char *text, size_t len, struct err *e)
	_must_check_;
