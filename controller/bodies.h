// SPDX-License-Identifier: Apache-2.0
/* Decisions as requests to the API server: paths and bodies. No I/O. Bodies are the caller's to free. */
#pragma once

#include "fleet.h"
#include "plan.h"

#define BODIES_APPLY "?force=true&fieldManager=" API_MANAGER_CONTROLLER
#define BODIES_API "/apis/" API_GROUP_VERSION

/* "<prefix><escaped name><suffix>" into @out, replaced. */
int bodies_path(
	struct buf *out, const char *prefix, const char *name, const char *suffix);

/* An object with nothing but its type and name; NULL when memory is short. */
struct json *bodies_object(const char *api_version, const char *kind, const char *name);

/* AcceleratorNode for server-side apply. -ESTALE when a driver or class changed since the plan was
 * made: another plan is on its way. */
int bodies_acc(const struct fleet *f, const struct plan_node *p, struct json **ret);

/* Merge patch of a Node that (un)cordons it, of the version that was seen. */
int bodies_cordon(const struct view_node *n, bool on, struct json **ret);

/* Node for server-side apply: our labels, or with @time (RFC 3339) our condition for /status. Of this very
 * Node: none is made anew. */
int bodies_labels(const struct view_node *n, const struct marks *m, struct json **ret);
int bodies_node_condition(const struct view_node *n, const struct marks *m,
	const char *time, struct json **ret);

/* JSON patch that takes the start-up taint @key from where it was seen. */
int bodies_taint(const struct view_node *n, const char *key, struct json **ret);

/* Eviction of @pod, and of no other of the same name. */
int bodies_eviction(const struct view_pod *pod, struct json **ret);

/* Objects for server-side apply on /status. */
int bodies_driver_status(
	const struct fleet *f, const struct plan_driver *p, struct json **ret);
int bodies_class_status(const struct plan_class *p, struct json **ret);

/* Merge patch that adds or drops VIEW_FINALIZER. */
int bodies_finalizers(
	const struct fleet *f, const char *driver, bool add, struct json **ret);
