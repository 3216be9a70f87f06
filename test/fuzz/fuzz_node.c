// SPDX-License-Identifier: Apache-2.0
/* AcceleratorNodes as the API server sends them: printed from the tables and read again, they are equal. */
#include "fuzz_manifest.h"

static struct json *print(const struct api_node *n)
{
	return fuzz_object(API_KIND_NODE, n->meta.name,
		field_print(api_node_spec_fields, &n->spec),
		field_print(api_node_status_fields, &n->status));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	CLEANUP(arena_freep) struct arena *a = arena_new(FUZZ_ARENA_MAX);
	CLEANUP(json_freep) struct json *obj = NULL;
	CLEANUP(json_freep) struct json *one = NULL;
	CLEANUP(json_freep) struct json *two = NULL;
	struct api_node strict = { 0 }, loose = { 0 }, again = { 0 };
	struct err e = { 0 };
	int r;

	if (json_parse((const char *)data, len, &obj, NULL) < 0)
		return 0;
	r = api_node_parse(a, obj, true, &strict, &e);
	if (r < 0)
		says_why(r, &e);
	if (api_node_parse(a, obj, false, &loose, &e) < 0) {
		HOLDS(r < 0);
		return 0;
	}
	one = print(&loose);
	r = api_node_parse(a, one, true, &again, &e);
	if (r < 0)
		(void)fprintf(stderr, "%s\n", e.text);
	HOLDS(r == 0);
	two = print(&again);
	HOLDS(json_equal(one, two));
	return 0;
}
