// SPDX-License-Identifier: Apache-2.0
/* A 64-bit hash of JSON values that does not depend on the order of members, and its pieces, so that
 * the hash of a large value can be put together from hashes of its parts. Not for secrets. */
#pragma once

#include "json.h"

uint64_t jhash(const struct json *j);

/* The pieces: jhash() of a string, a number, a truth value. */
uint64_t jhash_str(const char *s);
uint64_t jhash_int(int64_t v);
uint64_t jhash_bool(bool v);

/* An object: start at JHASH_OBJECT, add each member, end. A list: the same in order. */
#define JHASH_OBJECT 0x6f626a6563740001ULL
#define JHASH_LIST 0x6c69737400000001ULL
void jhash_member(uint64_t *h, const char *key, uint64_t value);
void jhash_item(uint64_t *h, uint64_t value);
uint64_t jhash_end(uint64_t h);
