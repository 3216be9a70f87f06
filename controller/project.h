// SPDX-License-Identifier: Apache-2.0
/* Objects of the API server into the records of view.h. Reads only what it needs and takes whatever
 * it finds: an object that a newer version wrote must not stop an older controller. */
#pragma once

#include "intern.h"
#include "view.h"

/* What of a Node is kept: labels that selectors use, resources that classes name. */
struct project_filter {
	struct list keys; /* const char * */
	struct list resources; /* const char * */
	const char *taint; /* key of the start-up taint; NULL: none */
};

/* Fill the Node's or the AcceleratorNode's half of @n; what it held before is let go. On failure the
 * half is empty. -ENOMEM; -EINVAL when @obj is no such object. */
int project_node(struct intern *in, const struct project_filter *f,
	const struct json *obj, struct view_node *n) _must_check_;
int project_acc(struct intern *in, const struct json *obj, struct view_node *n)
	_must_check_;
/* Let go of one half; of both, the pods and the intent. */
void project_clear_node(struct intern *in, struct view_node *n);
void project_clear_acc(struct intern *in, struct view_node *n);

/* The same for a record whose content somebody else holds now: nothing is let go. */
void project_empty_node(struct view_node *n);
void project_empty_acc(struct view_node *n);

/* The hash that plan_hash() gives when a stored AcceleratorNode holds what was planned. */
uint64_t project_hash(const struct json *acc);

/* The version of an object, 0 when it is no number. */
uint64_t project_version(const struct json *obj);

/* The pods of a PodList, in @a. @resources: names of ours (const char *). -ENOMEM. */
int project_pods(struct arena *a, const struct json *list, const struct list *resources,
	struct view_pod **ret, size_t *ret_n) _must_check_;

/* An empty record of the gang @key in an arena of its own of @size bytes; NULL when memory is short. */
struct view_gang *project_gang_new(const char *key, size_t size);
/* Adds the nodes of those pods of a PodList that are in the gang and have not ended. -ENOMEM. */
int project_gang(struct view_gang *g, const struct json *list) _must_check_;

/* Decimal digits with an optional sign, nothing else. -EINVAL. */
int project_int(const char *s, size_t len, int64_t *ret);
