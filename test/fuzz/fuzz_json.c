// SPDX-License-Identifier: Apache-2.0
/* JSON texts: parsed, printed and parsed again they are equal; what is parsed also passes the check. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	CLEANUP(json_freep) struct json *j = NULL;
	CLEANUP(json_freep) struct json *copy = NULL;
	const char *text = (const char *)data;
	struct err e = { 0 };
	int r = json_parse(text, len, &j, &e);

	if (r < 0) {
		says_why(r, &e);
		HOLDS(!j);
		return 0;
	}
	HOLDS(json_check(text, len, &e) == 0);
	prints_and_reads(j, false);
	prints_and_reads(j, true);
	copy = json_copy(j);
	HOLDS(json_equal(j, copy));
	return 0;
}
