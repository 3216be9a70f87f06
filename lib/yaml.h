// SPDX-License-Identifier: Apache-2.0
/* YAML (the subset Kubernetes uses) into JSON values that know their line; the only user of libyaml.
 * Plain scalars are typed by the JSON-like core schema (null ~ true false integers floats); quoted
 * ones are strings; `yes`, `no`, `on`, `off` and 0123 stay strings. Refused with line and column:
 * duplicate keys, anchors and aliases, tags, depth beyond JSON_DEPTH_MAX, keys that are no strings. */
#pragma once

#include "json.h"

enum { YAML_BYTES_MAX = 4 << 20, YAML_DOCS_MAX = 1000 };

/* All documents of a stream, in order; empty ones are left out. *ret_docs is an array value. Texts
 * of errors start with "line N: ". -EINVAL, -E2BIG, -ENOMEM. */
int yaml_parse(const char *text, size_t len, struct json **ret_docs, struct err *e)
	_must_check_;

/* The same from a file; errors start with "<path>:<line>: ". */
int yaml_read_file(const char *path, struct json **ret_docs, struct err *e) _must_check_;
