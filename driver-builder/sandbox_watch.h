// SPDX-License-Identifier: Apache-2.0
/* How much a build has written: folders that it may change while they are measured. */
#pragma once

#include "err.h"

enum { SANDBOX_FILES_MAX = 1000000, SANDBOX_DEPTH_MAX = 100 };

/* Blocks on disk below @dir, links not followed; stops as soon as *bytes is over @max. Adds to
 * *bytes and *files. More files or deeper folders than the caps count as UINT64_MAX bytes. */
void sandbox_measure(const char *dir, uint64_t max, uint64_t *bytes, uint64_t *files);

/* Bytes that the file system of @dir has left, and how many are too few while a build runs. */
void sandbox_room(const char *dir, uint64_t *ret_left, uint64_t *ret_few);
