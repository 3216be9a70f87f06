// SPDX-License-Identifier: Apache-2.0
/* The kubelet's answers out of protobuf, and the two calls that get them. */
#include "podresources.h"

#include <stdio.h>

#include <podresources.pb-c.h>

#include "grpc.h"

#define SERVICE "/v1.PodResourcesLister/"

enum { ARENA_MAX = 64 << 20 };

typedef Podresources__TopologyInfo TopologyInfo;
typedef Podresources__ContainerDevices ContainerDevices;
typedef Podresources__ContainerMemory ContainerMemory;

/* protobuf-c's memory comes from an arena: zeroed (its issue 690), capped (796), freed at once. */
static void *pb_alloc(void *arena, size_t size)
{
	return arena_alloc(arena, size);
}

static void pb_free(void *arena, void *p)
{
}

/* ---- sets ---- */

/* Counts first, fills then: with @items NULL there is room for nothing yet. */
struct sink {
	struct podres_set set;
	bool is_counting;
};

static void add_device(struct sink *k, const char *resource, const char *id, int node)
{
	struct list *l = &k->set.devices;

	if (!k->is_counting)
		((struct podres_device *)l->items)[l->n] = (struct podres_device){
			resource, id, node
		};
	l->n++;
}

static bool is_node(const TopologyInfo *t, size_t i)
{
	return t->nodes[i]->id >= 0 && t->nodes[i]->id <= PODRES_NODE_MAX;
}

static bool has_node(const TopologyInfo *t)
{
	for (size_t i = 0; t && i < t->n_nodes; i++)
		if (is_node(t, i))
			return true;
	return false;
}

static void add_devices(struct sink *k, const ContainerDevices *d)
{
	const TopologyInfo *t = d->topology;

	for (size_t i = 0; i < d->n_device_ids; i++) {
		if (k->set.devices.n > PODRES_ITEMS_MAX)
			return;
		if (!has_node(t))
			add_device(k, d->resource_name, d->device_ids[i], -1);
		for (size_t n = 0; t && n < t->n_nodes; n++)
			if (is_node(t, n))
				add_device(k, d->resource_name, d->device_ids[i],
					(int)t->nodes[n]->id);
	}
}

static void add_memory(struct sink *k, const ContainerMemory *m)
{
	const TopologyInfo *t = m->topology;
	struct list *l = &k->set.memory;

	for (size_t n = 0; t && n < t->n_nodes; n++) {
		if (!is_node(t, n))
			continue;
		if (!k->is_counting)
			((struct podres_memory *)l->items)[l->n] = (struct podres_memory){
				m->memory_type, m->size, (int)t->nodes[n]->id
			};
		l->n++;
	}
}

static void add_cpus(struct sink *k, const int64_t *ids, size_t n)
{
	struct list *l = &k->set.cpus;

	if (!k->is_counting && n > 0)
		memcpy((int64_t *)l->items + l->n, ids, n * sizeof(*ids));
	l->n += n;
}

static void add(struct sink *k, ContainerDevices **devices, size_t n_devices,
	const int64_t *cpus, size_t n_cpus, ContainerMemory **memory, size_t n_memory)
{
	for (size_t i = 0; i < n_devices; i++)
		add_devices(k, devices[i]);
	add_cpus(k, cpus, n_cpus);
	for (size_t i = 0; i < n_memory; i++)
		add_memory(k, memory[i]);
}

/* Room for what was counted; the sink is then to be filled. */
static int make_room(struct arena *a, struct sink *k, struct err *e)
{
	struct podres_set *s = &k->set;

	if (s->devices.n > PODRES_ITEMS_MAX || s->cpus.n > PODRES_ITEMS_MAX ||
		s->memory.n > PODRES_ITEMS_MAX)
		return err_set(e, -E2BIG, "more than %d devices, CPUs or memory blocks",
			PODRES_ITEMS_MAX);
	s->devices.items = arena_array(a, s->devices.n, sizeof(struct podres_device));
	s->cpus.items = arena_array(a, s->cpus.n, sizeof(int64_t));
	s->memory.items = arena_array(a, s->memory.n, sizeof(struct podres_memory));
	if (!s->devices.items || !s->cpus.items || !s->memory.items)
		return err_errno(e, -ENOMEM, "pod resources");
	s->devices.n = s->cpus.n = s->memory.n = 0;
	k->is_counting = false;
	return 0;
}

/* ---- answers ---- */

static void *unpack(struct arena *a, const ProtobufCMessageDescriptor *what,
	const void *msg, size_t len, struct err *e)
{
	ProtobufCAllocator allocator = { pb_alloc, pb_free, a };
	void *m = protobuf_c_message_unpack(what, &allocator, len, msg);

	if (!m)
		(void)err_set(e, -EBADMSG, "no '%s'", what->short_name);
	return m;
}

int podres_parse_allocatable(
	struct arena *a, const void *msg, size_t len, struct podres *p, struct err *e)
{
	const Podresources__AllocatableResourcesResponse *m = unpack(a,
		&podresources__allocatable_resources_response__descriptor, msg, len, e);
	struct sink k = { .is_counting = true };
	int r;

	if (!m)
		return -EBADMSG;
	add(&k, m->devices, m->n_devices, m->cpu_ids, m->n_cpu_ids, m->memory,
		m->n_memory);
	r = make_room(a, &k, e);
	if (r < 0)
		return r;
	add(&k, m->devices, m->n_devices, m->cpu_ids, m->n_cpu_ids, m->memory,
		m->n_memory);
	p->allocatable = k.set;
	return 0;
}

static bool is_exclusive(const Podresources__PodResources *pod)
{
	for (size_t i = 0; i < pod->n_containers; i++) {
		const Podresources__ContainerResources *c = pod->containers[i];

		if (c->n_cpu_ids > 0)
			return true;
		for (size_t k = 0; k < c->n_memory; k++)
			if (has_node(c->memory[k]->topology))
				return true;
		for (size_t k = 0; k < c->n_devices; k++)
			if (c->devices[k]->n_device_ids > 0 &&
				has_node(c->devices[k]->topology))
				return true;
	}
	return false;
}

static void add_all(struct sink *k, const Podresources__ListPodResourcesResponse *m)
{
	for (size_t i = 0; i < m->n_pod_resources; i++)
		for (size_t n = 0; n < m->pod_resources[i]->n_containers; n++) {
			const Podresources__ContainerResources *c =
				m->pod_resources[i]->containers[n];

			add(k, c->devices, c->n_devices, c->cpu_ids, c->n_cpu_ids,
				c->memory, c->n_memory);
		}
}

int podres_parse_list(
	struct arena *a, const void *msg, size_t len, struct podres *p, struct err *e)
{
	const Podresources__ListPodResourcesResponse *m = unpack(
		a, &podresources__list_pod_resources_response__descriptor, msg, len, e);
	struct sink k = { .is_counting = true };
	struct podres_pod *pods;
	int r;

	if (!m)
		return -EBADMSG;
	if (m->n_pod_resources > PODRES_ITEMS_MAX)
		return err_set(e, -E2BIG, "more than %d pods", PODRES_ITEMS_MAX);
	pods = arena_array(a, m->n_pod_resources, sizeof(*pods));
	if (!pods)
		return err_errno(e, -ENOMEM, "pod resources");
	add_all(&k, m);
	r = make_room(a, &k, e);
	if (r < 0)
		return r;
	add_all(&k, m);
	for (size_t i = 0; i < m->n_pod_resources; i++)
		pods[i] = (struct podres_pod){ m->pod_resources[i]->namespace_,
			m->pod_resources[i]->name, is_exclusive(m->pod_resources[i]) };
	p->held = k.set;
	p->pods = (struct list){ pods, m->n_pod_resources };
	return 0;
}

/* ---- asking ---- */

struct podres_ask {
	struct loop *loop;
	char *socket;
	uint64_t end_us; /* loop_now(): of both calls together */
	podres_done_fn done;
	void *user;
	struct grpc_request *req;
	struct arena *arena;
	struct podres p;
};

static void end(struct podres_ask *q, const struct err *e)
{
	q->req = NULL;
	q->done(e->code < 0 ? NULL : &q->p, e, q->user);
	podres_cancel(q);
}

/* False when the call failed; *e says why. */
static bool is_good(const struct grpc_result *res, const char *method, struct err *e)
{
	if (res->status == GRPC_OK)
		return true;
	(void)err_set(e, res->status == GRPC_UNIMPLEMENTED ? -EOPNOTSUPP : -EIO,
		"%s: %s%s%s", method, grpc_status_name(res->status),
		*res->text ? ": " : "", res->text);
	return false;
}

static void on_list(const struct grpc_result *res, void *user)
{
	struct podres_ask *q = user;
	struct err e = { 0 };

	if (is_good(res, "List", &e) &&
		podres_parse_list(q->arena, res->msg, res->len, &q->p, &e) < 0)
		(void)err_wrap(&e, e.code, "List");
	end(q, &e);
}

static int call(struct podres_ask *q, const char *path, grpc_done_fn done, struct err *e)
{
	uint64_t now = loop_now(q->loop);

	if (now >= q->end_us)
		return err_errno(e, -ETIMEDOUT, "'%s'", path);
	return grpc_request_start(
		q->loop, q->socket, path, "", 0, q->end_us - now, done, q, &q->req, e);
}

static void on_allocatable(const struct grpc_result *res, void *user)
{
	struct podres_ask *q = user;
	struct err e = { 0 };

	q->req = NULL;
	if (is_good(res, "GetAllocatableResources", &e)) {
		if (podres_parse_allocatable(q->arena, res->msg, res->len, &q->p, &e) < 0)
			(void)err_wrap(&e, e.code, "GetAllocatableResources");
		else if (call(q, SERVICE "List", on_list, &e) >= 0)
			return;
	}
	end(q, &e);
}

int podres_ask(struct loop *l, const char *socket, uint64_t timeout_us,
	podres_done_fn done, void *user, struct podres_ask **ret, struct err *e)
{
	struct podres_ask *q = calloc(1, sizeof(*q));
	int r;

	if (!q)
		return err_errno(e, -ENOMEM, "pod resources");
	*q = (struct podres_ask){ .loop = l,
		.socket = strdup(socket),
		.end_us = loop_now(l) + timeout_us,
		.done = done,
		.user = user,
		.arena = arena_new(ARENA_MAX) };
	r = q->socket && q->arena
		    ? call(q, SERVICE "GetAllocatableResources", on_allocatable, e)
		    : err_errno(e, -ENOMEM, "pod resources");
	if (r < 0) {
		podres_cancel(q);
		return r;
	}
	*ret = q;
	return 0;
}

void podres_cancel(struct podres_ask *q)
{
	if (!q)
		return;
	if (q->req)
		grpc_request_cancel(q->req);
	arena_free(q->arena);
	free(q->socket);
	free(q);
}
