// SPDX-License-Identifier: Apache-2.0
/* One resource as the kubelet sees it: a socket, its registration, the streams that watch its list,
 * and the methods of v1beta1.DevicePlugin. */
#pragma once

#include "buf.h"
#include "grpc.h"
#include "metrics.h"
#include "prestart.h"
#include "registration.h"
#include "snapshot.h"
#include "topology.h"

enum {
	ENDPOINT_MAX = 64, /* leaves room for the folder in sun_path */
	LIST_MAX = 4 << 20,
};

/* What all resources of a process share. */
struct resource_host {
	struct loop *loop;
	struct metrics *metrics;
	const char *kubelet_dir;
	char *kubelet_socket;
	const struct snapshot *snapshot; /* answers come from these two */
	const struct topology *topology;
	struct prestart prestart;
	char tag[16]; /* makes our sockets' names unique, also among pods that are all pid 1 */
	unsigned serial; /* of resources ever made: part of their sockets' names */
	bool is_stopping;
	bool has_others; /* another plugin may have taken the stream that ended last */
	bool (*on_stream_lost)(void *user); /* NULL */
	void *user;
};

struct resource {
	struct resource_host *host;
	struct resource *next; /* the owner's list */
	char *name, *labels; /* labels: resource="…" */
	char *socket;
	char endpoint[ENDPOINT_MAX];
	struct grpc_server *server;
	struct registration *registration;
	struct stream *streams; /* newest first */
	size_t n_streams;
	struct buf list; /* as it was sent last */
	uint64_t version;
	bool wants_pre_start;
	bool is_leaving, is_lost_logged;
	uint64_t leave_at_us;
	char *last_error; /* logged once */
};

/* The socket serves when this returns; then the kubelet is told. @list (of message_list()) is handed over. */
int resource_new(struct resource_host *h, const char *name, bool wants_pre_start,
	struct buf *list, struct resource **ret, struct err *e) _must_check_;
void resource_free(struct resource *r);
DEFINE_CLEANUP(struct resource, resource_free)
/* Does the kubelet have to ask before each container's start? */
void resource_pre_start(struct resource *r, bool wants_pre_start);
/* Tells the streams when @list says something new, and takes it over then. */
void resource_list(struct resource *r, struct buf *list);
/* An empty list, then the end of its streams and its socket; free it when its connections are gone. */
void resource_leave(struct resource *r);
/* SIGTERM: streams end with status 0, the socket goes; the last list stands. */
void resource_stop(struct resource *r);
