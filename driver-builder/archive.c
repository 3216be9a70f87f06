// SPDX-License-Identifier: Apache-2.0
/*
 * Unpacks archives by file descriptors, one path component at a time and never through a link:
 * links are remembered and made when everything else is there, so that no entry can pass one.
 */
#include "archive.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include <archive.h>
#include <archive_entry.h>

#include "archive_deb.h"
#include "archive_unpack.h"
#include "buf.h"

enum { BLOCK = 64 << 10, CHUNK = 256 << 10, HEADER_ROOM = 16 << 10 };

int archive_refuse(const struct unpack *u, int r, const char *name, const char *why)
{
	return err_reason(u->e, r,
		r == -ENOSPC || r == -EDQUOT ? REASON_DISK_FULL : REASON_SOURCE_INVALID,
		"archive: '%.200s': %s", name, why);
}

/* ---- names ---- */

/* "./a//b/" -> "a/b"; "" for the top itself. Refuses what could lead elsewhere. */
static int clean_name(const struct unpack *u, const char *in, char out[ARCHIVE_NAME_MAX])
{
	size_t n = 0, depth = 0;
	const char *p = in;

	if (strlen(in) >= ARCHIVE_NAME_MAX)
		return archive_refuse(u, -ENAMETOOLONG, in, "the name is too long");
	if (*in == '/')
		return archive_refuse(u, -EINVAL, in, "an absolute name");
	for (; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return archive_refuse(
				u, -EINVAL, "?", "a control character in a name");
	for (p = in; *p;) {
		size_t len = strcspn(p, "/");

		if (len == 2 && p[0] == '.' && p[1] == '.')
			return archive_refuse(u, -EINVAL, in, "'..' in a name");
		if (len > NAME_MAX)
			return archive_refuse(
				u, -ENAMETOOLONG, in, "the name is too long");
		if (len > 0 && !(len == 1 && *p == '.')) {
			if (++depth > ARCHIVE_DEPTH_MAX)
				return archive_refuse(u, -ELOOP, in, "too deep");
			if (n > 0)
				out[n++] = '/';
			memcpy(out + n, p, len);
			n += len;
		}
		p += len + strspn(p + len, "/");
	}
	out[n] = '\0';
	return 0;
}

/* Opens the folder that @name lies in, making what is missing; *ret_last is its last component. */
static int open_parent(const struct unpack *u, const char *name, const char **ret_last)
{
	CLEANUP(closep) int at = fcntl(u->dir, F_DUPFD_CLOEXEC, 0);
	const char *p = name, *slash;

	while (at >= 0 && (slash = strchr(p, '/'))) {
		char part[NAME_MAX + 1];
		int next;

		memcpy(part, p, (size_t)(slash - p));
		part[slash - p] = '\0';
		if (mkdirat(at, part, 0755) < 0 && errno != EEXIST)
			return archive_refuse_errno(u, -errno, name);
		next = openat(at, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0)
			return archive_refuse(
				u, -errno, name, "below something that is no folder");
		closep(&at);
		at = next;
		p = slash + 1;
	}
	if (at < 0)
		return archive_refuse_errno(u, -errno, name);
	*ret_last = p;
	return TAKE_FD(at);
}

/* ---- entries ---- */

static int unpack_dir(struct unpack *u, const char *name)
{
	const char *last;
	CLEANUP(closep) int parent = open_parent(u, name, &last);
	struct stat st;

	if (parent < 0)
		return parent;
	if (mkdirat(parent, last, 0755) == 0)
		return 0;
	if (errno != EEXIST)
		return archive_refuse_errno(u, -errno, name);
	return fstatat(parent, last, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode)
		       ? 0
		       : archive_refuse(u, -EEXIST, name, "named twice");
}

static int write_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t w = write(fd, p, n);

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return -errno;
		p += w;
		n -= (size_t)w;
	}
	return 0;
}

static int write_content(struct unpack *u, int fd, const char *name)
{
	for (;;) {
		la_ssize_t n = archive_read_data(u->a, u->chunk, CHUNK);
		int r;

		if (n == ARCHIVE_RETRY)
			continue;
		if (n < 0)
			return archive_refuse(
				u, -EBADMSG, name, archive_error_string(u->a));
		if (n == 0)
			return 0;
		u->bytes += (uint64_t)n;
		if (u->bytes > u->limits->bytes)
			return archive_refuse(
				u, -EFBIG, name, "unpacked, the archive is too large");
		r = write_all(fd, u->chunk, (size_t)n);
		if (r < 0)
			return archive_refuse_errno(u, r, name);
	}
}

static int unpack_file(struct unpack *u, const char *name, struct archive_entry *entry)
{
	const char *last;
	CLEANUP(closep) int parent = open_parent(u, name, &last);
	CLEANUP(closep) int fd = -1;
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = u->now } };
	int r;

	if (parent < 0)
		return parent;
	fd = openat(
		parent, last, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno == EEXIST ? archive_refuse(u, -EEXIST, name, "named twice")
				       : archive_refuse_errno(u, -errno, name);
	r = write_content(u, fd, name);
	if (r < 0)
		return r;
	/* What make finds newer must not change by unpacking; nothing is newer than now. */
	if (archive_entry_mtime_is_set(entry) && archive_entry_mtime(entry) < u->now)
		times[1] = (struct timespec){ archive_entry_mtime(entry),
			archive_entry_mtime_nsec(entry) };
	if (fchmod(fd, archive_entry_perm(entry) & 0111 ? 0755 : 0644) < 0 ||
		futimens(fd, times) < 0)
		return archive_refuse_errno(u, -errno, name);
	return 0;
}

static int unpack_hardlink(struct unpack *u, const char *name, const char *to)
{
	char target[ARCHIVE_NAME_MAX];
	const char *from_last = NULL, *last = NULL;
	CLEANUP(closep) int from = -1;
	CLEANUP(closep) int parent = -1;
	struct stat st;
	int r = clean_name(u, to, target);

	if (r < 0)
		return r;
	from = open_parent(u, target, &from_last);
	if (from < 0)
		return from;
	if (!*from_last || fstatat(from, from_last, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		!S_ISREG(st.st_mode))
		return archive_refuse(u, -EINVAL, name,
			"a hard link to what is no file of the archive before it");
	parent = open_parent(u, name, &last);
	if (parent < 0)
		return parent;
	if (linkat(from, from_last, parent, last, 0) < 0)
		return errno == EEXIST ? archive_refuse(u, -EEXIST, name, "named twice")
				       : archive_refuse_errno(u, -errno, name);
	return 0;
}

/* The absolute @target as seen from the link @name, both in the archive's own root. */
static char *relative(const char *name, const char *target)
{
	CLEANUP(buf_done) struct buf b = { 0 };

	buf_init(&b, ARCHIVE_DEPTH_MAX * 3 + ARCHIVE_NAME_MAX);
	for (; *name; name++)
		if (*name == '/' && buf_add(&b, "../", 3) < 0)
			return NULL;
	target += strspn(target, "/");
	return buf_fmt(&b, "%s", *target ? target : ".") < 0 ? NULL
							     : strdup(buf_cstr(&b));
}

static int remember_link(struct unpack *u, const char *name, const char *target)
{
	bool is_ours = u->limits->is_root && *target == '/';
	struct link *l;

	if (strlen(target) >= ARCHIVE_NAME_MAX)
		return archive_refuse(u, -ENAMETOOLONG, name, "a link that leads out");

	if (u->links_n == u->links_cap) {
		size_t cap = u->links_cap ? u->links_cap * 2 : 64;

		l = reallocarray(u->links, cap, sizeof(*l));
		if (!l)
			return err_errno(u->e, -ENOMEM, "archive");
		u->links = l;
		u->links_cap = cap;
	}
	l = &u->links[u->links_n++];
	*l = (struct link){ strdup(name),
		is_ours ? relative(name, target) : strdup(target) };
	return l->name && l->target ? 0 : err_errno(u->e, -ENOMEM, "archive");
}

static const char *kind_of(unsigned type)
{
	switch (type) {
	case AE_IFCHR:
	case AE_IFBLK:
		return "a device";
	case AE_IFIFO:
		return "a pipe";
	case AE_IFSOCK:
		return "a socket";
	default:
		return "neither file, folder nor link";
	}
}

static int unpack_entry(struct unpack *u, struct archive_entry *entry)
{
	const char *raw = archive_entry_pathname(entry);
	const char *hard = archive_entry_hardlink(entry);
	const char *target = archive_entry_symlink(entry);
	unsigned type = archive_entry_filetype(entry);
	char name[ARCHIVE_NAME_MAX];
	int r;

	/* Names that this locale cannot tell are UTF-8. */
	raw = raw ? raw : archive_entry_pathname_utf8(entry);
	target = target ? target : archive_entry_symlink_utf8(entry);
	hard = hard ? hard : archive_entry_hardlink_utf8(entry);
	if (!raw)
		return archive_refuse(u, -EINVAL, "?", "an entry without a name");
	if (++u->entries > u->limits->files)
		return archive_refuse(u, -E2BIG, raw, "too many entries");
	r = clean_name(u, raw, name);
	if (r < 0)
		return r;
	if (!*name)
		return !hard && type == AE_IFDIR
			       ? 0
			       : archive_refuse(u, -EINVAL, raw, "the top is a folder");
	if (hard)
		return unpack_hardlink(u, name, hard);
	if (type == AE_IFDIR)
		return unpack_dir(u, name);
	if (type == AE_IFREG)
		return unpack_file(u, name, entry);
	if (type == AE_IFLNK && target)
		return remember_link(u, name, target);
	return archive_refuse(u, -EINVAL, name, kind_of(type));
}

/* ---- links ---- */

/* Only leading ".."s, no more than the link is deep: then whatever other links are on its way, none of
 * which leads out either, the target is inside. */
static bool leads_out(const char *name, const char *target)
{
	size_t depth = 0;
	const char *p;
	bool is_leading = true;

	for (p = name; *p; p++)
		depth += *p == '/';
	if (!*target || *target == '/' || strlen(target) >= ARCHIVE_NAME_MAX)
		return true;
	for (p = target; *p;) {
		size_t len = strcspn(p, "/");

		if (len == 2 && p[0] == '.' && p[1] == '.') {
			if (!is_leading || depth-- == 0)
				return true;
		} else if (len > 0 && !(len == 1 && *p == '.')) {
			is_leading = false;
		}
		p += len + strspn(p + len, "/");
	}
	return false;
}

static int make_links(struct unpack *u, size_t skip)
{
	size_t i;

	for (i = 0; i < u->links_n; i++) {
		const char *name = u->links[i].name + skip, *last;
		CLEANUP(closep) int parent = -1;

		if (leads_out(name, u->links[i].target))
			return archive_refuse(u, -EINVAL, name, "a link that leads out");
		parent = open_parent(u, name, &last);
		if (parent < 0)
			return parent;
		if (symlinkat(u->links[i].target, parent, last) < 0)
			return errno == EEXIST
				       ? archive_refuse(u, -EEXIST, name, "named twice")
				       : archive_refuse_errno(u, -errno, name);
	}
	return 0;
}

/* ---- the whole ---- */

/* In the library itself or not at all: it would start programs for what it cannot do. */
static int open_archive(struct unpack *u, int fd)
{
	struct archive *a = u->a = archive_read_new();
	int r;

	if (!a)
		return err_errno(u->e, -ENOMEM, "archive");
	if (archive_read_support_filter_gzip(a) != ARCHIVE_OK ||
		archive_read_support_filter_xz(a) != ARCHIVE_OK ||
		archive_read_support_filter_zstd(a) != ARCHIVE_OK ||
		archive_read_support_format_tar(a) != ARCHIVE_OK)
		return err_set(u->e, -ENOSYS, "archive: libarchive lacks gz, xz or zst");
	r = archive_deb_is(fd) ? archive_deb_open(fd, a, &u->deb, u->e) : 0;
	if (r < 0)
		return r;
	if (!u->deb && archive_read_open_fd(a, fd, BLOCK) != ARCHIVE_OK)
		return err_reason(u->e, -EINVAL, REASON_SOURCE_INVALID,
			"archive: no tar archive (plain, gz, xz, zst): %s",
			archive_error_string(a) ? archive_error_string(a) : "?");
	return 0;
}

static int read_entries(struct unpack *u)
{
	struct archive_entry *entry;
	int r;

	for (;;) {
		r = archive_read_next_header(u->a, &entry);
		if (r == ARCHIVE_EOF)
			return 0;
		if (r == ARCHIVE_RETRY)
			continue;
		/* A warning is about names that this locale cannot tell: see unpack_entry(). */
		if (r < ARCHIVE_WARN)
			return err_reason(u->e, -EBADMSG, REASON_SOURCE_INVALID,
				"archive: entry %zu: %s", u->entries + 1,
				archive_error_string(u->a) ? archive_error_string(u->a)
							   : "cannot be read");
		if ((uint64_t)archive_filter_bytes(u->a, 0) >
			u->limits->bytes + u->entries * HEADER_ROOM + (1 << 20))
			return archive_refuse(u, -EFBIG, "?", "headers without end");
		r = unpack_entry(u, entry);
		if (r < 0)
			return r;
	}
}

int archive_unpack(int fd, int dir, const struct archive_limits *limits, struct err *e)
{
	struct unpack u = { .limits = limits, .dir = dir, .now = time(NULL), .e = e };
	size_t i, skip;
	int r;

	u.chunk = malloc(CHUNK);
	r = u.chunk ? open_archive(&u, fd) : err_errno(e, -ENOMEM, "archive");
	if (r == 0)
		r = read_entries(&u);
	if (r == 0)
		r = archive_hoist(&u, &skip);
	if (r == 0)
		r = make_links(&u, skip);
	for (i = 0; i < u.links_n; i++) {
		free(u.links[i].name);
		free(u.links[i].target);
	}
	free(u.links);
	free(u.chunk);
	if (u.a)
		(void)archive_read_free(u.a);
	archive_deb_free(u.deb);
	return r;
}
