// SPDX-License-Identifier: Apache-2.0
/* Order-independent hash of JSON values. */
#include "jhash.h"

#define FNV_OFFSET 0xcbf29ce484222325ULL
#define FNV_PRIME 0x100000001b3ULL

/* The finaliser of splitmix64: every bit of the input reaches every bit of the output. */
static uint64_t mix(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9ULL;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

uint64_t jhash_str(const char *s)
{
	uint64_t h = FNV_OFFSET;

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * FNV_PRIME;
	return mix(h);
}

uint64_t jhash_int(int64_t v)
{
	return mix((uint64_t)v ^ 0x696e740000000001ULL);
}

uint64_t jhash_bool(bool v)
{
	return mix(v ? 0x74727565ULL : 0x66616c7365ULL);
}

/* A sum does not care about order. */
void jhash_member(uint64_t *h, const char *key, uint64_t value)
{
	*h += mix(jhash_str(key) * FNV_PRIME + value);
}

void jhash_item(uint64_t *h, uint64_t value)
{
	*h = mix(*h * FNV_PRIME + value);
}

uint64_t jhash_end(uint64_t h)
{
	return mix(h);
}

static uint64_t hash_object(const struct json *j)
{
	uint64_t h = JHASH_OBJECT;
	const struct json *value;
	const char *key;
	size_t it = 0;

	while (json_next(j, &it, &key, &value))
		if (json_type(value) != JSON_NULL)
			jhash_member(&h, key, jhash(value));
	return jhash_end(h);
}

static uint64_t hash_list(const struct json *j)
{
	uint64_t h = JHASH_LIST;

	for (size_t i = 0; i < json_len(j); i++)
		jhash_item(&h, jhash(json_at(j, i)));
	return jhash_end(h);
}

uint64_t jhash(const struct json *j)
{
	int64_t v = 0;
	bool b = false;

	switch (json_type(j)) {
	case JSON_OBJECT:
		return hash_object(j);
	case JSON_ARRAY:
		return hash_list(j);
	case JSON_STRING:
		return jhash_str(json_str(j) ? json_str(j) : "");
	case JSON_INT:
		(void)json_int(j, &v);
		return jhash_int(v);
	case JSON_BOOL:
		(void)json_bool(j, &b);
		return jhash_bool(b);
	case JSON_DOUBLE: /* none of our fields; any change of one goes unseen */
	case JSON_NULL:
		break;
	}
	return mix(1);
}
