// SPDX-License-Identifier: Apache-2.0
/* Reads what is wanted, and keeps the cluster's word on disk. */
#include "desired.h"

#include <limits.h>
#include <stdio.h>

#include "file.h"
#include "json.h"
#include "map.h"
#include "yaml.h"

enum { DESIRED_BYTES_MAX = 8 << 20 };

struct manifests {
	struct map *good; /* path -> struct json: documents of the last good version */
};

static void free_json(void *j)
{
	json_free(j);
}

int manifests_new(struct manifests **ret)
{
	struct manifests *m = calloc(1, sizeof(*m));

	if (m)
		m->good = map_new(free_json);
	if (!m || !m->good) {
		manifests_free(m);
		return -ENOMEM;
	}
	*ret = m;
	return 0;
}

void manifests_free(struct manifests *m)
{
	if (!m)
		return;
	map_free(m->good);
	free(m);
}

struct reader {
	struct manifests *m;
	struct arena *a;
	const char *dir;
	struct api_node_driver *drivers;
	const char **origins; /* the file of each driver */
	struct desired_error *errors;
	size_t n, n_errors;
};

static int add_error(
	struct reader *rd, const char *path, enum reason reason, const char *text)
{
	struct desired_error x = { arena_strdup(rd->a, path),
		reason == REASON_NONE ? REASON_MANIFEST_INVALID : reason,
		arena_strdup(rd->a, text) };

	if (!x.where || !x.message)
		return -ENOMEM;
	if (rd->n_errors < DESIRED_FILES_MAX)
		rd->errors[rd->n_errors++] = x;
	return 0;
}

/* The document's driver, appended to @out; the error names the file. */
static int parse_driver(struct reader *rd, const char *path, const struct json *doc,
	struct api_node_driver *out, struct err *e)
{
	const char *kind = json_get_str(doc, "kind");
	struct api_driver d;
	int r;

	if (kind && streq(kind, API_KIND_CLASS))
		return err_reason(e, -EINVAL, REASON_MANIFEST_INVALID,
			"%s:%u: an AcceleratorClass belongs into classes.d", path,
			json_line(doc));
	memset(&d, 0, sizeof(d));
	r = api_driver_parse(rd->a, doc, true, &d, e);
	if (r < 0)
		return err_wrap(e, r, "%s", path);
	*out = (struct api_node_driver){
		.name = d.meta.name,
		.generation = d.meta.generation > 0 ? d.meta.generation : 1,
		.spec = d.spec,
	};
	return 0;
}

/* All documents of a file, or none of them. */
static int parse_file(
	struct reader *rd, const char *path, const struct json *docs, struct err *e)
{
	size_t n = json_len(docs);
	struct api_node_driver *found;
	int r;

	if (n > DESIRED_DRIVERS_MAX - rd->n)
		return err_reason(e, -E2BIG, REASON_MANIFEST_INVALID,
			"%s: more than %d drivers", path, DESIRED_DRIVERS_MAX);
	found = arena_array(rd->a, n + 1, sizeof(*found));
	if (!found)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		r = parse_driver(rd, path, json_at(docs, i), &found[i], e);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < n; i++) {
		size_t k;

		for (k = 0; k < rd->n && !streq(rd->drivers[k].name, found[i].name); k++)
			;
		if (k < rd->n) {
			const char *text = arena_fmt(rd->a,
				"%s: driver '%s' is already in %s", path, found[i].name,
				rd->origins[k]);

			if (!text || add_error(rd, path, REASON_CONFLICT, text) < 0)
				return -ENOMEM;
			continue;
		}
		rd->origins[rd->n] = arena_strdup(rd->a, path);
		rd->drivers[rd->n++] = found[i];
		if (!rd->origins[rd->n - 1])
			return -ENOMEM;
	}
	return 0;
}

static int read_file(const char *name, void *user)
{
	struct reader *rd = user;
	CLEANUP(json_freep) struct json *docs = NULL;
	struct err e = { 0 };
	const struct json *good;
	char path[PATH_MAX];
	size_t len = strlen(name);
	int r;

	if (*name == '.' || len < 6 ||
		(!streq(name + len - 5, ".yaml") && !streq(name + len - 4, ".yml")))
		return 0;
	r = path_join(path, sizeof(path), rd->dir, name, NULL);
	if (r < 0)
		return 0;
	good = map_get(rd->m->good, path);
	r = yaml_read_file(path, &docs, &e);
	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = parse_file(rd, path, docs, &e);
	if (r == 0)
		/* The drivers borrow from the arena only: the tree is kept for bad days. */
		return map_set(rd->m->good, path, TAKE(docs));
	if (r == -ENOMEM || add_error(rd, path, e.reason, e.text) < 0)
		return -ENOMEM;
	if (good && parse_file(rd, path, good, &e) == -ENOMEM)
		return -ENOMEM;
	return 0;
}

int manifests_read(struct manifests *m, struct arena *a, const char *dir,
	struct desired *ret, struct err *e)
{
	struct reader rd = { .m = m, .a = a, .dir = dir };
	struct err why = { 0 };
	int r;

	rd.drivers = arena_array(a, DESIRED_DRIVERS_MAX, sizeof(*rd.drivers));
	rd.origins = arena_array(a, DESIRED_DRIVERS_MAX, sizeof(*rd.origins));
	rd.errors = arena_array(a, DESIRED_FILES_MAX, sizeof(*rd.errors));
	if (!rd.drivers || !rd.origins || !rd.errors)
		return err_errno(e, -ENOMEM, "manifests");
	r = dir_each(dir, read_file, &rd, &why);
	if (r == -ENOMEM)
		return err_errno(e, r, "manifests");
	if (r < 0 && r != -ENOENT &&
		add_error(&rd, dir, REASON_MANIFEST_INVALID, why.text) < 0)
		return err_errno(e, -ENOMEM, "manifests");
	*ret = (struct desired){
		.drivers = { rd.drivers, rd.n },
		.errors = { rd.errors, rd.n_errors },
		.node_name = "",
		.uid = "",
		.generation = 1,
	};
	return 0;
}

int desired_parse(
	struct arena *a, const struct json *node, struct desired *ret, struct err *e)
{
	struct api_node n;
	int r;

	memset(&n, 0, sizeof(n));
	r = api_node_parse(a, node, false, &n, e);
	if (r < 0)
		return r;
	if (n.spec.drivers.n > DESIRED_DRIVERS_MAX)
		return err_reason(e, -E2BIG, REASON_MANIFEST_INVALID,
			"more than %d drivers", DESIRED_DRIVERS_MAX);
	*ret = (struct desired){
		.drivers = n.spec.drivers,
		.classes = n.spec.classes,
		.builds = n.spec.builds,
		.upgrade = n.spec.upgrade,
		.node_name = n.meta.name,
		.uid = n.meta.uid ? n.meta.uid : "",
		.generation = n.meta.generation,
	};
	return 0;
}

int desired_read(struct arena *a, const char *state, struct json **ret_json,
	struct desired *ret, struct err *e)
{
	CLEANUP(json_freep) struct json *j = NULL;
	CLEANUP(freep) char *text = NULL;
	char path[PATH_MAX];
	size_t len;
	int r;

	r = path_join(path, sizeof(path), state, "desired.json", NULL);
	if (r == 0)
		r = file_read(path, DESIRED_BYTES_MAX, &text, &len, e);
	if (r == 0)
		r = json_parse(text, len, &j, e);
	if (r < 0)
		return r == -ENOENT ? r : err_wrap(e, r, "desired.json");
	if (json_get_int(j, "version", 1) != 1)
		return err_set(e, -EBADMSG, "'%s': version is not 1", path);
	r = desired_parse(a, j, ret, e);
	if (r < 0)
		return err_wrap(e, r, "'%s'", path);
	*ret_json = TAKE(j);
	return 0;
}

static int write_json(
	const char *folder, const char *file, const struct json *j, struct err *e)
{
	struct buf b CLEANUP(buf_done);
	char path[PATH_MAX];
	int r;

	buf_init(&b, DESIRED_BYTES_MAX);
	r = json_print(j, true, &b);
	if (r == 0)
		r = path_join(path, sizeof(path), folder, file, NULL);
	if (r < 0)
		return err_errno(e, r, "'%s'", file);
	return file_write_if_changed(path, b.data, b.len, 0644, e);
}

static bool is_file_name(const char *s)
{
	return s && *s && *s != '.' && !strchr(s, '/') && strlen(s) < NAME_MAX - 10;
}

static int write_class(const char *folder, const struct json *class_, struct err *e)
{
	CLEANUP(json_freep) struct json *j = json_new_object();
	struct json *meta = json_new_object();
	const char *name = json_get_str(class_, "name");
	char file[NAME_MAX + 1];
	int r;

	if (!is_file_name(name)) {
		json_free(meta);
		return err_reason(
			e, -EINVAL, REASON_MANIFEST_INVALID, "class without a name");
	}
	(void)snprintf(file, sizeof(file), "%s.json", name);
	r = meta ? json_set_str(meta, "name", name) : -ENOMEM;
	if (!j || r < 0 || json_set_str(j, "apiVersion", API_GROUP_VERSION) < 0 ||
		json_set_str(j, "kind", API_KIND_CLASS) < 0) {
		json_free(meta);
		return err_errno(e, -ENOMEM, "class '%s'", name);
	}
	r = json_set(j, "metadata", meta);
	if (r == 0)
		r = json_set(j, "spec", json_copy(json_get(class_, "spec")));
	if (r < 0)
		return err_errno(e, r, "class '%s'", name);
	return write_json(folder, file, j, e);
}

struct sweep {
	const char *folder;
	const struct json *classes;
	int removed;
};

/* Takes away a class file whose class is gone. */
static int sweep_class(const char *file, void *user)
{
	struct sweep *s = user;
	char path[PATH_MAX];
	size_t len = strlen(file);

	if (len < 6 || !streq(file + len - 5, ".json"))
		return 0;
	for (size_t i = 0; i < json_len(s->classes); i++) {
		const char *name = json_get_str(json_at(s->classes, i), "name");

		if (name && strlen(name) == len - 5 && strncmp(name, file, len - 5) == 0)
			return 0;
	}
	if (path_join(path, sizeof(path), s->folder, file, NULL) == 0 &&
		unlink(path) == 0)
		s->removed = 1;
	return 0;
}

static int write_classes(const char *state, const struct json *classes, struct err *e)
{
	char folder[PATH_MAX];
	struct sweep s = { folder, classes, 0 };
	int r, changed = 0;

	r = path_join(folder, sizeof(folder), state, "classes", NULL);
	if (r == 0)
		r = dir_make(folder, 0755, e);
	for (size_t i = 0; r >= 0 && i < json_len(classes); i++) {
		r = write_class(folder, json_at(classes, i), e);
		changed |= r > 0;
	}
	if (r >= 0)
		r = dir_each(folder, sweep_class, &s, e);
	return r < 0 ? r : changed | s.removed;
}

int desired_write(const char *state, const struct json *node, struct err *e)
{
	static const char *const kept[] = { "name", "uid", "generation" };
	CLEANUP(json_freep) struct json *j = json_new_object();
	struct json *meta = json_new_object();
	int r = j && meta ? json_set_int(j, "version", 1) : -ENOMEM, changed;

	if (r == 0)
		r = json_set_str(j, "apiVersion", API_GROUP_VERSION);
	if (r == 0)
		r = json_set_str(j, "kind", API_KIND_NODE);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(kept); i++) {
		const struct json *v = json_path(node, "metadata");

		v = json_get(v, kept[i]);
		r = v ? json_set(meta, kept[i], json_copy(v)) : 0;
	}
	if (r < 0) {
		json_free(meta);
		return err_errno(e, r, "desired.json");
	}
	r = json_set(j, "metadata", meta);
	if (r == 0 && json_get(node, "spec"))
		r = json_set(j, "spec", json_copy(json_get(node, "spec")));
	if (r < 0)
		return err_errno(e, r, "desired.json");
	r = write_classes(state, json_path(node, "spec.classes"), e);
	if (r < 0)
		return err_wrap(e, r, "classes");
	changed = r;
	r = write_json(state, "desired.json", j, e);
	return r < 0 ? err_wrap(e, r, "desired.json") : changed | r;
}
