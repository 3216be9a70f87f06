// SPDX-License-Identifier: Apache-2.0
/* Files of devices: found by patterns, read with caps, trusted with nothing. */
#include "attribute.h"

#include <ctype.h>
#include <fnmatch.h>
#include <regex.h>
#include <stdio.h>
#include <sys/stat.h>

#include "file.h"

enum { ATTRIBUTE_PATH_MAX = 1024, PATTERN_MAX = 1024 };

/* ---- finding a file ---- */
struct walk {
	const char *dir, *pattern; /* of this level */
	const char *rest; /* behind it, "" at the end */
	unsigned depth;
	char *out;
	size_t size;
};

static int find_below(
	const char *dir, const char *file, unsigned depth, char *out, size_t size);

/* 1: found, and no need to look on. */
static int visit(const char *name, void *user)
{
	const struct walk *w = user;
	char path[ATTRIBUTE_PATH_MAX];

	if (fnmatch(w->pattern, name, FNM_PERIOD) != 0 ||
		path_join(path, sizeof(path), w->dir, name, NULL) < 0)
		return 0;
	return find_below(path, w->rest, w->depth, w->out, w->size) == 0;
}

/* The first, by name, that is there. */
static int find_below(
	const char *dir, const char *file, unsigned depth, char *out, size_t size)
{
	size_t n = strcspn(file, "/");
	char name[256], path[ATTRIBUTE_PATH_MAX];
	struct walk w = { dir, name, file + n + (file[n] == '/'), depth + 1, out, size };
	struct stat st;

	if (n == 0) {
		if (lstat(dir, &st) < 0)
			return -ENOENT;
		return strlen(dir) >= size ? -ENAMETOOLONG
					   : (memcpy(out, dir, strlen(dir) + 1), 0);
	}
	if (n >= sizeof(name) || depth >= ATTRIBUTE_PARTS_MAX)
		return -ENAMETOOLONG;
	memcpy(name, file, n);
	name[n] = '\0';
	if (strpbrk(name, "*?["))
		return dir_each(dir, visit, &w, NULL) == 1 ? 0 : -ENOENT;
	if (path_join(path, sizeof(path), dir, name, NULL) < 0)
		return -ENAMETOOLONG;
	return find_below(path, w.rest, depth + 1, out, size);
}

/* Where the file of a class is: in /proc, or below the device's folder or one above it. */
static int find_file(const struct inventory *inv, const struct device *d,
	const char *file, char *out, size_t size)
{
	char dir[ATTRIBUTE_PATH_MAX];
	size_t root;
	int r;

	if (*file == '/')
		return find_below("/proc", file + strlen("/proc/"), 0, out, size);
	if (!d->is_present)
		return -ENOENT;
	r = inventory_dir(inv, d, dir, sizeof(dir));
	if (r < 0)
		return r;
	root = strlen(dir) - strlen(d->syspath) + strlen("devices/");
	for (; str_starts(file, "../"); file += 3) {
		char *slash = strrchr(dir, '/');

		if (!slash || (size_t)(slash - dir) < root)
			return -ENOENT; /* not above the devices */
		*slash = '\0';
	}
	return find_below(dir, file, 0, out, size);
}

/* ---- reading it ---- */
static int link_name(const char *path, char *out, size_t size)
{
	char to[ATTRIBUTE_PATH_MAX];
	const char *base;
	ssize_t n = readlink(path, to, sizeof(to) - 1);

	if (n <= 0)
		return -ENOENT;
	to[n] = '\0';
	base = strrchr(to, '/');
	base = base ? base + 1 : to;
	if (strlen(base) >= size)
		return -ENAMETOOLONG;
	memcpy(out, base, strlen(base) + 1);
	return 0;
}

static void trim(char *s)
{
	size_t n = strlen(s);

	while (n > 0 && isspace((unsigned char)s[n - 1]))
		s[--n] = '\0';
}

/* A link gives its target's name; what is neither link nor file is only there. */
static int read_first_line(const char *path, char *out, size_t size)
{
	struct stat st;
	int r;

	if (lstat(path, &st) < 0)
		return -ENOENT;
	if (S_ISLNK(st.st_mode))
		return link_name(path, out, size);
	out[0] = '\0';
	if (!S_ISREG(st.st_mode))
		return 0;
	r = file_read_line(path, out, size);
	if (r < 0)
		return r == -ENOBUFS ? r : -ENOENT;
	trim(out);
	return 0;
}

int attribute_read(const struct inventory *inv, const struct device *d, const char *file,
	char *out, size_t size)
{
	char path[ATTRIBUTE_PATH_MAX];
	int r = find_file(inv, d, file, path, sizeof(path));

	return r < 0 ? r : read_first_line(path, out, size);
}

int attribute_matches(const struct inventory *inv, const struct device *d,
	const struct api_attribute *a)
{
	char line[256];
	regex_t re;
	int r = attribute_read(inv, d, a->name, line, sizeof(line));

	if (r == -ENOBUFS)
		return !a->value && !a->regexp; /* there, and longer than any value */
	if (r < 0)
		return -ENOENT;
	if (a->value)
		return streq(a->value, line);
	if (!a->regexp)
		return 1;
	if (regcomp(&re, a->regexp, REG_EXTENDED | REG_NOSUB) != 0)
		return 0;
	r = regexec(&re, line, 0, NULL, 0) == 0;
	regfree(&re);
	return r;
}

/* ---- values ---- */
static bool is_value(const char *s)
{
	if (!isalnum((unsigned char)*s))
		return false;
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr("._:-", *s))
			return false;
	return true;
}

/* The first group of @regexp where it matches first, or all of the match. */
static int search(const char *path, const char *regexp, char *out, size_t size)
{
	CLEANUP(freep) char *text = NULL;
	regmatch_t m[2] = { { -1, -1 }, { -1, -1 } };
	struct stat st;
	size_t n, len = 0;
	regex_t re;
	int r;

	if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) ||
		file_read(path, ATTRIBUTE_BYTES_MAX, &text, &len, NULL) < 0)
		return -ENOENT;
	if (regcomp(&re, regexp, REG_EXTENDED | REG_NEWLINE) != 0)
		return -EINVAL;
	r = regexec(&re, text, ARRAY_SIZE(m), m, 0);
	regfree(&re);
	if (r != 0)
		return -ENOENT;
	if (m[1].rm_so < 0)
		m[1] = m[0];
	n = (size_t)(m[1].rm_eo - m[1].rm_so);
	if (n >= size)
		return -ENAMETOOLONG;
	memcpy(out, text + m[1].rm_so, n);
	out[n] = '\0';
	return 0;
}

static int copy(const char *text, char *out, size_t size)
{
	if (!*text)
		return -ENOENT;
	if (strlen(text) >= size)
		return -ENAMETOOLONG;
	memcpy(out, text, strlen(text) + 1);
	return 0;
}

/* In the order of api_variable_builtins. */
static int builtin(const struct inventory *inv, const struct device *d, size_t i,
	char *out, size_t size)
{
	const char *slot = d->bus == API_BUS_PCI ? strchr(d->id, ':') : NULL;

	switch (i) {
	case 0:
		return copy(d->id, out, size);
	case 1:
		return copy(slot ? slot + 1 : d->id, out, size);
	case 2:
		return copy(d->vendor, out, size);
	case 3:
		return copy(d->device, out, size);
	case 4:
		return copy(d->driver, out, size);
	default:
		return attribute_read(inv, d, "iommu_group", out, size);
	}
}

/* ---- values that are kept ---- */
struct value {
	struct value *next;
	char *file, *regexp; /* as the class has them; regexp NULL: none */
	char text[VALUE_MAX];
};

void values_free(struct value *v)
{
	while (v) {
		struct value *next = v->next;

		free(v->file);
		free(v->regexp);
		free(v);
		v = next;
	}
}

static bool is_same(const char *a, const char *b)
{
	return a && b ? streq(a, b) : a == b;
}

/* The link to the driver is another one after each binding: then nothing is known any more. */
static bool known(const struct inventory *inv, struct device *d,
	const struct api_variable *v, char *out, size_t size)
{
	char dir[ATTRIBUTE_PATH_MAX], path[ATTRIBUTE_PATH_MAX];
	struct stat st = { 0 };

	if (!d->is_present || inventory_dir(inv, d, dir, sizeof(dir)) < 0 ||
		path_join(path, sizeof(path), dir, "driver", NULL) < 0 ||
		lstat(path, &st) < 0)
		st.st_ino = 0;
	if (!st.st_ino || st.st_ino != d->bound) {
		values_free(TAKE(d->values));
		d->bound = st.st_ino;
	}
	for (const struct value *k = d->values; k; k = k->next)
		if (streq(k->file, v->file) && is_same(k->regexp, v->regexp) &&
			strlen(k->text) < size) {
			memcpy(out, k->text, strlen(k->text) + 1);
			return true;
		}
	return false;
}

/* A convenience: without memory it is read again. */
static void keep(struct device *d, const struct api_variable *v, const char *text)
{
	struct value *k = calloc(1, sizeof(*k));

	if (!k || !d->bound || !is_value(text) || strlen(text) >= sizeof(k->text)) {
		free(k);
		return;
	}
	memcpy(k->text, text, strlen(text) + 1);
	k->file = strdup(v->file);
	k->regexp = v->regexp ? strdup(v->regexp) : NULL;
	if (!k->file || (v->regexp && !k->regexp)) {
		values_free(k);
		return;
	}
	k->next = d->values;
	d->values = k;
}

static int fill(const struct inventory *inv, struct device *d,
	const struct api_class_spec *s, const char *text, bool is_regexp, char *out,
	size_t size, struct err *e);

static int variable(const struct inventory *inv, struct device *d,
	const struct api_variable *v, char *out, size_t size)
{
	char file[EXPANDED_MAX], regexp[PATTERN_MAX], path[ATTRIBUTE_PATH_MAX];
	bool is_kept = *v->file == '/';
	int r = fill(inv, d, NULL, v->file, false, file, sizeof(file), NULL);

	if (is_kept && known(inv, d, v, out, size))
		return 0;
	if (r == 0)
		r = find_file(inv, d, file, path, sizeof(path));
	if (r < 0)
		return r;
	if (!v->regexp) {
		r = read_first_line(path, out, size);
	} else {
		r = fill(inv, d, NULL, v->regexp, true, regexp, sizeof(regexp), NULL);
		if (r == 0)
			r = search(path, regexp, out, size);
	}
	if (r == 0 && is_kept)
		keep(d, v, out);
	return r;
}

/* -ESRCH: no such variable. @s NULL: builtins only. */
static int value_of(const struct inventory *inv, struct device *d,
	const struct api_class_spec *s, const char *name, char *out, size_t size)
{
	const struct api_variable *v = s ? s->variables.items : NULL;
	int r = -ESRCH;

	for (size_t i = 0; api_variable_builtins[i] && r == -ESRCH; i++)
		if (streq(api_variable_builtins[i], name))
			r = builtin(inv, d, i, out, size);
	for (size_t i = 0; v && i < s->variables.n && r == -ESRCH; i++)
		if (streq(v[i].name, name))
			r = variable(inv, d, &v[i], out, size);
	return r < 0 ? r : is_value(out) ? 0 : -EINVAL;
}

/* Adds @value; in a regular expression its dots stand for themselves. */
static int add_value(const char *value, bool is_regexp, char *out, size_t size, size_t *n)
{
	for (; *value; value++) {
		bool is_dot = is_regexp && *value == '.';

		if (*n + 3 >= size)
			return -ENAMETOOLONG;
		if (is_dot)
			out[(*n)++] = '[';
		out[(*n)++] = *value;
		if (is_dot)
			out[(*n)++] = ']';
	}
	return 0;
}

/* Braces that name no variable stay, as regular expressions have them. */
static int fill(const struct inventory *inv, struct device *d,
	const struct api_class_spec *s, const char *text, bool is_regexp, char *out,
	size_t size, struct err *e)
{
	size_t n = 0;

	while (*text) {
		size_t k = *text == '{' ? strcspn(text + 1, "{}") : 0;
		char name[33], value[VALUE_MAX];
		int r = -ESRCH;

		if (k > 0 && k < sizeof(name) && text[1 + k] == '}') {
			memcpy(name, text + 1, k);
			name[k] = '\0';
			r = value_of(inv, d, s, name, value, sizeof(value));
			if (r == 0)
				r = add_value(value, is_regexp, out, size, &n);
		}
		if (r == 0) {
			text += k + 2;
			continue;
		}
		if (r != -ESRCH)
			return err_set(e, r == -ENAMETOOLONG ? r : -ENOENT,
				"'%s': the device has no %s'%s' now", text,
				r == -EINVAL ? "usable " : "", name);
		if (n + 1 >= size)
			return err_set(e, -ENAMETOOLONG, "'%s': too long", text);
		out[n++] = *text++;
	}
	out[n] = '\0';
	return 0;
}

int expand(const struct inventory *inv, struct device *d, const struct api_class_spec *s,
	const char *text, char *out, size_t size, struct err *e)
{
	return fill(inv, d, s, text, false, out, size, e);
}

bool has_variables(const char *text)
{
	return strchr(text, '{') != NULL;
}
