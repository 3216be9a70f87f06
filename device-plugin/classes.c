// SPDX-License-Identifier: Apache-2.0
/* Class files: read when they change, kept when they break; and the matching of devices. */
#include "classes.h"

#include <stdio.h>
#include <sys/stat.h>

#include "attribute.h"
#include "class_cache.h"
#include "file.h"
#include "yaml.h"

enum { CLASS_ARENA_MAX = 16 << 20 };

struct entry {
	struct class_file file;
	char *error; /* of its content */
	char *clash; /* a class of it that another file has too */
	struct arena *arena; /* of the good content */
	struct api_class *classes; /* in the arena */
	size_t n;
	bool is_seen;
	/* identity of what was read last */
	ino_t ino;
	off_t size;
	struct timespec mtime, ctime;
};

struct classes {
	const char *const *dirs;
	size_t n_dirs;
	const char *cache; /* NULL: none */
	bool may_write; /* there */
	struct entry *entries; /* in the order of folders, then names */
	size_t n, cap;
	const struct api_class **sorted;
	size_t n_sorted;
};

static void entry_done(struct entry *f)
{
	free(f->file.path);
	free(f->error);
	free(f->clash);
	arena_free(f->arena);
}

int classes_new(
	const char *const *dirs, size_t n_dirs, struct classes **ret, struct err *e)
{
	struct classes *c = calloc(1, sizeof(*c));

	if (!c)
		return err_errno(e, -ENOMEM, "classes");
	c->dirs = dirs;
	c->n_dirs = n_dirs;
	*ret = c;
	return 0;
}

void classes_free(struct classes *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n; i++)
		entry_done(&c->entries[i]);
	free(c->entries);
	free(c->sorted);
	free(c);
}

void classes_cache(struct classes *c, const char *dir, bool may_write)
{
	c->cache = dir;
	c->may_write = may_write;
}

/* ---- one file ---- */
/* The agent hands classes of the cluster over as JSON; people write YAML. */
static bool is_from_agent(const char *path)
{
	size_t n = strlen(path);

	return n >= 5 && streq(path + n - 5, ".json");
}

static int read_docs(
	const char *path, const char *text, size_t len, struct json **ret, struct err *e)
{
	CLEANUP(json_freep) struct json *docs = NULL, *doc = NULL;
	int r;

	if (!is_from_agent(path))
		return err_wrap(e, yaml_parse(text, len, ret, e), "%s", path);
	r = json_parse(text, len, &doc, e);
	if (r < 0)
		return err_wrap(e, r, "%s", path);
	docs = json_new_array();
	if (json_add(docs, TAKE(doc)) < 0)
		return err_errno(e, -ENOMEM, "%s", path);
	*ret = TAKE(docs);
	return 0;
}

/* What is in force from one file. */
struct content {
	struct arena *arena;
	struct api_class *classes;
	size_t n;
};

/* All of a file or nothing of it. */
static int parse_file(const char *path, const char *text, size_t len, struct content *ret,
	struct err *e)
{
	CLEANUP(arena_freep) struct arena *a = arena_new(CLASS_ARENA_MAX);
	CLEANUP(json_freep) struct json *docs = NULL;
	struct api_class *classes;
	size_t n;
	int r;

	if (!a)
		return err_errno(e, -ENOMEM, "%s", path);
	r = read_docs(path, text, len, &docs, e);
	if (r < 0)
		return r;
	n = json_len(docs);
	classes = arena_array(a, n ? n : 1, sizeof(*classes));
	if (!classes)
		return err_errno(e, -ENOMEM, "%s", path);
	for (size_t i = 0; i < n; i++) {
		/* A newer controller may know more of a class than we do. */
		r = api_class_parse(
			a, json_at(docs, i), !is_from_agent(path), &classes[i], e);
		if (r < 0)
			return err_wrap(e, r, "%s", path);
	}
	*ret = (struct content){ TAKE(a), classes, n };
	return 0;
}

static int set_text(char **to, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		return -ENOMEM;
	free(*to);
	*to = copy;
	return 0;
}

static void take(struct entry *f, const struct content *good)
{
	arena_free(f->arena);
	f->arena = good->arena;
	f->classes = good->classes;
	f->n = good->n;
}

/* Bad when we start: what was good before we were started is in force. */
static void load_cached(const struct classes *c, struct entry *f)
{
	CLEANUP(freep) char *text = NULL;
	struct content good;
	size_t len = 0;

	if (!f->arena && c->cache &&
		class_cache_get(c->cache, f->file.path, &text, &len, NULL) == 0 &&
		parse_file(f->file.path, text, len, &good, NULL) == 0)
		take(f, &good);
}

static int load_file(const struct classes *c, struct entry *f)
{
	CLEANUP(freep) char *text = NULL;
	struct content good;
	struct err e = { 0 };
	size_t len = 0;
	int r = file_read(f->file.path, CLASS_FILE_BYTES_MAX, &text, &len, &e);

	if (r == 0)
		r = parse_file(f->file.path, text, len, &good, &e);
	if (r < 0) {
		load_cached(c, f);
		return set_text(&f->error, e.text);
	}
	take(f, &good);
	free(TAKE(f->error));
	if (c->cache && c->may_write)
		class_cache_put(c->cache, f->file.path, text, len);
	return 0;
}

/* ---- folders ---- */
static struct entry *find_entry(struct classes *c, const char *path)
{
	for (size_t i = 0; i < c->n; i++)
		if (streq(c->entries[i].file.path, path))
			return &c->entries[i];
	return NULL;
}

static struct entry *add_entry(struct classes *c, const char *path)
{
	struct entry *f;

	if (c->n == c->cap) {
		size_t cap = c->cap ? c->cap * 2 : 16;

		f = realloc(c->entries, cap * sizeof(*f));
		if (!f)
			return NULL;
		c->entries = f;
		c->cap = cap;
	}
	f = &c->entries[c->n];
	memset(f, 0, sizeof(*f));
	f->file.path = strdup(path);
	if (!f->file.path)
		return NULL;
	c->n++;
	return f;
}

struct load {
	struct classes *c;
	const char *dir;
	bool is_changed;
};

static bool is_same(const struct entry *f, const struct stat *st)
{
	return f->ino == st->st_ino && f->size == st->st_size &&
	       memcmp(&f->mtime, &st->st_mtim, sizeof(f->mtime)) == 0 &&
	       memcmp(&f->ctime, &st->st_ctim, sizeof(f->ctime)) == 0;
}

static bool has_suffix(const char *name, const char *suffix)
{
	size_t n = strlen(name), m = strlen(suffix);

	return n > m && streq(name + n - m, suffix);
}

static int visit(const char *name, void *user)
{
	struct load *l = user;
	char path[1024];
	struct entry *f;
	struct stat st;

	if (name[0] == '.' || (!has_suffix(name, ".yaml") && !has_suffix(name, ".yml") &&
				      !has_suffix(name, ".json")))
		return 0;
	if (path_join(path, sizeof(path), l->dir, name, NULL) < 0 ||
		stat(path, &st) < 0 || !S_ISREG(st.st_mode))
		return 0;
	f = find_entry(l->c, path);
	if (!f) {
		if (l->c->n >= CLASS_FILES_MAX)
			return 0;
		f = add_entry(l->c, path);
		if (!f)
			return -ENOMEM;
	} else if (is_same(f, &st)) {
		f->is_seen = true;
		return 0;
	}
	f->is_seen = true;
	f->ino = st.st_ino;
	f->size = st.st_size;
	f->mtime = st.st_mtim;
	f->ctime = st.st_ctim;
	l->is_changed = true;
	return load_file(l->c, f);
}

/* ---- the set ---- */
static int by_name(const void *a, const void *b)
{
	const struct api_class *x = *(const struct api_class *const *)a,
			       *y = *(const struct api_class *const *)b;

	return strcmp(x->meta.name, y->meta.name);
}

static bool is_taken(const struct classes *c, const char *name)
{
	for (size_t i = 0; i < c->n_sorted; i++)
		if (streq(c->sorted[i]->meta.name, name))
			return true;
	return false;
}

/* The classes in force, by name; a name that comes twice is an error of the later file. */
static int sort_classes(struct classes *c)
{
	size_t total = 0;

	for (size_t i = 0; i < c->n; i++)
		total += c->entries[i].n;
	free(c->sorted);
	c->n_sorted = 0;
	c->sorted = calloc(total ? total : 1, sizeof(struct api_class *));
	if (!c->sorted)
		return -ENOMEM;
	for (size_t i = 0; i < c->n; i++) {
		struct entry *f = &c->entries[i];

		f->file.n = 0;
		free(TAKE(f->clash));
		for (size_t k = 0; k < f->n; k++) {
			char text[512];

			if (!is_taken(c, f->classes[k].meta.name)) {
				c->sorted[c->n_sorted++] = &f->classes[k];
				f->file.n++;
				continue;
			}
			(void)snprintf(text, sizeof(text),
				"%s: class '%s' is already in another file", f->file.path,
				f->classes[k].meta.name);
			if (set_text(&f->clash, text) < 0)
				return -ENOMEM;
		}
		f->file.error = f->error ? f->error : f->clash;
	}
	qsort(c->sorted, c->n_sorted, sizeof(struct api_class *), by_name);
	return 0;
}

int classes_load(struct classes *c, struct err *e)
{
	struct load l = { .c = c };
	size_t kept = 0;
	int r = 0;

	for (size_t i = 0; i < c->n; i++)
		c->entries[i].is_seen = false;
	for (size_t i = 0; i < c->n_dirs && r == 0; i++) {
		l.dir = c->dirs[i];
		/* A folder that cannot be read is as one that is not there yet. */
		r = dir_each(l.dir, visit, &l, NULL);
		r = r == -ENOMEM ? r : 0;
	}
	if (r < 0)
		return err_errno(e, r, "classes");
	for (size_t i = 0; i < c->n; i++) {
		if (!c->entries[i].is_seen) {
			if (c->cache && c->may_write)
				class_cache_drop(c->cache, c->entries[i].file.path);
			entry_done(&c->entries[i]);
			l.is_changed = true;
		} else {
			c->entries[kept++] = c->entries[i];
		}
	}
	c->n = kept;
	if (!l.is_changed && c->sorted)
		return 0;
	r = sort_classes(c);
	return r < 0 ? err_errno(e, r, "classes") : 1;
}

size_t classes_len(const struct classes *c)
{
	return c->n_sorted;
}

const struct api_class *classes_at(const struct classes *c, size_t i)
{
	return c->sorted[i];
}

const struct api_class *classes_find(const struct classes *c, const char *name)
{
	for (size_t i = 0; i < c->n_sorted; i++)
		if (streq(c->sorted[i]->meta.name, name))
			return c->sorted[i];
	return NULL;
}

size_t classes_files(const struct classes *c)
{
	return c->n;
}

const struct class_file *classes_file(const struct classes *c, size_t i)
{
	return &c->entries[i].file;
}

bool classes_have_errors(const struct classes *c)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->entries[i].file.error)
			return true;
	return false;
}

unsigned classes_buses(const struct classes *c)
{
	unsigned buses = 1u << API_BUS_PCI;

	for (size_t i = 0; i < c->n_sorted; i++) {
		const struct list *m = &c->sorted[i]->spec.match;
		const struct api_device_match *items = m->items;

		for (size_t k = 0; k < m->n; k++)
			buses |= 1u << items[k].bus;
	}
	return buses;
}

/* ---- matching ---- */
static bool id_matches(const char *want, const char *have)
{
	return str_empty(want) || strcasecmp(want, have) == 0;
}

/* A device is in a subsystem when it has a device node of its own there. */
static bool has_subsystem(struct inventory *inv, struct device *d, const char *subsystem)
{
	if (inventory_nodes(inv, d) < 0)
		return false;
	for (size_t i = 0; i < d->n_nodes; i++)
		if (streq(d->nodes[i].subsystem, subsystem))
			return true;
	return false;
}

static bool ids_match(const struct api_device_match *m, const struct device *d)
{
	return m->bus == d->bus && id_matches(m->vendor, d->vendor) &&
	       id_matches(m->device, d->device) &&
	       id_matches(m->subvendor, d->subvendor) &&
	       id_matches(m->subdevice, d->subdevice) &&
	       (str_empty(m->class_code) || strncasecmp(m->class_code, d->class_code,
						    strlen(m->class_code)) == 0);
}

/* A virtual function links to its physical one. */
static bool function_matches(const struct api_device_match *m,
	const struct inventory *inv, const struct device *d)
{
	char name[64];
	bool is_virtual;

	if (m->function == API_FUNCTION_ANY || !d->is_present)
		return true;
	is_virtual = attribute_read(inv, d, "physfn", name, sizeof(name)) == 0;
	return is_virtual == (m->function == API_FUNCTION_VIRTUAL);
}

/* An entry that is for anything with a driver must not take everything that has none. */
static enum class_match undriven(const struct api_device_match *m)
{
	bool is_any = str_empty(m->vendor) && str_empty(m->device) &&
		      str_empty(m->class_code);

	return is_any ? CLASS_INCOMPLETE : CLASS_UNBOUND;
}

/* 1, 0 when one says otherwise, -ENOENT when one cannot be read. */
static int attributes_match(const struct api_device_match *m, const struct inventory *inv,
	const struct device *d)
{
	const struct api_attribute *a = m->attributes.items;
	int all = 1;

	for (size_t i = 0; i < m->attributes.n; i++) {
		int r = attribute_matches(inv, d, &a[i]);

		if (r == 0)
			return 0;
		if (r < 0)
			all = r;
	}
	return all;
}

static enum class_match match_one(
	const struct api_device_match *m, struct inventory *inv, struct device *d)
{
	int attributes;

	if (!ids_match(m, d) || !function_matches(m, inv, d))
		return CLASS_NO;
	attributes = attributes_match(m, inv, d);
	if (attributes == 0)
		return CLASS_NO;
	if (!str_empty(m->driver) && !streq(m->driver, d->driver))
		return d->driver[0] ? CLASS_OTHER_DRIVER : undriven(m);
	if (attributes < 0 ||
		(!str_empty(m->subsystem) && !has_subsystem(inv, d, m->subsystem)))
		return d->driver[0] ? CLASS_INCOMPLETE : undriven(m);
	return CLASS_YES;
}

enum class_match class_match(
	const struct api_class *c, struct inventory *inv, struct device *d)
{
	const struct api_device_match *m = c->spec.match.items;
	enum class_match best = CLASS_NO;

	for (size_t i = 0; i < c->spec.match.n && best != CLASS_YES; i++)
		best = MAX(best, match_one(&m[i], inv, d));
	return best;
}
