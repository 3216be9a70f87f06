// SPDX-License-Identifier: Apache-2.0
/* JSON values over json-c, of which only the tree is used. */
#include "json.h"

#include <math.h>

/* Two of json-c's type names are functions of ours. */
#define json_bool json_c_bool
#define json_type json_c_type
#include <json-c/json.h>
#undef json_bool
#undef json_type

/*
 * The line of a value sits in json-c's userdata, as a number where a pointer would be. A double that
 * was parsed keeps its text there: no address that malloc gives is as small as a line may be.
 */
enum { JSON_LINE_MAX = 1 << 22, JSON_KEY_MAX = 256 };

static json_object *jo(const struct json *j)
{
	return (json_object *)j;
}

static struct json *js(json_object *o)
{
	return (struct json *)o;
}

void json_free(struct json *j)
{
	(void)json_object_put(jo(j));
}

enum json_type json_type(const struct json *j)
{
	switch (json_object_get_type(jo(j))) {
	case json_type_null:
		return JSON_NULL;
	case json_type_boolean:
		return JSON_BOOL;
	case json_type_double:
		return JSON_DOUBLE;
	case json_type_int:
		return JSON_INT;
	case json_type_object:
		return JSON_OBJECT;
	case json_type_array:
		return JSON_ARRAY;
	case json_type_string:
		return JSON_STRING;
	}
	return JSON_NULL;
}

const char *json_type_name(enum json_type t)
{
	static const char *const names[] = {
		[JSON_NULL] = "null",
		[JSON_BOOL] = "boolean",
		[JSON_INT] = "integer",
		[JSON_DOUBLE] = "number",
		[JSON_STRING] = "string",
		[JSON_ARRAY] = "list",
		[JSON_OBJECT] = "object",
	};

	return (unsigned)t < ARRAY_SIZE(names) ? names[t] : "unknown";
}

unsigned json_line(const struct json *j)
{
	uintptr_t v = j ? (uintptr_t)json_object_get_userdata(jo(j)) : 0;

	return v < JSON_LINE_MAX ? (unsigned)v : 0;
}

void json_set_line(struct json *j, unsigned line)
{
	if (!j || line >= JSON_LINE_MAX)
		return;
	/* The serializer goes with it: a double's would read the line as its text. */
	json_object_set_serializer(jo(j), NULL, (void *)(uintptr_t)line, NULL);
}

/* ---- reading ---- */

const struct json *json_get(const struct json *obj, const char *key)
{
	json_object *v = NULL;

	if (json_type(obj) != JSON_OBJECT)
		return NULL;
	return json_object_object_get_ex(jo(obj), key, &v) ? js(v) : NULL;
}

bool json_has(const struct json *obj, const char *key)
{
	return json_type(obj) == JSON_OBJECT &&
	       json_object_object_get_ex(jo(obj), key, NULL);
}

const struct json *json_path(const struct json *obj, const char *dotted)
{
	char key[JSON_KEY_MAX];

	while (obj) {
		size_t n = strcspn(dotted, ".");

		if (n >= sizeof(key))
			return NULL;
		memcpy(key, dotted, n);
		key[n] = '\0';
		obj = json_get(obj, key);
		if (!dotted[n])
			break;
		dotted += n + 1;
	}
	return obj;
}

const char *json_str(const struct json *j)
{
	const char *s;

	if (json_type(j) != JSON_STRING)
		return NULL;
	s = json_object_get_string(jo(j));
	return strlen(s) == (size_t)json_object_get_string_len(jo(j)) ? s : NULL;
}

const char *json_get_str(const struct json *obj, const char *key)
{
	return json_str(json_get(obj, key));
}

int json_int(const struct json *j, int64_t *ret)
{
	if (json_type(j) != JSON_INT)
		return -EINVAL;
	*ret = json_object_get_int64(jo(j));
	return 0;
}

int json_bool(const struct json *j, bool *ret)
{
	if (json_type(j) != JSON_BOOL)
		return -EINVAL;
	*ret = json_object_get_boolean(jo(j));
	return 0;
}

bool json_get_bool(const struct json *obj, const char *key, bool fallback)
{
	bool v = fallback;

	(void)json_bool(json_get(obj, key), &v);
	return v;
}

int64_t json_get_int(const struct json *obj, const char *key, int64_t fallback)
{
	int64_t v = fallback;

	(void)json_int(json_get(obj, key), &v);
	return v;
}

size_t json_len(const struct json *j)
{
	switch (json_type(j)) {
	case JSON_ARRAY:
		return json_object_array_length(jo(j));
	case JSON_OBJECT:
		return (size_t)json_object_object_length(jo(j));
	default:
		return 0;
	}
}

const struct json *json_at(const struct json *arr, size_t i)
{
	if (json_type(arr) != JSON_ARRAY)
		return NULL;
	return js(json_object_array_get_idx(jo(arr), i));
}

/* *@it is 0 at first, then the address of the next entry, SIZE_MAX behind the last one. */
bool json_next(const struct json *obj, size_t *it, const char **ret_key,
	const struct json **ret_value)
{
	const struct lh_entry *x;

	if (json_type(obj) != JSON_OBJECT || *it == SIZE_MAX)
		return false;
	x = *it ? (const struct lh_entry *)*it : json_object_get_object(jo(obj))->head;
	*it = x && x->next ? (size_t)x->next : SIZE_MAX;
	if (!x)
		return false;
	if (ret_key)
		*ret_key = lh_entry_k(x);
	if (ret_value)
		*ret_value = (const struct json *)lh_entry_v(x);
	return true;
}

bool json_equal(const struct json *a, const struct json *b)
{
	return json_object_equal(jo(a), jo(b)) != 0;
}

const char *json_number_text(const struct json *j)
{
	const char *text = json_object_get_string(jo(j));

	return str_empty(text) ? NULL : text;
}

/* ---- writing ---- */

struct json *json_new_object(void)
{
	return js(json_object_new_object());
}

struct json *json_new_array(void)
{
	return js(json_object_new_array());
}

struct json *json_new_str(const char *s)
{
	struct json *j;
	struct buf b;

	if (!s)
		return NULL;
	buf_init(&b, SIZE_MAX);
	j = buf_utf8(&b, s) < 0 ? NULL : js(json_object_new_string(buf_cstr(&b)));
	buf_done(&b);
	return j;
}

struct json *json_new_strn(const char *s, size_t n)
{
	return n <= INT32_MAX ? js(json_object_new_string_len(s, (int)n)) : NULL;
}

struct json *json_new_number(const char *text)
{
	return js(json_object_new_double_s(strtod(text, NULL), text));
}

struct json *json_new_int(int64_t v)
{
	return js(json_object_new_int64(v));
}

struct json *json_new_double(double v)
{
	return isfinite(v) ? js(json_object_new_double(v)) : NULL;
}

struct json *json_new_bool(bool v)
{
	return js(json_object_new_boolean(v));
}

static struct json *copy_object(const struct json *j)
{
	CLEANUP(json_freep) struct json *c = json_new_object();
	const struct json *v;
	const char *key;
	size_t it = 0;

	while (c && json_next(j, &it, &key, &v)) {
		if (v ? json_set(c, key, json_copy(v)) : json_set_null(c, key))
			return NULL;
	}
	return TAKE(c);
}

static struct json *copy_array(const struct json *j)
{
	CLEANUP(json_freep) struct json *c = json_new_array();
	size_t i;

	for (i = 0; c && i < json_len(j); i++) {
		const struct json *v = json_at(j, i);

		if (v ? json_add(c, json_copy(v)) : json_add_null(c))
			return NULL;
	}
	return TAKE(c);
}

/* By hand, since json-c refuses to copy values that carry userdata. Lines are kept. */
struct json *json_copy(const struct json *j)
{
	struct json *c = NULL;

	switch (json_type(j)) {
	case JSON_NULL:
		return NULL;
	case JSON_BOOL:
		c = json_new_bool(json_object_get_boolean(jo(j)));
		break;
	case JSON_INT:
		c = json_new_int(json_object_get_int64(jo(j)));
		break;
	case JSON_DOUBLE:
		if (json_line(j) == 0) /* as it was written */
			c = json_new_number(json_object_get_string(jo(j)));
		else
			c = json_new_double(json_object_get_double(jo(j)));
		break;
	case JSON_STRING:
		c = js(json_object_new_string_len(json_object_get_string(jo(j)),
			json_object_get_string_len(jo(j))));
		break;
	case JSON_ARRAY:
		c = copy_array(j);
		break;
	case JSON_OBJECT:
		c = copy_object(j);
		break;
	}
	if (c && json_line(j) > 0)
		json_set_line(c, json_line(j));
	return c;
}

int json_set(struct json *obj, const char *key, struct json *value)
{
	int r = !obj || !value ? -ENOMEM : json_type(obj) != JSON_OBJECT ? -EINVAL : 0;

	if (r == 0 && json_object_object_add(jo(obj), key, jo(value)) != 0)
		r = -ENOMEM;
	if (r < 0)
		json_free(value);
	return r;
}

int json_set_str(struct json *obj, const char *key, const char *s)
{
	return s ? json_set(obj, key, json_new_str(s)) : 0;
}

int json_set_int(struct json *obj, const char *key, int64_t v)
{
	return json_set(obj, key, json_new_int(v));
}

int json_set_bool(struct json *obj, const char *key, bool v)
{
	return json_set(obj, key, json_new_bool(v));
}

int json_set_null(struct json *obj, const char *key)
{
	if (!obj)
		return -ENOMEM;
	if (json_type(obj) != JSON_OBJECT)
		return -EINVAL;
	return json_object_object_add(jo(obj), key, NULL) == 0 ? 0 : -ENOMEM;
}

int json_add(struct json *arr, struct json *value)
{
	int r = !arr || !value ? -ENOMEM : json_type(arr) != JSON_ARRAY ? -EINVAL : 0;

	if (r == 0 && json_object_array_add(jo(arr), jo(value)) != 0)
		r = -ENOMEM;
	if (r < 0)
		json_free(value);
	return r;
}

int json_add_null(struct json *arr)
{
	if (!arr)
		return -ENOMEM;
	if (json_type(arr) != JSON_ARRAY)
		return -EINVAL;
	return json_object_array_add(jo(arr), NULL) == 0 ? 0 : -ENOMEM;
}

int json_del(struct json *obj, const char *key)
{
	json_object *v = NULL;

	if (json_type(obj) != JSON_OBJECT || !json_object_object_get_ex(jo(obj), key, &v))
		return -ENOENT;
	json_object_object_del(jo(obj), key);
	return 0;
}
