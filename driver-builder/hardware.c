// SPDX-License-Identifier: Apache-2.0
/* Reads sysfs and procfs. Both may be hostile or half there (hotplug in mid-scan): a device that
 * cannot be read is left out, the others stay. */
#include "hardware.h"

#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "file.h"

#define BOOT_ID "/proc/sys/kernel/random/boot_id"

enum { ATTR_MAX = 256 };

struct names {
	struct arena *a;
	const char **items;
	size_t n, max;
};

static int names_add(const char *name, void *user)
{
	struct names *l = user;

	if (l->n == l->max)
		return -E2BIG;
	l->items[l->n] = arena_strdup(l->a, name);
	return l->items[l->n++] ? 0 : -ENOMEM;
}

/* Sorted names in a folder; an absent folder is empty. */
static int names_read(
	struct arena *a, const char *path, size_t max, struct names *ret, struct err *e)
{
	struct names l = { .a = a, .max = max };
	int r;

	l.items = arena_array(a, max, sizeof(*l.items));
	if (!l.items)
		return err_errno(e, -ENOMEM, "'%s'", path);
	r = dir_each(path, names_add, &l, e);
	if (r == -ENOENT) {
		err_clear(e);
		r = 0;
	}
	if (r < 0)
		return r;
	*ret = l;
	return 0;
}

/* "0x1234" -> "1234" of exactly @digits hex digits, lower case; NULL when it is anything else. */
static const char *hex_attr(
	struct arena *a, const char *folder, const char *attr, size_t digits)
{
	char path[PATH_MAX], text[ATTR_MAX];
	size_t n;

	if (path_join(path, sizeof(path), folder, attr, NULL) < 0 ||
		file_read_line(path, text, sizeof(text)) < 0 || !str_starts(text, "0x"))
		return NULL;
	for (n = 2; text[n]; n++) {
		if (!isxdigit((unsigned char)text[n]))
			return NULL;
		text[n] = (char)tolower((unsigned char)text[n]);
	}
	return n == digits + 2 ? arena_strdup(a, text + 2) : NULL;
}

/* Last component of where the link @folder/@name leads; "" when there is no such link. */
static const char *link_name(struct arena *a, const char *folder, const char *name)
{
	char path[PATH_MAX], target[PATH_MAX];
	const char *slash;
	ssize_t n;

	if (path_join(path, sizeof(path), folder, name, NULL) < 0)
		return "";
	n = readlink(path, target, sizeof(target) - 1);
	if (n <= 0)
		return "";
	target[n] = '\0';
	slash = strrchr(target, '/');
	return arena_strdup(a, slash ? slash + 1 : target);
}

/* The first "pciDDDD:BB" in where the device's link leads. */
static const char *root_of(struct arena *a, const char *link)
{
	char target[PATH_MAX];
	ssize_t n = readlink(link, target, sizeof(target) - 1);
	const char *p, *end;

	if (n <= 0)
		return "";
	target[n] = '\0';
	p = strstr(target, "/pci");
	if (!p)
		return "";
	end = strchr(p + 1, '/');
	return end ? arena_strndup(a, p + 1, (size_t)(end - p - 1))
		   : arena_strdup(a, p + 1);
}

static int64_t int_attr(const char *folder, const char *attr, int64_t fallback)
{
	char path[PATH_MAX], text[ATTR_MAX], *end;
	long long v;

	if (path_join(path, sizeof(path), folder, attr, NULL) < 0 ||
		file_read_line(path, text, sizeof(text)) < 0 || !*text)
		return fallback;
	errno = 0;
	v = strtoll(text, &end, 10);
	return errno || *end ? fallback : v;
}

/* True when the device could be read. */
static bool read_device(struct arena *a, const char *folder, const char *address,
	struct hardware_device *ret)
{
	char driver[PATH_MAX];
	struct hardware_device d = {
		.address = address,
		.vendor = hex_attr(a, folder, "vendor", 4),
		.device = hex_attr(a, folder, "device", 4),
		.subvendor = hex_attr(a, folder, "subsystem_vendor", 4),
		.subdevice = hex_attr(a, folder, "subsystem_device", 4),
		.class_code = hex_attr(a, folder, "class", 6),
		.driver = link_name(a, folder, "driver"),
		.driver_module = "",
		.root = root_of(a, folder),
		.numa_node = int_attr(folder, "numa_node", -1),
	};

	if (!d.vendor || !d.device || !d.driver || !d.root)
		return false;
	d.subvendor = d.subvendor ? d.subvendor : "";
	d.subdevice = d.subdevice ? d.subdevice : "";
	d.class_code = d.class_code ? d.class_code : "";
	if (*d.driver && path_join(driver, sizeof(driver), folder, "driver", NULL) == 0)
		d.driver_module = link_name(a, driver, "module");
	if (!d.driver_module)
		return false;
	*ret = d;
	return true;
}

int hardware_scan(struct arena *a, const char *sys, struct list *ret, struct err *e)
{
	char bus[PATH_MAX], folder[PATH_MAX];
	struct hardware_device *out;
	struct names l;
	size_t n = 0;
	int r;

	r = path_join(bus, sizeof(bus), sys, "bus/pci/devices", NULL);
	if (r == 0)
		r = names_read(a, bus, HARDWARE_DEVICES_MAX, &l, e);
	if (r < 0)
		return err_wrap(e, r, "PCI devices");
	out = arena_array(a, l.n + 1, sizeof(*out));
	if (!out)
		return err_errno(e, -ENOMEM, "PCI devices");
	for (size_t i = 0; i < l.n; i++)
		if (path_join(folder, sizeof(folder), bus, l.items[i], NULL) == 0 &&
			read_device(a, folder, l.items[i], &out[n]))
			n++;
	*ret = (struct list){ out, n };
	return 0;
}

static int compare_strings(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int hardware_ids(struct arena *a, const struct list *devices, struct list *ret)
{
	const struct hardware_device *d = devices->items;
	const char **ids = arena_array(a, devices->n + 1, sizeof(*ids));
	size_t n = 0;

	if (!ids)
		return -ENOMEM;
	for (size_t i = 0; i < devices->n; i++) {
		ids[i] = arena_fmt(a, "pci:%s:%s", d[i].vendor, d[i].device);
		if (!ids[i])
			return -ENOMEM;
	}
	qsort(ids, devices->n, sizeof(*ids), compare_strings);
	for (size_t i = 0; i < devices->n; i++)
		if (n == 0 || !streq(ids[n - 1], ids[i]))
			ids[n++] = ids[i];
	*ret = (struct list){ ids, n };
	return 0;
}

bool hardware_match(const struct api_device_match *m, const struct hardware_device *d)
{
	return m->bus == API_BUS_PCI && (!m->vendor || streq(m->vendor, d->vendor)) &&
	       (!m->device || streq(m->device, d->device)) &&
	       (!m->subvendor || streq(m->subvendor, d->subvendor)) &&
	       (!m->subdevice || streq(m->subdevice, d->subdevice)) &&
	       (!m->class_code || str_starts(d->class_code, m->class_code)) &&
	       (!m->driver || streq(m->driver, d->driver));
}

bool hardware_match_any(const struct list *matches, const struct hardware_device *d)
{
	const struct api_device_match *m = matches->items;

	for (size_t i = 0; i < matches->n; i++)
		if (hardware_match(&m[i], d))
			return true;
	return false;
}

/* Module names in /sys have '_' where file names may have '-'. False when it is no name. */
static bool module_folder(const char *sys, const char *name, char *out, size_t size)
{
	char file[NAME_MAX + 1];
	size_t i;

	for (i = 0; name[i]; i++) {
		if (i == NAME_MAX || name[i] == '/')
			return false;
		file[i] = name[i] == '-' ? '_' : name[i];
	}
	file[i] = '\0';
	return i > 0 && file[0] != '.' &&
	       path_join(out, size, sys, "module", file, NULL) == 0;
}

static const char *str_attr(struct arena *a, const char *folder, const char *attr)
{
	char path[PATH_MAX], text[ATTR_MAX];

	if (path_join(path, sizeof(path), folder, attr, NULL) < 0 ||
		file_read_line(path, text, sizeof(text)) < 0 || !*text)
		return NULL;
	return arena_strdup(a, text);
}

int hardware_module(struct arena *a, const char *sys, const char *name,
	struct hardware_module *ret, struct err *e)
{
	struct hardware_module m = { .refcnt = -1 };
	char folder[PATH_MAX], path[PATH_MAX];
	struct names l;
	const char *state;
	int r;

	if (!module_folder(sys, name, folder, sizeof(folder)))
		return err_reason(e, -EINVAL, REASON_MANIFEST_INVALID,
			"'%s' is no module name", name);
	/* Built-in modules have a folder too, but no state. */
	state = str_attr(a, folder, "initstate");
	m.is_loaded = state && !streq(state, "going");
	if (!m.is_loaded) {
		*ret = m;
		return 0;
	}
	m.srcversion = str_attr(a, folder, "srcversion");
	m.version = str_attr(a, folder, "version");
	m.refcnt = int_attr(folder, "refcnt", -1);
	r = path_join(path, sizeof(path), folder, "holders", NULL);
	if (r == 0)
		r = names_read(a, path, HARDWARE_MODULES_MAX, &l, e);
	if (r < 0)
		return err_wrap(e, r, "module '%s'", name);
	m.holders = (struct list){ l.items, l.n };
	*ret = m;
	return 0;
}

/* ---- who has a device open ----------------------------------------------------------------- */

enum { NODES_MAX = 256 };

struct openers {
	struct arena *a;
	const char *sys, *proc;
	dev_t nodes[NODES_MAX];
	size_t n_nodes;
	struct names found;
};

/* "511:7" */
static bool parse_dev(const char *text, dev_t *ret)
{
	unsigned long long major_no, minor_no;
	char *end;

	errno = 0;
	major_no = strtoull(text, &end, 10);
	if (errno || end == text || *end != ':' || major_no > UINT32_MAX)
		return false;
	text = end + 1;
	minor_no = strtoull(text, &end, 10);
	if (errno || end == text || *end || minor_no > UINT32_MAX)
		return false;
	*ret = makedev((unsigned)major_no, (unsigned)minor_no);
	return true;
}

/* Keeps the device numbers of class devices that belong to the module. */
static void add_node(struct openers *o, const char *module, const char *link)
{
	char path[PATH_MAX], text[ATTR_MAX], driver[PATH_MAX];
	const char *owner;
	dev_t dev;

	if (o->n_nodes == NODES_MAX ||
		path_join(path, sizeof(path), link, "dev", NULL) < 0 ||
		path_join(driver, sizeof(driver), link, "device/driver", NULL) < 0 ||
		file_read_line(path, text, sizeof(text)) < 0 || !parse_dev(text, &dev))
		return;
	owner = link_name(o->a, driver, "module");
	if (owner && streq(owner, module))
		o->nodes[o->n_nodes++] = dev;
}

static void find_nodes(struct openers *o, const char *name)
{
	char kinds[PATH_MAX], kind[PATH_MAX], link[PATH_MAX], module[NAME_MAX + 1];
	struct names numbers;

	(void)snprintf(module, sizeof(module), "%s", name);
	for (char *p = module; *p; p++)
		*p = *p == '-' ? '_' : *p;
	if (path_join(kinds, sizeof(kinds), o->sys, "dev", NULL) < 0 ||
		path_join(kind, sizeof(kind), kinds, "char", NULL) < 0 ||
		names_read(o->a, kind, HARDWARE_DEVICES_MAX, &numbers, NULL) < 0)
		return;
	for (size_t i = 0; i < numbers.n; i++)
		if (path_join(link, sizeof(link), kind, numbers.items[i], NULL) == 0)
			add_node(o, module, link);
}

struct fds {
	const struct openers *o;
	const char *folder;
};

/* 1 when the descriptor is one of the nodes, which ends the walk. */
static int visit_fd(const char *name, void *user)
{
	const struct fds *f = user;
	char path[PATH_MAX];
	struct stat st;

	if (path_join(path, sizeof(path), f->folder, name, NULL) < 0 ||
		stat(path, &st) < 0 || !S_ISCHR(st.st_mode))
		return 0;
	for (size_t k = 0; k < f->o->n_nodes; k++)
		if (f->o->nodes[k] == st.st_rdev)
			return 1;
	return 0;
}

static int visit_process(const char *name, void *user)
{
	struct openers *o = user;
	char path[PATH_MAX], comm[ATTR_MAX];
	struct fds f = { .o = o, .folder = path };
	const char *text;

	if (!isdigit((unsigned char)*name) ||
		path_join(path, sizeof(path), o->proc, name, "fd", NULL) < 0 ||
		dir_each(path, visit_fd, &f, NULL) != 1)
		return 0;
	if (path_join(path, sizeof(path), o->proc, name, "comm", NULL) < 0 ||
		file_read_line(path, comm, sizeof(comm)) < 0)
		(void)snprintf(comm, sizeof(comm), "process");
	text = arena_fmt(o->a, "%s (pid %s)", comm, name);
	if (!text)
		return -ENOMEM;
	return names_add(text, &o->found) < 0 ? 1 : 0;
}

int hardware_openers(struct arena *a, const char *sys, const char *proc, const char *name,
	struct list *ret)
{
	struct openers o = { .a = a, .sys = sys, .proc = proc };
	int r = 0;

	o.found = (struct names){ .a = a, .max = HARDWARE_HOLDERS_MAX };
	o.found.items = arena_array(a, HARDWARE_HOLDERS_MAX, sizeof(*o.found.items));
	if (!o.found.items)
		return -ENOMEM;
	find_nodes(&o, name);
	if (o.n_nodes > 0)
		r = dir_each(proc, visit_process, &o, NULL);
	*ret = (struct list){ o.found.items, o.found.n };
	return r < 0 ? r : 0;
}

void hardware_boot_id(char out[64])
{
	if (file_read_line(BOOT_ID, out, 64) < 0)
		out[0] = '\0';
}
