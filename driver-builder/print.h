// SPDX-License-Identifier: Apache-2.0
/* Tells cheaply whether a build could come out differently now: the spec's build part, the certificate that it
 * signs with, and names, sizes and times of source and headers. Their content is read by the build itself only. */
#pragma once

#include "api.h"
#include "kernels.h"
#include "records.h"

/* Parts that cannot be seen are left "". -ENOMEM. */
int print_make(const char *root, const struct api_driver_spec *spec,
	const struct kernel *k, struct print *ret) _must_check_;
