// SPDX-License-Identifier: Apache-2.0
/* The rounds: when the kubelet is asked, what is told, and what stays while it does not answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "driver-builder/topology_watch.h"
#include "file.h"
#include "grpc.h"

#define SECOND USEC_PER_SEC
#define EVERY (60 * SECOND)

static uint64_t now_us;

static uint64_t read_clock(void *user)
{
	return now_us;
}

struct world {
	char dir[64], root[96], run[96], sys[96], proc[96];
	struct env env;
	struct loop *l;
	struct grpc_server *kubelet;
	struct topology_watch *w;
	unsigned asked, told, changed, failed;
	char text[ERR_TEXT_MAX];
	bool is_silent;
	const char *devices; /* of GetAllocatableResources */
};

#define ONE_DEVICE \
	"\x0a\x0f\x0a\x05" \
	"a.b/c\x12\x02x0\x1a\x02\x0a\x00"

static void on_allocatable(
	struct grpc_call *c, const uint8_t *msg, size_t len, void *user)
{
	struct world *w = user;

	w->asked++;
	if (w->is_silent)
		return;
	assert_int_equal(grpc_send(c, ONE_DEVICE, w->devices ? 17 : 0), 0);
	grpc_end(c, GRPC_OK, NULL);
}

static void on_list(struct grpc_call *c, const uint8_t *msg, size_t len, void *user)
{
	assert_int_equal(grpc_send(c, "", 0), 0);
	grpc_end(c, GRPC_OK, NULL);
}

static const struct grpc_method methods[] = {
	{ "/v1.PodResourcesLister/GetAllocatableResources", on_allocatable },
	{ "/v1.PodResourcesLister/List", on_list },
	{ NULL, NULL },
};

static void on_round(bool is_changed, const struct err *e, void *user)
{
	struct world *w = user;

	w->told++;
	w->changed += is_changed;
	w->failed += e->code < 0;
	(void)snprintf(w->text, sizeof(w->text), "%s", e->text);
}

static void put(const struct world *w, const char *name, const char *text)
{
	char path[512];

	assert_int_equal(path_join(path, sizeof(path), w->dir, name, NULL), 0);
	*strrchr(path, '/') = '\0';
	assert_int_equal(dir_make(path, 0755, NULL), 0);
	assert_int_equal(path_join(path, sizeof(path), w->dir, name, NULL), 0);
	assert_int_equal(file_write_atomic(path, text, strlen(text), 0644, NULL), 0);
}

static void start_kubelet(struct world *w)
{
	char path[160];

	(void)snprintf(path, sizeof(path), "%s/kubelet.sock", w->root);
	assert_int_equal(grpc_server_new(w->l, path, methods, w, &w->kubelet, NULL), 0);
}

static void start(struct world *w, const char *before)
{
	const struct topology_watch_options o = { &w->env, "/kubelet.sock", EVERY };
	struct json *j = NULL;

	if (before)
		assert_int_equal(json_parse(before, strlen(before), &j, NULL), 0);
	assert_int_equal(topology_watch_new(w->l, &o, j, on_round, w, &w->w, NULL), 0);
	json_free(j);
}

static int setup(void **state)
{
	const struct loop_clock clock = { .now_us = read_clock };
	struct world *w = calloc(1, sizeof(*w));

	if (!w)
		return -1;
	now_us = 1000 * SECOND;
	(void)snprintf(w->dir, sizeof(w->dir), "/tmp/farrier-topo-XXXXXX");
	if (!mkdtemp(w->dir))
		return -1;
	(void)snprintf(w->root, sizeof(w->root), "%s/host", w->dir);
	(void)snprintf(w->run, sizeof(w->run), "%s/run", w->dir);
	(void)snprintf(w->sys, sizeof(w->sys), "%s/sys", w->dir);
	(void)snprintf(w->proc, sizeof(w->proc), "%s/proc", w->dir);
	w->env = (struct env){
		.root = w->root, .run = w->run, .sys = w->sys, .proc = w->proc
	};
	put(w, "host/x", "");
	put(w, "run/kubelet.json",
		"{\"version\":1,\"topologyManagerPolicy\":\"restricted\","
		"\"topologyManagerScope\":\"pod\",\"cpuManagerPolicy\":\"none\","
		"\"memoryManagerPolicy\":\"None\",\"source\":\"a file\"}");
	put(w, "sys/devices/system/node/node0/cpulist", "0-3\n");
	put(w, "sys/devices/system/node/node0/distance", "10\n");
	*state = w;
	return loop_new(&w->l, &clock, NULL);
}

static int teardown(void **state)
{
	struct world *w = *state;
	int r;

	topology_watch_free(w->w);
	grpc_server_free(w->kubelet);
	loop_free(w->l);
	r = dir_remove(w->dir, NULL);
	free(w);
	return r;
}

/* Lets time go by: a second at a time, and what is due in each. */
static void pass(struct world *w, unsigned seconds)
{
	for (unsigned i = 0; i <= seconds; i++) {
		for (int k = 0; k < 100; k++)
			if (loop_step(w->l, 0) == 0 && k > 20)
				break;
		if (i < seconds)
			now_us += SECOND;
	}
}

static int64_t devices(const struct world *w)
{
	const struct api_node_topology *t = topology_watch_get(w->w);
	const struct api_topology_zone *z = t->zones.items;
	const struct api_topology_resource *r = z[0].resources.items;

	for (size_t i = 0; i < z[0].resources.n; i++)
		if (streq(r[i].name, "a.b/c"))
			return r[i].available;
	return 0;
}

static void rounds(void **state)
{
	struct world *w = *state;

	start_kubelet(w);
	w->devices = ONE_DEVICE;
	start(w, NULL);
	assert_null(topology_watch_get(w->w));
	pass(w, 3);
	assert_int_equal(w->asked, 1);
	assert_int_equal(w->told, 1);
	assert_int_equal(w->changed, 1);
	assert_int_equal(w->failed, 0);
	assert_string_equal(topology_watch_get(w->w)->policy, "restricted");
	assert_string_equal(topology_watch_get(w->w)->scope, "pod");
	assert_int_equal(devices(w), 1);
	/* A minute and a bit for each round; equal content is no news. */
	pass(w, 300);
	assert_in_range(w->asked, 5, 6);
	assert_int_equal(w->told, w->asked);
	assert_int_equal(w->changed, 1);
	w->devices = NULL;
	pass(w, 76);
	assert_int_equal(w->changed, 2);
	assert_int_equal(devices(w), 0);
}

static void poked(void **state)
{
	struct world *w = *state;

	start_kubelet(w);
	start(w, NULL);
	pass(w, 3);
	assert_int_equal(w->asked, 1);
	w->devices = ONE_DEVICE;
	for (int i = 0; i < 100; i++) /* a storm is one round */
		topology_watch_poke(w->w);
	pass(w, 3);
	assert_int_equal(w->asked, 1); /* not yet: ten seconds lie between */
	pass(w, 8);
	assert_int_equal(w->asked, 2);
	assert_int_equal(devices(w), 1);
	pass(w, 20);
	assert_int_equal(w->asked, 2);
	topology_watch_poke(w->w);
	pass(w, 3);
	assert_int_equal(w->asked, 3);
}

/* A kubelet that hangs, and devices that change meanwhile. */
static void hung(void **state)
{
	struct world *w = *state;

	start_kubelet(w);
	w->devices = ONE_DEVICE;
	start(w, NULL);
	pass(w, 3);
	assert_int_equal(devices(w), 1);
	w->is_silent = true;
	pass(w, 76);
	assert_int_equal(w->asked, 2);
	topology_watch_poke(w->w);
	for (int i = 0; i < 30 && w->failed == 0; i++)
		pass(w, 1);
	assert_int_equal(w->failed, 1);
	assert_int_equal(w->asked, 2);
	assert_non_null(strstr(w->text, "DEADLINE_EXCEEDED"));
	assert_int_equal(devices(w), 1); /* as it was */
	w->is_silent = false;
	w->devices = NULL;
	pass(w, 5);
	assert_int_equal(w->asked, 3); /* what was poked for is not lost */
	assert_int_equal(devices(w), 0);
}

static void away(void **state)
{
	static const char before[] =
		"{\"policy\":\"restricted\",\"zones\":[{\"name\":\"node-0\",\"resources\":["
		"{\"name\":\"a.b/c\",\"capacity\":7,\"allocatable\":7,\"available\":5}]}],"
		"\"news\":1}";
	struct world *w = *state;

	start(w, before);
	assert_int_equal(devices(w), 5); /* what was said before a restart still holds */
	pass(w, 3);
	assert_int_equal(w->told, 1);
	assert_int_equal(w->failed, 1);
	assert_int_equal(devices(w), 5);
	pass(w, 150); /* it is not asked more often for being away */
	assert_in_range(w->told, 2, 3);
	start_kubelet(w);
	pass(w, 76);
	assert_int_equal(w->changed, 1);
	assert_int_equal(devices(w), 0);
}

static void nonsense_before(void **state)
{
	struct world *w = *state;

	start(w, "{\"zones\":[{\"name\":\"../etc\"}]}");
	assert_null(topology_watch_get(w->w));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(rounds, setup, teardown),
		cmocka_unit_test_setup_teardown(poked, setup, teardown),
		cmocka_unit_test_setup_teardown(hung, setup, teardown),
		cmocka_unit_test_setup_teardown(away, setup, teardown),
		cmocka_unit_test_setup_teardown(nonsense_before, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
