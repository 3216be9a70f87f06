// SPDX-License-Identifier: Apache-2.0
/* Installs verified modules where the host's own boot finds them. */
#include "boot.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "child.h"
#include "file.h"
#include "map.h"
#include "modules.h"

enum { DEPMOD_SECONDS = 300, CONFIG_MAX = 64 << 10 };

struct cached {
	struct stat st;
	char digest[DIGEST_HEX + 1];
};

struct map *boot_digests_new(void)
{
	return map_new(free);
}

static bool is_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev &&
	       a->st_size == b->st_size &&
	       memcmp(&a->st_mtim, &b->st_mtim, sizeof(a->st_mtim)) == 0 &&
	       memcmp(&a->st_ctim, &b->st_ctim, sizeof(a->st_ctim)) == 0;
}

int boot_digest(struct map *digests, const char *path, char ret[DIGEST_HEX + 1])
{
	struct cached *c = map_get(digests, path);
	struct stat st;
	int r;

	if (stat(path, &st) < 0)
		return -errno;
	if (c && is_same_file(&c->st, &st)) {
		memcpy(ret, c->digest, sizeof(c->digest));
		return 0;
	}
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->st = st;
	r = digest_file(path, c->digest, NULL);
	if (r < 0) {
		free(c);
		return r;
	}
	memcpy(ret, c->digest, sizeof(c->digest));
	return map_set(digests, path, c);
}

static int installed_path(char out[PATH_MAX], const char *root, const char *release,
	const char *name, const char *suffix)
{
	char file[NAME_MAX];

	if (snprintf(file, sizeof(file), "%s%s", name, suffix) >= (int)sizeof(file))
		return -ENAMETOOLONG;
	return path_join(
		out, PATH_MAX, root, "lib/modules", release, BOOT_FOLDER, file, NULL);
}

/* Has depmod run since the file was put there? A boot finds it through modules.dep only. */
static bool is_indexed(const char *root, const char *release, const char *file)
{
	char path[PATH_MAX];
	struct stat dep, st;

	if (path_join(path, sizeof(path), root, "lib/modules", release, "modules.dep",
		    NULL) < 0 ||
		stat(path, &dep) < 0 || stat(file, &st) < 0)
		return false;
	return dep.st_mtim.tv_sec > st.st_mtim.tv_sec ||
	       (dep.st_mtim.tv_sec == st.st_mtim.tv_sec &&
		       dep.st_mtim.tv_nsec >= st.st_mtim.tv_nsec);
}

enum plan_installed boot_check(const char *root, const char *release,
	const struct artifact *a, struct map *digests)
{
	char path[PATH_MAX], digest[DIGEST_HEX + 1];
	size_t same = 0, there = 0;

	for (size_t i = 0; i < a->modules_n; i++) {
		const struct artifact_module *m = &a->modules[i];

		if (installed_path(path, root, release, m->name, ".ko") < 0 ||
			boot_digest(digests, path, digest) < 0)
			continue;
		there++;
		same += streq(digest, m->sha256) && is_indexed(root, release, path);
	}
	if (same == a->modules_n)
		return PLAN_INSTALLED_SAME;
	return there > 0 ? PLAN_INSTALLED_OTHER : PLAN_INSTALLED_NONE;
}

/* Module files carry the kernel's name for the module, with '_'. */
static int module_path(char out[PATH_MAX], const char *root, const char *release,
	const struct api_module *m)
{
	char name[NAME_MAX];

	if (snprintf(name, sizeof(name), "%s", m->name) >= (int)sizeof(name))
		return -ENAMETOOLONG;
	for (char *p = name; *p; p++)
		*p = *p == '-' ? '_' : *p;
	return installed_path(out, root, release, name, ".ko");
}

bool boot_has_any(const char *root, const char *release, const struct list *modules)
{
	const struct api_module *m = modules->items;
	char path[PATH_MAX];

	for (size_t i = 0; i < modules->n; i++)
		if (module_path(path, root, release, &m[i]) == 0 && file_exists(path))
			return true;
	return false;
}

static int setup_chroot(void *user)
{
	const char *root = user;

	if (chroot(root) < 0 || chdir("/") < 0)
		return -errno;
	return 0;
}

static bool has_depmod(const char *root)
{
	static const char *const places[] = { "usr/sbin/depmod", "sbin/depmod",
		"usr/bin/depmod" };
	char path[PATH_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		if (path_join(path, sizeof(path), root, places[i], NULL) == 0 &&
			file_exists(path))
			return true;
	return false;
}

static int sync_index(const char *name, void *user)
{
	char path[PATH_MAX];
	int fd;

	if (!str_starts(name, "modules.") ||
		path_join(path, sizeof(path), user, name, NULL) < 0)
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0) {
		(void)fsync(fd);
		(void)close(fd);
	}
	return 0;
}

/* depmod syncs nothing, and a boot that finds a torn index loads no module at all. As good as it gets:
 * a file system that cannot sync is no reason not to install. */
static void sync_indexes(const char *root, const char *release)
{
	char path[PATH_MAX];
	int r;

	if (path_join(path, sizeof(path), root, "lib/modules", release, NULL) < 0)
		return;
	(void)dir_each(path, sync_index, path, NULL);
	r = dir_sync(path, NULL);
	(void)r;
}

/* Our own depmod on the host's tree; the host's own in its root where we have none. */
static int run_depmod(const char *root, const char *release, struct err *e)
{
	const char *const ours[] = { "depmod", "-b", root, release, NULL };
	const char *const hosts[] = { "depmod", release, NULL };
	struct child_options o = { .argv = ours,
		.timeout_us = DEPMOD_SECONDS * USEC_PER_SEC,
		.out_max = 4096,
		.log_fd = -1 };
	CLEANUP(freep) char *out = NULL;
	int r, status = 0;

	if (!has_depmod("/")) {
		if (!has_depmod(root))
			return err_reason(e, -ENOENT, REASON_INTERNAL,
				"no depmod here nor in the host's root");
		o.argv = hosts;
		o.setup = setup_chroot;
		o.setup_user = (void *)root;
	}
	r = child_run(&o, &status, &out, e);
	if (r < 0)
		return err_wrap(e, r, "depmod");
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return err_reason(e, -EIO, REASON_INTERNAL, "depmod of '%s': %.200s",
			release, out ? out : "");
	sync_indexes(root, release);
	return 0;
}

static int disk_error(int r, struct err *e, const char *what)
{
	if (r == -ENOSPC || r == -EDQUOT)
		return err_reason(e, r, REASON_DISK_FULL, "%s: %s", what, strerror(-r));
	return err_wrap(e, r, "%s", what);
}

int boot_install(
	const char *root, const char *release, const struct artifact *a, struct err *e)
{
	char folder[PATH_MAX], from[PATH_MAX], to[PATH_MAX];
	int r;

	r = path_join(
		folder, sizeof(folder), root, "lib/modules", release, BOOT_FOLDER, NULL);
	if (r < 0)
		return err_errno(e, r, "'%s'", release);
	r = dir_make(folder, 0755, e);
	for (size_t i = 0; r == 0 && i < a->modules_n; i++) {
		const struct artifact_module *m = &a->modules[i];

		r = path_join(from, sizeof(from), a->dir, m->file, NULL);
		if (r == 0)
			r = installed_path(to, root, release, m->name, ".ko");
		if (r == 0)
			r = file_copy(from, to, 0644, e);
	}
	if (r < 0)
		return disk_error(r, e, "install");
	return run_depmod(root, release, e);
}

int boot_uninstall(
	const char *root, const char *release, const struct list *modules, struct err *e)
{
	const struct api_module *m = modules->items;
	char path[PATH_MAX];
	int r;

	for (size_t i = 0; i < modules->n; i++) {
		r = module_path(path, root, release, &m[i]);
		if (r < 0)
			return err_errno(e, r, "'%s'", m[i].name);
		if (unlink(path) < 0 && errno != ENOENT)
			return err_errno(e, -errno, "'%s'", path);
	}
	/* The folders stay when others' modules are in them. */
	if (path_join(path, sizeof(path), root, "lib/modules", release, BOOT_FOLDER,
		    NULL) == 0)
		(void)rmdir(path);
	return run_depmod(root, release, e);
}

static int config_path(
	char out[PATH_MAX], const char *root, const char *folder, const char *driver)
{
	char file[NAME_MAX];

	if (strchr(driver, '/') || snprintf(file, sizeof(file), "farrier-%s.conf",
					   driver) >= (int)sizeof(file))
		return -ENAMETOOLONG;
	return path_join(out, PATH_MAX, root, folder, file, NULL);
}

/* An empty file is not written, and removed when it is there. */
static int write_config(const char *root, const char *folder, const char *driver,
	const struct buf *b, struct err *e)
{
	char path[PATH_MAX];
	int r;

	r = config_path(path, root, folder, driver);
	if (r == 0)
		r = buf_ok(b);
	if (r < 0)
		return err_errno(e, r, "%s of '%s'", folder, driver);
	if (b->len == 0)
		return unlink(path) < 0 ? 0 : 1;
	return file_write_if_changed(path, b->data, b->len, 0644, e);
}

static int add_options(
	struct arena *a, const struct api_module *m, struct buf *b, struct err *e)
{
	const char *const *rival = m->replaces.items;
	const char *options;
	int r;

	r = modules_options(a, &m->parameters, &options, e);
	if (r < 0)
		return r;
	if (*options)
		(void)buf_fmt(b, "options %s %s\n", m->name, options);
	for (size_t i = 0; i < m->replaces.n; i++)
		(void)buf_fmt(b, "blacklist %s\n", rival[i]);
	return 0;
}

static const char *const config_folders[] = { "etc/modules-load.d", "etc/modprobe.d" };

/* The texts of both files, in the order of config_folders. */
static int make_config(struct arena *a, const char *driver, const struct list *modules,
	struct buf out[2], struct err *e)
{
	const struct api_module *m = modules->items;
	int r = 0;

	buf_init(&out[0], CONFIG_MAX);
	buf_init(&out[1], CONFIG_MAX);
	(void)buf_fmt(
		&out[0], "# Written by farrier-driver-builder for driver %s\n", driver);
	for (size_t i = 0; r == 0 && i < modules->n; i++) {
		(void)buf_fmt(&out[0], "%s\n", m[i].name);
		r = add_options(a, &m[i], &out[1], e);
	}
	return r;
}

static void config_done(struct buf out[2])
{
	buf_done(&out[0]);
	buf_done(&out[1]);
}

int boot_write_config(struct arena *a, const char *root, const char *driver,
	const struct list *modules, struct err *e)
{
	struct buf text[2];
	char path[PATH_MAX];
	int r = make_config(a, driver, modules, text, e), changed = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(config_folders); i++) {
		r = path_join(path, sizeof(path), root, config_folders[i], NULL);
		if (r == 0)
			r = dir_make(path, 0755, e);
		if (r == 0)
			r = write_config(root, config_folders[i], driver, &text[i], e);
		changed |= r > 0;
		r = MIN(r, 0);
	}
	config_done(text);
	return r < 0 ? r : changed;
}

bool boot_has_config(
	struct arena *a, const char *root, const char *driver, const struct list *modules)
{
	struct buf text[2];
	char path[PATH_MAX];
	size_t same = 0;

	if (make_config(a, driver, modules, text, NULL) == 0)
		for (size_t i = 0; i < ARRAY_SIZE(config_folders); i++) {
			CLEANUP(freep) char *now = NULL;
			size_t len = 0;
			int r = config_path(path, root, config_folders[i], driver);

			if (r == 0)
				r = file_read(path, CONFIG_MAX, &now, &len, NULL);
			same += r == 0 ? streq(now, buf_cstr(&text[i]))
				       : r == -ENOENT && text[i].len == 0;
		}
	config_done(text);
	return same == ARRAY_SIZE(config_folders);
}

int boot_options(struct arena *a, const char *root, const char *driver, const char **ret)
{
	CLEANUP(freep) char *text = NULL;
	const char *out = "";
	char path[PATH_MAX];
	size_t len;
	int r = config_path(path, root, config_folders[1], driver);

	if (r == 0)
		r = file_read(path, CONFIG_MAX, &text, &len, NULL);
	for (char *line = text; r == 0 && *line && out;) {
		char *end = strchrnul(line, '\n');

		if (str_starts(line, "options "))
			out = arena_fmt(a, "%s%.*s\n", out,
				(int)(end - line - (int)strlen("options ")),
				line + strlen("options "));
		line = *end ? end + 1 : end;
	}
	if (!out)
		return -ENOMEM;
	*ret = out;
	return r == -ENOENT ? 0 : r;
}

int boot_remove_config(const char *root, const char *driver, struct err *e)
{
	char path[PATH_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(config_folders); i++) {
		int r = config_path(path, root, config_folders[i], driver);

		if (r == 0 && unlink(path) < 0 && errno != ENOENT)
			r = -errno;
		if (r < 0)
			return err_errno(e, r, "%s of '%s'", config_folders[i], driver);
	}
	return 0;
}
