// SPDX-License-Identifier: Apache-2.0
/* The faked PCI devices: bound to a module that is loaded, let go by one that is not. */
#include <dirent.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "shim.h"

/* Each PCI device: @folder as a path, @below its place under sys/ ("devices/pci0000:00/…"). */
static void each_device(
	void (*fn)(const char *, const char *, const char *, void *), void *user)
{
	char bus[PATH_MAX], link[PATH_MAX], target[PATH_MAX], folder[PATH_MAX];
	struct dirent **list = NULL;
	int n;

	if (!shim_at(bus, "sys/bus/pci/devices"))
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
		if (below && shim_at(folder, "sys/%s", below))
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

static void make_node(const char *name, int index)
{
	const char *second = getenv("FARRIER_SHIM_DEV");
	char path[PATH_MAX];

	for (int i = 0; i < 2; i++) {
		if (i == 0 ? !shim_at(path, "dev/%s%d", name, index)
			   : !second || snprintf(path, sizeof(path), "%s/%s%d", second,
						name, index) >= (int)sizeof(path))
			continue;
		(void)unlink(path);
		/* /dev/full: it can be opened anywhere, and nobody else has it open. */
		if (mknod(path, S_IFCHR | 0666, makedev(NODE_MAJOR, NODE_MINOR)) < 0)
			shim_write(path, "%s", "");
		(void)chmod(path, 0666);
	}
}

static void remove_node(const char *name, int index)
{
	const char *second = getenv("FARRIER_SHIM_DEV");
	char path[PATH_MAX];

	if (shim_at(path, "dev/%s%d", name, index))
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
		!shim_read(path, modalias))
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
	shim_make_dirs(path);
	climb(up, below, 2);
	(void)snprintf(target, sizeof(target), "%sclass/%s", up, m->name);
	shim_link(target, "%s/subsystem", path);
	(void)snprintf(target, sizeof(target), "../../../%s", address);
	shim_link(target, "%s/device", path);
	(void)snprintf(target, sizeof(target), "%s/dev", path);
	shim_write(target, "%d:%d\n", NODE_MAJOR, NODE_MINOR);
	(void)snprintf(target, sizeof(target), "%s/uevent", path);
	shim_write(target, "MAJOR=%d\nMINOR=%d\nDEVNAME=%s%d\n", NODE_MAJOR, NODE_MINOR,
		m->name, i);
	(void)snprintf(
		target, sizeof(target), "../../%s/%s/%s%d", below, m->name, m->name, i);
	if (shim_at(path, "sys/class/%s", m->name)) {
		shim_make_dirs(path);
		shim_link(target, "%s/%s%d", path, m->name, i);
	}
	if (shim_at(path, "sys/dev/char")) {
		shim_make_dirs(path);
		shim_link(target, "%s/%d:%d", path, NODE_MAJOR, NODE_MINOR);
	}
	make_node(m->name, i);
}

/* The driver's line in the device's uevent, or none. */
static void set_uevent(const char *folder, const char *driver)
{
	char path[PATH_MAX], text[TEXT_MAX], *line;

	if (snprintf(path, sizeof(path), "%s/uevent", folder) >= (int)sizeof(path) ||
		!shim_read(path, text))
		return;
	if (!strncmp(text, "DRIVER=", 7)) {
		line = strchr(text, '\n');
		memmove(text, line ? line + 1 : "", strlen(line ? line + 1 : "") + 1);
	}
	shim_write(path, "%s%s%s%s\n", driver ? "DRIVER=" : "", driver ? driver : "",
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
	shim_link(target, "%s", path);
	if (shim_at(path, "sys/bus/pci/drivers/%s", b->m->name)) {
		(void)snprintf(target, sizeof(target), "../../../../%s", below);
		shim_link(target, "%s/%s", path, address);
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
		shim_remove_tree(path);
}

void devices_bind(const struct module *m)
{
	struct binding b = { m, 0 };

	each_device(bind, &b);
}

void devices_unbind(const char *name)
{
	each_device(unbind, (void *)name);
	for (int i = 0; i < CLASS_MAX; i++)
		remove_node(name, i);
}
