// SPDX-License-Identifier: Apache-2.0
/* The choice of the nearest set: exactly among few, greedily among many. */
#include "topology.h"

enum {
	STARTS_MAX = 64, /* of the greedy search */
	TABLE_MAX = 256, /* points whose costs are kept in a table */
	LOAD_MAX = 1 << 10,
	STEP_MAX = 1000, /* of one pair, by either key */
};

/* A point with its names as numbers: equal ones are the same thing. */
struct spot {
	uint32_t device, root, bridge; /* 0: not known, none */
	int numa;
	unsigned load;
};

struct choice {
	const struct topology *t;
	const struct topology_point *points;
	struct spot *spots;
	size_t n, want;
	const bool *is_must;
	enum topology_key keys[2];
	uint64_t units[2]; /* what a step costs by each key; 0: does not count */
	bool has_loads;
	uint64_t *table; /* n times n costs; NULL when there are too many */
};

/* ---- names to numbers ---- */
static bool is_same_bridge(const char *a, const char *b, size_t n)
{
	return topology_switch(b) == n && strncmp(a, b, n) == 0;
}

/* As the latest point before it with the same name has it: neighbours mostly agree. */
static void place(struct choice *c, size_t i)
{
	const struct topology_point *p = &c->points[i];
	size_t n = topology_switch(p->path);
	struct spot *s = &c->spots[i];
	uint32_t fresh = (uint32_t)i + 1;

	s->numa = p->numa_node;
	s->load = MIN(p->load, (unsigned)LOAD_MAX);
	for (size_t k = i; k-- > 0 && !(s->device && s->root && s->bridge);) {
		const struct topology_point *q = &c->points[k];

		if (!s->device && streq(p->device, q->device)) {
			*s = c->spots[k]; /* a replica: all of it is known */
			s->load = MIN(p->load, (unsigned)LOAD_MAX);
			return;
		}
		if (!s->root && streq(p->pcie_root, q->pcie_root))
			s->root = c->spots[k].root;
		if (!s->bridge && n && is_same_bridge(p->path, q->path, n))
			s->bridge = c->spots[k].bridge;
	}
	s->device = fresh;
	s->root = str_empty(p->pcie_root) ? 0 : s->root ? s->root : fresh;
	s->bridge = !n ? 0 : s->bridge ? s->bridge : fresh;
}

/* ---- costs ---- */
static unsigned pcie_step(const struct spot *a, const struct spot *b)
{
	if (!a->root || a->root != b->root)
		return 2;
	return a->bridge && a->bridge == b->bridge ? 0 : 1;
}

/* As topology_distance() has it. */
static unsigned mixed_step(
	const struct topology *t, const struct spot *a, const struct spot *b)
{
	unsigned pcie = pcie_step(a, b);

	if (pcie == 2)
		return TOPOLOGY_FAR + topology_numa(t, a->numa, b->numa);
	return pcie ? TOPOLOGY_NEAR_ROOT : TOPOLOGY_NEAR_SWITCH;
}

static unsigned step(const struct topology *t, enum topology_key key,
	const struct spot *a, const struct spot *b)
{
	switch (key) {
	case TOPOLOGY_KEY_NUMA:
		return topology_numa(t, a->numa, b->numa);
	case TOPOLOGY_KEY_PCIE:
		return pcie_step(a, b);
	default:
		return mixed_step(t, a, b);
	}
}

static uint64_t pair_cost(const struct choice *c, size_t i, size_t k)
{
	const struct spot *a = &c->spots[i], *b = &c->spots[k];
	uint64_t cost;

	if (c->table)
		return c->table[i * c->n + k];
	cost = step(c->t, c->keys[0], a, b) * c->units[0];
	if (c->units[1])
		cost += step(c->t, c->keys[1], a, b) * c->units[1];
	return a->device == b->device ? cost + TOPOLOGY_SAME_DEVICE * c->units[0] : cost;
}

static uint64_t own_cost(const struct choice *c, size_t i)
{
	return c->has_loads ? c->spots[i].load : 0;
}

/* A step by one key costs more than all steps by the next and all loads together. Where numbers would
 * overflow (thousands of devices in one request) the least important is left out. */
static void set_units(struct choice *c, const struct topology_order *o)
{
	uint64_t pairs = (uint64_t)c->want * c->want / 2;
	uint64_t load = (uint64_t)c->want * LOAD_MAX + 1, most;

	c->keys[0] = o->first;
	c->keys[1] = o->first == o->second ? TOPOLOGY_KEY_NONE : o->second;
	c->has_loads = true;
	c->units[1] = c->keys[1] == TOPOLOGY_KEY_NONE ? 0 : load;
	if (__builtin_mul_overflow(load, pairs * STEP_MAX + 1, &c->units[0]) ||
		__builtin_mul_overflow(c->units[0],
			pairs * (STEP_MAX + TOPOLOGY_SAME_DEVICE) + 1, &most) ||
		!c->units[1]) {
		c->units[1] = 0;
		c->units[0] = load;
	}
	if (__builtin_mul_overflow(
		    c->units[0], pairs * (STEP_MAX + TOPOLOGY_SAME_DEVICE) + 1, &most)) {
		c->units[0] = 1;
		c->has_loads = false;
	}
}

static int make_table(struct choice *c)
{
	uint64_t *table;

	if (c->n > TABLE_MAX)
		return 0;
	table = calloc(c->n * c->n, sizeof(*table));
	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < c->n; i++)
		for (size_t k = 0; k < i; k++)
			table[i * c->n + k] = table[k * c->n + i] = pair_cost(c, i, k);
	c->table = table;
	return 0;
}

/* ---- greedy: the nearest to what is picked, from many starts ---- */
struct greedy {
	const struct choice *c;
	uint64_t *to_set; /* cost of adding each */
	bool *is_in;
	size_t n_in, nearest;
	uint64_t cost;
};

/* Also finds the nearest of those that are left, in the same pass. */
static void greedy_add(struct greedy *g, size_t k)
{
	const uint64_t *row = g->c->table ? &g->c->table[k * g->c->n] : NULL;
	uint64_t least = UINT64_MAX;

	g->cost += g->to_set[k];
	g->is_in[k] = true;
	g->n_in++;
	if (g->n_in == g->c->want)
		return;
	for (size_t i = 0; i < g->c->n; i++) {
		if (g->is_in[i])
			continue;
		g->to_set[i] += row ? row[i] : pair_cost(g->c, k, i);
		if (g->to_set[i] < least) {
			least = g->to_set[i];
			g->nearest = i;
		}
	}
}

/* Stops where it cannot get better than @best: costs only grow. */
static void greedy_run(struct greedy *g, size_t start, uint64_t best)
{
	g->cost = 0;
	g->n_in = 0;
	for (size_t i = 0; i < g->c->n; i++) {
		g->is_in[i] = false;
		g->to_set[i] = own_cost(g->c, i);
	}
	for (size_t i = 0; i < g->c->n; i++)
		if (g->c->is_must[i])
			greedy_add(g, i);
	if (g->n_in < g->c->want && !g->is_in[start])
		greedy_add(g, start);
	while (g->n_in < g->c->want && g->cost < best)
		greedy_add(g, g->nearest);
}

/* @ret: what the set costs. */
static int choose_greedily(const struct choice *c, bool *chosen, uint64_t *ret)
{
	CLEANUP(freep) uint64_t *to_set = calloc(c->n, sizeof(*to_set));
	CLEANUP(freep) bool *is_in = calloc(c->n, sizeof(*is_in));
	struct greedy g = { .c = c, .to_set = to_set, .is_in = is_in };
	size_t stride = (c->n + STARTS_MAX - 1) / STARTS_MAX;
	uint64_t best = UINT64_MAX;

	if (!to_set || !is_in)
		return -ENOMEM;
	for (size_t start = 0; start < c->n; start += stride) {
		greedy_run(&g, start, best);
		if (g.cost >= best)
			continue;
		best = g.cost;
		memcpy(chosen, is_in, c->n * sizeof(*is_in));
	}
	*ret = best;
	return 0;
}

/* ---- exact: depth first in the order of ids, cut where it cannot get better ---- */
struct exact {
	const struct choice *c;
	size_t picked[TOPOLOGY_EXACT_MAX];
	size_t musts_from[TOPOLOGY_EXACT_MAX + 1];
	uint64_t to_set[TOPOLOGY_EXACT_MAX + 1]
		       [TOPOLOGY_EXACT_MAX]; /* by the number that is picked */
	uint64_t least_pair;
	uint64_t best; /* a set has to cost less */
	uint32_t best_set;
};

static void exact_take(struct exact *x, size_t n_picked, uint64_t cost)
{
	x->best = cost;
	x->best_set = 0;
	for (size_t k = 0; k < n_picked; k++)
		x->best_set |= 1u << x->picked[k];
}

/* What @left more points from @i on cost at least: each what the nearest to the set costs, and each pair of
 * them what the nearest pair of all does. */
static uint64_t exact_least(const struct exact *x, size_t i, size_t n_picked, size_t left)
{
	const uint64_t *to_set = x->to_set[n_picked];
	uint64_t nearest = UINT64_MAX;

	for (size_t k = i; k < x->c->n; k++)
		nearest = MIN(nearest, to_set[k]);
	return left * nearest + left * (left - 1) / 2 * x->least_pair;
}

static void exact_search(struct exact *x, size_t i, size_t n_picked, uint64_t cost)
{
	size_t n = x->c->n, left = x->c->want - n_picked;
	const uint64_t *was = x->to_set[n_picked], *row = &x->c->table[i * n];

	if (cost >= x->best || x->musts_from[i] > left)
		return; /* an equal set that comes later is not the first */
	if (left == 0) {
		exact_take(x, n_picked, cost);
		return;
	}
	if (n - i < left || cost + exact_least(x, i, n_picked, left) >= x->best)
		return;
	x->picked[n_picked] = i;
	for (size_t k = i + 1; k < n; k++)
		x->to_set[n_picked + 1][k] = was[k] + row[k];
	exact_search(x, i + 1, n_picked + 1, cost + was[i]);
	if (!x->c->is_must[i])
		exact_search(x, i + 1, n_picked, cost);
}

/* Improves on what was chosen greedily: of equal sets the first is wanted, so that may come out again. */
static void choose_exactly(const struct choice *c, uint64_t greedy, bool *chosen)
{
	struct exact x = { .c = c, .least_pair = UINT64_MAX, .best = greedy + 1 };

	for (size_t i = c->n; i-- > 0;) {
		x.musts_from[i] = x.musts_from[i + 1] + c->is_must[i];
		x.to_set[0][i] = own_cost(c, i);
		for (size_t k = 0; k < i; k++)
			x.least_pair = MIN(x.least_pair, c->table[i * c->n + k]);
	}
	exact_search(&x, 0, 0, 0);
	for (size_t i = 0; i < c->n; i++)
		chosen[i] = x.best_set >> i & 1;
}

int topology_prefer(const struct topology *t, const struct topology_order *order,
	const struct topology_point *points, size_t n, const bool *is_must, size_t want,
	bool *chosen)
{
	CLEANUP(freep) struct spot *spots = NULL;
	CLEANUP(freep) uint64_t *table = NULL;
	struct choice c = { t, points, NULL, n, want, is_must };
	uint64_t cost;
	size_t musts = 0;
	int r;

	for (size_t i = 0; i < n; i++) {
		musts += is_must[i];
		chosen[i] = is_must[i];
	}
	if (want > n || musts > want)
		return -EINVAL;
	if (musts == want)
		return 0;
	spots = calloc(n, sizeof(*spots));
	if (!spots)
		return -ENOMEM;
	c.spots = spots;
	for (size_t i = 0; i < n; i++)
		place(&c, i);
	set_units(&c, order);
	if (make_table(&c) < 0)
		return -ENOMEM;
	table = c.table;
	r = choose_greedily(&c, chosen, &cost);
	if (r == 0 && n <= TOPOLOGY_EXACT_MAX)
		choose_exactly(&c, cost, chosen);
	return r;
}
