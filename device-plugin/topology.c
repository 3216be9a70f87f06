// SPDX-License-Identifier: Apache-2.0
/* Distances between devices and the choice of the nearest set. */
#include "topology.h"

#include <ctype.h>
#include <stdio.h>

#include "file.h"

/* Powers of nothing in particular, only in this order; a SLIT entry is 10 to 254. */
enum {
	NEAR_SWITCH = 10,
	NEAR_ROOT = 20,
	NEAR_NUMA = 30,
	FAR_BASE = 30, /* plus the SLIT distance */
	FAR_UNKNOWN = 30 + 255,
	SAME_DEVICE = 1000,
	STARTS_MAX = 64, /* of the greedy search */
	TABLE_MAX = 512, /* points whose distances are kept in a table */
};
/* Distances come first, loads only break ties: a load never adds up to one step. */
#define STEP (1ULL << 24)
enum { LOAD_MAX = 1 << 10 };

static void load_row(struct topology *t, size_t node, const char *line)
{
	const char *p = line;

	for (size_t i = 0; i < TOPOLOGY_NODES_MAX; i++) {
		unsigned v = 0;

		while (*p == ' ')
			p++;
		if (!isdigit((unsigned char)*p))
			return;
		for (; isdigit((unsigned char)*p) && v < 1000; p++)
			v = v * 10 + (unsigned)(*p - '0');
		t->slit[node][i] = v > 254 ? 254 : (uint8_t)v;
	}
}

void topology_load(struct topology *t, const char *sysfs)
{
	char path[512], line[TOPOLOGY_NODES_MAX * 5];

	*t = (struct topology){ 0 };
	for (size_t i = 0; i < TOPOLOGY_NODES_MAX; i++) {
		(void)snprintf(path, sizeof(path),
			"%s/devices/system/node/node%zu/distance", sysfs ? sysfs : "/sys",
			i);
		if (file_read_line(path, line, sizeof(line)) < 0)
			continue;
		load_row(t, i, line);
		t->n = i + 1;
	}
}

/* Do the paths share a bridge below their root? "devices/pci0000:20/0000:20:01.0/…" */
static bool share_switch(const char *a, const char *b)
{
	const char *root = strstr(a, "/pci");
	size_t common = 0, parts = 0;

	if (!root)
		return false;
	for (size_t i = 0; a[i] && a[i] == b[i]; i++)
		if (a[i] == '/')
			common = i;
	for (size_t i = (size_t)(root - a) + 1; i < common; i++)
		parts += a[i] == '/';
	return parts >= 1; /* the root itself, and one bridge or more */
}

unsigned topology_distance(const struct topology *t, const struct topology_point *a,
	const struct topology_point *b)
{
	int x = a->numa_node, y = b->numa_node;

	if (streq(a->device, b->device))
		return SAME_DEVICE;
	if (!str_empty(a->pcie_root) && streq(a->pcie_root, b->pcie_root))
		return share_switch(a->path, b->path) ? NEAR_SWITCH : NEAR_ROOT;
	if (x < 0 || y < 0)
		return FAR_UNKNOWN;
	if (x == y)
		return NEAR_NUMA;
	if ((size_t)x >= t->n || (size_t)y >= t->n || !t->slit[x][y])
		return FAR_UNKNOWN;
	return FAR_BASE + t->slit[x][y];
}

static uint64_t pair_cost(const struct topology *t, const struct topology_point *a,
	const struct topology_point *b)
{
	return topology_distance(t, a, b) * STEP;
}

static uint64_t own_cost(const struct topology_point *p)
{
	return MIN(p->load, (unsigned)LOAD_MAX);
}

/* ---- exact: depth first in the order of ids, cut where it cannot get better ---- */
struct exact {
	size_t n, want;
	const bool *is_must;
	uint64_t cost[TOPOLOGY_EXACT_MAX][TOPOLOGY_EXACT_MAX];
	uint64_t own[TOPOLOGY_EXACT_MAX];
	size_t picked[TOPOLOGY_EXACT_MAX];
	uint64_t best;
	uint32_t best_set;
};

static size_t musts_from(const struct exact *x, size_t i)
{
	size_t n = 0;

	for (; i < x->n; i++)
		n += x->is_must[i];
	return n;
}

static void exact_search(struct exact *x, size_t i, size_t n_picked, uint64_t cost)
{
	uint64_t more;

	if (cost >= x->best)
		return; /* an equal set that comes later is not the first */
	if (n_picked == x->want) {
		if (musts_from(x, i) > 0)
			return;
		x->best = cost;
		x->best_set = 0;
		for (size_t k = 0; k < n_picked; k++)
			x->best_set |= 1u << x->picked[k];
		return;
	}
	if (x->n - i < x->want - n_picked || musts_from(x, i) > x->want - n_picked)
		return;
	more = x->own[i];
	for (size_t k = 0; k < n_picked; k++)
		more += x->cost[x->picked[k]][i];
	x->picked[n_picked] = i;
	exact_search(x, i + 1, n_picked + 1, cost + more);
	if (!x->is_must[i])
		exact_search(x, i + 1, n_picked, cost);
}

static void prefer_exact(const struct topology *t, const struct topology_point *points,
	size_t n, const bool *is_must, size_t want, bool *chosen)
{
	struct exact x = { .n = n, .want = want, .is_must = is_must, .best = UINT64_MAX };

	for (size_t i = 0; i < n; i++) {
		x.own[i] = own_cost(&points[i]);
		for (size_t k = 0; k < i; k++)
			x.cost[k][i] = x.cost[i][k] = pair_cost(
				t, &points[k], &points[i]);
	}
	exact_search(&x, 0, 0, 0);
	for (size_t i = 0; i < n; i++)
		chosen[i] = x.best_set >> i & 1;
}

/* ---- greedy: the nearest to what is picked, from many starts ---- */
struct greedy {
	const struct topology *t;
	const struct topology_point *points;
	size_t n;
	uint16_t *table; /* n times n distances; NULL when there are too many */
	uint64_t *to_set; /* cost of adding each */
	bool *is_in;
	uint64_t cost;
};

static uint64_t greedy_cost(const struct greedy *g, size_t i, size_t k)
{
	return g->table ? g->table[i * g->n + k] * STEP
			: pair_cost(g->t, &g->points[i], &g->points[k]);
}

static int greedy_table(struct greedy *g)
{
	if (g->n > TABLE_MAX)
		return 0;
	g->table = calloc(g->n * g->n, sizeof(*g->table));
	if (!g->table)
		return -ENOMEM;
	for (size_t i = 0; i < g->n; i++)
		for (size_t k = 0; k < i; k++)
			g->table[i * g->n + k] = g->table[k * g->n + i] = (uint16_t)
				topology_distance(g->t, &g->points[i], &g->points[k]);
	return 0;
}

static void greedy_add(struct greedy *g, size_t k)
{
	g->cost += g->to_set[k];
	g->is_in[k] = true;
	for (size_t i = 0; i < g->n; i++)
		if (!g->is_in[i])
			g->to_set[i] += greedy_cost(g, k, i);
}

static void greedy_run(struct greedy *g, const bool *is_must, size_t start, size_t want)
{
	size_t n_in = 0;

	g->cost = 0;
	for (size_t i = 0; i < g->n; i++) {
		g->is_in[i] = false;
		g->to_set[i] = own_cost(&g->points[i]);
	}
	for (size_t i = 0; i < g->n; i++) {
		if (!is_must[i])
			continue;
		greedy_add(g, i);
		n_in++;
	}
	if (n_in < want && !g->is_in[start]) {
		greedy_add(g, start);
		n_in++;
	}
	for (; n_in < want; n_in++) {
		size_t best = g->n;

		for (size_t i = 0; i < g->n; i++)
			if (!g->is_in[i] &&
				(best == g->n || g->to_set[i] < g->to_set[best]))
				best = i;
		greedy_add(g, best);
	}
}

static int prefer_greedy(const struct topology *t, const struct topology_point *points,
	size_t n, const bool *is_must, size_t want, bool *chosen)
{
	CLEANUP(freep) uint64_t *to_set = calloc(n, sizeof(*to_set));
	CLEANUP(freep) bool *is_in = calloc(n, sizeof(*is_in));
	struct greedy g = { t, points, n, NULL, to_set, is_in, 0 };
	size_t step = (n + STARTS_MAX - 1) / STARTS_MAX;
	uint64_t best = UINT64_MAX;

	if (!to_set || !is_in || greedy_table(&g) < 0)
		return -ENOMEM;
	for (size_t start = 0; start < n; start += step) {
		greedy_run(&g, is_must, start, want);
		if (g.cost >= best)
			continue;
		best = g.cost;
		memcpy(chosen, is_in, n * sizeof(*is_in));
	}
	free(g.table);
	return 0;
}

int topology_prefer(const struct topology *t, const struct topology_point *points,
	size_t n, const bool *is_must, size_t want, bool *chosen)
{
	size_t musts = 0;

	for (size_t i = 0; i < n; i++) {
		musts += is_must[i];
		chosen[i] = is_must[i];
	}
	if (want > n || musts > want)
		return -EINVAL;
	if (musts == want)
		return 0;
	if (n > TOPOLOGY_EXACT_MAX)
		return prefer_greedy(t, points, n, is_must, want, chosen);
	prefer_exact(t, points, n, is_must, want, chosen);
	return 0;
}
