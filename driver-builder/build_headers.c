// SPDX-License-Identifier: Apache-2.0
/* What to build against: the host's own headers; else those of the archives that the spec names. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "archive.h"
#include "build_work.h"
#include "fetch.h"
#include "file.h"
#include "headers.h"

#define ARCHIVE_BYTES_MAX (2ULL << 30)

/* Where the archive is, proved; PATH_MAX bytes. */
static int find_archive(struct work *w, const struct api_archive *a, char *path)
{
	const char *root = w->q->source_root ? w->q->source_root : w->q->root;
	CLEANUP(freep) char *real = NULL;
	char digest[DIGEST_HEX + 1];
	int r;

	if (*a->from != '/')
		return fetch_archive(w->q->state, a->from, a->sha256, NULL, path, w->e);
	r = root_resolve(root, a->from, &real, NULL);
	if (r == 0)
		r = digest_file(real, digest, NULL);
	if (r < 0)
		return err_reason(w->e, r, REASON_SOURCE_MISSING, "'%.300s': %s", a->from,
			strerror(-r));
	if (!streq(digest, a->sha256))
		return err_reason(w->e, -EBADMSG, REASON_SOURCE_DIGEST_MISMATCH,
			"'%.300s' has digest %s, the manifest wants %.64s", a->from,
			digest, a->sha256);
	(void)snprintf(path, PATH_MAX, "%s", real);
	return 0;
}

/* All archives over one another into @dir/tree, and a root of that. */
static int unpack_all(struct work *w, const struct api_kernel_headers *h, const char *dir)
{
	static const struct archive_limits limits = {
		.files = SOURCE_FILES_MAX, .bytes = ARCHIVE_BYTES_MAX, .is_root = true
	};
	const struct api_archive *a = h->archives.items;
	char tree[PATH_MAX], path[PATH_MAX];
	int r = path_join(tree, sizeof(tree), dir, "tree", NULL);

	if (r == 0 &&
		(mkdir(tree, 0755) < 0 ||
			(geteuid() == 0 && chown(tree, SANDBOX_UID, SANDBOX_GID) < 0)))
		r = -errno;
	if (r < 0)
		return err_errno(w->e, r, "headers");
	for (size_t i = 0; r == 0 && i < h->archives.n; i++) {
		r = find_archive(w, &a[i], path);
		if (r == 0)
			r = build_unpack(w, path, tree, &limits, "/");
		if (r < 0)
			return err_wrap(w->e, r, "headers '%.200s'", a[i].from);
	}
	return headers_settle(dir, w->e);
}

/* Makes STATE/headers/<digest>, which is whole once it has that name; *ret_lock holds it then. */
static int make_root(struct work *w, const struct api_kernel_headers *h,
	const char *headers, const char *to, int *ret_lock)
{
	CLEANUP(closep) int fd = -1;
	char dir[PATH_MAX];
	int r = path_join(dir, sizeof(dir), headers, "part-XXXXXX", NULL);

	if (r == 0 && !mkdtemp(dir))
		r = -errno;
	if (r == 0) {
		fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		r = fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
	}
	if (r < 0)
		return err_reason(w->e, r,
			r == -ENOSPC ? REASON_DISK_FULL : REASON_INTERNAL,
			"headers below '%s': %s", headers, strerror(-r));
	r = unpack_all(w, h, dir);
	if (r == 0 && (syncfs(fd) < 0 || rename(dir, to) < 0)) {
		r = err_errno(w->e, -errno, "headers '%s'", to);
		/* Somebody else was faster: theirs is as good. */
		if (file_exists(to) && (r == -EEXIST || r == -ENOTEMPTY))
			r = -EAGAIN;
	}
	if (r == 0)
		r = dir_sync(headers, w->e);
	if (r == 0) {
		*ret_lock = TAKE_FD(fd);
		return 0;
	}
	/* Held by nobody it is a left-over like any other. */
	(void)close(TAKE_FD(fd));
	headers_prune(headers);
	return r;
}

/* The lock of the root at @dir, -ENOENT when there is none. */
static int hold(const char *dir)
{
	CLEANUP(closep) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char root[PATH_MAX];

	if (fd < 0 || flock(fd, LOCK_SH) < 0)
		return -errno;
	/* It may have been taken away while we waited for the lock. */
	if (path_join(root, sizeof(root), dir, "root", NULL) < 0 || !file_exists(root))
		return -ENOENT;
	return TAKE_FD(fd);
}

static int open_root(struct work *w, const struct api_kernel_headers *h)
{
	char headers[PATH_MAX], dir[PATH_MAX], digest[DIGEST_HEX + 1];
	int r = headers_digest(h, digest, w->e), fd;

	if (r < 0)
		return r;
	r = path_join(headers, sizeof(headers), w->q->state, "headers", NULL);
	if (r == 0)
		r = path_join(dir, sizeof(dir), headers, digest, NULL);
	if (r == 0)
		r = path_join(w->headers_at, sizeof(w->headers_at), dir, "root", NULL);
	if (r < 0)
		return err_errno(w->e, r, "headers");
	r = dir_make(headers, 0700, w->e);
	if (r < 0)
		return r;
	fd = hold(dir);
	if (fd < 0) {
		r = make_root(w, h, headers, dir, &fd);
		if (r == -EAGAIN)
			r = fd = hold(dir);
		if (r < 0)
			return r;
	}
	w->headers_lock = fd;
	/* The time of the last use. */
	(void)utimensat(AT_FDCWD, dir, NULL, 0);
	headers_prune(headers);
	return 0;
}

int build_headers(struct work *w)
{
	const struct kernel *k = w->q->kernel;
	const struct api_kernel_headers *h;
	int r;

	w->headers_root = w->q->root;
	if (k->headers)
		return 0;
	h = headers_named(&w->q->spec->build, k->release);
	if (!h)
		return err_reason(w->e, -ENOENT, REASON_HEADERS_MISSING,
			"kernel '%s': %s", k->release,
			k->missing ? k->missing : "no headers");
	r = open_root(w, h);
	if (r < 0)
		return r;
	memcpy(w->kernel.release, k->release, sizeof(w->kernel.release));
	w->kernel.is_running = k->is_running;
	r = kernel_headers_find(&w->kernel, w->headers_at, w->e);
	if (r < 0)
		return err_wrap(w->e, r, "archives of headers");
	w->kernel.has_modules = k->has_modules;
	w->kernel.has_dep = k->has_dep;
	w->headers_root = w->headers_at;
	w->own = *w->q;
	w->own.kernel = &w->kernel;
	w->q = &w->own;
	return 0;
}
