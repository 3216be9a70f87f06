// SPDX-License-Identifier: Apache-2.0
/* Objects in, records out: what is kept, what a list sweeps, what hostile objects do, and that what is
 * written hashes as it was planned. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "controller/bodies.h"
#include "controller/fleet.h"
#include "controller/jhash.h"

static struct fleet *fresh(void)
{
	struct fleet *f = NULL;

	assert_int_equal(fleet_new("n1", &f), 0);
	return f;
}

static struct json *parse(const char *text)
{
	struct json *j = NULL;
	struct err e = { 0 };

	if (json_parse(text, strlen(text), &j, &e) < 0)
		fail_msg("%s: %s", e.text, text);
	return j;
}

static int put(struct fleet *f, enum fleet_kind kind, const char *text)
{
	CLEANUP(json_freep) struct json *j = parse(text);
	int r = fleet_put(f, kind, j, NULL);

	return r;
}

#define DRIVER(generation, version, extra) \
	"{\"apiVersion\":\"farrier.dev/v1alpha1\",\"kind\":\"AcceleratorDriver\"," \
	"\"metadata\":{\"name\":\"edu\",\"uid\":\"u-edu\",\"generation\":" generation \
	",\"resourceVersion\":\"" version \
	"\",\"creationTimestamp\":\"2026-01-01T00:00:00Z\"" extra "}," \
	"\"spec\":{\"version\":\"1.0\",\"nodeSelector\":{\"matchLabels\":{\"pool\":\"a\"}}," \
	"\"devices\":[{\"bus\":\"PCI\",\"vendor\":\"1234\",\"device\":\"11e8\"}]," \
	"\"source\":{\"type\":\"Host\",\"host\":{\"path\":\"/usr/src/edu\"}}," \
	"\"modules\":[{\"name\":\"edu\"}]," \
	"\"upgradePolicy\":{\"maxParallelUpgrades\":2}}}"

#define CLASS \
	"{\"apiVersion\":\"farrier.dev/v1alpha1\",\"kind\":\"AcceleratorClass\"," \
	"\"metadata\":{\"name\":\"edu\",\"uid\":\"u-c\",\"generation\":1}," \
	"\"spec\":{\"match\":[{\"bus\":\"PCI\",\"vendor\":\"1234\"}]," \
	"\"resourceName\":\"farrier.dev/edu\"}}"

#define NODE(name, version, extra_meta, spec) \
	"{\"metadata\":{\"name\":\"" name "\",\"uid\":\"u-" name \
	"\",\"resourceVersion\":\"" version \
	"\",\"labels\":{\"pool\":\"a\",\"noise\":\"x\"}" extra_meta "},\"spec\":" spec \
	",\"status\":{\"nodeInfo\":{\"architecture\":\"arm64\"}," \
	"\"allocatable\":{\"cpu\":\"4\",\"farrier.dev/edu\":\"2\"}," \
	"\"conditions\":[{\"type\":\"MemoryPressure\",\"status\":\"False\"}," \
	"{\"type\":\"Ready\",\"status\":\"True\"}]}}"

static const char acc[] =
	"{\"metadata\":{\"name\":\"n1\",\"uid\":\"u-acc\",\"resourceVersion\":\"50\","
	"\"annotations\":{\"farrier.dev/selectors\":\"edu=00000000000000ff\","
	"\"farrier.dev/allocatable-before\":\"farrier.dev/edu=2,x=,=3,y=9z\"}},"
	"\"spec\":{\"drivers\":[{\"name\":\"edu\",\"generation\":3,\"proceedGeneration\":2,"
	"\"spec\":{}}],\"classes\":[],\"upgrade\":{\"state\":\"drain-required\",\"since\":99,"
	"\"target\":\"edu@3\"}},"
	"\"status\":{\"kernel\":\"6.1.0-47\",\"hardware\":[\"pci:1234:11e8\"],"
	"\"kernels\":[{\"release\":\"6.1.0-47\",\"running\":true,\"drivers\":[{\"name\":\"edu\","
	"\"state\":\"Ready\",\"buildSeconds\":7}]},{\"release\":\"6.1.0-56\",\"drivers\":["
	"{\"name\":\"edu\",\"state\":\"Failed\",\"reason\":\"BuildFailed\"}]}],"
	"\"drivers\":[{\"name\":\"edu\",\"generation\":3,\"state\":\"Loaded\",\"devices\":2,"
	"\"bound\":2}],"
	"\"devices\":[{\"id\":\"1\",\"class\":\"edu\",\"health\":\"Healthy\"},"
	"{\"id\":\"2\",\"class\":\"edu\",\"health\":\"Unhealthy\"},{\"id\":\"3\"}]}}";

static void list(struct fleet *f, enum fleet_kind kind, const char *const *objects)
{
	fleet_list_begin(f, kind);
	for (; *objects; objects++)
		assert_true(put(f, kind, *objects) >= 0);
	fleet_list_end(f, kind);
}

static void test_node(void **state)
{
	char uid[UID_TEXT_MAX];
	CLEANUP(fleet_freep) struct fleet *f = fresh();
	const struct view_node *n;

	assert_int_equal(put(f, FLEET_DRIVERS, DRIVER("3", "1", "")), 1);
	assert_int_equal(put(f, FLEET_CLASSES, CLASS), 1);
	assert_true(fleet_filter_grew(f));
	assert_false(fleet_filter_grew(f));
	assert_int_equal(put(f, FLEET_NODES,
				 NODE("n1", "10",
					 ",\"annotations\":{\"farrier.dev/cordoned\":"
					 "\"true\"}",
					 "{\"unschedulable\":true}")),
		1);
	n = fleet_node(f, "n1");
	assert_true(n->has_node && n->is_ready && n->is_unschedulable && n->is_cordoned);
	assert_false(n->is_skipped || n->is_deleting || n->has_acc);
	assert_string_equal(uid_text(&n->uid, uid), "u-n1");
	assert_int_equal(n->version, 10);
	assert_int_equal(n->labels.n, 1); /* no selector asks for the other */
	assert_string_equal(api_kv_get(&n->labels, "pool"), "a");
	assert_string_equal(n->arch, "arm64");
	assert_int_equal(n->allocatable.n, 1);
	assert_int_equal(VIEW_AT(struct view_count, n->allocatable, 0)->n, 2);
}

static void test_acc(void **state)
{
	CLEANUP(fleet_freep) struct fleet *f = fresh();
	const struct view_node *n;
	const struct view_kernel *k;

	assert_int_equal(put(f, FLEET_ACCS, acc), 1);
	n = fleet_node(f, "n1");
	assert_true(n->has_acc && n->is_known && !n->has_node);
	assert_int_equal(n->assigns.n, 1);
	assert_int_equal(VIEW_AT(struct view_assign, n->assigns, 0)->generation, 3);
	assert_int_equal(VIEW_AT(struct view_assign, n->assigns, 0)->proceed, 2);
	assert_int_equal(VIEW_AT(struct view_assign, n->assigns, 0)->selector, 255);
	assert_int_equal(n->upgrade.state, API_UPGRADE_DRAIN);
	assert_int_equal(n->upgrade.since, 99);
	assert_string_equal(n->upgrade.target, "edu@3");
	assert_string_equal(n->upgrade.reason, "");
	assert_int_equal(
		n->before.n, 2); /* a name is all that it takes; "" has none of ours */
	assert_int_equal(n->states.n, 1);
	assert_int_equal(VIEW_AT(struct view_driver_state, n->states, 0)->state,
		API_DRIVER_LOADED);
	assert_int_equal(n->kernels.n, 2);
	k = VIEW_AT(struct view_kernel, n->kernels, 1);
	assert_int_equal(k->state, API_KERNEL_FAILED);
	assert_string_equal(k->reason, "BuildFailed");
	assert_int_equal(n->devices.n, 1);
	assert_int_equal(VIEW_AT(struct view_class_devices, n->devices, 0)->total, 2);
	assert_int_equal(VIEW_AT(struct view_class_devices, n->devices, 0)->healthy, 1);
}

static void test_sweep(void **state)
{
	static const char *const two[] = { NODE("n1", "1", "", "{}"),
		NODE("n2", "1", "", "{}"), NULL };
	static const char *const one[] = { NODE("n2", "1", "", "{}"), NULL };
	static const char *const accs[] = { acc, NULL };
	CLEANUP(fleet_freep) struct fleet *f = fresh();

	assert_false(fleet_is_synced(f, FLEET_NODES));
	list(f, FLEET_NODES, two);
	list(f, FLEET_ACCS, accs);
	assert_true(fleet_is_synced(f, FLEET_NODES));
	assert_int_equal(fleet_view(f)->n_nodes, 2);
	list(f, FLEET_NODES, one); /* n1 keeps its other half */
	assert_non_null(fleet_node(f, "n1"));
	assert_false(fleet_node(f, "n1")->has_node);
	fleet_delete(f, FLEET_ACCS, "n1");
	assert_null(fleet_node(f, "n1"));
	assert_int_equal(fleet_view(f)->n_nodes, 1);
	fleet_delete(f, FLEET_NODES, "no such node");
	list(f, FLEET_DRIVERS, (const char *const[]){ DRIVER("1", "1", ""), NULL });
	assert_int_equal(fleet_view(f)->n_drivers, 1);
	list(f, FLEET_DRIVERS, (const char *const[]){ NULL });
	assert_int_equal(fleet_view(f)->n_drivers, 0);
}

static void test_older_is_ignored(void **state)
{
	CLEANUP(fleet_freep) struct fleet *f = fresh();

	assert_int_equal(put(f, FLEET_NODES, NODE("n1", "10", "", "{}")), 1);
	assert_int_equal(
		put(f, FLEET_NODES, NODE("n1", "9", "", "{\"unschedulable\":true}")), 0);
	assert_false(fleet_node(f, "n1")->is_unschedulable);
	assert_int_equal(
		put(f, FLEET_NODES, NODE("n1", "11", "", "{\"unschedulable\":true}")), 1);
	assert_true(fleet_node(f, "n1")->is_unschedulable);
	assert_int_equal(put(f, FLEET_DRIVERS, DRIVER("3", "20", "")), 1);
	assert_int_equal(put(f, FLEET_DRIVERS, DRIVER("2", "19", "")), 0);
	assert_int_equal(fleet_driver(f, "edu")->generation, 3);
}

static int answer(struct fleet *f, enum fleet_kind kind, const char *text)
{
	CLEANUP(json_freep) struct json *j = parse(text);

	return fleet_answer(f, kind, j, NULL);
}

/* A write's answer that comes after the news of the object's end does not bring it back. */
static void test_answer_of_what_is_gone(void **state)
{
	static const char class_[] = "{\"metadata\":{\"name\":\"c\",\"uid\":\"u\","
				     "\"resourceVersion\":\"5\"},\"spec\":{}}";
	CLEANUP(fleet_freep) struct fleet *f = fresh();

	assert_int_equal(put(f, FLEET_DRIVERS, DRIVER("3", "20", "")), 1);
	assert_int_equal(answer(f, FLEET_DRIVERS, DRIVER("3", "21", "")), 1);
	assert_string_equal(fleet_version(f, "edu"), "21");
	fleet_delete(f, FLEET_DRIVERS, "edu");
	assert_int_equal(answer(f, FLEET_DRIVERS, DRIVER("3", "21", "")), 0);
	assert_null(fleet_driver(f, "edu"));
	assert_int_equal(put(f, FLEET_CLASSES, class_), 1);
	fleet_delete(f, FLEET_CLASSES, "c");
	assert_int_equal(answer(f, FLEET_CLASSES, class_), 0);
	assert_null(fleet_class(f, "c"));
	assert_int_equal(answer(f, FLEET_DRIVERS, "{\"metadata\":{}}"), -EINVAL);
}

/* A spec that cannot be read leaves the last one in force. */
static void test_invalid_driver(void **state)
{
	CLEANUP(fleet_freep) struct fleet *f = fresh();
	const struct view_driver *d;

	assert_int_equal(put(f, FLEET_DRIVERS, DRIVER("3", "1", "")), 1);
	assert_int_equal(
		put(f, FLEET_DRIVERS,
			"{\"apiVersion\":\"farrier.dev/v1alpha1\",\"kind\":"
			"\"AcceleratorDriver\",\"metadata\":{\"name\":\"edu\",\"uid\":"
			"\"u-edu\",\"generation\":4,\"resourceVersion\":\"2\"},"
			"\"spec\":{\"version\":\"2\",\"source\":{\"type\":\"Host\"},"
			"\"modules\":[]}}"),
		1);
	d = fleet_driver(f, "edu");
	assert_non_null(d->invalid);
	assert_true(d->has_spec);
	assert_int_equal(d->generation, 4);
	assert_int_equal(d->d.meta.generation, 3);
	assert_int_equal(put(f, FLEET_DRIVERS, DRIVER("5", "3", "")), 1);
	assert_null(fleet_driver(f, "edu")->invalid);
}

static void test_spec_for_nodes(void **state)
{
	CLEANUP(fleet_freep) struct fleet *f = fresh();
	const struct json *spec;

	assert_int_equal(put(f, FLEET_DRIVERS,
				 DRIVER("3", "1",
					 ",\"finalizers\":[\"x/y\","
					 "\"farrier.dev/unload\"]")),
		1);
	spec = fleet_driver_spec(f, "edu");
	assert_null(json_get(spec, "nodeSelector"));
	assert_null(json_get(spec, "upgradePolicy"));
	assert_string_equal(json_get_str(spec, "version"), "1.0");
	assert_int_equal(fleet_driver(f, "edu")->spec_hash, jhash(spec));
	assert_true(fleet_driver(f, "edu")->has_finalizer);
}

static void test_hostile(void **state)
{
	static const char *const objects[] = {
		"{}",
		"[]",
		"3",
		"{\"metadata\":3}",
		"{\"metadata\":{\"name\":3}}",
		"{\"metadata\":{\"name\":\"x\",\"uid\":[],\"resourceVersion\":-1}}",
		"{\"metadata\":{\"name\":\"x\",\"labels\":[1],\"annotations\":\"no\"},"
		"\"spec\":[],\"status\":\"x\"}",
		"{\"metadata\":{\"name\":\"x\",\"labels\":{\"pool\":1}},"
		"\"spec\":{\"unschedulable\":\"yes\",\"drivers\":{\"a\":1},\"upgrade\":[]},"
		"\"status\":{\"conditions\":{},\"allocatable\":{\"farrier.dev/edu\":3},"
		"\"kernels\":[3,{\"drivers\":7},{\"drivers\":[null,[]]}],\"drivers\":[4],"
		"\"hardware\":[1,null,\"pci\"],\"devices\":[1,{\"class\":2}]}}",
		"{\"metadata\":{\"name\":\"x\"},\"spec\":{\"drivers\":[{\"name\":\"d\","
		"\"generation\":\"7\",\"proceedGeneration\":1.5}],"
		"\"upgrade\":{\"state\":\"no-such-state\"}},"
		"\"status\":{\"drivers\":[{\"state\":\"Odd\",\"devices\":-4,"
		"\"bound\":99999999}]}}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(objects); i++) {
		for (int kind = 0; kind < FLEET_KINDS_; kind++) {
			CLEANUP(fleet_freep) struct fleet *f = fresh();

			(void)put(f, FLEET_CLASSES, CLASS);
			(void)fleet_filter_grew(f);
			(void)put(f, kind, objects[i]);
			assert_non_null(fleet_view(f));
		}
	}
}

static void test_pods(void **state)
{
	CLEANUP(json_freep)
	struct json *j = parse(
		"{\"items\":[{\"metadata\":{\"name\":\"a\",\"namespace\":\"d\",\"uid\":\"1\","
		"\"ownerReferences\":[{\"kind\":\"ReplicaSet\",\"controller\":true}]},"
		"\"spec\":{\"containers\":[{},{\"resources\":{\"limits\":{"
		"\"farrier.dev/edu\":\"1\"}}}],\"volumes\":[{\"emptyDir\":{}}]},"
		"\"status\":{\"phase\":\"Running\"}},"
		"{\"metadata\":{\"name\":\"b\",\"namespace\":\"d\",\"uid\":\"2\","
		"\"labels\":{\"farrier.dev/skip-drain\":\"true\"},"
		"\"deletionTimestamp\":\"x\",\"annotations\":{"
		"\"kubernetes.io/config.mirror\":\"x\"},"
		"\"ownerReferences\":[{\"kind\":\"DaemonSet\",\"controller\":true}]},"
		"\"status\":{\"phase\":\"Succeeded\"}},7]}");
	const char *name = "farrier.dev/edu";
	struct list resources = { &name, 1 };
	struct arena *a = arena_new(1 << 20);
	struct view_pod *p;
	size_t n;

	assert_int_equal(project_pods(a, j, &resources, &p, &n), 0);
	assert_int_equal(n, 3);
	assert_true(p[0].uses_devices && p[0].has_controller && p[0].has_empty_dir);
	assert_false(p[0].is_daemon || p[0].is_deleting || p[0].is_finished);
	assert_true(p[1].is_daemon && p[1].is_mirror && p[1].is_deleting);
	assert_true(p[1].is_finished && !p[1].uses_devices);
	assert_string_equal(api_kv_get(&p[1].labels, API_POD_SKIP_LABEL), "true");
	assert_string_equal(p[2].name, "");
	arena_free(a);
}

/* What is written is what was planned, to the last bit: else every node would be written for ever. */
static void test_hash_of_body(void **state)
{
	CLEANUP(fleet_freep) struct fleet *f = fresh();
	CLEANUP(json_freep) struct json *body = NULL;
	struct view_assign s = { "edu", 3, 3, 255, true };
	struct plan_node p = {
		.name = "n1",
		.assigns = { &s, 1 },
		.upgrade = { API_UPGRADE_REPLACE, 12, "edu@3", "Why", "" },
		.selectors = "edu=00000000000000ff",
		.before = "farrier.dev/edu=2",
	};

	assert_int_equal(put(f, FLEET_DRIVERS, DRIVER("3", "1", "")), 1);
	assert_int_equal(put(f, FLEET_CLASSES, CLASS), 1);
	assert_int_equal(put(f, FLEET_NODES, NODE("n1", "1", "", "{}")), 1);
	p.hash = plan_hash(fleet_view(f), &p.assigns, &p.upgrade, p.selectors, p.before);
	assert_int_equal(bodies_acc(f, &p, &body), 0);
	assert_true(project_hash(body) == p.hash);
	assert_string_equal(
		json_get_str(
			json_at(json_path(body, "metadata.ownerReferences"), 0), "uid"),
		"u-n1");
	/* and back through the projection */
	assert_int_equal(fleet_put(f, FLEET_ACCS, body, NULL), 1);
	assert_true(fleet_node(f, "n1")->spec_hash == p.hash);
	assert_int_equal(fleet_node(f, "n1")->upgrade.state, API_UPGRADE_REPLACE);
	s.generation = 4; /* planned on another generation than there is now */
	json_free(body);
	body = NULL;
	assert_int_equal(bodies_acc(f, &p, &body), -ESTALE);
}

static void test_intent(void **state)
{
	CLEANUP(fleet_freep) struct fleet *f = fresh();
	struct view_upgrade up = { API_UPGRADE_CORDON, 5, "edu@3", "r", "m" };
	struct view_assign s = { "edu", 3, 0, 1, false };
	struct list assigns = { &s, 1 };
	struct view_node *n;

	assert_int_equal(put(f, FLEET_ACCS, acc), 1);
	n = fleet_node(f, "n1");
	assert_int_equal(fleet_set_intent(f, n, &up, &assigns), 0);
	assert_string_equal(n->intent->upgrade.target, "edu@3");
	/* again with what it holds itself */
	assert_int_equal(
		fleet_set_intent(f, n, &n->intent->upgrade, &n->intent->assigns), 0);
	assert_int_equal(n->intent->assigns.n, 1);
	assert_int_equal(fleet_set_intent(f, n, NULL, NULL), 0);
	assert_null(n->intent);
}

/* A version of a Node that says nothing new asks for no plan, unless one was made for that very version. */
static void test_heartbeats(void **state)
{
	static const char resting[] =
		"{\"metadata\":{\"name\":\"n1\",\"resourceVersion\":\"%d\"},\"spec\":"
		"{\"upgrade\":{\"state\":\"%s\",\"since\":%d}},\"status\":{\"kernel\":\"6.1\","
		"\"hardware\":[\"pci:1234:11e8\",\"pci:1:2\"]}}";
	CLEANUP(fleet_freep) struct fleet *f = fresh();
	char text[512];

	assert_int_equal(put(f, FLEET_DRIVERS, DRIVER("3", "1", "")), 1);
	assert_true(fleet_filter_grew(f));
	assert_int_equal(put(f, FLEET_NODES, NODE("n1", "1", "", "{}")), 1);
	assert_int_equal(put(f, FLEET_NODES, NODE("n1", "2", "", "{}")), 0);
	assert_int_equal(fleet_node(f, "n1")->version, 2);
	assert_int_equal(put(f, FLEET_NODES, NODE("n1", "1", "", "{}")), 0); /* old */
	assert_int_equal(fleet_node(f, "n1")->version, 2);
	assert_int_equal(
		put(f, FLEET_NODES, NODE("n1", "3", "", "{\"unschedulable\":true}")), 1);
	assert_int_equal(put(f, FLEET_NODES, NODE("n1", "4", "", "{}")), 1);
	(void)snprintf(text, sizeof(text), resting, 5, "upgrade-done", 1);
	assert_int_equal(put(f, FLEET_ACCS, text), 1);
	(void)snprintf(text, sizeof(text), resting, 6, "upgrade-done", 1);
	assert_int_equal(put(f, FLEET_ACCS, text), 0);
	assert_int_equal(fleet_node(f, "n1")->hardware.n, 2);
	(void)snprintf(text, sizeof(text), resting, 7, "upgrade-done", 2);
	assert_int_equal(put(f, FLEET_ACCS, text), 1);
	(void)snprintf(text, sizeof(text), resting, 8, "cordon-required", 2);
	assert_int_equal(put(f, FLEET_ACCS, text), 1);
	/* Its cordon is decided on one version of the Node. */
	assert_int_equal(put(f, FLEET_NODES, NODE("n1", "9", "", "{}")), 1);
	assert_int_equal(fleet_node(f, "n1")->version, 9);
}

static void test_shared_lists(void **state)
{
	CLEANUP(intern_freep) struct intern *in = intern_new();
	uint64_t *a = intern_room(4 * sizeof(*a)), *b = intern_room(2 * sizeof(*b));
	uint64_t *c = intern_room(2 * sizeof(*c));
	bool known = true;

	assert_true(a && b && c);
	a[0] = b[0] = c[0] = 7;
	c[1] = 1;
	a = intern_share(
		in, a, 2 * sizeof(*a), &known); /* fewer than there was room for */
	assert_false(known);
	assert_true(intern_is_last(a));
	assert_ptr_equal(intern_share(in, b, 2 * sizeof(*b), &known), a);
	assert_true(known);
	intern_drop(in, b);
	assert_false(intern_is_last(a));
	c = intern_share(in, c, 2 * sizeof(*c), &known);
	assert_false(known);
	assert_int_equal(intern_len(in), 2);
	assert_string_equal(intern_get(in, "\7"), "\7"); /* a string is no list */
	assert_int_equal(intern_len(in), 3);
	intern_drop(in, a);
	assert_true(intern_is_last(a));
	assert_int_equal(a[0], 7);
	intern_drop(in, a);
	intern_drop(in, c);
	intern_drop(in, NULL);
	assert_int_equal(intern_len(in), 1);
}

static void test_intern(void **state)
{
	CLEANUP(intern_freep) struct intern *in = intern_new();
	const char *a = intern_get(in, "a"), *b = intern_get(in, "b");
	char text[16];

	assert_ptr_equal(a, intern_get(in, "a"));
	assert_ptr_not_equal(a, b);
	assert_string_equal(intern_get(in, NULL), "");
	assert_int_equal(intern_len(in), 3);
	intern_put(in, a);
	assert_int_equal(intern_len(in), 3);
	intern_put(in, a);
	assert_int_equal(intern_len(in), 2);
	intern_put(in, NULL);
	for (int i = 0; i < 2000; i++) {
		(void)snprintf(text, sizeof(text), "%d", i);
		assert_string_equal(intern_get(in, text), text);
	}
	assert_ptr_equal(b, intern_get(in, "b"));
}

static void test_jhash(void **state)
{
	static const struct {
		const char *x, *y;
		bool equal;
	} cases[] = {
		{ "{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1}", true },
		{ "{\"a\":1,\"b\":2}", "{\"a\":2,\"b\":1}", false },
		{ "{\"a\":1,\"b\":null}", "{\"a\":1}", true },
		{ "[1,2]", "[2,1]", false },
		{ "[]", "{}", false },
		{ "[[1],[2]]", "[[1,2],[]]", false },
		{ "\"1\"", "1", false },
		{ "true", "1", false },
		{ "{\"a\":{\"b\":1}}", "{\"b\":{\"a\":1}}", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(json_freep) struct json *x = parse(cases[i].x);
		CLEANUP(json_freep) struct json *y = parse(cases[i].y);

		if ((jhash(x) == jhash(y)) != cases[i].equal)
			fail_msg("case '%s' and '%s'", cases[i].x, cases[i].y);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_node),
		cmocka_unit_test(test_acc),
		cmocka_unit_test(test_sweep),
		cmocka_unit_test(test_older_is_ignored),
		cmocka_unit_test(test_answer_of_what_is_gone),
		cmocka_unit_test(test_invalid_driver),
		cmocka_unit_test(test_spec_for_nodes),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_pods),
		cmocka_unit_test(test_hash_of_body),
		cmocka_unit_test(test_intent),
		cmocka_unit_test(test_heartbeats),
		cmocka_unit_test(test_shared_lists),
		cmocka_unit_test(test_intern),
		cmocka_unit_test(test_jhash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
