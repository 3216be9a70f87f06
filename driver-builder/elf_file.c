// SPDX-License-Identifier: Apache-2.0
/* Module files as they lie on disk, compressed ones included; the only user of libarchive here. */
#include <archive.h>
#include <archive_entry.h>

#include "buf.h"
#include "elf.h"
#include "file.h"

enum { CHUNK = 256 << 10 };

static bool is_compressed(const char *path)
{
	static const char *const ends[] = { ".xz", ".gz", ".zst" };
	size_t i, n = strlen(path);

	for (i = 0; i < ARRAY_SIZE(ends); i++) {
		size_t m = strlen(ends[i]);

		if (n > m && streq(path + n - m, ends[i]))
			return true;
	}
	return false;
}

static void archivep(struct archive **a)
{
	if (*a)
		(void)archive_read_free(*a);
}

static int damaged(const char *path, struct archive *a, struct err *e)
{
	const char *why = archive_error_string(a);

	return err_reason(e, -ENOEXEC, REASON_MODULE_INVALID, "unpack '%s': %s", path,
		why ? why : "damaged");
}

static int unpack(const char *path, struct buf *out, struct err *e)
{
	CLEANUP(archivep) struct archive *a = archive_read_new();
	CLEANUP(freep) char *chunk = malloc(CHUNK);
	struct archive_entry *entry;
	la_ssize_t n;

	if (!a || !chunk)
		return err_errno(e, -ENOMEM, "unpack '%s'", path);
	if (archive_read_support_format_raw(a) != ARCHIVE_OK ||
		archive_read_support_filter_xz(a) < ARCHIVE_WARN ||
		archive_read_support_filter_gzip(a) < ARCHIVE_WARN ||
		archive_read_support_filter_zstd(a) < ARCHIVE_WARN ||
		archive_read_open_filename(a, path, CHUNK) != ARCHIVE_OK ||
		archive_read_next_header(a, &entry) != ARCHIVE_OK)
		return damaged(path, a, e);
	while ((n = archive_read_data(a, chunk, CHUNK)) > 0) {
		int r = buf_add(out, chunk, (size_t)n);

		if (r < 0)
			return err_errno(
				e, r == -ENOBUFS ? -EFBIG : r, "unpack '%s'", path);
	}
	return n < 0 ? damaged(path, a, e) : 0;
}

int elf_read_file(const char *path, char **ret, size_t *ret_len, struct err *e)
{
	struct buf out;
	char *data;
	int r;

	if (!is_compressed(path))
		return file_read(path, ELF_BYTES_MAX, ret, ret_len, e);
	if (access(path, R_OK) < 0)
		return err_errno(e, -errno, "read '%s'", path);
	buf_init(&out, ELF_BYTES_MAX);
	r = unpack(path, &out, e);
	if (r == 0) {
		*ret_len = out.len;
		data = buf_steal(&out);
		if (data)
			*ret = data;
		else
			r = err_errno(e, -ENOMEM, "unpack '%s'", path);
	}
	buf_done(&out);
	return r;
}
