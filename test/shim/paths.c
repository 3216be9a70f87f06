// SPDX-License-Identifier: Apache-2.0
/* Which paths of /sys, /proc and /dev lead into the tree of the faked kernel, and the calls of the C
 * library that take a path. libudev walks from a descriptor of "/" and wants to see a sysfs. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "shim.h"

/* ---- where paths lead ---------------------------------------------------------------------------- */

const char *shim_dir(void)
{
	const char *dir = getenv("FARRIER_SHIM_DIR");

	return dir && *dir == '/' ? dir : NULL;
}

bool is_below(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	return strncmp(path, folder, n) == 0 && (path[n] == '/' || !path[n]);
}

/* Straight to the kernel: our own questions must not come back to us. */
bool exists(const char *path)
{
	struct stat st;

	return syscall(SYS_newfstatat, AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool is_faked(const char *path, const char *dir)
{
	static const char *const folders[] = { "/sys/bus", "/sys/class", "/sys/devices",
		"/sys/module", "/sys/dev", "/sys/subsystem", "/sys/firmware",
		"/proc/modules", "/proc/sys/kernel/random/boot_id",
		"/proc/sys/kernel/osrelease" };
	char own[PATH_MAX];

	if (!strcmp(path, "/sys") || !strcmp(path, "/sys/"))
		return true;
	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++)
		if (is_below(path, folders[i]))
			return true;
	return is_below(path, "/dev") &&
	       snprintf(own, sizeof(own), "%s%s", dir, path) < (int)sizeof(own) &&
	       path[4] && path[5] && exists(own);
}

/* @path, or where it leads in our tree (in @out). */
static const char *redirect(const char *path, char out[PATH_MAX])
{
	const char *dir = shim_dir();

	if (!dir || !path || *path != '/')
		return path;
	while (path[1] == '/')
		path++;
	if (!is_faked(path, dir) ||
		snprintf(out, PATH_MAX, "%s%s", dir, path) >= PATH_MAX)
		return path;
	return out;
}

/* What @fd is, as a path; false when it is none. */
static bool path_of_fd(int fd, char out[PATH_MAX])
{
	char link[64];
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = syscall(SYS_readlinkat, AT_FDCWD, link, out, PATH_MAX - 1);
	if (n <= 0)
		return false;
	out[n] = '\0';
	return true;
}

/* The same for the *at() calls: libudev walks from a descriptor of "/" downwards. */
static const char *redirect_at(int fd, const char *path, char out[PATH_MAX])
{
	char base[PATH_MAX], full[PATH_MAX];

	if (!path || *path == '/' || fd == AT_FDCWD)
		return redirect(path, out);
	if (!*path || !shim_dir() || !path_of_fd(fd, base))
		return path;
	if (strcmp(base, "/") != 0 && !is_below(base, "/proc") &&
		strcmp(base, "/sys") != 0)
		return path;
	if (snprintf(full, sizeof(full), "%s/%s", strcmp(base, "/") ? base : "", path) >=
		(int)sizeof(full))
		return path;
	return redirect(full, out) == out ? out : path;
}

/* ---- the calls that take a path ------------------------------------------------------------------ */

#define MODE_ARG(flags, last) \
	mode_t mode = 0; \
	if ((flags) & (O_CREAT | __O_TMPFILE)) { \
		va_list ap; \
		va_start(ap, last); \
		mode = va_arg(ap, mode_t); \
		va_end(ap); \
	}

#define OPEN(name) \
	API int name(const char *path, int flags, ...) \
	{ \
		char to[PATH_MAX]; \
		MODE_ARG(flags, flags) \
		REAL(name); \
		return real(redirect(path, to), flags, mode); \
	}
OPEN(open)
OPEN(open64)

#define OPENAT(name) \
	API int name(int fd, const char *path, int flags, ...) \
	{ \
		char to[PATH_MAX]; \
		MODE_ARG(flags, flags) \
		REAL(name); \
		return real(fd, redirect_at(fd, path, to), flags, mode); \
	}
OPENAT(openat)
OPENAT(openat64)

int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int fd, const char *path, int flags);
int __openat64_2(int fd, const char *path, int flags);
API int __open_2(const char *path, int flags)
{
	return open(path, flags);
}
API int __open64_2(const char *path, int flags)
{
	return open64(path, flags);
}
API int __openat_2(int fd, const char *path, int flags)
{
	return openat(fd, path, flags);
}
API int __openat64_2(int fd, const char *path, int flags)
{
	return openat64(fd, path, flags);
}

#define ONE_PATH(type, name, params, ...) \
	API type name params \
	{ \
		char to[PATH_MAX]; \
		REAL(name); \
		return real(redirect(path, to), ##__VA_ARGS__); \
	}
#define AT_PATH(type, name, params, ...) \
	API type name params \
	{ \
		char to[PATH_MAX]; \
		REAL(name); \
		return real(fd, redirect_at(fd, path, to), ##__VA_ARGS__); \
	}

ONE_PATH(FILE *, fopen, (const char *path, const char *mode), mode)
ONE_PATH(FILE *, fopen64, (const char *path, const char *mode), mode)
ONE_PATH(DIR *, opendir, (const char *path))
ONE_PATH(int, stat, (const char *path, struct stat *st), st)
ONE_PATH(int, stat64, (const char *path, struct stat64 *st), st)
ONE_PATH(int, lstat, (const char *path, struct stat *st), st)
ONE_PATH(int, lstat64, (const char *path, struct stat64 *st), st)
ONE_PATH(int, access, (const char *path, int mode), mode)
ONE_PATH(ssize_t, readlink, (const char *path, char *b, size_t n), b, n)
ONE_PATH(int, scandir,
	(const char *path, struct dirent ***l, int (*f)(const struct dirent *),
		int (*c)(const struct dirent **, const struct dirent **)),
	l, f, c)
ONE_PATH(int, scandir64,
	(const char *path, struct dirent64 ***l, int (*f)(const struct dirent64 *),
		int (*c)(const struct dirent64 **, const struct dirent64 **)),
	l, f, c)
AT_PATH(int, fstatat, (int fd, const char *path, struct stat *st, int flags), st, flags)
AT_PATH(int, fstatat64, (int fd, const char *path, struct stat64 *st, int flags), st,
	flags)
AT_PATH(int, faccessat, (int fd, const char *path, int mode, int flags), mode, flags)
AT_PATH(ssize_t, readlinkat, (int fd, const char *path, char *b, size_t n), b, n)
AT_PATH(int, statx,
	(int fd, const char *path, int flags, unsigned mask, struct statx *st), flags,
	mask, st)
AT_PATH(int, inotify_add_watch, (int fd, const char *path, uint32_t mask), mask)

ssize_t __readlink_chk(const char *path, char *b, size_t n, size_t size);
ssize_t __readlinkat_chk(int fd, const char *path, char *b, size_t n, size_t size);
API ssize_t __readlink_chk(const char *path, char *b, size_t n, size_t size)
{
	if (n > size)
		abort();
	return readlink(path, b, n);
}
API ssize_t __readlinkat_chk(int fd, const char *path, char *b, size_t n, size_t size)
{
	if (n > size)
		abort();
	return readlinkat(fd, path, b, n);
}

API char *realpath(const char *path, char *out)
{
	char to[PATH_MAX], own[PATH_MAX];
	const char *dir = shim_dir(), *p = redirect(path, to);
	size_t n = dir ? strlen(dir) : 0;
	char *r;

	REAL(realpath);
	if (p != to)
		return real(path, out);
	r = real(p, NULL);
	if (!r)
		return NULL;
	/* The tree's own place does not show. */
	if (real(dir, own) && is_below(r, own))
		n = strlen(own);
	memmove(r, r + n, strlen(r + n) + 1);
	if (!out)
		return r;
	strncpy(out, r, PATH_MAX - 1);
	out[PATH_MAX - 1] = '\0';
	free(r);
	return out;
}
API char *canonicalize_file_name(const char *path)
{
	return realpath(path, NULL);
}

/* libudev wants to see a sysfs. */
static void fake_type(long *type, const char *path)
{
	const char *dir = shim_dir();
	char sys[PATH_MAX];

	if (dir && snprintf(sys, sizeof(sys), "%s/sys", dir) < (int)sizeof(sys) &&
		is_below(path, sys))
		*type = SYSFS_MAGIC;
}

#define STATFS(name, st_type) \
	API int name(const char *path, struct st_type *st) \
	{ \
		char to[PATH_MAX]; \
		const char *p = redirect(path, to); \
		int r; \
		REAL(name); \
		r = real(p, st); \
		if (r == 0) \
			fake_type((long *)&st->f_type, p); \
		return r; \
	}
STATFS(statfs, statfs)
STATFS(statfs64, statfs64)

#define FSTATFS(name, st_type) \
	API int name(int fd, struct st_type *st) \
	{ \
		char path[PATH_MAX]; \
		int r; \
		REAL(name); \
		r = real(fd, st); \
		if (r == 0 && path_of_fd(fd, path)) \
			fake_type((long *)&st->f_type, path); \
		return r; \
	}
FSTATFS(fstatfs, statfs)
FSTATFS(fstatfs64, statfs64)
