// SPDX-License-Identifier: Apache-2.0
/*
 * Where a build runs: own mount, PID, IPC, network (none) and UTS namespaces; a root made of
 * read-only binds on a tmpfs, only the build folder and /tmp writable; an unprivileged user, no
 * capabilities, no_new_privs, a filter of system calls, resource limits. There is no way to run without it: what cannot be made
 * is REASON_SANDBOX_UNAVAILABLE.
 *
 * A plan is made first (sandbox_new(), may allocate), then entered in a forked child by
 * sandbox_setup(), which makes system calls only. As root no user namespace is needed; any other
 * user gets one where the kernel allows it.
 */
#pragma once

#include <sys/types.h>

#include "cgroup.h"
#include "child.h"
#include "err.h"

enum { SANDBOX_UID = 65534, SANDBOX_GID = 65534, SANDBOX_BINDS_MAX = 4096 };

struct sandbox;

struct sandbox_options {
	const char *
		tools_root; /* whose /usr, /bin, /lib* are seen: "/" or the host's root */
	const char *headers_root; /* whose kernel headers are seen; NULL: none */
	const char *release; /* kernel whose /lib/modules/R is seen; NULL: none */
	const char *
		headers; /* real path of the header tree when it lies elsewhere; may be NULL */
	const char *mount_point; /* an empty folder: the new root is put together on it */
	const char *work; /* folder that is writable inside; NULL: none */
	const char *work_at; /* where it is seen, absolute; also the current folder */
	bool work_read_only;
	const char *out; /* second writable folder, seen at /out; NULL: none */
	uint64_t
		memory; /* bytes: in sum where there are control groups, else what a process
			  * may map; 0: no limit */
	uint64_t file_size; /* bytes of one file; 0: 4 GiB */
	uint64_t disk; /* bytes below work and out together; 0: 10 GiB */
	uint64_t cpu_seconds; /* of one process; 0: no limit */
	unsigned processes; /* 0: 4096 */
	const struct cgroup_place *groups; /* NULL: the host's */
};

/* Plans; reads folders of the roots, changes nothing. Strings are copied. */
int sandbox_new(const struct sandbox_options *o, struct sandbox **ret, struct err *e)
	_must_check_;
void sandbox_free(struct sandbox *s);
DEFINE_CLEANUP(struct sandbox, sandbox_free)

/* The child_setup_fn for child_options; @sandbox is a struct sandbox *. The command's path is then
 * looked up inside. The command's status comes out unchanged (killed by N: 128 + N). Everything
 * started inside dies with the command, and with the parent. */
int sandbox_setup(void *sandbox);

/* After the child's end: 0 when the sandbox was entered, else REASON_SANDBOX_UNAVAILABLE with the
 * step that failed. */
int sandbox_result(const struct sandbox *s, struct err *e);

/* What one run inside gave. */
struct sandbox_run {
	int status; /* exit status, 128 + N when killed by signal N */
	bool is_timed_out;
	bool is_out_of_memory,
		is_disk_full; /* ended for its limit; the output says so too */
	uint64_t took_us;
	char *out; /* stdout and stderr, first @out_max bytes; the caller's */
	size_t out_len;
};
/* Runs @argv inside and waits: for workers and commands, not for loops. -ETIMEDOUT is not an error
 * here, see is_timed_out. @env NULL: sandbox_env. */
int sandbox_run(struct sandbox *s, const char *const *argv, const char *const *env,
	uint64_t timeout_us, size_t out_max, struct sandbox_run *ret, struct err *e)
	_must_check_;
void sandbox_run_done(struct sandbox_run *r);
/* PATH, HOME=/tmp, LC_ALL=C, and what makes builds reproducible. NULL-terminated. */
extern const char *const sandbox_env[];

/* 0 when a sandbox can be made here and now (runs `true` in one); for `status` and start-up. */
int sandbox_check(const char *tools_root, const char *scratch, struct err *e)
	_must_check_;
