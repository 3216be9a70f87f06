// SPDX-License-Identifier: Apache-2.0
/* What the two halves of the faked kernel share: paths.c says where paths lead, kernel.c loads. */
#pragma once

#include <dlfcn.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#define API __attribute__((visibility("default")))
#define REAL(name) \
	static __typeof__(&name) real; \
	if (!real) \
	real = (__typeof__(real))dlsym(RTLD_NEXT, #name)

/* $FARRIER_SHIM_DIR, NULL when this process is not to be fooled. */
const char *shim_dir(void);
/* @path is @folder or below it. */
bool is_below(const char *path, const char *folder);
/* Asks the real kernel. */
bool exists(const char *path);
