// SPDX-License-Identifier: Apache-2.0
/* Zones out of NUMA nodes and pod resources: what is counted where, what is free, which pods sign. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "driver-builder/topology.h"

#define MIB (1 << 20)
#define LIST(a) \
	{ \
		(void *)(a), ARRAY_SIZE(a) \
	}

static struct arena *arena;
static int cpu_node[NUMA_CPUS_MAX];

/* Nodes 0 and 2 of four CPUs and 64 MiB, of which the second has 4 MiB in huge pages; 70 is for nobody. */
static const int near[] = { 10, 21, 31 }, far[] = { 21, 10, 31 };
static struct numa_node nodes[] = {
	{ .id = 0, .cpus = 4, .memory = 64 * MIB, .distance = near },
	{ .id = 2,
		.cpus = 4,
		.memory = 64 * MIB,
		.pages = { { 2 * MIB, 2 }, { 1024 * MIB, 0 } },
		.n_pages = 2,
		.distance = far },
	{ .id = 70, .cpus = 4 },
};
static const struct numa numa = { nodes, ARRAY_SIZE(nodes), cpu_node };

static int setup(void **state)
{
	arena = arena_new(16 << 20);
	for (int i = 0; i < NUMA_CPUS_MAX; i++)
		cpu_node[i] = i < 12 ? i / 4 : -1;
	return arena ? 0 : -1;
}

static int teardown(void **state)
{
	arena_free(arena);
	return 0;
}

static const struct api_topology_resource *find(
	const struct api_node_topology *t, size_t zone, const char *name)
{
	const struct api_topology_zone *z = t->zones.items;
	const struct api_topology_resource *r = z[zone].resources.items;

	for (size_t i = 0; i < z[zone].resources.n; i++)
		if (streq(r[i].name, name))
			return &r[i];
	return NULL;
}

static void expect(const struct api_node_topology *t, size_t zone, const char *name,
	int64_t capacity, int64_t allocatable, int64_t available)
{
	const struct api_topology_resource *r = find(t, zone, name);

	if (!r)
		fail_msg("zone %zu has no '%s'", zone, name);
	if (r->capacity != capacity || r->allocatable != allocatable ||
		r->available != available)
		fail_msg("zone %zu '%s': %lld %lld %lld", zone, name,
			(long long)r->capacity, (long long)r->allocatable,
			(long long)r->available);
}

static struct api_node_topology make(const struct podres *p)
{
	struct kubelet_policy k = {
		.is_known = true, .topology = "single-numa-node", .scope = "pod"
	};
	struct api_node_topology t = { .present = false };

	assert_int_equal(topology_make(arena, &numa, p, &k, &t), 0);
	assert_true(t.present);
	return t;
}

static void zones(void **state)
{
	const struct podres none = { 0 };
	struct kubelet_policy unknown = { 0 };
	struct api_node_topology t = make(&none);
	const struct api_topology_zone *z = t.zones.items;
	const struct api_topology_cost *c = z[2].costs.items;

	assert_string_equal(t.policy, "single-numa-node");
	assert_string_equal(t.scope, "pod");
	assert_int_equal(t.zones.n, 3);
	assert_string_equal(z[0].name, "node-0");
	assert_string_equal(z[1].name, "node-1"); /* no such node: an empty zone */
	assert_string_equal(z[2].name, "node-2");
	assert_int_equal(z[1].costs.n, 0);
	expect(&t, 1, "cpu", 0, 0, 0);
	expect(&t, 1, "memory", 0, 0, 0);
	assert_int_equal(z[2].costs.n, 2);
	assert_string_equal(c[0].name, "node-0");
	assert_string_equal(c[1].name, "node-2");
	assert_int_equal(c[0].value, 21);
	assert_int_equal(c[1].value, 10);
	/* Nobody gives out CPUs and memory: to a scheduler a zone without them would have none at all. */
	expect(&t, 0, "cpu", 4, 4, 4);
	expect(&t, 0, "memory", 64 * MIB, 64 * MIB, 64 * MIB);
	expect(&t, 2, "memory", 64 * MIB, 60 * MIB, 60 * MIB);
	expect(&t, 2, "hugepages-2Mi", 4 * MIB, 4 * MIB, 4 * MIB);
	assert_null(find(&t, 2, "hugepages-1Gi"));
	assert_null(find(&t, 0, "hugepages-2Mi"));
	assert_string_equal(t.fingerprint, "pfp0v001ef46db3751d8e999");
	assert_string_equal(t.fingerprint_method, "all");
	assert_int_equal(topology_make(arena, &numa, &none, &unknown, &t), 0);
	assert_string_equal(t.policy, "");
	assert_string_equal(t.scope, "");
}

static void devices(void **state)
{
	const struct podres_device all[] = {
		{ "a.b/c", "x3", 2 },
		{ "a.b/c", "x0", 0 },
		{ "a.b/c", "x1", 0 },
		{ "a.b/c", "both", 0 }, /* on two nodes */
		{ "a.b/c", "both", 2 },
		{ "a.b/flat", "f0", -1 }, /* no zone's */
		{ "d.e/f", "x0", 2 }, /* of the same name as another's */
		{ "d.e/far", "y", 70 },
		{ "d.e/gone", "y", 9 },
		{ "d.e/gone", "z", 1 },
	};
	const struct podres_device held[] = {
		{ "a.b/c", "both", 0 },
		{ "a.b/c", "x1", 0 },
		{ "a.b/c", "x1", 0 }, /* twice is once */
		{ "a.b/c", "ill", 0 }, /* not allocatable any more: not subtracted */
		{ "a.b/flat", "f0", -1 },
	};
	const struct podres p = { .allocatable.devices = LIST(all),
		.held.devices = LIST(held) };
	struct api_node_topology t = make(&p);

	expect(&t, 0, "a.b/c", 3, 3, 1);
	expect(&t, 2, "a.b/c", 2, 2, 1);
	expect(&t, 2, "d.e/f", 1, 1, 1);
	assert_null(find(&t, 1, "d.e/gone"));
	assert_null(find(&t, 0, "d.e/f"));
	assert_null(find(&t, 0, "a.b/flat"));
	assert_null(find(&t, 2, "d.e/far"));
	/* By name, so that equal content is equal text. */
	for (size_t i = 1; i < ((struct api_topology_zone *)t.zones.items)[2].resources.n;
		i++) {
		const struct api_topology_resource *r =
			((struct api_topology_zone *)t.zones.items)[2].resources.items;

		assert_true(strcmp(r[i - 1].name, r[i].name) < 0);
	}
}

static void managed(void **state)
{
	const int64_t cpus[] = { 1, 2, 3, 5, 6, 6, 11, -1, 99999 },
		      held_cpus[] = { 2, 3, 3, 0, -5, 1 << 30 };
	const struct podres_memory all[] = {
		{ "memory", 50 * MIB, 0 },
		{ "memory", 40 * MIB, 2 },
		{ "hugepages-2Mi", 4 * MIB, 2 },
		{ "hugepages-1Gi", 1024 * MIB, 0 }, /* more than the machine says */
		{ "memory", 1, 33 },
	};
	const struct podres_memory held[] = {
		{ "memory", 45 * MIB, 0 }, /* may lie on both */
		{ "memory", 45 * MIB, 2 },
		{ "hugepages-2Mi", 2 * MIB, 2 },
		{ "memory", UINT64_MAX, 9 },
	};
	const struct podres_pod pods[] = { { "default", "nginx", true },
		{ "default", "shared", false }, { "kube-system", "coredns-abc", true } };
	const struct podres p = {
		.allocatable = { .cpus = LIST(cpus), .memory = LIST(all) },
		.held = { .cpus = LIST(held_cpus), .memory = LIST(held) },
		.pods = LIST(pods),
	};
	struct api_node_topology t = make(&p);

	expect(&t, 0, "cpu", 4, 3, 1); /* 1, 2, 3 of which 2 and 3 are held */
	expect(&t, 2, "cpu", 4, 2, 2);
	expect(&t, 0, "memory", 64 * MIB, 50 * MIB, 5 * MIB);
	expect(&t, 2, "memory", 64 * MIB, 40 * MIB, 0);
	expect(&t, 2, "hugepages-2Mi", 4 * MIB, 4 * MIB, 2 * MIB);
	expect(&t, 0, "hugepages-1Gi", 1024 * MIB, 1024 * MIB, 1024 * MIB);
	/* Both managers are on: the pods that have something for themselves. */
	assert_string_equal(t.fingerprint, "pfp0v001e598b4ac7f1b1e44");
	assert_string_equal(t.fingerprint_method, "with-exclusive-resources");
}

/* CPUs that are all reserved are not CPUs that nobody manages. */
static void one_manager(void **state)
{
	const int64_t cpus[] = { 5 };
	const struct podres_pod pods[] = { { "default", "nginx", false } };
	const struct podres p = { .allocatable.cpus = LIST(cpus), .pods = LIST(pods) };
	struct api_node_topology t = make(&p);

	expect(&t, 0, "cpu", 4, 0, 0);
	expect(&t, 2, "cpu", 4, 1, 1);
	expect(&t, 0, "memory", 64 * MIB, 64 * MIB, 64 * MIB);
	assert_string_equal(t.fingerprint, "pfp0v0016a5a78cfbc52d821");
	assert_string_equal(t.fingerprint_method, "all");
}

static void large(void **state)
{
	enum { KINDS = 300 };
	static struct podres_device all[KINDS];
	static char names[KINDS][16];
	const struct podres_memory memory[] = { { "memory", UINT64_MAX, 0 },
		{ "memory", UINT64_MAX, 0 } };
	const struct podres p = { .allocatable = { .devices = LIST(all),
					  .memory = LIST(memory) } };
	struct api_node_topology t;
	struct json *j;

	for (int i = 0; i < KINDS; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "v/%d", i);
		all[i] = (struct podres_device){ names[i], "x", 0 };
	}
	t = make(&p);
	/* What comes out is what the API takes. */
	j = field_print(api_node_topology_fields, &t);
	assert_non_null(j);
	assert_int_equal(field_parse(arena, api_node_topology_fields, j, &t, NULL), 0);
	assert_int_equal(((struct api_topology_zone *)t.zones.items)[0].resources.n, 128);
	json_free(j);
}

static void pages(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *name;
	} cases[] = {
		{ 65536, "hugepages-64Ki" },
		{ 2 << 20, "hugepages-2Mi" },
		{ 32 << 20, "hugepages-32Mi" },
		{ 1 << 30, "hugepages-1Gi" },
		{ UINT64_C(16) << 30, "hugepages-16Gi" },
		{ 1536 << 10, "hugepages-1536Ki" },
	};
	char out[32];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		topology_pages_name(cases[i].bytes, out);
		assert_string_equal(out, cases[i].name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(zones, setup, teardown),
		cmocka_unit_test_setup_teardown(devices, setup, teardown),
		cmocka_unit_test_setup_teardown(managed, setup, teardown),
		cmocka_unit_test_setup_teardown(one_manager, setup, teardown),
		cmocka_unit_test_setup_teardown(large, setup, teardown),
		cmocka_unit_test_setup_teardown(pages, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
