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

static uint64_t cost_of(
	const struct topology *t, const struct field *f, const bool *chosen)
{
	uint64_t cost = 0;

	for (size_t i = 0; i < f->n; i++) {
		if (!chosen[i])
			continue;
		cost += f->p[i].load;
		for (size_t k = 0; k < i; k++)
			if (chosen[k])
				cost += (uint64_t)topology_distance(t, &f->p[i], &f->p[k])
					<< 24;
	}
	return cost;
}

/* The best cost there is, by trying all sets, and the first set that has it (in the order of ids). */
static uint64_t brute_force(
	const struct topology *t, const struct field *f, size_t want, bool *best_set)
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
		cost = cost_of(t, f, chosen);
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
	for (int round = 0; round < 300; round++) {
		struct field f;
		bool chosen[POINTS_MAX] = { 0 }, best[POINTS_MAX] = { 0 };
		size_t want;

		make_field(&f, 1 + chance(10), chance(3));
		want = count(f.is_must, f.n) + chance((uint32_t)f.n);
		want = MIN(want, f.n);
		(void)brute_force(&t, &f, want, best);
		assert_int_equal(
			topology_prefer(&t, f.p, f.n, f.is_must, want, chosen), 0);
		assert_int_equal(count(chosen, f.n), want);
		if (cost_of(&t, &f, chosen) != cost_of(&t, &f, best))
			fail_msg("round %d: n %zu want %zu: not the best", round, f.n,
				want);
		assert_memory_equal(
			chosen, best, f.n); /* deterministic: the first of the best */
	}
}

static double ms(void)
{
	struct timespec s;

	(void)clock_gettime(CLOCK_MONOTONIC, &s);
	return (double)s.tv_sec * 1e3 + (double)s.tv_nsec / 1e6;
}

static void large_fields_are_quick(void **state)
{
	struct topology t = slit4();

	seed = 11;
	for (int round = 0; round < 20; round++) {
		struct field f;
		bool chosen[POINTS_MAX] = { 0 }, again[POINTS_MAX] = { 0 };
		double t0;

		make_field(&f, 64, 4);
		t0 = ms();
		assert_int_equal(topology_prefer(&t, f.p, f.n, f.is_must, 16, chosen), 0);
		assert_true(ms() - t0 <
			    50.0 * 10); /* ten times the goal: this runs under ASan */
		assert_int_equal(count(chosen, f.n), 16);
		for (size_t i = 0; i < f.n; i++)
			assert_true(!f.is_must[i] || chosen[i]);
		assert_int_equal(topology_prefer(&t, f.p, f.n, f.is_must, 16, again), 0);
		assert_memory_equal(chosen, again, f.n);
	}
}

static void refuses_what_cannot_be(void **state)
{
	struct topology t = slit4();
	struct field f;
	bool chosen[POINTS_MAX] = { 0 };

	seed = 3;
	make_field(&f, 4, 0);
	assert_int_equal(topology_prefer(&t, f.p, f.n, f.is_must, 5, chosen), -EINVAL);
	assert_int_equal(topology_prefer(&t, f.p, f.n, f.is_must, 0, chosen), 0);
	assert_int_equal(count(chosen, f.n), 0);
	f.is_must[0] = f.is_must[1] = true;
	assert_int_equal(topology_prefer(&t, f.p, f.n, f.is_must, 1, chosen), -EINVAL);
	assert_int_equal(topology_prefer(&t, f.p, 0, f.is_must, 0, chosen), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(distances_are_in_order),
		cmocka_unit_test_setup_teardown(slit_is_read, fake_setup, fake_teardown),
		cmocka_unit_test(equals_brute_force),
		cmocka_unit_test(large_fields_are_quick),
		cmocka_unit_test(refuses_what_cannot_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
