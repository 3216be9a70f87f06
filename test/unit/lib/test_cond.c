// SPDX-License-Identifier: Apache-2.0
/* Conditions: the time moves only with the status, the order stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cond.h"

static void test_all(void **state)
{
	CLEANUP(arena_freep) struct arena *a = arena_new(1 << 20);
	struct list l = { 0 };
	const struct api_condition *c;
	char reason[] = "Building";

	assert_null(cond_get(&l, "Ready"));
	cond_remove(&l, "Ready");
	assert_int_equal(cond_set(a, &l, "Ready", false, reason, "wait", 1, "T1"), 0);
	reason[0] = 'X'; /* it was copied */
	assert_int_equal(
		cond_set(a, &l, "Stalled", true, "BuildFailed", NULL, 1, "T1"), 0);
	assert_int_equal(cond_set(a, &l, "Degraded", true, "", "", 1, "T1"), 0);
	assert_int_equal(l.n, 3);
	c = cond_get(&l, "Ready");
	assert_string_equal(c->status, "False");
	assert_string_equal(c->reason, "Building");
	assert_string_equal(c->message, "wait");
	assert_string_equal(c->last_transition_time, "T1");
	assert_int_equal(c->observed_generation, 1);
	assert_string_equal(cond_get(&l, "Stalled")->message, "");
	assert_string_equal(
		cond_get(&l, "Degraded")->reason, "Degraded"); /* never empty */

	assert_int_equal(cond_set(a, &l, "Ready", false, "Loading", "m", 2, "T2"), 0);
	c = cond_get(&l, "Ready");
	assert_string_equal(c->last_transition_time, "T1");
	assert_string_equal(c->reason, "Loading");
	assert_int_equal(c->observed_generation, 2);
	assert_int_equal(cond_set(a, &l, "Ready", true, "Ready", "m", 2, "T3"), 0);
	c = cond_get(&l, "Ready");
	assert_string_equal(c->last_transition_time, "T3");
	assert_string_equal(c->status, "True");
	assert_ptr_equal(c, l.items);
	assert_int_equal(l.n, 3);

	cond_remove(&l, "Stalled");
	assert_int_equal(l.n, 2);
	assert_null(cond_get(&l, "Stalled"));
	assert_string_equal(((struct api_condition *)l.items)[1].type, "Degraded");
	cond_remove(&l, "Degraded");
	cond_remove(&l, "Ready");
	assert_int_equal(l.n, 0);
	assert_int_equal(cond_set(a, &l, "Ready", true, "Ready", "m", 3, "T4"), 0);
	assert_int_equal(l.n, 1);
}

static void test_memory(void **state)
{
	CLEANUP(arena_freep) struct arena *a = arena_new(100);
	struct list l = { 0 };

	assert_int_equal(cond_set(a, &l, "Ready", true, "Ready", "m", 3, "T4"), -ENOMEM);
	assert_int_equal(l.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
