// SPDX-License-Identifier: Apache-2.0
/* What the files of lib/api share among themselves: tables used by several objects, and their checks. */
#pragma once

#include "api.h"

/* Offset of a member within the unnamed structure @outer of @type. */
#define IN_OUTER(type, outer, member) \
	(offsetof(type, outer.member) - offsetof(type, outer))

#define API_DIGEST_PATTERN "^[0-9a-f]{64}$"
#define API_ID_PATTERN "^[0-9a-f]{1,8}$"
#define API_MODULE_PATTERN "^[A-Za-z0-9_-]+$"

enum {
	API_NAME_MAX = 253, /* DNS-1123 subdomain */
	API_LABEL_NAME_MAX = 317, /* prefix, '/', name */
	API_PATH_MAX = 4095,
	API_INLINE_MAX = 256 << 10, /* bytes of all inline files together */
	API_CDI_DEVICES_MAX = 16,
	API_PARENTS_MAX = 4, /* "../" in front of an attribute's name */
};

extern const struct field api_selector_fields[];
extern const struct field api_driver_device_fields
	[]; /* api_device_match_fields without driver, subsystem */

/* -EINVAL, REASON_MANIFEST_INVALID: "'<path>.<what>': …". @path as in "spec". */
int api_bad(struct err *e, const char *path, const char *fmt, ...) _printf_(3, 4);

/* Writes a path as errors show it into @out, cut where it is too long. */
void api_where(char out[FIELD_PATH_MAX], const char *fmt, ...) _printf_(2, 3);

/* What the tables cannot say. @is_whole: as people write it, with a nodeSelector or devices; what the
 * controller embeds for a node has no nodeSelector any more. */
int api_driver_check(
	const struct api_driver_spec *s, const char *path, bool is_whole, struct err *e);
int api_class_check(const struct api_class_spec *s, const char *path, struct err *e);
int api_devices_check(const struct list *devices, const char *path, struct err *e);

/* Absolute, without empty, "." and ".." parts and control characters. */
bool api_path_is_safe(const char *path);
/* The same for a relative one, which must not be empty. */
bool api_relative_is_safe(const char *path);
/* The same, with up to API_PARENTS_MAX times "../" in front: a file in sysfs. */
bool api_attribute_is_safe(const char *path);
/* Compiles, and asks for no gigabytes. */
int api_regexp_check(const char *text, const char *path, struct err *e);
/* Lower-case letters, digits, '-' and '.', as the API server asks of names: safe as a file name. */
bool api_name_is_valid(const char *name);
