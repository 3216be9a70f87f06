// SPDX-License-Identifier: Apache-2.0
/* Small questions about parsed objects: selectors, hardware, quantities, budgets. */
#include "api.h"

#include <strings.h>

enum { FRACTION_MAX = 9, EXPONENT_MAX = 18 };

const char *api_kv_get(const struct list *kvs, const char *key)
{
	const struct kv *kv = kvs->items;
	size_t i;

	for (i = 0; i < kvs->n; i++)
		if (streq(kv[i].key, key))
			return kv[i].value;
	return NULL;
}

static bool expr_match(const struct api_selector_expr *x, const struct list *labels)
{
	const char *v = api_kv_get(labels, x->key);
	const char *const *values = x->values.items;
	bool is_in = false;
	size_t i;

	for (i = 0; v && i < x->values.n && !is_in; i++)
		is_in = streq(values[i], v);
	switch (x->op) {
	case API_SEL_IN:
		return is_in;
	case API_SEL_NOT_IN:
		return !is_in;
	case API_SEL_EXISTS:
		return v;
	case API_SEL_NOT_EXISTS:
		return !v;
	}
	return false;
}

bool api_selector_match(const struct api_selector *s, const struct list *labels)
{
	const struct kv *kv = s->match_labels.items;
	const struct api_selector_expr *x = s->exprs.items;
	size_t i;

	for (i = 0; i < s->match_labels.n; i++) {
		const char *v = api_kv_get(labels, kv[i].key);

		if (!v || !streq(v, kv[i].value))
			return false;
	}
	for (i = 0; i < s->exprs.n; i++)
		if (!expr_match(&x[i], labels))
			return false;
	return true;
}

/* Whether the part of @text up to @end (or its last byte) is @want; a NULL @want is always met. */
static bool part_is(const char **text, char end, const char *want, bool any_case)
{
	const char *stop = strchrnul(*text, end);
	size_t n = (size_t)(stop - *text);
	bool is_it = !want ||
		     (strlen(want) == n && (any_case ? strncasecmp(want, *text, n)
						     : strncmp(want, *text, n)) == 0);

	if (end && *stop != end)
		return false;
	*text = *stop ? stop + 1 : stop;
	return is_it;
}

bool api_hardware_match(const struct api_device_match *m, const char *hardware)
{
	if (m->bus < 0 || m->bus >= API_BUSES_)
		return false;
	return part_is(&hardware, ':', api_bus_names[m->bus], true) &&
	       part_is(&hardware, ':', m->vendor, false) &&
	       part_is(&hardware, '\0', m->device, false);
}

/* What stands behind the digits as a factor; 0 when it is no suffix. */
static unsigned __int128 suffix_factor(const char *s)
{
	static const struct {
		const char *text;
		unsigned base, power;
	} suffixes[] = { { "", 10, 0 }, { "k", 10, 3 }, { "M", 10, 6 }, { "G", 10, 9 },
		{ "T", 10, 12 }, { "P", 10, 15 }, { "E", 10, 18 }, { "Ki", 2, 10 },
		{ "Mi", 2, 20 }, { "Gi", 2, 30 }, { "Ti", 2, 40 }, { "Pi", 2, 50 },
		{ "Ei", 2, 60 } };
	unsigned __int128 factor = 1;
	unsigned base = 0, power = 0, i;

	for (i = 0; i < ARRAY_SIZE(suffixes) && base == 0; i++) {
		if (!streq(suffixes[i].text, s))
			continue;
		base = suffixes[i].base;
		power = suffixes[i].power;
	}
	if (base == 0 && (*s == 'e' || *s == 'E')) { /* an exponent: 1e3 */
		s += s[1] == '+' ? 2 : 1;
		base = *s ? 10 : 0;
		for (; *s >= '0' && *s <= '9' && power <= EXPONENT_MAX; s++)
			power = power * 10 + (unsigned)(*s - '0');
		if (*s || power > EXPONENT_MAX)
			return 0;
	}
	for (i = 0; i < power; i++)
		factor *= base;
	return base ? factor : 0;
}

int api_quantity(const char *text, uint64_t *ret)
{
	unsigned __int128 v = 0, factor;
	uint64_t scale = 1;
	const char *s = text;
	size_t digits = 0, fraction = 0;

	for (; *s >= '0' && *s <= '9'; s++, digits++) {
		v = v * 10 + (unsigned)(*s - '0');
		if (v > UINT64_MAX)
			return -EINVAL;
	}
	if (*s == '.')
		for (s++; *s >= '0' && *s <= '9'; s++, digits++) {
			if (++fraction > FRACTION_MAX)
				return -EINVAL;
			v = v * 10 + (unsigned)(*s - '0');
			scale *= 10;
		}
	factor = suffix_factor(s);
	if (digits == 0 || factor == 0)
		return -EINVAL;
	/* Less than 2^64 * 10^9, so that this cannot overflow before it is compared. */
	if (v > (unsigned __int128)UINT64_MAX * scale / factor)
		return -EINVAL;
	*ret = (uint64_t)((v * factor + scale - 1) / scale);
	return 0;
}

size_t api_budget(const struct intstr *v, size_t total)
{
	uint64_t n = (uint64_t)MAX(v->value, (int64_t)0);

	if (v->is_percent)
		n = (uint64_t)((unsigned __int128)n * total / 100);
	return (size_t)MAX(n, (uint64_t)1);
}
