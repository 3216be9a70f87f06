// SPDX-License-Identifier: Apache-2.0
/* Release archives are one folder: what is in it comes out on top. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "archive_unpack.h"
#include "file.h"

#define TOP_NAME ".farrier-top"

struct top {
	char name[NAME_MAX + 1];
	size_t n;
};

static int count_top(const char *name, void *user)
{
	struct top *t = user;

	if (t->n++ == 0)
		(void)snprintf(t->name, sizeof(t->name), "%s", name);
	return 0;
}

static bool is_below(const char *name, const char *top)
{
	size_t n = strlen(top);

	return strncmp(name, top, n) == 0 && name[n] == '/';
}

struct hoist {
	int from, to;
	size_t n;
};

static int hoist_one(const char *name, void *user)
{
	struct hoist *h = user;

	h->n++;
	return renameat(h->from, name, h->to, name) < 0 ? -errno : 0;
}

static int is_empty(const struct unpack *u)
{
	return err_reason(
		u->e, -ENOENT, REASON_SOURCE_INVALID, "archive: there is no file in it");
}

int archive_hoist(struct unpack *u, size_t *ret_skip)
{
	CLEANUP(closep) int from = -1;
	struct hoist h = { -1, u->dir, 0 };
	struct top top = { .n = 0 };
	char path[64];
	struct stat st;
	size_t i;
	int r;

	*ret_skip = 0;
	if (u->limits->is_root)
		return u->entries > 0 ? 0 : is_empty(u);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", u->dir);
	r = dir_each(path, count_top, &top, NULL);
	if (r < 0)
		return err_errno(u->e, r, "archive");
	if (top.n == 0)
		return u->links_n > 0 ? 0 : is_empty(u);
	if (top.n != 1 || fstatat(u->dir, top.name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		!S_ISDIR(st.st_mode))
		return 0;
	for (i = 0; i < u->links_n; i++)
		if (!is_below(u->links[i].name, top.name))
			return 0;
	/* A file in it may have the folder's own name. */
	if (renameat(u->dir, top.name, u->dir, TOP_NAME) < 0)
		return archive_refuse_errno(u, -errno, top.name);
	from = openat(u->dir, TOP_NAME, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (from < 0)
		return archive_refuse_errno(u, -errno, top.name);
	h.from = from;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", from);
	r = dir_each(path, hoist_one, &h, NULL);
	if (r == 0 && unlinkat(u->dir, TOP_NAME, AT_REMOVEDIR) < 0)
		r = -errno;
	if (r == 0 && h.n == 0 && u->links_n == 0)
		return is_empty(u);
	*ret_skip = strlen(top.name) + 1;
	return r < 0 ? archive_refuse_errno(u, r, top.name) : 0;
}
