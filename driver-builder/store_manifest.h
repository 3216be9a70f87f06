// SPDX-License-Identifier: Apache-2.0
/* manifest.json of an artifact, both ways. Pure. */
#pragma once

#include "store.h"

/* *ret is the caller's. */
int manifest_print(const struct artifact *a, char **ret, struct err *e) _must_check_;
/* -EBADMSG when it is not one; a newer version too. @ret->dir stays NULL. */
int manifest_parse(const char *text, size_t len, struct artifact *ret, struct err *e)
	_must_check_;
