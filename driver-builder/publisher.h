// SPDX-License-Identifier: Apache-2.0
/* Publishes artifacts one at a time in a worker, with back-off where the registry is away. */
#pragma once

#include "publish.h"

struct publisher;
/* @result->code 0: @key is published. From the loop. */
typedef void (*publisher_fn)(const char *driver, const char *kernel, const char *key,
	const struct err *result, void *user);

/* Borrows @r and @state. */
int publisher_new(struct loop *l, const struct remote *r, const char *state,
	publisher_fn fn, void *user, struct publisher **ret, struct err *e) _must_check_;
void publisher_free(struct publisher *p);
DEFINE_CLEANUP(struct publisher, publisher_free)

/* Starts to publish unless something is under way or failed a moment ago. Returns the wall time
 * at which to ask again, UINT64_MAX when its end will be told. */
uint64_t publisher_add(
	struct publisher *p, const char *driver, const char *kernel, const char *key);
