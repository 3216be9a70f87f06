// SPDX-License-Identifier: Apache-2.0
/* The signs of a device's health, as far as its class asks for them. */
#pragma once

#include "health_file.h"
#include "inventory.h"

/* Fills all of *ret but missing_node and wanted_driver; texts are borrowed from @d and @files (NULL:
 * the class's own file is not asked). Keeps in @d what the next look compares with. */
void vitals_read(const struct inventory *inv, struct device *d,
	const struct api_class_spec *class_, struct health_files *files,
	struct health_facts *ret);
/* "version srcversion" of the module that drives the device in @dir; "" when there is none. */
void vitals_driver_build(const char *dir, char *out, size_t size);
