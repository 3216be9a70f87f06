// SPDX-License-Identifier: Apache-2.0
/* NUMA nodes out of made-up machines: two sockets, no NUMA, memory alone, and files that say nonsense. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "driver-builder/numa.h"
#include "file.h"

#define NODE "sys/devices/system/node/"

static char dir[64], sys[80], proc[80];
static struct arena *arena;

static int setup(void **state)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/farrier-numa-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	(void)snprintf(sys, sizeof(sys), "%s/sys", dir);
	(void)snprintf(proc, sizeof(proc), "%s/proc", dir);
	arena = arena_new(1 << 20);
	return arena ? 0 : -1;
}

static int teardown(void **state)
{
	arena_free(arena);
	return dir_remove(dir, NULL);
}

static void put(const char *name, const char *text)
{
	char path[512];

	assert_int_equal(path_join(path, sizeof(path), dir, name, NULL), 0);
	*strrchr(path, '/') = '\0';
	assert_int_equal(dir_make(path, 0755, NULL), 0);
	assert_int_equal(path_join(path, sizeof(path), dir, name, NULL), 0);
	assert_int_equal(file_write_atomic(path, text, strlen(text), 0644, NULL), 0);
}

static void two_sockets(void **state)
{
	struct numa n = { 0 };
	struct err e = { 0 };

	put(NODE "online", "0-1,10\n");
	put(NODE "node0/cpulist", "0-1,4\n");
	put(NODE "node0/meminfo",
		"Node 0 MemTotal:       16316412 kB\nNode 0 MemFree: 1 kB\n");
	put(NODE "node0/distance", "10 21 31\n");
	put(NODE "node0/hugepages/hugepages-1048576kB/nr_hugepages", "2\n");
	put(NODE "node0/hugepages/hugepages-2048kB/nr_hugepages", "512\n");
	put(NODE "node1/cpulist", "2-3\n");
	put(NODE "node1/meminfo", "Node 1 MemTotal: 1 kB\n");
	put(NODE "node1/distance", "21 10 31\n");
	/* Memory alone, and behind node9 by number, not by letters. */
	put(NODE "node10/cpulist", "\n");
	put(NODE "node10/meminfo", "Node 10 MemTotal: 4 kB\n");
	put(NODE "node10/distance", "31 31\n"); /* of how many? */
	assert_int_equal(numa_read(arena, sys, proc, &n, &e), 0);
	assert_int_equal(n.n, 3);
	assert_int_equal(n.nodes[0].id, 0);
	assert_int_equal(n.nodes[1].id, 1);
	assert_int_equal(n.nodes[2].id, 10);
	assert_int_equal(n.nodes[0].cpus, 3);
	assert_int_equal(n.nodes[1].cpus, 2);
	assert_int_equal(n.nodes[2].cpus, 0);
	assert_int_equal(n.nodes[0].memory, 16316412ULL * 1024);
	assert_int_equal(n.nodes[2].memory, 4096);
	assert_int_equal(n.nodes[0].n_pages, 2);
	assert_int_equal(n.nodes[0].pages[0].size, 2 << 20);
	assert_int_equal(n.nodes[0].pages[0].count, 512);
	assert_int_equal(n.nodes[0].pages[1].size, 1 << 30);
	assert_int_equal(n.nodes[1].n_pages, 0);
	assert_int_equal(n.nodes[0].distance[2], 31);
	assert_int_equal(n.nodes[1].distance[0], 21);
	assert_null(n.nodes[2].distance);
	assert_int_equal(n.cpu_node[0], 0);
	assert_int_equal(n.cpu_node[3], 1);
	assert_int_equal(n.cpu_node[4], 0);
	assert_int_equal(n.cpu_node[5], -1);
}

static void no_numa(void **state)
{
	struct numa n = { 0 };
	struct err e = { 0 };

	assert_int_equal(numa_read(arena, sys, proc, &n, &e), -ENOENT);
	put("sys/devices/system/cpu/online", "0-3\n");
	put("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "1\n");
	put("proc/meminfo", "MemTotal:       8 kB\n");
	assert_int_equal(numa_read(arena, sys, proc, &n, &e), 0);
	assert_int_equal(n.n, 1);
	assert_int_equal(n.nodes[0].id, 0);
	assert_int_equal(n.nodes[0].cpus, 4);
	assert_int_equal(n.nodes[0].memory, 8192);
	assert_int_equal(n.nodes[0].n_pages, 1);
	assert_int_equal(n.nodes[0].distance[0], 10);
	assert_int_equal(n.cpu_node[3], 0);
}

/* Whatever stands in the files: no crash, and what is not said is not known. */
static void nonsense(void **state)
{
	static const struct {
		const char *name, *text;
	} cases[] = {
		{ "cpulist", "9-3,,a" },
		{ "cpulist", "18446744073709551615-18446744073709551616" },
		{ "cpulist", "8191-4294967295" },
		{ "cpulist", "1-" },
		{ "meminfo", "MemTotal: 99999999999999999999999 kB" },
		{ "meminfo", "MemTotal:" },
		{ "meminfo", "" },
		{ "distance", "10 x" },
		{ "distance", "10 70000" },
		{ "distance", "10 21 31" },
		{ "distance", "" },
		{ "hugepages/hugepages-kB/nr_hugepages", "1" },
		{ "hugepages/hugepages-0kB/nr_hugepages", "1" },
		{ "hugepages/hugepages-2048kB/nr_hugepages", "many" },
		{ "hugepages/other", "1" },
	};

	put(NODE "nodes/cpulist", "0\n");
	put(NODE "node/cpulist", "0\n");
	put(NODE "node-1/cpulist", "0\n");
	put(NODE "node99999/cpulist", "0\n");
	put(NODE "node1/cpulist", "0\n");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct numa n = { 0 };
		char name[128];

		(void)snprintf(name, sizeof(name), NODE "node0/%s", cases[i].name);
		put(name, cases[i].text);
		arena_reset(arena);
		if (numa_read(arena, sys, proc, &n, NULL) < 0 || n.n != 2)
			fail_msg("case %zu '%s'", i, cases[i].text);
		if (n.nodes[0].memory || n.nodes[0].distance || n.nodes[0].n_pages)
			fail_msg("case %zu '%s' was believed", i, cases[i].text);
	}
}

static void too_many(void **state)
{
	struct numa n = { 0 };
	char name[64];

	for (int i = 0; i <= NUMA_NODES_MAX; i++) {
		(void)snprintf(name, sizeof(name), NODE "node%d/x", i);
		put(name, "");
	}
	assert_int_equal(numa_read(arena, sys, proc, &n, NULL), -E2BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(two_sockets, setup, teardown),
		cmocka_unit_test_setup_teardown(no_numa, setup, teardown),
		cmocka_unit_test_setup_teardown(nonsense, setup, teardown),
		cmocka_unit_test_setup_teardown(too_many, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
