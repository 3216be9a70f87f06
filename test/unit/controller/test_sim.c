// SPDX-License-Identifier: Apache-2.0
/* Properties of plan() over seeded random fleets: SEED=n replays one seed with all that happens in it,
 * SEEDS=n runs that many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "test/sim/agents.c"
#include "test/sim/fleet.c"
#include "test/sim/properties.c"
#include "test/sim/server.c"
#include "test/sim/sim.c"
#include "test/sim/weather.c"

enum { SEEDS = 500 };

static uint64_t number(const char *name, uint64_t fallback)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 10) : fallback;
}

static void test_properties(void **state)
{
	struct sim_result sum = { .broken = "" }, r;
	uint64_t first = number("SEED", 1);
	bool is_replay = getenv("SEED") != NULL;
	uint64_t n = is_replay ? 1 : number("SEEDS", SEEDS);

	for (uint64_t seed = first; seed < first + n; seed++) {
		if (!sim_run(seed, is_replay, &r))
			fail_msg("SEED=%llu: %s", (unsigned long long)seed, r.broken);
		sum.upgrades += r.upgrades;
		sum.failures += r.failures;
		sum.evictions += r.evictions;
		sum.conflicts += r.conflicts;
		sum.offline += r.offline;
		sum.restarts += r.restarts;
		sum.reboots += r.reboots;
		sum.rollbacks += r.rollbacks;
		sum.grouped += r.grouped;
		sum.gang_evictions += r.gang_evictions;
		sum.surplus += r.surplus;
		sum.ticks += r.ticks;
	}
	print_message(
		"%llu seeds: %u ticks, %u upgrades, %u failures, %u evictions, "
		"%u conflicts, %u nodes lost, %u restarts, %u reboots, %u rollbacks, "
		"%u starts in groups, %u evictions of gangs, %u of their surplus\n",
		(unsigned long long)n, sum.ticks, sum.upgrades, sum.failures,
		sum.evictions, sum.conflicts, sum.offline, sum.restarts, sum.reboots,
		sum.rollbacks, sum.grouped, sum.gang_evictions, sum.surplus);
	if (is_replay)
		return;
	/* a simulator in which nothing happens proves nothing */
	assert_true(sum.upgrades > n / 2);
	assert_true(sum.failures > n / 10);
	assert_true(sum.evictions > n / 2);
	assert_true(sum.reboots > n / 10);
	assert_true(sum.rollbacks > n / 20);
	assert_true(sum.grouped > n / 20 && sum.gang_evictions > n / 10);
	assert_true(sum.surplus > n / 100);
	assert_true(sum.conflicts > 0 && sum.offline > 0 && sum.restarts > 0);
}

/* Seeds that found something once: 7174, a node that had failed in a group of the same name. */
static void test_found(void **state)
{
	static const uint64_t seeds[] = { 7174, 972, 1691, 1317 };

	for (size_t i = 0; i < sizeof(seeds) / sizeof(seeds[0]); i++) {
		struct sim_result r;

		if (!sim_run(seeds[i], false, &r))
			fail_msg("SEED=%llu: %s", (unsigned long long)seeds[i], r.broken);
	}
}

/* Equal seeds, equal runs. */
static void test_replays(void **state)
{
	struct sim_result x, y;

	assert_true(sim_run(42, false, &x));
	assert_true(sim_run(42, false, &y));
	assert_memory_equal(&x, &y, sizeof(x));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_properties),
		cmocka_unit_test(test_found),
		cmocka_unit_test(test_replays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
