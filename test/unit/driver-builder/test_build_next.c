// SPDX-License-Identifier: Apache-2.0
/* A driver that the next kernel breaks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/stat.h>

#include "build_fixture.h"

static void test_broken_for_the_next_kernel(void **state)
{
	struct fixture *f = *state;
	struct build_result *res;
	struct stat st;

	need(f);
	res = run(job(f, f->old, "broken-next", "fbar", API_BUILD_AUTO), 0, REASON_NONE);
	assert_string_equal(res->modules[0], "fbar");
	res = run(job(f, f->new, "broken-next", "fbar", API_BUILD_AUTO), -1,
		REASON_BUILD_FAILED);
	print_message("told: %s\n", res->err.text);
	assert_true(str_starts(res->err.text, "fbar.c:"));
	assert_non_null(strstr(res->err.text, "too few arguments to function "));
	assert_non_null(strstr(res->err.text, "pci_resize_resource"));
	assert_int_equal(stat(res->log, &st), 0);
	assert_true(st.st_size > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_broken_for_the_next_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
