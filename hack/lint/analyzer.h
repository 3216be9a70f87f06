// SPDX-License-Identifier: Apache-2.0
/* Read before each file that clang-tidy looks at: says what the analyzer cannot see from prototypes, namely that these
 * functions return the code they are given and that errno is positive where it is read after a failure, so that it does
 * not follow `return -errno` into the caller's path of success. */
#pragma once

#include "err.h"

static inline __attribute__((unused)) int *analyzer_errno(void)
{
	int *p = __errno_location();

	if (*p <= 0)
		__builtin_unreachable();
	return p;
}
#undef errno
#define errno (*analyzer_errno())

#define err_set(e, r, ...) ((void)(e), (r))
#define err_reason(e, r, ...) ((void)(e), (r))
#define err_wrap(e, r, ...) ((void)(e), (r))
#define err_errno(e, r, ...) ((void)(e), (r))
