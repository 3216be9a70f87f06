// SPDX-License-Identifier: Apache-2.0
/* redact.c: secrets go, everything else stays as it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "driver-builder/redact.h"

#define KEY "-----BEGIN PRIVATE KEY-----\nMIIabc\n-----END PRIVATE KEY-----"

static const struct {
	const char *name, *in, *out;
} cases[] = {
	{ "empty", "", "" },
	{ "plain", "edu.c:12: error: too few arguments",
		"edu.c:12: error: too few arguments" },
	{ "url", "https://example.org/a/b.tar.gz", "https://example.org/a/b.tar.gz" },
	{ "user", "https://me:hush@example.org/a", "https://***@example.org/a" },
	{ "user with an at", "x://a@b:c@h/p", "x://***@h/p" },
	{ "at in the path", "https://h/p@v1", "https://h/p@v1" },
	{ "query", "GET https://h/p?sig=abc&x=1 200", "GET https://h/p?*** 200" },
	{ "url without a path", "https://u:p@h?q", "https://***@h?***" },
	{ "url that ends at once", "://", "://" },
	{ "password", "password=hunter2 next", "password=*** next" },
	{ "JSON member", "{\"token\": \"abc\", \"n\": 1}",
		"{\"token\": \"***\", \"n\": 1}" },
	{ "JSON in JSON", "\"{\\\"token\\\":\\\"abc\\\"}\"",
		"\"{\\\"token\\\":\\\"***\\\"}\"" },
	{ "no value", "{\"token\": {}}", "{\"token\": {}}" },
	{ "upper case", "Authorization: Bearer abc.def", "Authorization: *** abc.def" },
	{ "bearer", "Bearer abc.def;", "Bearer ***" },
	{ "inside a word", "mytoken=abc broken", "mytoken=abc broken" },
	{ "word at the end", "the token", "the token" },
	{ "key", "a " KEY " b", "a *** b" },
	{ "key in JSON",
		"\"-----BEGIN RSA PRIVATE KEY-----\\nMII\\n-----END RSA PRIVATE KEY-----\\n\"",
		"\"***\\n\"" },
	{ "key that is cut", "\"-----BEGIN PRIVATE KEY-----\\nMII\" x", "\"***\" x" },
	{ "certificate", "-----BEGIN CERTIFICATE-----\nMII\n",
		"-----BEGIN CERTIFICATE-----\nMII\n" },
};

static void test_cases(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct buf b;

		buf_init(&b, 4096);
		assert_int_equal(redact(cases[i].in, &b), 0);
		if (!streq(buf_cstr(&b), cases[i].out))
			fail_msg("case '%s': %s", cases[i].name, buf_cstr(&b));
		buf_done(&b);
	}
}

static void test_cap(void **state)
{
	struct buf b;

	buf_init(&b, 8);
	assert_int_equal(redact("more than eight bytes", &b), -ENOBUFS);
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_cases),
		cmocka_unit_test(test_cap) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
