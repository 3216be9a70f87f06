// SPDX-License-Identifier: Apache-2.0
/* The digest over an artifact's modules without their signatures. */
#include "unsigned.h"

#include <limits.h>

#include "elf.h"
#include "file.h"

static int by_file(const void *x, const void *y)
{
	const struct artifact_module *const *a = x, *const *b = y;

	return strcmp((*a)->file, (*b)->file);
}

static int add_module(
	struct digest *d, const struct artifact_module *m, const char *dir, struct err *e)
{
	CLEANUP(freep) char *data = NULL;
	char path[PATH_MAX], hex[DIGEST_HEX + 1];
	struct elf_signature signature;
	size_t len, bare;
	int r = path_join(path, sizeof(path), dir, m->file, NULL);

	if (r < 0)
		return err_errno(e, r, "digest of '%s'", m->file);
	r = file_read(path, ELF_BYTES_MAX, &data, &len, e);
	if (r == 0)
		r = elf_split_signature(data, len, &bare, &signature, e);
	if (r >= 0)
		r = digest_bytes(data, bare, hex, e);
	if (r < 0)
		return err_wrap(e, r, "digest of '%s'", m->file);
	r = digest_add_str(d, m->file);
	if (r == 0)
		r = digest_add_str(d, m->name);
	if (r == 0)
		r = digest_add_str(d, hex);
	return r < 0 ? err_errno(e, r, "digest of '%s'", m->file) : 0;
}

static int add_rest(struct digest *d, const struct artifact *a)
{
	/* Where the modules end. */
	int r = digest_add_str(d, "");

	if (r == 0)
		r = digest_add_str(d, a->package);
	for (size_t i = 0; r == 0 && i < a->depends_n; i++)
		r = digest_add_str(d, a->depends[i]);
	return r;
}

int unsigned_digest(const struct artifact *a, const char *dir, char ret[DIGEST_HEX + 1],
	struct err *e)
{
	CLEANUP(digest_freep) struct digest *d = NULL;
	CLEANUP(freep)
	const struct artifact_module **sorted = calloc(a->modules_n + 1, sizeof(void *));
	int r = sorted ? digest_new(&d) : -ENOMEM;

	if (r == 0)
		r = digest_add_str(d, "farrier-unsigned-1");
	if (r < 0)
		return err_errno(e, r, "digest without signatures");
	for (size_t i = 0; i < a->modules_n; i++)
		sorted[i] = &a->modules[i];
	qsort(sorted, a->modules_n, sizeof(*sorted), by_file);
	for (size_t i = 0; i < a->modules_n; i++) {
		r = add_module(d, sorted[i], dir, e);
		if (r < 0)
			return r;
	}
	r = add_rest(d, a);
	if (r == 0)
		r = digest_hex(d, ret);
	return r < 0 ? err_errno(e, r, "digest without signatures") : 0;
}
