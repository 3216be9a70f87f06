// SPDX-License-Identifier: Apache-2.0
/*
 * From a driver's spec and a kernel to a verified artifact in the store:
 * source -> key -> (store) -> sandbox -> make -> strip -> verify -> store.
 *
 * build_run() does it and waits, for commands. build_start() does the same in a worker process of
 * its own, so that the loop never blocks; the worker and all it started die with the caller.
 */
#pragma once

#include <limits.h>

#include "api.h"
#include "digest.h"
#include "kernels.h"
#include "loop.h"
#include "remote.h"
#include "store.h"

enum { BUILD_LOG_MAX = 8 << 20, BUILD_WARNINGS_MAX = 8, BUILD_MODULES_MAX = 256 };

/* <secretRef>/tls.key and tls.crt below it sign what `signing.mode: Secret` asks for. */
#define BUILD_SIGNING "/etc/farrier/signing"

/* Another wanted driver of this node, and its artifact for the same kernel; NULL: not built. */
struct build_peer {
	const char *driver, *key;
};

struct build_request {
	const char *root; /* the host's root: headers, host toolchain, firmware */
	const char *source_root; /* host source paths are below it; NULL: root */
	const char *state; /* STATE */
	const char *driver; /* name of the driver */
	const struct api_driver_spec *spec; /* source, build, modules, version are used */
	const struct kernel *kernel;
	const char *signing; /* folder of signing keys; NULL: BUILD_SIGNING */
	unsigned jobs; /* 0: as many as CPUs online */
	bool force; /* build although the store has it */
	const struct remote *
		remote; /* credentials for sources; with the next two: taken from there; may be NULL */
	const char *published_key,
		*published_digest; /* of another node's build; may be NULL */
	const char *
		published_unsigned; /* what its modules have to be; NULL: whatever they are */
	bool is_compared; /* others build it too, to be compared: what fits from elsewhere will not do */
	const struct build_peer *peers; /* those that BUILD_DEPENDS[] may mean */
	size_t peers_n;
	int log_fd; /* <= 0: none; else the build's output is copied here when it ends */
};

/* Lives in the result, plain data: it crosses from the worker by shared memory. */
struct build_result {
	char key[DIGEST_HEX + 1]; /* "" when it failed before the key was known */
	bool is_reused; /* from the store, nothing was compiled */
	bool is_pulled; /* reused, and from the registry a moment ago */
	struct err
		refused; /* why what the fleet shares was not taken; code 0: it was, or is none */
	int64_t build_seconds; /* 0 when reused */
	uint64_t took_us;
	size_t modules_n;
	char modules[BUILD_MODULES_MAX][64]; /* kernel names, in the spec's order first */
	size_t warnings_n;
	char warnings[BUILD_WARNINGS_MAX][256];
	char log[4096]; /* path of the kept log: in the artifact, or STATE/failures/<key>.log.gz; "" */
	struct err err; /* .code 0: success; .reason and .text for status */
};

/* Where the key or the certificate of a driver lies: a file in the folder @secret_ref of @folder (NULL:
 * BUILD_SIGNING). -EINVAL when @secret_ref is no plain name. */
int build_sign_path(const char *folder, const char *secret_ref, const char *file,
	char out[PATH_MAX]) _must_check_;

/* Everything, now. 0 or negative; @ret is always filled, ret->err equals @e. Reasons:
 * HeadersMissing, DependencyMissing, CompilerMissing, CompilerMismatch, Source*, SandboxUnavailable, BuildFailed (text
 * holds the first error of the compiler), BuildTimeout, OutOfMemory, ModuleMissing (a module of the
 * spec was not built), NotForThisKernel (-ENOTSUP), DiskFull, and verify's. */
int build_run(const struct build_request *q, struct build_result *ret, struct err *e);

/* The key of a build without building: reads the whole source and runs the compiler once. */
int build_key(const struct build_request *q, char ret[DIGEST_HEX + 1], struct err *e)
	_must_check_;

struct build;
typedef void (*build_done_fn)(const struct build_result *res, void *user);
/* Forks a worker. @q is copied by the fork: it need not outlive the call. @done comes once from the
 * loop; the build is freed after it. */
int build_start(struct loop *l, const struct build_request *q, build_done_fn done,
	void *user, struct build **ret, struct err *e) _must_check_;
/* Kills the worker and everything below it. @done does not come. Frees @b. NULL is fine. */
void build_cancel(struct build *b);

/* Removes what killed builds left in STATE/build. At start-up, before any build runs. */
int build_clean(const char *state, struct err *e) _must_check_;

/* A failure worth telling out of a build's output: the first compiler error line, modpost or make
 * complaint, with the build path taken off. Pure. @out "" when nothing is recognised. */
enum reason build_classify(const char *log, size_t len, int status, bool is_timed_out,
	char *out, size_t size);
