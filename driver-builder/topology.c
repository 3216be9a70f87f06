// SPDX-License-Identifier: Apache-2.0
/* The join of NUMA nodes and pod resources, zone by zone. */
#include "topology.h"

#include <inttypes.h>
#include <stdio.h>

#include "fingerprint.h"

enum {
	ZONES_MAX = 16, /* as the API has it */
	RESOURCES_MAX = 128, /* of one zone; as the API has it */
	KIB = 1024,
};
static const uint64_t COUNT_MAX = UINT64_C(1) << 53; /* likewise */

struct zone { /* by id */
	const struct numa_node *node; /* NULL: there is none of this id */
	size_t at; /* of the node */
	struct api_topology_resource
		*resources; /* available counts what is held, until the end */
	size_t n;
};

struct maker {
	struct arena *a;
	const struct numa *numa;
	const struct podres *p;
	struct zone zones[ZONES_MAX];
	size_t n;
};

static int64_t plus(int64_t a, uint64_t b)
{
	return (int64_t)MIN((uint64_t)a + MIN(b, COUNT_MAX), COUNT_MAX);
}

static struct zone *zone_of(struct maker *m, int id)
{
	return id >= 0 && (size_t)id < m->n && m->zones[id].node ? &m->zones[id] : NULL;
}

/* The zone's entry of @name, made when there is none; NULL: it has too many. */
static struct api_topology_resource *resource_of(struct zone *z, const char *name)
{
	for (size_t i = 0; i < z->n; i++)
		if (streq(z->resources[i].name, name))
			return &z->resources[i];
	if (z->n == RESOURCES_MAX)
		return NULL;
	z->resources[z->n].name = name;
	return &z->resources[z->n++];
}

static void add(struct zone *z, const char *name, uint64_t capacity, uint64_t allocatable,
	uint64_t held)
{
	struct api_topology_resource *r = z ? resource_of(z, name) : NULL;

	if (!r)
		return;
	r->capacity = plus(r->capacity, capacity);
	r->allocatable = plus(r->allocatable, allocatable);
	r->available = plus(r->available, held);
}

/* ---- devices ---- */

struct unit {
	const struct podres_device *d;
	bool is_held;
};

static int by_device(const struct podres_device *a, const struct podres_device *b)
{
	int r = strcmp(a->resource, b->resource);

	return r ? r : strcmp(a->id, b->id);
}

static int by_unit(const void *x, const void *y)
{
	return by_device(((const struct unit *)x)->d, ((const struct unit *)y)->d);
}

/* Every unit of one device; what is not there is not healthy, and nobody's to count. */
static void hold(struct unit *units, size_t n, const struct podres_device *d)
{
	size_t from = 0, to = n;

	while (from < to) {
		size_t mid = from + (to - from) / 2;

		if (by_device(units[mid].d, d) < 0)
			from = mid + 1;
		else
			to = mid;
	}
	for (; from < n && by_device(units[from].d, d) == 0; from++)
		units[from].is_held = true;
}

static int add_devices(struct maker *m)
{
	const struct list *all = &m->p->allocatable.devices, *held = &m->p->held.devices;
	const struct podres_device *d = all->items, *h = held->items;
	struct unit *units = arena_array(m->a, all->n + 1, sizeof(*units));

	if (!units)
		return -ENOMEM;
	for (size_t i = 0; i < all->n; i++)
		units[i].d = &d[i];
	qsort(units, all->n, sizeof(*units), by_unit);
	for (size_t i = 0; i < held->n; i++)
		hold(units, all->n, &h[i]);
	for (size_t i = 0; i < all->n; i++)
		if (units[i].d->node >= 0)
			add(zone_of(m, units[i].d->node), units[i].d->resource, 1, 1,
				units[i].is_held);
	return 0;
}

/* ---- CPUs ---- */

static struct zone *zone_of_cpu(struct maker *m, int64_t cpu)
{
	int at = cpu < 0 || cpu >= NUMA_CPUS_MAX ? -1 : m->numa->cpu_node[cpu];

	return at < 0 ? NULL : zone_of(m, m->numa->nodes[at].id);
}

static int add_cpus(struct maker *m)
{
	const struct list *all = &m->p->allocatable.cpus, *held = &m->p->held.cpus;
	const int64_t *c = all->items, *h = held->items;
	bool *is_free = arena_array(m->a, NUMA_CPUS_MAX, sizeof(*is_free));

	if (!is_free)
		return -ENOMEM;
	for (size_t i = 0; i < m->n; i++) {
		size_t cpus = m->zones[i].node ? m->zones[i].node->cpus : 0;

		add(&m->zones[i], "cpu", cpus, all->n > 0 ? 0 : cpus, 0);
	}
	for (size_t i = 0; i < all->n; i++)
		if (zone_of_cpu(m, c[i]) && !is_free[c[i]]) {
			is_free[c[i]] = true;
			add(zone_of_cpu(m, c[i]), "cpu", 0, 1, 0);
		}
	for (size_t i = 0; i < held->n; i++)
		if (zone_of_cpu(m, h[i]) && is_free[h[i]]) {
			is_free[h[i]] = false;
			add(zone_of_cpu(m, h[i]), "cpu", 0, 0, 1);
		}
	return 0;
}

/* ---- memory ---- */

void topology_pages_name(uint64_t bytes, char out[32])
{
	static const char *const units[] = { "", "Ki", "Mi", "Gi", "Ti" };
	size_t u = 0;

	while (bytes >= KIB && bytes % KIB == 0 && u + 1 < ARRAY_SIZE(units)) {
		bytes /= KIB;
		u++;
	}
	(void)snprintf(out, 32, "hugepages-%" PRIu64 "%s", bytes, units[u]);
}

static uint64_t bytes_of(const struct numa_pages *p)
{
	return p->count > COUNT_MAX / p->size ? COUNT_MAX : p->count * p->size;
}

/* What the machine has. Without a manager of memory all of it can be had. */
static int add_installed(struct maker *m, struct zone *z, bool is_managed)
{
	static const struct numa_node none = { 0 };
	const struct numa_node *node = z->node ? z->node : &none;
	uint64_t rest = node->memory;

	for (size_t i = 0; i < node->n_pages; i++) {
		uint64_t bytes = bytes_of(&node->pages[i]);
		char name[32];
		const char *copy;

		rest -= MIN(rest, bytes);
		if (bytes == 0)
			continue;
		topology_pages_name(node->pages[i].size, name);
		copy = arena_strdup(m->a, name);
		if (!copy)
			return -ENOMEM;
		add(z, copy, bytes, is_managed ? 0 : bytes, 0);
	}
	add(z, "memory", node->memory, is_managed ? 0 : rest, 0);
	return 0;
}

static int add_memory(struct maker *m)
{
	const struct list *all = &m->p->allocatable.memory, *held = &m->p->held.memory;
	const struct podres_memory *b = all->items, *h = held->items;
	int r = 0;

	for (size_t i = 0; i < m->n && r == 0; i++)
		r = add_installed(m, &m->zones[i], all->n > 0);
	for (size_t i = 0; i < all->n; i++)
		add(zone_of(m, b[i].node), b[i].type, 0, b[i].size, 0);
	/* Of memory on several nodes nobody knows how much lies where: it may all lie on each. */
	for (size_t i = 0; i < held->n; i++)
		add(zone_of(m, h[i].node), h[i].type, 0, 0, h[i].size);
	return r;
}

/* ---- all of it ---- */

static int by_name(const void *x, const void *y)
{
	const struct api_topology_resource *a = x, *b = y;

	return strcmp(a->name, b->name);
}

static void settle(struct zone *z)
{
	for (size_t i = 0; i < z->n; i++) {
		struct api_topology_resource *r = &z->resources[i];

		r->available = r->allocatable - MIN(r->allocatable, r->available);
		/* The kubelet knows better what it gives out. */
		r->capacity = MAX(r->capacity, r->allocatable);
	}
	qsort(z->resources, z->n, sizeof(*z->resources), by_name);
}

static int make_zone(struct maker *m, struct zone *z, struct api_topology_zone *out)
{
	struct api_topology_cost *costs = arena_array(m->a, m->n, sizeof(*costs));
	const int *distance = z->node ? z->node->distance : NULL;
	size_t n = 0;

	out->name = arena_fmt(m->a, "node-%zu", (size_t)(z - m->zones));
	if (!costs || !out->name)
		return -ENOMEM;
	for (size_t i = 0; distance && i < m->n; i++) {
		if (!m->zones[i].node)
			continue;
		costs[n].name = arena_fmt(m->a, "node-%zu", i);
		costs[n].value = distance[m->zones[i].at];
		if (!costs[n++].name)
			return -ENOMEM;
	}
	out->costs = (struct list){ costs, n };
	settle(z);
	out->resources = (struct list){ z->resources, z->n };
	return 0;
}

static int add_fingerprint(struct maker *m, struct api_node_topology *t)
{
	const struct podres_pod *pods = m->p->pods.items;
	/* With one of the managers off a scheduler takes pods for exclusive that nobody here can tell. */
	bool is_exclusive = m->p->allocatable.cpus.n > 0 &&
			    m->p->allocatable.memory.n > 0;
	uint64_t *hashes = arena_array(m->a, m->p->pods.n + 1, sizeof(*hashes));
	char text[FINGERPRINT_MAX];
	size_t n = 0;

	if (!hashes)
		return -ENOMEM;
	for (size_t i = 0; i < m->p->pods.n; i++)
		if (!is_exclusive || pods[i].is_exclusive)
			hashes[n++] = fingerprint_pod(pods[i].namespace_, pods[i].name);
	fingerprint_make(hashes, n, text);
	t->fingerprint = arena_strdup(m->a, text);
	t->fingerprint_method = is_exclusive ? "with-exclusive-resources" : "all";
	return t->fingerprint ? 0 : -ENOMEM;
}

static int make_zones(struct maker *m, struct api_node_topology *t)
{
	struct api_topology_zone *zones = arena_array(m->a, m->n + 1, sizeof(*zones));
	int r = zones ? add_devices(m) : -ENOMEM;

	if (r == 0)
		r = add_cpus(m);
	if (r == 0)
		r = add_memory(m);
	for (size_t i = 0; i < m->n && r == 0; i++)
		r = make_zone(m, &m->zones[i], &zones[i]);
	t->zones = (struct list){ zones, m->n };
	return r;
}

int topology_make(struct arena *a, const struct numa *n, const struct podres *p,
	const struct kubelet_policy *k, struct api_node_topology *ret)
{
	struct api_node_topology t = { .present = true, .policy = "", .scope = "" };
	struct maker m = { .a = a, .numa = n, .p = p };
	int r;

	for (size_t i = 0; i < n->n && n->nodes[i].id < ZONES_MAX; i++) {
		m.n = (size_t)n->nodes[i].id + 1;
		m.zones[m.n - 1] = (struct zone){ .node = &n->nodes[i], .at = i };
	}
	for (size_t i = 0; i < m.n; i++) {
		m.zones[i].resources = arena_array(
			a, RESOURCES_MAX, sizeof(*m.zones[i].resources));
		if (!m.zones[i].resources)
			return -ENOMEM;
	}
	if (k->is_known) {
		t.policy = arena_strdup(a, k->topology);
		t.scope = arena_strdup(a, k->scope);
	}
	r = t.policy && t.scope ? make_zones(&m, &t) : -ENOMEM;
	if (r == 0)
		r = add_fingerprint(&m, &t);
	if (r == 0)
		*ret = t;
	return r;
}
