// SPDX-License-Identifier: Apache-2.0
/* What a device's files in sysfs say, whoever wrote them: records of a file's number, a length and its
 * bytes fill the folder of one PCI device and of one FPGA port below it. Nothing of it may become a
 * path outside /dev, a name that the kubelet does not take, or a CDI spec that cannot be read. */
#include <ctype.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "device-plugin/attribute.h"
#include "device-plugin/cdi.h"
#include "device-plugin/explain.h"
#include "fuzz.h"

#define CARD "sys/devices/pci0000:20/0000:21:00.0/"
#define PORT CARD "fpga_region/region0/dfl-port.0/"

static const char classes_text[] =
	"apiVersion: farrier.dev/v1alpha1\nkind: AcceleratorClass\nmetadata: { name: card }\n"
	"spec:\n"
	"  match:\n"
	"  - { bus: PCI, vendor: \"10ee\", attributes: [ { name: rev, regexp: \"^[a-f]\" } ] }\n"
	"  - { bus: PCI, class: \"12\", function: Physical }\n"
	"  variables:\n"
	"  - { name: shell, file: \"rom.*/VBNV\" }\n"
	"  - { name: id, file: table, regexp: \"{slot} -+> ([0-9]+)\" }\n"
	"  resourceName: \"xilinx.com/fpga-{shell}\"\n"
	"  deviceNodes: [ { path: \"/dev/davinci{id}\" }, { subsystem: drm, name: \"r*\" } ]\n"
	"  cdiDevices: [ \"nvidia.com/gpu={id}\" ]\n"
	"---\n"
	"apiVersion: farrier.dev/v1alpha1\nkind: AcceleratorClass\nmetadata: { name: port }\n"
	"spec:\n"
	"  match: [ { bus: Platform, driver: dfl-port } ]\n"
	"  variables: [ { name: afu, file: afu_id }, { name: up, file: ../../../label } ]\n"
	"  resourceName: \"fpga.intel.com/af-{afu}\"\n"
	"  deviceNodes: [ { subsystem: platform }, { path: \"/dev/x{up}\", optional: true } ]\n";

static const char *const files[] = {
	CARD "vendor",
	CARD "device",
	CARD "class",
	CARD "numa_node",
	CARD "rev",
	CARD "table",
	CARD "label",
	CARD "config",
	CARD "rom.u.1/VBNV",
	CARD "drm/renderD128/uevent",
	CARD "current_link_width",
	CARD "max_link_width",
	CARD "current_link_speed",
	CARD "max_link_speed",
	CARD "aer_dev_nonfatal",
	CARD "aer_dev_fatal",
	CARD "power/runtime_status",
	PORT "afu_id",
	PORT "uevent",
	"sys/devices/system/node/node0/distance",
};

static const struct {
	const char *path, *to;
} links[] = {
	{ CARD "driver", "../../../bus/pci/drivers/xocl" },
	{ CARD "drm/renderD128/subsystem", "../../../../../class/drm" },
	{ PORT "driver", "../../../../../../bus/platform/drivers/dfl-port" },
	{ PORT "subsystem", "../../../../../../bus/platform" },
	{ "sys/bus/pci/devices/0000:21:00.0",
		"../../../devices/pci0000:20/0000:21:00.0" },
	{ "sys/bus/platform/devices/dfl-port.0",
		"../../../devices/pci0000:20/0000:21:00.0/fpga_region/region0/dfl-port.0" },
};

static void make_dirs(const char *path)
{
	char dir[PATH_MAX];

	(void)snprintf(dir, sizeof(dir), "%s", fuzz_path(path));
	*strrchr(dir, '/') = '\0';
	HOLDS(dir_make(dir, 0755, NULL) == 0);
}

/* Where each file is, and whether an input has made it: most inputs make few. */
static char paths[ARRAY_SIZE(files)][192];
static bool is_there[ARRAY_SIZE(files)];

static void make_machine(void)
{
	static bool is_made;

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		if (is_there[i])
			HOLDS(unlink(paths[i]) == 0);
		is_there[i] = false;
	}
	if (is_made)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		make_dirs(files[i]);
		HOLDS(strlen(fuzz_path(files[i])) < sizeof(paths[i]));
		(void)snprintf(paths[i], sizeof(paths[i]), "%s", fuzz_path(files[i]));
	}
	for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
		make_dirs(links[i].path);
		HOLDS(symlink(links[i].to, fuzz_path(links[i].path)) == 0);
	}
	make_dirs("classes/x");
	make_dirs("dev/dri/x");
	fuzz_file("classes/all.yaml", classes_text, sizeof(classes_text) - 1);
	fuzz_file("dev/davinci7", "", 0);
	fuzz_file("dev/dri/renderD128", "", 0);
	fuzz_file("dev/dfl-port.0", "", 0);
	fuzz_file("dev/xy", "", 0);
	is_made = true;
}

/* As in sysfs, a file with other content is the same file. */
static void put(size_t i, const uint8_t *data, size_t n)
{
	CLEANUP(closep) int fd = -1;

	fd = open(paths[i], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	HOLDS(fd >= 0 && (n == 0 || write(fd, data, n) == (ssize_t)n));
	is_there[i] = true;
}

/* The records from @at to @end, of those for one file the last; where to go on: one that was cut
 * comes again. */
static size_t fill(const uint8_t *data, size_t at, size_t end)
{
	struct {
		const uint8_t *data;
		size_t n;
	} last[ARRAY_SIZE(files)] = { 0 };

	while (at + 2 <= end) {
		size_t i = data[at] % ARRAY_SIZE(files), n = data[at + 1];

		last[i].data = data + at + 2;
		last[i].n = MIN(n, end - at - 2);
		if (last[i].n < n)
			break;
		at += 2 + n;
	}
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		if (last[i].data)
			put(i, last[i].data, last[i].n);
	return at;
}

static void check_name(const char *name)
{
	const char *tail = strchr(name, '/');

	HOLDS(tail);
	tail++;
	HOLDS(*tail && strlen(tail) <= 63);
	HOLDS(isalnum((unsigned char)tail[0]) &&
		isalnum((unsigned char)tail[strlen(tail) - 1]));
	for (; *tail; tail++)
		HOLDS(isalnum((unsigned char)*tail) || strchr("._-", *tail));
}

static void check_claims(const struct snapshot *s)
{
	for (size_t i = 0; i < s->n_resources; i++)
		check_name(s->resources[i].name);
	for (size_t i = 0; i < s->n_claims; i++) {
		const struct claim *c = &s->claims[i];

		HOLDS(c->resource || c->nameless);
		HOLDS(c->device->numa_node >= -1);
		for (size_t k = 0; k < c->n_nodes; k++)
			HOLDS(str_starts(c->nodes[k].path, "/dev/") &&
				!strstr(c->nodes[k].path, ".."));
		for (size_t k = 0; k < c->n_cdi_devices; k++)
			HOLDS(str_starts(c->cdi_devices[k], "nvidia.com/gpu=") &&
				!strpbrk(c->cdi_devices[k], "{} \n"));
	}
}

/* What is written of it can be read. */
static void check_texts(
	const struct snapshot *s, const struct classes *classes, struct inventory *inv)
{
	for (size_t i = 0; i < classes_len(classes); i++) {
		CLEANUP(json_freep) struct json *spec = NULL;

		HOLDS(cdi_spec(s, classes_at(classes, i), &spec) == 0);
		if (spec)
			prints_and_reads(spec, false);
	}
	{
		CLEANUP(json_freep) struct json *doc = NULL;

		HOLDS(explain_json(s, classes, inv, &doc) == 0);
		prints_and_reads(doc, true);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	CLEANUP(inventory_freep) struct inventory *inv = NULL;
	static char root[PATH_MAX], sysfs[PATH_MAX], dir[PATH_MAX];
	static const char *const dirs[] = { dir };
	static struct classes *classes; /* one for all runs */
	struct snapshot_options o = { .root = root, .run = "/run/farrier" };
	struct err e = { 0 };
	size_t at = 0;

	make_machine();
	if (!root[0]) {
		(void)snprintf(root, sizeof(root), "%s", fuzz_path(""));
		(void)snprintf(sysfs, sizeof(sysfs), "%s", fuzz_path("sys"));
		(void)snprintf(dir, sizeof(dir), "%s", fuzz_path("classes"));
	}
	HOLDS(inventory_new(sysfs, &inv, &e) == 0);
	if (!classes)
		HOLDS(classes_new(dirs, 1, &classes, &e) == 0 &&
			classes_load(classes, &e) == 1);
	HOLDS(classes_len(classes) == 2);
	/* Twice: the first half, then the rest over what was known. What the texts of the first half are
	 * is seen where an input is no longer than that. */
	for (int i = 0; i < 2; i++) {
		CLEANUP(snapshot_freep) struct snapshot *s = NULL;

		at = fill(data, at, i ? len : len / 2);
		HOLDS(inventory_scan(inv, classes_buses(classes), &e) == 0);
		HOLDS(snapshot_new(&o, classes, inv, &s, &e) == 0);
		check_claims(s);
		if (i == 1)
			check_texts(s, classes, inv);
	}
	return 0;
}
