// SPDX-License-Identifier: Apache-2.0
/* What of the topology gets into the agent's status, and when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "driver-builder/act.h"
#include "file.h"
#include "grpc.h"

static uint64_t now_us;
static unsigned asked;

static uint64_t read_clock(void *user)
{
	return now_us;
}

static void on_call(struct grpc_call *c, const uint8_t *msg, size_t len, void *user)
{
	asked++;
	assert_int_equal(grpc_send(c, "", 0), 0);
	grpc_end(c, GRPC_OK, NULL);
}

static const struct grpc_method methods[] = {
	{ "/v1.PodResourcesLister/GetAllocatableResources", on_call },
	{ "/v1.PodResourcesLister/List", on_call },
	{ NULL, NULL },
};

struct world {
	char dir[64], path[128];
	struct agent_options o;
	struct agent a;
	struct grpc_server *kubelet;
};

static void ignore(void *user)
{
}

static int setup(void **state)
{
	const struct loop_clock clock = { .now_us = read_clock };
	struct world *w = calloc(1, sizeof(*w));

	if (!w)
		return -1;
	now_us = 1000 * USEC_PER_SEC;
	asked = 0;
	(void)snprintf(w->dir, sizeof(w->dir), "/tmp/farrier-agtop-XXXXXX");
	if (!mkdtemp(w->dir))
		return -1;
	w->o = (struct agent_options){ .env = { w->dir, w->dir, w->dir, "/sys", "/proc" },
		.topology = { true, "/kubelet.sock", 60 * USEC_PER_SEC } };
	w->a = (struct agent){ .o = &w->o, .look_at_us = UINT64_MAX };
	(void)snprintf(w->path, sizeof(w->path), "%s/kubelet.sock", w->dir);
	*state = w;
	if (loop_new(&w->a.loop, &clock, NULL) < 0 || metrics_new(&w->a.metrics) < 0)
		return -1;
	return loop_timer(w->a.loop, UINT64_MAX, ignore, NULL, &w->a.timer);
}

static int teardown(void **state)
{
	struct world *w = *state;
	int r;

	topology_watch_free(w->a.topology.watch);
	grpc_server_free(w->kubelet);
	metrics_free(w->a.metrics);
	json_free(w->a.status);
	loop_source_free(w->a.timer);
	loop_free(w->a.loop);
	r = dir_remove(w->dir, NULL);
	free(w);
	return r;
}

static void put_devices(const struct world *w, const char *text)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/devices.json", w->dir);
	assert_int_equal(file_write_atomic(path, text, strlen(text), 0644, NULL), 0);
}

static void pass(struct world *w, unsigned seconds)
{
	for (unsigned i = 0; i < seconds; i++) {
		now_us += USEC_PER_SEC;
		for (int k = 0; k < 40; k++)
			(void)loop_step(w->a.loop, 0);
	}
}

static bool has_topology(struct world *w, bool has_device)
{
	struct api_node_device d = { .id = "0000:00:04.0" };
	struct api_node_status st = { .devices = { &d, has_device ? 1 : 0 } };

	agent_topology(&w->a, &st);
	return st.topology.present;
}

static void tells(void **state)
{
	struct world *w = *state;

	assert_int_equal(
		grpc_server_new(w->a.loop, w->path, methods, NULL, &w->kubelet, NULL), 0);
	assert_int_equal(agent_topology_start(&w->a, NULL), 0);
	assert_false(has_topology(w, true)); /* not asked yet */
	pass(w, 3);
	assert_int_equal(asked, 2);
	assert_true(w->a.look_at_us <= now_us); /* news: a look at once */
	assert_true(has_topology(w, true)); /* a driver's device */
	assert_false(has_topology(w, false)); /* no accelerator here */
	put_devices(w, "{\"version\":1,\"devices\":[]}");
	assert_false(has_topology(w, false));
	put_devices(w, "junk");
	assert_false(has_topology(w, false));
	put_devices(w, "{\"version\":1,\"devices\":[{\"id\":\"a\"}]}");
	assert_true(has_topology(w, false)); /* a class's device */
	/* Its change is a reason to ask soon, once. */
	pass(w, 30);
	assert_int_equal(asked, 4);
	assert_true(has_topology(w, false));
	pass(w, 15);
	assert_int_equal(asked, 4);
}

/* A restart is no reason to take back what was said. */
static void restart(void **state)
{
	static const char said[] = "{\"topology\":{\"zones\":[{\"name\":\"node-0\"}]}}";
	struct world *w = *state;

	assert_int_equal(json_parse(said, strlen(said), &w->a.status, NULL), 0);
	assert_int_equal(agent_topology_start(&w->a, NULL), 0);
	assert_true(has_topology(w, true));
	pass(w, 100); /* nobody answers */
	assert_true(w->a.topology.is_ill);
	assert_true(has_topology(w, true));
}

static void off(void **state)
{
	struct world *w = *state;

	w->o.is_standalone = true;
	assert_int_equal(agent_topology_start(&w->a, NULL), 0);
	assert_null(w->a.topology.watch);
	assert_false(has_topology(w, true));
	w->o.is_standalone = false;
	w->o.topology.is_on = false;
	assert_int_equal(agent_topology_start(&w->a, NULL), 0);
	assert_null(w->a.topology.watch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(tells, setup, teardown),
		cmocka_unit_test_setup_teardown(restart, setup, teardown),
		cmocka_unit_test_setup_teardown(off, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
