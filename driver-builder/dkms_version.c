// SPDX-License-Identifier: Apache-2.0
/* Kernel releases in the order that DKMS puts them in. */
#include "dkms.h"

enum { NUMBER_MAX = 128 };

/* One step over @s: a number, weighed by its digits, or one other character. Numbers count as with
 * three digits at least, which is how DKMS makes versions comparable as text ("6.1" -> "006.001"). */
static int step(const char **s, char out[NUMBER_MAX])
{
	size_t n = strspn(*s, "0123456789"), pad = n > 0 && n < 3 ? 3 - n : 0;

	if (n == 0)
		n = **s != '\0';
	n = MIN(n, (size_t)NUMBER_MAX - 3);
	memset(out, '0', pad);
	memcpy(out + pad, *s, n);
	out[pad + n] = '\0';
	*s += n;
	return n > 0;
}

int dkms_version_cmp(const char *a, const char *b)
{
	char x[NUMBER_MAX], y[NUMBER_MAX];
	int r = 0, more = 1;

	while (r == 0 && more) {
		more = step(&a, x);
		more += step(&b, y);
		r = strcmp(x, y);
	}
	return r;
}
