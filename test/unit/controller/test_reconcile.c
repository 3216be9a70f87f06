// SPDX-License-Identifier: Apache-2.0
/* The whole controller but its flags, against an API server on loopback: from the first list to the end
 * of a wave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "controller/reconcile.h"
#include "test/unit/controller/fake_cluster.h"

#define DRIVERS FARRIER "acceleratordrivers"
#define NODES FARRIER "acceleratornodes"

static void put_driver(struct cluster *c, int generation, const char *source)
{
	const struct json *status = json_get(cluster_get(c, DRIVERS "/edu"), "status");
	struct json *j;
	char text[1024];

	(void)snprintf(text, sizeof(text),
		"{\"apiVersion\":\"farrier.dev/v1alpha1\",\"kind\":\"AcceleratorDriver\","
		"\"metadata\":{\"name\":\"edu\",\"uid\":\"u-edu\",\"generation\":%d,"
		"\"creationTimestamp\":\"2026-01-01T00:00:00Z\"},"
		"\"spec\":{\"version\":\"1.%d\",\"devices\":[{\"bus\":\"PCI\",\"vendor\":\"1234\","
		"\"device\":\"11e8\"}],\"source\":%s,\"modules\":[{\"name\":\"edu\"}],"
		"\"upgradePolicy\":{\"maxUnavailable\":2}}}",
		generation, generation, source);
	j = cluster_parse(text);
	if (status)
		assert_int_equal(json_set(j, "status", json_copy(status)), 0);
	cluster_store(c, DRIVERS "/edu", j);
}

static const char host[] = "{\"type\":\"Host\",\"host\":{\"path\":\"/usr/src/edu\"}}";
static const char config[] = "{\"type\":\"ConfigMap\",\"configMap\":{\"name\":\"src\"}}";

static void put_node(struct cluster *c, const char *name)
{
	char path[64], text[512];

	(void)snprintf(path, sizeof(path), "/api/v1/nodes/%s", name);
	(void)snprintf(text, sizeof(text),
		"{\"metadata\":{\"name\":\"%s\",\"uid\":\"u-%s\"},\"spec\":{},\"status\":{"
		"\"allocatable\":{\"farrier.dev/edu\":\"1\"},"
		"\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}",
		name, name);
	cluster_put(c, path, text);
}

/* @marks: the member of metadata that says which gang it is in. */
static void put_pod(
	struct cluster *c, const char *name, const char *node, const char *marks)
{
	char path[128], text[1024];

	(void)snprintf(path, sizeof(path), "/api/v1/namespaces/a/pods/%s", name);
	(void)snprintf(text, sizeof(text),
		"{\"metadata\":{\"namespace\":\"a\",\"name\":\"%s\",\"uid\":\"u-%s\","
		"%s,"
		"\"ownerReferences\":[{\"kind\":\"Job\",\"controller\":true}]},"
		"\"spec\":{\"nodeName\":\"%s\",\"containers\":[{\"resources\":{\"limits\":{"
		"\"farrier.dev/edu\":\"1\"}}}]},\"status\":{\"phase\":\"Running\"}}",
		name, name, marks, node);
	cluster_put(c, path, text);
}

static const char job[] = "\"labels\":{\"batch.kubernetes.io/job-name\":\"x\"}";
static const char volcano[] =
	"\"annotations\":{\"scheduling.volcano.sh/group-name\":\"x\"}";

static void put_all(struct cluster *c)
{
	cluster_put(c, FARRIER "acceleratorclasses/edu",
		"{\"apiVersion\":\"farrier.dev/v1alpha1\",\"kind\":\"AcceleratorClass\","
		"\"metadata\":{\"name\":\"edu\",\"uid\":\"u-c\",\"generation\":1},"
		"\"spec\":{\"match\":[{\"bus\":\"PCI\",\"vendor\":\"1234\"}],"
		"\"resourceName\":\"farrier.dev/edu\"}}");
	put_node(c, "n0");
	put_node(c, "n1");
	put_driver(c, 1, host);
}

static struct reconcile *begin(struct cluster *c, struct metrics **m, bool once)
{
	struct reconcile_options o = { .once = once };
	struct reconcile *rc = NULL;

	assert_int_equal(metrics_new(m), 0);
	assert_int_equal(reconcile_new(c->kube, *m, &o, &rc, NULL), 0);
	reconcile_start(rc);
	return rc;
}

typedef bool (*until_fn)(const struct cluster *c);

/* Lets time pass until @is_so; an hour of it is enough for anything. */
static void wait_for(struct cluster *c, until_fn is_so, const char *what)
{
	for (unsigned i = 0; i < 36000; i++) {
		if (is_so(c))
			return;
		(void)pump(c->loop, NULL, 2);
		skew_us += 100 * USEC_PER_MSEC;
	}
	fail_msg("never: %s; n0 '%s' '%s', n1 '%s' '%s'", what,
		cluster_str(c, NODES "/n0", "spec.upgrade.state"),
		cluster_str(c, NODES "/n0", "spec.upgrade.reason"),
		cluster_str(c, NODES "/n1", "spec.upgrade.state"),
		cluster_str(c, NODES "/n1", "spec.upgrade.reason"));
}

static const struct json *condition(const struct cluster *c, const char *type)
{
	const struct json *list = json_path(
		cluster_get(c, DRIVERS "/edu"), "status.conditions");

	for (size_t i = 0; i < json_len(list); i++)
		if (streq(json_get_str(json_at(list, i), "type"), type))
			return json_at(list, i);
	return NULL;
}

static int64_t good(const struct cluster *c)
{
	return json_get_int(json_path(cluster_get(c, DRIVERS "/edu"), "status.lastGood"),
		"generation", 0);
}

static bool is_ready_at(const struct cluster *c, int64_t generation)
{
	const struct json *ready = condition(c, "Ready");

	return ready && streq(json_get_str(ready, "status"), "True") &&
	       json_get_int(ready, "observedGeneration", 0) == generation &&
	       good(c) == generation;
}

static bool is_first_ready(const struct cluster *c)
{
	return is_ready_at(c, 1);
}

static bool is_second_ready(const struct cluster *c)
{
	return is_ready_at(c, 2);
}

static bool have_both_failed(const struct cluster *c)
{
	return streq(cluster_str(c, NODES "/n0", "spec.upgrade.state"),
		       "upgrade-failed") &&
	       streq(cluster_str(c, NODES "/n1", "spec.upgrade.state"),
		       "upgrade-failed") &&
	       cluster_cordoned(c) == 0;
}

/* Both Nodes carry the version as a label and say that their drivers are ready, beside what was there. */
static bool is_marked(const struct cluster *c)
{
	static const char *const paths[] = { "/api/v1/nodes/n0", "/api/v1/nodes/n1" };

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		const struct json *n = cluster_get(c, paths[i]);
		const char *label = json_get_str(
			json_path(n, "metadata.labels"), "farrier.dev/driver.edu");
		const struct json *list = json_path(n, "status.conditions");

		if (!label || !streq(label, "1.2") || json_len(list) != 2 ||
			!streq(json_get_str(json_at(list, 0), "type"), "Ready") ||
			!streq(json_get_str(json_at(list, 1), "reason"), "DriversReady"))
			return false;
	}
	return true;
}

/* From nothing to a wave over a gang, with a ConfigMap as the new source. */
static void test_wave(void **state)
{
	struct cluster c;
	struct metrics *m = NULL;
	struct reconcile *rc;
	const struct json *entry;

	cluster_start(&c, false);
	put_all(&c);
	rc = begin(&c, &m, false);
	wait_for(&c, is_first_ready, "the first version runs");
	assert_true(reconcile_is_synced(rc));
	assert_int_equal(c.evictions, 0);
	assert_string_equal(json_get_str(json_at(json_path(cluster_get(&c, NODES "/n0"),
							 "metadata.ownerReferences"),
						 0),
				    "uid"),
		"u-n0");

	put_pod(&c, "p0", "n0", job);
	put_pod(&c, "p1", "n1", job);
	cluster_put(&c, "/api/v1/namespaces/ours/configmaps/src",
		"{\"metadata\":{\"name\":\"src\"},\"data\":{\"edu.c\":\"int x;\"}}");
	c.refuses_next_patch = true;
	put_driver(&c, 2, config);
	wait_for(&c, is_second_ready, "the second version runs");
	assert_int_equal(c.refused, 1);
	assert_int_equal(c.evictions, 2);
	assert_int_equal(c.cordoned_at_eviction, 2); /* one gang: both or none */
	assert_int_equal(cluster_cordoned(&c), 0);
	assert_int_equal(c.loaded[0], 2);
	assert_int_equal(c.loaded[1], 2);
	assert_true(c.events > 0);
	entry = json_at(json_path(cluster_get(&c, NODES "/n0"), "spec.drivers"), 0);
	assert_string_equal(
		json_get_str(json_path(entry, "spec.source.inline.files"), "edu.c"),
		"int x;");
	assert_null(json_path(entry, "spec.upgradePolicy"));
	wait_for(&c, is_marked, "the Nodes say what runs");
	reconcile_free(rc);
	metrics_free(m);
	cluster_stop(&c);
}

/* A gang that needs one of its two pods is asked how many it needs, and is never without. */
static void test_surplus(void **state)
{
	struct cluster c;
	struct metrics *m = NULL;
	struct reconcile *rc;

	cluster_start(&c, false);
	put_all(&c);
	rc = begin(&c, &m, false);
	wait_for(&c, is_first_ready, "the first version runs");
	put_pod(&c, "p0", "n0", volcano);
	put_pod(&c, "p1", "n1", volcano);
	cluster_put(&c, "/apis/scheduling.volcano.sh/v1beta1/namespaces/a/podgroups/x",
		"{\"metadata\":{\"name\":\"x\"},\"spec\":{\"minMember\":1}}");
	put_driver(&c, 2, host);
	wait_for(&c, is_second_ready, "the second version runs");
	assert_int_equal(c.evictions, 2);
	assert_int_equal(c.cordoned_at_eviction, 1);
	assert_int_equal(cluster_cordoned(&c), 0);
	reconcile_free(rc);
	metrics_free(m);
	cluster_stop(&c);
}

/* Lists as streams, of a server that does not know what that is: later, but the same. */
static void test_streamed(void **state)
{
	struct reconcile_options o = { .stream_lists = true };
	struct cluster c;
	struct metrics *m = NULL;
	struct reconcile *rc = NULL;

	cluster_start(&c, false);
	put_all(&c);
	assert_int_equal(metrics_new(&m), 0);
	assert_int_equal(reconcile_new(c.kube, m, &o, &rc, NULL), 0);
	reconcile_start(rc);
	wait_for(&c, is_first_ready, "the first version runs");
	assert_true(reconcile_is_synced(rc));
	reconcile_free(rc);
	metrics_free(m);
	cluster_stop(&c);
}

/* A version that fails is taken back; so is what was known when the leader changes in the middle. */
static void test_rollback(void **state)
{
	struct cluster c;
	struct metrics *m = NULL;
	struct reconcile *rc;

	cluster_start(&c, false);
	put_all(&c);
	rc = begin(&c, &m, false);
	wait_for(&c, is_first_ready, "the first version runs");
	c.is_bad[2] = true;
	put_driver(&c, 2, host);
	reconcile_stop(rc);
	reconcile_start(rc);
	wait_for(&c, have_both_failed, "the second version is taken back");
	assert_int_equal(c.loaded[0], 1);
	assert_int_equal(c.loaded[1], 1);
	assert_int_equal(good(&c), 1);
	assert_string_equal(
		cluster_str(&c, NODES "/n0", "spec.upgrade.reason"), "LoadFailed");
	assert_non_null(strstr(cluster_str(&c, NODES "/n0", "spec.upgrade.message"),
		"the last good version runs again"));
	reconcile_free(rc);
	metrics_free(m);
	cluster_stop(&c);
}

static void too_long(void *user)
{
	loop_exit(user, 77);
}

/* --once: ends by itself, with everything done that can be. */
static void test_once(void **state)
{
	struct loop_source *timer = NULL;
	struct cluster c;
	struct metrics *m = NULL;
	struct reconcile *rc;

	cluster_start(&c, true);
	put_all(&c);
	assert_int_equal(loop_timer(c.loop, loop_now(c.loop) + 100 * USEC_PER_SEC,
				 too_long, c.loop, &timer),
		0);
	for (unsigned i = 0; i < 2; i++) { /* the second time there is little to do */
		rc = begin(&c, &m, true);
		assert_int_equal(loop_run(c.loop), 0);
		reconcile_free(rc);
		metrics_free(m);
	}
	assert_non_null(cluster_get(&c, NODES "/n0"));
	assert_non_null(cluster_get(&c, NODES "/n1"));
	assert_non_null(condition(&c, "Ready"));
	loop_source_free(timer);
	cluster_stop(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wave),
		cmocka_unit_test(test_surplus),
		cmocka_unit_test(test_streamed),
		cmocka_unit_test(test_rollback),
		cmocka_unit_test(test_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
