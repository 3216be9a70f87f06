// SPDX-License-Identifier: Apache-2.0
/*
 * Whose turn a build is, where the fleet shares what it builds: the controller asks one node to build
 * (AcceleratorNode.spec.builds), the others wait for what it publishes. But a node needs nobody: it
 * waits for a limited time, for a short one while the API server is away, and then builds for itself.
 */
#pragma once

#include "api.h"
#include "map.h"
#include "plan.h"

#define SHARE_GRACE_US (30 * USEC_PER_SEC) /* until the controller has spoken */
#define SHARE_WAIT_US (3600 * USEC_PER_SEC) /* in all */

/* What is kept between two looks. */
struct share {
	bool is_on; /* a registry is configured */
	bool is_up; /* the API server answers */
	const char *node; /* our own name */
	const char *state;
	struct map *waits; /* "DRIVER KERNEL" -> struct share_wait */
};
void share_done(struct share *s);

/* What the controller says about a driver's generation for a kernel; NULL: nothing yet. */
const struct api_node_build *share_find(const struct list *builds, const char *driver,
	int64_t generation, const char *kernel);

/* Whether several nodes build it, to be compared: what they publish they have to have compiled. */
bool share_is_compared(const struct api_node_build *b);
/* Whether @node is asked to build and publish it. */
bool share_asks(const struct api_node_build *b, const char *node);

/* Until when (wall time) a node waits that has waited since @since_us; 0: it builds. Pure. */
uint64_t share_wait_until(
	const struct api_node_build *b, const char *node, bool is_up, uint64_t since_us);

/* Turns a build that is another node's into a wait, and tells of a published one under which digest.
 * Memory lies in @a. -ENOMEM. */
int share_look(struct share *s, struct arena *a, const struct list *builds,
	const struct api_node_driver *d, const char *kernel, uint64_t now_us,
	struct plan_pair *p) _must_check_;

/* Whether @p is ours to publish. */
bool share_is_ours(const struct share *s, const struct list *builds,
	const struct api_node_driver *d, const char *kernel, const struct plan_pair *p);
