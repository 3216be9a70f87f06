// SPDX-License-Identifier: Apache-2.0
/* Stable names of device nodes, for answers without CDI: /dev/xN follows the order of probing, and
 * the kubelet replays after a reboot what it was answered before. */
#pragma once

#include "snapshot.h"

/* Makes <run>/dev/<id>/<subsystem>-<n> for the classes without CDI, and removes what is no longer so. */
int links_write(const char *run, const struct snapshot *s, struct err *e) _must_check_;
