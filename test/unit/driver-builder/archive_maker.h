// SPDX-License-Identifier: Apache-2.0
/* Writes archives for tests, hostile ones included. A header, because each test is one file. */
#pragma once

#include <archive.h>
#include <archive_entry.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "file.h"

struct member {
	const char *name;
	unsigned type; /* AE_IFREG, …; 0: a file */
	const char *text; /* of a file; where a link leads; what a hard link names */
	unsigned mode; /* 0: 0644 */
	uint64_t size; /* > 0: a file of so many zeros instead of @text */
	bool is_hard;
};

static void pack_one(struct archive *a, const struct member *m)
{
	struct archive_entry *entry = archive_entry_new();
	unsigned type = m->type ? m->type : AE_IFREG;
	static char zeros[64 << 10];
	const char *text = m->text ? m->text : "";
	uint64_t left = m->size;

	assert_non_null(entry);
	archive_entry_set_pathname(entry, m->name);
	archive_entry_set_filetype(entry, type);
	archive_entry_set_perm(entry, m->mode ? m->mode : 0644);
	archive_entry_set_mtime(entry, 1000000000, 0);
	if (m->is_hard)
		archive_entry_set_hardlink(entry, m->text);
	else if (type == AE_IFLNK)
		archive_entry_set_symlink(entry, m->text);
	else if (type == AE_IFREG)
		archive_entry_set_size(
			entry, (la_int64_t)(m->size ? m->size : strlen(text)));
	/* A warning: the name is not ASCII. */
	assert_true(archive_write_header(a, entry) >= ARCHIVE_WARN);
	if (type == AE_IFREG && !m->is_hard && m->size == 0)
		assert_int_equal(archive_write_data(a, text, strlen(text)), strlen(text));
	while (type == AE_IFREG && left > 0) {
		size_t n = MIN(left, sizeof(zeros));

		assert_int_equal(archive_write_data(a, zeros, n), n);
		left -= n;
	}
	archive_entry_free(entry);
}

/* @filter as archive_write_add_filter_by_name() calls it, NULL: none. */
static void pack(const char *path, const char *filter, const struct member *m, size_t n)
{
	struct archive *a = archive_write_new();

	assert_non_null(a);
	if (filter)
		assert_int_equal(archive_write_add_filter_by_name(a, filter), ARCHIVE_OK);
	assert_int_equal(archive_write_set_format_pax_restricted(a), ARCHIVE_OK);
	assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
	for (size_t i = 0; i < n; i++)
		pack_one(a, &m[i]);
	assert_int_equal(archive_write_close(a), ARCHIVE_OK);
	(void)archive_write_free(a);
}

/* A Debian package whose files are @m. */
static _unused_ void pack_deb(
	const char *path, const char *filter, const struct member *m, size_t n)
{
	struct archive *a = archive_write_new();
	CLEANUP(freep) char *data = NULL;
	char inner[4096];
	size_t len;

	assert_true(snprintf(inner, sizeof(inner), "%s.data", path) < 4096);
	pack(inner, filter, m, n);
	assert_int_equal(file_read(inner, 64 << 20, &data, &len, NULL), 0);
	assert_int_equal(unlink(inner), 0);
	assert_non_null(a);
	assert_int_equal(archive_write_set_format_ar_svr4(a), ARCHIVE_OK);
	assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
	pack_one(a, &(struct member){ "debian-binary", 0, "2.0\n" });
	pack_one(a, &(struct member){ "control.tar.xz", 0, "what dpkg wants to know" });
	{
		struct archive_entry *entry = archive_entry_new();

		archive_entry_set_pathname(entry, "data.tar.x");
		archive_entry_set_filetype(entry, AE_IFREG);
		archive_entry_set_perm(entry, 0644);
		archive_entry_set_size(entry, (la_int64_t)len);
		assert_int_equal(archive_write_header(a, entry), ARCHIVE_OK);
		assert_int_equal(archive_write_data(a, data, len), len);
		archive_entry_free(entry);
	}
	assert_int_equal(archive_write_close(a), ARCHIVE_OK);
	(void)archive_write_free(a);
}
