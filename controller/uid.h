// SPDX-License-Identifier: Apache-2.0
/* The uid of an object in 17 bytes: there are two for each node. */
#pragma once

#include "base.h"

enum { UID_BYTES = 16, UID_TEXT_MAX = 37 };

struct uid {
	uint8_t len; /* of a short text in bytes; 0: none; UINT8_MAX: bytes are those of a UUID */
	uint8_t bytes[UID_BYTES];
};

/* API servers give UUIDs, in lower case. Of other texts those of up to 16 bytes are kept; NULL and longer ones
 * are as none. */
void uid_set(struct uid *uid, const char *text);
/* Writes the text to @out, "" for none, and returns it. */
const char *uid_text(const struct uid *uid, char out[UID_TEXT_MAX]);
