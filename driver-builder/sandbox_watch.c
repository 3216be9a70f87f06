// SPDX-License-Identifier: Apache-2.0
/* Measures what a build wrote. The tree is hostile: by descriptors, never through a link. */
#include "sandbox_watch.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define FEW_MAX (512ULL << 20) /* room that a build leaves to the others on its disk */
enum { FEW_PART = 20, BLOCK = 512 };

struct measure {
	uint64_t max, *bytes, *files;
};

static void walk(struct measure *m, int fd, int depth);

static void visit(struct measure *m, int dir, const char *name, int depth)
{
	struct stat st;
	int fd;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	*m->bytes += (uint64_t)st.st_blocks * BLOCK;
	if (++*m->files > SANDBOX_FILES_MAX ||
		(S_ISDIR(st.st_mode) && depth >= SANDBOX_DEPTH_MAX)) {
		*m->bytes = UINT64_MAX;
		return;
	}
	if (!S_ISDIR(st.st_mode))
		return;
	fd = openat(
		dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0)
		walk(m, fd, depth + 1);
}

/* Takes over @fd. */
static void walk(struct measure *m, int fd, int depth)
{
	DIR *d = fdopendir(fd);
	const struct dirent *x;

	if (!d) {
		(void)close(fd);
		return;
	}
	while (*m->bytes <= m->max && (x = readdir(d)))
		if (!streq(x->d_name, ".") && !streq(x->d_name, ".."))
			visit(m, dirfd(d), x->d_name, depth);
	(void)closedir(d);
}

void sandbox_measure(const char *dir, uint64_t max, uint64_t *bytes, uint64_t *files)
{
	struct measure m = { max, bytes, files };
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd >= 0)
		walk(&m, fd, 0);
}

void sandbox_room(const char *dir, uint64_t *ret_left, uint64_t *ret_few)
{
	struct statvfs st;

	*ret_left = UINT64_MAX;
	*ret_few = 0;
	if (statvfs(dir, &st) < 0 || st.f_blocks == 0)
		return;
	*ret_left = (uint64_t)st.f_bavail * st.f_frsize;
	*ret_few = MIN((uint64_t)st.f_blocks * st.f_frsize / FEW_PART, FEW_MAX);
}
