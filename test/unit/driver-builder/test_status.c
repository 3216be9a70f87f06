// SPDX-License-Identifier: Apache-2.0
/* status.c and gate.c: what people and machines are told of a node that was seen and decided about. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "cond.h"
#include "driver-builder/gate.h"
#include "driver-builder/hardware.h"
#include "driver-builder/status.h"
#include "file.h"

enum { NOW = 1700000000 };

/* A node with two kernels and one driver: loaded on the running one, @next for the next. */
struct node {
	struct arena *a;
	struct plan_kernel kernels[2];
	struct plan_module module;
	struct plan_pair pairs[2];
	struct plan_driver driver;
	struct api_device_match match;
	struct api_node_driver want;
	struct hardware_device device;
	struct desired desired;
	struct seen seen;
	struct plan plan;
};

static int setup(void **state)
{
	static struct node n;

	memset(&n, 0, sizeof(n));
	n.a = arena_new(8 << 20);
	n.kernels[0] = (struct plan_kernel){ "6.1.0-56", false, true };
	n.kernels[1] = (struct plan_kernel){ "6.1.0-47", true, false };
	n.module = (struct plan_module){ "edu", true, "AAA", "AAA" };
	n.pairs[0] = n.pairs[1] = (struct plan_pair){ .artifact = PLAN_ARTIFACT_READY,
		.key = "key",
		.build_seconds = 4,
		.installed = PLAN_INSTALLED_SAME };
	n.driver = (struct plan_driver){ .name = "edu",
		.version = "1.0",
		.loaded_version = "1.0",
		.generation = 2,
		.prebuild = true,
		.wants_device = true,
		.devices = 1,
		.bound = 1,
		.modules = &n.module,
		.n_modules = 1,
		.pairs = n.pairs };
	n.match = (struct api_device_match){ API_BUS_PCI, "1234", "11e8" };
	n.want = (struct api_node_driver){ .name = "edu", .generation = 2 };
	n.want.spec.devices = (struct list){ &n.match, 1 };
	n.device = (struct hardware_device){ "0000:10:01.0", "1234", "11e8", "", "",
		"00ff00", "edu", "edu", "pci0000:10", 1 };
	n.desired = (struct desired){ .drivers = { &n.want, 1 }, .generation = 7 };
	n.seen = (struct seen){ .devices = { &n.device, 1 },
		.desired = &n.desired,
		.in = { n.kernels, 2, &n.driver, 1, false },
		.boot_id = "boot",
		.running = "6.1.0-47" };
	*state = &n;
	return n.a ? 0 : -1;
}

static int teardown(void **state)
{
	arena_free(((struct node *)*state)->a);
	return 0;
}

static void make(
	struct node *n, const struct list *old, uint64_t at_s, struct api_node_status *st)
{
	static const struct list none;

	assert_int_equal(plan_make(n->a, &n->seen.in, NOW * USEC_PER_SEC, &n->plan), 0);
	assert_int_equal(status_make(n->a, &n->seen, &n->plan, old ? old : &none,
				 at_s * USEC_PER_SEC, st),
		0);
}

static const char *condition(const struct api_node_status *st, const char *type)
{
	const struct api_condition *c = cond_get(&st->conditions, type);

	return c ? c->status : "absent";
}

static const char *hold(struct node *n)
{
	static char text[1024];
	struct buf b;

	buf_init(&b, 1 << 16);
	assert_int_equal(gate_text(&n->seen, &n->plan, &b), 0);
	(void)snprintf(text, sizeof(text), "%s", buf_cstr(&b));
	buf_done(&b);
	return text;
}

static void test_all_well(void **state)
{
	struct node *n = *state;
	const struct api_node_driver_status *d;
	const struct api_node_device *dev;
	struct api_node_status st;

	make(n, NULL, NOW, &st);
	assert_int_equal(st.observed_generation, 7);
	assert_int_equal(st.drivers_desired, 1);
	assert_int_equal(st.drivers_ready, 1);
	assert_string_equal(st.next_kernel, "6.1.0-56");
	assert_string_equal(st.next_kernel_state, "Ready");
	assert_string_equal(st.reason, "");
	assert_string_equal(condition(&st, "Ready"), "True");
	assert_string_equal(condition(&st, "Reconciling"), "absent");
	assert_string_equal(condition(&st, "Stalled"), "absent");
	assert_string_equal(condition(&st, "Degraded"), "False");
	assert_string_equal(((const char **)st.hardware.items)[0], "pci:1234:11e8");
	d = st.drivers.items;
	assert_int_equal(d->state, API_DRIVER_LOADED);
	assert_int_equal(d->generation, 2);
	assert_string_equal(d->loaded_version, "1.0");
	dev = st.devices.items;
	assert_int_equal(st.devices.n, 1);
	assert_string_equal(dev->pcie_root, "pci0000:10");
	assert_int_equal(dev->numa_node, 1);
	assert_string_equal(hold(n), "");
}

static void test_next_fails(void **state)
{
	struct node *n = *state;
	struct api_node_status st;

	n->pairs[0] = (struct plan_pair){ .artifact = PLAN_ARTIFACT_FAILED,
		.failure = {
			REASON_BUILD_FAILED, "edu.c:1: error:\ntwo lines", UINT64_MAX } };
	make(n, NULL, NOW, &st);
	assert_string_equal(st.next_kernel_state, "Failed");
	assert_string_equal(st.reason, "BuildFailed");
	assert_non_null(strstr(st.message, "edu for 6.1.0-56"));
	/* The node works: it is ready, and degraded. */
	assert_string_equal(condition(&st, "Ready"), "True");
	assert_string_equal(condition(&st, "Degraded"), "True");
	assert_string_equal(
		hold(n), "6.1.0-56 edu BuildFailed edu.c:1: error: two lines\n");
	n->want.spec.on_unbuildable = API_UNBUILDABLE_WARN;
	assert_string_equal(hold(n), "");
	n->want.spec.on_unbuildable = API_UNBUILDABLE_KEEP;
	assert_string_not_equal(hold(n), "");
	n->want.spec.on_unbuildable = API_UNBUILDABLE_HOLD;
	n->want.spec.paused = true;
	assert_string_equal(hold(n), "");
}

static void test_still_building(void **state)
{
	struct node *n = *state;
	struct api_node_status st;

	n->pairs[0].artifact = PLAN_ARTIFACT_BUILDING;
	make(n, NULL, NOW, &st);
	assert_string_equal(st.next_kernel_state, "Building");
	assert_string_equal(condition(&st, "Reconciling"), "True");
	assert_string_equal(hold(n), "6.1.0-56 edu Building not ready yet\n");
	/* Staged, but not where the next boot finds it. */
	n->pairs[0].artifact = PLAN_ARTIFACT_READY;
	n->pairs[0].installed = PLAN_INSTALLED_OTHER;
	make(n, NULL, NOW, &st);
	assert_string_equal(st.next_kernel_state, "Building");
	/* Not for it is no reason to hold. */
	n->pairs[0].artifact = PLAN_ARTIFACT_NOT_APPLICABLE;
	make(n, NULL, NOW, &st);
	assert_string_equal(st.next_kernel_state, "Ready");
	assert_string_equal(hold(n), "");
}

static void test_failed_driver(void **state)
{
	struct node *n = *state;
	struct api_node_status st;

	n->driver.bound = 0;
	n->driver.unbound = "0000:10:01.0";
	make(n, NULL, NOW, &st);
	assert_int_equal(st.drivers_ready, 0);
	assert_string_equal(st.reason, "DriverNotBound");
	assert_string_equal(condition(&st, "Ready"), "False");
	assert_string_equal(condition(&st, "Stalled"), "True");
	assert_string_equal(condition(&st, "Reconciling"), "absent");
}

static void test_manifest_error(void **state)
{
	struct node *n = *state;
	struct desired_error x = { "/etc/f.yaml", REASON_MANIFEST_INVALID,
		"f.yaml:3: no" };
	struct api_node_status st;

	n->desired.errors = (struct list){ &x, 1 };
	make(n, NULL, NOW, &st);
	assert_string_equal(st.reason, "ManifestInvalid");
	assert_int_equal(st.drivers_ready, 1);
	assert_string_equal(condition(&st, "Ready"), "False");
}

/* The time of a condition moves when its status does, over a restart too. */
static void test_transition_times(void **state)
{
	struct node *n = *state;
	struct api_node_status st;
	struct list old;
	struct json *j;

	make(n, NULL, NOW, &st);
	j = field_print(api_node_status_fields, &st);
	assert_non_null(j);
	status_conditions(n->a, j, &old);
	assert_int_equal(old.n, st.conditions.n);
	make(n, &old, NOW + 100, &st);
	assert_string_equal(cond_get(&st.conditions, "Ready")->last_transition_time,
		"2023-11-14T22:13:20Z");
	n->driver.bound = 0;
	make(n, &st.conditions, NOW + 100, &st);
	assert_string_equal(cond_get(&st.conditions, "Ready")->last_transition_time,
		"2023-11-14T22:15:00Z");
	json_free(j);
}

static void test_files(void **state)
{
	static const char devices[] =
		"{\"version\":1,\"devices\":[{\"id\":\"0000:10:01.0\",\"class\":\"edu\","
		"\"resourceName\":\"farrier.dev/edu\",\"health\":\"Healthy\"},{\"id\":7},3]}";
	struct node *n = *state;
	struct api_node_status st;
	char dir[] = "/tmp/farrier-status-XXXXXX", path[128], *text = NULL;
	const struct api_node_device *d;
	struct json *j, *back = NULL;
	struct buf b;

	assert_non_null(mkdtemp(dir));
	make(n, NULL, NOW, &st);
	status_merge_devices(n->a, dir, &st.devices); /* no plugin yet */
	(void)snprintf(path, sizeof(path), "%s/devices.json", dir);
	assert_int_equal(
		file_write_atomic(path, devices, strlen(devices), 0644, NULL), 0);
	status_merge_devices(n->a, dir, &st.devices);
	d = st.devices.items;
	assert_string_equal(d->health, "Healthy");
	assert_string_equal(d->resource_name, "farrier.dev/edu");
	j = field_print(api_node_status_fields, &st);
	assert_true(status_read(dir, &back, NULL) < 0);
	assert_int_equal(status_write(dir, j, NULL), 1);
	assert_int_equal(status_write(dir, j, NULL), 0);
	assert_int_equal(status_read(dir, &back, NULL), 0);
	assert_int_equal(json_get_int(back, "version", 0), 1);
	buf_init(&b, 1 << 20);
	assert_int_equal(status_text(back, &b), 0);
	assert_non_null(strstr(b.data, "6.1.0-47 (running)"));
	buf_done(&b);
	json_free(back);
	json_free(j);
	(void)snprintf(path, sizeof(path), "%s/status.json", dir);
	assert_int_equal(file_write_atomic(path, "{\"version\":2}", 13, 0644, NULL), 0);
	assert_int_equal(status_read(dir, &back, NULL), -EBADMSG);

	assert_int_equal(gate_write(dir, "", NULL), 0);
	assert_int_equal(gate_write(dir, "k d r m\n", NULL), 1);
	assert_int_equal(gate_write(dir, "k d r m\n", NULL), 0);
	assert_int_equal(gate_read(dir, &text, NULL), 0);
	assert_string_equal(text, "k d r m\n");
	free(text);
	assert_int_equal(gate_write(dir, "", NULL), 1);
	assert_int_equal(gate_read(dir, &text, NULL), 0);
	assert_string_equal(text, "");
	free(text);
	assert_int_equal(dir_remove(dir, NULL), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = { T(test_all_well), T(test_next_fails),
		T(test_still_building), T(test_failed_driver), T(test_manifest_error),
		T(test_transition_times), T(test_files) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
