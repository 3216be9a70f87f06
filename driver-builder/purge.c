// SPDX-License-Identifier: Apache-2.0
/* The agent's marks on a host, and their removal. */
#include "purge.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>

#include "boot.h"
#include "file.h"
#include "grub.h"
#include "plugin.h"

enum { CMDLINE_MAX = 4096 };

struct sweep {
	const struct env *env;
	const char *folder; /* below the root */
	bool is_dry;
	struct buf *out;
	struct err *e;
};

static bool is_ours(const char *name)
{
	size_t n = strlen(name);

	return str_starts(name, "farrier-") && n > 13 && streq(name + n - 5, ".conf");
}

static int remove_config(const char *name, void *user)
{
	struct sweep *s = user;
	char path[PATH_MAX];
	int r;

	if (!is_ours(name))
		return 0;
	r = path_join(path, sizeof(path), s->env->root, s->folder, name, NULL);
	if (r < 0)
		return err_errno(s->e, r, "'%s'", name);
	(void)buf_fmt(s->out, "%s\n", path);
	if (!s->is_dry && unlink(path) < 0 && errno != ENOENT)
		return err_errno(s->e, -errno, "'%s'", path);
	return 0;
}

/* The modules installed for one kernel. */
static int remove_modules(const char *release, void *user)
{
	struct sweep *s = user;
	const struct list none = { NULL, 0 };
	char path[PATH_MAX];
	int r = path_join(path, sizeof(path), s->env->root, "lib/modules", release,
		BOOT_FOLDER, NULL);

	if (r < 0)
		return err_errno(s->e, r, "'%s'", release);
	if (!file_exists(path))
		return 0;
	(void)buf_fmt(s->out, "%s\n", path);
	if (s->is_dry)
		return 0;
	r = dir_remove(path, s->e);
	return r < 0 ? r : boot_uninstall(s->env->root, release, &none, s->e);
}

static int each(struct sweep *s, const char *folder, int (*fn)(const char *, void *))
{
	char path[PATH_MAX];
	int r = path_join(path, sizeof(path), s->env->root, folder, NULL);

	if (r < 0)
		return err_errno(s->e, r, "'%s'", folder);
	s->folder = folder;
	r = dir_each(path, fn, s, s->e);
	if (r == -ENOENT && !file_exists(path)) {
		err_clear(s->e);
		return 0;
	}
	return r;
}

static int remove_plugin(struct sweep *s)
{
	char path[PATH_MAX];
	int r = path_join(path, sizeof(path), s->env->root, "var/lib/farrier",
		"plugin-bundle", NULL);

	if (r < 0)
		return err_errno(s->e, r, "plugin");
	if (file_exists(path))
		(void)buf_fmt(s->out, "%s\n", path);
	return s->is_dry ? 0 : plugin_remove(s->env, s->e);
}

/* The default entry that was kept at an older kernel; what was there before is in the state. */
static int let_grub_go(struct sweep *s)
{
	if (!grub_is_noted(s->env->state))
		return 0;
	(void)buf_str(s->out, "GRUB's default entry\n");
	return s->is_dry ? 0 : grub_let_go(s->env->root, s->env->state, s->e);
}

static int remove_folder(struct sweep *s, const char *path)
{
	if (!file_exists(path))
		return 0;
	(void)buf_fmt(s->out, "%s\n", path);
	return s->is_dry ? 0 : dir_remove(path, s->e);
}

/* The device plugin, which may stay, keeps its own files there. */
static int remove_run(struct sweep *s)
{
	static const char *const files[] = { "status.json", "reboot-hold" };
	char path[PATH_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		int r = path_join(path, sizeof(path), s->env->run, files[i], NULL);

		if (r < 0)
			return err_errno(s->e, r, "'%s'", files[i]);
		if (!file_exists(path))
			continue;
		(void)buf_fmt(s->out, "%s\n", path);
		if (!s->is_dry && unlink(path) < 0 && errno != ENOENT)
			return err_errno(s->e, -errno, "'%s'", path);
	}
	return 0;
}

int purge_host(const struct env *env, bool is_dry, struct buf *out, struct err *e)
{
	struct sweep s = { env, NULL, is_dry, out, e };
	int r;

	/* What the host's boot would load goes first: no module may be named that is gone. */
	r = each(&s, "etc/modules-load.d", remove_config);
	if (r == 0)
		r = each(&s, "etc/modprobe.d", remove_config);
	if (r == 0)
		r = each(&s, "lib/modules", remove_modules);
	if (r == 0)
		r = let_grub_go(&s);
	if (r == 0)
		r = remove_plugin(&s);
	if (r == 0)
		r = remove_run(&s);
	if (r == 0)
		r = remove_folder(&s, env->state);
	if (r < 0)
		return err_wrap(e, r, "purge");
	return buf_ok(out) < 0 ? err_errno(e, -ENOMEM, "purge") : 0;
}

/* "farrier-driver-builder\0run\0…" */
static bool is_agent(const char *cmdline, size_t len)
{
	const char *program = strrchr(cmdline, '/');
	size_t n = strlen(cmdline);

	program = program ? program + 1 : cmdline;
	return streq(program, "farrier-driver-builder") && n + 4 < len &&
	       streq(cmdline + n + 1, "run");
}

static int look_at(const char *name, void *user)
{
	const struct env *env = user;
	CLEANUP(freep) char *cmdline = NULL;
	char path[PATH_MAX];
	size_t len;
	int pid = 0;

	for (const char *c = name; *c; c++) {
		if (!isdigit((unsigned char)*c) || c - name > 8)
			return 0;
		pid = pid * 10 + (*c - '0');
	}
	if (path_join(path, sizeof(path), env->proc, name, "cmdline", NULL) < 0 ||
		file_read(path, CMDLINE_MAX, &cmdline, &len, NULL) < 0)
		return 0;
	return is_agent(cmdline, len) ? pid : 0;
}

int purge_agent(const struct env *env)
{
	int r = dir_each(env->proc, look_at, (void *)env, NULL);

	return MAX(r, 0);
}
