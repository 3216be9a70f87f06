// SPDX-License-Identifier: Apache-2.0
/*
 * Entering a sandbox, in a child that was just forked: system calls on a finished plan, nothing that
 * allocates. Three processes: the child itself waits outside (it carries the exit status), the
 * first one inside is the namespace's init (whose end kills all others), the third returns to be the
 * command. Each dies with the one above it.
 */
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "sandbox_plan.h"

enum { EXIT_SANDBOX = 127, LAST_CAP_TRIED = 63, OPEN_FILES_MAX = 4096, FD_PROC_MAP = 3 };

static int fail(struct sandbox *s, const char *step, const char *what, int error)
{
	s->shared->step = step;
	s->shared->what = what;
	s->shared->error = error;
	return error;
}

/* ---- the new root ---- */

static int make_parents(const char *path)
{
	char part[PATH_MAX];
	size_t i, n = strlen(path);

	if (n >= sizeof(part))
		return -ENAMETOOLONG;
	for (i = 1; i < n; i++) {
		if (path[i] != '/')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			return -errno;
	}
	return 0;
}

static int make_dir(const char *path)
{
	int r = make_parents(path);

	if (r == 0 && mkdir(path, 0755) < 0 && errno != EEXIST)
		r = -errno;
	return r;
}

static int make_file(const char *path, const char *text)
{
	size_t n = strlen(text);
	int r = make_parents(path), fd;

	if (r < 0)
		return r;
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY, 0644);
	if (fd < 0)
		return errno == EROFS || errno == EEXIST ? 0 : -errno;
	if (write(fd, text, n) != (ssize_t)n)
		r = -EIO;
	(void)close(fd);
	return r;
}

/* Attributes for a whole tree of mounts; kernels before 5.12 do the topmost only. */
static int set_attr(const char *path, bool is_ro, bool is_device)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_NOSUID |
					       (is_ro ? MOUNT_ATTR_RDONLY : 0) |
					       (is_device ? 0 : MOUNT_ATTR_NODEV) };
	unsigned long flags = MS_BIND | MS_REMOUNT | MS_NOSUID | (is_ro ? MS_RDONLY : 0) |
			      (is_device ? 0 : MS_NODEV);

	if (syscall(SYS_mount_setattr, AT_FDCWD, path, AT_RECURSIVE, &attr,
		    sizeof(attr)) == 0)
		return 0;
	if (errno != ENOSYS)
		return -errno;
	return mount(NULL, path, NULL, flags, NULL) < 0 ? -errno : 0;
}

static int do_bind(const struct sandbox_op *op)
{
	bool is_rw = op->type == SANDBOX_BIND_RW, is_device = op->type == SANDBOX_DEVICE;
	int r = op->is_file ? make_file(op->dst, "") : make_dir(op->dst);

	if (r < 0)
		return r;
	if (mount(op->src, op->dst, NULL, MS_BIND | (is_rw ? 0 : MS_REC), NULL) < 0)
		return -errno;
	return set_attr(op->dst, !is_rw && !is_device, is_device);
}

static int do_op(const struct sandbox_op *op)
{
	int r;

	switch (op->type) {
	case SANDBOX_DIR:
		return make_dir(op->dst);
	case SANDBOX_LINK:
		r = make_parents(op->dst);
		if (r == 0 && symlink(op->src, op->dst) < 0 && errno != EEXIST)
			r = -errno;
		return r;
	case SANDBOX_BIND_RO:
	case SANDBOX_BIND_RW:
	case SANDBOX_DEVICE:
		return do_bind(op);
	case SANDBOX_FILE:
		return make_file(op->dst, op->src);
	case SANDBOX_PROC:
		r = make_dir(op->dst);
		if (r == 0 &&
			mount("proc", op->dst, "proc",
				MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
			r = -errno;
		return r;
	case SANDBOX_TMP:
		r = make_dir(op->dst);
		if (r == 0 && mount("tmpfs", op->dst, "tmpfs", MS_NOSUID | MS_NODEV,
				      op->src) < 0)
			r = -errno;
		return r;
	case SANDBOX_OPS_:
		break;
	}
	return -EINVAL;
}

/* A root that is the initramfs cannot be pivoted: there the new root is moved over it. */
static int switch_root(const char *new_root)
{
	if (chdir(new_root) < 0)
		return -errno;
	if (syscall(SYS_pivot_root, ".", ".") == 0)
		return umount2(".", MNT_DETACH) < 0 || chdir("/") < 0 ? -errno : 0;
	if (errno != EINVAL)
		return -errno;
	if (mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0)
		return -errno;
	return 0;
}

static int make_root(struct sandbox *s)
{
	size_t i;
	int r;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return fail(s, "make mounts private", "/", -errno);
	if (mount("tmpfs", s->mount_point, "tmpfs", MS_NOSUID | MS_NODEV,
		    "mode=0755,size=16m") < 0)
		return fail(s, "mount tmpfs", s->mount_point, -errno);
	(void)umask(022);
	for (i = 0; i < s->n; i++) {
		r = do_op(&s->ops[i]);
		if (r < 0)
			return fail(s, "mount", s->ops[i].dst, r);
	}
	r = switch_root(s->mount_point);
	if (r < 0)
		return fail(s, "change the root", s->mount_point, r);
	if (mount(NULL, "/", NULL,
		    MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL) < 0)
		return fail(s, "make the root read-only", "/", -errno);
	return 0;
}

/* ---- rights and limits ---- */

static int limit(int what, uint64_t value)
{
	struct rlimit now, rl = { .rlim_cur = value, .rlim_max = value };

	if (getrlimit((__rlimit_resource_t)what, &now) == 0 && now.rlim_max < value)
		rl.rlim_cur = rl.rlim_max = now.rlim_max;
	return setrlimit((__rlimit_resource_t)what, &rl) < 0 ? -errno : 0;
}

static int limit_all(const struct sandbox *s)
{
	int r = limit(RLIMIT_CORE, 0);

	if (r == 0)
		r = limit(RLIMIT_NOFILE, OPEN_FILES_MAX);
	if (r == 0)
		r = limit(RLIMIT_MEMLOCK, 64 << 10);
	if (r == 0)
		r = limit(RLIMIT_FSIZE, s->file_size);
	/* What a control group counts in sum is not limited a second time, process by process. */
	if (r == 0 && !cgroup_has_processes(s->cgroup))
		r = limit(RLIMIT_NPROC, s->processes);
	if (r == 0 && s->memory > 0 && !cgroup_has_memory(s->cgroup))
		r = limit(RLIMIT_AS, s->memory);
	if (r == 0 && s->cpu_seconds > 0)
		r = limit(RLIMIT_CPU, s->cpu_seconds);
	return r;
}

/* No capability in any set, and no way to get one. In a user namespace we have one user only. */
static int drop_rights(bool is_root)
{
	struct {
		uint32_t version;
		int pid;
	} head = { .version = 0x20080522 };
	uint32_t none[6] = { 0 };
	int cap;

	for (cap = 0; cap <= LAST_CAP_TRIED; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 && errno != EINVAL)
			return -errno;
	if (is_root && (setgroups(0, NULL) < 0 ||
			       setresgid(SANDBOX_GID, SANDBOX_GID, SANDBOX_GID) < 0 ||
			       setresuid(SANDBOX_UID, SANDBOX_UID, SANDBOX_UID) < 0))
		return -errno;
	if (syscall(SYS_capset, &head, none) < 0)
		return -errno;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return 0;
}

static void default_signals(void)
{
	struct sigaction sa = { .sa_handler = SIG_DFL };
	sigset_t none;
	int i;

	for (i = 1; i < NSIG; i++)
		(void)sigaction(i, &sa, NULL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Dies with its parent; a parent that died before this call is noticed by @fd, whose other end it held. */
static int die_with_parent(void)
{
	return prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 ? -errno : 0;
}

static int write_proc(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), r = 0;
	size_t n = strlen(text);

	if (fd < 0)
		return -errno;
	if (write(fd, text, n) != (ssize_t)n)
		r = -errno;
	(void)close(fd);
	return r;
}

/* Who is not root gets a user namespace in which he is the build user. */
static int enter_user_namespace(void)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	char map[64];
	int r;

	if (unshare(CLONE_NEWUSER) < 0)
		return -errno;
	r = write_proc("/proc/self/setgroups", "deny");
	(void)snprintf(map, sizeof(map), "%u %u 1", (unsigned)SANDBOX_UID, uid);
	if (r == 0)
		r = write_proc("/proc/self/uid_map", map);
	(void)snprintf(map, sizeof(map), "%u %u 1", (unsigned)SANDBOX_GID, gid);
	if (r == 0)
		r = write_proc("/proc/self/gid_map", map);
	return r;
}

/* ---- the three processes ---- */

static void exit_as(int status)
{
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

/* Waits for @pid, reaping every other child on the way; then ends as it did. */
static void wait_and_exit(pid_t pid)
{
	int status;

	(void)close_range(0, ~0U, 0);
	for (;;) {
		pid_t got = waitpid(-1, &status, 0);

		if (got == pid)
			exit_as(status);
		if (got < 0 && errno != EINTR)
			_exit(EXIT_SANDBOX);
	}
}

static int become_command(struct sandbox *s, bool is_root)
{
	int r = die_with_parent();

	if (r < 0)
		return fail(s, "ask to die with the parent", "", r);
	if (chdir(s->cwd ? s->cwd : "/") < 0)
		return fail(s, "enter", s->cwd, -errno);
	r = limit_all(s);
	if (r < 0)
		return fail(s, "set limits", "", r);
	r = drop_rights(is_root);
	if (r < 0)
		return fail(s, "drop rights", "", r);
	/* Changing the user cleared it. */
	r = die_with_parent();
	if (r < 0)
		return fail(s, "ask to die with the parent", "", r);
	r = sandbox_seccomp();
	if (r < 0)
		return fail(s, "filter system calls", "", r);
	s->shared->is_entered = true;
	return 0;
}

/* The first process inside. Returns in the command's process only. */
static int be_init(struct sandbox *s, bool is_root)
{
	pid_t pid;
	int r = die_with_parent();

	if (r == 0)
		r = make_root(s);
	if (r < 0)
		return r;
	(void)sethostname("farrier", strlen("farrier"));
	pid = fork();
	if (pid < 0)
		return fail(s, "fork", "", -errno);
	if (pid > 0)
		wait_and_exit(pid);
	return become_command(s, is_root);
}

int sandbox_setup(void *sandbox)
{
	struct sandbox *s = sandbox;
	bool is_root = geteuid() == 0;
	pid_t pid;
	int r;

	default_signals();
	r = die_with_parent();
	if (r < 0)
		return fail(s, "ask to die with the parent", "", r);
	r = s->cgroup ? cgroup_enter(s->cgroup) : 0;
	if (r < 0)
		return fail(s, "enter the control group", "", r);
	r = is_root ? 0 : enter_user_namespace();
	if (r < 0)
		return fail(s, "make a user namespace", "", r);
	if (unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWNET |
		    CLONE_NEWUTS) < 0)
		return fail(s, "make namespaces", "", -errno);
	pid = fork();
	if (pid < 0)
		return fail(s, "fork", "", -errno);
	if (pid > 0)
		wait_and_exit(pid);
	r = be_init(s, is_root);
	if (r < 0)
		_exit(EXIT_SANDBOX);
	return 0;
}
