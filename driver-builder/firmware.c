// SPDX-License-Identifier: Apache-2.0
/* Looks for firmware files as drivers/base/firmware_loader does. */
#include "firmware.h"

#include <limits.h>
#include <stdio.h>

#include "kernels.h"

static bool is_there(
	const char *root, const char *dir, const char *release, const char *name)
{
	static const char *const ends[] = { "", ".xz", ".zst" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ends); i++) {
		CLEANUP(freep) char *real = NULL;
		char path[PATH_MAX];
		int n = snprintf(path, sizeof(path), "%s/%s%s%s%s", dir, release,
			*release ? "/" : "", name, ends[i]);

		if (n > 0 && n < PATH_MAX && root_resolve(root, path, &real, NULL) == 0)
			return true;
	}
	return false;
}

static bool leaves(const char *name)
{
	const char *p = strstr(name, "..");

	return !*name || *name == '/' ||
	       (p && (p == name || p[-1] == '/') && (!p[2] || p[2] == '/'));
}

bool firmware_exists(const char *root, const char *release, const char *name)
{
	static const char *const dirs[] = { "/lib/firmware/updates", "/lib/firmware" };
	size_t i;

	for (i = 0; !leaves(name) && i < ARRAY_SIZE(dirs); i++)
		if (is_there(root, dirs[i], release, name) ||
			is_there(root, dirs[i], "", name))
			return true;
	return false;
}

int firmware_check(
	const char *root, const char *release, const struct list *names, struct err *e)
{
	const char *const *items = names->items;
	size_t i;

	for (i = 0; i < names->n; i++)
		if (!firmware_exists(root, release, items[i]))
			return err_reason(e, -ENOENT, REASON_FIRMWARE_MISSING,
				"firmware '%.200s' is not below '/lib/firmware'",
				items[i]);
	return 0;
}
