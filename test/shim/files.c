// SPDX-License-Identifier: Apache-2.0
/* The small files that the faked kernel is made of; opened past our own open(). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim.h"

bool shim_at(char out[PATH_MAX], const char *fmt, ...)
{
	const char *dir = shim_dir();
	int n = dir ? snprintf(out, PATH_MAX, "%s/", dir) : -1, m;
	va_list ap;

	if (n < 0 || n >= PATH_MAX)
		return false;
	va_start(ap, fmt);
	m = vsnprintf(out + n, (size_t)(PATH_MAX - n), fmt, ap);
	va_end(ap);
	return m >= 0 && m < PATH_MAX - n;
}

bool shim_read(const char *path, char out[TEXT_MAX])
{
	int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, out, TEXT_MAX - 1);

	if (fd >= 0)
		(void)close(fd);
	if (n < 0)
		return false;
	while (n > 0 && out[n - 1] == '\n')
		n--;
	out[n] = '\0';
	return true;
}

void shim_write(const char *path, const char *fmt, ...)
{
	int fd = (int)syscall(SYS_openat, AT_FDCWD, path,
		O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	va_list ap;

	if (fd < 0)
		return;
	va_start(ap, fmt);
	(void)vdprintf(fd, fmt, ap);
	va_end(ap);
	(void)close(fd);
}

void shim_make_dirs(const char *path)
{
	char p[PATH_MAX];

	(void)snprintf(p, sizeof(p), "%s", path);
	for (char *s = p + 1; *s; s++)
		if (*s == '/') {
			*s = '\0';
			(void)mkdir(p, 0755);
			*s = '/';
		}
	(void)mkdir(p, 0755);
}

void shim_remove_tree(const char *path)
{
	char below[PATH_MAX];
	struct dirent *x;
	DIR *d;

	if (unlink(path) == 0 || (errno != EISDIR && errno != EPERM))
		return;
	d = opendir(path);
	while (d && (x = readdir(d)))
		if (strcmp(x->d_name, ".") != 0 && strcmp(x->d_name, "..") != 0 &&
			snprintf(below, sizeof(below), "%s/%s", path, x->d_name) <
				(int)sizeof(below))
			shim_remove_tree(below);
	if (d)
		(void)closedir(d);
	(void)rmdir(path);
}

void shim_link(const char *target, const char *fmt, ...)
{
	char path[PATH_MAX];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(path, sizeof(path), fmt, ap);
	va_end(ap);
	if (n < 0 || n >= PATH_MAX)
		return;
	(void)unlink(path);
	(void)symlink(target, path);
}
