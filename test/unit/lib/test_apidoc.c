// SPDX-License-Identifier: Apache-2.0
/* docs/api.md is what hack/apidoc.c makes of the field tables today; docs/operations.md knows every reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

int apidoc_main(void);
#define main apidoc_main
#include "hack/apidoc.c"
#undef main

#include "file.h"

static char *read_doc(const char *name)
{
	const char *top = getenv("FARRIER_SOURCE");
	char path[DOC_PATH_MAX];
	struct err e = { 0 };
	char *text = NULL;

	(void)snprintf(path, sizeof(path), "%.200s/docs/%s", top ? top : ".", name);
	if (file_read(path, DOC_BYTES_MAX, &text, NULL, &e) < 0)
		fail_msg("%s", e.text);
	return text;
}

static void test_api_is_current(void **state)
{
	char *text = read_doc("api.md");
	struct buf b;
	bool is_equal;

	(void)state;
	buf_init(&b, DOC_BYTES_MAX);
	assert_int_equal(apidoc(&b), 0);
	is_equal = streq(buf_cstr(&b), text);
	buf_done(&b);
	free(text);
	if (!is_equal)
		fail_msg("docs/api.md is not what the tables say: make docs");
}

/* The remedy stands there word for word, so that people find what `kubectl describe` told them. */
static void test_operations_know_every_reason(void **state)
{
	char *text = read_doc("operations.md");
	char row[64];
	unsigned missing = 0;

	(void)state;
	for (int r = REASON_NONE + 1; r < REASONS_; r++) {
		const char *at;

		(void)snprintf(row, sizeof(row), "\n| `%s` |", reason_name(r));
		at = strstr(text, row);
		if (!at) {
			fprintf(stderr, "%s: no row\n", reason_name(r));
			missing++;
		} else if (!strstr(at, reason_remedy(r)) ||
			   strstr(at, reason_remedy(r)) > strchr(at + 1, '\n')) {
			fprintf(stderr, "%s: another remedy\n", reason_name(r));
			missing++;
		}
	}
	free(text);
	assert_int_equal(missing, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_api_is_current),
		cmocka_unit_test(test_operations_know_every_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
