// SPDX-License-Identifier: Apache-2.0
/* Takes everything off the host that the agent has put there. */
#pragma once

#include "buf.h"
#include "env.h"
#include "err.h"

/* Removes: modules below /lib/modules/R/updates/farrier (depmod after it), our files in modules-load.d
 * and modprobe.d, GRUB's default where it was kept, the device plugin as a service of the host, RUN's and STATE's files. What is loaded
 * stays loaded; manifests in /etc/farrier are the admin's. Everything that goes is named in @out, a line
 * each. @is_dry: nothing goes. Absent is fine; the first failure stops it and it can be run again. Blocks. */
int purge_host(const struct env *env, bool is_dry, struct buf *out, struct err *e)
	_must_check_;
/* The pid of an agent that runs here, out of env->proc; 0: none is seen. */
int purge_agent(const struct env *env);
