// SPDX-License-Identifier: Apache-2.0
/* The kubelet's pod resources: answers good and hostile, and a kubelet that is slow, old, or away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "driver-builder/podresources.h"
#include "grpc.h"

#define BYTES(text) text, sizeof(text) - 1

/* By hand: two devices of a.b/c on nodes 0 and 1, one of d/e without; CPUs 2, 3, 300;
 * memory on node 1. */
static const char allocatable[] = "\x0a\x0f\x0a\x05"
				  "a.b/c\x12\x02"
				  "x0\x1a\x02\x0a\x00"
				  "\x0a\x11\x0a\x05"
				  "a.b/c\x12\x02"
				  "x1\x1a\x04\x0a\x02\x08\x01"
				  "\x0a\x07\x0a\x03"
				  "d/e\x12\x00"
				  "\x12\x04\x02\x03\xac\x02"
				  "\x1a\x11\x0a\x06"
				  "memory\x10\x80\x20\x1a\x04\x0a\x02\x08\x01";

/* One pod with x1 and CPU 3, one with nothing. */
static const char list[] = "\x0a\x21\x0a\x01"
			   "p\x12\x01"
			   "n\x1a\x19\x0a\x01"
			   "c\x12\x11\x0a\x05"
			   "a.b/c\x12\x02"
			   "x1\x1a\x04\x0a\x02\x08\x01\x1a\x01\x03\x0a\x00";

static struct arena *arena;
static char dir[64], path[80];
static uint64_t now_us;

static uint64_t read_clock(void *user)
{
	return now_us;
}

static int setup(void **state)
{
	arena = arena_new(4 << 20);
	(void)snprintf(dir, sizeof(dir), "/tmp/farrier-podres-XXXXXX");
	now_us = 1000 * USEC_PER_SEC;
	if (!arena || !mkdtemp(dir))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/kubelet.sock", dir);
	return 0;
}

static int teardown(void **state)
{
	arena_free(arena);
	(void)unlink(path);
	return rmdir(dir);
}

static void answers(void **state)
{
	const struct podres_device *d;
	const struct podres_memory *m;
	const struct podres_pod *pods;
	struct podres p = { 0 };
	struct err e = { 0 };

	assert_int_equal(podres_parse_allocatable(arena, BYTES(allocatable), &p, &e), 0);
	assert_int_equal(p.allocatable.devices.n, 3);
	d = p.allocatable.devices.items;
	assert_string_equal(d[0].resource, "a.b/c");
	assert_string_equal(d[0].id, "x0");
	assert_int_equal(d[0].node, 0); /* an empty NUMANode is node 0 */
	assert_int_equal(d[1].node, 1);
	assert_string_equal(d[2].resource, "d/e");
	assert_int_equal(d[2].node, -1);
	assert_int_equal(p.allocatable.cpus.n, 3);
	assert_int_equal(((int64_t *)p.allocatable.cpus.items)[2], 300);
	assert_int_equal(p.allocatable.memory.n, 1);
	m = p.allocatable.memory.items;
	assert_string_equal(m[0].type, "memory");
	assert_int_equal(m[0].size, 4096);
	assert_int_equal(m[0].node, 1);

	assert_int_equal(podres_parse_list(arena, BYTES(list), &p, &e), 0);
	assert_int_equal(p.held.devices.n, 1);
	assert_int_equal(p.held.cpus.n, 1);
	assert_int_equal(p.held.memory.n, 0);
	assert_int_equal(p.pods.n, 2);
	pods = p.pods.items;
	assert_string_equal(pods[0].name, "p");
	assert_string_equal(pods[0].namespace_, "n");
	assert_true(pods[0].is_exclusive);
	assert_string_equal(pods[1].name, "");
	assert_false(pods[1].is_exclusive);
	assert_int_equal(p.allocatable.devices.n, 3); /* the other answer stays */

	/* A kubelet that has nothing says nothing. */
	p = (struct podres){ 0 };
	assert_int_equal(podres_parse_allocatable(arena, "", 0, &p, &e), 0);
	assert_int_equal(podres_parse_list(arena, "", 0, &p, &e), 0);
	assert_int_equal(p.pods.n + p.allocatable.devices.n + p.held.cpus.n, 0);
}

/* Every answer cut off at every byte, and nodes that no machine has. */
static void hostile(void **state)
{
	static const struct {
		const char *name, *bytes;
		size_t len;
		int node;
	} cases[] = {
		{ "node -1",
			BYTES("\x0a\x15\x0a\x01"
			      "a\x12\x01x\x1a\x0d\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
			-1 },
		{ "a node like a telephone number, and one that is one",
			BYTES("\x0a\x14\x0a\x01"
			      "a\x12\x01x\x1a\x0c\x0a\x06\x08\xff\xff\xff\xff\x07\x0a\x02\x08\x03"),
			3 },
	};
	struct podres p = { 0 };
	struct err e = { 0 };
	unsigned n_bad = 0;
	char *copy;

	for (size_t n = 0; n < sizeof(allocatable) - 1; n++) {
		copy = malloc(n + 1); /* so that a byte behind it is noticed */
		assert_non_null(copy);
		memcpy(copy, allocatable, n);
		arena_reset(arena);
		n_bad += podres_parse_allocatable(arena, copy, n, &p, &e) < 0;
		n_bad += podres_parse_list(arena, copy, n, &p, &e) < 0;
		free(copy);
	}
	assert_in_range(n_bad, sizeof(allocatable) / 2, 2 * sizeof(allocatable));
	assert_int_equal(podres_parse_list(arena, BYTES("\x0a\xff"), &p, &e), -EBADMSG);
	assert_non_null(strstr(e.text, "ListPodResourcesResponse"));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct podres_device *d;

		assert_int_equal(podres_parse_allocatable(
					 arena, cases[i].bytes, cases[i].len, &p, &e),
			0);
		d = p.allocatable.devices.items;
		if (p.allocatable.devices.n != 1 || d[0].node != cases[i].node)
			fail_msg("case '%s': %d", cases[i].name, d[0].node);
	}
}

/* A small message that asks for a large table. */
static void product(void **state)
{
	enum { IDS = 3000, NODES = 1000 };
	struct buf inner CLEANUP(buf_done), nodes CLEANUP(buf_done),
		all CLEANUP(buf_done);
	struct podres p = { 0 };
	struct err e = { 0 };

	buf_init(&inner, 1 << 20);
	buf_init(&nodes, 1 << 20);
	buf_init(&all, 1 << 20);
	for (int i = 0; i < IDS; i++)
		assert_int_equal(buf_add(&inner, "\x12\x00", 2), 0);
	for (int i = 0; i < NODES; i++)
		assert_int_equal(buf_add(&nodes, "\x0a\x00", 2), 0);
	assert_int_equal(buf_add(&inner, "\x1a\xd0\x0f", 3), 0); /* 2000 */
	assert_int_equal(buf_add(&inner, nodes.data, nodes.len), 0);
	assert_int_equal(inner.len, 8003);
	assert_int_equal(buf_add(&all, "\x0a\xc3\x3e", 3), 0); /* 8003 */
	assert_int_equal(buf_add(&all, inner.data, inner.len), 0);
	assert_int_equal(
		podres_parse_allocatable(arena, all.data, all.len, &p, &e), -E2BIG);
}

/* ---- a kubelet ---- */

struct world {
	struct loop *l;
	struct grpc_server *kubelet;
	struct podres_ask *ask;
	unsigned calls, done;
	int code;
	char text[ERR_TEXT_MAX];
	size_t pods;
	bool is_old, is_silent;
};

static void on_allocatable(
	struct grpc_call *c, const uint8_t *msg, size_t len, void *user)
{
	struct world *w = user;

	w->calls++;
	assert_int_equal(len, 0);
	if (w->is_silent)
		return;
	if (w->is_old) {
		grpc_end(c, GRPC_UNIMPLEMENTED, "unknown method");
		return;
	}
	assert_int_equal(grpc_send(c, BYTES(allocatable)), 0);
	grpc_end(c, GRPC_OK, NULL);
}

static void on_list(struct grpc_call *c, const uint8_t *msg, size_t len, void *user)
{
	struct world *w = user;

	w->calls++;
	assert_int_equal(grpc_send(c, BYTES(list)), 0);
	grpc_end(c, GRPC_OK, NULL);
}

static const struct grpc_method methods[] = {
	{ "/v1.PodResourcesLister/GetAllocatableResources", on_allocatable },
	{ "/v1.PodResourcesLister/List", on_list },
	{ NULL, NULL },
};

static void on_done(const struct podres *p, const struct err *e, void *user)
{
	struct world *w = user;

	w->done++;
	w->ask = NULL;
	w->code = e->code;
	(void)snprintf(w->text, sizeof(w->text), "%s", e->text);
	assert_true(!p == (e->code < 0));
	if (p)
		w->pods = p->pods.n;
}

static void world_new(struct world *w)
{
	const struct loop_clock clock = { .now_us = read_clock };

	*w = (struct world){ 0 };
	assert_int_equal(loop_new(&w->l, &clock, NULL), 0);
	assert_int_equal(grpc_server_new(w->l, path, methods, w, &w->kubelet, NULL), 0);
}

static void world_done(struct world *w)
{
	podres_cancel(w->ask);
	grpc_server_free(w->kubelet);
	loop_free(w->l);
}

static void ask(struct world *w)
{
	assert_int_equal(
		podres_ask(w->l, path, 5 * USEC_PER_SEC, on_done, w, &w->ask, NULL), 0);
	for (int i = 0; i < 200 && !w->done; i++)
		(void)loop_step(w->l, 0);
}

static void asks(void **state)
{
	struct world w;

	world_new(&w);
	ask(&w);
	assert_int_equal(w.done, 1);
	assert_int_equal(w.code, 0);
	assert_int_equal(w.calls, 2);
	assert_int_equal(w.pods, 2);
	world_done(&w);
}

static void old_kubelet(void **state)
{
	struct world w;

	world_new(&w);
	w.is_old = true;
	ask(&w);
	assert_int_equal(w.done, 1);
	assert_int_equal(w.code, -EOPNOTSUPP);
	assert_non_null(strstr(w.text, "GetAllocatableResources: UNIMPLEMENTED"));
	assert_int_equal(w.calls, 1);
	world_done(&w);
}

/* One that hangs costs the loop nothing, and is told after its time. */
static void hung_kubelet(void **state)
{
	struct world w;

	world_new(&w);
	w.is_silent = true;
	ask(&w);
	assert_int_equal(w.calls, 1);
	assert_int_equal(w.done, 0);
	now_us += 5 * USEC_PER_SEC + 1;
	for (int i = 0; i < 200 && !w.done; i++)
		(void)loop_step(w.l, 0);
	assert_int_equal(w.done, 1);
	assert_int_equal(w.code, -EIO);
	assert_non_null(strstr(w.text, "DEADLINE_EXCEEDED"));
	/* And given up in the middle. */
	w.done = 0;
	ask(&w);
	podres_cancel(TAKE(w.ask));
	now_us += 60 * USEC_PER_SEC;
	for (int i = 0; i < 20; i++)
		(void)loop_step(w.l, 0);
	assert_int_equal(w.done, 0);
	world_done(&w);
}

static void no_kubelet(void **state)
{
	struct world w;

	world_new(&w);
	grpc_server_free(TAKE(w.kubelet));
	assert_int_equal(
		podres_ask(w.l, path, USEC_PER_SEC, on_done, &w, &w.ask, NULL), -ENOENT);
	assert_int_equal(w.done, 0);
	world_done(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(answers, setup, teardown),
		cmocka_unit_test_setup_teardown(hostile, setup, teardown),
		cmocka_unit_test_setup_teardown(product, setup, teardown),
		cmocka_unit_test_setup_teardown(asks, setup, teardown),
		cmocka_unit_test_setup_teardown(old_kubelet, setup, teardown),
		cmocka_unit_test_setup_teardown(hung_kubelet, setup, teardown),
		cmocka_unit_test_setup_teardown(no_kubelet, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
