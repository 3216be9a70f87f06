// SPDX-License-Identifier: Apache-2.0
/* Installs the device plugin on the host, atomically at every step. */
#include "plugin.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "child.h"
#include "digest.h"
#include "file.h"

#define HOST_STATE "var/lib/farrier"
#define LINK_NAME "plugin-bundle"
#define UNIT_FOLDER "etc/systemd/system"
#define WANTS_FOLDER UNIT_FOLDER "/multi-user.target.wants"
#define LOADER "ld.so"

enum { SYSTEMCTL_SECONDS = 60, DIGEST_SHOWN = 16, DEPTH_MAX = 8 };

int plugin_unit_text(bool has_loader, const char *args, struct buf *out)
{
	static const char dir[] = "/" HOST_STATE "/" LINK_NAME;

	/* '%' and '$' mean something in a unit; nobody needs them here. */
	if (args && strpbrk(args, "\n%$\\"))
		return -EINVAL;
	(void)buf_fmt(out,
		"# Written by farrier-driver-builder; taken away by `remove-plugin`.\n"
		"[Unit]\n"
		"Description=Farrier device plugin\n"
		"# Drivers first, then this, then the kubelet: a pod of before the reboot finds its devices.\n"
		"After=systemd-modules-load.service systemd-udevd.service local-fs.target\n"
		"Before=kubelet.service k3s.service k3s-agent.service rke2-server.service "
		"rke2-agent.service\n"
		"StartLimitIntervalSec=0\n\n"
		"[Service]\n"
		"Type=notify\n"
		"NotifyAccess=main\n"
		"ExecStartPre=/bin/mkdir -p /run/farrier /var/lib/kubelet/device-plugins "
		"/var/run/cdi\n");
	if (has_loader)
		(void)buf_fmt(out,
			"ExecStart=%s/" LOADER " --library-path %s/lib "
			"%s/farrier-device-plugin",
			dir, dir, dir);
	else
		(void)buf_fmt(out, "ExecStart=%s/farrier-device-plugin", dir);
	(void)buf_fmt(out,
		" --classes /var/lib/farrier/classes --classes /etc/farrier/classes.d%s%s\n"
		"Restart=always\n"
		"RestartSec=1\n"
		"OOMScoreAdjust=-900\n"
		"NoNewPrivileges=yes\n\n"
		"[Install]\n"
		"WantedBy=multi-user.target\n",
		str_empty(args) ? "" : " ", args ? args : "");
	return buf_ok(out);
}

/* ---- the bundle --------------------------------------------------------------------------------- */

struct copy {
	const char *from, *to;
	int depth;
	struct err *e;
};

static int copy_entry(const char *name, void *user)
{
	const struct copy *c = user;
	char from[PATH_MAX], to[PATH_MAX], target[PATH_MAX];
	struct stat st;
	ssize_t n;
	int r;

	if (path_join(from, sizeof(from), c->from, name, NULL) < 0 ||
		path_join(to, sizeof(to), c->to, name, NULL) < 0)
		return err_errno(c->e, -ENAMETOOLONG, "'%s'", name);
	if (lstat(from, &st) < 0)
		return err_errno(c->e, -errno, "'%s'", from);
	if (S_ISREG(st.st_mode))
		return file_copy(from, to, st.st_mode & 0755, c->e);
	if (S_ISLNK(st.st_mode)) {
		n = readlink(from, target, sizeof(target) - 1);
		/* Links stay inside the bundle. */
		if (n <= 0 || memchr(target, '/', (size_t)n))
			return err_set(
				c->e, -EINVAL, "'%s' leads out of its folder", from);
		target[n] = '\0';
		r = symlink(target, to) < 0 ? -errno : 0;
		return r < 0 ? err_errno(c->e, r, "'%s'", to) : 0;
	}
	if (S_ISDIR(st.st_mode) && c->depth < DEPTH_MAX) {
		struct copy below = { from, to, c->depth + 1, c->e };

		r = dir_make(to, 0755, c->e);
		return r < 0 ? r : dir_each(from, copy_entry, &below, c->e);
	}
	return err_set(c->e, -EINVAL, "'%s' has no place in a bundle", from);
}

/* @at is made complete or not at all. */
static int copy_bundle(const char *from, const char *at, struct err *e)
{
	char tmp[PATH_MAX];
	struct copy c = { from, tmp, 0, e };
	int r;

	if (file_exists(at))
		return 0;
	if (snprintf(tmp, sizeof(tmp), "%s.tmp", at) >= (int)sizeof(tmp))
		return err_errno(e, -ENAMETOOLONG, "'%s'", at);
	r = dir_remove(tmp, e);
	if (r == 0)
		r = dir_make(tmp, 0755, e);
	if (r == 0)
		r = dir_each(from, copy_entry, &c, e);
	if (r == 0)
		r = dir_sync(tmp, e);
	if (r == 0 && rename(tmp, at) < 0)
		r = err_errno(e, -errno, "'%s'", at);
	return r;
}

/* The link @path leads to @target afterwards; 1 when it did not before. */
static int switch_link(const char *path, const char *target, struct err *e)
{
	char tmp[PATH_MAX], now[PATH_MAX];
	ssize_t n = readlink(path, now, sizeof(now) - 1);

	if (n > 0) {
		now[n] = '\0';
		if (streq(now, target))
			return 0;
	}
	if (snprintf(tmp, sizeof(tmp), "%s.tmp", path) >= (int)sizeof(tmp))
		return err_errno(e, -ENAMETOOLONG, "'%s'", path);
	(void)unlink(tmp);
	if (symlink(target, tmp) < 0 || rename(tmp, path) < 0)
		return err_errno(e, -errno, "'%s'", path);
	return 1;
}

/* ---- the host's service manager ------------------------------------------------------------------ */

/* In the child: the host's own mount namespace where we see its processes, else its root. */
static int enter_host(void *user)
{
	const char *root = user;
	int fd, r = -1;

	fd = streq(root, "/") ? -1 : open("/proc/1/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		r = setns(fd, CLONE_NEWNS);
	if (r < 0 && chroot(root) < 0)
		return -errno;
	return chdir("/") < 0 ? -errno : 0;
}

/* Is process 1 that we see the host's init, and not our container's? */
static bool sees_host_init(void)
{
	char comm[64];

	return file_read_line("/proc/1/comm", comm, sizeof(comm)) == 0 &&
	       (streq(comm, "systemd") || streq(comm, "init"));
}

static int chroot_host(void *user)
{
	return chroot(user) < 0 || chdir("/") < 0 ? -errno : 0;
}

static int systemctl(const struct env *env, const char *verb, const char *option,
	const char *unit, struct err *e)
{
	const char *argv[] = { "systemctl", verb, option ? option : unit,
		option ? unit : NULL, NULL };
	static const char *const vars[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
		"LC_ALL=C", "SYSTEMD_IGNORE_CHROOT=1", NULL };
	struct child_options o = { .argv = argv,
		.env = vars,
		.timeout_us = SYSTEMCTL_SECONDS * USEC_PER_SEC,
		.out_max = 4096,
		.log_fd = -1,
		.setup = sees_host_init() ? enter_host : chroot_host,
		.setup_user = (void *)env->root };
	CLEANUP(freep) char *out = NULL;
	int status = 0, r;

	r = child_run(&o, &status, &out, e);
	if (r < 0)
		return err_wrap(e, r, "systemctl %s", verb);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return err_set(e, -EIO, "systemctl %s: %.200s", verb, out ? out : "");
	return 0;
}

/* ---- all of it ------------------------------------------------------------------------------------ */

struct places {
	char state[PATH_MAX], bundle[PATH_MAX], link[PATH_MAX], unit[PATH_MAX];
	char wants[PATH_MAX], enabled[PATH_MAX], loader[PATH_MAX];
	char name[64];
};

static int find_places(const struct env *env, const char *digest, struct places *p)
{
	int r;

	(void)snprintf(p->name, sizeof(p->name), LINK_NAME "-%.*s", DIGEST_SHOWN, digest);
	r = path_join(p->state, sizeof(p->state), env->root, HOST_STATE, NULL);
	if (r == 0)
		r = path_join(p->bundle, sizeof(p->bundle), p->state, p->name, NULL);
	if (r == 0)
		r = path_join(p->link, sizeof(p->link), p->state, LINK_NAME, NULL);
	if (r == 0)
		r = path_join(p->unit, sizeof(p->unit), env->root, UNIT_FOLDER,
			PLUGIN_UNIT, NULL);
	if (r == 0)
		r = path_join(p->wants, sizeof(p->wants), env->root, WANTS_FOLDER, NULL);
	if (r == 0)
		r = path_join(
			p->enabled, sizeof(p->enabled), p->wants, PLUGIN_UNIT, NULL);
	if (r == 0)
		r = path_join(p->loader, sizeof(p->loader), p->bundle, LOADER, NULL);
	return r;
}

struct sweep {
	const char *folder, *keep;
};

/* Bundles of before. */
static int sweep_entry(const char *name, void *user)
{
	const struct sweep *s = user;
	char path[PATH_MAX];

	if (!str_starts(name, LINK_NAME "-") || streq(name, s->keep) ||
		path_join(path, sizeof(path), s->folder, name, NULL) < 0)
		return 0;
	return dir_remove(path, NULL);
}

/* 1 when anything changed. */
static int place_files(const struct env *env, const char *from, const char *args,
	struct places *p, struct err *e)
{
	char digest[DIGEST_HEX + 1];
	struct buf b CLEANUP(buf_done);
	int r, changed = 0;

	buf_init(&b, 16 << 10);
	r = digest_dir(from, PLUGIN_BUNDLE_BYTES_MAX, digest, e);
	if (r < 0)
		return err_wrap(e, r, "bundle '%s'", from);
	r = find_places(env, digest, p);
	if (r == 0)
		r = dir_make(p->state, 0755, e);
	if (r == 0)
		r = copy_bundle(from, p->bundle, e);
	if (r == 0)
		r = plugin_unit_text(file_exists(p->loader), args, &b);
	if (r < 0)
		return err_wrap(e, r, "bundle '%s'", from);
	r = switch_link(p->link, p->name, e);
	changed |= r > 0;
	if (r >= 0)
		r = dir_make(p->wants, 0755, e);
	if (r >= 0)
		r = file_write_if_changed(p->unit, b.data, b.len, 0644, e);
	changed |= r > 0;
	if (r >= 0)
		r = switch_link(p->enabled, "/" UNIT_FOLDER "/" PLUGIN_UNIT, e);
	changed |= r > 0;
	return r < 0 ? r : changed;
}

int plugin_install(const struct env *env, const char *from, const char *args,
	bool *ret_is_started, struct err *e)
{
	struct sweep s;
	struct places p = { 0 };
	int r, changed;

	changed = place_files(env, from, args, &p, e);
	if (changed < 0)
		return changed;
	r = changed ? systemctl(env, "daemon-reload", NULL, NULL, e) : 0;
	if (r == 0)
		r = systemctl(
			env, changed ? "restart" : "start", "--no-block", PLUGIN_UNIT, e);
	*ret_is_started = r == 0;
	if (r == 0) {
		/* Only now does nothing run from the old ones. */
		s = (struct sweep){ p.state, p.name };
		(void)dir_each(p.state, sweep_entry, &s, NULL);
	}
	return 0;
}

int plugin_remove(const struct env *env, struct err *e)
{
	struct sweep s;
	struct places p = { 0 };
	int r = find_places(env, "none", &p);

	if (r < 0)
		return err_errno(e, r, "plugin");
	if (!file_exists(p.unit) && !file_exists(p.link))
		return 0;
	/* Where the service manager cannot be reached, nothing of it runs after the next boot. */
	(void)systemctl(env, "stop", NULL, PLUGIN_UNIT, NULL);
	if ((unlink(p.enabled) < 0 && errno != ENOENT) ||
		(unlink(p.unit) < 0 && errno != ENOENT) ||
		(unlink(p.link) < 0 && errno != ENOENT))
		return err_errno(e, -errno, "'%s'", p.unit);
	(void)systemctl(env, "daemon-reload", NULL, NULL, NULL);
	s = (struct sweep){ p.state, "" };
	r = dir_each(p.state, sweep_entry, &s, e);
	return r == -ENOENT ? 0 : r;
}
