// SPDX-License-Identifier: Apache-2.0
/* The kubelet's requests: each is answered with a well-formed message or with a status that says why,
 * and no answer names a device that was not asked for. The first byte chooses the method and the resource. */
#include <deviceplugin.pb-c.h>

#include "device-plugin/messages.h"
#include "fuzz.h"

enum { UNITS = 6 };

static struct api_class classes[2];
static struct device devices[3];
static struct claim_node nodes[] = { { "/dev/edu0", "/run/farrier/dev/edu0", "rw" } };
static struct claim claims[3];
static struct unit units[UNITS];
static struct resource_view views[2];
static struct snapshot snapshot;
static struct topology topology = { .n = 2, .slit = { { 10, 20 }, { 20, 10 } } };

/* a: two devices with CDI, one of them ill; b: one device in four replicas, without CDI. */
static void make_world(void)
{
	static const struct kv env[] = { { "MODE", "1" } };
	static const struct api_mount mounts[] = { { "/opt/a", "/opt/b", true } };
	static char ids[UNITS][8] = { "d0", "d1", "d2::0", "d2::1", "d2::2", "d2::3" };

	for (size_t i = 0; i < 3; i++) {
		(void)snprintf(devices[i].id, sizeof(devices[i].id), "d%zu", i);
		(void)snprintf(devices[i].pcie_root, 32, "pci0000:%zu", i);
		devices[i].syspath = (char *)(uintptr_t) "devices/pci0000:00/x";
		devices[i].numa_node = (int)i - 1;
		claims[i] = (struct claim){ .device = &devices[i],
			.class_ = &classes[i / 2],
			.health = i == 1 ? HEALTH_UNHEALTHY : HEALTH_HEALTHY,
			.text = "it is ill",
			.nodes = nodes,
			.n_nodes = 1,
			.has_nodes = true };
	}
	classes[0].meta.name = "a";
	classes[0].spec.cdi = true;
	classes[1].meta.name = "b";
	classes[1].spec.env = (struct list){ (void *)(uintptr_t)env, 1 };
	classes[1].spec.mounts = (struct list){ (void *)(uintptr_t)mounts, 1 };
	classes[1].spec.sharing.present = true;
	classes[1].spec.sharing.strategy = API_SHARING_TIMESLICE;
	classes[1].spec.sharing.time_slice.replicas = 4;
	classes[1].spec.sharing.time_slice.max_per_request = 2;
	for (size_t i = 0; i < UNITS; i++)
		units[i] = (struct unit){ ids[i], &claims[MIN(i, 2)] };
	views[0] = (struct resource_view){ "x.io/a", units, 2, true };
	views[1] = (struct resource_view){ "x.io/b", units + 2, 4, false };
	snapshot = (struct snapshot){
		.claims = claims, .n_claims = 3, .resources = views, .n_resources = 2
	};
}

static void check_allocate(const struct buf *out, const uint8_t *msg, size_t len)
{
	V1beta1__AllocateRequest *in = v1beta1__allocate_request__unpack(NULL, len, msg);
	V1beta1__AllocateResponse *a = v1beta1__allocate_response__unpack(
		NULL, out->len, (const uint8_t *)buf_cstr(out));

	HOLDS(in && a && a->n_container_responses == in->n_container_requests);
	for (size_t i = 0; i < a->n_container_responses; i++) {
		const V1beta1__ContainerAllocateResponse *c = a->container_responses[i];
		size_t asked = in->container_requests[i]->n_devices_ids;

		HOLDS(c->n_cdi_devices <= asked && c->n_devices <= asked);
		HOLDS(asked == 0 || c->n_cdi_devices + c->n_devices > 0);
		for (size_t k = 0; k < c->n_cdi_devices; k++)
			HOLDS(strstr(c->cdi_devices[k]->name, "=d0"));
		HOLDS(c->n_envs <= 1 && c->n_mounts <= 1);
	}
	v1beta1__allocate_request__free_unpacked(in, NULL);
	v1beta1__allocate_response__free_unpacked(a, NULL);
}

static bool has(char *const *ids, size_t n, const char *id)
{
	size_t i;

	for (i = 0; i < n && !streq(ids[i], id); i++)
		;
	return i < n;
}

static void check_preferred(const struct buf *out, const uint8_t *msg, size_t len)
{
	V1beta1__PreferredAllocationRequest *in =
		v1beta1__preferred_allocation_request__unpack(NULL, len, msg);
	V1beta1__PreferredAllocationResponse *a =
		v1beta1__preferred_allocation_response__unpack(
			NULL, out->len, (const uint8_t *)buf_cstr(out));

	HOLDS(in && a && a->n_container_responses == in->n_container_requests);
	for (size_t i = 0; i < a->n_container_responses; i++) {
		const V1beta1__ContainerPreferredAllocationRequest *q =
			in->container_requests[i];
		size_t n = a->container_responses[i]->n_deviceids;
		char **ids = a->container_responses[i]->deviceids;

		/* All of what was asked, or nothing: then the kubelet chooses. */
		HOLDS(n == 0 || n == (size_t)q->allocation_size);
		for (size_t k = 0; k < n; k++) {
			HOLDS(has(q->available_deviceids, q->n_available_deviceids,
				ids[k]));
			HOLDS(!has(ids, k, ids[k]));
		}
		for (size_t k = 0; n && k < q->n_must_include_deviceids; k++)
			HOLDS(has(ids, n, q->must_include_deviceids[k]));
	}
	v1beta1__preferred_allocation_request__free_unpacked(in, NULL);
	v1beta1__preferred_allocation_response__free_unpacked(a, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct answer_context x = { .snapshot = &snapshot, .topology = &topology };
	CLEANUP(buf_done) struct buf out = { 0 };
	enum grpc_status s;
	struct err e = { 0 };
	unsigned what;

	if (len < 1)
		return 0;
	if (!snapshot.claims)
		make_world();
	what = data[0];
	data++;
	len--;
	x.resource = (const char *[]){ "x.io/a", "x.io/b", "x.io/none" }[what / 3 % 3];
	buf_init(&out, ANSWER_BYTES_MAX);
	if (what % 3 == 0)
		s = answer_allocate(&x, data, len, &out, &e);
	else if (what % 3 == 1)
		s = answer_preferred(&x, data, len, &out, &e);
	else
		s = answer_pre_start(&x, data, len, &out, &e);
	if (s != GRPC_OK) {
		HOLDS(out.len == 0);
		HOLDS(s == GRPC_RESOURCE_EXHAUSTED || e.text[0]);
		return 0;
	}
	if (what % 3 == 0)
		check_allocate(&out, data, len);
	else if (what % 3 == 1)
		check_preferred(&out, data, len);
	else
		HOLDS(out.len == 0);
	return 0;
}
