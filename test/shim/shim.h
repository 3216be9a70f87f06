// SPDX-License-Identifier: Apache-2.0
/* What the parts of the faked kernel share: paths.c says where paths lead, kernel.c loads, devices.c binds. */
#pragma once

#include <dlfcn.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

enum {
	TEXT_MAX = 4096,
	ALIASES_MAX = 64,
	CLASS_MAX = 64,
	NODE_MAJOR = 1,
	NODE_MINOR = 7
};

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

/* ---- files.c ---- */
/* "<dir>/<fmt>" in @out. */
bool shim_at(char out[PATH_MAX], const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Without the newlines at its end. */
bool shim_read(const char *path, char out[TEXT_MAX]);
void shim_write(const char *path, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void shim_make_dirs(const char *path);
void shim_remove_tree(const char *path);
/* A link at "<fmt>" to @target, in place of what was there. */
void shim_link(const char *target, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* ---- module.c ---- */
struct module {
	char name[256], vermagic[256], srcversion[64], version[64], depends[1024];
	char aliases[ALIASES_MAX][256];
	size_t n_aliases;
};

/* .modinfo of a whole ELF; 0 or ENOEXEC. */
int module_parse(const char *data, size_t len, struct module *m);

/* ---- devices.c ---- */
/* Each device that one of the module's aliases names and that nobody has. */
void devices_bind(const struct module *m);
void devices_unbind(const char *name);
