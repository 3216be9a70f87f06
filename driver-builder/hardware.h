// SPDX-License-Identifier: Apache-2.0
/* What the kernel says about devices and modules: PCI functions out of sysfs, modules out of
 * /sys/module, boot_id. Nothing here is remembered; it is read anew each time. */
#pragma once

#include "api.h"
#include "arena.h"
#include "err.h"

enum {
	HARDWARE_DEVICES_MAX = 4096,
	HARDWARE_MODULES_MAX = 4096,
	HARDWARE_HOLDERS_MAX = 16
};

struct hardware_device {
	const char *address; /* "0000:00:04.0" */
	const char *vendor, *device, *subvendor,
		*subdevice; /* four hex digits, lower case */
	const char *class_code; /* six hex digits */
	const char *driver; /* "" when not bound */
	const char *driver_module; /* "" when not bound or built in */
	const char *root; /* "pci0000:00", "" unknown */
	int64_t numa_node; /* -1: none */
};

/* All PCI functions below @sys (a sysfs, "/sys"), sorted by address; *ret lies in @a. A machine
 * without PCI has none. */
int hardware_scan(struct arena *a, const char *sys, struct list *ret, struct err *e)
	_must_check_;
/* "pci:1234:11e8" of @devices, sorted and unique, as `status.hardware` has them. */
int hardware_ids(struct arena *a, const struct list *devices, struct list *ret);
bool hardware_match(const struct api_device_match *m, const struct hardware_device *d);
/* True when one of @matches (struct api_device_match) matches. */
bool hardware_match_any(const struct list *matches, const struct hardware_device *d);

struct hardware_module {
	bool is_loaded;
	const char *srcversion, *version; /* NULL: the kernel does not say */
	int64_t refcnt; /* -1: the kernel cannot unload modules */
	struct list holders; /* const char *: modules that use it */
};
/* The module @name; '-' counts as '_'. Built-in code is not loaded. */
int hardware_module(struct arena *a, const char *sys, const char *name,
	struct hardware_module *ret, struct err *e) _must_check_;

/* Who has a device of module @name open: "process (pid)", at most HARDWARE_HOLDERS_MAX, as far as
 * @proc shows other processes. Best effort: an empty list says nothing. */
int hardware_openers(struct arena *a, const char *sys, const char *proc, const char *name,
	struct list *ret);

/* The boot's identity; "" when the kernel does not say. */
void hardware_boot_id(char out[64]);
