// SPDX-License-Identifier: Apache-2.0
/* What the kubelet can give out and which containers hold it: its pod resources API v1, asked over its
 * socket without waiting. */
#pragma once

#include "arena.h"
#include "field.h"
#include "loop.h"

enum {
	PODRES_ITEMS_MAX = 200000, /* devices, CPUs or memory of one answer */
	PODRES_NODE_MAX = 9999,
};

/* One for each NUMA node of a device; @node -1: it has none. */
struct podres_device {
	const char *resource, *id;
	int node;
};
/* One for each NUMA node that it may lie on. */
struct podres_memory {
	const char *type; /* "memory", "hugepages-2Mi" */
	uint64_t size; /* bytes */
	int node;
};
struct podres_set {
	struct list devices; /* struct podres_device */
	struct list cpus; /* int64_t, only those that one container has for itself */
	struct list memory; /* struct podres_memory */
};
struct podres_pod {
	const char *namespace_, *name;
	bool is_exclusive; /* it has something with a NUMA node for itself */
};
struct podres {
	struct podres_set
		allocatable; /* healthy devices; no CPUs, no memory where its managers are off */
	struct podres_set held; /* of all containers */
	struct list pods; /* struct podres_pod */
};

/* The two answers; what they hold lies in @a. -EBADMSG for what is no such message, -E2BIG, -ENOMEM. */
int podres_parse_allocatable(struct arena *a, const void *msg, size_t len,
	struct podres *p, struct err *e) _must_check_;
int podres_parse_list(struct arena *a, const void *msg, size_t len, struct podres *p,
	struct err *e) _must_check_;

struct podres_ask;
/* @p is NULL when @e says why it is not known; both are borrowed. */
typedef void (*podres_done_fn)(const struct podres *p, const struct err *e, void *user);

/* Asks both; @done comes once, from the loop, and the question is gone after it. Fails at once when
 * nobody listens on @socket (-ENOENT, -ECONNREFUSED). */
int podres_ask(struct loop *l, const char *socket, uint64_t timeout_us,
	podres_done_fn done, void *user, struct podres_ask **ret, struct err *e)
	_must_check_;
/* No callback comes any more. NULL is fine. */
void podres_cancel(struct podres_ask *q);
