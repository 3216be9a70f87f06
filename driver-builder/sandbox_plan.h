// SPDX-License-Identifier: Apache-2.0
/* The plan of a sandbox: what sandbox.c writes down and sandbox_enter.c carries out in the child. */
#pragma once

#include "sandbox.h"

enum sandbox_op_type {
	SANDBOX_DIR, /* make folder dst */
	SANDBOX_LINK, /* symbolic link dst -> src */
	SANDBOX_BIND_RO, /* folder or file src seen at dst, with what is mounted below it */
	SANDBOX_BIND_RW, /* folder src writable at dst, without what is mounted below it */
	SANDBOX_DEVICE, /* device node src usable at dst */
	SANDBOX_FILE, /* file dst holding the text src */
	SANDBOX_PROC,
	SANDBOX_TMP, /* a tmpfs of its own */
	SANDBOX_OPS_
};

struct sandbox_op {
	enum sandbox_op_type type;
	bool is_file; /* binds: the mount point is a file */
	char *src;
	char *dst; /* absolute, with the mount point in front */
};

/* Shared with the child: how far it got. Pointers are into the plan, equal on both sides of a fork. */
struct sandbox_shared {
	int error; /* negative errno of the step that failed */
	const char *step, *what;
	bool is_entered;
};

struct sandbox {
	char *mount_point;
	char *cwd; /* inside; NULL: "/" */
	struct sandbox_op *ops;
	size_t n, cap;
	uint64_t memory, file_size, cpu_seconds, disk;
	unsigned processes;
	char *written[2]; /* the folders that count for @disk; NULL: none */
	const struct cgroup_place *groups;
	struct cgroup
		*cgroup; /* of the command that runs; NULL: limits by process only */
	struct sandbox_shared *shared; /* MAP_SHARED */
};

/* In the command's process, after no_new_privs: system calls only. */
int sandbox_seccomp(void);
