// SPDX-License-Identifier: Apache-2.0
/* The modules that came with a kernel: their names, and what their CRCs tell of it. */
#include <limits.h>
#include <stdio.h>

#include "file.h"
#include "verify_kernel.h"

enum {
	INDEX_BYTES_MAX = 32 << 20,
	NAME_MAX_LEN = 128,
	WALK_DEPTH_MAX = 12,
	SYMBOLS_BYTES_MAX = SYMVERS_BYTES_MAX,
};

/* "kernel/drivers/net/my-drv.ko.xz" -> "my_drv"; false for what is no module. */
static bool module_name(const char *path, size_t len, char *out, size_t size)
{
	const char *base = memrchr(path, '/', len);
	size_t i, n;

	base = base ? base + 1 : path;
	n = len - (size_t)(base - path);
	for (i = 0; i < n && i + 1 < size && !str_starts(base + i, ".ko"); i++)
		out[i] = base[i] == '-' ? '_' : base[i];
	out[i] = '\0';
	return i > 0 && i < n && i + 1 < size;
}

static int add_line(struct map *tree, const char *line, size_t len, bool is_builtin)
{
	char name[NAME_MAX_LEN], *path;

	if (!module_name(line, len, name, sizeof(name)))
		return 0;
	path = is_builtin ? strdup("") : strndup(line, len);
	return path ? map_set(tree, name, path) : -ENOMEM;
}

/* Lines "path.ko: path.ko …", or "path.ko". */
static int read_index(const char *root, const char *release, const char *file,
	bool is_builtin, struct map *tree)
{
	CLEANUP(freep) char *text = NULL;
	char path[PATH_MAX];
	const char *p;
	int r = path_join(path, sizeof(path), root, "lib/modules", release, file, NULL);

	if (r == 0)
		r = file_read(path, INDEX_BYTES_MAX, &text, NULL, NULL);
	for (p = text; r == 0 && *p; p += *p == '\n') {
		r = add_line(tree, p, strcspn(p, ":\n"), is_builtin);
		p += strcspn(p, "\n");
	}
	return r;
}

int verify_tree_read(const char *root, const char *release, struct map **ret)
{
	CLEANUP(map_freep) struct map *tree = map_new(free);
	int r;

	if (!tree)
		return -ENOMEM;
	r = read_index(root, release, "modules.builtin", true, tree);
	if (r == 0)
		r = read_index(root, release, "modules.dep", false, tree);
	if (r == 0)
		*ret = TAKE(tree);
	return r == -ENOMEM ? r : 0;
}

const char *verify_tree_find(const struct map *tree, const char *name)
{
	char wanted[NAME_MAX_LEN];
	size_t i, n = strlen(name);

	if (n >= sizeof(wanted))
		return NULL;
	for (i = 0; i <= n; i++)
		wanted[i] = name[i] == '-' ? '_' : name[i];
	return map_get(tree, wanted);
}

/* ---- CRCs ---- */

struct walk {
	char path[PATH_MAX];
	unsigned depth;
	struct map *seen; /* symbols that are in @out */
	struct buf out;
};

static int add_symbols(struct walk *w, const struct list *l)
{
	const struct elf_symbol *s = l->items;
	static char here[] = "";
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < l->n; i++) {
		if (!s[i].has_crc || map_get(w->seen, s[i].name))
			continue;
		r = map_set(w->seen, s[i].name, here);
		if (r == 0)
			r = buf_fmt(&w->out, "0x%08x\t%s\t\t\t\n", s[i].crc, s[i].name);
	}
	return r;
}

static int add_module(struct walk *w)
{
	CLEANUP(freep) char *data = NULL;
	struct elf_symbol layout = { .name = "module_layout", .has_crc = true };
	struct list one = { &layout, 1 };
	struct elf m = { 0 };
	size_t len;
	int r = elf_read_file(w->path, &data, &len, NULL);

	if (r == 0)
		r = elf_parse(data, len, &m, NULL);
	if (r < 0)
		return r == -ENOMEM ? r : 0;
	layout.crc = m.layout_crc;
	if (m.has_layout_crc)
		r = add_symbols(w, &one);
	if (r == 0)
		r = add_symbols(w, &m.imports);
	if (r == 0)
		r = add_symbols(w, &m.exports);
	elf_done(&m);
	return r;
}

static int walk_entry(const char *name, void *user)
{
	struct walk *w = user;
	size_t n = strlen(w->path);
	int r = 0;

	if (n + strlen(name) + 2 > sizeof(w->path))
		return 0;
	(void)snprintf(w->path + n, sizeof(w->path) - n, "/%s", name);
	if (strstr(name, ".ko")) {
		r = add_module(w);
	} else if (w->depth < WALK_DEPTH_MAX) {
		w->depth++;
		r = dir_each(w->path, walk_entry, w, NULL);
		w->depth--;
		/* Indexes and the like are no folders. */
		r = r == -ENOMEM || r == -ENOBUFS ? r : 0;
	}
	w->path[n] = '\0';
	return r;
}

int verify_tree_symbols(
	const char *root, const char *release, struct symvers **ret, struct err *e)
{
	CLEANUP(freep) struct walk *w = calloc(1, sizeof(*w));
	int r = w ? 0 : -ENOMEM;

	if (r == 0)
		r = path_join(w->path, sizeof(w->path), root, "lib/modules", release,
			"kernel", NULL);
	if (r < 0)
		return err_errno(e, r, "kernel '%s'", release);
	buf_init(&w->out, SYMBOLS_BYTES_MAX);
	w->seen = map_new(NULL);
	r = w->seen ? dir_each(w->path, walk_entry, w, NULL) : -ENOMEM;
	if (r == 0)
		r = w->out.len ? symvers_parse(buf_cstr(&w->out), w->out.len, ret, e)
			       : -ENOENT;
	map_free(w->seen);
	buf_done(&w->out);
	return r < 0 ? err_errno(e, r, "kernel '%s': no module tells its CRCs", release)
		     : 0;
}
