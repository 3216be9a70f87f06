// SPDX-License-Identifier: Apache-2.0
#include "single.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>

#include "file.h"

int single_take(const char *run_dir, int *ret, struct err *e)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	CLEANUP(closep) int fd = -1;
	char path[PATH_MAX];
	int r;

	r = dir_make(run_dir, 0755, e);
	if (r < 0)
		return r;
	if (snprintf(path, sizeof(path), "%s/" SINGLE_FILE, run_dir) >= (int)sizeof(path))
		return err_set(e, -ENAMETOOLONG, "'%s'", run_dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_errno(e, -errno, "'%s'", path);
	/* Of the process, unlike flock()'s: a child of ours that hangs in the kernel does not keep it. */
	if (fcntl(fd, F_SETLK, &lock) < 0)
		return errno == EAGAIN || errno == EACCES
			       ? err_set(e, -EAGAIN, "'%s': another device plugin has it",
					 path)
			       : err_errno(e, -errno, "lock '%s'", path);
	*ret = TAKE_FD(fd);
	return 0;
}
