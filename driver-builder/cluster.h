// SPDX-License-Identifier: Apache-2.0
/* The agent's one window to the cluster: its own AcceleratorNode. It watches it, writes its status,
 * writes Events about it, and nothing else. The API may be away for ever. */
#pragma once

#include "json.h"
#include "loop.h"

struct cluster;

struct cluster_options {
	const char *kubeconfig; /* NULL: in-cluster */
	const char *node_name;
};

struct cluster_ops {
	/* Our object appeared or changed; borrowed. Never called for its deletion: that means nothing. */
	void (*on_node)(const struct json *node, void *user);
	/* Reachable or not, on change. */
	void (*on_link)(bool is_up, const char *why, void *user);
};

int cluster_new(struct loop *l, const struct cluster_options *o,
	const struct cluster_ops *ops, void *user, struct cluster **ret, struct err *e)
	_must_check_;
void cluster_free(struct cluster *c);
DEFINE_CLEANUP(struct cluster, cluster_free)

/* Makes @status (copied) the one to be written: sent when it differs from what was written last,
 * soon and with jitter; tried again with back-off until it is written or replaced. */
int cluster_status(struct cluster *c, const struct json *status) _must_check_;
/* An Event about our object; dropped while the object has not been seen. @type "Normal" or "Warning". */
void cluster_event(
	struct cluster *c, const char *type, const char *reason, const char *message);
