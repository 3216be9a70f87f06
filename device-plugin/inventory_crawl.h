// SPDX-License-Identifier: Apache-2.0
/* Between the two files of the inventory. */
#pragma once

#include "inventory.h"

/* Adds to @d, which has none, the device nodes of its folder @dir and below; sorted by subsystem and
 * name. -ENOMEM. */
int inventory_crawl(struct device *d, const char *dir);
