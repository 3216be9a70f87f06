// SPDX-License-Identifier: Apache-2.0
/* Reads presence, configuration space, link, error counters and the class's own file and command. */
#include "vitals.h"

#include <stdio.h>

#include "attribute.h"
#include "file.h"

enum { DIR_MAX = 1024 };

static void read_pci(struct device *d, const char *dir, const struct api_class_spec *c,
	struct health_facts *f)
{
	struct aer_counts now = { 0 };

	f->answers = pci_config_answers(dir);
	if (!f->answers)
		return;
	if (c->health.pci_link) {
		pci_link_read(dir, &f->link);
		d->link_was = MAX(d->link_was, f->link.width);
		f->link_was = d->link_was;
	}
	if (c->health.aer) {
		aer_read(dir, &now);
		aer_since(&d->aer, &now, &f->aer_fatal, &f->aer_nonfatal);
	}
}

static void read_own_file(const char *dir, const struct api_class_spec *c,
	struct health_files *files, struct health_facts *f)
{
	char path[DIR_MAX];

	if (!files || str_empty(c->health.file) ||
		path_join(path, sizeof(path), dir, c->health.file, NULL) < 0)
		return;
	f->file = health_files_get(files, path, &f->file_text);
}

/* Its arguments for this device, in one string. */
static int command_args(const struct inventory *inv, struct device *d,
	const struct api_class_spec *c, char *out, size_t size)
{
	const char *const *argv = c->health.command.argv.items;
	size_t len = 0;
	int r = 0;

	for (size_t i = 0; i < c->health.command.argv.n && r == 0; i++) {
		if (size - len < EXPANDED_MAX + 2)
			return -ENAMETOOLONG;
		r = expand(inv, d, c, argv[i], out + len, EXPANDED_MAX, NULL);
		if (r < 0)
			return r;
		len += strlen(out + len);
		out[len++] = HEALTH_ARGS_END;
		out[len] = '\0';
	}
	return r;
}

static void ask_command(const struct inventory *inv, struct device *d,
	const struct api_class_spec *c, struct health_files *files,
	struct health_facts *f)
{
	char args[API_COMMAND_ARGS_MAX * (EXPANDED_MAX + 2)] = "";
	struct health_command hc = { args,
		(uint64_t)c->health.command.timeout_seconds * USEC_PER_SEC };

	if (!files || !c->health.command.present)
		return;
	f->command_name = ((const char *const *)c->health.command.argv.items)[0];
	if (command_args(inv, d, c, args, sizeof(args)) < 0) {
		f->command = HEALTH_FILE_FAILED;
		f->command_text = "one of its {variables} has no value";
		return;
	}
	f->command = health_files_run(files, &hc,
		(uint64_t)c->health.command.interval_seconds * USEC_PER_SEC,
		&f->command_text);
}

void vitals_driver_build(const char *dir, char *out, size_t size)
{
	char path[DIR_MAX], version[48] = "", src[40] = "";

	if (path_join(path, sizeof(path), dir, "driver/module/version", NULL) < 0 ||
		file_read_line(path, version, sizeof(version)) < 0)
		version[0] = '\0';
	if (path_join(path, sizeof(path), dir, "driver/module/srcversion", NULL) < 0 ||
		file_read_line(path, src, sizeof(src)) < 0)
		src[0] = '\0';
	(void)snprintf(
		out, size, "%s%s%s", version, version[0] && src[0] ? " " : "", src);
}

void vitals_read(const struct inventory *inv, struct device *d,
	const struct api_class_spec *c, struct health_files *files,
	struct health_facts *ret)
{
	struct health_facts f = { .missing_node = ret->missing_node,
		.wanted_driver = ret->wanted_driver };
	char dir[DIR_MAX];

	f.is_present = d->is_present;
	f.answers = true;
	f.driver = d->driver;
	f.needs_driver = d->bus == API_BUS_PCI || d->bus == API_BUS_USB;
	f.file_text = f.command_name = f.command_text = "";
	d->driver_build[0] = '\0';
	if (d->is_present && inventory_dir(inv, d, dir, sizeof(dir)) == 0) {
		if (d->bus == API_BUS_PCI)
			read_pci(d, dir, c, &f);
		if (c->health.present && d->driver[0])
			vitals_driver_build(
				dir, d->driver_build, sizeof(d->driver_build));
		/* Without its driver the file is not there, which is another complaint. */
		if (f.answers && (d->driver[0] || !f.needs_driver)) {
			read_own_file(dir, c, files, &f);
			ask_command(inv, d, c, files, &f);
		}
	}
	*ret = f;
}
