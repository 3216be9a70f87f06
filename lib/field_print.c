// SPDX-License-Identifier: Apache-2.0
/* Defaults, and structures as JSON by their tables; what holds its default is left out. */
#include "field.h"

#include <stdio.h>

static int parse_intstr_text(const char *s, struct intstr *ret)
{
	int64_t v = 0;
	size_t n = strspn(s, "0123456789"), i;

	if (n == 0 || n > 3 || !streq(s + n, "%"))
		return -EINVAL;
	for (i = 0; i < n; i++)
		v = v * 10 + (s[i] - '0');
	if (v > 100)
		return -EINVAL;
	*ret = (struct intstr){ .is_percent = true, .value = v };
	return 0;
}

int field_intstr(const struct json *j, struct intstr *ret)
{
	const char *s = json_str(j);
	int64_t v;

	if (s)
		return parse_intstr_text(s, ret);
	if (json_int(j, &v) < 0 || v < 0)
		return -EINVAL;
	*ret = (struct intstr){ .value = v };
	return 0;
}

void field_defaults(const struct field *table, void *out)
{
	const struct field *f;

	for (f = table; f->name; f++) {
		void *at = (char *)out + f->off;

		switch (f->type) {
		case FIELD_STR:
			*(const char **)at = f->def_str;
			break;
		case FIELD_BOOL:
			*(bool *)at = f->def != 0;
			break;
		case FIELD_INT:
			*(int64_t *)at = f->def;
			break;
		case FIELD_ENUM:
			*(int *)at = (int)f->def;
			break;
		case FIELD_OBJ:
			field_defaults(f->sub, at);
			break;
		case FIELD_INTSTR:
			if (f->def_str)
				(void)parse_intstr_text(f->def_str, at);
			break;
		case FIELD_LIST:
		case FIELD_STRS:
		case FIELD_STRMAP:
		case FIELD_JSON:
			break;
		}
	}
}

static bool is_all_default(const struct field *table, const void *in);

/* Nothing in it that is worth saying. */
static bool is_default(const struct field *f, const void *in)
{
	const void *at = (const char *)in + f->off;
	const char *s;

	switch (f->type) {
	case FIELD_STR:
		s = *(const char *const *)at;
		return str_empty(s) || (f->def_str && streq(s, f->def_str));
	case FIELD_BOOL:
		return *(const bool *)at == (f->def != 0);
	case FIELD_INT:
		return *(const int64_t *)at == f->def;
	case FIELD_ENUM:
		return *(const int *)at == (int)f->def;
	case FIELD_OBJ:
		if (f->present_off && *(const bool *)((const char *)in + f->present_off))
			return false;
		return is_all_default(f->sub, at);
	case FIELD_LIST:
	case FIELD_STRS:
	case FIELD_STRMAP:
		return ((const struct list *)at)->n == 0;
	case FIELD_INTSTR: {
		const struct intstr *v = at;
		struct intstr def = { 0 };

		if (f->def_str)
			(void)parse_intstr_text(f->def_str, &def);
		return v->is_percent == def.is_percent && v->value == def.value;
	}
	case FIELD_JSON:
		return !*(const struct json *const *)at;
	}
	return true;
}

static bool is_all_default(const struct field *table, const void *in)
{
	for (; table->name; table++)
		if (!is_default(table, in))
			return false;
	return true;
}

static int print_intstr(const struct field *f, const struct intstr *v, struct json *out)
{
	char text[32];

	if (!v->is_percent)
		return json_set_int(out, f->name, v->value);
	(void)snprintf(text, sizeof(text), "%lld%%", (long long)v->value);
	return json_set_str(out, f->name, text);
}

static int print_list(const struct field *f, const struct list *l, struct json *out)
{
	CLEANUP(json_freep) struct json *arr = json_new_array();
	size_t i;
	int r = arr ? 0 : -ENOMEM;

	for (i = 0; r == 0 && i < l->n; i++) {
		if (f->type == FIELD_LIST)
			r = json_add(
				arr, field_print(f->sub, (char *)l->items + i * f->size));
		else
			r = json_add(arr, json_new_str(((const char **)l->items)[i]));
	}
	return r < 0 ? r : json_set(out, f->name, TAKE(arr));
}

static int print_strmap(const struct field *f, const struct list *l, struct json *out)
{
	CLEANUP(json_freep) struct json *obj = json_new_object();
	const struct kv *kv = l->items;
	size_t i;
	int r = obj ? 0 : -ENOMEM;

	for (i = 0; r == 0 && i < l->n; i++)
		r = json_set_str(obj, kv[i].key, kv[i].value);
	return r < 0 ? r : json_set(out, f->name, TAKE(obj));
}

static int print_member(const struct field *f, const void *in, struct json *out)
{
	const void *at = (const char *)in + f->off;
	bool is_forced = (f->flags & (FIELD_REQUIRED | FIELD_ALWAYS)) ||
			 (f->type == FIELD_STR && (f->flags & FIELD_KEY));
	const char *s;

	if (!is_forced && is_default(f, in))
		return 0;
	switch (f->type) {
	case FIELD_STR:
		s = *(const char *const *)at;
		return json_set_str(out, f->name, s ? s : "");
	case FIELD_BOOL:
		return json_set_bool(out, f->name, *(const bool *)at);
	case FIELD_INT:
		return json_set_int(out, f->name, *(const int64_t *)at);
	case FIELD_ENUM:
		return json_set_str(out, f->name, f->names[*(const int *)at]);
	case FIELD_OBJ:
		return json_set(out, f->name, field_print(f->sub, at));
	case FIELD_LIST:
	case FIELD_STRS:
		return print_list(f, at, out);
	case FIELD_STRMAP:
		return print_strmap(f, at, out);
	case FIELD_INTSTR:
		return print_intstr(f, at, out);
	case FIELD_JSON:
		return json_set(out, f->name, json_copy(*(const struct json *const *)at));
	}
	return -EINVAL;
}

struct json *field_print(const struct field *table, const void *in)
{
	CLEANUP(json_freep) struct json *out = json_new_object();
	const struct field *f;

	for (f = table; out && f->name; f++)
		if (print_member(f, in, out) < 0)
			return NULL;
	return TAKE(out);
}
