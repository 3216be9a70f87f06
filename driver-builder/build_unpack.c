// SPDX-License-Identifier: Apache-2.0
/* Archives are unpacked in the sandbox, where nothing in them can do harm. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "archive.h"
#include "build_work.h"

/* In the command's process of a sandbox: the archive is open, the build folder is all that can be
 * written. Ends without what libraries do at an exit. */
static _Noreturn void unpack_inside(struct sandbox *s, int fd,
	const struct archive_limits *limits, struct err *shared)
{
	int dir, r = sandbox_setup(s);

	if (r < 0)
		_exit(1);
	dir = open(BUILD_AT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		r = err_errno(shared, -errno, "unpack an archive");
	else
		r = archive_unpack(fd, dir, limits, shared);
	shared->code = r;
	_exit(r < 0);
}

static int run_inside(struct work *w, struct sandbox *s, int fd,
	const struct archive_limits *limits, struct err *shared)
{
	pid_t pid = fork();
	int status, r;

	if (pid < 0)
		return err_errno(w->e, -errno, "unpack an archive");
	if (pid == 0)
		unpack_inside(s, fd, limits, shared);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_errno(w->e, -errno, "unpack an archive");
	if (shared->code < 0) {
		shared->text[sizeof(shared->text) - 1] = '\0';
		if (w->e)
			*w->e = *shared;
		return shared->code;
	}
	r = sandbox_result(s, w->e);
	if (r == 0 && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
		r = err_reason(w->e, -EIO, REASON_SOURCE_INVALID,
			"unpacking an archive ended with status 0x%x", (unsigned)status);
	return r;
}

int build_unpack(struct work *w, const char *path, const char *to,
	const struct archive_limits *limits, const char *tools_root)
{
	CLEANUP(sandbox_freep) struct sandbox *s = NULL;
	CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct sandbox_options o = {
		.tools_root = tools_root,
		.mount_point = w->root,
		.work = to,
		.work_at = BUILD_AT,
	};
	struct err *shared;
	int r;

	if (fd < 0)
		return err_reason(w->e, -errno, REASON_SOURCE_MISSING, "archive '%s': %s",
			path, strerror(errno));
	r = sandbox_new(&o, &s, w->e);
	if (r < 0)
		return r;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return err_errno(w->e, -errno, "unpack an archive");
	r = run_inside(w, s, fd, limits, shared);
	(void)munmap(shared, sizeof(*shared));
	return r;
}
