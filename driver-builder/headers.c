// SPDX-License-Identifier: Apache-2.0
/* Trees of headers out of archives: which one, how it lies, how long it is kept. */
#include "headers.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "file.h"

enum { RELEASE_FILE_MAX = 4096 };

const struct api_kernel_headers *headers_named(
	const struct api_build *b, const char *release)
{
	const struct api_kernel_headers *h = b->headers.items;

	for (size_t i = 0; i < b->headers.n; i++)
		if (fnmatch(h[i].kernel, release, 0) == 0)
			return &h[i];
	return NULL;
}

int headers_digest(
	const struct api_kernel_headers *h, char ret[DIGEST_HEX + 1], struct err *e)
{
	CLEANUP(digest_freep) struct digest *d = NULL;
	const struct api_archive *a = h->archives.items;
	int r = digest_new(&d);

	if (r == 0)
		r = digest_add_str(d, "farrier-headers-1");
	for (size_t i = 0; r == 0 && i < h->archives.n; i++)
		r = digest_add_str(d, a[i].sha256);
	if (r == 0)
		r = digest_hex(d, ret);
	return r < 0 ? err_errno(e, r, "headers") : 0;
}

/* ---- how they lie ---- */

static bool is_folder(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The release that the tree at @dir is of. */
static int release_of(const char *dir, char out[KERNEL_RELEASE_MAX])
{
	CLEANUP(freep) char *text = NULL;
	char path[PATH_MAX];
	const char *p;
	size_t n;
	int r = path_join(
		path, sizeof(path), dir, "include/generated/utsrelease.h", NULL);

	if (r == 0)
		r = file_read(path, RELEASE_FILE_MAX, &text, NULL, NULL);
	p = r == 0 ? strstr(text, "UTS_RELEASE \"") : NULL;
	if (!p)
		return -ENOENT;
	p += strlen("UTS_RELEASE \"");
	n = strcspn(p, "\"\n");
	if (p[n] != '"' || n >= KERNEL_RELEASE_MAX)
		return -EINVAL;
	memcpy(out, p, n);
	out[n] = '\0';
	return kernel_release_is_valid(out) ? 0 : -EINVAL;
}

struct settle {
	char tree[PATH_MAX], root[PATH_MAX];
	char flat[PATH_MAX]; /* the one tree of an archive that is no root */
	const char *at; /* "usr/src", "usr/src/kernels" */
	size_t entries, found;
};

static int look_top(const char *name, void *user)
{
	struct settle *s = user;

	s->entries++;
	return path_join(s->flat, sizeof(s->flat), s->tree, name, NULL);
}

/* Is it one tree, alone or in a folder? Then it goes where a distribution would put it. */
static int settle_flat(struct settle *s)
{
	char release[KERNEL_RELEASE_MAX], path[PATH_MAX], name[KERNEL_RELEASE_MAX + 32];
	int r;

	if (release_of(s->tree, release) == 0) {
		memcpy(s->flat, s->tree, sizeof(s->flat));
	} else {
		r = dir_each(s->tree, look_top, s, NULL);
		if (r < 0)
			return r;
		if (s->entries != 1 || !is_folder(s->flat) ||
			release_of(s->flat, release) < 0)
			return rename(s->tree, s->root) < 0 ? -errno : 0;
	}
	r = path_join(path, sizeof(path), s->root, "usr/src", NULL);
	if (r == 0)
		r = dir_make(path, 0755, NULL);
	(void)snprintf(name, sizeof(name), "usr/src/linux-headers-%s", release);
	if (r == 0)
		r = path_join(path, sizeof(path), s->root, name, NULL);
	return r == 0 && rename(s->flat, path) < 0 ? -errno : r;
}

/* /lib/modules/R/build of one tree, as kernels.c looks for it. The first of a release counts. */
static int link_tree(const char *name, void *user)
{
	struct settle *s = user;
	char path[PATH_MAX], to[NAME_MAX + 32], in[KERNEL_RELEASE_MAX + 16];
	char release[KERNEL_RELEASE_MAX];
	int r = path_join(path, sizeof(path), s->root, s->at, name, NULL);

	if (r < 0 || !is_folder(path) || release_of(path, release) < 0 ||
		(streq(s->at, "usr/src") && !str_starts(name, "linux-")))
		return 0;
	(void)snprintf(in, sizeof(in), "lib/modules/%s", release);
	r = path_join(path, sizeof(path), s->root, in, NULL);
	if (r == 0)
		r = dir_make(path, 0755, NULL);
	if (r == 0)
		r = path_join(path, sizeof(path), s->root, in, "build", NULL);
	(void)snprintf(to, sizeof(to), "/%s/%s", s->at, name);
	if (r == 0 && symlink(to, path) < 0 && errno != EEXIST)
		r = -errno;
	s->found += r == 0;
	return r;
}

static int settle(struct settle *s)
{
	static const char *const places[] = { "usr/src", "usr/src/kernels" };
	static const char *const theirs[] = { "lib/modules", "usr/lib/modules" };
	char path[PATH_MAX];
	int r = settle_flat(s);

	/* Their own links lead to where we may not have it. */
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(theirs); i++) {
		r = path_join(path, sizeof(path), s->root, theirs[i], NULL);
		if (r == 0)
			r = dir_remove(path, NULL);
		if (r == -ENOTDIR)
			r = 0;
	}
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(places); i++) {
		s->at = places[i];
		r = path_join(path, sizeof(path), s->root, s->at, NULL);
		if (r == 0 && is_folder(path))
			r = dir_each(path, link_tree, s, NULL);
	}
	return r;
}

int headers_settle(const char *dir, struct err *e)
{
	CLEANUP(freep) struct settle *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return err_errno(e, -ENOMEM, "headers");
	r = path_join(s->tree, sizeof(s->tree), dir, "tree", NULL);
	if (r == 0)
		r = path_join(s->root, sizeof(s->root), dir, "root", NULL);
	if (r == 0)
		r = settle(s);
	if (r < 0)
		return err_reason(e, r,
			r == -ENOSPC ? REASON_DISK_FULL : REASON_SOURCE_INVALID,
			"archives of headers: %s", strerror(-r));
	return s->found > 0
		       ? 0
		       : err_reason(e, -ENOENT, REASON_HEADERS_MISSING,
				 "archives of headers: there is no tree with "
				 "'include/generated/utsrelease.h' in them, on top, in a "
				 "folder, or below 'usr/src'");
}

/* ---- how long they are kept ---- */

struct prune {
	const char *dir;
	struct timespec oldest;
	char name[NAME_MAX + 1];
	size_t n;
};

/* Those that nobody holds; -1 in every other case. */
static int try_lock(const char *dir, const char *name, struct stat *st)
{
	char path[PATH_MAX];
	int fd = path_join(path, sizeof(path), dir, name, NULL) == 0
			 ? open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
			 : -1;

	if (fd < 0 || (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, st) == 0))
		return fd;
	(void)close(fd);
	return -1;
}

static int look_old(const char *name, void *user)
{
	struct prune *p = user;
	CLEANUP(closep) int fd = -1;
	struct stat st;

	p->n += strlen(name) == DIGEST_HEX;
	if (strlen(name) != DIGEST_HEX || (fd = try_lock(p->dir, name, &st)) < 0)
		return 0;
	if (*p->name && (st.st_mtim.tv_sec > p->oldest.tv_sec ||
				(st.st_mtim.tv_sec == p->oldest.tv_sec &&
					st.st_mtim.tv_nsec >= p->oldest.tv_nsec)))
		return 0;
	p->oldest = st.st_mtim;
	(void)snprintf(p->name, sizeof(p->name), "%s", name);
	return 0;
}

/* Under a name that stands for nothing first: a tree is whole, or not there. */
static bool take_away(const char *dir, const char *name)
{
	struct stat st;
	CLEANUP(closep) int fd = try_lock(dir, name, &st);
	char from[PATH_MAX], to[PATH_MAX], gone[NAME_MAX + 16];

	if (fd < 0 || path_join(from, sizeof(from), dir, name, NULL) < 0)
		return false;
	if (str_starts(name, "part-"))
		return dir_remove(from, NULL) == 0;
	(void)snprintf(gone, sizeof(gone), "part-%s", name);
	return path_join(to, sizeof(to), dir, gone, NULL) == 0 && rename(from, to) == 0 &&
	       dir_remove(to, NULL) == 0;
}

static int drop_part(const char *name, void *user)
{
	if (str_starts(name, "part-"))
		(void)take_away(user, name);
	return 0;
}

void headers_prune(const char *headers)
{
	(void)dir_each(headers, drop_part, (void *)(uintptr_t)headers, NULL);
	for (;;) {
		struct prune p = { .dir = headers };

		if (dir_each(headers, look_old, &p, NULL) < 0 ||
			p.n <= HEADERS_KEPT_MAX || !*p.name ||
			!take_away(headers, p.name))
			return;
	}
}
