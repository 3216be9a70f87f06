// SPDX-License-Identifier: Apache-2.0
/* Module.symvers: what is accepted has one entry per line, and each line's symbol is found. */
#include "driver-builder/symvers.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	CLEANUP(symvers_freep) struct symvers *s = NULL;
	const char *p = (const char *)data, *end = p + len;
	struct err e = { 0 };
	size_t n = 0;
	int r = symvers_parse(p, len, &s, &e);

	if (r < 0) {
		says_why(r, &e);
		HOLDS(!s);
		return 0;
	}
	while (p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t line = (size_t)((nl ? nl : end) - p);
		const char *tab = memchr(p, '\t', line);

		if (line) {
			const struct symvers_entry *x;
			char name[256];

			HOLDS(tab);
			n++;
			(void)snprintf(name, sizeof(name), "%.*s",
				(int)(line - (size_t)(tab + 1 - p)), tab + 1);
			if (strcspn(name, "\t") < sizeof(name) - 1) {
				name[strcspn(name, "\t")] = '\0';
				x = symvers_find(s, name);
				HOLDS(x && streq(x->name, name) && x->module && x->space);
			}
		}
		p += line + 1;
	}
	HOLDS(symvers_len(s) == n);
	HOLDS(!symvers_find(s, "no such\nsymbol"));
	return 0;
}
