// SPDX-License-Identifier: Apache-2.0
/* UUIDs as bytes, and what else may stand in their place. */
#include "uid.h"

static const char digits[] = "0123456789abcdef";
static const char shape[] = "hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh";

/* False when @text is no UUID; @out is written all the same. */
static bool parse(const char *text, uint8_t out[UID_BYTES])
{
	size_t n = 0;

	for (size_t i = 0; shape[i]; i++) {
		const char *d = text[i] ? strchr(digits, text[i]) : NULL;

		if (shape[i] == '-' ? text[i] != '-' : !d)
			return false;
		if (shape[i] == '-')
			continue;
		out[n / 2] = (uint8_t)(out[n / 2] << 4 | (uint8_t)(d - digits));
		n++;
	}
	return !text[sizeof(shape) - 1];
}

void uid_set(struct uid *uid, const char *text)
{
	size_t len = text ? strlen(text) : 0;

	memset(uid, 0, sizeof(*uid));
	if (len > 0 && len <= UID_BYTES) {
		uid->len = (uint8_t)len;
		memcpy(uid->bytes, text, len);
	} else if (len > 0 && parse(text, uid->bytes)) {
		uid->len = UINT8_MAX;
	} else {
		memset(uid, 0, sizeof(*uid));
	}
}

const char *uid_text(const struct uid *uid, char out[UID_TEXT_MAX])
{
	size_t n = 0;

	memset(out, 0, UID_TEXT_MAX);
	if (uid->len != UINT8_MAX) {
		memcpy(out, uid->bytes, MIN(uid->len, (uint8_t)UID_BYTES));
		return out;
	}
	for (size_t i = 0; shape[i]; i++) {
		uint8_t byte = uid->bytes[n / 2];

		if (shape[i] == '-') {
			out[i] = '-';
			continue;
		}
		out[i] = digits[n % 2 ? byte & 15 : byte >> 4];
		n++;
	}
	return out;
}
