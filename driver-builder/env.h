// SPDX-License-Identifier: Apache-2.0
/* Where everything is: what every command and the agent are given. */
#pragma once

#include "base.h"

#define ENV_STATE "/var/lib/farrier"
#define ENV_RUN "/run/farrier"
#define ENV_MANIFESTS "/etc/farrier/drivers.d"

struct env {
	const char *root; /* the host's root as seen from here */
	const char *state, *run;
	const char *sys, *proc; /* the kernel's own: the same in every mount namespace */
};
