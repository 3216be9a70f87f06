// SPDX-License-Identifier: Apache-2.0
/* Asks the kubelet now and then, and keeps what came of it. */
#pragma once

#include "api.h"
#include "env.h"
#include "loop.h"

enum {
	TOPOLOGY_EVERY_S = 60,
	TOPOLOGY_EVERY_MIN_S = 10,
	TOPOLOGY_EVERY_MAX_S = 3600,
};
#define TOPOLOGY_SOCKET "/var/lib/kubelet/pod-resources/kubelet.sock"

struct topology_watch;

struct topology_watch_options {
	const struct env *env; /* borrowed */
	const char *socket; /* below the host's root; borrowed */
	uint64_t every_us; /* a quarter of it is added by chance */
};

/* After each round: whether something else is true than before, and why it is not known (code 0: it is). */
typedef void (*topology_fn)(bool is_changed, const struct err *e, void *user);

/* @before (may be NULL): what was said before a restart; it holds until the first round. The first round is
 * soon, the loop is never kept waiting. */
int topology_watch_new(struct loop *l, const struct topology_watch_options *o,
	const struct json *before, topology_fn fn, void *user,
	struct topology_watch **ret, struct err *e) _must_check_;
void topology_watch_free(struct topology_watch *w);
DEFINE_CLEANUP(struct topology_watch, topology_watch_free)

/* Devices changed: a round soon, though not more often than every TOPOLOGY_EVERY_MIN_S. */
void topology_watch_poke(struct topology_watch *w);

/* The newest that is known, until the next callback; NULL: none yet. While the kubelet does not answer it
 * stays as it was. */
const struct api_node_topology *topology_watch_get(const struct topology_watch *w);
