// SPDX-License-Identifier: Apache-2.0
/* The device nodes of a device: its own, and those of its own children in sysfs. */
#include "inventory_crawl.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

#include "file.h"

enum { CRAWL_DEPTH_MAX = 6, CRAWL_DIRS_MAX = 2000, SYS_PATH_MAX = 1024 };
/* What these have below a device is somebody else's. */
static const char *const buses[] = { "pci", "usb", "dfl" };

struct crawl {
	struct device *d;
	size_t dirs, cap;
};

/* DEVNAME of @dir's uevent, without /dev/; false when it has no device node. */
static bool devname(const char *dir, char *out, size_t size)
{
	CLEANUP(freep) char *text = NULL;
	char path[SYS_PATH_MAX];
	const char *p;
	size_t n, len = 0;

	if (path_join(path, sizeof(path), dir, "uevent", NULL) < 0 ||
		file_read(path, 16 << 10, &text, &len, NULL) < 0)
		return false;
	for (p = text; p; p = strchr(p, '\n'), p = p ? p + 1 : NULL) {
		if (!str_starts(p, "DEVNAME="))
			continue;
		p += strlen("DEVNAME=");
		if (str_starts(p, "/dev/"))
			p += strlen("/dev/");
		n = strcspn(p, "\n");
		if (n == 0 || n >= size || memmem(p, n, "..", 2))
			return false;
		memcpy(out, p, n);
		out[n] = '\0';
		return true;
	}
	return false;
}

static int add_node(
	struct crawl *c, const char *dir, const char *name, const char *subsystem)
{
	struct device *d = c->d;
	struct device_node *n;
	char dev[sizeof(n->path) - 5];

	if (d->n_nodes >= DEVICE_NODES_MAX || !devname(dir, dev, sizeof(dev)) ||
		strlen(name) >= sizeof(n->name) ||
		strlen(subsystem) >= sizeof(n->subsystem))
		return 0;
	if (d->n_nodes >= c->cap) {
		size_t cap = d->n_nodes ? d->n_nodes * 2 : 4;

		n = realloc(d->nodes, cap * sizeof(*n));
		if (!n)
			return -ENOMEM;
		d->nodes = n;
		c->cap = cap;
	}
	n = &d->nodes[d->n_nodes++];
	memset(n, 0, sizeof(*n));
	memcpy(n->subsystem, subsystem, strlen(subsystem));
	memcpy(n->name, name, strlen(name));
	(void)snprintf(n->path, sizeof(n->path), "/dev/%s", dev);
	return 0;
}

/* Folders below @dir that are its own: links lead elsewhere, devices of a bus are somebody else's. */
static int crawl(struct crawl *c, const char *dir, unsigned depth)
{
	struct dirent *de;
	DIR *folder;
	int r = 0;

	if (depth > CRAWL_DEPTH_MAX)
		return 0;
	folder = opendir(dir);
	if (!folder)
		return 0;
	while (r == 0 && (de = readdir(folder))) {
		char path[SYS_PATH_MAX], subsystem[32];
		struct stat st;
		bool is_bus = false;

		if (de->d_name[0] == '.' || de->d_type == DT_LNK ||
			de->d_type == DT_REG || streq(de->d_name, "power"))
			continue;
		if (path_join(path, sizeof(path), dir, de->d_name, NULL) < 0 ||
			lstat(path, &st) < 0 || !S_ISDIR(st.st_mode))
			continue;
		if (++c->dirs > CRAWL_DIRS_MAX)
			break;
		inventory_link(path, "subsystem", subsystem, sizeof(subsystem));
		for (size_t b = 0; b < ARRAY_SIZE(buses); b++)
			is_bus |= streq(subsystem, buses[b]);
		if (is_bus)
			continue;
		if (subsystem[0])
			r = add_node(c, path, de->d_name, subsystem);
		if (r == 0)
			r = crawl(c, path, depth + 1);
	}
	(void)closedir(folder);
	return r;
}

/* "card0" before "card10": what a driver numbers stays in its order. */
static int by_subsystem_and_name(const void *a, const void *b)
{
	const struct device_node *x = a, *y = b;
	int r = strcmp(x->subsystem, y->subsystem);

	return r ? r : strverscmp(x->name, y->name);
}

int inventory_crawl(struct device *d, const char *dir)
{
	struct crawl c = { .d = d };
	char subsystem[32];
	int r;

	/* USB devices and FPGA ports are nodes themselves. */
	inventory_link(dir, "subsystem", subsystem, sizeof(subsystem));
	r = subsystem[0] ? add_node(&c, dir, d->id, subsystem) : 0;
	if (r == 0)
		r = crawl(&c, dir, 0);
	if (d->n_nodes)
		qsort(d->nodes, d->n_nodes, sizeof(d->nodes[0]), by_subsystem_and_name);
	return r;
}
