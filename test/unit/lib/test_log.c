// SPDX-License-Identifier: Apache-2.0
/* Every log line is one JSON object, whatever is logged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/mman.h>

#include "json.h"
#include "log.h"

static int saved = -1, captured = -1;

/* From here on stderr goes into a file in memory. */
static int capture(void **state)
{
	captured = memfd_create("stderr", MFD_CLOEXEC);
	saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	log_init("test", LOG_INFO);
	return captured >= 0 && saved >= 0 && dup2(captured, STDERR_FILENO) >= 0 ? 0 : -1;
}

static int restore(void **state)
{
	int r = dup2(saved, STDERR_FILENO);

	(void)close(saved);
	(void)close(captured);
	return r < 0 ? -1 : 0;
}

/* What was logged since, as one JSON value; NULL when nothing was. */
static struct json *logged(void)
{
	static char text[64 << 10];
	struct json *j = NULL;
	struct err e = { 0 };
	ssize_t n = pread(captured, text, sizeof(text), 0);

	assert_int_equal(ftruncate(captured, 0), 0);
	(void)lseek(captured, 0, SEEK_SET);
	if (n == 0)
		return NULL;
	assert_true(n > 1 && text[n - 1] == '\n');
	assert_null(memchr(text, '\n', (size_t)n - 1));
	if (json_parse(text, (size_t)n, &j, &e) < 0)
		fail_msg("%s: %.*s", e.text, (int)n, text);
	return j;
}

static void test_line(void **state)
{
	CLEANUP(json_freep) struct json *j = NULL;
	const char *time;

	log_event(LOG_WARN, "module loaded", "driver", "edu", "nothing", NULL, "kernel",
		"6.1.0-47", NULL);
	j = logged();
	assert_string_equal(json_get_str(j, "msg"), "module loaded");
	assert_string_equal(json_get_str(j, "level"), "warn");
	assert_string_equal(json_get_str(j, "component"), "test");
	assert_string_equal(json_get_str(j, "driver"), "edu");
	assert_string_equal(json_get_str(j, "kernel"), "6.1.0-47");
	assert_false(json_has(j, "nothing"));
	time = json_get_str(j, "time");
	assert_int_equal(strlen(time), strlen("2026-01-01T00:00:00.000Z"));
	assert_int_equal(time[10], 'T');
	assert_int_equal(time[19], '.');
	assert_int_equal(time[23], 'Z');
}

static void test_hostile(void **state)
{
	static const struct {
		const char *name, *in, *out;
	} cases[] = {
		{ "quotes", "a\"b\\c", "a\"b\\c" },
		{ "controls", "a\n\t\r\x01\x1f\x7f", "a\n\t\r\x01\x1f\x7f" },
		{ "utf-8", "\xe2\x82\xac", "\xe2\x82\xac" },
		{ "no utf-8", "\xff\xc3", "\xef\xbf\xbd\xef\xbf\xbd" },
		{ "json", "\",\"level\":\"x", "\",\"level\":\"x" },
		{ "empty", "", "" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(json_freep) struct json *j = NULL;

		log_event(LOG_INFO, cases[i].in, "key", cases[i].in, NULL);
		j = logged();
		if (!streq(json_get_str(j, "msg"), cases[i].out) ||
			!streq(json_get_str(j, "key"), cases[i].out))
			fail_msg("case '%s'", cases[i].name);
	}
}

/* Long values are cut, and pairs beyond the line's cap are left out whole. */
static void test_huge(void **state)
{
	CLEANUP(json_freep) struct json *j = NULL;
	static char huge[20000];

	memset(huge, 0x01, sizeof(huge) - 1);
	log_event(LOG_INFO, "m", "a", huge, "b", huge, "c", huge, "d", "small", NULL);
	j = logged();
	assert_string_equal(json_get_str(j, "msg"), "m");
	assert_false(json_has(j, "a") && json_has(j, "b"));
	memset(huge, 'x', sizeof(huge) - 1);
	json_free(TAKE(j));
	log_event(LOG_INFO, "m", "a", huge, "b", huge, "c", huge, "d", huge, NULL);
	j = logged();
	assert_true(strlen(json_get_str(j, "a")) < 5000);
	assert_true(json_has(j, "c"));
	assert_false(json_has(j, "d"));
}

static void test_levels(void **state)
{
	static const char *const names[] = { "debug", "info", "warn", "error" };
	enum log_level l = LOG_DEBUG;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		assert_int_equal(log_level_parse(names[i], &l), 0);
		assert_int_equal(l, i);
	}
	assert_int_equal(log_level_parse("loud", &l), -EINVAL);
	assert_int_equal(l, LOG_ERROR);
	log_event(LOG_DEBUG, "not wanted", NULL);
	assert_null(logged());
	log_init("test", LOG_ERROR);
	log_event(LOG_WARN, "not wanted", NULL);
	assert_null(logged());
}

static void test_error(void **state)
{
	CLEANUP(json_freep) struct json *j = NULL, *k = NULL;
	struct err e = { 0 };

	(void)err_reason(&e, -EIO, REASON_BUILD_FAILED, "build: it's broken");
	errno = 7;
	log_error(&e, "failed", "driver", "edu", NULL);
	assert_int_equal(errno, 7);
	j = logged();
	assert_string_equal(json_get_str(j, "level"), "error");
	assert_string_equal(json_get_str(j, "error"), "build: it's broken");
	assert_string_equal(json_get_str(j, "reason"), "BuildFailed");
	assert_string_equal(json_get_str(j, "driver"), "edu");
	err_clear(&e);
	e.code = -ENOENT;
	log_error(&e, "failed", NULL);
	k = logged();
	assert_string_equal(json_get_str(k, "error"), "No such file or directory");
	assert_false(json_has(k, "reason"));
}

#define T(f) cmocka_unit_test_setup_teardown(f, capture, restore)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_line),
		T(test_hostile),
		T(test_huge),
		T(test_levels),
		T(test_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
