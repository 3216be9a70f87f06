// SPDX-License-Identifier: Apache-2.0
/*
 * A control group of its own for one build: memory and processes counted in sum, and the kernel's word
 * on whether memory ran out. Version 1 (a folder per controller) and version 2 (one folder) are told
 * apart by what is there. Where no group can be made, the caller goes on with resource limits.
 */
#pragma once

#include "err.h"

/* Where groups are; tests give a folder of files. */
struct cgroup_place {
	const char *root; /* where the hierarchies are mounted */
	const char *self; /* our own groups, as /proc/self/cgroup says */
};
extern const struct cgroup_place cgroup_host;

struct cgroup_limits {
	uint64_t memory; /* bytes, swap included; 0: not limited */
	unsigned processes; /* 0: not limited */
};

struct cgroup;

/* Makes an empty group below our own, limited, and removes those of builds that are gone. -ENOENT when
 * no controller of ours is there, -EACCES, -EBUSY and others when none can be made: never fatal. */
int cgroup_new(const struct cgroup_place *p, const struct cgroup_limits *l,
	struct cgroup **ret, struct err *e) _must_check_;
/* Kills what is left in it and removes it. */
void cgroup_free(struct cgroup *c);
DEFINE_CLEANUP(struct cgroup, cgroup_free)

/* What it counts: the other limits are for the caller to set. */
bool cgroup_has_memory(const struct cgroup *c);
bool cgroup_has_processes(const struct cgroup *c);
/* 1 or 2. */
int cgroup_version(const struct cgroup *c);

/* Moves the calling process in: system calls only, for a forked child. */
int cgroup_enter(const struct cgroup *c);

/* Did the kernel kill a process of the group for its memory limit? Was a fork refused? */
bool cgroup_is_out_of_memory(const struct cgroup *c);
bool cgroup_is_out_of_processes(const struct cgroup *c);
