// SPDX-License-Identifier: Apache-2.0
/* Distances, and the preferred set against brute force. */
#include "fake_sysfs.h"

#include <time.h>

#include "device-plugin/topology.h"

static struct topology slit4(void)
{
	static const uint8_t d[4][4] = { { 10, 12, 20, 22 }, { 12, 10, 22, 24 },
		{ 20, 22, 10, 12 }, { 22, 24, 12, 10 } };
	struct topology t = { .n = 4 };

	for (int i = 0; i < 4; i++)
		for (int k = 0; k < 4; k++)
			t.slit[i][k] = d[i][k];
	return t;
}

#define P(id_, path_, root_, numa_) \
	{ \
		.id = id_, .device = id_, .path = "devices/" root_ "/" path_, \
		.pcie_root = root_, .numa_node = numa_ \
	}

static void distances_are_in_order(void **state)
{
	static const struct topology_point p[] = {
		P("a", "0000:20:01.0/0000:21:00.0", "pci0000:20", 0),
		P("b", "0000:20:01.0/0000:21:00.1", "pci0000:20", 0), /* same switch */
		P("c", "0000:20:02.0/0000:22:00.0", "pci0000:20", 0), /* same root */
		P("d", "0000:30:01.0/0000:31:00.0", "pci0000:30", 0), /* same node */
		P("e", "0000:40:01.0/0000:41:00.0", "pci0000:40", 1), /* 12 */
		P("f", "0000:50:01.0/0000:51:00.0", "pci0000:50", 2), /* 20 */
		P("g", "0000:60:01.0/0000:61:00.0", "pci0000:60", -1), /* who knows */
	};
	struct topology t = slit4();

	for (size_t i = 2; i < ARRAY_SIZE(p); i++)
		if (topology_distance(&t, &p[0], &p[i]) <=
			topology_distance(&t, &p[0], &p[i - 1]))
			fail_msg("'%s' is not farther than '%s'", p[i].id, p[i - 1].id);
	for (size_t i = 0; i < ARRAY_SIZE(p); i++)
		for (size_t k = 0; k < ARRAY_SIZE(p); k++)
			assert_int_equal(topology_distance(&t, &p[i], &p[k]),
				topology_distance(&t, &p[k], &p[i]));
	assert_true(topology_distance(&t, &p[0], &p[0]) >
		    topology_distance(&t, &p[0], &p[6])); /* two replicas of one device */
}

static void slit_is_read(void **state)
{
	struct topology t;
	char dir[256];

	fake_file(fake_path("sys/devices/system/node/node0/distance"), "10 21\n");
	fake_file(fake_path("sys/devices/system/node/node1/distance"), "21 10\n");
	fake_file(fake_path("sys/devices/system/node/node3/distance"),
		"junk 9999999999 -1\n");
	(void)snprintf(dir, sizeof(dir), "%s", fake_path("sys"));
	topology_load(&t, dir);
	assert_int_equal(t.n, 4);
	assert_int_equal(t.slit[0][1], 21);
	assert_int_equal(t.slit[1][1], 10);
	assert_int_equal(t.slit[3][0], 0);
	topology_load(&t, "/nonexistent");
	assert_int_equal(t.n, 0);
}

/* ---- sets ---- */
static uint32_t seed;

static uint32_t chance(uint32_t below)
{
	seed = seed * 1664525u + 1013904223u;
	return (uint32_t)(((uint64_t)seed * below) >> 32);
}

enum { POINTS_MAX = 64 };
struct field {
	struct topology_point p[POINTS_MAX];
	char id[POINTS_MAX][24], path[POINTS_MAX][96], root[POINTS_MAX][16];
	bool is_must[POINTS_MAX];
	size_t n;
};

static void make_field(struct field *f, size_t n, uint32_t musts)
{
	*f = (struct field){ .n = n };
	for (size_t i = 0; i < n; i++) {
		uint32_t node = chance(4), root = node * 2 + chance(2), port = chance(2);

		(void)snprintf(f->id[i], sizeof(f->id[i]), "%03zu", i);
		(void)snprintf(f->root[i], sizeof(f->root[i]), "pci0000:%02x", root * 16);
		(void)snprintf(f->path[i], sizeof(f->path[i]),
			"devices/%s/0000:%02x:%02x.0/0000:%02zx:00.0", f->root[i],
			root * 16, port, i);
		f->p[i] = (struct topology_point){ f->id[i], f->id[i], f->path[i],
			f->root[i], chance(8) ? (int)node : -1, chance(3) };
	}
	for (uint32_t i = 0; i < musts; i++)
		f->is_must[chance((uint32_t)n)] = true;
}

static const struct topology_order orders[] = {
	{ TOPOLOGY_KEY_NONE, TOPOLOGY_KEY_NONE },
	{ TOPOLOGY_KEY_NUMA, TOPOLOGY_KEY_NONE },
	{ TOPOLOGY_KEY_PCIE, TOPOLOGY_KEY_NONE },
	{ TOPOLOGY_KEY_NUMA, TOPOLOGY_KEY_PCIE },
	{ TOPOLOGY_KEY_PCIE, TOPOLOGY_KEY_NUMA },
};

/* As the words say it, from the names. */
static unsigned step_of(const struct topology *t, enum topology_key key,
	const struct topology_point *a, const struct topology_point *b)
{
	size_t n = topology_switch(a->path);

	if (key == TOPOLOGY_KEY_NUMA)
		return topology_numa(t, a->numa_node, b->numa_node);
	if (key == TOPOLOGY_KEY_NONE)
		return topology_distance(t, a, b) % TOPOLOGY_SAME_DEVICE;
	if (!streq(a->pcie_root, b->pcie_root))
		return 2;
	return n && strncmp(a->path, b->path, n) == 0 ? 0 : 1;
}

/* The sums by each key and of the loads, the most important first. */
static uint64_t cost_of(const struct topology *t, const struct topology_order *o,
	const struct field *f, const bool *chosen)
{
	uint64_t first = 0, second = 0, loads = 0;

	for (size_t i = 0; i < f->n; i++) {
		loads += chosen[i] ? f->p[i].load : 0;
		for (size_t k = 0; chosen[i] && k < i; k++) {
			if (!chosen[k])
				continue;
			first += step_of(t, o->first, &f->p[i], &f->p[k]);
			if (streq(f->p[i].device, f->p[k].device))
				first += TOPOLOGY_SAME_DEVICE;
			if (o->second)
				second += step_of(t, o->second, &f->p[i], &f->p[k]);
		}
	}
	assert_true(first < 1 << 20 && second < 1 << 20 && loads < 1 << 20);
	return first << 40 | second << 20 | loads;
}

/* The best cost there is, by trying all sets, and the first set that has it (in the order of ids). */
static uint64_t brute_force(const struct topology *t, const struct topology_order *o,
	const struct field *f, size_t want, bool *best_set)
{
	uint64_t best = UINT64_MAX;

	for (uint32_t set = 0; set < 1u << f->n; set++) {
		bool chosen[POINTS_MAX] = { 0 };
		bool has_all = true;
		uint64_t cost;

		if ((size_t)__builtin_popcount(set) != want)
			continue;
		/* The highest bit is the first id, so that larger sets come first in their order. */
		for (size_t i = 0; i < f->n; i++)
			chosen[i] = set >> (f->n - 1 - i) & 1;
		for (size_t i = 0; i < f->n; i++)
			has_all &= !f->is_must[i] || chosen[i];
		if (!has_all)
			continue;
		cost = cost_of(t, o, f, chosen);
		if (cost <= best) {
			best = cost;
			memcpy(best_set, chosen, sizeof(chosen));
		}
	}
	return best;
}

static size_t count(const bool *b, size_t n)
{
	size_t k = 0;

	for (size_t i = 0; i < n; i++)
		k += b[i];
	return k;
}

static void equals_brute_force(void **state)
{
	struct topology t = slit4();

	seed = 7;
	for (size_t round = 0; round < 150; round++) {
		const struct topology_order *o = &orders[round % ARRAY_SIZE(orders)];
		struct field f;
		bool chosen[POINTS_MAX] = { 0 }, best[POINTS_MAX] = { 0 };
		size_t want, n = round % 50 == 0 ? 16 : 1 + chance(9);

		make_field(&f, n, chance(3));
		want = count(f.is_must, f.n) + chance((uint32_t)f.n);
		want = MIN(want, f.n);
		(void)brute_force(&t, o, &f, want, best);
		assert_int_equal(
			topology_prefer(&t, o, f.p, f.n, f.is_must, want, chosen), 0);
		assert_int_equal(count(chosen, f.n), want);
		if (cost_of(&t, o, &f, chosen) != cost_of(&t, o, &f, best))
			fail_msg("round %zu: n %zu want %zu: not the best", round, f.n,
				want);
		assert_memory_equal(
			chosen, best, f.n); /* deterministic: the first of the best */
	}
}

/* Two devices of one switch lie on different NUMA nodes (as some firmware has it): the order decides. */
static void order_matters(void **state)
{
	static const struct topology_point p[] = {
		P("a", "0000:20:01.0/0000:21:00.0", "pci0000:20", 0),
		P("b", "0000:20:01.0/0000:21:00.1", "pci0000:20", 1),
		P("c", "0000:30:01.0/0000:31:00.0", "pci0000:30", 0),
	};
	static const bool want_switch[] = { true, true, false },
			  want_numa[] = { true, false, true };
	struct topology t = slit4();
	bool none[3] = { false }, chosen[3];

	for (size_t i = 0; i < ARRAY_SIZE(orders); i++) {
		assert_int_equal(
			topology_prefer(&t, &orders[i], p, 3, none, 2, chosen), 0);
		assert_memory_equal(chosen,
			orders[i].first == TOPOLOGY_KEY_NUMA ? want_numa : want_switch,
			sizeof(chosen));
	}
}

/* Replicas of one device are no more than one: taken last. */
static void replicas_come_last(void **state)
{
	static const struct topology_point p[] = {
		{ "a::0", "a", "devices/pci0000:20/0000:20:01.0/a", "pci0000:20", 0, 0 },
		{ "a::1", "a", "devices/pci0000:20/0000:20:01.0/a", "pci0000:20", 0, 0 },
		{ "b::0", "b", "devices/pci0000:60/0000:60:01.0/b", "pci0000:60", -1, 9 },
	};
	static const bool want[] = { true, false, true };
	struct topology t = slit4();
	bool none[3] = { false }, chosen[3];

	for (size_t i = 0; i < ARRAY_SIZE(orders); i++) {
		assert_int_equal(
			topology_prefer(&t, &orders[i], p, 3, none, 2, chosen), 0);
		assert_memory_equal(chosen, want, sizeof(chosen));
	}
}

/* Above what is searched out, it is never worse than picking the nearest from the first one on. */
static uint64_t simple_greedy(const struct topology *t, const struct topology_order *o,
	const struct field *f, size_t want)
{
	bool chosen[POINTS_MAX];
	size_t n;

	memcpy(chosen, f->is_must, sizeof(chosen));
	for (n = count(chosen, f->n); n < want; n++) {
		uint64_t best = UINT64_MAX;
		size_t pick = 0;

		for (size_t i = 0; i < f->n; i++) {
			uint64_t cost;

			if (chosen[i])
				continue;
			chosen[i] = true;
			cost = cost_of(t, o, f, chosen);
			chosen[i] = false;
			if (cost < best) {
				best = cost;
				pick = i;
			}
			if (n == 0)
				break;
		}
		chosen[pick] = true;
	}
	return cost_of(t, o, f, chosen);
}

static void never_worse_than_greedy(void **state)
{
	struct topology t = slit4();

	seed = 5;
	for (size_t round = 0; round < 20; round++) {
		const struct topology_order *o = &orders[round % ARRAY_SIZE(orders)];
		bool chosen[POINTS_MAX] = { 0 };
		struct field f;

		make_field(&f, 17 + chance(20), chance(3));
		assert_int_equal(
			topology_prefer(&t, o, f.p, f.n, f.is_must, 8, chosen), 0);
		assert_true(cost_of(&t, o, &f, chosen) <= simple_greedy(&t, o, &f, 8));
	}
}

static double ms(void)
{
	struct timespec s;

	(void)clock_gettime(CLOCK_MONOTONIC, &s);
	return (double)s.tv_sec * 1e3 + (double)s.tv_nsec / 1e6;
}

/* The goal is 1 ms; under sanitizers and load we only see that it does not explode. BENCH=1 prints. */
static void large_fields_are_quick(void **state)
{
	static const size_t sizes[] = { 8, 16, 64 };
	struct topology t = slit4();

	for (size_t z = 0; z < ARRAY_SIZE(sizes); z++) {
		double worst = 0;

		seed = 11;
		for (size_t round = 0; round < 20; round++) {
			const struct topology_order *o =
				&orders[round % ARRAY_SIZE(orders)];
			bool chosen[POINTS_MAX] = { 0 }, again[POINTS_MAX] = { 0 };
			size_t want = sizes[z] / 2;
			struct field f;
			double t0, took = 1e9;

			make_field(&f, sizes[z], (uint32_t)sizes[z] / 16);
			for (int i = 0; i < 3; i++) {
				t0 = ms();
				assert_int_equal(
					topology_prefer(&t, o, f.p, f.n, f.is_must, want,
						i ? again : chosen),
					0);
				took = MIN(took, ms() - t0);
			}
			worst = MAX(worst, took);
			assert_int_equal(count(chosen, f.n), want);
			for (size_t i = 0; i < f.n; i++)
				assert_true(!f.is_must[i] || chosen[i]);
			assert_memory_equal(chosen, again, f.n);
		}
		assert_true(worst < 5000);
		if (getenv("BENCH"))
			print_message("%zu of %zu: %.3f ms at worst\n", sizes[z] / 2,
				sizes[z], worst);
	}
}

/* Hundreds of replicas in one request: no number overflows, and the choice is still one. */
static void huge_requests(void **state)
{
	enum { N = 600 };
	static struct topology_point p[N];
	static char id[N][24], device[N][24];
	static bool none[N], chosen[N];
	struct topology t = slit4();
	size_t picked = 0;

	for (size_t i = 0; i < N; i++) {
		(void)snprintf(device[i], sizeof(device[i]), "%02zu", i / 50);
		(void)snprintf(id[i], sizeof(id[i]), "%02zu::%03zu", i / 50, i % 50);
		p[i] = (struct topology_point){ id[i], device[i],
			"devices/pci0000:20/0000:20:01.0/x", "pci0000:20", (int)(i / 200),
			0 };
	}
	for (size_t i = 0; i < ARRAY_SIZE(orders); i += 3) {
		assert_int_equal(
			topology_prefer(&t, &orders[i], p, N, none, N - 1, chosen), 0);
		picked = count(chosen, N);
		assert_int_equal(picked, N - 1);
	}
}

static void refuses_what_cannot_be(void **state)
{
	struct topology t = slit4();
	struct field f;
	bool chosen[POINTS_MAX] = { 0 };

	seed = 3;
	make_field(&f, 4, 0);
	assert_int_equal(
		topology_prefer(&t, &orders[0], f.p, f.n, f.is_must, 5, chosen), -EINVAL);
	assert_int_equal(
		topology_prefer(&t, &orders[0], f.p, f.n, f.is_must, 0, chosen), 0);
	assert_int_equal(count(chosen, f.n), 0);
	f.is_must[0] = f.is_must[1] = true;
	assert_int_equal(
		topology_prefer(&t, &orders[0], f.p, f.n, f.is_must, 1, chosen), -EINVAL);
	assert_int_equal(
		topology_prefer(&t, &orders[0], f.p, 0, f.is_must, 0, chosen), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(distances_are_in_order),
		cmocka_unit_test_setup_teardown(slit_is_read, fake_setup, fake_teardown),
		cmocka_unit_test(equals_brute_force),
		cmocka_unit_test(order_matters),
		cmocka_unit_test(replicas_come_last),
		cmocka_unit_test(never_worse_than_greedy),
		cmocka_unit_test(large_fields_are_quick),
		cmocka_unit_test(huge_requests),
		cmocka_unit_test(refuses_what_cannot_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
