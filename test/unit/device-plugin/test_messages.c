// SPDX-License-Identifier: Apache-2.0
/* What a kubelet is told and answered: lists, allocations, and requests that make no sense. */
#include "snapshot_fixture.h"

#include <deviceplugin.pb-c.h>

#include "device-plugin/messages.h"

static void list_message(void **state)
{
	V1beta1__ListAndWatchResponse *list;
	struct world w;
	struct buf out;
	size_t left_out = 1;

	world_new(&w, edu);
	buf_init(&out, 1 << 20);
	assert_int_equal(message_list(&w.s->resources[0], &out, &left_out), 0);
	assert_int_equal(left_out, 0);
	list = v1beta1__list_and_watch_response__unpack(
		NULL, out.len, (uint8_t *)out.data);
	assert_non_null(list);
	assert_int_equal(list->n_devices, 2);
	assert_string_equal(list->devices[0]->id, ID_A);
	assert_string_equal(list->devices[0]->health, "Healthy");
	assert_int_equal(
		list->devices[0]->topology->n_nodes, 1); /* node 0: an empty NUMANode */
	assert_int_equal(list->devices[0]->topology->nodes[0]->id, 0);
	assert_null(list->devices[1]->topology); /* -1: none */
	v1beta1__list_and_watch_response__free_unpacked(list, NULL);
	buf_done(&out);
	world_done(&w);
}

/* A list never grows past what a kubelet takes. */
static void list_has_a_cap(void **state)
{
	static struct unit units[60000];
	struct device d = { .numa_node = 1 };
	struct claim c = { .device = &d };
	struct resource_view v = { "farrier.dev/many", units, ARRAY_SIZE(units), false };
	struct buf out;
	size_t left_out = 0;

	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		units[i] = (struct unit){
			"0000:21:00.0::a-name-that-is-as-long-as-a-kubelet-takes-it-0000",
			&c
		};
	buf_init(&out, 8 << 20);
	assert_int_equal(message_list(&v, &out, &left_out), 0);
	assert_true(out.len < 4 << 20);
	assert_true(left_out > 0 && left_out < ARRAY_SIZE(units) / 2);
	buf_done(&out);
}

static enum grpc_status allocate(struct world *w, const char *const *ids, size_t n,
	V1beta1__AllocateResponse **ret, struct err *e)
{
	struct topology t = { 0 };
	struct answer_context x = { w->s, &t, "farrier.dev/edu" };
	V1beta1__AllocateRequest in = V1BETA1__ALLOCATE_REQUEST__INIT;
	V1beta1__ContainerAllocateRequest c = V1BETA1__CONTAINER_ALLOCATE_REQUEST__INIT,
					  *cs[] = { &c };
	uint8_t msg[4096];
	size_t len;
	struct buf out;
	enum grpc_status s;

	c.n_devices_ids = n;
	c.devices_ids = (char **)(uintptr_t)ids;
	in.n_container_requests = 1;
	in.container_requests = cs;
	len = v1beta1__allocate_request__pack(&in, msg);
	buf_init(&out, 1 << 20);
	s = answer_allocate(&x, msg, len, &out, e);
	if (s == GRPC_OK)
		*ret = v1beta1__allocate_response__unpack(
			NULL, out.len, (uint8_t *)out.data);
	buf_done(&out);
	return s;
}

static void allocations(void **state)
{
	const char *ids[] = { ID_B, ID_A }, *unknown[] = { ID_A, "x" };
	V1beta1__AllocateResponse *r = NULL;
	struct err e = { 0 };
	struct world w;

	world_new(&w, edu);
	assert_int_equal(allocate(&w, ids, 2, &r, &e), GRPC_OK);
	assert_int_equal(r->n_container_responses, 1);
	assert_int_equal(r->container_responses[0]->n_devices, 0);
	assert_int_equal(r->container_responses[0]->n_cdi_devices, 2);
	assert_string_equal(
		r->container_responses[0]->cdi_devices[0]->name, "farrier.dev/edu=" ID_B);
	v1beta1__allocate_response__free_unpacked(r, NULL);
	assert_int_equal(allocate(&w, unknown, 2, &r, &e), GRPC_NOT_FOUND);
	fake_remove(&dev_a);
	see(&w);
	assert_int_equal(allocate(&w, ids + 1, 1, &r, &e), GRPC_FAILED_PRECONDITION);
	assert_non_null(strstr(e.text, "DeviceLost"));
	world_done(&w);
}

static void replicas(void **state)
{
	const char *two[] = { ID_A "::0", ID_A "::1" },
		   *three[] = { ID_A "::0", ID_A "::1", ID_B "::1" };
	V1beta1__AllocateResponse *r = NULL;
	struct err e = { 0 };
	struct world w;

	world_new(&w,
		class_with(
			"  sharing: { strategy: TimeSlice, timeSlice: { replicas: 12, maxPerRequest: 2 } }\n"));
	assert_int_equal(w.s->resources[0].n_units, 24);
	assert_non_null(resource_unit(&w.s->resources[0], ID_A "::11"));
	assert_null(resource_unit(&w.s->resources[0], ID_A "::12"));
	assert_null(resource_unit(&w.s->resources[0], ID_A));
	assert_int_equal(allocate(&w, two, 2, &r, &e), GRPC_OK);
	assert_int_equal(
		r->container_responses[0]->n_cdi_devices, 1); /* one device, once */
	v1beta1__allocate_response__free_unpacked(r, NULL);
	assert_int_equal(allocate(&w, three, 3, &r, &e), GRPC_INVALID_ARGUMENT);
	world_done(&w);
}

/* Hostile requests: an answer or an error, never a crash. */
static void broken_requests(void **state)
{
	struct topology t = { 0 };
	struct world w;
	uint32_t x = 99;

	world_new(&w, edu);
	for (int round = 0; round < 2000; round++) {
		struct answer_context c = { w.s, &t,
			round % 2 ? "farrier.dev/edu" : "farrier.dev/none" };
		uint8_t msg[64];
		struct buf out;
		struct err e = { 0 };

		for (size_t i = 0; i < sizeof(msg); i++) {
			x = x * 1664525u + 1013904223u;
			msg[i] = (uint8_t)(x >> 24) % (round % 3 ? 20 : 255);
		}
		buf_init(&out, 1 << 20);
		(void)answer_allocate(&c, msg, (size_t)round % sizeof(msg), &out, &e);
		(void)answer_preferred(&c, msg, (size_t)round % sizeof(msg), &out, &e);
		(void)answer_pre_start(&c, msg, (size_t)round % sizeof(msg), &out, &e);
		buf_done(&out);
	}
	world_done(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(list_message),
		cmocka_unit_test(list_has_a_cap),
		T(allocations),
		T(replicas),
		T(broken_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
