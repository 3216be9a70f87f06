// SPDX-License-Identifier: Apache-2.0
/* The CRDs in the chart and the field tables of lib/api say the same, field by field. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "api.h"
#include "yaml.h"

#define CRDS "manifests/chart/files/crds/"

enum { PATH_BYTES = 512 };

static unsigned differences;

/* All differences are told, not only the first. */
_printf_(2, 3) static void differs(const char *path, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fprintf(stderr, "%s: ", path);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	differences++;
}

static bool has_str(const struct json *array, const char *s)
{
	for (size_t i = 0; i < json_len(array); i++)
		if (json_str(json_at(array, i)) && streq(json_str(json_at(array, i)), s))
			return true;
	return false;
}

static void check_text(
	const char *path, const struct json *schema, const char *key, const char *want)
{
	const char *is = json_get_str(schema, key);

	if (!is != !want || (is && !streq(is, want)))
		differs(path, "%s is '%s', the table says '%s'", key, is ? is : "",
			want ? want : "");
}

/* @want 0 means that the table sets no such bound. */
static void check_bound(
	const char *path, const struct json *schema, const char *key, int64_t want)
{
	int64_t is = json_get_int(schema, key, 0);

	if (is != want)
		differs(path, "%s is %lld, the table says %lld", key, (long long)is,
			(long long)want);
}

static void check_names(
	const char *path, const struct json *schema, const char *const *names)
{
	const struct json *list = json_get(schema, "enum");
	size_t n = 0;

	for (; names && names[n]; n++)
		if (!has_str(list, names[n]))
			differs(path, "'%s' is not in its enum", names[n]);
	if (json_len(list) != n)
		differs(path, "its enum has %zu values, the table %zu", json_len(list),
			n);
}

static void check_str(const char *path, const struct json *schema, const struct field *f)
{
	check_text(path, schema, "type", "string");
	check_text(path, schema, "pattern", f->pattern);
	check_bound(path, schema, "minLength", f->min);
	check_bound(path, schema, "maxLength", f->max);
	if (f->names || f->type == FIELD_ENUM)
		check_names(path, schema, f->names);
}

static void check_table(
	const char *path, const struct json *schema, const struct field *table);

static const struct field *key_of(const struct field *table)
{
	for (; table->name; table++)
		if (table->flags & FIELD_KEY && table->type == FIELD_STR)
			return table;
	return NULL;
}

static void check_list(const char *path, const struct json *schema, const struct field *f)
{
	const struct field *key = key_of(f->sub);
	const struct json *keys = json_get(schema, "x-kubernetes-list-map-keys");
	char items[PATH_BYTES];

	check_text(path, schema, "x-kubernetes-list-type", key ? "map" : "atomic");
	if (key && (json_len(keys) != 1 || !has_str(keys, key->name)))
		differs(path, "the key of its items is not '%s'", key->name);
	check_bound(path, schema, "maxItems", f->max);
	check_bound(path, schema, "minItems", f->flags & FIELD_REQUIRED ? 1 : 0);
	(void)snprintf(items, sizeof(items), "%.400s[]", path);
	check_table(items, json_get(schema, "items"), f->sub);
}

static void check_field(
	const char *path, const struct json *schema, const struct field *f)
{
	struct field item = *f;

	check_text(path, schema, "description", f->doc);
	switch (f->type) {
	case FIELD_STR:
	case FIELD_ENUM:
		check_str(path, schema, f);
		break;
	case FIELD_BOOL:
		check_text(path, schema, "type", "boolean");
		break;
	case FIELD_INT:
		check_text(path, schema, "type", "integer");
		check_text(path, schema, "format", "int64");
		check_bound(path, schema, "minimum", f->max > f->min ? f->min : 0);
		check_bound(path, schema, "maximum", f->max > f->min ? f->max : 0);
		break;
	case FIELD_OBJ:
		if (json_get_bool(schema, "x-kubernetes-preserve-unknown-fields", false))
			break; /* an embedded spec: see acceleratornodes.farrier.dev.yaml */
		check_text(path, schema, "type", "object");
		check_table(path, schema, f->sub);
		break;
	case FIELD_LIST:
		check_text(path, schema, "type", "array");
		check_list(path, schema, f);
		break;
	case FIELD_STRS:
		check_text(path, schema, "type", "array");
		check_text(path, schema, "x-kubernetes-list-type",
			f->flags & FIELD_KEY ? "set" : "atomic");
		check_str(path, json_get(schema, "items"), &item);
		break;
	case FIELD_STRMAP:
		check_text(path, schema, "type", "object");
		check_bound(path, schema, "maxProperties", f->max);
		check_text(
			path, json_get(schema, "additionalProperties"), "type", "string");
		break;
	case FIELD_INTSTR:
		if (!json_get_bool(schema, "x-kubernetes-int-or-string", false))
			differs(path, "is not int-or-string");
		break;
	case FIELD_JSON:
		break;
	}
}

static void check_table(
	const char *path, const struct json *schema, const struct field *table)
{
	const struct json *properties = json_get(schema, "properties");
	const struct json *required = json_get(schema, "required");
	const struct json *v;
	const struct field *f;
	char sub[PATH_BYTES];
	const char *key;
	size_t it = 0, n = 0;

	for (f = table; f->name; f++) {
		bool must = f->flags & FIELD_REQUIRED ||
			    (f->flags & FIELD_KEY && f->type == FIELD_STR);

		(void)snprintf(sub, sizeof(sub), "%.400s.%s", path, f->name);
		v = json_get(properties, f->name);
		if (!v) {
			differs(sub, "is in the table, not in the schema");
			continue;
		}
		n += must;
		if (must != has_str(required, f->name))
			differs(sub, "is required in %s only",
				must ? "the table" : "the schema");
		check_field(sub, v, f);
	}
	if (json_len(required) != n)
		differs(path, "%zu fields are required, the table says %zu",
			json_len(required), n);
	while (json_next(properties, &it, &key, &v)) {
		for (f = table; f->name && !streq(f->name, key); f++)
			;
		if (!f->name)
			differs(path, "'%s' is in the schema, not in the table", key);
	}
}

/* What holds in every schema: descriptions, types, no default that would end up in a user's spec. */
static void check_schema(const char *path, const struct json *schema)
{
	const struct json *properties = json_get(schema, "properties");
	const struct json *v;
	char sub[PATH_BYTES];
	const char *key;
	size_t it = 0;

	if (json_get(schema, "default"))
		differs(path, "has a default");
	if (!json_get_str(schema, "type") &&
		!json_get(schema, "x-kubernetes-int-or-string"))
		differs(path, "has no type");
	if (json_get(schema, "items"))
		check_schema(path, json_get(schema, "items"));
	while (json_next(properties, &it, &key, &v)) {
		(void)snprintf(sub, sizeof(sub), "%.400s.%s", path, key);
		if (str_empty(json_get_str(v, "description")) && !streq(key, "metadata"))
			differs(sub, "has no description");
		check_schema(sub, v);
	}
}

static struct json *read_crd(const char *file)
{
	const char *top = getenv("FARRIER_SOURCE");
	struct json *docs = NULL;
	char path[PATH_BYTES];
	struct err e = { 0 };

	(void)snprintf(path, sizeof(path), "%s/" CRDS "%s", top ? top : ".", file);
	if (yaml_read_file(path, &docs, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(json_len(docs), 1);
	return docs;
}

static void test_schemas(void **state)
{
	static const struct {
		const char *name, *file, *kind;
		const struct field *spec, *status; /* NULL: no structure of ours */
	} cases[] = {
		{ "driver", "acceleratordrivers.farrier.dev.yaml", API_KIND_DRIVER,
			api_driver_spec_fields, NULL },
		{ "class", "acceleratorclasses.farrier.dev.yaml", API_KIND_CLASS,
			api_class_spec_fields, NULL },
		{ "node", "acceleratornodes.farrier.dev.yaml", API_KIND_NODE,
			api_node_spec_fields, api_node_status_fields },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct json *docs = read_crd(cases[i].file);
		const struct json *spec = json_get(json_at(docs, 0), "spec");
		const struct json *version = json_at(json_get(spec, "versions"), 0);
		const struct json *schema = json_get(
			json_get(version, "schema"), "openAPIV3Schema");
		const struct json *properties = json_get(schema, "properties");
		const struct json *status = json_get(properties, "status");

		assert_int_equal(json_len(json_get(spec, "versions")), 1);
		check_text(cases[i].name, version, "name", API_VERSION);
		check_text(cases[i].name, spec, "group", API_GROUP);
		check_text(cases[i].name, spec, "scope", "Cluster");
		check_text(cases[i].name, json_get(spec, "names"), "kind", cases[i].kind);
		if (!json_get(json_get(version, "subresources"), "status"))
			differs(cases[i].name, "has no status subresource");
		check_schema(cases[i].name, schema);
		check_table(cases[i].name, json_get(properties, "spec"), cases[i].spec);
		if (cases[i].status)
			check_table("status", status, cases[i].status);
		else /* its conditions are ours all the same */
			check_table("status.conditions[]",
				json_get(json_get(json_get(status, "properties"),
						 "conditions"),
					"items"),
				api_condition_fields);
		json_free(docs);
	}
	assert_int_equal(differences, 0);
}

/* A schema that lacks a field, has another type or one field too many must be told from the table. */
static void test_notices(void **state)
{
	static const struct {
		const char *name, *yaml;
		unsigned want;
	} cases[] = {
		{ "equal",
			"{ type: object, required: [key], properties: { key: { type: string, "
			"minLength: 1, description: A key. }, on: { type: boolean, "
			"description: B. } } }",
			0 },
		{ "missing field",
			"{ required: [key], properties: { key: { type: string, minLength: 1, "
			"description: A key. } } }",
			1 },
		{ "field too many",
			"{ required: [key], properties: { key: { type: string, minLength: 1, "
			"description: A key. }, on: { type: boolean, description: B. }, "
			"off: { type: boolean, description: C. } } }",
			1 },
		{ "other type",
			"{ required: [key], properties: { key: { type: string, minLength: 1, "
			"description: A key. }, on: { type: string, description: B. } } }",
			1 },
		{ "other bound",
			"{ required: [key], properties: { key: { type: string, minLength: 2, "
			"description: A key. }, on: { type: boolean, description: B. } } }",
			1 },
		{ "not required",
			"{ properties: { key: { type: string, minLength: 1, description: A key. "
			"}, on: { type: boolean, description: B. } } }",
			2 },
	};
	static const struct field table[] = {
		{ .name = "key",
			.type = FIELD_STR,
			.flags = FIELD_KEY,
			.min = 1,
			.doc = "A key." },
		{ .name = "on", .type = FIELD_BOOL, .doc = "B." },
		{ 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct json *docs = NULL;
		struct err e = { 0 };

		if (yaml_parse(cases[i].yaml, strlen(cases[i].yaml), &docs, &e) < 0)
			fail_msg("case '%s': %s", cases[i].name, e.text);
		differences = 0;
		check_table("t", json_at(docs, 0), table);
		json_free(docs);
		if (differences != cases[i].want)
			fail_msg("case '%s': %u differences", cases[i].name, differences);
	}
	differences = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_notices),
		cmocka_unit_test(test_schemas),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
