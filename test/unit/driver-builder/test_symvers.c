// SPDX-License-Identifier: Apache-2.0
/* Module.symvers: good lines, broken lines, many lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <time.h>

#include "buf.h"
#include "driver-builder/symvers.h"

static const struct {
	const char *name, *text;
	int r;
	const char *symbol;
	uint32_t crc;
	const char *module, *space;
} cases[] = {
	{ "one", "0x12345678\tfoo\tvmlinux\tEXPORT_SYMBOL\t\n", 0, "foo", 0x12345678,
		"vmlinux", "" },
	{ "namespace", "0x00000001\tfoo\tdrivers/a/b\tEXPORT_SYMBOL_GPL\tDMA_BUF\n", 0,
		"foo", 1, "drivers/a/b", "DMA_BUF" },
	{ "old format without namespace", "0xffffffff\tfoo\tx\tEXPORT_SYMBOL\n", 0, "foo",
		0xffffffff, "x", "" },
	{ "no newline at the end", "0x1\tfoo\tx\tEXPORT_SYMBOL", 0, "foo", 1, "x", "" },
	{ "empty lines", "\n\n0x1\tfoo\tx\tEXPORT_SYMBOL\n\n", 0, "foo", 1, "x", "" },
	{ "twice: the first counts", "0x1\tfoo\tx\tE\n0x2\tfoo\ty\tE\n", 0, "foo", 1, "x",
		"" },
	{ "empty", "", 0, NULL },
	{ "not there", "0x1\tfoobar\tx\tE\n", 0, NULL },
	{ "no CRC", "foo\tx\tE\n", -EINVAL },
	{ "CRC too long", "0x123456789\tfoo\tx\tE\n", -EINVAL },
	{ "negative CRC", "0x-1\tfoo\tx\tE\n", -EINVAL },
	{ "CRC with more behind", "0x12z\tfoo\tx\tE\n", -EINVAL },
	{ "no module", "0x1\tfoo\n", -EINVAL },
	{ "no name", "0x1\t\tx\tE\n", -EINVAL },
	{ "spaces", "0x1 foo x E\n", -EINVAL },
};

static void test_cases(void **state)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct symvers_entry *x;
		struct symvers *s = NULL;
		struct err e = { 0 };
		int r = symvers_parse(cases[i].text, strlen(cases[i].text), &s, &e);

		if (r != cases[i].r)
			fail_msg("case '%s': %d %s", cases[i].name, r, e.text);
		if (r < 0)
			continue;
		x = symvers_find(s, "foo");
		if (!cases[i].symbol != !x)
			fail_msg("case '%s': found %d", cases[i].name, x != NULL);
		if (x && (x->crc != cases[i].crc || !streq(x->module, cases[i].module) ||
				 !streq(x->space, cases[i].space)))
			fail_msg("case '%s': 0x%x %s %s", cases[i].name, x->crc,
				x->module, x->space);
		symvers_free(s);
	}
}

static void test_zero_byte_inside(void **state)
{
	static const char text[] = "0x1\tfoo\tx\tE\n0x2\tb\0r\tx\tE\n";
	struct symvers *s = NULL;
	struct err e = { 0 };

	assert_int_equal(symvers_parse(text, sizeof(text) - 1, &s, &e), -EINVAL);
	assert_non_null(strstr(e.text, "line 2"));
}

static void test_many(void **state)
{
	struct symvers *s = NULL;
	struct err e = { 0 };
	char name[32];
	struct buf b;
	uint32_t i;

	buf_init(&b, 16 << 20);
	for (i = 0; i < 50000; i++)
		assert_int_equal(
			buf_fmt(&b, "0x%08x\tsymbol_%u\tvmlinux\tEXPORT_SYMBOL\t\n",
				i * 2654435761U, i),
			0);
	assert_int_equal(symvers_parse(b.data, b.len, &s, &e), 0);
	assert_int_equal(symvers_len(s), 50000);
	for (i = 0; i < 50000; i++) {
		(void)snprintf(name, sizeof(name), "symbol_%u", i);
		assert_non_null(symvers_find(s, name));
		assert_int_equal(symvers_find(s, name)->crc, i * 2654435761U);
	}
	assert_null(symvers_find(s, "symbol_50000"));
	symvers_free(s);
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_zero_byte_inside),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
