// SPDX-License-Identifier: Apache-2.0
/* NUMA nodes out of sysfs. */
#include "numa.h"

#include <limits.h>
#include <stdio.h>

#include "file.h"

enum {
	LINE_MAX_ = 8192,
	MEMINFO_MAX = 64 << 10,
	NODE_ID_MAX = 9999,
	KIB = 1024,
	CPU_NONE = -1,
};

struct reader {
	struct arena *a;
	const char *dir; /* of all nodes */
	struct numa *numa;
	int r;
};

/* Digits at *@s, which then stands behind them. False: none, or too many. */
static bool take_number(const char **s, uint64_t *ret)
{
	uint64_t v = 0;
	const char *p = *s;

	for (; *p >= '0' && *p <= '9'; p++) {
		if (v > (UINT64_MAX - 9) / 10)
			return false;
		v = v * 10 + (uint64_t)(*p - '0');
	}
	if (p == *s)
		return false;
	*s = p;
	*ret = v;
	return true;
}

/* ---- what each node has ---- */

/* "0-3,8": the CPUs of node number @at. What cannot be understood ends it. */
static void take_cpus(struct numa *numa, size_t at, const char *list)
{
	uint64_t from, to;

	while (take_number(&list, &from)) {
		to = from;
		if (*list == '-') {
			list++;
			if (!take_number(&list, &to))
				return;
		}
		for (; from <= to && from < NUMA_CPUS_MAX; from++) {
			if (numa->cpu_node[from] != CPU_NONE)
				continue;
			numa->cpu_node[from] = (int)at;
			numa->nodes[at].cpus++;
		}
		if (*list != ',')
			return;
		list++;
	}
}

/* "…MemTotal:   123 kB" */
static uint64_t mem_total(const char *path)
{
	static const char word[] = "MemTotal:";
	CLEANUP(freep) char *text = NULL;
	const char *at;
	uint64_t kib;
	size_t len;

	if (file_read(path, MEMINFO_MAX, &text, &len, NULL) < 0)
		return 0;
	at = strstr(text, word);
	if (!at)
		return 0;
	at += strlen(word);
	at += strspn(at, " \t");
	return take_number(&at, &kib) && kib < UINT64_MAX / KIB ? kib * KIB : 0;
}

struct pages {
	const char *dir;
	struct numa_node *node;
};

/* "hugepages-2048kB" */
static int visit_pages(const char *name, void *user)
{
	static const char prefix[] = "hugepages-";
	const struct pages *p = user;
	char path[PATH_MAX], line[32];
	const char *at = name + strlen(prefix), *count = line;
	uint64_t kib, n;

	if (!str_starts(name, prefix) || !take_number(&at, &kib) || !streq(at, "kB") ||
		kib == 0 || kib > UINT32_MAX || p->node->n_pages == NUMA_PAGES_MAX)
		return 0;
	if (path_join(path, sizeof(path), p->dir, name, "nr_hugepages", NULL) < 0 ||
		file_read_line(path, line, sizeof(line)) < 0 || !take_number(&count, &n))
		return 0;
	p->node->pages[p->node->n_pages++] = (struct numa_pages){ kib * KIB, n };
	return 0;
}

static int by_size(const void *x, const void *y)
{
	const struct numa_pages *a = x, *b = y;

	return a->size < b->size ? -1 : a->size > b->size;
}

static void read_pages(struct numa_node *node, const char *dir)
{
	struct pages p = { dir, node };

	(void)dir_each(dir, visit_pages, &p, NULL);
	qsort(node->pages, node->n_pages, sizeof(*node->pages), by_size);
}

/* One number for each node, in their order. Fewer or more: nobody knows which they are of. */
static int read_distance(
	struct arena *a, const char *path, size_t n, const int **ret_distance)
{
	char line[LINE_MAX_];
	const char *at = line;
	uint64_t v;
	int *out;

	if (file_read_line(path, line, sizeof(line)) < 0)
		return 0;
	out = arena_array(a, n, sizeof(*out));
	if (!out)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		at += strspn(at, " ");
		if (!take_number(&at, &v) || v > UINT16_MAX)
			return 0;
		out[i] = (int)v;
	}
	if (at[strspn(at, " ")] == '\0')
		*ret_distance = out;
	return 0;
}

static int read_node(struct reader *rd, size_t at)
{
	struct numa_node *node = &rd->numa->nodes[at];
	char dir[PATH_MAX], path[PATH_MAX], line[LINE_MAX_];

	if (snprintf(dir, sizeof(dir), "%s/node%d", rd->dir, node->id) >=
		(int)sizeof(dir))
		return -ENAMETOOLONG;
	if (path_join(path, sizeof(path), dir, "cpulist", NULL) == 0 &&
		file_read_line(path, line, sizeof(line)) == 0)
		take_cpus(rd->numa, at, line);
	if (path_join(path, sizeof(path), dir, "meminfo", NULL) == 0)
		node->memory = mem_total(path);
	if (path_join(path, sizeof(path), dir, "hugepages", NULL) == 0)
		read_pages(node, path);
	if (path_join(path, sizeof(path), dir, "distance", NULL) < 0)
		return 0;
	return read_distance(rd->a, path, rd->numa->n, &node->distance);
}

/* ---- which nodes there are ---- */

static int visit_node(const char *name, void *user)
{
	struct reader *rd = user;
	const char *at = name + strlen("node");
	uint64_t id;

	if (!str_starts(name, "node") || !take_number(&at, &id) || *at ||
		id > NODE_ID_MAX)
		return 0;
	if (rd->numa->n == NUMA_NODES_MAX)
		return -E2BIG;
	rd->numa->nodes[rd->numa->n++].id = (int)id;
	return 0;
}

static int by_id(const void *x, const void *y)
{
	const struct numa_node *a = x, *b = y;

	return a->id < b->id ? -1 : a->id > b->id;
}

/* A kernel that knows no NUMA: what there is, is node 0's. */
static int read_flat(
	struct arena *a, const char *sys, const char *proc, struct numa *numa)
{
	char path[PATH_MAX], line[LINE_MAX_];
	int *self = arena_array(a, 1, sizeof(*self));

	if (!self)
		return -ENOMEM;
	self[0] = 10;
	numa->n = 1;
	numa->nodes[0] = (struct numa_node){ .distance = self };
	if (path_join(path, sizeof(path), sys, "devices/system/cpu/online", NULL) == 0 &&
		file_read_line(path, line, sizeof(line)) == 0)
		take_cpus(numa, 0, line);
	if (path_join(path, sizeof(path), proc, "meminfo", NULL) == 0)
		numa->nodes[0].memory = mem_total(path);
	if (path_join(path, sizeof(path), sys, "kernel/mm/hugepages", NULL) == 0)
		read_pages(&numa->nodes[0], path);
	return numa->nodes[0].cpus > 0 ? 0 : -ENOENT;
}

int numa_read(struct arena *a, const char *sys, const char *proc, struct numa *ret,
	struct err *e)
{
	struct numa numa = { arena_array(a, NUMA_NODES_MAX, sizeof(*numa.nodes)), 0,
		arena_array(a, NUMA_CPUS_MAX, sizeof(*numa.cpu_node)) };
	struct reader rd = { .a = a, .numa = &numa };
	char dir[PATH_MAX];
	int r = path_join(dir, sizeof(dir), sys, "devices/system/node", NULL);

	if (!numa.nodes || !numa.cpu_node)
		return err_errno(e, -ENOMEM, "NUMA nodes");
	for (size_t i = 0; i < NUMA_CPUS_MAX; i++)
		numa.cpu_node[i] = CPU_NONE;
	rd.dir = dir;
	if (r == 0)
		r = dir_each(dir, visit_node, &rd, NULL);
	if (r == -ENOENT)
		r = 0;
	if (r == 0 && numa.n == 0) {
		r = read_flat(a, sys, proc, &numa);
	} else if (r == 0) {
		qsort(numa.nodes, numa.n, sizeof(*numa.nodes), by_id);
		for (size_t i = 0; r == 0 && i < numa.n; i++)
			r = read_node(&rd, i);
	}
	if (r < 0)
		return err_errno(e, r, "NUMA nodes");
	*ret = numa;
	return 0;
}
