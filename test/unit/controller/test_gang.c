// SPDX-License-Identifier: Apache-2.0
/* Gangs: which pods are in one, how many it needs, and how its pods are asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "controller/fleet.h"
#include "controller/gang.h"

enum { NOW = 10000 };

static const struct {
	const char *name, *pod, *key, *path;
} cases[] = {
	{ "none", "{\"metadata\":{\"namespace\":\"a\",\"name\":\"p\"}}", NULL, NULL },
	{ "the scheduler's own",
		"{\"metadata\":{\"namespace\":\"a\",\"annotations\":{"
		"\"scheduling.k8s.io/group-name\":\"x\"}},"
		"\"spec\":{\"schedulingGroup\":{\"podGroupName\":\"y\"}}}",
		"a/group/y", "/api/v1/namespaces/a/pods?limit=9" },
	{ "Volcano",
		"{\"metadata\":{\"namespace\":\"a\",\"annotations\":{"
		"\"scheduling.volcano.sh/group-name\":\"z\","
		"\"scheduling.k8s.io/group-name\":\"x\"}}}",
		"a/podgroup/x", "/api/v1/namespaces/a/pods?limit=9" },
	{ "coscheduling",
		"{\"metadata\":{\"namespace\":\"a\",\"labels\":{"
		"\"scheduling.x-k8s.io/pod-group\":\"x\"}}}",
		"a/coscheduling/x",
		"/api/v1/namespaces/a/pods?limit=9&labelSelector="
		"scheduling.x-k8s.io%2Fpod-group%3Dx" },
	{ "Kueue",
		"{\"metadata\":{\"namespace\":\"a\",\"labels\":{"
		"\"kueue.x-k8s.io/pod-group-name\":\"x\"}}}",
		"a/kueue/x",
		"/api/v1/namespaces/a/pods?limit=9&labelSelector="
		"kueue.x-k8s.io%2Fpod-group-name%3Dx" },
	{ "JobSet before its Jobs",
		"{\"metadata\":{\"namespace\":\"a\",\"labels\":{"
		"\"batch.kubernetes.io/job-name\":\"x-0\","
		"\"jobset.sigs.k8s.io/jobset-name\":\"x\"}}}",
		"a/jobset/x",
		"/api/v1/namespaces/a/pods?limit=9&labelSelector="
		"jobset.sigs.k8s.io%2Fjobset-name%3Dx" },
	{ "a Job",
		"{\"metadata\":{\"namespace\":\"a\",\"labels\":{"
		"\"batch.kubernetes.io/job-name\":\"x\"}}}",
		"a/job/x",
		"/api/v1/namespaces/a/pods?limit=9&labelSelector="
		"batch.kubernetes.io%2Fjob-name%3Dx" },
	{ "an empty name",
		"{\"metadata\":{\"namespace\":\"a\",\"labels\":{"
		"\"batch.kubernetes.io/job-name\":\"\"}}}",
		NULL, NULL },
	{ "wrong types",
		"{\"metadata\":{\"namespace\":\"a\",\"labels\":[],\"annotations\":7},"
		"\"spec\":{\"schedulingGroup\":\"x\"}}",
		NULL, NULL },
	{ "a name that means something in a path",
		"{\"metadata\":{\"namespace\":\"a?b\",\"labels\":{"
		"\"batch.kubernetes.io/job-name\":\"x/..&c\"}}}",
		"a?b/job/x/..&c",
		"/api/v1/namespaces/a%3Fb/pods?limit=9&labelSelector="
		"batch.kubernetes.io%2Fjob-name%3Dx%2F..%26c" },
};

static void test_marks(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(arena_freep) struct arena *a = arena_new(1 << 16);
		CLEANUP(json_freep) struct json *j = NULL;
		struct buf b CLEANUP(buf_done);
		const char *key;

		buf_init(&b, 4096);
		assert_int_equal(
			json_parse(cases[i].pod, strlen(cases[i].pod), &j, NULL), 0);
		assert_int_equal(gang_of(a, j, &key), 0);
		if (!key != !cases[i].key || (key && !streq(key, cases[i].key)))
			fail_msg("case '%s': '%s'", cases[i].name, key ? key : "");
		if (!key)
			continue;
		assert_int_equal(gang_path(&b, key, 9), 0);
		if (!streq(buf_cstr(&b), cases[i].path))
			fail_msg("case '%s': '%s'", cases[i].name, buf_cstr(&b));
	}
}

static void test_no_keys(void **state)
{
	static const char *const keys[] = { "", "/", "//", "a", "a/", "a/job", "a/job/",
		"/job/x", "a/what/x" };

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		struct buf b CLEANUP(buf_done);

		buf_init(&b, 4096);
		if (gang_path(&b, keys[i], 9) != -EINVAL)
			fail_msg("case '%s'", keys[i]);
	}
}

/* Where a gang says how many pods it needs. */
static void test_minimum(void **state)
{
	static const struct {
		const char *name, *key, *path, *object;
		int64_t min;
	} rows[] = {
		{ "Volcano", "a/volcano/x",
			"/apis/scheduling.volcano.sh/v1beta1/namespaces/a/podgroups/x",
			"{\"spec\":{\"minMember\":3}}", 3 },
		{ "Volcano's older mark", "a/podgroup/x",
			"/apis/scheduling.volcano.sh/v1beta1/namespaces/a/podgroups/x",
			"{\"spec\":{\"minMember\":1}}", 1 },
		{ "coscheduling", "a/coscheduling/x%2F..",
			"/apis/scheduling.x-k8s.io/v1alpha1/namespaces/a/podgroups/"
			"x%252F..",
			"{\"spec\":{\"minMember\":2}}", 2 },
		{ "the scheduler's own", "a/group/x",
			"/apis/scheduling.k8s.io/v1alpha2/namespaces/a/podgroups/x",
			"{\"spec\":{\"schedulingPolicy\":{\"gang\":{\"minCount\":4}}}}",
			4 },
		{ "the scheduler's own, no gang", "a/group/x",
			"/apis/scheduling.k8s.io/v1alpha2/namespaces/a/podgroups/x",
			"{\"spec\":{\"schedulingPolicy\":{\"basic\":{}}}}", 0 },
		{ "a Job has none", "a/job/x", NULL, "{\"spec\":{\"minMember\":2}}", 0 },
		{ "less than nothing", "a/volcano/x",
			"/apis/scheduling.volcano.sh/v1beta1/namespaces/a/podgroups/x",
			"{\"spec\":{\"minMember\":-3}}", 0 },
		{ "no number", "a/volcano/x",
			"/apis/scheduling.volcano.sh/v1beta1/namespaces/a/podgroups/x",
			"{\"spec\":{\"minMember\":\"3\"}}", 0 },
		{ "no object", "a/volcano/x",
			"/apis/scheduling.volcano.sh/v1beta1/namespaces/a/podgroups/x",
			"[]", 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP(json_freep) struct json *j = NULL;
		struct buf b CLEANUP(buf_done);

		buf_init(&b, 4096);
		assert_int_equal(
			json_parse(rows[i].object, strlen(rows[i].object), &j, NULL), 0);
		assert_int_equal(
			gang_object(&b, rows[i].key), rows[i].path ? 0 : -ENOENT);
		if (rows[i].path && !streq(buf_cstr(&b), rows[i].path))
			fail_msg("case '%s': '%s'", rows[i].name, buf_cstr(&b));
		if (gang_min(rows[i].key, j) != rows[i].min)
			fail_msg("case '%s': %lld", rows[i].name,
				(long long)gang_min(rows[i].key, j));
	}
}

static void test_minimum_of_pods(void **state)
{
	static const struct {
		const char *value;
		int64_t min;
	} rows[] = { { "3", 3 }, { "", 0 }, { "0", 0 }, { "-2", 0 }, { "3x", 0 },
		{ "99999999999999999999", 0 }, { "1000001", 0 } };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP(json_freep) struct json *j = NULL;
		char text[256];

		(void)snprintf(text, sizeof(text),
			"{\"metadata\":{\"annotations\":{"
			"\"gang.scheduling.koordinator.sh/min-available\":\"%s\"}}}",
			rows[i].value);
		assert_int_equal(json_parse(text, strlen(text), &j, NULL), 0);
		if (gang_min_of_pod(j) != rows[i].min)
			fail_msg("case '%s'", rows[i].value);
	}
}

/* The nodes of the pods that are in it, each once, over pages. */
static void test_listing(void **state)
{
#define POD(job, node, phase) \
	"{\"metadata\":{\"namespace\":\"a\",\"labels\":{\"batch.kubernetes.io/job-name\":\"" job \
	"\"}},\"spec\":{\"nodeName\":\"" node "\"},\"status\":{\"phase\":\"" phase \
	"\"}}"
	static const char *const pages[] = {
		"{\"items\":[" POD("x", "n1", "Running") "," POD(
			"x", "n1", "Running") "," POD("y", "n7", "Running") "," POD("x",
			"", "Pending") "]}",
		"{\"items\":[" POD("x", "n2", "Running") "," POD(
			"x", "n3", "Succeeded") "," POD("x", "n1", "Running") "," POD("x",
			"n2", "Pending") ",7,{}]}",
	};
	CLEANUP(fleet_freep) struct fleet *f = NULL;
	struct view_gang *g = project_gang_new("a/job/x", 1 << 16), *again;
	const struct view *v;

	assert_int_equal(fleet_new(NULL, &f), 0);
	assert_non_null(g);
	for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
		CLEANUP(json_freep) struct json *j = NULL;

		assert_int_equal(json_parse(pages[i], strlen(pages[i]), &j, NULL), 0);
		assert_int_equal(project_gang(g, j), 0);
	}
	assert_int_equal(g->nodes.n, 2);
	assert_string_equal(*VIEW_AT(const char *, g->nodes, 0), "n1");
	assert_string_equal(*VIEW_AT(const char *, g->nodes, 1), "n2");
	assert_int_equal(g->running[0], 3);
	assert_int_equal(g->running[1], 1); /* the other does not run yet */
	assert_int_equal(g->min, 0);
	g->listed_at = NOW;
	assert_int_equal(fleet_set_gang(f, &g), 0);
	assert_null(g);
	v = fleet_view(f);
	assert_int_equal(v->n_gangs, 1);
	assert_string_equal(v->gangs[0]->key, "a/job/x");
	again = project_gang_new("a/job/other", 1 << 16);
	assert_non_null(again);
	again->listed_at = NOW + 1000; /* by then the first is forgotten */
	assert_int_equal(fleet_set_gang(f, &again), 0);
	v = fleet_view(f);
	assert_int_equal(v->n_gangs, 1);
	assert_string_equal(v->gangs[0]->key, "a/job/other");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_marks),
		cmocka_unit_test(test_no_keys),
		cmocka_unit_test(test_minimum),
		cmocka_unit_test(test_minimum_of_pods),
		cmocka_unit_test(test_listing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
