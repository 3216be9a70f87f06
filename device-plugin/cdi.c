// SPDX-License-Identifier: Apache-2.0
/* CDI specs: what goes into a container with each device. */
#include "cdi.h"

#include <ctype.h>
#include <stdio.h>

#include "file.h"

#define FILE_PREFIX CDI_VENDOR "-"
enum { SPEC_BYTES_MAX = 16 << 20, CDI_NAME_MAX = 320 };

int cdi_class(const char *name, char *out, size_t size)
{
	const char *front = isalpha((unsigned char)name[0]) ? "" : "c__";
	int n = snprintf(out, size, "%s%s", front, name);

	if (n < 0 || (size_t)n >= size)
		return -ENAMETOOLONG;
	for (char *p = out; *p; p++)
		if (*p == '.')
			*p = '_';
	return 0;
}

int cdi_device(const char *class_name, const char *id, char *out, size_t size)
{
	char class_[CDI_NAME_MAX];
	int r = cdi_class(class_name, class_, sizeof(class_)), n;

	if (r < 0)
		return r;
	n = snprintf(out, size, CDI_VENDOR "/%s=%s", class_, id);
	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

/* No major and minor: the runtime reads them from the node when it is used. */
static struct json *node_json(const struct claim_node *n)
{
	CLEANUP(json_freep) struct json *j = json_new_object();

	if (json_set_str(j, "path", n->path) < 0 ||
		json_set_str(j, "hostPath", n->path) < 0 ||
		json_set_str(j, "permissions", n->permissions) < 0)
		return NULL;
	return TAKE(j);
}

/* Edits must not be empty: a device without nodes is told by its name. */
static int set_device_edits(struct json *edits, const struct claim *c)
{
	CLEANUP(json_freep) struct json *list = json_new_array();
	char text[DEVICE_ID_MAX + 32];

	if (c->n_nodes == 0) {
		(void)snprintf(text, sizeof(text), "FARRIER_DEVICE=%s", c->device->id);
		if (json_add(list, json_new_str(text)) < 0)
			return -ENOMEM;
		return json_set(edits, "env", TAKE(list));
	}
	for (size_t i = 0; i < c->n_nodes; i++)
		if (json_add(list, node_json(&c->nodes[i])) < 0)
			return -ENOMEM;
	return json_set(edits, "deviceNodes", TAKE(list));
}

static struct json *device_json(const struct claim *c)
{
	CLEANUP(json_freep)
	struct json *d = json_new_object(), *edits = json_new_object();

	if (json_set_str(d, "name", c->device->id) < 0 ||
		set_device_edits(edits, c) < 0 ||
		json_set(d, "containerEdits", TAKE(edits)) < 0)
		return NULL;
	return TAKE(d);
}

static struct json *env_json(const struct list *env)
{
	CLEANUP(json_freep) struct json *a = json_new_array();
	const struct kv *kv = env->items;

	for (size_t i = 0; i < env->n; i++) {
		CLEANUP(freep) char *text = NULL;

		if (asprintf(&text, "%s=%s", kv[i].key, kv[i].value) < 0) {
			text = NULL;
			return NULL;
		}
		if (json_add(a, json_new_str(text)) < 0)
			return NULL;
	}
	return TAKE(a);
}

static struct json *mounts_json(const struct list *mounts)
{
	CLEANUP(json_freep) struct json *a = json_new_array();
	const struct api_mount *m = mounts->items;

	for (size_t i = 0; i < mounts->n; i++) {
		CLEANUP(json_freep)
		struct json *o = json_new_object(), *opts = json_new_array();

		if (json_add(opts, json_new_str("rbind")) < 0 ||
			json_add(opts, json_new_str(m[i].read_only ? "ro" : "rw")) < 0 ||
			json_set_str(o, "hostPath", m[i].host_path) < 0 ||
			json_set_str(o, "containerPath", m[i].container_path) < 0 ||
			json_set(o, "options", TAKE(opts)) < 0 ||
			json_add(a, TAKE(o)) < 0)
			return NULL;
	}
	return TAKE(a);
}

/* What every container with a device of the class gets besides. */
static int set_class_edits(struct json *spec, const struct api_class_spec *c)
{
	CLEANUP(json_freep) struct json *edits = json_new_object();

	if (c->env.n == 0 && c->mounts.n == 0)
		return 0;
	if (c->env.n && json_set(edits, "env", env_json(&c->env)) < 0)
		return -ENOMEM;
	if (c->mounts.n && json_set(edits, "mounts", mounts_json(&c->mounts)) < 0)
		return -ENOMEM;
	return json_set(spec, "containerEdits", TAKE(edits));
}

int cdi_spec(const struct snapshot *s, const struct api_class *c, struct json **ret)
{
	CLEANUP(json_freep)
	struct json *spec = json_new_object(), *devices = json_new_array();
	char kind[CDI_NAME_MAX] = CDI_VENDOR "/";
	int r;

	r = cdi_class(c->meta.name, kind + strlen(kind), sizeof(kind) - strlen(kind));
	if (r < 0)
		return r;
	if (!spec || !devices)
		return -ENOMEM;
	for (size_t i = 0; i < s->n_claims; i++) {
		const struct claim *k = &s->claims[i];

		/* Sick ones too, while their nodes are there: a container that holds one may
		 * be started again. One without its nodes must not resolve to another's. */
		if (k->class_ != c || !k->device->is_present || !k->has_nodes)
			continue;
		r = json_add(devices, device_json(k));
		if (r < 0)
			return r;
	}
	if (json_len(devices) == 0) {
		*ret = NULL;
		return 0;
	}
	if (json_set_str(spec, "cdiVersion", CDI_VERSION) < 0 ||
		json_set_str(spec, "kind", kind) < 0 ||
		set_class_edits(spec, &c->spec) < 0 ||
		json_set(spec, "devices", TAKE(devices)) < 0)
		return -ENOMEM;
	*ret = TAKE(spec);
	return 0;
}

static int file_of(const char *dir, const char *class_name, char *out, size_t size)
{
	char name[CDI_NAME_MAX];
	int n = snprintf(name, sizeof(name), FILE_PREFIX "%s.json", class_name);

	if (n < 0 || (size_t)n >= sizeof(name))
		return -ENAMETOOLONG;
	return path_join(out, size, dir, name, NULL);
}

static int write_spec(const char *dir, const struct api_class *c, const struct json *spec,
	struct err *e)
{
	char path[1024];
	struct buf text;
	int r;

	r = file_of(dir, c->meta.name, path, sizeof(path));
	if (r < 0)
		return err_errno(e, r, "class '%s'", c->meta.name);
	if (!spec) {
		(void)unlink(path);
		return 0;
	}
	buf_init(&text, SPEC_BYTES_MAX);
	r = json_print(spec, true, &text);
	if (r == 0)
		r = file_write_if_changed(path, text.data, text.len, 0644, e);
	buf_done(&text);
	return r < 0 ? r : 0;
}

struct sweep {
	const char *dir;
	const struct classes *classes;
};

/* Removes a spec of ours whose class is gone or no longer wants one. */
static int sweep_one(const char *file, void *user)
{
	struct sweep *w = user;
	const struct api_class *c;
	char name[CDI_NAME_MAX], path[1024];
	size_t n = strlen(file);

	if (!str_starts(file, FILE_PREFIX) || n >= sizeof(name) ||
		n < strlen(FILE_PREFIX) + 5 || !streq(file + n - 5, ".json"))
		return 0;
	memcpy(name, file + strlen(FILE_PREFIX), n - strlen(FILE_PREFIX) - 5);
	name[n - strlen(FILE_PREFIX) - 5] = '\0';
	c = classes_find(w->classes, name);
	if (c && c->spec.cdi)
		return 0;
	if (path_join(path, sizeof(path), w->dir, file, NULL) == 0)
		(void)unlink(path);
	return 0;
}

int cdi_write(const char *dir, const struct snapshot *s, const struct classes *classes,
	bool may_remove, struct err *e)
{
	struct sweep w = { dir, classes };
	bool is_made = false;
	int r;

	for (size_t i = 0; i < classes_len(classes); i++) {
		CLEANUP(json_freep) struct json *spec = NULL;
		const struct api_class *c = classes_at(classes, i);

		if (!c->spec.cdi)
			continue;
		r = cdi_spec(s, c, &spec);
		if (r < 0)
			return err_errno(e, r, "CDI spec of class '%s'", c->meta.name);
		if (spec && !is_made) {
			r = dir_make(dir, 0755, e);
			if (r < 0)
				return err_wrap(e, r, "CDI");
			is_made = true;
		}
		r = write_spec(dir, c, spec, e);
		if (r < 0)
			return err_wrap(e, r, "CDI spec of class '%s'", c->meta.name);
	}
	if (may_remove && file_exists(dir))
		(void)dir_each(dir, sweep_one, &w, NULL);
	return 0;
}

int cdi_has(const char *dir, const char *class_name, const char *id, struct err *e)
{
	CLEANUP(json_freep) struct json *spec = NULL;
	CLEANUP(freep) char *text = NULL;
	const struct json *devices;
	char path[1024];
	size_t len = 0;
	int r = file_of(dir, class_name, path, sizeof(path));

	if (r == 0)
		r = file_read(path, SPEC_BYTES_MAX, &text, &len, e);
	if (r == 0)
		r = json_parse(text, len, &spec, e);
	if (r < 0)
		return err_wrap(e, r, "CDI spec");
	devices = json_get(spec, "devices");
	for (size_t i = 0; i < json_len(devices); i++) {
		const char *name = json_get_str(json_at(devices, i), "name");

		if (name && streq(name, id))
			return 0;
	}
	return err_set(e, -ENOENT, "CDI spec: '%s' does not have it", path);
}
