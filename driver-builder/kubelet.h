// SPDX-License-Identifier: Apache-2.0
/* A note of the kubelet's policies in RUN, for a device plugin that is a pod and cannot see them. */
#pragma once

#include "env.h"
#include "err.h"

enum { KUBELET_NOT_YET = 2 };

/* Looks at the kubelet's process and files, at most once a minute by @now_us, and writes
 * RUN/kubelet.json when something else is true than before. *last_us: 0 before the first look.
 * KUBELET_NOT_YET when it is not time, 1 when it was written, 0 when it is as it was; a kubelet whose
 * files cannot be read leaves no note, and is an error. */
int kubelet_note(const struct env *env, uint64_t now_us, uint64_t *last_us, struct err *e)
	_must_check_;
