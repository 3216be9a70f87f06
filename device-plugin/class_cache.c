// SPDX-License-Identifier: Apache-2.0
/* One file for each class file, named by its path with every '/' and '%' written as %XX. */
#include "class_cache.h"

#include <stdio.h>

#include "classes.h"
#include "file.h"

enum { NAME_BYTES_MAX = 255 };

static int name_of(const char *dir, const char *path, char *out, size_t size)
{
	char name[NAME_BYTES_MAX + 1];
	size_t n = 0;

	for (const char *p = path; *p; p++) {
		bool is_odd = *p == '/' || *p == '%';

		if (n + 4 > sizeof(name))
			return -ENAMETOOLONG;
		if (is_odd)
			(void)snprintf(name + n, 4, "%%%02X", (unsigned char)*p);
		else
			name[n] = *p;
		n += is_odd ? 3 : 1;
	}
	name[n] = '\0';
	return path_join(out, size, dir, name, NULL);
}

void class_cache_put(const char *dir, const char *path, const char *text, size_t len)
{
	char file[1024];

	if (name_of(dir, path, file, sizeof(file)) == 0 &&
		dir_make(dir, 0700, NULL) == 0 &&
		file_write_if_changed(file, text, len, 0600, NULL) < 0)
		(void)unlink(file); /* an older one is no longer the last good one */
}

int class_cache_get(
	const char *dir, const char *path, char **ret, size_t *ret_len, struct err *e)
{
	char file[1024];
	int r = name_of(dir, path, file, sizeof(file));

	return r < 0 ? r : file_read(file, CLASS_FILE_BYTES_MAX, ret, ret_len, e);
}

void class_cache_drop(const char *dir, const char *path)
{
	char file[1024];

	if (name_of(dir, path, file, sizeof(file)) == 0)
		(void)unlink(file);
}
