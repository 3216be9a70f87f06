// SPDX-License-Identifier: Apache-2.0
/* uid: what comes out is what went in, or nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "controller/uid.h"

static void test_texts(void **state)
{
	static const struct {
		const char *name, *in, *out;
	} cases[] = {
		{ "a UUID", "6f1c0d2e-0000-4000-8000-0123456789ab",
			"6f1c0d2e-0000-4000-8000-0123456789ab" },
		{ "all bits", "ffffffff-ffff-ffff-ffff-ffffffffffff",
			"ffffffff-ffff-ffff-ffff-ffffffffffff" },
		{ "no bits", "00000000-0000-0000-0000-000000000000",
			"00000000-0000-0000-0000-000000000000" },
		{ "none", NULL, "" },
		{ "empty", "", "" },
		{ "short", "u-n1", "u-n1" },
		{ "just short enough", "0123456789abcdef", "0123456789abcdef" },
		{ "too long for a short one", "0123456789abcdef0", "" },
		{ "upper case would come back in lower",
			"6F1C0D2E-0000-4000-8000-0123456789AB", "" },
		{ "a digit short", "6f1c0d2e-0000-4000-8000-0123456789a", "" },
		{ "a digit long", "6f1c0d2e-0000-4000-8000-0123456789abc", "" },
		{ "a dash moved", "6f1c0d2e0-000-4000-8000-0123456789ab", "" },
		{ "no digit", "6f1c0d2e-0000-4000-8000-0123456789ag", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char text[UID_TEXT_MAX];
		struct uid uid = { .len = 7 };

		uid_set(&uid, cases[i].in);
		if (!streq(uid_text(&uid, text), cases[i].out))
			fail_msg("case '%s': '%s'", cases[i].name, text);
	}
}

/* Equal records are equal byte by byte: nothing of what was there before is left. */
static void test_overwrites(void **state)
{
	struct uid a, b;

	(void)state;
	memset(&a, 0xa5, sizeof(a));
	memset(&b, 0, sizeof(b));
	uid_set(&a, "u");
	uid_set(&b, "u");
	assert_memory_equal(&a, &b, sizeof(a));
	memset(&a, 0xa5, sizeof(a));
	uid_set(&a, "6f1c0d2e-0000-4000-8000-0123456789a?");
	uid_set(&b, NULL);
	assert_memory_equal(&a, &b, sizeof(a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_overwrites),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
