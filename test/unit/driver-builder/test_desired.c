// SPDX-License-Identifier: Apache-2.0
/* desired.c: manifests of people, good and bad, and the cluster's word kept on disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "driver-builder/desired.h"
#include "file.h"
#include "json.h"

#define GOOD(name) \
	"apiVersion: farrier.dev/v1alpha1\nkind: AcceleratorDriver\n" \
	"metadata: { name: " name " }\nspec:\n  version: \"1.0\"\n" \
	"  devices: [ { bus: PCI, vendor: \"1234\", device: \"11e8\" } ]\n" \
	"  source: { type: Host, host: { path: /usr/src/edu-1.0 } }\n" \
	"  modules: [ { name: edu } ]\n"

static char dir[64];

static int setup(void **state)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/farrier-desired-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	return dir_remove(dir, NULL);
}

static void put(const char *name, const char *text)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(file_write_atomic(path, text, strlen(text), 0644, NULL), 0);
}

static const struct api_node_driver *driver(const struct desired *d, size_t i)
{
	return &((const struct api_node_driver *)d->drivers.items)[i];
}

static const struct {
	const char *name, *text, *in_message;
} bad[] = {
	{ "unknown field", GOOD("x") "  bogus: 1\n", "bogus" },
	{ "no YAML", "{{{", "b.yaml" },
	{ "another kind", "apiVersion: v1\nkind: Pod\nmetadata: { name: a }\n",
		"b.yaml" },
	{ "a class", "apiVersion: farrier.dev/v1alpha1\nkind: AcceleratorClass\n",
		"classes.d" },
	{ "a list", "- a\n- b\n", "b.yaml" },
	{ "scalar", "hello\n", "b.yaml" },
	{ "wrong type",
		"apiVersion: farrier.dev/v1alpha1\nkind: AcceleratorDriver\n"
		"metadata: { name: x }\nspec: { version: 1 }\n",
		"version" },
	{ "a good and a bad one", GOOD("y") "---\n" GOOD("x") "  bogus: 1\n", "bogus" },
};

static void test_bad_files(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct arena *a = arena_new(8 << 20);
		const struct desired_error *x;
		struct manifests *m;
		struct desired d;

		put("a.yaml", GOOD("edu"));
		put("b.yaml", bad[i].text);
		put("readme.txt", "not ours");
		assert_int_equal(manifests_new(&m), 0);
		assert_int_equal(manifests_read(m, a, dir, &d, NULL), 0);
		/* The other file is untouched, and of the bad one nothing is taken. */
		if (d.drivers.n != 1 || d.errors.n != 1)
			fail_msg("case '%s': %zu drivers, %zu errors", bad[i].name,
				d.drivers.n, d.errors.n);
		x = d.errors.items;
		if (!strstr(x->message, "b.yaml") ||
			!strstr(x->message, bad[i].in_message))
			fail_msg("case '%s': '%s'", bad[i].name, x->message);
		assert_int_equal(x->reason, REASON_MANIFEST_INVALID);
		manifests_free(m);
		arena_free(a);
	}
}

static void test_last_good_version(void **state)
{
	struct arena *a = arena_new(8 << 20);
	struct manifests *m;
	struct desired d;
	char path[128];

	assert_int_equal(manifests_new(&m), 0);
	put("edu.yaml", GOOD("edu"));
	assert_int_equal(manifests_read(m, a, dir, &d, NULL), 0);
	assert_int_equal(d.drivers.n, 1);
	put("edu.yaml", GOOD("edu") "  bogus: 1\n");
	arena_reset(a);
	assert_int_equal(manifests_read(m, a, dir, &d, NULL), 0);
	assert_int_equal(d.errors.n, 1);
	assert_int_equal(d.drivers.n, 1);
	assert_string_equal(driver(&d, 0)->name, "edu");
	assert_string_equal(driver(&d, 0)->spec.source.host.path, "/usr/src/edu-1.0");
	(void)snprintf(path, sizeof(path), "%s/edu.yaml", dir);
	assert_int_equal(unlink(path), 0);
	arena_reset(a);
	assert_int_equal(manifests_read(m, a, dir, &d, NULL), 0);
	assert_int_equal(d.drivers.n, 0);
	assert_int_equal(d.errors.n, 0);
	manifests_free(m);
	arena_free(a);
}

static void test_one_name_twice(void **state)
{
	struct arena *a = arena_new(8 << 20);
	struct manifests *m;
	struct desired d;

	assert_int_equal(manifests_new(&m), 0);
	put("1.yaml", GOOD("edu") "---\n" GOOD("two"));
	put("2.yaml", GOOD("edu"));
	assert_int_equal(manifests_read(m, a, dir, &d, NULL), 0);
	assert_int_equal(d.drivers.n, 2);
	assert_int_equal(d.errors.n, 1);
	assert_int_equal(
		((struct desired_error *)d.errors.items)->reason, REASON_CONFLICT);
	manifests_free(m);
	arena_free(a);
}

static void test_no_folder(void **state)
{
	struct arena *a = arena_new(8 << 20);
	struct manifests *m;
	struct desired d;

	assert_int_equal(manifests_new(&m), 0);
	assert_int_equal(manifests_read(m, a, "/nonexistent/farrier", &d, NULL), 0);
	assert_int_equal(d.drivers.n, 0);
	assert_int_equal(d.errors.n, 0);
	manifests_free(m);
	arena_free(a);
}

static const char node[] =
	"{\"apiVersion\":\"farrier.dev/v1alpha1\",\"kind\":\"AcceleratorNode\",\"metadata\":{"
	"\"name\":\"n1\",\"uid\":\"u\",\"generation\":7,\"resourceVersion\":\"99\"},\"spec\":{"
	"\"drivers\":[{\"name\":\"edu\",\"generation\":3,\"proceedGeneration\":3,\"spec\":{"
	"\"version\":\"1.0\",\"devices\":[{\"bus\":\"PCI\",\"vendor\":\"1234\"}],"
	"\"source\":{\"type\":\"Host\",\"host\":{\"path\":\"/usr/src/edu\"}},"
	"\"modules\":[{\"name\":\"edu\"}]}}],\"classes\":[{\"name\":\"%s\",\"spec\":{"
	"\"match\":[{\"bus\":\"PCI\",\"vendor\":\"1234\"}],\"resourceName\":"
	"\"farrier.dev/edu\"}}]},\"status\":{\"kernel\":\"x\"}}";

static struct json *make_node(const char *class_name)
{
	char text[4096];
	struct json *j;
	int n = snprintf(text, sizeof(text), node, class_name);

	assert_int_equal(json_parse(text, (size_t)n, &j, NULL), 0);
	return j;
}

static bool is_there(const char *name)
{
	char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return file_exists(path);
}

static void test_cluster_word(void **state)
{
	struct arena *a = arena_new(8 << 20);
	struct json *j = make_node("edu"), *back = NULL;
	struct err e = { 0 };
	struct desired d;

	assert_int_equal(desired_read(a, dir, &back, &d, &e), -ENOENT);
	assert_int_equal(desired_write(dir, j, &e), 1);
	assert_int_equal(desired_write(dir, j, &e), 0); /* nothing new */
	assert_true(is_there("classes/edu.json"));
	assert_int_equal(desired_read(a, dir, &back, &d, &e), 0);
	assert_string_equal(d.node_name, "n1");
	assert_int_equal(d.generation, 7);
	assert_int_equal(d.drivers.n, 1);
	assert_int_equal(driver(&d, 0)->proceed_generation, 3);
	assert_null(json_get(back, "status"));
	json_free(back);
	json_free(j);
	/* A class that is gone leaves. */
	j = make_node("other");
	assert_int_equal(desired_write(dir, j, &e), 1);
	assert_false(is_there("classes/edu.json"));
	assert_true(is_there("classes/other.json"));
	json_free(j);
	/* A class cannot write elsewhere. */
	j = make_node("../../evil");
	assert_int_equal(desired_write(dir, j, &e), -EINVAL);
	json_free(j);
	put("desired.json", "{\"version\":9}");
	assert_int_equal(desired_read(a, dir, &back, &d, &e), -EBADMSG);
	put("desired.json", "{\"version\":1,\"spec\"");
	assert_true(desired_read(a, dir, &back, &d, &e) < 0);
	arena_free(a);
}

/* A controller of the next version says more than we know, and an agent of it said more of this node. */
static void test_newer_controller(void **state)
{
	static const char text[] =
		"{\"apiVersion\":\"farrier.dev/v1alpha1\",\"kind\":\"AcceleratorNode\","
		"\"more\":1,\"metadata\":{\"name\":\"n1\",\"uid\":\"u\",\"generation\":8,"
		"\"more\":[]},\"spec\":{\"more\":{\"a\":[1,{}]},\"drivers\":[{\"name\":\"edu\","
		"\"generation\":3,\"proceedGeneration\":3,\"more\":\"x\",\"spec\":{"
		"\"version\":\"1.0\",\"more\":7,\"devices\":[{\"bus\":\"PCI\",\"vendor\":"
		"\"1234\",\"more\":1}],\"source\":{\"type\":\"Host\",\"more\":{},\"host\":{"
		"\"path\":\"/usr/src/edu\",\"more\":1}},\"build\":{\"more\":1},\"signing\":{"
		"\"mode\":\"None\",\"more\":1},\"modules\":[{\"name\":\"edu\",\"more\":null}]}}],\"classes\":[{"
		"\"name\":\"edu\",\"more\":1,\"spec\":{\"more\":1,\"match\":[{\"bus\":\"PCI\","
		"\"vendor\":\"1234\",\"more\":1}],\"resourceName\":\"farrier.dev/edu\"}}],"
		"\"builds\":[{\"driver\":\"edu\",\"generation\":3,\"kernel\":\"6.1\",\"node\":"
		"\"n2\",\"key\":\"k\",\"digest\":\"d\",\"more\":{\"votes\":[]}}],\"upgrade\":{"
		"\"state\":\"drain-required\",\"more\":1}},\"status\":{\"kernel\":\"x\",\"more\":1,"
		"\"drivers\":[{\"name\":\"edu\",\"state\":\"Transmogrified\"}]}}";
	struct arena *a = arena_new(8 << 20);
	struct json *j = NULL, *back = NULL;
	const struct api_node_build *b;
	struct err e = { 0 };
	struct desired d;

	assert_int_equal(json_parse(text, strlen(text), &j, NULL), 0);
	if (desired_parse(a, j, &d, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(d.drivers.n, 1);
	assert_string_equal(driver(&d, 0)->spec.source.host.path, "/usr/src/edu");
	assert_int_equal(d.classes.n, 1);
	assert_int_equal(d.builds.n, 1);
	b = d.builds.items;
	assert_string_equal(b->digest, "d");
	assert_null(b->unsigned_digest);
	assert_null(b->asked);
	assert_int_equal(d.upgrade.state, API_UPGRADE_DRAIN);
	/* what we do not know is kept for the agent that will */
	assert_int_equal(desired_write(dir, j, &e), 1);
	assert_int_equal(desired_read(a, dir, &back, &d, &e), 0);
	assert_true(json_has(json_get(back, "spec"), "more"));
	assert_int_equal(d.drivers.n, 1);
	json_free(back);
	json_free(j);
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_bad_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_last_good_version, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_name_twice, setup, teardown),
		cmocka_unit_test(test_no_folder),
		cmocka_unit_test_setup_teardown(test_cluster_word, setup, teardown),
		cmocka_unit_test_setup_teardown(test_newer_controller, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
