// SPDX-License-Identifier: Apache-2.0
/* What topology.c (what is said and what is there) and topology_write.c (requests) share. */
#pragma once

#include "map.h"
#include "ops.h"
#include "queue.h"
#include "topology.h"
#include "topology_body.h"

#define TOPOLOGY_NRTS TOPOLOGY_API "/noderesourcetopologies"

struct topology_entry {
	uint64_t raw; /* of status.topology; 0: there is none */
	uint64_t want; /* of what that is as an object; 0: nothing to publish */
	uint64_t have; /* of the object with our label; 0: none */
	uint64_t wrote, gave; /* what was written last, and what the server made of it */
	uint64_t until_us; /* no try before */
	uint64_t gone_us; /* since when there is nothing to publish */
	unsigned acc_list, nrt_list; /* that named it last */
	bool is_ours; /* nobody changed it */
	bool is_yielded; /* said already */
};

struct topology {
	struct kube *kube;
	struct loop *loop;
	struct metrics *metrics;
	struct loop_source *timer;
	struct http_req *look;
	struct watch *watch; /* NULL: the kind is not there */
	bool has_accs, has_nrts; /* listed */
	unsigned acc_list, nrt_list;
	struct map *entries; /* name -> struct topology_entry */
	struct map *ops;
	struct queue *queue;
	size_t in_flight;
};

/* topology.c */
bool topology_is_settled(const struct topology_entry *x);
/* Whether it is time for requests at all: everything is listed. */
bool topology_is_open(const struct topology *t);
void topology_set_have(struct topology_entry *x, const struct json *nrt);
/* Takes what AcceleratorNode @acc says; what cannot be used leaves what was wanted. -EINVAL then. */
int topology_set_want(
	struct topology *t, struct topology_entry *x, const struct json *acc);
/* Drops the entry when there is nothing to remember. */
void topology_forget_if_idle(
	struct topology *t, const char *name, const struct topology_entry *x);

/* topology_write.c: of the queue; and what opens it again after a request. */
int64_t topology_work(const char *key, void *user);
