// SPDX-License-Identifier: Apache-2.0
/* Files and folders: capped reads, atomic writes, removal that stays inside. */
#include "file.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

enum { READ_CHUNK = 4096, COPY_CHUNK = 64 << 10, REMOVE_DEPTH_MAX = 256 };

static void dirp(DIR **d)
{
	if (*d)
		(void)closedir(*d);
}

static ssize_t read_some(int fd, void *p, size_t n)
{
	ssize_t r;

	do
		r = read(fd, p, n);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

static int write_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t r = write(fd, p, n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		p += r;
		n -= (size_t)r;
	}
	return 0;
}

int file_read(const char *path, size_t max, char **ret, size_t *ret_len, struct err *e)
{
	/* O_NONBLOCK: a pipe that somebody put there must not hang us. */
	CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	CLEANUP(freep) char *data = NULL;
	size_t len = 0, cap = 0;
	ssize_t n;

	if (fd < 0)
		return err_errno(e, -errno, "read '%s'", path);
	for (;;) {
		if (cap - len < READ_CHUNK + 1) {
			char *p = realloc(data, cap = cap * 2 + READ_CHUNK + 1);

			if (!p)
				return err_errno(e, -ENOMEM, "read '%s'", path);
			data = p;
		}
		n = read_some(fd, data + len, cap - len - 1);
		if (n < 0)
			return err_errno(e, (int)n, "read '%s'", path);
		if (n == 0)
			break;
		len += (size_t)n;
		if (len > max)
			return err_set(
				e, -EFBIG, "read '%s': more than %zu bytes", path, max);
	}
	data[len] = '\0';
	*ret = TAKE(data);
	if (ret_len)
		*ret_len = len;
	return 0;
}

int file_read_line(const char *path, char *out, size_t size)
{
	CLEANUP(closep) int fd = -1;
	size_t len = 0;
	char *nl;

	out[0] = '\0';
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	while (len < size) {
		ssize_t n = read_some(fd, out + len, size - len);

		if (n < 0)
			out[0] = '\0';
		if (n < 0)
			return (int)n;
		nl = memchr(out + len, '\n', (size_t)n);
		if (nl) {
			*nl = '\0';
			return 0;
		}
		len += (size_t)n;
		if (n == 0)
			break;
	}
	if (len == size) {
		out[0] = '\0';
		return -ENOBUFS;
	}
	out[len] = '\0';
	return 0;
}

int dir_sync(const char *path, struct err *e)
{
	CLEANUP(closep) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_errno(e, -errno, "sync '%s'", path);
	/* Some file systems know no fsync of a folder: there is nothing more to be had there. */
	if (fsync(fd) < 0 && errno != EINVAL && errno != EROFS)
		return err_errno(e, -errno, "sync '%s'", path);
	return 0;
}

/* A file being written beside @path under a name with a leading dot. */
struct pending {
	int fd;
	char tmp[PATH_MAX], dir[PATH_MAX];
};

static int pending_open(struct pending *p, const char *path)
{
	const char *slash = strrchr(path, '/');
	int n, m;

	if (slash && !slash[1])
		return -EISDIR;
	n = !slash ? snprintf(p->dir, sizeof(p->dir), ".")
	    : slash == path
		    ? snprintf(p->dir, sizeof(p->dir), "/")
		    : snprintf(p->dir, sizeof(p->dir), "%.*s", (int)(slash - path), path);
	m = snprintf(p->tmp, sizeof(p->tmp), "%.*s.%.200s.XXXXXX",
		slash ? (int)(slash + 1 - path) : 0, path, slash ? slash + 1 : path);
	if (n >= (int)sizeof(p->dir) || m >= (int)sizeof(p->tmp))
		return -ENAMETOOLONG;
	p->fd = mkostemp(p->tmp, O_CLOEXEC);
	return p->fd < 0 ? -errno : 0;
}

static int pending_commit(struct pending *p, const char *path, mode_t mode, struct err *e)
{
	if (fchmod(p->fd, mode) < 0 || fsync(p->fd) < 0)
		return err_errno(e, -errno, "write '%s'", path);
	if (close(TAKE_FD(p->fd)) < 0)
		return err_errno(e, -errno, "write '%s'", path);
	if (rename(p->tmp, path) < 0)
		return err_errno(e, -errno, "write '%s'", path);
	p->tmp[0] = '\0';
	return dir_sync(p->dir, e);
}

static void pending_done(struct pending *p)
{
	closep(&p->fd);
	if (p->tmp[0])
		(void)unlink(p->tmp);
}

int file_write_atomic(
	const char *path, const void *data, size_t len, mode_t mode, struct err *e)
{
	struct pending p;
	int r = pending_open(&p, path);

	if (r < 0)
		return err_errno(e, r, "write '%s'", path);
	r = write_all(p.fd, data, len);
	if (r < 0)
		(void)err_errno(e, r, "write '%s'", path);
	else
		r = pending_commit(&p, path, mode, e);
	pending_done(&p);
	return r;
}

int file_write_if_changed(
	const char *path, const void *data, size_t len, mode_t mode, struct err *e)
{
	CLEANUP(freep) char *old = NULL;
	size_t old_len = 0;
	struct stat st;
	int r;

	if (lstat(path, &st) == 0 && S_ISREG(st.st_mode) &&
		(st.st_mode & 07777) == mode && (size_t)st.st_size == len &&
		file_read(path, len, &old, &old_len, NULL) == 0 && old_len == len &&
		(len == 0 || memcmp(old, data, len) == 0))
		return 0;
	r = file_write_atomic(path, data, len, mode, e);
	return r < 0 ? r : 1;
}

static int copy_bytes(int from, int to)
{
	CLEANUP(freep) char *chunk = malloc(COPY_CHUNK);
	ssize_t n;
	int r;

	if (!chunk)
		return -ENOMEM;
	while ((n = read_some(from, chunk, COPY_CHUNK)) > 0) {
		r = write_all(to, chunk, (size_t)n);
		if (r < 0)
			return r;
	}
	return (int)n;
}

int file_copy(const char *from, const char *to, mode_t mode, struct err *e)
{
	CLEANUP(closep) int fd = open(from, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct pending p;
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(e, -errno, "copy '%s'", from);
	if (!S_ISREG(st.st_mode))
		return err_set(e, -EINVAL, "copy '%s': not a regular file", from);
	r = pending_open(&p, to);
	if (r < 0)
		return err_errno(e, r, "copy '%s' to '%s'", from, to);
	r = copy_bytes(fd, p.fd);
	if (r < 0)
		(void)err_errno(e, r, "copy '%s' to '%s'", from, to);
	else
		r = pending_commit(&p, to, mode ? mode : st.st_mode & 0777, e);
	pending_done(&p);
	return r;
}

int dir_make(const char *path, mode_t mode, struct err *e)
{
	char part[PATH_MAX];
	size_t n = strlen(path), i;
	struct stat st;

	if (n >= sizeof(part))
		return err_errno(e, -ENAMETOOLONG, "make '%.64s…'", path);
	for (i = 1; i <= n; i++) {
		if (i < n && path[i] != '/')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		if (mkdir(part, mode) == 0)
			continue;
		/* A read-only parent that exists says EROFS or EACCES rather than EEXIST. */
		if (stat(part, &st) < 0)
			return err_errno(e, -errno, "make '%s'", part);
		if (!S_ISDIR(st.st_mode))
			return err_errno(e, -ENOTDIR, "make '%s'", part);
	}
	return 0;
}

static int remove_below(int parent, const char *name, unsigned depth);

/* Removes what is in the open folder; 1 when something was removed, so that another pass is due. */
static int remove_pass(DIR *d, dev_t dev, unsigned depth)
{
	struct dirent *x;
	int removed = 0, r;

	rewinddir(d);
	while (errno = 0, (x = readdir(d))) {
		struct statx sx;

		if (streq(x->d_name, ".") || streq(x->d_name, ".."))
			continue;
		if (statx(dirfd(d), x->d_name, AT_SYMLINK_NOFOLLOW, STATX_TYPE, &sx) < 0)
			return errno == ENOENT ? 1 : -errno;
		if ((sx.stx_attributes & STATX_ATTR_MOUNT_ROOT) ||
			makedev(sx.stx_dev_major, sx.stx_dev_minor) != dev)
			return -EXDEV;
		if (S_ISDIR(sx.stx_mode))
			r = remove_below(dirfd(d), x->d_name, depth + 1);
		else
			r = unlinkat(dirfd(d), x->d_name, 0) < 0 ? -errno : 0;
		if (r < 0 && r != -ENOENT)
			return r;
		removed = 1;
	}
	return errno ? -errno : removed;
}

static int remove_below(int parent, const char *name, unsigned depth)
{
	CLEANUP(closep) int fd = -1;
	CLEANUP(dirp) DIR *d = NULL;
	struct stat st;
	int r;

	if (depth > REMOVE_DEPTH_MAX)
		return -ELOOP;
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	d = fdopendir(fd);
	if (!d)
		return -errno;
	fd = -1;
	do
		r = remove_pass(d, st.st_dev, depth);
	while (r > 0);
	if (r < 0)
		return r;
	return unlinkat(parent, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

int dir_remove(const char *path, struct err *e)
{
	struct stat st;
	int r;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : err_errno(e, -errno, "remove '%s'", path);
	if (S_ISDIR(st.st_mode))
		r = remove_below(AT_FDCWD, path, 0);
	else
		r = unlink(path) < 0 ? -errno : 0;
	return r < 0 && r != -ENOENT ? err_errno(e, r, "remove '%s'", path) : 0;
}

struct names {
	char **v;
	size_t n, cap;
};

static void names_done(struct names *s)
{
	while (s->n > 0)
		free(s->v[--s->n]);
	free(s->v);
}

static int names_add(struct names *s, const char *name)
{
	if (s->n >= FILE_DIR_MAX)
		return -E2BIG;
	if (s->n == s->cap) {
		size_t cap = MAX(s->cap * 2, (size_t)32);
		char **v = reallocarray(s->v, cap, sizeof(*v));

		if (!v)
			return -ENOMEM;
		s->v = v;
		s->cap = cap;
	}
	s->v[s->n] = strdup(name);
	return s->v[s->n] ? (s->n++, 0) : -ENOMEM;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int dir_each(const char *path, int (*fn)(const char *name, void *user), void *user,
	struct err *e)
{
	CLEANUP(dirp) DIR *d = opendir(path);
	CLEANUP(names_done) struct names s = { 0 };
	struct dirent *x;
	size_t i;
	int r;

	if (!d)
		return err_errno(e, -errno, "list '%s'", path);
	while (errno = 0, (x = readdir(d))) {
		if (streq(x->d_name, ".") || streq(x->d_name, ".."))
			continue;
		r = names_add(&s, x->d_name);
		if (r < 0)
			return err_errno(e, r, "list '%s'", path);
	}
	if (errno)
		return err_errno(e, -errno, "list '%s'", path);
	if (s.n > 0)
		qsort(s.v, s.n, sizeof(*s.v), by_name);
	for (i = 0; i < s.n; i++) {
		r = fn(s.v[i], user);
		if (r != 0)
			return r;
	}
	return 0;
}

bool file_exists(const char *path)
{
	return access(path, F_OK) == 0;
}

int path_join(char *out, size_t size, ...)
{
	const char *part;
	size_t n = 0;
	va_list ap;
	int r = 0;

	if (size == 0)
		return -ENAMETOOLONG;
	va_start(ap, size);
	while (r == 0 && (part = va_arg(ap, const char *))) {
		size_t len;

		if (!*part)
			continue;
		if (n > 0) {
			while (n > 0 && out[n - 1] == '/')
				n--;
			part += strspn(part, "/");
			if (n + 1 < size)
				out[n++] = '/';
			else
				r = -ENAMETOOLONG;
		}
		len = strlen(part);
		if (r == 0 && len < size - n) {
			memcpy(out + n, part, len);
			n += len;
		} else {
			r = -ENAMETOOLONG;
		}
	}
	va_end(ap);
	out[r == 0 ? n : 0] = '\0';
	return r;
}
