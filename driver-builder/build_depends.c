// SPDX-License-Identifier: Apache-2.0
/* BUILD_DEPENDS[]: packages whose modules export what this one uses. They are drivers that this node wants
 * too; what they export is read from their modules, so nothing has to be kept of their builds. */
#include <stdio.h>

#include "build_work.h"
#include "elf.h"
#include "file.h"

enum { SYMBOLS_BYTES_MAX = 16 << 20 };

/* Is it the package @name? By what its dkms.conf says, or by the driver's own name. */
static bool is_package(const struct artifact *a, const char *name)
{
	return streq(a->package, name) || streq(a->driver, name);
}

/* The artifact for the package @name, into the next place. 1 when there is one. */
static int find_peer(struct work *w, const char *name)
{
	for (size_t i = 0; i < w->q->peers_n; i++) {
		const struct build_peer *p = &w->q->peers[i];
		struct artifact *a = &w->depends[w->depends_n];

		if (!p->key || streq(p->driver, w->q->driver) ||
			store_get(w->q->state, p->key, a, NULL) < 0)
			continue;
		if (is_package(a, name)) {
			w->depends_n++;
			return 1;
		}
		artifact_done(a);
		*a = (struct artifact){ 0 };
	}
	return 0;
}

static bool is_wanted(const struct work *w, const char *name)
{
	for (size_t i = 0; i < w->q->peers_n; i++)
		if (streq(w->q->peers[i].driver, name))
			return true;
	return false;
}

static int find_all(struct work *w)
{
	for (size_t i = 0; i < w->dkms.depends_n; i++) {
		const char *name = w->dkms.depends[i];

		if (w->depends_n >= STORE_DEPENDS_MAX)
			return err_reason(w->e, -E2BIG, REASON_SOURCE_INVALID,
				"dkms.conf: more than %d BUILD_DEPENDS",
				STORE_DEPENDS_MAX);
		if (find_peer(w, name))
			continue;
		return err_reason(w->e, -ENOENT, REASON_DEPENDENCY_MISSING,
			is_wanted(w, name)
				? "it is built against '%s', which is not built for '%s' yet"
				: "it is built against '%s', which no driver here has built for "
				  "'%s'",
			name, w->q->kernel->release);
	}
	return 0;
}

/* Lines as modpost writes them: CRC, symbol, module, how it is exported, namespace. */
static int add_symbols(struct buf *b, const char *path, const char *module, struct err *e)
{
	CLEANUP(freep) char *data = NULL;
	CLEANUP(elf_done) struct elf m = { 0 };
	const struct elf_symbol *x;
	size_t len;
	int r = elf_read_file(path, &data, &len, e);

	if (r == 0)
		r = elf_parse(data, len, &m, e);
	if (r < 0)
		return r;
	x = m.exports.items;
	for (size_t i = 0; i < m.exports.n; i++)
		(void)buf_fmt(b, "0x%08x\t%s\t%s\tEXPORT_SYMBOL\t\n",
			x[i].has_crc ? x[i].crc : 0, x[i].name, module);
	return 0;
}

static int write_symbols(struct work *w)
{
	CLEANUP(buf_done) struct buf b = { 0 };
	char path[PATH_MAX];
	int r = 0;

	buf_init(&b, SYMBOLS_BYTES_MAX);
	for (size_t i = 0; i < w->depends_n; i++)
		for (size_t k = 0; r == 0 && k < w->depends[i].modules_n; k++) {
			const struct artifact_module *m = &w->depends[i].modules[k];

			r = path_join(
				path, sizeof(path), w->depends[i].dir, m->file, NULL);
			if (r == 0)
				r = add_symbols(&b, path, m->name, w->e);
		}
	if (r == 0)
		r = buf_ok(&b);
	if (r == 0)
		r = path_join(path, sizeof(path), w->out, BUILD_SYMBOLS, NULL);
	if (r < 0)
		return err_errno(w->e, r, "symbols of what it is built against");
	return file_write_atomic(path, buf_cstr(&b), b.len, 0644, w->e);
}

/* Another build of them is another build of this. */
static int extend_key(struct work *w)
{
	const char **items = arena_array(
		w->arena, w->patches.n + w->depends_n + 1, sizeof(*items));
	struct list all = { items, 0 };

	if (!items)
		return err_errno(w->e, -ENOMEM, "content key");
	for (size_t i = 0; i < w->patches.n; i++)
		items[all.n++] = ((const char *const *)w->patches.items)[i];
	for (size_t i = 0; i < w->depends_n; i++) {
		items[all.n] = arena_fmt(w->arena, "built-against:%s", w->depends[i].key);
		if (!items[all.n++])
			return err_errno(w->e, -ENOMEM, "content key");
	}
	return build_make_key(w, &all);
}

int build_depends(struct work *w)
{
	int r = find_all(w);

	if (r < 0 || w->depends_n == 0)
		return r;
	r = write_symbols(w);
	return r == 0 ? extend_key(w) : r;
}
