// SPDX-License-Identifier: Apache-2.0
/*
 * Which devices are there: scanned from sysfs, told of changes by libudev. A scan costs little when
 * nothing changed: what cannot change while a device lives is read once, device nodes only for
 * those that somebody asks about.
 */
#pragma once

#include <sys/types.h>

#include "aer.h"
#include "api.h"
#include "health.h"
#include "loop.h"

enum {
	DEVICE_ID_MAX = 56, /* a kubelet takes 63; "::N" goes behind it for replicas */
	DEVICE_NODES_MAX = 64,
	INVENTORY_MAX = 4096, /* devices of all buses */
};

struct value; /* see attribute.h */

struct device_node {
	char subsystem[32];
	char name[32]; /* in sysfs: "edu0" */
	char path[64]; /* on the host: "/dev/edu0" */
};

struct device {
	int bus; /* enum api_bus */
	char id[DEVICE_ID_MAX];
	char *syspath; /* real path below the sysfs root: "devices/pci0000:20/0000:21:00.0" */
	char vendor[8], device[8], subvendor[8], subdevice[8]; /* hex, "" unknown */
	char class_code[8]; /* PCI: six hex digits */
	char driver[48]; /* "" not bound */
	char pcie_root[32]; /* "pci0000:20", "" when not below one */
	int numa_node; /* -1: none */
	bool is_present; /* false: it was here, and is held */
	bool is_held; /* advertised: stays known when it is gone */
	char *class_name; /* the class that claimed it last, NULL */
	char *resource_name; /* what it was advertised as last, where that can change; NULL */
	struct health_track health; /* of a held one; see vitals.h */
	struct aer_counts aer; /* at the last look */
	unsigned link_was; /* lanes: the most that it had */
	char driver_build
		[96]; /* "version srcversion" of its driver's module, "" not asked */

	struct value *values; /* what its driver said in /proc */
	ino_t bound; /* of the link to its driver, when that was read */
	ino_t ino; /* of its folder: another one is another device at the same address */
	uint64_t seen, nodes_seen; /* number of the scan */
	struct device_node *nodes; /* see inventory_nodes() */
	size_t n_nodes;
};

struct inventory;

/* @sysfs NULL: "/sys". */
int inventory_new(const char *sysfs, struct inventory **ret, struct err *e) _must_check_;
void inventory_free(struct inventory *inv);
DEFINE_CLEANUP(struct inventory, inventory_free)

/* Reads the buses of @buses (bits 1 << enum api_bus) again. Devices that are gone stay, not present,
 * while they are held. Pointers to devices stay good until the next scan. */
int inventory_scan(struct inventory *inv, unsigned buses, struct err *e) _must_check_;
size_t inventory_len(const struct inventory *inv);
/* Sorted by bus and id. */
struct device *inventory_at(const struct inventory *inv, size_t i);
const struct device *inventory_find(const struct inventory *inv, const char *id);
/* Its folder in sysfs. -ENAMETOOLONG. */
int inventory_dir(const struct inventory *inv, const struct device *d, char *out,
	size_t size) _must_check_;
/* The last part of what the link @dir/@name leads to; "" without one. */
void inventory_link(const char *dir, const char *name, char *out, size_t size);
/* Finds the device nodes of @d and its own children, once a scan; sorted by subsystem and name. */
int inventory_nodes(struct inventory *inv, struct device *d) _must_check_;

/* Calls @on_change from the loop after kernel events of these devices, also when events were lost.
 * In a pod without the host's network namespace none come: poll as well. */
int inventory_watch(struct inventory *inv, struct loop *l, void (*on_change)(void *user),
	void *user, struct err *e) _must_check_;
