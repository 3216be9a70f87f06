// SPDX-License-Identifier: Apache-2.0
/* ConfigMaps as sources: embedded, followed, refused in words, and never asked for without need. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "controller/fleet.h"

#define DRIVER \
	"{\"apiVersion\":\"farrier.dev/v1alpha1\",\"kind\":\"AcceleratorDriver\"," \
	"\"metadata\":{\"name\":\"edu\",\"uid\":\"u\",\"generation\":1,\"resourceVersion\":\"5\"}," \
	"\"spec\":{\"version\":\"1.0\",\"devices\":[{\"bus\":\"PCI\",\"vendor\":\"1234\"}]," \
	"\"source\":{\"type\":\"ConfigMap\",\"configMap\":{\"name\":\"src\"}}," \
	"\"modules\":[{\"name\":\"edu\"}]}}"
#define CONFIG(name, version, rest) \
	"{\"metadata\":{\"name\":\"" name "\",\"resourceVersion\":\"" version \
	"\"}," rest "}"

static int put(struct fleet *f, enum fleet_kind kind, const char *text)
{
	CLEANUP(json_freep) struct json *j = NULL;

	assert_int_equal(json_parse(text, strlen(text), &j, NULL), 0);
	return fleet_put(f, kind, j, NULL);
}

static struct fleet *with_driver(void)
{
	struct fleet *f = NULL;

	assert_int_equal(fleet_new(NULL, &f), 0);
	assert_true(fleet_is_synced(f, FLEET_CONFIGS)); /* nobody needs one */
	assert_false(fleet_configs_grew(f));
	assert_int_equal(put(f, FLEET_DRIVERS, DRIVER), 1);
	assert_true(fleet_configs_grew(f));
	assert_false(fleet_configs_grew(f));
	fleet_list_begin(f, FLEET_CONFIGS);
	assert_false(fleet_is_synced(f, FLEET_CONFIGS));
	return f;
}

static const char *file(const struct fleet *f, const char *name)
{
	const struct json *spec = fleet_driver_spec(f, "edu");

	assert_string_equal(json_str(json_path(spec, "source.type")), "Inline");
	assert_null(json_path(spec, "source.configMap"));
	return json_get_str(json_path(spec, "source.inline.files"), name);
}

static void test_embedded(void **state)
{
	CLEANUP(fleet_freep) struct fleet *f = with_driver();
	const struct view_driver *d = fleet_driver(f, "edu");
	uint64_t hash;

	assert_false(d->has_spec);
	assert_string_equal(
		d->invalid, "ConfigMap 'src' is not in the controller's namespace");
	assert_int_equal(d->invalid_reason, REASON_SOURCE_MISSING);
	assert_int_equal(
		put(f, FLEET_CONFIGS, CONFIG("other", "6", "\"data\":{\"a\":\"b\"}")), 0);
	assert_int_equal(
		put(f, FLEET_CONFIGS, CONFIG("src", "7", "\"data\":{\"edu.c\":\"one\"}")),
		1);
	fleet_list_end(f, FLEET_CONFIGS);
	assert_true(d->has_spec && !d->invalid);
	assert_string_equal(file(f, "edu.c"), "one");
	hash = d->spec_hash;
	/* another content is another spec */
	assert_int_equal(
		put(f, FLEET_CONFIGS, CONFIG("src", "8", "\"data\":{\"edu.c\":\"two\"}")),
		1);
	assert_string_equal(file(f, "edu.c"), "two");
	assert_true(hash != d->spec_hash);
	/* an older one is not */
	assert_int_equal(
		put(f, FLEET_CONFIGS, CONFIG("src", "7", "\"data\":{\"edu.c\":\"one\"}")),
		0);
	assert_string_equal(file(f, "edu.c"), "two");
	/* gone: said, and the last content stays in force */
	fleet_delete(f, FLEET_CONFIGS, "src");
	assert_int_equal(d->invalid_reason, REASON_SOURCE_MISSING);
	assert_true(d->has_spec);
	assert_string_equal(file(f, "edu.c"), "two");
}

static void test_swept(void **state)
{
	CLEANUP(fleet_freep) struct fleet *f = with_driver();
	const struct view_driver *d = fleet_driver(f, "edu");

	assert_int_equal(
		put(f, FLEET_CONFIGS, CONFIG("src", "7", "\"data\":{\"edu.c\":\"one\"}")),
		1);
	fleet_list_end(f, FLEET_CONFIGS);
	assert_null(d->invalid);
	fleet_list_begin(f, FLEET_CONFIGS);
	fleet_list_end(f, FLEET_CONFIGS);
	assert_non_null(d->invalid);
}

/* A namespace that may not be read stops nobody else. */
static void test_forbidden(void **state)
{
	CLEANUP(fleet_freep) struct fleet *f = with_driver();

	fleet_without_configs(f);
	assert_true(fleet_is_synced(f, FLEET_CONFIGS));
	assert_false(fleet_driver(f, "edu")->has_spec);
}

static void test_refused(void **state)
{
	static const struct {
		const char *name, *rest, *why;
	} cases[] = {
		{ "nothing", "\"x\":1", "has no data" },
		{ "empty", "\"data\":{}", "has no data" },
		{ "a list", "\"data\":[]", "has no data" },
		{ "binary", "\"data\":{\"a\":\"b\"},\"binaryData\":{\"c\":\"AA==\"}",
			"has binaryData" },
		{ "numbers", "\"data\":{\"a\":7}", "has data that is no text" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(fleet_freep) struct fleet *f = with_driver();
		const struct view_driver *d = fleet_driver(f, "edu");
		char text[512];

		(void)snprintf(text, sizeof(text),
			"{\"metadata\":{\"name\":\"src\",\"resourceVersion\":\"7\"},%s}",
			cases[i].rest);
		assert_int_equal(put(f, FLEET_CONFIGS, text), 1);
		if (d->has_spec || !d->invalid || !strstr(d->invalid, cases[i].why) ||
			d->invalid_reason != REASON_SOURCE_INVALID)
			fail_msg("case '%s': %s", cases[i].name,
				d->invalid ? d->invalid : "");
	}
}

static void test_size(void **state)
{
	static const struct {
		size_t size;
		bool fits;
	} cases[] = { { (256 << 10) - 1, true }, { 256 << 10, false } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(fleet_freep) struct fleet *f = with_driver();
		const struct view_driver *d = fleet_driver(f, "edu");
		struct buf b CLEANUP(buf_done);

		buf_init(&b, 1 << 20);
		(void)buf_str(&b, "{\"metadata\":{\"name\":\"src\"},\"data\":{\"a\":\"");
		for (size_t k = 0; k < cases[i].size; k++) /* and the name's one byte */
			(void)buf_chr(&b, 'x');
		(void)buf_str(&b, "\"}}");
		assert_int_equal(put(f, FLEET_CONFIGS, buf_cstr(&b)), 1);
		assert_int_equal(d->has_spec, cases[i].fits);
		if (!cases[i].fits)
			assert_non_null(strstr(d->invalid, "256 KiB"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_embedded),
		cmocka_unit_test(test_swept),
		cmocka_unit_test(test_forbidden),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
