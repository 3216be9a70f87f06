// SPDX-License-Identifier: Apache-2.0
/* records.c: what is written comes back, what is damaged is said and left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "driver-builder/records.h"
#include "file.h"

static char dir[64];

static int setup(void **state)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/farrier-records-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	return dir_remove(dir, NULL);
}

static struct record make(const char *driver, const char *kernel, const char *key)
{
	struct record r = { .build_seconds = 3,
		.reason = REASON_BUILD_FAILED,
		.at_us = 1234567890123456,
		.retry_us = 1234567890999999,
		.attempts = 2 };

	(void)snprintf(r.driver, sizeof(r.driver), "%s", driver);
	(void)snprintf(r.kernel, sizeof(r.kernel), "%s", kernel);
	(void)snprintf(r.key, sizeof(r.key), "%s", key);
	(void)snprintf(r.message, sizeof(r.message), "edu.c:1: \"no\"\n");
	(void)snprintf(r.print.spec, sizeof(r.print.spec), "aa");
	return r;
}

static bool is_new(const struct record *rec, void *user)
{
	return streq(rec->kernel, "6.1.0-56");
}

static void test_round_trip(void **state)
{
	struct record rec = make("edu", "6.1.0-47", "k1");
	struct note note = { "edu", "k1", "1.0", "6.1.0-47", "boot" };
	struct arena *a = arena_new(1 << 16);
	const struct record *back;
	struct records *r;
	struct list keys;

	assert_int_equal(records_new(&r), 0);
	assert_int_equal(records_read(r, dir, NULL), 0); /* nothing there is fine */
	assert_int_equal(records_set(r, &rec), 0);
	rec = make("edu", "6.1.0-56", "k2");
	assert_int_equal(records_set(r, &rec), 0);
	assert_int_equal(records_set_note(r, &note), 0);
	records_set_signed(r, "edu", "6.1.0-56", "k2", "s2");
	records_set_signed(r, "edu", "6.1.0-47", "k0", "s0"); /* of an older build */
	records_set_signed(r, "other", "6.1.0-47", "k1", "s1");
	assert_int_equal(records_write(r, dir, NULL), 0);
	records_free(r);

	assert_int_equal(records_new(&r), 0);
	assert_int_equal(records_read(r, dir, NULL), 0);
	back = records_get(r, "edu", "6.1.0-56");
	assert_non_null(back);
	assert_memory_equal(&back->print, &rec.print, sizeof(rec.print));
	assert_string_equal(back->message, rec.message);
	assert_int_equal(back->reason, REASON_BUILD_FAILED);
	assert_int_equal(back->retry_us, rec.retry_us);
	assert_int_equal(back->attempts, 2);
	assert_string_equal(records_note(r, "edu")->boot_id, "boot");
	assert_int_equal(records_keys(r, a, &keys), 0);
	assert_int_equal(keys.n, 4);
	assert_string_equal(back->signed_key, "s2");
	assert_string_equal(records_get(r, "edu", "6.1.0-47")->signed_key, "");
	records_prune(r, is_new, NULL);
	assert_null(records_get(r, "edu", "6.1.0-47"));
	assert_non_null(records_get(r, "edu", "6.1.0-56"));
	assert_non_null(records_note(r, "edu"));
	records_free(r);
	arena_free(a);
}

static const struct {
	const char *name, *text;
} damaged[] = {
	{ "empty", "" },
	{ "no JSON", "{\"version\":1,\"builds\":[" },
	{ "another version", "{\"version\":2,\"builds\":[]}" },
	{ "no version", "{}" },
	{ "wrong types", "{\"version\":1,\"builds\":[1,\"x\",null]}" },
	{ "no driver", "{\"version\":1,\"builds\":[{\"kernel\":\"x\"}]}" },
	{ "long key",
		"{\"version\":1,\"builds\":[{\"driver\":\"a\",\"kernel\":\"b\",\"key\":"
		"\"0000000000000000000000000000000000000000000000000000000000000000000\"}]}" },
};

static void test_damaged(void **state)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/builds.json", dir);
	for (size_t i = 0; i < ARRAY_SIZE(damaged); i++) {
		struct err e = { 0 };
		struct records *r;

		assert_int_equal(records_new(&r), 0);
		assert_int_equal(file_write_atomic(path, damaged[i].text,
					 strlen(damaged[i].text), 0644, NULL),
			0);
		if (records_read(r, dir, &e) != -EBADMSG ||
			!strstr(e.text, "builds.json"))
			fail_msg("case '%s': '%s'", damaged[i].name, e.text);
		records_free(r);
	}
}

static const struct {
	const char *name;
	struct print now;
	bool is_current;
} currents[] = {
	{ "the same", { "s", "c", "h" }, true },
	{ "another spec", { "S", "c", "h" }, false },
	{ "another source", { "s", "C", "h" }, false },
	{ "other headers", { "s", "c", "H" }, false },
	{ "source gone", { "s", "", "h" }, true },
	{ "headers gone", { "s", "c", "" }, true },
	{ "source gone, headers changed", { "s", "", "H" }, false },
};

static void test_current(void **state)
{
	const struct record rec = { .print = { "s", "c", "h" } };

	for (size_t i = 0; i < ARRAY_SIZE(currents); i++)
		if (records_is_current(&rec, &currents[i].now) != currents[i].is_current)
			fail_msg("case '%s'", currents[i].name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
		cmocka_unit_test(test_current),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
