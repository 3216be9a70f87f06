// SPDX-License-Identifier: Apache-2.0
/* Control groups of both versions, by their files alone. */
#include "cgroup.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "file.h"

#define PREFIX "farrier-build-"
#define REMOVE_WAIT_US (2 * USEC_PER_SEC)
#define REMOVE_STEP_US (10 * USEC_PER_MSEC)

enum { SELF_MAX = 64 << 10, FILE_MAX = 64 << 10, TRIES_MAX = 4 };

/* Version 1 has a folder for each controller, version 2 one for both. */
struct group {
	char path[PATH_MAX]; /* "": not there */
	int lock; /* the folder, locked while we live */
	int procs; /* cgroup.procs */
};

struct cgroup {
	int version;
	struct group
		groups[2]; /* version 1: memory, pids; version 2: both in the first */
	bool has_memory, has_processes;
};

enum { MEMORY, PIDS };

const struct cgroup_place cgroup_host = { "/sys/fs/cgroup", "/proc/self/cgroup" };

/* ---- small files ---- */

/* No file is ever made in a control group: in a test's folder it is. */
static int write_text(const char *dir, const char *file, const char *text)
{
	CLEANUP(closep) int fd = -1;
	char path[PATH_MAX];
	size_t n = strlen(text);

	if (path_join(path, sizeof(path), dir, file, NULL) < 0)
		return -ENAMETOOLONG;
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	return write(fd, text, n) == (ssize_t)n ? 0 : -errno;
}

static int write_number(const char *dir, const char *file, uint64_t value)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	return write_text(dir, file, text);
}

/* The number behind @key in "key value" lines; 0 when it is not there. */
static uint64_t read_count(const char *dir, const char *file, const char *key)
{
	CLEANUP(freep) char *text = NULL;
	char path[PATH_MAX];
	size_t len, n = strlen(key);

	if (path_join(path, sizeof(path), dir, file, NULL) < 0 ||
		file_read(path, FILE_MAX, &text, &len, NULL) < 0)
		return 0;
	for (const char *line = text; *line;) {
		const char *end = strchrnul(line, '\n');

		if (strncmp(line, key, n) == 0 && line[n] == ' ')
			return strtoull(line + n + 1, NULL, 10);
		line = *end ? end + 1 : end;
	}
	return 0;
}

/* Is @word one of the words of @text (parted by commas, blanks, line ends)? */
static bool has_word(const char *text, size_t len, const char *word)
{
	static const char parts[] = ", \n";
	size_t n = strlen(word);

	for (size_t i = 0; i + n <= len; i++)
		if (memcmp(text + i, word, n) == 0 &&
			(i == 0 || strchr(parts, text[i - 1])) &&
			(i + n == len || strchr(parts, text[i + n])))
			return true;
	return false;
}

static bool file_has_word(const char *dir, const char *file, const char *word)
{
	CLEANUP(freep) char *text = NULL;
	char path[PATH_MAX];
	size_t len;

	return path_join(path, sizeof(path), dir, file, NULL) == 0 &&
	       file_read(path, FILE_MAX, &text, &len, NULL) == 0 &&
	       has_word(text, len, word);
}

/* ---- finding our own ---- */

/* Our own group's path in the hierarchy of @controller ("" for version 2) into @out; "" when there
 * is no such hierarchy. A line is "4:memory:/path" or "0::/path". */
static void own_path(const char *self, const char *controller, char out[PATH_MAX])
{
	out[0] = '\0';
	for (const char *line = self; *line;) {
		const char *end = strchrnul(line, '\n');
		const char *list = memchr(line, ':', (size_t)(end - line));
		const char *path = list ? memchr(list + 1, ':', (size_t)(end - list - 1))
					: NULL;

		if (path && (*controller ? has_word(list + 1, (size_t)(path - list - 1),
						   controller)
					 : path == list + 1)) {
			(void)snprintf(
				out, PATH_MAX, "%.*s", (int)(end - path - 1), path + 1);
			return;
		}
		line = *end ? end + 1 : end;
	}
}

static bool is_group(const char *dir)
{
	char path[PATH_MAX];

	return path_join(path, sizeof(path), dir, "cgroup.procs", NULL) == 0 &&
	       file_exists(path);
}

/* The folder of our own group; the hierarchy's top where that cannot be seen, as in a container. */
static bool find_base(const char *top, const char *own, char out[PATH_MAX])
{
	if (*own && !strstr(own, "..") && path_join(out, PATH_MAX, top, own, NULL) == 0 &&
		is_group(out))
		return true;
	return snprintf(out, PATH_MAX, "%s", top) < PATH_MAX && is_group(top);
}

/* ---- one folder ---- */

static void group_close(struct group *g)
{
	closep(&g->lock);
	closep(&g->procs);
	g->lock = g->procs = -1;
}

static void kill_all(const char *dir)
{
	CLEANUP(freep) char *text = NULL;
	char path[PATH_MAX];
	size_t len;

	if (path_join(path, sizeof(path), dir, "cgroup.procs", NULL) < 0 ||
		file_read(path, FILE_MAX, &text, &len, NULL) < 0)
		return;
	for (char *p = text; *p;) {
		char *end;
		unsigned long long pid = strtoull(p, &end, 10);

		if (end == p)
			break;
		if (pid > 1 && pid <= INT32_MAX)
			(void)kill((pid_t)pid, SIGKILL);
		p = end + strspn(end, "\n");
	}
}

static void remove_group(const char *dir)
{
	const struct timespec step = { 0, REMOVE_STEP_US * 1000 };

	for (uint64_t us = 0; us < REMOVE_WAIT_US; us += REMOVE_STEP_US) {
		if (rmdir(dir) == 0 || errno != EBUSY)
			return;
		kill_all(dir);
		(void)nanosleep(&step, NULL);
	}
}

/* A folder whose lock nobody holds has no build any more. */
static int clean_one(const char *name, void *user)
{
	CLEANUP(closep) int fd = -1;
	const char *base = user;
	char path[PATH_MAX];

	if (!str_starts(name, PREFIX) ||
		path_join(path, sizeof(path), base, name, NULL) < 0)
		return 0;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
		remove_group(path);
	return 0;
}

static bool is_still(const char *path, int fd)
{
	struct stat a, b;

	return stat(path, &a) == 0 && fstat(fd, &b) == 0 && a.st_ino == b.st_ino;
}

static int group_make(struct group *g, const char *base)
{
	char path[PATH_MAX];

	(void)dir_each(base, clean_one, (void *)base, NULL);
	for (int i = 0; i < TRIES_MAX; i++) {
		if (path_join(path, sizeof(path), base, PREFIX "XXXXXX", NULL) < 0)
			return -ENAMETOOLONG;
		if (!mkdtemp(path))
			return -errno;
		g->lock = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (g->lock < 0 || flock(g->lock, LOCK_EX) < 0 ||
			!is_still(path, g->lock)) {
			/* Another build's cleaning was quicker. */
			(void)rmdir(path);
			group_close(g);
			continue;
		}
		memcpy(g->path, path, sizeof(path));
		return 0;
	}
	return -EAGAIN;
}

static int group_open(struct group *g)
{
	char path[PATH_MAX];

	if (path_join(path, sizeof(path), g->path, "cgroup.procs", NULL) < 0)
		return -ENAMETOOLONG;
	g->procs = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	return g->procs < 0 ? -errno : 0;
}

static void group_drop(struct group *g)
{
	if (*g->path)
		remove_group(g->path);
	group_close(g);
	g->path[0] = '\0';
}

/* ---- the two versions ---- */

static int new_v1_one(struct cgroup *c, int which, const char *name,
	const struct cgroup_place *p, const char *self)
{
	char top[PATH_MAX], own[PATH_MAX], base[PATH_MAX];
	int r;

	own_path(self, name, own);
	if (!*own || path_join(top, sizeof(top), p->root, name, NULL) < 0 ||
		!find_base(top, own, base))
		return -ENOENT;
	r = group_make(&c->groups[which], base);
	return r < 0 ? r : group_open(&c->groups[which]);
}

static int new_v1(struct cgroup *c, const struct cgroup_place *p,
	const struct cgroup_limits *l, const char *self)
{
	const char *memory = c->groups[MEMORY].path, *pids = c->groups[PIDS].path;
	int r = -ENOENT, n = -ENOENT;

	c->version = 1;
	if (l->memory > 0)
		r = new_v1_one(c, MEMORY, "memory", p, self);
	if (r == 0)
		r = write_number(memory, "memory.limit_in_bytes", l->memory);
	c->has_memory = r == 0;
	/* Not every kernel counts swap. */
	if (r == 0)
		(void)write_number(memory, "memory.memsw.limit_in_bytes", l->memory);
	else
		group_drop(&c->groups[MEMORY]);
	if (l->processes > 0)
		n = new_v1_one(c, PIDS, "pids", p, self);
	if (n == 0)
		n = write_number(pids, "pids.max", l->processes);
	c->has_processes = n == 0;
	if (n < 0)
		group_drop(&c->groups[PIDS]);
	return c->has_memory || c->has_processes ? 0 : r == -ENOENT ? n : r;
}

/* Controllers are handed down to groups that have no process of their own, the topmost excepted:
 * alone in our group, we move into one below it first. */
static int hand_down(const char *base)
{
	CLEANUP(freep) char *procs = NULL;
	char own[PATH_MAX], path[PATH_MAX], pid[32];
	size_t len;
	int r;

	if (file_has_word(base, "cgroup.subtree_control", "memory"))
		return 0;
	r = write_text(base, "cgroup.subtree_control", "+memory +pids");
	if (r != -EBUSY)
		return r;
	if (path_join(path, sizeof(path), base, "cgroup.procs", NULL) < 0 ||
		path_join(own, sizeof(own), base, "farrier-agent", NULL) < 0 ||
		file_read(path, FILE_MAX, &procs, &len, NULL) < 0)
		return -EBUSY;
	/* Ours are this process and the agent that forked it; what is somebody else's stays. */
	for (char *p = procs; *p;) {
		char *end;
		unsigned long long v = strtoull(p, &end, 10);

		if (end == p || (v != (unsigned long long)getpid() &&
					v != (unsigned long long)getppid()))
			return -EBUSY;
		p = end + strspn(end, "\n");
	}
	if (mkdir(own, 0755) < 0 && errno != EEXIST)
		return -errno;
	for (const char *p = procs; *p; p += strcspn(p, "\n"), p += *p == '\n') {
		(void)snprintf(pid, sizeof(pid), "%.*s", (int)strcspn(p, "\n"), p);
		r = write_text(own, "cgroup.procs", pid);
		if (r < 0)
			return r;
	}
	return write_text(base, "cgroup.subtree_control", "+memory +pids");
}

static int new_v2(struct cgroup *c, const struct cgroup_place *p,
	const struct cgroup_limits *l, const char *self)
{
	struct group *g = &c->groups[MEMORY];
	char own[PATH_MAX], base[PATH_MAX];
	size_t n;
	int r;

	c->version = 2;
	own_path(self, "", own);
	if (!*own || !find_base(p->root, own, base))
		return -ENOENT;
	/* Once we have moved down ourselves, our groups are beside us. */
	n = strlen(base);
	if (n > strlen("/farrier-agent") &&
		streq(base + n - strlen("/farrier-agent"), "/farrier-agent"))
		base[n - strlen("/farrier-agent")] = '\0';
	if (!file_has_word(base, "cgroup.controllers", "memory"))
		return -ENOENT;
	r = hand_down(base);
	if (r == 0)
		r = group_make(g, base);
	if (r == 0)
		r = group_open(g);
	if (r == 0 && l->memory > 0) {
		r = write_number(g->path, "memory.max", l->memory);
		c->has_memory = r == 0;
		(void)write_text(g->path, "memory.swap.max", "0");
		(void)write_text(g->path, "memory.oom.group", "1");
	}
	if (r == 0 && l->processes > 0)
		c->has_processes = write_number(g->path, "pids.max", l->processes) == 0;
	return r;
}

/* Being allowed to make a group is not being allowed to enter it: a namespace of groups may end in between. */
static int try_entering(const struct cgroup *c)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		return -errno;
	if (pid == 0)
		_exit(cgroup_enter(c) < 0 ? 1 : 0);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EACCES;
}

int cgroup_new(const struct cgroup_place *p, const struct cgroup_limits *l,
	struct cgroup **ret, struct err *e)
{
	CLEANUP(cgroup_freep) struct cgroup *c = calloc(1, sizeof(*c));
	CLEANUP(freep) char *self = NULL;
	char own[PATH_MAX];
	size_t len;
	int r;

	if (!c)
		return err_errno(e, -ENOMEM, "control group");
	for (size_t i = 0; i < ARRAY_SIZE(c->groups); i++)
		c->groups[i].lock = c->groups[i].procs = -1;
	r = file_read(p->self, SELF_MAX, &self, &len, e);
	if (r < 0)
		return r;
	own_path(self, "memory", own);
	r = *own ? new_v1(c, p, l, self) : new_v2(c, p, l, self);
	if (r == 0)
		r = try_entering(c);
	if (r < 0)
		return err_errno(e, r, "control group");
	*ret = TAKE(c);
	return 0;
}

void cgroup_free(struct cgroup *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(c->groups); i++)
		group_drop(&c->groups[i]);
	free(c);
}

bool cgroup_has_memory(const struct cgroup *c)
{
	return c && c->has_memory;
}

bool cgroup_has_processes(const struct cgroup *c)
{
	return c && c->has_processes;
}

int cgroup_version(const struct cgroup *c)
{
	return c->version;
}

int cgroup_enter(const struct cgroup *c)
{
	for (size_t i = 0; i < ARRAY_SIZE(c->groups); i++)
		if (c->groups[i].procs >= 0 && write(c->groups[i].procs, "0", 1) != 1)
			return -errno;
	return 0;
}

bool cgroup_is_out_of_memory(const struct cgroup *c)
{
	return cgroup_has_memory(c) &&
	       read_count(c->groups[MEMORY].path,
		       c->version == 1 ? "memory.oom_control" : "memory.events",
		       "oom_kill") > 0;
}

bool cgroup_is_out_of_processes(const struct cgroup *c)
{
	return cgroup_has_processes(c) &&
	       read_count(c->groups[c->version == 1 ? PIDS : MEMORY].path, "pids.events",
		       "max") > 0;
}
