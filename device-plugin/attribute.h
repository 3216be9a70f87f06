// SPDX-License-Identifier: Apache-2.0
/* What a device's files say, and text of a class with such values in it. */
#pragma once

#include "inventory.h"

enum {
	VALUE_MAX = 128, /* of one {variable} */
	ATTRIBUTE_BYTES_MAX = 64 << 10, /* of a file that is searched */
	ATTRIBUTE_PARTS_MAX = 16, /* names in the path of an attribute */
	EXPANDED_MAX = 512,
};

/* The first line of @file below @d's folder in sysfs (as api_attribute names it: '*' in names, "../"
 * in front), without white space at its end; the name of its target when it is a link. -ENOENT. */
int attribute_read(const struct inventory *inv, const struct device *d, const char *file,
	char *out, size_t size) _must_check_;
/* Does it say what the class wants? -ENOENT when there is nothing to read. */
int attribute_matches(const struct inventory *inv, const struct device *d,
	const struct api_attribute *a) _must_check_;

/* @text with the values of @d for its {variables}, which never hold more than letters, digits and
 * "._:-". -ENOENT when one has no value now, -ENAMETOOLONG; @e names the variable. What a driver says
 * in /proc is read once for as long as it stays bound: of a card that hangs, such a file may hang. */
int expand(const struct inventory *inv, struct device *d, const struct api_class_spec *s,
	const char *text, char *out, size_t size, struct err *e) _must_check_;
/* Is there any {variable} in it? */
bool has_variables(const char *text);
void values_free(struct value *v);
