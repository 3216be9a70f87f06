// SPDX-License-Identifier: Apache-2.0
/* NodeResourceTopologies: written once, left to others, taken back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "controller/reconcile.h"
#include "controller/topology.h"
#include "controller/topology_body.h"
#include "test/unit/controller/topology_acc.h"

#define NRTS "/apis/topology.node.k8s.io/v1alpha2/noderesourcetopologies/"
#define MINUTES(n) ((n)*60U)

/* ---- with an API server ---- */

struct world {
	struct cluster c;
	struct metrics *metrics;
	struct topology *t;
	bool has_kind, is_foreign, is_forbidden;
	unsigned looked, reads, writes, deletes;
};

static void serve_write(struct world *w, struct fake_conn *conn,
	const struct fake_request *q, const char *path)
{
	struct json *body = cluster_parse(q->body);

	if (streq(q->method, "DELETE")) {
		const struct json *meta = json_get(cluster_get(&w->c, path), "metadata");

		assert_string_equal(
			json_str(json_path(body, "preconditions.uid")), "u-nrt");
		assert_string_equal(
			json_str(json_path(body, "preconditions.resourceVersion")),
			json_get_str(meta, "resourceVersion"));
		w->deletes++;
		cluster_tell(&w->c, path, "DELETED", cluster_get(&w->c, path));
		(void)map_del(w->c.objects, path);
		fake_reply(conn, "200 OK", "", "{\"kind\":\"Status\"}");
	} else if (w->is_forbidden) {
		w->writes++;
		fake_reply(conn, "403 Forbidden", "", "{\"reason\":\"Forbidden\"}");
	} else if (w->is_foreign) {
		w->writes++;
		fake_reply(conn, "409 Conflict", "",
			"{\"reason\":\"Conflict\",\"message\":\"Apply failed with 1 conflict: "
			"conflict with \\\"nfd-topology-updater\\\": .zones\"}");
	} else {
		/* Server-side apply by our name, and without force. */
		assert_string_equal(q->method, "PATCH");
		assert_non_null(strstr(q->path, "?fieldManager=farrier-controller"));
		assert_null(strstr(q->path, "force"));
		assert_non_null(strcasestr(q->headers, "apply-patch"));
		w->writes++;
		assert_int_equal(
			json_set_str(cluster_member(body, "metadata"), "uid", "u-nrt"),
			0);
		cluster_store(&w->c, path, TAKE(body));
		cluster_answer(conn, cluster_get(&w->c, path));
	}
	json_free(body);
}

static void serve(struct fake_conn *conn, const struct fake_request *q, void *user)
{
	struct world *w = user;
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s", q->path);
	*strchrnul(path, '?') = '\0';
	if (streq(path, TOPOLOGY_API)) {
		w->looked++;
		if (w->has_kind)
			fake_reply(conn, "200 OK", "",
				"{\"kind\":\"APIResourceList\",\"resources\":[{\"name\":"
				"\"other\"},{\"name\":\"noderesourcetopologies\"}]}");
		else
			fake_reply(
				conn, "404 Not Found", "", "{\"reason\":\"NotFound\"}");
		return;
	}
	if (str_starts(path, TOPOLOGY_API) && !streq(q->method, "GET")) {
		serve_write(w, conn, q, path);
		return;
	}
	if (streq(path, TOPOLOGY_API "/noderesourcetopologies"))
		assert_non_null(strstr(q->path, "labelSelector=farrier.dev%2Ftopology"));
	w->reads += str_starts(path, FARRIER "acceleratornodes/");
	cluster_serve(conn, q, &w->c);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w || metrics_new(&w->metrics) < 0)
		return -1;
	cluster_start(&w->c, false);
	w->c.server.fn = serve;
	w->c.server.user = w;
	w->has_kind = true;
	*state = w;
	return topology_new(w->c.kube, w->metrics, &w->t, NULL);
}

static int teardown(void **state)
{
	struct world *w = *state;

	topology_free(w->t);
	cluster_stop(&w->c);
	metrics_free(w->metrics);
	free(w);
	return 0;
}

static void pass(struct world *w, unsigned seconds)
{
	unsigned step = seconds > MINUTES(2) ? 20 : 1;

	for (unsigned i = 0; i < seconds; i += step) {
		skew_us += step * USEC_PER_SEC;
		(void)pump(w->c.loop, NULL, 1);
	}
	(void)pump(w->c.loop, NULL, 20);
}

/* An agent's word, through the watch and for who reads the object. */
static void say(struct world *w, const char *name, const char *available)
{
	char path[128];

	(void)snprintf(path, sizeof(path), FARRIER "acceleratornodes/%s", name);
	cluster_store(&w->c, path, acc(name, available));
	topology_acc_ops.on_item(cluster_get(&w->c, path), w->t);
}

static void list_all(struct world *w)
{
	topology_acc_ops.on_list(w->t);
	topology_acc_ops.on_sync(w->t);
}

static const char *available(const struct world *w, const char *name)
{
	char path[256];
	const struct json *zone, *cpu;

	(void)snprintf(path, sizeof(path), NRTS "%s", name);
	zone = json_at(json_get(cluster_get(&w->c, path), "zones"), 0);
	cpu = json_at(json_get(zone, "resources"), 0);
	return cpu ? json_get_str(cpu, "available") : "none";
}

static void test_publishes(void **state)
{
	struct world *w = *state;

	topology_acc_ops.on_list(w->t);
	say(w, "n0", "5");
	say(w, "n1", NULL);
	pass(w, 2);
	assert_int_equal(w->writes, 0); /* not all is listed yet */
	topology_acc_ops.on_sync(w->t);
	pass(w, 2);
	assert_string_equal(available(w, "n0"), "5");
	assert_string_equal(available(w, "n1"), "none");
	assert_int_equal(w->writes, 1);
	/* The same again, and another word of the same agent, are nothing to write. */
	say(w, "n0", "5");
	pass(w, 100);
	assert_int_equal(w->writes, 1);
	assert_int_equal(w->reads, 1);
	say(w, "n0", "3");
	pass(w, 2);
	assert_string_equal(available(w, "n0"), "3");
	assert_int_equal(w->writes, 2);
	assert_int_equal(w->c.events, 0);
}

/* A new leader finds everything as it should be, and writes nothing. */
static void test_new_leader(void **state)
{
	struct world *w = *state;

	list_all(w);
	say(w, "n0", "5");
	pass(w, 2);
	assert_int_equal(w->writes, 1);
	topology_free(w->t);
	assert_int_equal(topology_new(w->c.kube, w->metrics, &w->t, NULL), 0);
	topology_acc_ops.on_list(w->t);
	say(w, "n0", "5");
	topology_acc_ops.on_sync(w->t);
	pass(w, 100);
	assert_int_equal(w->writes, 1);
	assert_int_equal(w->reads, 1);
}

static void test_no_kind(void **state)
{
	struct world *w = *state;

	w->has_kind = false;
	list_all(w);
	say(w, "n0", "5");
	pass(w, MINUTES(30));
	assert_int_equal(w->writes, 0);
	assert_in_range(w->looked, 4, 7); /* now and then, and nothing else is asked */
	assert_int_equal(w->reads, 0);
	w->has_kind = true; /* somebody installs it */
	pass(w, MINUTES(7));
	assert_string_equal(available(w, "n0"), "5");
	w->has_kind = false; /* and takes it away, with all of them */
	(void)map_del(w->c.objects, NRTS "n0");
	pass(w, MINUTES(7));
	say(w, "n0", "4");
	pass(w, MINUTES(1));
	assert_int_equal(w->writes, 1);
	w->has_kind = true;
	pass(w, MINUTES(7));
	assert_string_equal(available(w, "n0"), "4");
	assert_int_equal(w->writes, 2);
}

static void test_deleted_by_somebody(void **state)
{
	struct world *w = *state;

	list_all(w);
	say(w, "n0", "5");
	pass(w, 2);
	cluster_tell(&w->c, NRTS "n0", "DELETED", cluster_get(&w->c, NRTS "n0"));
	(void)map_del(w->c.objects, NRTS "n0");
	pass(w, 2);
	assert_string_equal(available(w, "n0"), "5");
	assert_int_equal(w->writes, 2);
}

/* Another publisher: yielded to, said once, tried again now and then. */
static void test_foreign(void **state)
{
	struct world *w = *state;

	w->is_foreign = true;
	list_all(w);
	say(w, "n0", "5");
	pass(w, 5);
	assert_int_equal(w->writes, 1);
	assert_int_equal(w->c.events, 1);
	say(w, "n0", "4"); /* no reason to fight */
	pass(w, MINUTES(25));
	assert_int_equal(w->writes, 1);
	pass(w, MINUTES(14));
	assert_int_equal(w->writes, 2);
	assert_int_equal(w->c.events, 1);
	w->is_foreign = false;
	pass(w, MINUTES(39));
	assert_string_equal(available(w, "n0"), "4");
	assert_int_equal(w->writes, 3);
}

/* Somebody writes over ours: it is his from then on, until he deletes it. */
static void test_taken_over(void **state)
{
	struct world *w = *state;
	struct json *j;

	list_all(w);
	say(w, "n0", "5");
	pass(w, 2);
	j = json_copy(cluster_get(&w->c, NRTS "n0"));
	assert_int_equal(json_set(j, "zones", json_new_array()), 0);
	w->is_foreign = true;
	cluster_store(&w->c, NRTS "n0", j);
	pass(w, 5);
	assert_int_equal(w->writes, 2);
	assert_int_equal(w->c.events, 1);
	say(w, "n0", NULL); /* nor is it taken back */
	pass(w, MINUTES(30));
	assert_int_equal(w->deletes, 0);
	say(w, "n0", "5");
	w->is_foreign = false;
	cluster_tell(&w->c, NRTS "n0", "DELETED", cluster_get(&w->c, NRTS "n0"));
	(void)map_del(w->c.objects, NRTS "n0");
	pass(w, 5);
	assert_string_equal(available(w, "n0"), "5");
}

static void test_taken_back(void **state)
{
	struct world *w = *state;

	list_all(w);
	say(w, "n0", "5");
	pass(w, 2);
	say(w, "n0", NULL); /* an agent that starts anew, maybe */
	pass(w, MINUTES(5));
	say(w, "n0", "5");
	pass(w, MINUTES(10));
	assert_int_equal(w->deletes, 0);
	assert_int_equal(w->writes, 1);
	say(w, "n0", NULL);
	pass(w, MINUTES(11));
	assert_int_equal(w->deletes, 1);
	assert_string_equal(available(w, "n0"), "none");
	pass(w, MINUTES(30));
	assert_int_equal(w->deletes, 1);
	say(w, "n0", "2");
	pass(w, 2);
	assert_string_equal(available(w, "n0"), "2");
}

/* A word that cannot be used changes nothing, and takes nothing back. */
static void test_unusable(void **state)
{
	struct world *w = *state;
	struct json *bad = acc("n0", "-7");

	list_all(w);
	say(w, "n0", "5");
	pass(w, 2);
	topology_acc_ops.on_item(bad, w->t);
	pass(w, MINUTES(30));
	assert_string_equal(available(w, "n0"), "5");
	assert_int_equal(w->writes + w->deletes, 1);
	json_free(bad);
}

/* The object that is read is newer than the one that was watched, or cannot be used: no busy loop. */
static void test_read_differs(void **state)
{
	struct world *w = *state;
	struct json *old = acc("n0", "9");

	list_all(w);
	cluster_store(&w->c, FARRIER "acceleratornodes/n0", acc("n0", "5"));
	topology_acc_ops.on_item(old, w->t);
	pass(w, 2);
	assert_string_equal(available(w, "n0"), "5");
	assert_int_equal(w->writes, 1);
	cluster_store(&w->c, FARRIER "acceleratornodes/n0", acc("n0", "-5"));
	topology_acc_ops.on_item(old, w->t);
	pass(w, 60);
	assert_int_equal(w->writes, 1);
	assert_in_range(w->reads, 2, 3);
	(void)map_del(w->c.objects, FARRIER "acceleratornodes/n0");
	json_free(old);
}

static void test_no_right(void **state)
{
	struct world *w = *state;

	w->is_forbidden = true;
	list_all(w);
	say(w, "n0", "5");
	pass(w, MINUTES(9));
	assert_int_equal(w->writes, 1);
	w->is_forbidden = false;
	pass(w, MINUTES(3));
	assert_string_equal(available(w, "n0"), "5");
}

/* Many at once: never more than a few requests under way, and all get theirs. */
static void test_many(void **state)
{
	struct world *w = *state;
	char name[16];

	topology_acc_ops.on_list(w->t);
	for (int i = 0; i < 60; i++) {
		(void)snprintf(name, sizeof(name), "m%d", i);
		say(w, name, "1");
	}
	topology_acc_ops.on_sync(w->t);
	pass(w, 10);
	assert_int_equal(w->writes, 60);
	/* Nodes that are not listed again say nothing any more. */
	topology_acc_ops.on_list(w->t);
	say(w, "m7", "1");
	topology_acc_ops.on_sync(w->t);
	pass(w, MINUTES(11));
	assert_int_equal(w->deletes, 59);
	assert_string_equal(available(w, "m7"), "1");
}

/* ---- the whole controller ---- */

static bool is_there(const struct world *w, const char *path)
{
	return cluster_get(&w->c, path) != NULL;
}

static void run_until(struct world *w, const char *path)
{
	for (unsigned i = 0; i < 3000 && !is_there(w, path); i++) {
		(void)pump(w->c.loop, NULL, 2);
		skew_us += 100 * USEC_PER_MSEC;
	}
	assert_true(is_there(w, path));
}

static void test_controller(void **state)
{
	struct world *w = *state;

	topology_free(TAKE(w->t));
	cluster_put(&w->c, "/api/v1/nodes/n0",
		"{\"metadata\":{\"name\":\"n0\",\"uid\":\"u-n0\"},\"status\":{}}");
	for (int on = 0; on <= 1; on++) {
		const struct reconcile_options o = { .topology = on };
		struct json *said = acc("n0", "5"), *mine;
		struct reconcile *rc = NULL;

		w->looked = 0;
		assert_int_equal(reconcile_new(w->c.kube, w->metrics, &o, &rc, NULL), 0);
		reconcile_start(rc);
		run_until(w, FARRIER "acceleratornodes/n0");
		mine = json_copy(cluster_get(&w->c, FARRIER "acceleratornodes/n0"));
		assert_int_equal(json_set(cluster_member(mine, "status"), "topology",
					 json_copy(json_path(said, "status.topology"))),
			0);
		cluster_store(&w->c, FARRIER "acceleratornodes/n0", mine);
		if (on)
			run_until(w, NRTS "n0");
		else
			pass(w, 60);
		assert_int_equal(is_there(w, NRTS "n0"), on);
		assert_int_equal(w->looked > 0, on);
		json_free(said);
		reconcile_free(rc);
	}
	assert_string_equal(available(w, "n0"), "5");
	assert_string_equal(json_get_str(json_at(json_path(cluster_get(&w->c, NRTS "n0"),
							 "metadata.ownerReferences"),
						 0),
				    "uid"),
		"u-n0");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_publishes),
		TEST(test_new_leader),
		TEST(test_no_kind),
		TEST(test_deleted_by_somebody),
		TEST(test_foreign),
		TEST(test_taken_over),
		TEST(test_taken_back),
		TEST(test_unusable),
		TEST(test_read_differs),
		TEST(test_no_right),
		TEST(test_many),
		TEST(test_controller),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
