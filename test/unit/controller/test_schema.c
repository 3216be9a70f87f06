// SPDX-License-Identifier: Apache-2.0
/* Definitions that are older than the program: compared, noticed, and forgotten once they are mended. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "controller/schema.h"
#include "test/unit/controller/fake_cluster.h"

#define DEFINITION(name) \
	"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/" name ".farrier.dev"

static void test_compare(void **state)
{
	static const struct {
		const char *a, *b;
		int expected;
	} cases[] = {
		{ "1.2.3", "1.2.3", 0 },
		{ "1.2.3", "1.2.4", -1 },
		{ "1.10.0", "1.9.9", 1 },
		{ "v0.1", "0.1.0", 0 },
		{ "0.1.0-rc1", "0.1.0", 0 },
		{ "2", "10", -1 },
		{ "", "1.0", 0 },
		{ "dev", "1.0", 0 },
		{ "99999999999999999999.0", "1.0", 1 },
		{ "1..3", "1.0.1", -1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (schema_compare(cases[i].a, cases[i].b) != cases[i].expected)
			fail_msg("case '%s' '%s': %d", cases[i].a, cases[i].b,
				schema_compare(cases[i].a, cases[i].b));
}

static void on_change(void *user)
{
	*(unsigned *)user += 1;
}

/* Lets @seconds go by. */
static void pass(struct cluster *c, unsigned seconds)
{
	for (unsigned i = 0; i < seconds; i++) {
		(void)pump(c->loop, NULL, 1);
		skew_us += USEC_PER_SEC;
	}
	(void)pump(c->loop, NULL, 20);
}

static void put(struct cluster *c, const char *path, const char *version)
{
	char text[256];

	(void)snprintf(text, sizeof(text),
		"{\"metadata\":{\"annotations\":{\"farrier.dev/version\":\"%s\"}}}",
		version);
	cluster_put(c, path, text);
}

static void test_notices(void **state)
{
	struct schema *s = NULL;
	struct cluster c;
	unsigned changes = 0;

	cluster_start(&c, false);
	put(&c, DEFINITION("acceleratordrivers"), FARRIER_VERSION);
	put(&c, DEFINITION("acceleratorclasses"), "99.0.0"); /* newer is fine */
	put(&c, DEFINITION("acceleratornodes"), "0.0.1");
	assert_int_equal(schema_new(c.kube, on_change, &changes, &s, NULL), 0);
	assert_null(schema_note(s));
	pass(&c, 5);
	assert_int_equal(changes, 1);
	assert_non_null(strstr(schema_note(s), "'acceleratornodes.farrier.dev' is of "
					       "version 0.0.1"));
	pass(&c, 700); /* asked again, nothing new */
	assert_int_equal(changes, 1);
	put(&c, DEFINITION("acceleratornodes"), FARRIER_VERSION);
	pass(&c, 700);
	assert_int_equal(changes, 2);
	assert_null(schema_note(s));
	schema_free(s);
	cluster_stop(&c);
}

/* Definitions of nobody's version, or that may not be read, are no news. */
static void test_unknown(void **state)
{
	struct schema *s = NULL;
	struct cluster c;
	unsigned changes = 0;

	cluster_start(&c, false);
	cluster_put(&c, DEFINITION("acceleratordrivers"), "{\"metadata\":{}}");
	cluster_put(&c, DEFINITION("acceleratorclasses"),
		"{\"metadata\":{\"annotations\":{\"farrier.dev/version\":7}}}");
	assert_int_equal(schema_new(c.kube, on_change, &changes, &s, NULL), 0);
	pass(&c, 5);
	assert_int_equal(changes, 0);
	assert_null(schema_note(s));
	schema_free(s);
	cluster_stop(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_compare),
		cmocka_unit_test(test_notices),
		cmocka_unit_test(test_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
