// SPDX-License-Identifier: Apache-2.0
/* Builds there and back: what is stored hashes to what was planned, and comes back the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "arena.h"
#include "controller/builds.h"
#include "controller/plan.h"
#include "controller/project.h"

static const struct view_build all[] = {
	{ "edu", "6.1.0-47", "n1", NULL, NULL, 2, 1, 1700000000 },
	{ "edu", "6.1.0-56", "", NULL, NULL, 2, 4, 1700000001 },
	{ "other", "6.1.0-56", "n2", "kkkk", "sha256:dddd", 7, 2, 1700000002 },
	{ "several", "6.1.0-47", "n1", NULL, NULL, 3, 2, 1700000003, NULL,
		"n1=1700000003,n2=1700000003" },
	{ "several", "6.1.0-56", "n1", "kkkk", "sha256:dddd", 3, 2, 1700000003, "eeee",
		"n1=1700000003,n2=1700000003" },
};

static struct json *node_with(const struct list *builds)
{
	struct json *j = json_new_object(), *meta = json_new_object(),
		    *spec = json_new_object();

	assert_int_equal(json_set_str(meta, "name", "n1"), 0);
	assert_int_equal(json_set(j, "metadata", meta), 0);
	if (builds)
		assert_int_equal(json_set(spec, "builds", builds_json(builds)), 0);
	assert_int_equal(json_set(j, "spec", spec), 0);
	return j;
}

static void test_there_and_back(void **state)
{
	struct intern *in = intern_new();

	for (size_t n = 0; n <= ARRAY_SIZE(all); n++) {
		const struct list builds = { (void *)(uintptr_t)all, n };
		struct json *list = builds_json(&builds), *obj = node_with(&builds);
		struct view_node node = { 0 };

		assert_non_null(list);
		assert_true(builds_hash(&builds) == builds_hash_json(list));
		assert_int_equal(project_acc(in, obj, &node), 0);
		assert_int_equal(node.builds.n, n);
		assert_true(builds_hash(&node.builds) == builds_hash(&builds));
		/* what the controller knows of a stored object is what it planned */
		assert_true(node.spec_hash ==
			    builds_hash_with(
				    project_hash(obj = (json_free(obj), node_with(NULL))),
				    builds_hash(&builds)));
		json_free(list);
		json_free(obj);
		project_clear_acc(in, &node);
		assert_int_equal(node.builds.n, 0);
	}
	assert_int_equal(intern_len(in), 0);
	intern_free(in);
}

static void test_hash_sees_everything(void **state)
{
	const struct list builds = { (void *)(uintptr_t)&all[2], 1 };
	uint64_t was = builds_hash(&builds);
	struct view_build b;
	const struct list one = { &b, 1 };

	b = all[2], b.node = "n3";
	assert_true(builds_hash(&one) != was);
	b = all[2], b.epoch++;
	assert_true(builds_hash(&one) != was);
	b = all[2], b.since++;
	assert_true(builds_hash(&one) != was);
	b = all[2], b.digest = "sha256:eeee";
	assert_true(builds_hash(&one) != was);
	b = all[2], b.digest = NULL;
	assert_true(builds_hash(&one) != was);
	b = all[2], b.unsigned_digest = "eeee";
	assert_true(builds_hash(&one) != was);
	b = all[2], b.asked = "n1=1";
	assert_true(builds_hash(&one) != was);
	b = all[2], b.generation++;
	assert_true(builds_hash(&one) != was);
}

static void test_hostile_lists(void **state)
{
	static const char *const texts[] = { "{}", "7", "null", "[7, null, \"x\", []]",
		"[{}]", "[{\"driver\": 7, \"epoch\": \"x\", \"digest\": {}}]",
		"[{\"driver\": \"x\", \"asked\": [1], \"unsignedDigest\": 7}]" };
	struct intern *in = intern_new();

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct view_node node = { 0 };
		struct json *j = NULL;

		assert_int_equal(json_parse(texts[i], strlen(texts[i]), &j, NULL), 0);
		assert_int_equal(builds_read(in, j, &node), 0);
		builds_clear(in, &node);
		json_free(j);
	}
	assert_int_equal(intern_len(in), 0);
	intern_free(in);
}

/* Agents one version apart: one that knows nothing of what builders agree on, one that says more. */
static void test_other_agents(void **state)
{
	static const struct {
		const char *name, *row, *digest, *unsigned_digest;
		int state;
	} cases[] = {
		{ "older, built", "\"state\":\"Ready\",\"artifact\":\"k\"", NULL, NULL,
			API_KERNEL_READY },
		{ "older, published",
			"\"state\":\"Ready\",\"artifact\":\"k\",\"digest\":\"sha256:d\"",
			"sha256:d", NULL, API_KERNEL_READY },
		{ "today's",
			"\"state\":\"Ready\",\"artifact\":\"k\",\"digest\":\"sha256:d\","
			"\"unsignedDigest\":\"u\"",
			"sha256:d", "u", API_KERNEL_READY },
		{ "newer, more members",
			"\"state\":\"Ready\",\"digest\":\"sha256:d\",\"unsignedDigest\":"
			"\"u\",\"attested\":{\"by\":[1]}",
			"sha256:d", "u", API_KERNEL_READY },
		{ "newer, another state", "\"state\":\"Transmogrified\"", NULL, NULL,
			API_KERNEL_PENDING },
		{ "newer, other types",
			"\"state\":[\"Ready\"],\"digest\":{},\"unsignedDigest\":7", NULL,
			NULL, API_KERNEL_PENDING },
	};
	struct intern *in = intern_new();

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct view_node n = { 0 };
		const struct view_kernel *k;
		struct json *j = NULL;
		char text[1024];
		int len = snprintf(text, sizeof(text),
			"{\"metadata\":{\"name\":\"n1\"},\"spec\":{},\"status\":{\"kernel\":"
			"\"6.1\",\"more\":[{}],\"kernels\":[{\"release\":\"6.1\",\"more\":1,"
			"\"drivers\":[{\"name\":\"edu\",\"generation\":2,%s}]}]}}",
			cases[i].row);

		assert_int_equal(json_parse(text, (size_t)len, &j, NULL), 0);
		assert_int_equal(project_acc(in, j, &n), 0);
		assert_int_equal(n.kernels.n, 1);
		k = VIEW_AT(struct view_kernel, n.kernels, 0);
		if (k->state != cases[i].state || k->generation != 2 ||
			!streq(view_str(k->digest), view_str(cases[i].digest)) ||
			!streq(view_str(k->unsigned_digest),
				view_str(cases[i].unsigned_digest)))
			fail_msg("case '%s'", cases[i].name);
		json_free(j);
		project_clear_acc(in, &n);
	}
	assert_int_equal(intern_len(in), 0);
	intern_free(in);
}

static void test_plan_writes_once(void **state)
{
	struct view_kernel row = { .release = "6.1",
		.driver = "edu",
		.reason = "",
		.artifact = "",
		.generation = 2 };
	struct view_assign assign = { .name = "edu", .generation = 2, .selector = 1 };
	struct view_driver driver = { .name = "edu",
		.generation = 2,
		.selector = 1,
		.has_spec = true,
		.d.meta.generation = 2 };
	struct view_node node = { .name = "n1",
		.has_node = true,
		.is_ready = true,
		.has_acc = true,
		.is_known = true,
		.upgrade = { .target = "", .reason = "", .message = "" },
		.assigns = { &assign, 1 },
		.kernels = { &row, 1 } };
	struct view_driver *drivers[] = { &driver };
	struct view_node *nodes[] = { &node };
	struct view v = { .drivers = drivers,
		.n_drivers = 1,
		.nodes = nodes,
		.n_nodes = 1,
		.builders = "n*" };
	struct arena *a = arena_new(1 << 20);
	struct plan p;

	assert_non_null(a);
	assert_int_equal(plan_make(a, &v, 1000, &p), 0);
	assert_int_equal(p.n_nodes, 1);
	assert_true(p.nodes[0].write);
	assert_int_equal(p.nodes[0].builds.n, 1);
	assert_string_equal(VIEW_AT(struct view_build, p.nodes[0].builds, 0)->node, "n1");
	assert_true(p.wake_at <= 1000 + 3600);
	/* stored as planned */
	node.builds = p.nodes[0].builds;
	node.assigns = p.nodes[0].assigns;
	node.spec_hash = p.nodes[0].hash;
	assert_int_equal(plan_make(a, &v, 1001, &p), 0);
	for (size_t i = 0; i < p.n_nodes; i++)
		assert_false(p.nodes[i].write);
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_hash_sees_everything),
		cmocka_unit_test(test_hostile_lists),
		cmocka_unit_test(test_other_agents),
		cmocka_unit_test(test_plan_writes_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
