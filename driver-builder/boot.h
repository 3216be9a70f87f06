// SPDX-License-Identifier: Apache-2.0
/* What the host's own boot loads: /lib/modules/R/updates/farrier with depmod, modules-load.d and
 * modprobe.d. Files are verified by the caller before they are installed. */
#pragma once

#include "api.h"
#include "arena.h"
#include "plan.h"
#include "store.h"

#define BOOT_FOLDER "updates/farrier"

/* Digests of files, remembered while a file's identity, size and times stay. */
struct map;
/* NULL when memory is short. */
struct map *boot_digests_new(void);
/* SHA-256 of @path, from @digests when the file has not changed. -ENOENT like any other. */
int boot_digest(struct map *digests, const char *path, char ret[DIGEST_HEX + 1])
	_must_check_;

/* How much of @a lies installed for @release, by digest. */
enum plan_installed boot_check(const char *root, const char *release,
	const struct artifact *a, struct map *digests);
/* Is a file of any of @modules (struct api_module) installed there, whatever its build? */
bool boot_has_any(const char *root, const char *release, const struct list *modules);

/* Copies the modules of @a and runs depmod. REASON_DISK_FULL, _INTERNAL. Blocks. */
int boot_install(const char *root, const char *release, const struct artifact *a,
	struct err *e) _must_check_;
/* Removes the files of @modules (struct api_module) and runs depmod. Blocks. */
int boot_uninstall(const char *root, const char *release, const struct list *modules,
	struct err *e) _must_check_;

/* modules-load.d/farrier-<driver>.conf and modprobe.d/farrier-<driver>.conf; 1 when one changed. */
int boot_write_config(struct arena *a, const char *root, const char *driver,
	const struct list *modules, struct err *e) _must_check_;
/* Are both files as boot_write_config() would leave them? */
bool boot_has_config(struct arena *a, const char *root, const char *driver,
	const struct list *modules);
/* The options of the driver's modules that a boot gives them now, as stage_parameters() writes them.
 * "" when there are none. */
int boot_options(struct arena *a, const char *root, const char *driver, const char **ret)
	_must_check_;
int boot_remove_config(const char *root, const char *driver, struct err *e) _must_check_;
