// SPDX-License-Identifier: Apache-2.0
/* Container Device Interface: one spec file for each class with `cdi: true`, and the names in it. */
#pragma once

#include "snapshot.h"

/* The lowest version that knows hostPath and device names that start with a digit. */
#define CDI_VERSION "0.5.0"
#define CDI_VENDOR "farrier.dev"

/* The class part of the kind for the class called @name: CDI knows no '.' there and no digit in
 * front. No two names give one. */
int cdi_class(const char *name, char *out, size_t size);
/* "farrier.dev/edu=0000:21:00.0" */
int cdi_device(const char *class_name, const char *id, char *out, size_t size);
/* The spec of @c with every device of @s that has its nodes; *ret NULL when it has none. */
int cdi_spec(const struct snapshot *s, const struct api_class *c, struct json **ret);

/* Writes the specs of all classes into @dir where they differ from what is there. With
 * @may_remove, removes ours of classes that are no more. */
int cdi_write(const char *dir, const struct snapshot *s, const struct classes *classes,
	bool may_remove, struct err *e) _must_check_;

/* Is the device in the class's spec as it lies in @dir? -ENOENT, with what is missing. */
int cdi_has(const char *dir, const char *class_name, const char *id, struct err *e)
	_must_check_;
