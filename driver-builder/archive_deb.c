// SPDX-License-Identifier: Apache-2.0
/* Debian packages: one archive is the stream that another is read from. */
#include "archive_deb.h"

#include <archive_entry.h>

enum { BLOCK = 64 << 10, MEMBERS_MAX = 16 };

struct archive_deb {
	struct archive *outer;
	char block[BLOCK];
};

bool archive_deb_is(int fd)
{
	char magic[8];

	return pread(fd, magic, sizeof(magic), 0) == sizeof(magic) &&
	       memcmp(magic, "!<arch>\n", sizeof(magic)) == 0;
}

static int refuse(struct err *e, const char *why)
{
	return err_reason(e, -EINVAL, REASON_SOURCE_INVALID,
		"archive: no Debian package: %s", why ? why : "?");
}

static la_ssize_t on_read(struct archive *inner, void *user, const void **ret)
{
	struct archive_deb *d = user;
	la_ssize_t n;

	do
		n = archive_read_data(d->outer, d->block, sizeof(d->block));
	while (n == ARCHIVE_RETRY);
	if (n < 0) {
		const char *why = archive_error_string(d->outer);

		archive_set_error(inner, EINVAL, "%s", why ? why : "cannot be read");
		return -1;
	}
	*ret = d->block;
	return n;
}

/* The member that holds the files stands behind two others. */
static int find_data(struct archive_deb *d, struct err *e)
{
	struct archive_entry *entry;
	int r;

	for (size_t i = 0; i < MEMBERS_MAX; i++) {
		const char *name;

		r = archive_read_next_header(d->outer, &entry);
		if (r == ARCHIVE_EOF)
			break;
		if (r < ARCHIVE_WARN && r != ARCHIVE_RETRY)
			return refuse(e, archive_error_string(d->outer));
		name = r == ARCHIVE_RETRY ? NULL : archive_entry_pathname(entry);
		if (name && str_starts(name, "data.tar"))
			return 0;
	}
	return refuse(e, "there is no 'data.tar' in it");
}

int archive_deb_open(
	int fd, struct archive *inner, struct archive_deb **ret, struct err *e)
{
	CLEANUP(archive_deb_freep) struct archive_deb *d = calloc(1, sizeof(*d));
	int r;

	if (d)
		d->outer = archive_read_new();
	if (!d || !d->outer)
		return err_errno(e, -ENOMEM, "archive");
	if (archive_read_support_format_ar(d->outer) != ARCHIVE_OK)
		return err_set(e, -ENOSYS, "archive: libarchive lacks ar");
	if (archive_read_open_fd(d->outer, fd, BLOCK) != ARCHIVE_OK)
		return refuse(e, archive_error_string(d->outer));
	r = find_data(d, e);
	if (r < 0)
		return r;
	/* The inner one knows it from here on, whatever becomes of it. */
	*ret = d;
	if (archive_read_open(inner, TAKE(d), NULL, on_read, NULL) != ARCHIVE_OK)
		return refuse(e, archive_error_string(inner));
	return 0;
}

void archive_deb_free(struct archive_deb *d)
{
	if (!d)
		return;
	if (d->outer)
		(void)archive_read_free(d->outer);
	free(d);
}
