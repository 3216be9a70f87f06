// SPDX-License-Identifier: Apache-2.0
/* What may have changed since the last look, a few seconds ago. */
#include "prestart.h"

#include "cdi.h"
#include "file.h"
#include "vitals.h"

enum { DIR_MAX = 1024 };

static int check_device(const struct prestart *p, const struct device *d, struct err *e)
{
	char dir[DIR_MAX], driver[sizeof(d->driver)], build[sizeof(d->driver_build)];

	if (!d->is_present || inventory_dir(p->inv, d, dir, sizeof(dir)) < 0 ||
		!file_exists(dir))
		return err_reason(e, -ENODEV, REASON_DEVICE_LOST,
			"device '%s' is gone from the bus", d->id);
	if (d->bus == API_BUS_PCI && !pci_config_answers(dir))
		return err_reason(e, -ENODEV, REASON_DEVICE_LOST,
			"device '%s': its configuration space reads all ones", d->id);
	inventory_link(dir, "driver", driver, sizeof(driver));
	if (!streq(driver, d->driver))
		return err_reason(e, -ESTALE, REASON_DRIVER_NOT_BOUND,
			"device '%s': driver '%s' is bound, it was advertised with '%s'",
			d->id, driver, d->driver);
	vitals_driver_build(dir, build, sizeof(build));
	if (d->driver_build[0] && !streq(build, d->driver_build))
		return err_reason(e, -ESTALE, REASON_USERSPACE_MISMATCH,
			"device '%s': its driver is '%s', it was advertised with '%s'",
			d->id, build, d->driver_build);
	return 0;
}

int prestart_check(const struct prestart *p, const struct claim *c, struct err *e)
{
	char path[DIR_MAX];
	int r = check_device(p, c->device, e);

	if (r < 0)
		return r;
	for (size_t i = 0; i < c->n_nodes; i++)
		if (path_join(path, sizeof(path), *p->root ? p->root : "/",
			    c->nodes[i].path, NULL) < 0 ||
			!file_exists(path))
			return err_reason(e, -ENOENT, REASON_DEVICE_ABSENT,
				"device '%s': '%s' is missing", c->device->id,
				c->nodes[i].path);
	if (!c->class_->spec.cdi)
		return 0;
	r = cdi_has(p->cdi_dir, c->class_->meta.name, c->device->id, e);
	return r < 0 ? err_wrap(e, r, "device '%s'", c->device->id) : 0;
}
