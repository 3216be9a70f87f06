// SPDX-License-Identifier: Apache-2.0
/* Error texts: set, wrapped, cut; every reason has a name and a remedy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "err.h"

static void test_set(void **state)
{
	struct err e = { 0 };

	assert_int_equal(err_set(&e, -EINVAL, "bad %d", 7), -EINVAL);
	assert_int_equal(e.code, -EINVAL);
	assert_int_equal(e.reason, REASON_NONE);
	assert_string_equal(e.text, "bad 7");
	assert_int_equal(err_reason(&e, -EIO, REASON_LOAD_FAILED, "x"), -EIO);
	assert_int_equal(e.reason, REASON_LOAD_FAILED);
	err_clear(&e);
	assert_int_equal(e.code, 0);
	assert_int_equal(e.reason, REASON_NONE);
	assert_string_equal(e.text, "");
}

static void test_null(void **state)
{
	assert_int_equal(err_set(NULL, -EINVAL, "%s", "x"), -EINVAL);
	assert_int_equal(err_reason(NULL, -EIO, REASON_TIMEOUT, "x"), -EIO);
	assert_int_equal(err_wrap(NULL, -EIO, "x"), -EIO);
	assert_int_equal(err_errno(NULL, -EIO, "x"), -EIO);
	err_clear(NULL);
}

static void test_wrap(void **state)
{
	struct err e = { 0 };

	(void)err_reason(&e, -EINVAL, REASON_MANIFEST_INVALID, "'kernel': not a string");
	assert_int_equal(err_wrap(&e, -ENOENT, "node '%s'", "a"), -ENOENT);
	assert_string_equal(e.text, "node 'a': 'kernel': not a string");
	assert_int_equal(e.reason, REASON_MANIFEST_INVALID);
	assert_int_equal(e.code, -ENOENT);

	err_clear(&e);
	(void)err_wrap(&e, -ENOENT, "read");
	assert_string_equal(e.text, "read: No such file or directory");
}

static void test_errno(void **state)
{
	struct err e = { 0 };

	(void)err_errno(&e, -ENOSPC, "write '%s'", "/x");
	assert_string_equal(e.text, "write '/x': No space left on device");
	assert_int_equal(e.reason, REASON_DISK_FULL);
	(void)err_errno(&e, -EPERM, "write");
	assert_int_equal(e.reason, REASON_NONE);
}

/* The arguments may be the text that is being replaced. */
static void test_self(void **state)
{
	struct err e = { 0 };

	(void)err_set(&e, -EIO, "inner");
	(void)err_set(&e, -EIO, "outer: %s", e.text);
	assert_string_equal(e.text, "outer: inner");
	(void)err_wrap(&e, -EIO, "%s", e.text);
	assert_string_equal(e.text, "outer: inner: outer: inner");
}

/* Cut within its bounds and never inside a character, at whichever offset the end falls. */
static void test_cut(void **state)
{
	char text[ERR_TEXT_MAX * 2];
	struct err e = { 0 };
	size_t shift, i;

	for (shift = 0; shift < 4; shift++) {
		memset(text, 'x', shift);
		for (i = shift; i + 3 < sizeof(text); i += 3)
			memcpy(text + i, "\xe2\x82\xac", 3);
		text[i] = '\0';
		(void)err_set(&e, -EIO, "%s", text);
		assert_true(strlen(e.text) < ERR_TEXT_MAX);
		assert_true(strlen(e.text) > ERR_TEXT_MAX - 5);
		assert_int_equal((strlen(e.text) - shift) % 3, 0);
		(void)err_wrap(&e, -EIO, "ab");
		assert_true(strlen(e.text) < ERR_TEXT_MAX);
		assert_int_equal((strlen(e.text) - 4 - shift) % 3, 0);
	}
}

static void test_reasons(void **state)
{
	int i, j;

	assert_string_equal(reason_name(REASON_NONE), "");
	assert_string_equal(reason_name(REASON_SYMBOL_CRC_MISMATCH), "SymbolCRCMismatch");
	for (i = 1; i < REASONS_; i++) {
		const char *name = reason_name(i), *c;

		if (!name || !*name || !*reason_remedy(i))
			fail_msg("reason %d has no name or no remedy", i);
		/* What the API server takes as a condition's reason. */
		for (c = name; *c; c++)
			if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z')))
				fail_msg("reason '%s'", name);
		assert_true(name[0] >= 'A' && name[0] <= 'Z');
		assert_int_equal(reason_from_name(name), i);
		for (j = 1; j < i; j++)
			assert_string_not_equal(name, reason_name(j));
	}
	assert_int_equal(reason_from_name(""), REASON_NONE);
	assert_int_equal(reason_from_name("NoSuchReason"), REASON_INTERNAL);
	assert_string_equal(reason_name(REASONS_), "Internal");
	assert_string_equal(reason_name((enum reason) - 1), "Internal");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_null),
		cmocka_unit_test(test_wrap),
		cmocka_unit_test(test_errno),
		cmocka_unit_test(test_self),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_reasons),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
