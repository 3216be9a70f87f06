// SPDX-License-Identifier: Apache-2.0
/* AcceleratorClasses from folders of YAML and JSON files, and which device each of them means. */
#pragma once

#include "inventory.h"

enum { CLASS_FILES_MAX = 1000, CLASS_FILE_BYTES_MAX = 1 << 20 };

struct classes;

/* What a file holds now. */
struct class_file {
	char *path;
	const char *
		error; /* NULL when all of it is good; then the last good content is in force */
	size_t n; /* classes in force from it */
};

/* @dirs must outlive it. A folder need not exist. */
int classes_new(const char *const *dirs, size_t n_dirs, struct classes **ret,
	struct err *e) _must_check_;
void classes_free(struct classes *c);
DEFINE_CLEANUP(struct classes, classes_free)

/* Keeps the good content of each file below @dir too (it outlives @c), so that a file that is bad when we
 * start does not take its classes away. Without @may_write it is only read. */
void classes_cache(struct classes *c, const char *dir, bool may_write);

/* Reads what changed. 1 when the classes, or the errors, are others than before, 0 when not; only
 * -ENOMEM is an error: a bad file keeps its last good content and says why. Pointers given out
 * before are dead after a 1. */
int classes_load(struct classes *c, struct err *e) _must_check_;

/* In the order of their names; of two with one name, the first file's is in force. */
size_t classes_len(const struct classes *c);
const struct api_class *classes_at(const struct classes *c, size_t i);
const struct api_class *classes_find(const struct classes *c, const char *name);
size_t classes_files(const struct classes *c);
const struct class_file *classes_file(const struct classes *c, size_t i);
/* Buses that any class speaks of, bits 1 << enum api_bus; PCI always. */
unsigned classes_buses(const struct classes *c);
/* Is any file's content not what is in force? */
bool classes_have_errors(const struct classes *c);

enum class_match {
	CLASS_NO,
	CLASS_INCOMPLETE, /* all but a subsystem or an attribute, which its driver does not show now */
	CLASS_OTHER_DRIVER, /* all but the driver, and another one is bound */
	CLASS_UNBOUND, /* all but the driver, and none is bound: it would be */
	CLASS_YES,
};
enum class_match class_match(
	const struct api_class *c, struct inventory *inv, struct device *d);
