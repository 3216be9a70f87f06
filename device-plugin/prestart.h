// SPDX-License-Identifier: Apache-2.0
/* The last look before a container starts: is the device still what was advertised? */
#pragma once

#include "snapshot.h"

struct prestart {
	const struct inventory *inv;
	const char *root; /* prefix of host paths, "" on the host */
	const char *cdi_dir;
};

/* 0 when the device of @c answers, its driver is the one of the last look, its nodes and its CDI spec
 * are there. -ENODEV, -ENOENT, -ESTALE with what is not so. */
int prestart_check(const struct prestart *p, const struct claim *c, struct err *e)
	_must_check_;
