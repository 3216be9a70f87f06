// SPDX-License-Identifier: Apache-2.0
/* One device plugin of ours on a node: as a service of the host or as a pod, never both for a moment. */
#pragma once

#include "err.h"

#define SINGLE_FILE "device-plugin.lock"

/* Takes the lock on @run_dir/SINGLE_FILE, which ends with the process, however that ends; host and pods
 * see the same file. The folder is made when it is not there. *@ret is the open file, the caller's to close;
 * a process takes it once.
 * -EAGAIN: another process has it; else the errno of the call that failed. */
int single_take(const char *run_dir, int *ret, struct err *e) _must_check_;
