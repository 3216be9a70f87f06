// SPDX-License-Identifier: Apache-2.0
/* The kubelet's side of us: one socket for each resource, its registration, the streams that watch
 * its list, and the answers. */
#pragma once

#include "metrics.h"
#include "prestart.h"
#include "registration.h"
#include "snapshot.h"
#include "topology.h"

struct service;

struct service_options {
	const char *kubelet_dir; /* outlives it */
	struct metrics *metrics;
	struct prestart prestart; /* what its texts point at outlives it */
	/* The kubelet ended the stream of a resource. True when another plugin may have come for it: then
	 * it is not fought for at once. May be NULL. */
	bool (*on_stream_lost)(void *user);
	void *user;
};

/* Removes sockets that dead processes of ours left in the folder. */
int service_new(struct loop *l, const struct service_options *o, struct service **ret,
	struct err *e) _must_check_;
void service_free(struct service *s);
DEFINE_CLEANUP(struct service, service_free)

/* From now on answers from @snapshot and @topology, which must live until the next update. Serves
 * new resources before registering them, ends those that are no more, and tells every stream whose
 * list changed. A resource that cannot be served is logged, and tried again at the next update. */
void service_update(struct service *s, const struct snapshot *snapshot,
	const struct topology *topology);

/* SIGTERM: streams end with status 0, sockets go. */
void service_stop(struct service *s);
/* No connection is open any more. */
bool service_is_idle(const struct service *s);

size_t service_len(const struct service *s);
/* Name and state of the @i-th resource. */
const char *service_resource(
	const struct service *s, size_t i, enum registration_state *ret_state);
