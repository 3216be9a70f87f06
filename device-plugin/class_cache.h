// SPDX-License-Identifier: Apache-2.0
/* The last good content of each class file, for a plugin that is started while the file is bad. */
#pragma once

#include "err.h"

/* Keeps @text as the good content of the class file @path, below @dir. A convenience: what cannot be
 * written is not kept. */
void class_cache_put(const char *dir, const char *path, const char *text, size_t len);
/* What was kept; caller frees. -ENOENT. */
int class_cache_get(const char *dir, const char *path, char **ret, size_t *ret_len,
	struct err *e) _must_check_;
/* The file is gone, and so are its classes. */
void class_cache_drop(const char *dir, const char *path);
