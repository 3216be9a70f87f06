// SPDX-License-Identifier: Apache-2.0
/* Finds the temporary names that file_write_atomic() uses, in the folders that we write to. */
#include "leftovers.h"

#include <ctype.h>
#include <limits.h>
#include <sys/stat.h>

#include "boot.h"
#include "build.h"
#include "file.h"
#include "store.h"

#define OLD_US (3600 * USEC_PER_SEC)
enum { STAT_MAX = 4 << 20, RANDOM_LEN = 6 };

struct sweep {
	char dir[PATH_MAX];
	const char *prefix; /* what is ours in a folder that we share */
	uint64_t before_us; /* what was touched later may have a writer */
	int r;
	struct err *e;
};

/* ".NAME.XXXXXX" */
static bool is_temporary(const char *name)
{
	const char *dot = strrchr(name, '.');

	if (*name != '.' || dot <= name + 1 || strlen(dot + 1) != RANDOM_LEN)
		return false;
	for (const char *c = dot + 1; *c; c++)
		if (!isalnum((unsigned char)*c))
			return false;
	return true;
}

static int sweep_one(const char *name, void *user)
{
	struct sweep *s = user;
	char path[PATH_MAX];
	struct stat st;

	if (!is_temporary(name) || !str_starts(name, s->prefix) ||
		path_join(path, sizeof(path), s->dir, name, NULL) < 0 ||
		lstat(path, &st) < 0 || !S_ISREG(st.st_mode) ||
		(uint64_t)st.st_mtime * USEC_PER_SEC >= s->before_us)
		return 0;
	if (unlink(path) < 0 && errno != ENOENT && s->r == 0)
		s->r = err_errno(s->e, -errno, "'%s'", path);
	return 0;
}

static void sweep_folder(
	struct sweep *s, const char *a, const char *b, const char *c, const char *prefix)
{
	/* A folder that is not there, or is none, has nothing of ours in it. */
	s->prefix = prefix;
	if (path_join(s->dir, sizeof(s->dir), a, b, c, NULL) == 0)
		(void)dir_each(s->dir, sweep_one, s, NULL);
}

struct kernels_sweep {
	struct sweep *s;
	const char *modules;
};

static int sweep_kernel(const char *release, void *user)
{
	struct kernels_sweep *k = user;

	sweep_folder(k->s, k->modules, release, BOOT_FOLDER, ".");
	return 0;
}

/* When this boot began; 0 when nothing says so. */
static uint64_t boot_time_us(const char *proc)
{
	CLEANUP(freep) char *text = NULL;
	char path[PATH_MAX];
	const char *line;
	size_t len;

	if (path_join(path, sizeof(path), proc, "stat", NULL) < 0 ||
		file_read(path, STAT_MAX, &text, &len, NULL) < 0)
		return 0;
	line = strstr(text, "\nbtime ");
	return line ? strtoull(line + strlen("\nbtime "), NULL, 10) * USEC_PER_SEC : 0;
}

static int sweep_files(const struct env *env, uint64_t wall_us, struct err *e)
{
	static const char *const states[] = { "", "failures", "sources", "images",
		"published", "classes" };
	static const char *const shared[] = { "etc/modules-load.d", "etc/modprobe.d" };
	uint64_t boot_us = boot_time_us(env->proc);
	uint64_t hour_us = wall_us > OLD_US ? wall_us - OLD_US : 0;
	struct sweep s = { .before_us = boot_us > hour_us ? boot_us : hour_us, .e = e };
	char modules[PATH_MAX];
	struct kernels_sweep k = { &s, modules };

	for (size_t i = 0; i < ARRAY_SIZE(states); i++)
		sweep_folder(&s, env->state, states[i], "", ".");
	for (size_t i = 0; i < ARRAY_SIZE(shared); i++)
		sweep_folder(&s, env->root, shared[i], "", ".farrier-");
	if (path_join(modules, sizeof(modules), env->root, "lib/modules", NULL) == 0)
		(void)dir_each(modules, sweep_kernel, &k, NULL);
	return s.r;
}

int leftovers_remove(const struct env *env, uint64_t wall_us, struct err *e)
{
	int r = build_clean(env->state, e), q;

	q = store_sweep(env->state, r < 0 ? NULL : e);
	r = r < 0 ? r : q;
	q = sweep_files(env, wall_us, r < 0 ? NULL : e);
	return r < 0 ? r : q;
}
