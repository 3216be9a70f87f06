// SPDX-License-Identifier: Apache-2.0
/* The kubelet's messages in protobuf: lists of devices, allocations, preferences. */
#include "messages.h"

#include <stdio.h>

#include <deviceplugin.pb-c.h>

#include "cdi.h"

enum { REQUEST_ARENA_MAX = 64 << 20, UNITS_PER_REQUEST_MAX = 100000 };

/* protobuf-c's memory comes from an arena: zeroed (its issue 690), capped (796), freed at once. */
static void *pb_alloc(void *arena, size_t size)
{
	return arena_alloc(arena, size);
}

static void pb_free(void *arena, void *p)
{
}

static int pack(const ProtobufCMessage *m, size_t max, struct buf *out)
{
	CLEANUP(freep) uint8_t *bytes = NULL;
	size_t n = protobuf_c_message_get_packed_size(m);

	if (n > max)
		return -ENOBUFS;
	bytes = malloc(n ? n : 1);
	if (!bytes)
		return -ENOMEM;
	(void)protobuf_c_message_pack(m, bytes);
	return buf_add(out, bytes, n);
}

/* ---- what we say unasked ---- */
int message_options(bool wants_pre_start, struct buf *out)
{
	V1beta1__DevicePluginOptions m = V1BETA1__DEVICE_PLUGIN_OPTIONS__INIT;

	m.get_preferred_allocation_available = true;
	m.pre_start_required = wants_pre_start;
	return pack(&m.base, ANSWER_BYTES_MAX, out);
}

int message_register(
	const char *endpoint, const char *resource, bool wants_pre_start, struct buf *out)
{
	V1beta1__DevicePluginOptions o = V1BETA1__DEVICE_PLUGIN_OPTIONS__INIT;
	V1beta1__RegisterRequest m = V1BETA1__REGISTER_REQUEST__INIT;

	o.get_preferred_allocation_available = true;
	o.pre_start_required = wants_pre_start;
	m.version = (char *)(uintptr_t) "v1beta1";
	m.endpoint = (char *)(uintptr_t)endpoint;
	m.resource_name = (char *)(uintptr_t)resource;
	m.options = &o;
	return pack(&m.base, ANSWER_BYTES_MAX, out);
}

/* One device at a time, as the repeated field 1 of the list: a large list needs no tree. */
int message_list(const struct resource_view *v, struct buf *out, size_t *ret_left_out)
{
	V1beta1__ListAndWatchResponse list = V1BETA1__LIST_AND_WATCH_RESPONSE__INIT;
	V1beta1__NUMANode node = V1BETA1__NUMANODE__INIT, *nodes[] = { &node };
	V1beta1__TopologyInfo topology = V1BETA1__TOPOLOGY_INFO__INIT;
	V1beta1__Device d = V1BETA1__DEVICE__INIT, *one[] = { &d };
	size_t start = out->len;
	int r;

	list.n_devices = 1;
	list.devices = one;
	topology.n_nodes = 1;
	topology.nodes = nodes;
	*ret_left_out = 0;
	for (size_t i = 0; i < v->n_units; i++) {
		const struct claim *c = v->units[i].claim;

		d.id = (char *)(uintptr_t)v->units[i].id;
		d.health = claim_is_healthy(c) ? (char *)(uintptr_t) "Healthy"
					       : (char *)(uintptr_t) "Unhealthy";
		/* Without a node: no TopologyInfo. Node 0 is an empty NUMANode. */
		node.id = c->device->numa_node;
		d.topology = c->device->numa_node < 0 ? NULL : &topology;
		r = pack(&list.base, LIST_BYTES_MAX - (out->len - start), out);
		if (r == -ENOBUFS) {
			*ret_left_out = v->n_units - i;
			return 0;
		}
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- requests ---- */
struct request {
	const struct answer_context *x;
	const struct resource_view *view; /* NULL when it has no units now */
	struct arena *arena;
	ProtobufCAllocator allocator;
};

static int request_init(struct request *q, const struct answer_context *x)
{
	q->x = x;
	q->view = snapshot_resource(x->snapshot, x->resource);
	q->arena = arena_new(REQUEST_ARENA_MAX);
	q->allocator = (ProtobufCAllocator){ pb_alloc, pb_free, q->arena };
	return q->arena ? 0 : -ENOMEM;
}

static void request_done(struct request *q)
{
	arena_free(q->arena);
}

/* Every id must be known and healthy; *ret_units is in the order asked. */
static enum grpc_status units_of_ids(struct request *q, char **ids, size_t n,
	const struct unit ***ret_units, struct err *e)
{
	const struct unit **units;

	if (n > UNITS_PER_REQUEST_MAX) {
		(void)err_set(e, -E2BIG, "too many devices in one request");
		return GRPC_INVALID_ARGUMENT;
	}
	units = arena_array(q->arena, n + 1, sizeof(struct unit *));
	if (!units)
		return GRPC_RESOURCE_EXHAUSTED;
	for (size_t i = 0; i < n; i++) {
		const struct unit *u = q->view ? resource_unit(q->view, ids[i]) : NULL;

		if (!u) {
			(void)err_set(e, -ENOENT, "device '%.64s' is not known", ids[i]);
			return GRPC_NOT_FOUND;
		}
		if (!claim_is_healthy(u->claim)) {
			(void)err_set(e, -ENODEV, "device '%s' is not healthy: %s: %s",
				u->id, reason_name(u->claim->reason), u->claim->text);
			return GRPC_FAILED_PRECONDITION;
		}
		units[i] = u;
	}
	*ret_units = units;
	return GRPC_OK;
}

/* Each device once, however many of its replicas were given. */
static bool is_first_of_device(const struct unit *const *units, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (units[k]->claim == units[i]->claim)
			return false;
	return true;
}

static int add_cdi(
	struct request *q, V1beta1__ContainerAllocateResponse *c, const struct claim *k)
{
	V1beta1__CDIDevice *d = arena_alloc(q->arena, sizeof(*d));
	char name[512];
	int r = cdi_device(k->class_->meta.name, k->device->id, name, sizeof(name));

	if (!d || r < 0)
		return r < 0 ? r : -ENOMEM;
	v1beta1__cdidevice__init(d);
	d->name = arena_strdup(q->arena, name);
	c->cdi_devices[c->n_cdi_devices++] = d;
	return d->name ? 0 : -ENOMEM;
}

/* Those of other vendors' specs that go with the device. */
static int add_other_cdi(
	struct request *q, V1beta1__ContainerAllocateResponse *c, const struct claim *k)
{
	for (size_t i = 0; i < k->n_cdi_devices; i++) {
		V1beta1__CDIDevice *d = arena_alloc(q->arena, sizeof(*d));

		if (!d)
			return -ENOMEM;
		v1beta1__cdidevice__init(d);
		d->name = (char *)(uintptr_t)k->cdi_devices[i];
		c->cdi_devices[c->n_cdi_devices++] = d;
	}
	return 0;
}

static int add_nodes(
	struct request *q, V1beta1__ContainerAllocateResponse *c, const struct claim *k)
{
	for (size_t i = 0; i < k->n_nodes; i++) {
		V1beta1__DeviceSpec *d = arena_alloc(q->arena, sizeof(*d));

		if (!d)
			return -ENOMEM;
		v1beta1__device_spec__init(d);
		d->container_path = (char *)(uintptr_t)k->nodes[i].path;
		d->host_path = (char *)(uintptr_t)k->nodes[i].link;
		d->permissions = (char *)(uintptr_t)k->nodes[i].permissions;
		c->devices[c->n_devices++] = d;
	}
	return 0;
}

/* Mounts and environment of a class without CDI; with it, they are in the spec. */
static int add_class(struct request *q, V1beta1__ContainerAllocateResponse *c,
	const struct api_class_spec *spec)
{
	const struct api_mount *m = spec->mounts.items;
	const struct kv *kv = spec->env.items;

	c->mounts = arena_array(q->arena, spec->mounts.n + 1, sizeof(V1beta1__Mount *));
	c->envs = arena_array(q->arena, spec->env.n + 1,
		sizeof(V1beta1__ContainerAllocateResponse__EnvsEntry *));
	if (!c->mounts || !c->envs)
		return -ENOMEM;
	for (size_t i = 0; i < spec->mounts.n; i++) {
		V1beta1__Mount *o = arena_alloc(q->arena, sizeof(*o));

		if (!o)
			return -ENOMEM;
		v1beta1__mount__init(o);
		o->container_path = (char *)(uintptr_t)m[i].container_path;
		o->host_path = (char *)(uintptr_t)m[i].host_path;
		o->read_only = m[i].read_only;
		c->mounts[c->n_mounts++] = o;
	}
	for (size_t i = 0; i < spec->env.n; i++) {
		V1beta1__ContainerAllocateResponse__EnvsEntry *o = arena_alloc(
			q->arena, sizeof(*o));

		if (!o)
			return -ENOMEM;
		v1beta1__container_allocate_response__envs_entry__init(o);
		o->key = (char *)(uintptr_t)kv[i].key;
		o->value = (char *)(uintptr_t)kv[i].value;
		c->envs[c->n_envs++] = o;
	}
	return 0;
}

static enum grpc_status allocate_one(struct request *q,
	const V1beta1__ContainerAllocateRequest *in,
	V1beta1__ContainerAllocateResponse *out, struct err *e)
{
	const struct unit **units = NULL;
	size_t n = in->n_devices_ids, n_nodes = 0, n_cdi = 0;
	enum grpc_status s = units_of_ids(q, in->devices_ids, n, &units, e);
	int r = 0;

	if (s != GRPC_OK)
		return s;
	for (size_t i = 0; i < n; i++) {
		const struct api_class_spec *c = &units[i]->claim->class_->spec;
		int64_t max = c->sharing.time_slice.max_per_request;

		n_nodes += units[i]->claim->n_nodes;
		n_cdi += 1 + units[i]->claim->n_cdi_devices;
		if (c->sharing.present && c->sharing.strategy == API_SHARING_TIMESLICE &&
			max > 0 && n > (size_t)max) {
			(void)err_set(e, -EINVAL,
				"%zu replicas asked for, class '%s' allows %lld per request",
				n, units[i]->claim->class_->meta.name, (long long)max);
			return GRPC_INVALID_ARGUMENT;
		}
	}
	out->cdi_devices = arena_array(q->arena, n_cdi + 1, sizeof(V1beta1__CDIDevice *));
	out->devices = arena_array(q->arena, n_nodes + 1, sizeof(V1beta1__DeviceSpec *));
	if (!out->cdi_devices || !out->devices)
		return GRPC_RESOURCE_EXHAUSTED;
	for (size_t i = 0; i < n && r == 0; i++) {
		const struct claim *c = units[i]->claim;

		if (!is_first_of_device(units, i))
			continue;
		if (c->class_->spec.cdi) {
			r = add_cdi(q, out, c);
			if (r == 0)
				r = add_other_cdi(q, out, c);
			continue;
		}
		r = add_nodes(q, out, c);
		if (r == 0 && out->n_envs == 0 && out->n_mounts == 0)
			r = add_class(q, out, &c->class_->spec);
	}
	return r == 0 ? GRPC_OK : GRPC_RESOURCE_EXHAUSTED;
}

static enum grpc_status finish(
	struct request *q, enum grpc_status s, const ProtobufCMessage *m, struct buf *out)
{
	if (s == GRPC_OK && pack(m, ANSWER_BYTES_MAX, out) < 0)
		s = GRPC_RESOURCE_EXHAUSTED;
	request_done(q);
	return s;
}

static enum grpc_status not_understood(struct request *q, struct err *e)
{
	request_done(q);
	(void)err_set(e, -EBADMSG, "the request is no valid message");
	return GRPC_INVALID_ARGUMENT;
}

enum grpc_status answer_allocate(const struct answer_context *x, const uint8_t *msg,
	size_t len, struct buf *out, struct err *e)
{
	V1beta1__AllocateResponse answer = V1BETA1__ALLOCATE_RESPONSE__INIT;
	V1beta1__AllocateRequest *in;
	enum grpc_status s = GRPC_OK;
	struct request q;

	if (request_init(&q, x) < 0)
		return GRPC_RESOURCE_EXHAUSTED;
	in = v1beta1__allocate_request__unpack(&q.allocator, len, msg);
	if (!in)
		return not_understood(&q, e);
	answer.container_responses = arena_array(q.arena, in->n_container_requests + 1,
		sizeof(V1beta1__ContainerAllocateResponse *));
	if (!answer.container_responses)
		s = GRPC_RESOURCE_EXHAUSTED;
	for (size_t i = 0; i < in->n_container_requests && s == GRPC_OK; i++) {
		V1beta1__ContainerAllocateResponse *c = arena_alloc(q.arena, sizeof(*c));

		if (!c) {
			s = GRPC_RESOURCE_EXHAUSTED;
			break;
		}
		v1beta1__container_allocate_response__init(c);
		answer.container_responses[answer.n_container_responses++] = c;
		s = allocate_one(&q, in->container_requests[i], c, e);
	}
	return finish(&q, s, &answer.base, out);
}

/* ---- preferences ---- */

static bool has_id(char *const *ids, size_t n, const char *id)
{
	for (size_t i = 0; i < n; i++)
		if (streq(ids[i], id))
			return true;
	return false;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Replicas of each point's device that are not free now. Replicas lie together: both lists are sorted. */
static void set_loads(const struct request *q, struct topology_point *p, size_t n)
{
	for (size_t i = 0, end; i < n; i = end) {
		const struct unit *u = resource_unit(q->view, p[i].id);
		unsigned all = 0, taken;

		for (end = i; end < n && streq(p[end].device, p[i].device); end++)
			;
		if (!u || !u->claim->class_->spec.sharing.present)
			continue;
		for (size_t k = 0; k < q->view->n_units; k++)
			all += q->view->units[k].claim == u->claim;
		taken = all > end - i ? all - (unsigned)(end - i) : 0;
		for (size_t k = i; k < end; k++)
			p[k].load = taken;
	}
}

/* What the class of the resource's first device wants: see topology.prefer. */
static struct topology_order order_of(const struct resource_view *v)
{
	static const enum topology_key keys[] = { TOPOLOGY_KEY_NUMA, TOPOLOGY_KEY_PCIE };
	const struct list *l = &v->units[0].claim->class_->spec.topology.prefer;
	const char *const *names = l->items;
	struct topology_order o = { TOPOLOGY_KEY_NONE, TOPOLOGY_KEY_NONE };

	for (size_t i = 0; i < l->n; i++) {
		enum topology_key k = keys[streq(names[i], "pcieRoot")];

		if (o.first == TOPOLOGY_KEY_NONE)
			o.first = k;
		else if (k != o.first)
			o.second = k;
	}
	return o;
}

/* Never an error: what cannot be preferred is left to the kubelet. */
static int prefer_one(struct request *q,
	const V1beta1__ContainerPreferredAllocationRequest *in,
	V1beta1__ContainerPreferredAllocationResponse *out)
{
	size_t n_in = in->n_available_deviceids, n = 0;
	size_t want = in->allocation_size > 0 ? (size_t)in->allocation_size : 0;
	char **ids = in->available_deviceids;
	struct topology_point *p = arena_array(q->arena, n_in + 1, sizeof(*p));
	bool *is_must = arena_array(q->arena, n_in + 1, sizeof(bool));
	bool *is_chosen = arena_array(q->arena, n_in + 1, sizeof(bool));
	struct topology_order order;

	out->deviceids = arena_array(q->arena, n_in + 1, sizeof(char *));
	if (!p || !is_must || !is_chosen || !out->deviceids)
		return -ENOMEM;
	if (!q->view || n_in > UNITS_PER_REQUEST_MAX)
		return 0;
	if (n_in)
		qsort(ids, n_in, sizeof(char *), by_text);
	for (size_t i = 0; i < n_in; i++) {
		const struct unit *u = resource_unit(q->view, ids[i]);
		const struct device *d = u ? u->claim->device : NULL;

		if (!d || (i > 0 && streq(ids[i], ids[i - 1])))
			continue;
		p[n] = (struct topology_point){ u->id, d->id, d->syspath, d->pcie_root,
			d->numa_node, 0 };
		is_must[n] = has_id(
			in->must_include_deviceids, in->n_must_include_deviceids, u->id);
		n++;
	}
	if (n < q->view->n_units)
		set_loads(q, p, n);
	for (size_t i = 0; i < in->n_must_include_deviceids; i++)
		if (!has_id(ids, n_in, in->must_include_deviceids[i]) ||
			!resource_unit(q->view, in->must_include_deviceids[i]))
			return 0;
	order = order_of(q->view);
	if (topology_prefer(q->x->topology, &order, p, n, is_must, want, is_chosen) < 0)
		return 0;
	for (size_t i = 0; i < n; i++)
		if (is_chosen[i])
			out->deviceids[out->n_deviceids++] = (char *)(uintptr_t)p[i].id;
	return 0;
}

enum grpc_status answer_preferred(const struct answer_context *x, const uint8_t *msg,
	size_t len, struct buf *out, struct err *e)
{
	V1beta1__PreferredAllocationResponse answer =
		V1BETA1__PREFERRED_ALLOCATION_RESPONSE__INIT;
	V1beta1__PreferredAllocationRequest *in;
	enum grpc_status s = GRPC_OK;
	struct request q;

	if (request_init(&q, x) < 0)
		return GRPC_RESOURCE_EXHAUSTED;
	in = v1beta1__preferred_allocation_request__unpack(&q.allocator, len, msg);
	if (!in)
		return not_understood(&q, e);
	answer.container_responses = arena_array(q.arena, in->n_container_requests + 1,
		sizeof(V1beta1__ContainerPreferredAllocationResponse *));
	if (!answer.container_responses)
		s = GRPC_RESOURCE_EXHAUSTED;
	for (size_t i = 0; i < in->n_container_requests && s == GRPC_OK; i++) {
		V1beta1__ContainerPreferredAllocationResponse *c = arena_alloc(
			q.arena, sizeof(*c));

		if (c) {
			v1beta1__container_preferred_allocation_response__init(c);
			answer.container_responses[answer.n_container_responses++] = c;
		}
		if (!c || prefer_one(&q, in->container_requests[i], c) < 0)
			s = GRPC_RESOURCE_EXHAUSTED;
	}
	return finish(&q, s, &answer.base, out);
}

enum grpc_status answer_pre_start(const struct answer_context *x, const uint8_t *msg,
	size_t len, struct buf *out, struct err *e)
{
	V1beta1__PreStartContainerResponse answer =
		V1BETA1__PRE_START_CONTAINER_RESPONSE__INIT;
	V1beta1__PreStartContainerRequest *in;
	const struct unit **units = NULL;
	enum grpc_status s;
	struct request q;

	if (request_init(&q, x) < 0)
		return GRPC_RESOURCE_EXHAUSTED;
	in = v1beta1__pre_start_container_request__unpack(&q.allocator, len, msg);
	if (!in)
		return not_understood(&q, e);
	s = units_of_ids(&q, in->devices_ids, in->n_devices_ids, &units, e);
	for (size_t i = 0; s == GRPC_OK && x->prestart && i < in->n_devices_ids; i++)
		if (is_first_of_device(units, i) &&
			prestart_check(x->prestart, units[i]->claim, e) < 0)
			s = GRPC_FAILED_PRECONDITION;
	return finish(&q, s, &answer.base, out);
}
