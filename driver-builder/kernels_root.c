// SPDX-License-Identifier: Apache-2.0
/* Paths below the host's root, resolved as the host itself would. */
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "kernels.h"

enum { LINKS_MAX = 40 };

int root_prefix(const char *root, char *out, size_t size)
{
	size_t n = strlen(root);

	while (n > 0 && root[n - 1] == '/')
		n--;
	if (n >= size)
		return -ENAMETOOLONG;
	memcpy(out, root, n);
	out[n] = '\0';
	return 0;
}

/* Puts the target of a link in front of what is still to be walked. */
static int follow(
	const char *prefix, const char *link, char *done, char *rest, size_t size)
{
	char target[PATH_MAX], joined[PATH_MAX * 2];
	const char *t = target;
	ssize_t n = readlink(link, target, sizeof(target) - 1);
	size_t len = strlen(prefix);

	if (n < 0)
		return -errno;
	target[n] = '\0';
	if (*t == '/') {
		*done = '\0';
		if (len > 0 && strncmp(t, prefix, len) == 0 &&
			(t[len] == '/' || t[len] == '\0'))
			t += len;
	}
	n = snprintf(joined, sizeof(joined), "%s/%s", t, rest);
	if (n < 0 || (size_t)n >= size)
		return -ENAMETOOLONG;
	memcpy(rest, joined, (size_t)n + 1);
	return 0;
}

/* One component: *done grows by it, shrinks (..), or the link that it is goes into *rest. */
static int step(const char *prefix, const char *name, char *done, char *rest, size_t size,
	unsigned *links)
{
	char path[PATH_MAX * 2];
	struct stat st;
	size_t n = strlen(done);

	if (streq(name, ".."))
		return (void)(strrchr(done, '/') && (*strrchr(done, '/') = '\0')), 0;
	if (snprintf(path, sizeof(path), "%s%s/%s", prefix, done, name) >= PATH_MAX)
		return -ENAMETOOLONG;
	if (lstat(path, &st) < 0)
		return -errno;
	if (S_ISLNK(st.st_mode))
		return ++*links > LINKS_MAX ? -ELOOP
					    : follow(prefix, path, done, rest, size);
	if (n + 1 + strlen(name) >= size)
		return -ENAMETOOLONG;
	done[n] = '/';
	memcpy(done + n + 1, name, strlen(name) + 1);
	return 0;
}

int root_resolve(const char *root, const char *path, char **ret_real, struct err *e)
{
	char prefix[PATH_MAX], done[PATH_MAX] = "", rest[PATH_MAX], name[NAME_MAX + 1];
	unsigned links = 0;
	int r = root_prefix(root, prefix, sizeof(prefix));

	if (r == 0 && strlen(path) >= sizeof(rest))
		r = -ENAMETOOLONG;
	if (r < 0)
		return err_errno(e, r, "'%s'", path);
	memcpy(rest, path, strlen(path) + 1);
	for (;;) {
		size_t skip = strspn(rest, "/"), n = strcspn(rest + skip, "/");

		if (n == 0)
			break;
		if (n > NAME_MAX)
			return err_errno(e, -ENAMETOOLONG, "'%s'", path);
		memcpy(name, rest + skip, n);
		name[n] = '\0';
		memmove(rest, rest + skip + n, strlen(rest + skip + n) + 1);
		if (streq(name, "."))
			continue;
		r = step(prefix, name, done, rest, sizeof(rest), &links);
		if (r < 0)
			return err_errno(e, r, "'%s' below '%s'", path, root);
	}
	if (asprintf(ret_real, "%s%s", prefix, *prefix || *done ? done : "/") < 0)
		return err_errno(e, -ENOMEM, "'%s'", path);
	return 0;
}
