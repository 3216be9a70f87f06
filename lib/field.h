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

enum field_flag {
	FIELD_REQUIRED = 1 << 0,
	FIELD_KEY = 1 << 1, /* the key of the list it is in: required and unique */
	FIELD_READONLY = 1 << 2, /* only in statuses */
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
	const char *const *names; /* ENUM: the strings, NULL-terminated */
	int64_t min,
		max; /* INT: bounds when max > min; STR: max > 0 is the longest allowed */
	int64_t def; /* BOOL, INT, ENUM: value when absent */
	const char *def_str; /* STR: value when absent, may be NULL */
	const char *pattern; /* STR: POSIX extended regular expression it must match */
	size_t present_off; /* OBJ: offset of a bool set when it was given; 0 = none */
	const char *doc; /* `kubectl explain` text */
};

/* Fills *@out (which must be zeroed) with defaults, then from @obj. Unknown members are errors.
 * Texts read "line 7: 'spec.modules[0].name': required" (line only when known); REASON_MANIFEST_INVALID. */
int field_parse(struct arena *a, const struct field *table, const struct json *obj,
	void *out, struct err *e) _must_check_;

/* The structure as JSON, without members that hold their default. NULL when memory is short. */
struct json *field_print(const struct field *table, const void *in);
