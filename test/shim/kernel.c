// SPDX-License-Identifier: Apache-2.0
/*
 * A kernel made of files: stands in, by LD_PRELOAD, for module loading, uname and the few places in
 * /sys and /proc that speak of drivers, so that whole nodes can be tested on a kernel that loads no
 * modules. Everything is below $FARRIER_SHIM_DIR (make-tree.sh makes one):
 *
 *   release            uname -r
 *   sys/ proc/ dev/    what /sys/{bus,class,devices,module,dev}, /proc/modules, boot_id and /dev/X show
 *   fail/NAME          an errno as a number: loading NAME fails with it
 *
 * $FARRIER_SHIM_DEV: a second folder (a node's own /dev) that gets the device nodes too.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "shim.h"

/* One kernel, one lock. */
static int lock(void)
{
	char path[PATH_MAX];
	int fd;

	if (!shim_at(path, "lock"))
		return -1;
	fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (fd >= 0)
		(void)flock(fd, LOCK_EX);
	return fd;
}

API int uname(struct utsname *u)
{
	char path[PATH_MAX], text[TEXT_MAX];
	int r;

	REAL(uname);
	r = real(u);
	if (r == 0 && shim_dir() && shim_at(path, "release") && shim_read(path, text))
		(void)snprintf(u->release, sizeof(u->release), "%.64s", text);
	return r;
}

static void proc_modules(const char *name, bool is_added)
{
	char path[PATH_MAX], text[TEXT_MAX], out[TEXT_MAX] = "";
	char *line, *save = NULL;
	size_t len = strlen(name);

	if (!shim_at(path, "proc/modules") || !shim_read(path, text))
		return;
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (strncmp(line, name, len) != 0 || line[len] != ' ')
			(void)snprintf(out + strlen(out), sizeof(out) - strlen(out),
				"%s\n", line);
	shim_write(path, "%s%s%s", is_added ? name : "",
		is_added ? " 16384 0 - Live 0x0000000000000000 (OE)\n" : "", out);
}

static int add_to(const char *name, const char *attr, int delta)
{
	char path[PATH_MAX], text[TEXT_MAX];
	int v = 0;

	if (!shim_at(path, "sys/module/%s/%s", name, attr) || !shim_read(path, text))
		return 0;
	v = (int)strtoll(text, NULL, 10) + delta;
	if (delta)
		shim_write(path, "%d\n", v);
	return v;
}

static void hold_dependencies(const struct module *m, bool is_held)
{
	char list[sizeof(m->depends)], path[PATH_MAX], target[300], *name, *save = NULL;

	(void)snprintf(list, sizeof(list), "%s", m->depends);
	for (name = strtok_r(list, ",", &save); name; name = strtok_r(NULL, ",", &save)) {
		add_to(name, "refcnt", is_held ? 1 : -1);
		if (!shim_at(path, "sys/module/%s/holders/%s", name, m->name))
			continue;
		(void)snprintf(target, sizeof(target), "../../%s", m->name);
		(void)unlink(path);
		if (is_held)
			(void)symlink(target, path);
	}
}

static bool has_dependencies(const struct module *m)
{
	char list[sizeof(m->depends)], path[PATH_MAX], *name, *save = NULL;

	(void)snprintf(list, sizeof(list), "%s", m->depends);
	for (name = strtok_r(list, ",", &save); name; name = strtok_r(NULL, ",", &save))
		if (shim_at(path, "sys/module/%s", name) && !exists(path))
			return false;
	return true;
}

/* May it load? 0 or an errno, as the kernel gives it. */
static int judge(const struct module *m)
{
	char path[PATH_MAX], text[TEXT_MAX];
	struct utsname u;
	size_t n;

	if (shim_at(path, "fail/%s", m->name) && shim_read(path, text) && *text)
		return (int)strtoll(text, NULL, 10);
	if (uname(&u) < 0)
		return errno;
	n = strlen(u.release);
	if (strncmp(m->vermagic, u.release, n) != 0 || m->vermagic[n] != ' ')
		return ENOEXEC;
	if (shim_at(path, "sys/module/%s/initstate", m->name) && exists(path))
		return EEXIST;
	return has_dependencies(m) ? 0 : ENOENT;
}

static void set_parameters(const char *name, const char *args)
{
	char list[TEXT_MAX], path[PATH_MAX], *word, *save = NULL;

	(void)snprintf(list, sizeof(list), "%s", args ? args : "");
	for (word = strtok_r(list, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		char *eq = strchr(word, '=');

		if (!eq)
			continue;
		*eq = '\0';
		if (shim_at(path, "sys/module/%s/parameters", name)) {
			shim_make_dirs(path);
			if (shim_at(path, "sys/module/%s/parameters/%s", name, word))
				shim_write(path, "%s\n", eq + 1);
		}
	}
}

static int load(const char *data, size_t len, const char *args)
{
	static const char *const folders[] = { "holders", "parameters", "notes" };
	struct module m;
	char path[PATH_MAX];
	int fd = lock(), r = module_parse(data, len, &m);

	if (r == 0)
		r = judge(&m);
	if (r == 0) {
		for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++)
			if (shim_at(path, "sys/module/%s/%s", m.name, folders[i]))
				shim_make_dirs(path);
		set_parameters(m.name, args);
#define ATTR(attr, ...) \
	if (shim_at(path, "sys/module/%s/" attr, m.name)) \
	shim_write(path, __VA_ARGS__)
		ATTR("refcnt", "0\n");
		ATTR("coresize", "16384\n");
		ATTR("taint", "OE\n");
		if (*m.srcversion)
			ATTR("srcversion", "%s\n", m.srcversion);
		if (*m.version)
			ATTR("version", "%s\n", m.version);
		ATTR("depends", "%s\n", m.depends);
		hold_dependencies(&m, true);
		proc_modules(m.name, true);
		if (m.n_aliases > 0 && shim_at(path, "sys/bus/pci/drivers/%s", m.name)) {
			char target[300];

			shim_make_dirs(path);
			(void)snprintf(
				target, sizeof(target), "../../../../module/%s", m.name);
			shim_link(target, "%s/module", path);
		}
		devices_bind(&m);
		ATTR("initstate", "live\n");
#undef ATTR
	}
	if (fd >= 0)
		(void)close(fd);
	errno = r;
	return r ? -1 : 0;
}

/* Is a file called NAME<number> below a /dev open anywhere? */
static bool is_open(const char *name)
{
	char fds[PATH_MAX], link[PATH_MAX], target[PATH_MAX];
	size_t len = strlen(name);
	struct dirent *p, *f;
	DIR *proc = opendir("/proc"), *d;
	bool found = false;

	while (proc && !found && (p = readdir(proc))) {
		if (!isdigit((unsigned char)p->d_name[0]))
			continue;
		(void)snprintf(fds, sizeof(fds), "/proc/%s/fd", p->d_name);
		d = opendir(fds);
		while (d && !found && (f = readdir(d))) {
			const char *last;
			ssize_t n;

			if (snprintf(link, sizeof(link), "%s/%s", fds, f->d_name) >=
				(int)sizeof(link))
				continue;
			n = readlink(link, target, sizeof(target) - 1);
			if (n <= 0)
				continue;
			target[n] = '\0';
			last = strrchr(target, '/');
			found = last && strstr(target, "/dev/") &&
				!strncmp(last + 1, name, len) &&
				isdigit((unsigned char)last[1 + len]);
		}
		if (d)
			(void)closedir(d);
	}
	if (proc)
		(void)closedir(proc);
	return found;
}

static int unload(const char *name)
{
	char path[PATH_MAX], text[TEXT_MAX];
	struct module m = { .n_aliases = 0 };
	int fd = lock(), r = 0;

	(void)snprintf(m.name, sizeof(m.name), "%s", name);
	if (!shim_at(path, "sys/module/%s/initstate", name) || !exists(path))
		r = ENOENT;
	else if (add_to(name, "refcnt", 0) > 0)
		r = EWOULDBLOCK;
	else if (is_open(name))
		r = EWOULDBLOCK;
	if (r == 0) {
		if (shim_at(path, "sys/module/%s/depends", name) && shim_read(path, text))
			(void)snprintf(m.depends, sizeof(m.depends), "%.1023s", text);
		devices_unbind(name);
		hold_dependencies(&m, false);
		if (shim_at(path, "sys/class/%s", name))
			shim_remove_tree(path);
		if (shim_at(path, "sys/dev/char/%d:%d", NODE_MAJOR, NODE_MINOR))
			(void)unlink(path);
		if (shim_at(path, "sys/bus/pci/drivers/%s", name))
			shim_remove_tree(path);
		proc_modules(name, false);
		if (shim_at(path, "sys/module/%s", name))
			shim_remove_tree(path);
	}
	if (fd >= 0)
		(void)close(fd);
	errno = r;
	return r ? -1 : 0;
}

int init_module(const void *data, unsigned long len, const char *args);
int finit_module(int fd, const char *args, int flags);
int delete_module(const char *name, int flags);

API int init_module(const void *data, unsigned long len, const char *args)
{
	if (!shim_dir())
		return (int)syscall(SYS_init_module, data, len, args);
	return load(data, len, args);
}

API int finit_module(int fd, const char *args, int flags)
{
	struct stat st;
	void *data;
	int r, saved;

	if (!shim_dir())
		return (int)syscall(SYS_finit_module, fd, args, flags);
	if (fstat(fd, &st) < 0)
		return -1;
	if (st.st_size == 0) {
		errno = ENOEXEC;
		return -1;
	}
	data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED)
		return -1;
	r = load(data, (size_t)st.st_size, args);
	saved = errno;
	(void)munmap(data, (size_t)st.st_size);
	errno = saved;
	return r;
}

API int delete_module(const char *name, int flags)
{
	if (!shim_dir())
		return (int)syscall(SYS_delete_module, name, flags);
	return unload(name);
}

/* libkmod calls finit_module this way. */
API long syscall(long number, ...)
{
	long a[6];
	va_list ap;

	va_start(ap, number);
	for (size_t i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (shim_dir()) {
		if (number == SYS_finit_module)
			return finit_module((int)a[0], (const char *)a[1], (int)a[2]);
		if (number == SYS_init_module)
			return init_module(
				(void *)a[0], (unsigned long)a[1], (const char *)a[2]);
		if (number == SYS_delete_module)
			return delete_module((const char *)a[0], (int)a[1]);
	}
	REAL(syscall);
	return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
