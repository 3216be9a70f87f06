// SPDX-License-Identifier: Apache-2.0
/*
 * How errors work here.
 *
 * A function that can fail returns 0 or a negative errno. Its last parameter is `struct err *e`,
 * which may be NULL. Whoever finds the failure says what and where with err_set() or, when people
 * can act on it, err_reason(); each caller on the way out puts its own object in front with
 * err_wrap(), so that the text reads from the outside in:
 *
 *     r = node_parse(&n, j, e);
 *     if (r < 0)
 *             return err_wrap(e, r, "node '%s'", name);      ->  "node 'a': 'kernel': not a string"
 *
 * All three return @r, so that they fit behind `return`. Texts are lower case, have names in '',
 * no full stop and no secret. lib/ never logs: main.c and the reconcilers log, once.
 */
#pragma once

#include "base.h"
#include "reason.h"

enum { ERR_TEXT_MAX = 1024 };

struct err {
	int code; /* negative errno, 0 = no error */
	enum reason reason; /* typed reason, REASON_NONE when only the code says it */
	char text[ERR_TEXT_MAX];
};

/* Replaces what @e holds. A text that is too long is cut. Returns @r. */
int err_set(struct err *e, int r, const char *fmt, ...) _printf_(3, 4);

/* As err_set(), with a typed reason. Returns @r. */
int err_reason(struct err *e, int r, enum reason reason, const char *fmt, ...)
	_printf_(4, 5);

/* Puts "<fmt>: " in front of the text; keeps the reason; sets strerror(-r) when there was no text. Returns @r. */
int err_wrap(struct err *e, int r, const char *fmt, ...) _printf_(3, 4);

/* err_set() with ": <strerror(-r)>" behind the text. Returns @r. */
int err_errno(struct err *e, int r, const char *fmt, ...) _printf_(3, 4);

void err_clear(struct err *e);
