// SPDX-License-Identifier: Apache-2.0
/* What a power cut or a killed writer has left half-done, found at the agent's start and taken away. */
#pragma once

#include "env.h"
#include "err.h"

/* Removes, at the agent's start: build folders and the store's temporary folders of writers that are gone
 * (their locks tell), and temporary files beside what we write on the host that are of before this boot,
 * or older than an hour. What others put into shared folders stays. The first error is returned, after
 * all was tried. */
int leftovers_remove(const struct env *env, uint64_t wall_us, struct err *e) _must_check_;
