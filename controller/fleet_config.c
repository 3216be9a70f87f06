// SPDX-License-Identifier: Apache-2.0
/* ConfigMaps that drivers name as their source: their files are embedded into what nodes get. Only those of
 * the namespace that is watched, and of them only those that are named, are kept. */
#include "fleet_inside.h"

enum { CONFIG_MAX = 256 << 10, FILES_MAX = 64 };

struct config {
	struct json *files; /* NULL: cannot be used */
	const char *why;
	uint64_t version;
	unsigned seen;
};

void fleet_config_free(void *config)
{
	struct config *c = config;

	if (!c)
		return;
	json_free(c->files);
	free(c);
}

/* The ConfigMap that @spec names, or NULL. */
static const char *named_by(const struct json *spec)
{
	const char *type = json_str(json_path(spec, "source.type"));

	return type && streq(type, "ConfigMap")
		       ? json_str(json_path(spec, "source.configMap.name"))
		       : NULL;
}

static struct json *inline_of(const struct json *files)
{
	CLEANUP(json_freep)
	struct json *source = json_new_object(), *in = json_new_object();

	if (!source || !in || json_set(in, "files", json_copy(files)) < 0 ||
		json_set_str(source, "type", "Inline") < 0 ||
		json_set(source, "inline", TAKE(in)) < 0)
		return NULL;
	return TAKE(source);
}

int fleet_embed(const struct fleet *f, struct json *spec, struct arena *a,
	const char **ret_why, enum reason *ret_reason)
{
	const char *name = named_by(spec);
	const struct config *c;

	*ret_why = NULL;
	if (!name)
		return 0;
	c = map_get(f->configs, name);
	if (c && c->files)
		return json_set(spec, "source", inline_of(c->files));
	*ret_reason = c ? REASON_SOURCE_INVALID : REASON_SOURCE_MISSING;
	*ret_why = arena_fmt(a, "ConfigMap '%s' %s", name,
		c ? c->why : "is not in the controller's namespace");
	return *ret_why ? 0 : -ENOMEM;
}

/* What of the ConfigMap cannot be a source, or NULL. */
static const char *refuse(const struct json *obj)
{
	const struct json *data = json_get(obj, "data"), *value;
	size_t it = 0, sum = 0;
	const char *key;

	if (json_len(json_get(obj, "binaryData")) > 0)
		return "has binaryData, which cannot be a source file";
	if (json_len(data) == 0)
		return "has no data";
	if (json_len(data) > FILES_MAX)
		return "has more than 64 files";
	while (json_next(data, &it, &key, &value)) {
		if (!json_str(value))
			return "has data that is no text";
		sum += strlen(key) + strlen(json_str(value));
	}
	return sum > CONFIG_MAX ? "is larger than 256 KiB" : NULL;
}

int fleet_put_config(struct fleet *f, const char *name, const struct json *obj)
{
	struct config *c = map_get(f->configs, name), *fresh;

	if (!map_get(f->config_wants, name))
		return 0;
	if (c && fleet_is_older(project_version(obj), c->version)) {
		c->seen = f->lists[FLEET_CONFIGS];
		return 0;
	}
	fresh = calloc(1, sizeof(*fresh));
	if (!fresh)
		return -ENOMEM;
	fresh->seen = f->lists[FLEET_CONFIGS];
	fresh->version = project_version(obj);
	fresh->why = refuse(obj);
	fresh->files = fresh->why ? NULL : json_copy(json_get(obj, "data"));
	if (!fresh->why && !fresh->files) {
		free(fresh);
		return -ENOMEM;
	}
	if (map_set(f->configs, name, fresh) < 0)
		return -ENOMEM;
	return fleet_embed_again(f, name);
}

int fleet_drop_config(struct fleet *f, const char *name)
{
	if (!map_get(f->configs, name))
		return 0;
	(void)map_del(f->configs, name);
	return fleet_embed_again(f, name);
}

int fleet_sweep_configs(struct fleet *f)
{
	const char *key;
	size_t it = 0;
	void *value;

	while (map_next(f->configs, &it, &key, &value))
		if (((struct config *)value)->seen != f->lists[FLEET_CONFIGS])
			(void)map_del(f->configs, key);
	return fleet_embed_again(f, NULL);
}

bool fleet_configs_grew(struct fleet *f)
{
	bool grew = false;
	size_t it = 0;
	void *value;

	while (map_next(f->drivers, &it, NULL, &value)) {
		const struct driver *d = value;
		const char *name = d->object ? named_by(json_get(d->object, "spec"))
					     : NULL;

		if (!name || map_get(f->config_wants, name))
			continue;
		/* The value only has to be one. */
		if (map_set(f->config_wants, name, f) >= 0)
			grew = true;
	}
	return grew;
}

bool fleet_wants_config(const struct json *driver)
{
	return named_by(json_get(driver, "spec")) != NULL;
}
