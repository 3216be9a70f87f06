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
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "shim.h"

enum {
	TEXT_MAX = 4096,
	ALIASES_MAX = 64,
	CLASS_MAX = 64,
	NODE_MAJOR = 1,
	NODE_MINOR = 7
};

/* ---- small files --------------------------------------------------------------------------------- */

/* "<dir>/<fmt>" in @out. */
__attribute__((format(printf, 2, 3))) static bool at(
	char out[PATH_MAX], const char *fmt, ...)
{
	const char *dir = shim_dir();
	int n = dir ? snprintf(out, PATH_MAX, "%s/", dir) : -1, m;
	va_list ap;

	if (n < 0 || n >= PATH_MAX)
		return false;
	va_start(ap, fmt);
	m = vsnprintf(out + n, (size_t)(PATH_MAX - n), fmt, ap);
	va_end(ap);
	return m >= 0 && m < PATH_MAX - n;
}

static bool read_text(const char *path, char out[TEXT_MAX])
{
	int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, out, TEXT_MAX - 1);

	if (fd >= 0)
		(void)close(fd);
	if (n < 0)
		return false;
	while (n > 0 && out[n - 1] == '\n')
		n--;
	out[n] = '\0';
	return true;
}

__attribute__((format(printf, 2, 3))) static void write_text(
	const char *path, const char *fmt, ...)
{
	int fd = (int)syscall(SYS_openat, AT_FDCWD, path,
		O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	va_list ap;

	if (fd < 0)
		return;
	va_start(ap, fmt);
	(void)vdprintf(fd, fmt, ap);
	va_end(ap);
	(void)close(fd);
}

static void make_dirs(const char *path)
{
	char p[PATH_MAX];

	(void)snprintf(p, sizeof(p), "%s", path);
	for (char *s = p + 1; *s; s++)
		if (*s == '/') {
			*s = '\0';
			(void)mkdir(p, 0755);
			*s = '/';
		}
	(void)mkdir(p, 0755);
}

static void remove_tree(const char *path)
{
	char below[PATH_MAX];
	struct dirent *x;
	DIR *d;

	if (unlink(path) == 0 || (errno != EISDIR && errno != EPERM))
		return;
	d = opendir(path);
	while (d && (x = readdir(d)))
		if (strcmp(x->d_name, ".") != 0 && strcmp(x->d_name, "..") != 0 &&
			snprintf(below, sizeof(below), "%s/%s", path, x->d_name) <
				(int)sizeof(below))
			remove_tree(below);
	if (d)
		(void)closedir(d);
	(void)rmdir(path);
}

/* One kernel, one lock. */
static int lock(void)
{
	char path[PATH_MAX];
	int fd;

	if (!at(path, "lock"))
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
	if (r == 0 && shim_dir() && at(path, "release") && read_text(path, text))
		(void)snprintf(u->release, sizeof(u->release), "%.64s", text);
	return r;
}

/* ---- a module's own words ------------------------------------------------------------------------- */

struct module {
	char name[256], vermagic[256], srcversion[64], version[64], depends[1024];
	char aliases[ALIASES_MAX][256];
	size_t n_aliases;
};

static void take(struct module *m, const char *key, size_t key_len, const char *value)
{
	static const struct {
		const char *key;
		size_t off, size;
	} fields[] = {
		{ "name", offsetof(struct module, name), sizeof(m->name) },
		{ "vermagic", offsetof(struct module, vermagic), sizeof(m->vermagic) },
		{ "srcversion", offsetof(struct module, srcversion),
			sizeof(m->srcversion) },
		{ "version", offsetof(struct module, version), sizeof(m->version) },
		{ "depends", offsetof(struct module, depends), sizeof(m->depends) },
	};

	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
		if (strlen(fields[i].key) == key_len &&
			!strncmp(key, fields[i].key, key_len))
			(void)snprintf(
				(char *)m + fields[i].off, fields[i].size, "%s", value);
	if (key_len == 5 && !strncmp(key, "alias", 5) && m->n_aliases < ALIASES_MAX)
		(void)snprintf(
			m->aliases[m->n_aliases++], sizeof(m->aliases[0]), "%s", value);
}

/* .modinfo of a whole ELF; 0 or ENOEXEC. */
static int parse(const char *data, size_t len, struct module *m)
{
	const Elf64_Ehdr *h = (const void *)data;
	const Elf64_Shdr *sh;

	memset(m, 0, sizeof(*m));
	if (len < sizeof(*h) || memcmp(h->e_ident, ELFMAG, SELFMAG) != 0 ||
		h->e_type != ET_REL || h->e_shoff > len ||
		h->e_shnum > (len - h->e_shoff) / sizeof(*sh) ||
		h->e_shstrndx >= h->e_shnum)
		return ENOEXEC;
	sh = (const void *)(data + h->e_shoff);
	for (unsigned i = 0; i < h->e_shnum; i++) {
		const Elf64_Shdr *str = &sh[h->e_shstrndx];
		const char *p, *end;

		if (sh[i].sh_type != SHT_NOBITS &&
			(sh[i].sh_offset > len || sh[i].sh_size > len - sh[i].sh_offset))
			return ENOEXEC; /* "Invalid ELF section header overflow" */
		if (str->sh_offset > len || str->sh_size > len - str->sh_offset ||
			sh[i].sh_name + sizeof(".modinfo") > str->sh_size ||
			strcmp(data + str->sh_offset + sh[i].sh_name, ".modinfo") != 0)
			continue;
		p = data + sh[i].sh_offset;
		end = p + sh[i].sh_size;
		while (p < end) {
			size_t n = strnlen(p, (size_t)(end - p));
			const char *eq = memchr(p, '=', n);

			if (p + n >= end)
				break;
			if (eq)
				take(m, p, (size_t)(eq - p), eq + 1);
			p += n + 1;
		}
	}
	for (char *c = m->name; *c; c++)
		*c = *c == '-' ? '_' : *c;
	return *m->name ? 0 : ENOEXEC;
}

/* ---- devices --------------------------------------------------------------------------------------- */

/* Each PCI device: @folder as a path, @below its place under sys/ ("devices/pci0000:00/…"). */
static void each_device(
	void (*fn)(const char *, const char *, const char *, void *), void *user)
{
	char bus[PATH_MAX], link[PATH_MAX], target[PATH_MAX], folder[PATH_MAX];
	struct dirent **list = NULL;
	int n;

	if (!at(bus, "sys/bus/pci/devices"))
		return;
	n = scandir(bus, &list, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		const char *name = list[i]->d_name, *below;
		ssize_t len;

		if (*name == '.' || snprintf(link, sizeof(link), "%s/%s", bus, name) >=
					    (int)sizeof(link))
			continue;
		len = readlink(link, target, sizeof(target) - 1);
		if (len <= 0)
			continue;
		target[len] = '\0';
		below = strstr(target, "devices/");
		if (below && at(folder, "sys/%s", below))
			fn(name, folder, below, user);
	}
	for (int i = 0; i < n; i++)
		free(list[i]);
	free(list);
}

/* "../" as often as @below (plus @more) is deep. */
static void climb(char out[PATH_MAX], const char *below, int more)
{
	int depth = 1 + more;
	size_t n = 0;

	for (const char *c = below; *c; c++)
		depth += *c == '/';
	out[0] = '\0';
	for (; depth > 0 && n + 4 < PATH_MAX; depth--, n += 3)
		memcpy(out + n, "../", 4);
}

__attribute__((format(printf, 2, 3))) static void link_to(
	const char *target, const char *fmt, ...)
{
	char path[PATH_MAX];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(path, sizeof(path), fmt, ap);
	va_end(ap);
	if (n < 0 || n >= PATH_MAX)
		return;
	(void)unlink(path);
	(void)symlink(target, path);
}

static void make_node(const char *name, int index)
{
	const char *second = getenv("FARRIER_SHIM_DEV");
	char path[PATH_MAX];

	for (int i = 0; i < 2; i++) {
		if (i == 0 ? !at(path, "dev/%s%d", name, index)
			   : !second || snprintf(path, sizeof(path), "%s/%s%d", second,
						name, index) >= (int)sizeof(path))
			continue;
		(void)unlink(path);
		/* /dev/full: it can be opened anywhere, and nobody else has it open. */
		if (mknod(path, S_IFCHR | 0666, makedev(NODE_MAJOR, NODE_MINOR)) < 0)
			write_text(path, "%s", "");
		(void)chmod(path, 0666);
	}
}

static void remove_node(const char *name, int index)
{
	const char *second = getenv("FARRIER_SHIM_DEV");
	char path[PATH_MAX];

	if (at(path, "dev/%s%d", name, index))
		(void)unlink(path);
	if (second && snprintf(path, sizeof(path), "%s/%s%d", second, name, index) <
			      (int)sizeof(path))
		(void)unlink(path);
}

struct binding {
	const struct module *m;
	int next; /* number of the next device node */
};

static bool matches(const struct module *m, const char *folder)
{
	char path[PATH_MAX], modalias[TEXT_MAX];

	if (snprintf(path, sizeof(path), "%s/modalias", folder) >= (int)sizeof(path) ||
		!read_text(path, modalias))
		return false;
	for (size_t i = 0; i < m->n_aliases; i++)
		if (!fnmatch(m->aliases[i], modalias, 0))
			return true;
	return false;
}

static void add_class_device(const struct module *m, int i, const char *address,
	const char *folder, const char *below)
{
	char path[PATH_MAX], up[PATH_MAX], target[PATH_MAX + 300];

	if (snprintf(path, sizeof(path), "%s/%s/%s%d", folder, m->name, m->name, i) >=
		(int)sizeof(path))
		return;
	make_dirs(path);
	climb(up, below, 2);
	(void)snprintf(target, sizeof(target), "%sclass/%s", up, m->name);
	link_to(target, "%s/subsystem", path);
	(void)snprintf(target, sizeof(target), "../../../%s", address);
	link_to(target, "%s/device", path);
	(void)snprintf(target, sizeof(target), "%s/dev", path);
	write_text(target, "%d:%d\n", NODE_MAJOR, NODE_MINOR);
	(void)snprintf(target, sizeof(target), "%s/uevent", path);
	write_text(target, "MAJOR=%d\nMINOR=%d\nDEVNAME=%s%d\n", NODE_MAJOR, NODE_MINOR,
		m->name, i);
	(void)snprintf(
		target, sizeof(target), "../../%s/%s/%s%d", below, m->name, m->name, i);
	if (at(path, "sys/class/%s", m->name)) {
		make_dirs(path);
		link_to(target, "%s/%s%d", path, m->name, i);
	}
	if (at(path, "sys/dev/char")) {
		make_dirs(path);
		link_to(target, "%s/%d:%d", path, NODE_MAJOR, NODE_MINOR);
	}
	make_node(m->name, i);
}

/* The driver's line in the device's uevent, or none. */
static void set_uevent(const char *folder, const char *driver)
{
	char path[PATH_MAX], text[TEXT_MAX], *line;

	if (snprintf(path, sizeof(path), "%s/uevent", folder) >= (int)sizeof(path) ||
		!read_text(path, text))
		return;
	if (!strncmp(text, "DRIVER=", 7)) {
		line = strchr(text, '\n');
		memmove(text, line ? line + 1 : "", strlen(line ? line + 1 : "") + 1);
	}
	write_text(path, "%s%s%s%s\n", driver ? "DRIVER=" : "", driver ? driver : "",
		driver ? "\n" : "", text);
}

static void bind(const char *address, const char *folder, const char *below, void *user)
{
	struct binding *b = user;
	char path[PATH_MAX], up[PATH_MAX], target[PATH_MAX + 300];

	if (snprintf(path, sizeof(path), "%s/driver", folder) >= (int)sizeof(path) ||
		exists(path) || !matches(b->m, folder))
		return;
	climb(up, below, 0);
	(void)snprintf(target, sizeof(target), "%sbus/pci/drivers/%s", up, b->m->name);
	link_to(target, "%s", path);
	if (at(path, "sys/bus/pci/drivers/%s", b->m->name)) {
		(void)snprintf(target, sizeof(target), "../../../../%s", below);
		link_to(target, "%s/%s", path, address);
	}
	set_uevent(folder, b->m->name);
	add_class_device(b->m, b->next++, address, folder, below);
}

static void unbind(const char *address, const char *folder, const char *below, void *user)
{
	const char *name = user;
	char path[PATH_MAX], target[PATH_MAX];
	const char *last;
	ssize_t n;

	if (snprintf(path, sizeof(path), "%s/driver", folder) >= (int)sizeof(path))
		return;
	n = readlink(path, target, sizeof(target) - 1);
	if (n <= 0)
		return;
	target[n] = '\0';
	last = strrchr(target, '/');
	if (!last || strcmp(last + 1, name) != 0)
		return;
	(void)unlink(path);
	set_uevent(folder, NULL);
	if (snprintf(path, sizeof(path), "%s/%s", folder, name) < (int)sizeof(path))
		remove_tree(path);
}

/* ---- loading and unloading -------------------------------------------------------------------------- */

static void proc_modules(const char *name, bool is_added)
{
	char path[PATH_MAX], text[TEXT_MAX], out[TEXT_MAX] = "";
	char *line, *save = NULL;
	size_t len = strlen(name);

	if (!at(path, "proc/modules") || !read_text(path, text))
		return;
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (strncmp(line, name, len) != 0 || line[len] != ' ')
			(void)snprintf(out + strlen(out), sizeof(out) - strlen(out),
				"%s\n", line);
	write_text(path, "%s%s%s", is_added ? name : "",
		is_added ? " 16384 0 - Live 0x0000000000000000 (OE)\n" : "", out);
}

static int add_to(const char *name, const char *attr, int delta)
{
	char path[PATH_MAX], text[TEXT_MAX];
	int v = 0;

	if (!at(path, "sys/module/%s/%s", name, attr) || !read_text(path, text))
		return 0;
	v = (int)strtoll(text, NULL, 10) + delta;
	if (delta)
		write_text(path, "%d\n", v);
	return v;
}

static void hold_dependencies(const struct module *m, bool is_held)
{
	char list[sizeof(m->depends)], path[PATH_MAX], target[300], *name, *save = NULL;

	(void)snprintf(list, sizeof(list), "%s", m->depends);
	for (name = strtok_r(list, ",", &save); name; name = strtok_r(NULL, ",", &save)) {
		add_to(name, "refcnt", is_held ? 1 : -1);
		if (!at(path, "sys/module/%s/holders/%s", name, m->name))
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
		if (at(path, "sys/module/%s", name) && !exists(path))
			return false;
	return true;
}

/* May it load? 0 or an errno, as the kernel gives it. */
static int judge(const struct module *m)
{
	char path[PATH_MAX], text[TEXT_MAX];
	struct utsname u;
	size_t n;

	if (at(path, "fail/%s", m->name) && read_text(path, text) && *text)
		return (int)strtoll(text, NULL, 10);
	if (uname(&u) < 0)
		return errno;
	n = strlen(u.release);
	if (strncmp(m->vermagic, u.release, n) != 0 || m->vermagic[n] != ' ')
		return ENOEXEC;
	if (at(path, "sys/module/%s/initstate", m->name) && exists(path))
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
		if (at(path, "sys/module/%s/parameters", name)) {
			make_dirs(path);
			if (at(path, "sys/module/%s/parameters/%s", name, word))
				write_text(path, "%s\n", eq + 1);
		}
	}
}

static int load(const char *data, size_t len, const char *args)
{
	static const char *const folders[] = { "holders", "parameters", "notes" };
	struct binding b;
	struct module m;
	char path[PATH_MAX];
	int fd = lock(), r = parse(data, len, &m);

	if (r == 0)
		r = judge(&m);
	if (r == 0) {
		for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++)
			if (at(path, "sys/module/%s/%s", m.name, folders[i]))
				make_dirs(path);
		set_parameters(m.name, args);
#define ATTR(attr, ...) \
	if (at(path, "sys/module/%s/" attr, m.name)) \
	write_text(path, __VA_ARGS__)
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
		b = (struct binding){ &m, 0 };
		if (m.n_aliases > 0 && at(path, "sys/bus/pci/drivers/%s", m.name)) {
			char target[300];

			make_dirs(path);
			(void)snprintf(
				target, sizeof(target), "../../../../module/%s", m.name);
			link_to(target, "%s/module", path);
		}
		each_device(bind, &b);
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
	if (!at(path, "sys/module/%s/initstate", name) || !exists(path))
		r = ENOENT;
	else if (add_to(name, "refcnt", 0) > 0)
		r = EWOULDBLOCK;
	else if (is_open(name))
		r = EWOULDBLOCK;
	if (r == 0) {
		if (at(path, "sys/module/%s/depends", name) && read_text(path, text))
			(void)snprintf(m.depends, sizeof(m.depends), "%.1023s", text);
		each_device(unbind, (void *)name);
		for (int i = 0; i < CLASS_MAX; i++)
			remove_node(name, i);
		hold_dependencies(&m, false);
		if (at(path, "sys/class/%s", name))
			remove_tree(path);
		if (at(path, "sys/dev/char/%d:%d", NODE_MAJOR, NODE_MINOR))
			(void)unlink(path);
		if (at(path, "sys/bus/pci/drivers/%s", name))
			remove_tree(path);
		proc_modules(name, false);
		if (at(path, "sys/module/%s", name))
			remove_tree(path);
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
