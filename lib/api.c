// SPDX-License-Identifier: Apache-2.0
/* Whole objects: apiVersion, kind, metadata, spec and, for nodes, status. */
#include "api_tables.h"

#define META(m) .off = offsetof(struct api_meta, m)
static const struct field meta_fields[] = {
	{ .name = "name", .type = FIELD_STR, META(name) },
	{ .name = "uid", .type = FIELD_STR, META(uid) },
	{ .name = "resourceVersion", .type = FIELD_STR, META(resource_version) },
	{ .name = "deletionTimestamp", .type = FIELD_STR, META(deletion_timestamp) },
	{ .name = "generation", .type = FIELD_INT, META(generation) },
	{ .name = "labels", .type = FIELD_STRMAP, META(labels) },
	{ .name = "annotations", .type = FIELD_STRMAP, META(annotations) },
	{ .name = "finalizers", .type = FIELD_STRS, META(finalizers) }, { 0 }
};

int api_meta_parse(
	struct arena *a, const struct json *obj, struct api_meta *ret, struct err *e)
{
	const struct json *j = json_get(obj, "metadata");
	struct api_meta meta = { 0 };
	int r;

	if (!j)
		return api_bad(e, "metadata", "required");
	r = field_parse_at(a, meta_fields, j, "metadata", false, &meta, e);
	if (r < 0)
		return r;
	/* Names become names of files and parts of URLs. */
	if (!meta.name || !api_name_is_valid(meta.name))
		return api_bad(e, "metadata.name", "'%.100s' is no name of an object",
			meta.name ? meta.name : "");
	*ret = meta;
	return 0;
}

static int check_text(
	const struct json *obj, const char *key, const char *want, struct err *e)
{
	const char *is = json_get_str(obj, key);

	if (is && streq(is, want))
		return 0;
	return api_bad(e, key, "must be '%s', is '%.100s'", want, is ? is : "");
}

/* The members around the spec. */
static int parse_frame(struct arena *a, const struct json *obj, const char *kind,
	bool strict, struct api_meta *meta, struct err *e)
{
	static const char *const known[] = { "apiVersion", "kind", "metadata", "spec",
		"status" };
	const struct json *v;
	const char *key;
	size_t it = 0, i;
	int r;

	if (json_type(obj) != JSON_OBJECT)
		return err_reason(e, -EINVAL, REASON_MANIFEST_INVALID,
			"must be an object, is %s", json_type_name(json_type(obj)));
	r = check_text(obj, "apiVersion", API_GROUP_VERSION, e);
	if (r == 0)
		r = check_text(obj, "kind", kind, e);
	if (r == 0)
		r = api_meta_parse(a, obj, meta, e);
	while (r == 0 && strict && json_next(obj, &it, &key, &v)) {
		for (i = 0; i < ARRAY_SIZE(known) && !streq(known[i], key); i++)
			;
		if (i == ARRAY_SIZE(known))
			r = json_line(v) ? err_reason(e, -EINVAL, REASON_MANIFEST_INVALID,
						   "line %u: '%.100s': unknown field",
						   json_line(v), key)
					 : api_bad(e, key, "unknown field");
	}
	return r;
}

/* The checks know no lines; their texts begin with a path, which is followed here as far as it goes. */
static int add_line(const struct json *obj, int r, struct err *e)
{
	const char *at = e && e->text[0] == '\'' ? e->text + 1 : "";
	unsigned line = 0;

	while (obj && *at && *at != '\'') {
		char key[64] = "";
		size_t n = strcspn(at, ".[]'");

		if (*at == '[') {
			obj = json_at(obj, strtoull(at + 1, NULL, 10));
			at += strcspn(at, "]'");
		} else if (n > 0 && n < sizeof(key)) {
			memcpy(key, at, n);
			obj = json_get(obj, key);
			at += n;
		}
		line = json_line(obj) ? json_line(obj) : line;
		at += *at == ']';
		at += *at == '.';
	}
	return line ? err_wrap(e, r, "line %u", line) : r;
}

int api_driver_parse(struct arena *a, const struct json *obj, bool strict,
	struct api_driver *ret, struct err *e)
{
	struct api_driver d = { 0 };
	int r = parse_frame(a, obj, API_KIND_DRIVER, strict, &d.meta, e);

	if (r < 0)
		return err_wrap(e, r, API_KIND_DRIVER);
	r = field_parse_at(a, api_driver_spec_fields, json_get(obj, "spec"), "spec",
		strict, &d.spec, e);
	if (r == 0) {
		r = api_driver_check(&d.spec, "spec", true, e);
		r = r < 0 ? add_line(obj, r, e) : 0;
	}
	if (r < 0)
		return err_wrap(e, r, API_KIND_DRIVER " '%s'", d.meta.name);
	*ret = d;
	return 0;
}

int api_class_parse(struct arena *a, const struct json *obj, bool strict,
	struct api_class *ret, struct err *e)
{
	struct api_class c = { 0 };
	int r = parse_frame(a, obj, API_KIND_CLASS, strict, &c.meta, e);

	if (r < 0)
		return err_wrap(e, r, API_KIND_CLASS);
	r = field_parse_at(a, api_class_spec_fields, json_get(obj, "spec"), "spec",
		strict, &c.spec, e);
	if (r == 0) {
		r = api_class_check(&c.spec, "spec", e);
		r = r < 0 ? add_line(obj, r, e) : 0;
	}
	if (r < 0)
		return err_wrap(e, r, API_KIND_CLASS " '%s'", c.meta.name);
	*ret = c;
	return 0;
}

static int check_node_spec(const struct api_node_spec *s, struct err *e)
{
	const struct api_node_driver *d = s->drivers.items;
	const struct api_node_class *c = s->classes.items;
	char where[FIELD_PATH_MAX];
	size_t i;
	int r;

	for (i = 0; i < s->drivers.n; i++, d++) {
		api_where(where, "spec.drivers[%zu]", i);
		if (!api_name_is_valid(d->name))
			return api_bad(e, where, "'name' is no name of an object");
		if (d->spec.modules.n == 0 && d->unload)
			continue; /* what is to be unloaded may be gone from the API */
		if (d->spec.modules.n == 0)
			return api_bad(e, where, "'spec': required");
		api_where(where, "spec.drivers[%zu].spec", i);
		r = api_driver_check(&d->spec, where, false, e);
		if (r < 0)
			return r;
	}
	for (i = 0; i < s->classes.n; i++, c++) {
		api_where(where, "spec.classes[%zu]", i);
		if (!api_name_is_valid(c->name))
			return api_bad(e, where, "'name' is no name of an object");
		if (c->spec.match.n == 0)
			return api_bad(e, where, "'spec': required");
		api_where(where, "spec.classes[%zu].spec", i);
		r = api_class_check(&c->spec, where, e);
		if (r < 0)
			return r;
	}
	return 0;
}

/* What an agent of another version once said of the node must not keep anybody from its spec. */
static int parse_status(struct arena *a, const struct json *status, bool strict,
	struct api_node_status *ret, struct err *e)
{
	struct api_node_status s = { 0 };
	int r;

	field_defaults(api_node_status_fields, &s);
	*ret = s;
	r = field_parse_at(a, api_node_status_fields, status, "status", strict, &s, e);
	if (r == -EINVAL && !strict) {
		err_clear(e);
		return 0;
	}
	if (r == 0)
		*ret = s;
	return r;
}

int api_node_parse(struct arena *a, const struct json *obj, bool strict,
	struct api_node *ret, struct err *e)
{
	const struct json *spec = json_get(obj, "spec"),
			  *status = json_get(obj, "status");
	struct api_node n = { 0 };
	int r = parse_frame(a, obj, API_KIND_NODE, strict, &n.meta, e);

	if (r < 0)
		return err_wrap(e, r, API_KIND_NODE);
	field_defaults(api_node_spec_fields, &n.spec);
	field_defaults(api_node_status_fields, &n.status);
	if (spec)
		r = field_parse_at(
			a, api_node_spec_fields, spec, "spec", strict, &n.spec, e);
	if (r == 0)
		r = check_node_spec(&n.spec, e);
	if (r == 0 && status)
		r = parse_status(a, status, strict, &n.status, e);
	if (r < 0)
		return err_wrap(e, r, API_KIND_NODE " '%s'", n.meta.name);
	*ret = n;
	return 0;
}
