// SPDX-License-Identifier: Apache-2.0
/* The machine's NUMA nodes as the kernel shows them: CPUs, memory, huge pages, distances. Read anew each
 * time; any file of it may be missing or say anything. */
#pragma once

#include "arena.h"
#include "err.h"

enum { NUMA_NODES_MAX = 256, NUMA_CPUS_MAX = 8192, NUMA_PAGES_MAX = 8 };

struct numa_pages {
	uint64_t size, count; /* bytes of one; how many there are */
};

struct numa_node {
	int id;
	size_t cpus; /* online */
	uint64_t memory; /* bytes, huge pages and all */
	struct numa_pages pages[NUMA_PAGES_MAX]; /* by size */
	size_t n_pages;
	/* To each node, in their order; NULL: the firmware does not say. */
	const int *distance;
};

struct numa {
	struct numa_node *nodes; /* by id */
	size_t n;
	int *cpu_node; /* index into nodes of each CPU's id; -1: no such CPU */
};

/* Below @sys and @proc ("/sys", "/proc"). A kernel without NUMA has node 0 with everything. In @a.
 * -E2BIG beyond NUMA_NODES_MAX, -ENOENT when there is no CPU at all, -ENOMEM. */
int numa_read(struct arena *a, const char *sys, const char *proc, struct numa *ret,
	struct err *e) _must_check_;
