// SPDX-License-Identifier: Apache-2.0
/*
 * One table describes a structure: parser, printer, CRD schema check and documentation are all made
 * from it. A structure parsed by field_parse() lies wholly in its arena.
 */
#pragma once

#include "arena.h"
#include "json.h"

enum field_type {
	FIELD_STR, /* const char * */
	FIELD_BOOL, /* bool */
	FIELD_INT, /* int64_t */
	FIELD_ENUM, /* int; an index into .names */
	FIELD_OBJ, /* embedded struct described by .sub; .present_off says it was given */
	FIELD_LIST, /* struct list of structs described by .sub */
	FIELD_STRS, /* struct list of const char * */
	FIELD_STRMAP, /* struct list of struct kv, sorted as written */
	FIELD_INTSTR, /* struct intstr: 3 or "25%" */
	FIELD_JSON, /* const struct json *, borrowed from the input */
};

enum { FIELD_ELEMENTS_MAX = 4096, FIELD_PATH_MAX = 512 };

enum field_flag {
	FIELD_REQUIRED = 1 << 0,
	FIELD_KEY =
		1
		<< 1, /* STR: the key of the list it is in: required and unique; STRS: no value twice */
	FIELD_READONLY = 1 << 2, /* only in statuses */
	FIELD_ALWAYS =
		1 << 3, /* printed even when it holds its default; need not be given */
};

struct list {
	void *items; /* array of n elements */
	size_t n;
};

struct kv {
	const char *key, *value;
};

struct intstr {
	bool is_percent;
	int64_t value; /* count, or percent 0..100 */
};

struct field {
	const char *name; /* NULL ends the table */
	enum field_type type;
	unsigned flags;
	size_t off;
	const struct field *sub; /* OBJ, LIST */
	size_t size; /* LIST: of one element */
	const char *const *
		names; /* ENUM: the strings, NULL-terminated; STRS: the only values, may be NULL */
	/* INT: bounds when max > min. STR, and each of STRS: lengths, no upper bound when max is 0. LIST,
	 * STRMAP: most elements, FIELD_ELEMENTS_MAX when max is 0. REQUIRED lists are not empty. */
	int64_t min, max;
	int64_t def; /* BOOL, INT, ENUM: value when absent */
	const char *def_str; /* STR, INTSTR: value when absent, may be NULL */
	const char *
		pattern; /* STR, each of STRS: POSIX extended regular expression to match */
	size_t present_off; /* OBJ: offset of a bool set when it was given; 0 = none */
	const char *doc; /* `kubectl explain` text */
};

/* Fills *@out (which must be zeroed) with defaults, then from @obj. Unknown members are errors.
 * Defaults of objects that are absent are filled in too; null counts as absent. Texts read "line 7:
 * 'modules[0].name': required" (line only when known); -EINVAL and REASON_MANIFEST_INVALID, -ENOMEM. */
int field_parse(struct arena *a, const struct field *table, const struct json *obj,
	void *out, struct err *e) _must_check_;

/* The same for a part of a document: @path ("spec") stands in front of the names in errors, and with
 * @strict false unknown members are left alone, as a newer peer may know more than we do. */
int field_parse_at(struct arena *a, const struct field *table, const struct json *obj,
	const char *path, bool strict, void *out, struct err *e) _must_check_;

/* Only the defaults. */
void field_defaults(const struct field *table, void *out);

/* 3 or "25%"; -EINVAL for anything else. */
int field_intstr(const struct json *j, struct intstr *ret);

/* The structure as JSON, without members that hold their default (but REQUIRED and ALWAYS ones, and
 * objects that were given). NULL when memory is short. */
struct json *field_print(const struct field *table, const void *in);
