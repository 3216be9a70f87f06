// SPDX-License-Identifier: Apache-2.0
/* The node agent: looks, decides (plan.h), acts, says; for ever and level-triggered. It may be
 * killed at every instruction: what it does not find done when it comes back, it does again. */
#pragma once

#include "desired.h"
#include "loop.h"
#include "remote.h"

struct agent;

struct agent_options {
	struct env env;
	bool is_standalone;
	const char *manifests; /* folder, standalone */
	const char *node_name, *kubeconfig; /* cluster */
	const char *metrics; /* address or NULL */
	struct remote
		remote; /* cluster: where the fleet shares what it builds; credentials for sources */
	struct {
		bool is_on; /* cluster: tell what is free on each NUMA node */
		const char *socket; /* the kubelet's, below the root */
		uint64_t every_us;
	} topology;
	const char *reboot_command; /* instead of the host's systemctl; NULL: that */
};

/* Borrows @o for its life. */
int agent_new(struct loop *l, const struct agent_options *o, struct agent **ret,
	struct err *e) _must_check_;
void agent_free(struct agent *a);
DEFINE_CLEANUP(struct agent, agent_free)
/* Asks for a look soon (SIGHUP). */
void agent_poke(struct agent *a);
