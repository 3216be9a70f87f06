// SPDX-License-Identifier: Apache-2.0
/* Manifests of drivers and classes in YAML: what strict reading takes, lenient reading takes; what was
 * read can be printed, and read again it prints the same. */
#include "fuzz_manifest.h"
#include "yaml.h"

static void try_driver(const struct json *doc)
{
	CLEANUP(arena_freep) struct arena *a = arena_new(FUZZ_ARENA_MAX);
	CLEANUP(json_freep) struct json *one = NULL;
	CLEANUP(json_freep) struct json *two = NULL;
	struct api_driver strict = { 0 }, loose = { 0 }, again = { 0 };
	struct err e = { 0 };
	int r = api_driver_parse(a, doc, true, &strict, &e);

	if (r < 0)
		says_why(r, &e);
	if (api_driver_parse(a, doc, false, &loose, &e) < 0) {
		HOLDS(r < 0);
		return;
	}
	one = fuzz_object(API_KIND_DRIVER, loose.meta.name,
		field_print(api_driver_spec_fields, &loose.spec), NULL);
	r = api_driver_parse(a, one, true, &again, &e);
	if (r < 0)
		(void)fprintf(stderr, "%s\n", e.text);
	HOLDS(r == 0);
	two = fuzz_object(API_KIND_DRIVER, again.meta.name,
		field_print(api_driver_spec_fields, &again.spec), NULL);
	HOLDS(json_equal(one, two));
}

static void try_class(const struct json *doc)
{
	CLEANUP(arena_freep) struct arena *a = arena_new(FUZZ_ARENA_MAX);
	CLEANUP(json_freep) struct json *one = NULL;
	CLEANUP(json_freep) struct json *two = NULL;
	struct api_class strict = { 0 }, loose = { 0 }, again = { 0 };
	struct err e = { 0 };
	int r = api_class_parse(a, doc, true, &strict, &e);

	if (r < 0)
		says_why(r, &e);
	if (api_class_parse(a, doc, false, &loose, &e) < 0) {
		HOLDS(r < 0);
		return;
	}
	one = fuzz_object(API_KIND_CLASS, loose.meta.name,
		field_print(api_class_spec_fields, &loose.spec), NULL);
	r = api_class_parse(a, one, true, &again, &e);
	if (r < 0)
		(void)fprintf(stderr, "%s\n", e.text);
	HOLDS(r == 0);
	two = fuzz_object(API_KIND_CLASS, again.meta.name,
		field_print(api_class_spec_fields, &again.spec), NULL);
	HOLDS(json_equal(one, two));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	CLEANUP(json_freep) struct json *docs = NULL;

	if (yaml_parse((const char *)data, len, &docs, NULL) < 0)
		return 0;
	for (size_t i = 0; i < json_len(docs); i++) {
		try_driver(json_at(docs, i));
		try_class(json_at(docs, i));
	}
	return 0;
}
