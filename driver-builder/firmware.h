// SPDX-License-Identifier: Apache-2.0
/* Firmware files, looked for where the kernel looks. */
#pragma once

#include "err.h"
#include "field.h"

/* Is @name below <root>/lib/firmware[/updates][/R], plain, .xz or .zst? A name that leaves the folder
 * is not there. */
bool firmware_exists(const char *root, const char *release, const char *name);
/* All of @names (const char *): 0, or -ENOENT with REASON_FIRMWARE_MISSING that names the first. */
int firmware_check(const char *root, const char *release, const struct list *names,
	struct err *e) _must_check_;
