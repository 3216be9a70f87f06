// SPDX-License-Identifier: Apache-2.0
/* What the hooks of the chart do: say whether a release works, and take it down so that nothing waits for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "controller/chore.h"
#include "test/unit/controller/fake_cluster.h"

#define DRIVERS FARRIER "acceleratordrivers"
#define APPS "/apis/apps/v1/namespaces/ns/"
#define DEFINITIONS "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"
#define HELD_FOR_EVER 1000000

struct release {
	struct cluster c; /* first: the handler's user */
	unsigned held; /* reads of the Lease until it is free */
	unsigned slow; /* reads of the DaemonSet until its pods are new */
	int64_t lease_age_s;
	const char *deny; /* what is answered to everything: "403 Forbidden" */
	unsigned refuses_drivers; /* patches of drivers that meet a conflict */
	bool is_stopped, was_early; /* a driver was freed while somebody led */
	char mode[32]; /* what the agents were told; "": nothing */
	char strategy[16];
};

static void reply_lease(struct release *w, struct fake_conn *conn)
{
	uint64_t at = loop_wall(w->c.loop) - (uint64_t)w->lease_age_s * USEC_PER_SEC;
	char text[256], time[32];

	kube_time(at, time);
	if (w->is_stopped && w->held > 0 && w->held != HELD_FOR_EVER)
		w->held--;
	(void)snprintf(text, sizeof(text),
		"{\"spec\":{\"holderIdentity\":\"%s\",\"renewTime\":\"%s\"}}",
		w->held ? "x" : "", time);
	fake_reply(conn, "200 OK", "", text);
}

static void reply_agents(struct release *w, struct fake_conn *conn)
{
	bool is_new = *w->mode && w->slow == 0;
	char text[512];

	if (*w->mode && w->slow > 0 && w->slow != HELD_FOR_EVER)
		w->slow--;
	(void)snprintf(text, sizeof(text),
		"{\"metadata\":{\"generation\":2},\"spec\":{\"template\":{\"spec\":{\"containers\":["
		"{\"args\":[\"run\",\"--root\",\"/host\",\"--plugin-mode\",\"%s\"]}]}}},"
		"\"status\":{\"observedGeneration\":2,\"desiredNumberScheduled\":3,"
		"\"updatedNumberScheduled\":%d,\"numberUnavailable\":%d}}",
		*w->mode ? w->mode : "HostService", is_new ? 3 : 1, is_new ? 0 : 2);
	fake_reply(conn, "200 OK", "", text);
}

static void patch_agents(struct release *w, const struct fake_request *q)
{
	CLEANUP(json_freep) struct json *j = cluster_parse(q->body);
	const struct json *strategy = json_get(json_at(j, 2), "value");

	assert_non_null(strcasestr(q->headers, "json-patch"));
	assert_string_equal(json_get_str(json_at(j, 0), "op"), "test");
	assert_string_equal(json_get_str(json_at(j, 0), "value"), "HostService");
	assert_string_equal(json_get_str(json_at(j, 1), "path"),
		"/spec/template/spec/containers/0/args/4");
	(void)snprintf(
		w->mode, sizeof(w->mode), "%s", json_get_str(json_at(j, 1), "value"));
	(void)snprintf(w->strategy, sizeof(w->strategy), "%s",
		json_str(json_path(strategy, "rollingUpdate.maxUnavailable")));
}

static void serve(struct fake_conn *conn, const struct fake_request *q, void *user)
{
	struct release *w = user;
	bool is_patch = streq(q->method, "PATCH");

	if (w->deny) {
		fake_reply(conn, w->deny, "", "{\"message\":\"no\"}");
	} else if (strstr(q->path, "/leases/farrier-controller")) {
		reply_lease(w, conn);
	} else if (strstr(q->path, "/daemonsets/gone")) {
		fake_reply(conn, "404 Not Found", "", "{}");
	} else if (strstr(q->path, "/daemonsets/farrier-driver-builder")) {
		if (is_patch)
			patch_agents(w, q);
		reply_agents(w, conn);
	} else if (is_patch && strstr(q->path, "/deployments/farrier-controller")) {
		CLEANUP(json_freep) struct json *j = cluster_parse(q->body);

		assert_int_equal(json_get_int(json_get(j, "spec"), "replicas", 7), 0);
		w->is_stopped = true;
		fake_reply(conn, "200 OK", "", "{}");
	} else if (is_patch && w->refuses_drivers > 0) {
		w->refuses_drivers--;
		fake_reply(conn, "409 Conflict", "", "{\"reason\":\"Conflict\"}");
	} else if (streq(q->method, "GET") && !str_starts(q->path, DRIVERS "?") &&
		   !cluster_get(&w->c, q->path)) {
		fake_reply(conn, "404 Not Found", "", "{}");
	} else {
		w->was_early |= is_patch && w->held > 0;
		cluster_serve(conn, q, &w->c);
	}
}

static void put_driver(struct release *w, const char *name, const char *finalizers)
{
	char path[128], text[512];

	(void)snprintf(path, sizeof(path), DRIVERS "/%s", name);
	(void)snprintf(text, sizeof(text),
		"{\"metadata\":{\"name\":\"%s\",\"finalizers\":%s},\"spec\":{}}", name,
		finalizers);
	cluster_put(&w->c, path, text);
}

static void start(struct release *w)
{
	memset(w, 0, sizeof(*w));
	cluster_start(&w->c, true);
	w->c.server.fn = serve;
	w->c.server.user = w;
	w->held = 2;
	w->slow = 1;
	put_driver(w, "a", "[\"example.com/other\",\"farrier.dev/unload\"]");
	put_driver(w, "b", "[\"farrier.dev/unload\"]");
	put_driver(w, "c", "[\"example.com/other\"]");
}

static const struct json *finalizers(const struct release *w, const char *name)
{
	char path[128];

	(void)snprintf(path, sizeof(path), DRIVERS "/%s", name);
	return json_path(cluster_get(&w->c, path), "metadata.finalizers");
}

static int retire(struct release *w, unsigned patience_s)
{
	struct chore_options o = { .namespace_ = "ns",
		.deployment = "farrier-controller",
		.agents = "gone,farrier-driver-builder",
		.patience_s = patience_s };

	return retire_release(w->c.kube, &o);
}

static void check_freed(const struct release *w)
{
	assert_int_equal(json_len(finalizers(w, "a")), 1);
	assert_string_equal(
		json_str(json_at(finalizers(w, "a"), 0)), "example.com/other");
	assert_int_equal(json_len(finalizers(w, "b")), 0);
	assert_int_equal(json_len(finalizers(w, "c")), 1);
}

static void test_retire(void **state)
{
	struct release w;

	start(&w);
	w.refuses_drivers = 1;
	assert_int_equal(retire(&w, 60), 0);
	assert_true(w.is_stopped);
	assert_false(w.was_early); /* the controller would put them back */
	check_freed(&w);
	assert_string_equal(w.mode, "DaemonSet");
	assert_string_equal(w.strategy, "100%");
	assert_int_equal(w.slow, 0); /* it waited for the agents */
	cluster_stop(&w.c);
}

/* A controller that never lets go and agents that are away cost the time given and no more. */
static void test_retire_never_hangs(void **state)
{
	struct release w;
	uint64_t begun;

	start(&w);
	w.held = w.slow = HELD_FOR_EVER;
	begun = loop_now(w.c.loop);
	assert_int_equal(retire(&w, 4), 0);
	assert_true(loop_now(w.c.loop) - begun >= 4 * USEC_PER_SEC);
	check_freed(&w);
	assert_string_equal(w.mode, "DaemonSet");
	cluster_stop(&w.c);
}

/* Nothing there, nothing allowed, nothing working: it ends well all the same. */
static void test_retire_without_anything(void **state)
{
	static const char *const answers[] = { "404 Not Found", "403 Forbidden",
		"500 Internal Server Error" };

	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		struct release w;

		start(&w);
		w.deny = answers[i];
		assert_int_equal(retire(&w, 60), 0);
		assert_int_equal(json_len(finalizers(&w, "a")), 2);
		cluster_stop(&w.c);
	}
}

/* ---- helm test ---- */

static void put_definition(
	struct release *w, const char *name, const char *established, const char *version)
{
	char path[128], text[512];

	(void)snprintf(path, sizeof(path), DEFINITIONS "%s.farrier.dev", name);
	(void)snprintf(text, sizeof(text),
		"{\"metadata\":{\"name\":\"%s\",\"annotations\":{\"farrier.dev/version\":\"%s\"}},"
		"\"status\":{\"conditions\":[{\"type\":\"NamesAccepted\",\"status\":\"True\"},"
		"{\"type\":\"Established\",\"status\":\"%s\"}]}}",
		name, version, established);
	cluster_put(&w->c, path, text);
}

static void test_check(void **state)
{
	static const struct {
		const char *name, *established, *version, *deployment;
		unsigned held;
		int64_t age_s;
		bool is_missing;
		int result;
	} rows[] = {
		{ "all is well", "True", FARRIER_VERSION,
			"{\"metadata\":{\"generation\":3},\"status\":{\"observedGeneration\":3,"
			"\"readyReplicas\":1}}",
			1, 0, false, 0 },
		{ "a newer definition", "True", "99.0",
			"{\"status\":{\"readyReplicas\":2}}", 1, 0, false, 0 },
		{ "no definition", "True", FARRIER_VERSION,
			"{\"status\":{\"readyReplicas\":2}}", 1, 0, true, -EAGAIN },
		{ "not established", "False", FARRIER_VERSION,
			"{\"status\":{\"readyReplicas\":2}}", 1, 0, false, -EAGAIN },
		{ "an older definition", "True", "0.0.1",
			"{\"status\":{\"readyReplicas\":2}}", 1, 0, false, -EAGAIN },
		{ "nobody ready", "True", FARRIER_VERSION, "{\"status\":{}}", 1, 0, false,
			-EAGAIN },
		{ "in mid-upgrade", "True", FARRIER_VERSION,
			"{\"metadata\":{\"generation\":3},\"status\":{\"observedGeneration\":2,"
			"\"readyReplicas\":1}}",
			1, 0, false, -EAGAIN },
		{ "nobody leads", "True", FARRIER_VERSION,
			"{\"status\":{\"readyReplicas\":2}}", 0, 0, false, -EAGAIN },
		{ "a leader of old", "True", FARRIER_VERSION,
			"{\"status\":{\"readyReplicas\":2}}", 1, 120, false, -EAGAIN },
		{ "nonsense", "True", FARRIER_VERSION, "{\"status\":[7]}", 1, 0, false,
			-EAGAIN },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct chore_options o = { .namespace_ = "ns",
			.deployment = "farrier-controller",
			.patience_s = rows[i].result ? 1 : 60 };
		struct release w;

		start(&w);
		w.held = rows[i].held;
		w.lease_age_s = rows[i].age_s;
		cluster_put(
			&w.c, APPS "deployments/farrier-controller", rows[i].deployment);
		put_definition(&w, "acceleratordrivers", "True", FARRIER_VERSION);
		put_definition(&w, "acceleratorclasses", "True", FARRIER_VERSION);
		if (!rows[i].is_missing)
			put_definition(&w, "acceleratornodes", rows[i].established,
				rows[i].version);
		if (check_release(w.c.kube, &o) != rows[i].result)
			fail_msg("case '%s'", rows[i].name);
		cluster_stop(&w.c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_retire),
		cmocka_unit_test(test_retire_never_hangs),
		cmocka_unit_test(test_retire_without_anything),
		cmocka_unit_test(test_check),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
