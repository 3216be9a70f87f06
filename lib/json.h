// SPDX-License-Identifier: Apache-2.0
/*
 * JSON values, read strictly and written compactly; the only user of json-c. YAML is read into the
 * same values (lib/yaml.h), which then know their line. `const struct json *` is borrowed from its
 * parent; what json_parse()/json_new_*() give is owned and freed with json_free().
 */
#pragma once

#include "buf.h"
#include "err.h"

struct json;

enum json_type {
	JSON_NULL,
	JSON_BOOL,
	JSON_INT,
	JSON_DOUBLE,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT
};
enum { JSON_DEPTH_MAX = 64 };

/* Exactly one value with nothing behind it; a key that comes twice is refused. -EINVAL with the offset in the text, -E2BIG too deep, -ENOMEM. */
int json_parse(const char *text, size_t len, struct json **ret, struct err *e)
	_must_check_;
/* The same check without a value: RFC 8259 to the letter, and no inner zero byte in any string. */
int json_check(const char *text, size_t len, struct err *e) _must_check_;
void json_free(struct json *j);
DEFINE_CLEANUP(struct json, json_free)

enum json_type json_type(const struct json *j); /* NULL counts as JSON_NULL */
const char *json_type_name(enum json_type t);
unsigned json_line(
	const struct json *j); /* 1-based line in the YAML it came from, 0 when unknown */
void json_set_line(struct json *j, unsigned line);

/* Reading. Never converts: a wrong type gives NULL / -EINVAL. Strings with an inner zero byte are refused. */
const struct json *json_get(const struct json *obj,
	const char *key); /* NULL: absent, null or not an object */
bool json_has(const struct json *obj, const char *key); /* also when it is null */
const struct json *json_path(
	const struct json *obj, const char *dotted); /* "status.nodeInfo.bootID" */
const char *json_str(const struct json *j); /* NULL when it is not a string */
const char *json_get_str(
	const struct json *obj, const char *key); /* NULL when absent or no string */
int json_int(const struct json *j, int64_t *ret); /* -EINVAL; doubles are refused */
int json_bool(const struct json *j, bool *ret);
const char *json_number_text(const struct json *j); /* as it was written; NULL: memory */
bool json_get_bool(const struct json *obj, const char *key, bool fallback);
int64_t json_get_int(const struct json *obj, const char *key, int64_t fallback);
size_t json_len(const struct json *j); /* elements or members; 0 for others */
const struct json *json_at(const struct json *arr, size_t i);
/* `size_t it = 0; while (json_next(obj, &it, &key, &value))`, in the order written. */
bool json_next(const struct json *obj, size_t *it, const char **ret_key,
	const struct json **ret_value);
bool json_equal(const struct json *a, const struct json *b);

/* Writing. The setters take over the value, also on failure; a NULL value (memory) gives -ENOMEM.
 * json_set_str() with NULL sets nothing, so that absent stays absent. */
struct json *json_new_object(void);
struct json *json_new_array(void);
struct json *json_new_str(
	const char *s); /* bytes that are no UTF-8 become U+FFFD; NULL gives NULL */
struct json *json_new_strn(const char *s, size_t n); /* valid UTF-8 without zero bytes */
struct json *json_new_int(int64_t v);
struct json *json_new_double(double v); /* NULL when not finite */
struct json *json_new_number(const char *text); /* a double, printed as @text */
struct json *json_new_bool(bool v);
struct json *json_copy(const struct json *j);
int json_set(struct json *obj, const char *key, struct json *value);
int json_set_str(struct json *obj, const char *key, const char *s);
int json_set_int(struct json *obj, const char *key, int64_t v);
int json_set_bool(struct json *obj, const char *key, bool v);
int json_set_null(
	struct json *obj, const char *key); /* merge patches: removes the member */
int json_add(struct json *arr, struct json *value);
int json_add_null(struct json *arr);
int json_del(struct json *obj, const char *key); /* -ENOENT when absent */

/* Compact text without escaped slashes; indented when @pretty. @out's errors, -E2BIG when nested beyond
 * JSON_DEPTH_MAX, so that what is printed can be read. */
int json_print(const struct json *j, bool pretty, struct buf *out);
