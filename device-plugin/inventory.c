// SPDX-License-Identifier: Apache-2.0
/* The scan of sysfs: buses, devices, what they are and which device nodes belong to them. */
#include "inventory.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "attribute.h"
#include "file.h"
#include "inventory_crawl.h"
#include "inventory_udev.h"

enum { SYS_PATH_MAX = 1024 };

struct inventory {
	char *sysfs;
	uint64_t scan; /* number of the current one */
	struct device **devices;
	size_t n, cap;
	struct inventory_udev *udev;
};

/* How each bus is read: its folder below bus/ and the files that hold its ids. */
static const struct bus {
	const char *folder, *vendor, *device;
} buses[API_BUSES_] = {
	[API_BUS_PCI] = { "pci", "vendor", "device" },
	[API_BUS_USB] = { "usb", "idVendor", "idProduct" },
	[API_BUS_DFL] = { "dfl", NULL, "feature_id" },
	[API_BUS_PLATFORM] = { "platform", NULL, NULL },
};

static void device_free(struct device *d)
{
	if (!d)
		return;
	free(d->syspath);
	free(d->class_name);
	free(d->resource_name);
	values_free(d->values);
	free(d->nodes);
	free(d);
}

int inventory_new(const char *sysfs, struct inventory **ret, struct err *e)
{
	CLEANUP(inventory_freep) struct inventory *inv = calloc(1, sizeof(*inv));

	if (!inv)
		return err_errno(e, -ENOMEM, "inventory");
	inv->sysfs = strdup(sysfs ? sysfs : "/sys");
	if (!inv->sysfs)
		return err_errno(e, -ENOMEM, "inventory");
	*ret = TAKE(inv);
	return 0;
}

void inventory_free(struct inventory *inv)
{
	if (!inv)
		return;
	inventory_udev_free(inv->udev);
	for (size_t i = 0; i < inv->n; i++)
		device_free(inv->devices[i]);
	free(inv->devices);
	free(inv->sysfs);
	free(inv);
}

size_t inventory_len(const struct inventory *inv)
{
	return inv->n;
}

struct device *inventory_at(const struct inventory *inv, size_t i)
{
	return inv->devices[i];
}

const struct device *inventory_find(const struct inventory *inv, const char *id)
{
	for (size_t i = 0; i < inv->n; i++)
		if (streq(inv->devices[i]->id, id))
			return inv->devices[i];
	return NULL;
}

/* "0x10de" -> "10de", lower case; "" for anything that is not hex or does not fit. */
static void read_hex(const char *dir, const char *name, char *out, size_t size)
{
	char path[SYS_PATH_MAX], line[32];
	const char *s = line;
	size_t n = 0;

	out[0] = '\0';
	if (!name || path_join(path, sizeof(path), dir, name, NULL) < 0 ||
		file_read_line(path, line, sizeof(line)) < 0)
		return;
	if (str_starts(s, "0x"))
		s += 2;
	for (; isxdigit((unsigned char)s[n]); n++)
		;
	if (s[n] || n >= size)
		return;
	for (size_t i = 0; i <= n; i++)
		out[i] = (char)tolower((unsigned char)s[i]);
}

static int read_numa(const char *dir)
{
	char path[SYS_PATH_MAX], line[32], *end = NULL;
	long long v;

	if (path_join(path, sizeof(path), dir, "numa_node", NULL) < 0 ||
		file_read_line(path, line, sizeof(line)) < 0)
		return -1;
	errno = 0;
	v = strtoll(line, &end, 10);
	if (errno || end == line || *end || v < 0 || v > 65535)
		return -1;
	return (int)v;
}

/* What is no PCI device lies on the node of the first above it that knows one. */
static int read_numa_above(const char *dir)
{
	char path[SYS_PATH_MAX];
	char *slash;
	int node = -1;

	if (strlen(dir) >= sizeof(path))
		return -1;
	memcpy(path, dir, strlen(dir) + 1);
	while (node < 0 && (slash = strrchr(path, '/')) &&
		!str_starts(slash, "/devices")) {
		node = read_numa(path);
		*slash = '\0';
	}
	return node;
}

/* The last part of the link @dir/@name; "" without one. */
void inventory_link(const char *dir, const char *name, char *out, size_t size)
{
	char path[SYS_PATH_MAX], to[SYS_PATH_MAX];
	const char *base;
	ssize_t n;

	out[0] = '\0';
	if (path_join(path, sizeof(path), dir, name, NULL) < 0)
		return;
	n = readlink(path, to, sizeof(to) - 1);
	if (n <= 0)
		return;
	to[n] = '\0';
	base = strrchr(to, '/');
	base = base ? base + 1 : to;
	if (strlen(base) < size)
		memcpy(out, base, strlen(base) + 1);
}

/* A NUMA node that the host does not have is no node (46 of the list). */
static int known_numa(const struct inventory *inv, int node)
{
	char path[SYS_PATH_MAX];

	if (node < 0)
		return -1;
	if (path_join(path, sizeof(path), inv->sysfs, "devices/system/node", NULL) < 0 ||
		!file_exists(path))
		return node;
	(void)snprintf(
		path, sizeof(path), "%s/devices/system/node/node%d", inv->sysfs, node);
	return file_exists(path) ? node : -1;
}

/* The first "pciDDDD:BB" of the path: what Kubernetes calls pcieRoot. */
static void pcie_root(const char *syspath, char *out, size_t size)
{
	const char *p = strstr(syspath, "/pci");
	size_t n;

	out[0] = '\0';
	if (!p || !isxdigit((unsigned char)p[4]))
		return;
	p++;
	n = strcspn(p, "/");
	if (n >= size)
		return;
	memcpy(out, p, n);
	out[n] = '\0';
}

/* What stays as it is as long as the device lives. */
static void read_ids(struct device *d, const char *dir)
{
	const struct bus *b = &buses[d->bus];

	read_hex(dir, b->vendor, d->vendor, sizeof(d->vendor));
	read_hex(dir, b->device, d->device, sizeof(d->device));
	if (d->bus == API_BUS_PCI) {
		read_hex(dir, "subsystem_vendor", d->subvendor, sizeof(d->subvendor));
		read_hex(dir, "subsystem_device", d->subdevice, sizeof(d->subdevice));
		read_hex(dir, "class", d->class_code, sizeof(d->class_code));
	}
	pcie_root(d->syspath, d->pcie_root, sizeof(d->pcie_root));
}

/* The link of a device below bus/, "../../../devices/…", as a path below the sysfs root. */
static int resolve(const char *entry, char *out, size_t size)
{
	char to[SYS_PATH_MAX];
	const char *p;
	ssize_t n = readlink(entry, to, sizeof(to) - 1);

	if (n < 0)
		return -errno;
	to[n] = '\0';
	p = strstr(to, "devices/");
	if (!p || strstr(p, ".."))
		return -EINVAL;
	if (strlen(p) >= size)
		return -ENAMETOOLONG;
	memcpy(out, p, strlen(p) + 1);
	return 0;
}

static struct device *device_add(struct inventory *inv, int bus, const char *id)
{
	struct device *d;

	if (inv->n == inv->cap) {
		size_t cap = inv->cap ? inv->cap * 2 : 32;
		struct device **p = realloc(inv->devices, cap * sizeof(*p));

		if (!p)
			return NULL;
		inv->devices = p;
		inv->cap = cap;
	}
	d = calloc(1, sizeof(*d));
	if (!d)
		return NULL;
	d->bus = bus;
	memcpy(d->id, id, strlen(id) + 1);
	inv->devices[inv->n++] = d;
	return d;
}

struct scan {
	struct inventory *inv;
	int bus;
	const char *folder;
};

static int scan_device(const char *id, void *user)
{
	struct scan *s = user;
	struct inventory *inv = s->inv;
	struct device *d;
	char entry[SYS_PATH_MAX], rel[SYS_PATH_MAX], dir[SYS_PATH_MAX];
	struct stat st;
	bool is_new;

	if (strlen(id) >= DEVICE_ID_MAX || inv->n >= INVENTORY_MAX)
		return 0;
	/* USB: interfaces ("1-1:1.0") are children, not devices. */
	if (s->bus == API_BUS_USB && strchr(id, ':'))
		return 0;
	if (path_join(entry, sizeof(entry), s->folder, id, NULL) < 0 ||
		resolve(entry, rel, sizeof(rel)) < 0 ||
		path_join(dir, sizeof(dir), inv->sysfs, rel, NULL) < 0 ||
		stat(dir, &st) < 0)
		return 0; /* it went away while we looked */
	d = (struct device *)inventory_find(inv, id);
	if (d && d->bus != s->bus)
		return 0;
	if (!d)
		d = device_add(inv, s->bus, id);
	if (!d)
		return -ENOMEM;
	is_new = !d->is_present || d->ino != st.st_ino || !d->syspath ||
		 !streq(d->syspath, rel);
	if (is_new) {
		free(d->syspath);
		d->syspath = strdup(rel);
		if (!d->syspath)
			return -ENOMEM;
		d->ino = st.st_ino;
		d->aer = (struct aer_counts){ 0 };
		d->link_was = 0;
		read_ids(d, dir);
	}
	d->numa_node = known_numa(
		inv, s->bus == API_BUS_PCI ? read_numa(dir) : read_numa_above(dir));
	inventory_link(dir, "driver", d->driver, sizeof(d->driver));
	d->is_present = true;
	d->seen = inv->scan;
	return 0;
}

/* Forgets what is gone and held by nobody. */
static void drop_gone(struct inventory *inv)
{
	size_t kept = 0;

	for (size_t i = 0; i < inv->n; i++) {
		struct device *d = inv->devices[i];

		if (d->seen != inv->scan) {
			d->is_present = false;
			d->driver[0] = '\0';
			d->n_nodes = 0;
			if (!d->is_held) {
				device_free(d);
				continue;
			}
		}
		inv->devices[kept++] = d;
	}
	inv->n = kept;
}

static int by_bus_and_id(const void *a, const void *b)
{
	const struct device *x = *(struct device *const *)a,
			    *y = *(struct device *const *)b;

	return x->bus != y->bus ? x->bus - y->bus : strcmp(x->id, y->id);
}

int inventory_scan(struct inventory *inv, unsigned want, struct err *e)
{
	char folder[SYS_PATH_MAX];
	int r;

	inv->scan++;
	for (int bus = 0; bus < API_BUSES_; bus++) {
		struct scan s = { inv, bus, folder };

		if (!(want & 1u << bus))
			continue;
		if (path_join(folder, sizeof(folder), inv->sysfs, "bus",
			    buses[bus].folder, "devices", NULL) < 0)
			return err_set(
				e, -ENAMETOOLONG, "'%s': path too long", inv->sysfs);
		if (!file_exists(folder))
			continue; /* a machine without that bus */
		r = dir_each(folder, scan_device, &s, e);
		if (r < 0)
			return err_wrap(e, r, "inventory");
	}
	drop_gone(inv);
	if (inv->n)
		qsort(inv->devices, inv->n, sizeof(struct device *), by_bus_and_id);
	return 0;
}

int inventory_dir(
	const struct inventory *inv, const struct device *d, char *out, size_t size)
{
	return path_join(out, size, inv->sysfs, d->syspath, NULL);
}

int inventory_nodes(struct inventory *inv, struct device *d)
{
	char dir[SYS_PATH_MAX];

	if (d->nodes_seen == inv->scan || !d->is_present)
		return 0;
	d->nodes_seen = inv->scan;
	d->n_nodes = 0;
	free(TAKE(d->nodes));
	if (inventory_dir(inv, d, dir, sizeof(dir)) < 0)
		return 0;
	return inventory_crawl(d, dir);
}

int inventory_watch(struct inventory *inv, struct loop *l, void (*on_change)(void *user),
	void *user, struct err *e)
{
	return inventory_udev_new(l, on_change, user, &inv->udev, e);
}
