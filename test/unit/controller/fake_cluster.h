// SPDX-License-Identifier: Apache-2.0
/* An API server of a few objects, with agents on its nodes, for tests of the reconciler: lists, watches,
 * server-side apply, merge patches, evictions. A header, because each test is one file. */
#pragma once

#include "json.h"
#include "kube.h"
#include "map.h"
#include "test/unit/lib/fake_server.h"

#define FARRIER "/apis/farrier.dev/v1alpha1/"

enum { CLUSTER_WATCHES_MAX = 16, CLUSTER_NODES_MAX = 4 };

struct cluster {
	struct loop *loop;
	struct kube *kube;
	struct fake_server server;
	struct map *objects; /* path -> struct json */
	int64_t version;
	struct {
		struct fake_conn *conn;
		char path[4096];
	} watches[CLUSTER_WATCHES_MAX];
	size_t n_watches;
	int64_t loaded[CLUSTER_NODES_MAX]; /* generation that runs on n0, n1, … */
	bool is_bad[16]; /* generations that fail to load */
	unsigned evictions, events, refused, requests;
	unsigned cordoned_at_eviction; /* nodes, at the first one */
	bool refuses_next_patch; /* the next patch of a Node meets a conflict */
};

static _unused_ struct json *cluster_parse(const char *text)
{
	struct json *j = NULL;
	struct err e = { 0 };

	if (json_parse(text, strlen(text), &j, &e) < 0)
		fail_msg("%s: %s", e.text, text);
	return j;
}

static void cluster_print(const struct json *j, struct buf *b)
{
	assert_int_equal(json_print(j, false, b), 0);
}

static void cluster_tell(
	struct cluster *c, const char *path, const char *type, const struct json *obj)
{
	for (size_t i = 0; i < c->n_watches; i++) {
		size_t len = strlen(c->watches[i].path);
		struct buf b;

		if (c->watches[i].conn->fd < 0 ||
			strncmp(path, c->watches[i].path, len) != 0 || path[len] != '/')
			continue;
		buf_init(&b, 1 << 20);
		(void)buf_fmt(&b, "{\"type\":\"%s\",\"object\":", type);
		cluster_print(obj, &b);
		(void)buf_str(&b, "}\n");
		fake_chunk(c->watches[i].conn, buf_cstr(&b));
		buf_done(&b);
	}
}

static const struct json *cluster_get(const struct cluster *c, const char *path)
{
	return map_get(c->objects, path);
}

static _unused_ const char *cluster_str(
	const struct cluster *c, const char *path, const char *member)
{
	const char *s = json_str(json_path(cluster_get(c, path), member));

	return s ? s : "";
}

static struct json *cluster_member(struct json *obj, const char *key)
{
	struct json *j = (struct json *)json_get(obj, key);

	if (j)
		return j;
	assert_int_equal(json_set(obj, key, json_new_object()), 0);
	return (struct json *)json_get(obj, key);
}

/* Keeps @obj with a new version and tells the watches. */
static void cluster_store(struct cluster *c, const char *path, struct json *obj)
{
	bool is_new = !cluster_get(c, path);
	char version[32];

	(void)snprintf(version, sizeof(version), "%lld", (long long)++c->version);
	assert_int_equal(
		json_set_str(cluster_member(obj, "metadata"), "resourceVersion", version),
		0);
	assert_int_equal(map_set(c->objects, path, obj), 0);
	cluster_tell(c, path, is_new ? "ADDED" : "MODIFIED", obj);
}

static _unused_ void cluster_put(struct cluster *c, const char *path, const char *text)
{
	cluster_store(c, path, cluster_parse(text));
}

static void cluster_merge(struct json *to, const struct json *from)
{
	const struct json *value;
	const char *key;
	size_t it = 0;

	while (json_next(from, &it, &key, &value)) {
		if (json_type(value) == JSON_NULL)
			(void)json_del(to, key);
		else if (json_type(value) == JSON_OBJECT)
			cluster_merge(cluster_member(to, key), value);
		else
			assert_int_equal(json_set(to, key, json_copy(value)), 0);
	}
}

/* ---- an agent, at once ---- */

static void cluster_agent(struct cluster *c, struct json *acc)
{
	const char *name = json_str(json_path(acc, "metadata.name"));
	const struct json *drivers = json_path(acc, "spec.drivers");
	int64_t *loaded = &c->loaded[name[1] - '0'];
	struct buf b;

	buf_init(&b, 1 << 16);
	(void)buf_str(&b,
		"{\"kernel\":\"6.1\",\"bootID\":\"b1\",\"hardware\":[\"pci:1234:11e8\"],"
		"\"drivers\":[");
	for (size_t i = 0; i < json_len(drivers); i++) {
		const struct json *d = json_at(drivers, i);
		int64_t g = json_get_int(d, "generation", 0);
		const char *state;

		if (*loaded == 0 || json_get_int(d, "proceedGeneration", 0) == g)
			*loaded = g;
		state = *loaded != g	    ? "UpgradeRequired"
			: c->is_bad[g % 16] ? "Failed"
					    : "Loaded";
		(void)buf_fmt(&b,
			"%s{\"name\":\"%s\",\"generation\":%lld,\"state\":\"%s\",\"reason\":\"%s\","
			"\"devices\":1,\"bound\":1}",
			i ? "," : "", json_get_str(d, "name"), (long long)g, state,
			streq(state, "Failed") ? "LoadFailed" : "");
	}
	(void)buf_str(&b, "]}");
	assert_int_equal(json_set(acc, "status", cluster_parse(buf_cstr(&b))), 0);
	buf_done(&b);
}

/* ---- answers ---- */

static void cluster_answer(struct fake_conn *conn, const struct json *j)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	cluster_print(j, &b);
	fake_reply(conn, "200 OK", "", buf_cstr(&b));
	buf_done(&b);
}

static void cluster_list(struct cluster *c, struct fake_conn *conn, const char *path,
	const char *node, const char *also_below)
{
	size_t it = 0, len = strlen(path), n = 0;
	struct buf b;
	const char *key;
	void *value;

	buf_init(&b, 1 << 20);
	(void)buf_fmt(&b, "{\"metadata\":{\"resourceVersion\":\"%lld\"},\"items\":[",
		(long long)c->version);
	while (map_next(c->objects, &it, &key, &value)) {
		const char *on = json_str(json_path(value, "spec.nodeName"));

		if (also_below ? !str_starts(key, also_below) || !strstr(key, "/pods/")
			       : strncmp(key, path, len) != 0 || key[len] != '/')
			continue;
		if (node && (!on || !streq(on, node)))
			continue;
		(void)buf_str(&b, n++ ? "," : "");
		cluster_print(value, &b);
	}
	(void)buf_str(&b, "]}");
	fake_reply(conn, "200 OK", "", buf_cstr(&b));
	buf_done(&b);
}

static void cluster_read(
	struct cluster *c, struct fake_conn *conn, char *path, char *query)
{
	const char *node = strstr(query, "spec.nodeName%3D");
	char name[64] = "";

	if (node)
		(void)sscanf(node + strlen("spec.nodeName%3D"), "%63[^&]", name);
	if (strstr(query, "watch=true")) {
		assert_true(c->n_watches < CLUSTER_WATCHES_MAX);
		(void)snprintf(c->watches[c->n_watches].path, sizeof(c->watches[0].path),
			"%s", path);
		c->watches[c->n_watches++].conn = conn;
		fake_stream(conn);
	} else if (cluster_get(c, path)) {
		cluster_answer(conn, cluster_get(c, path));
	} else {
		cluster_list(c, conn, path, node ? name : NULL,
			streq(path, "/api/v1/pods") ? "/api/v1/namespaces/" : NULL);
	}
}

/* Server-side apply of a Node: of labels all that this manager has, of conditions by type. */
static void cluster_apply_node(struct json *obj, const struct json *body)
{
	const struct json *mine = json_at(json_path(body, "status.conditions"), 0);
	const struct json *old = json_path(obj, "status.conditions");
	struct json *list = json_new_array();

	assert_string_equal(json_str(json_path(body, "metadata.uid")),
		json_str(json_path(obj, "metadata.uid")));
	if (json_path(body, "metadata.labels"))
		assert_int_equal(json_set(cluster_member(obj, "metadata"), "labels",
					 json_copy(json_path(body, "metadata.labels"))),
			0);
	for (size_t i = 0; i < json_len(old); i++)
		if (!json_has(body, "status") ||
			!streq(json_get_str(json_at(old, i), "type"),
				"AcceleratorDriverReady"))
			assert_int_equal(json_add(list, json_copy(json_at(old, i))), 0);
	if (mine)
		assert_int_equal(json_add(list, json_copy(mine)), 0);
	assert_int_equal(json_set(cluster_member(obj, "status"), "conditions", list), 0);
}

/* A JSON patch that tests and removes a taint, nothing else. False: the test failed. */
static bool cluster_untaint(struct json *obj, const struct json *body)
{
	const char *test = json_get_str(json_at(body, 0), "path");
	const char *remove = json_get_str(json_at(body, 1), "path");
	const struct json *taints = json_path(obj, "spec.taints");
	struct json *left = json_new_array();
	unsigned at = 0, removed = 0;

	assert_string_equal(json_get_str(json_at(body, 0), "op"), "test");
	assert_string_equal(json_get_str(json_at(body, 1), "op"), "remove");
	assert_int_equal(sscanf(test, "/spec/taints/%u/key", &at), 1);
	assert_int_equal(sscanf(remove, "/spec/taints/%u", &removed), 1);
	assert_int_equal(at, removed);
	for (size_t i = 0; i < json_len(taints); i++)
		if (i != at)
			assert_int_equal(
				json_add(left, json_copy(json_at(taints, i))), 0);
	if (at >= json_len(taints) || !streq(json_get_str(json_at(taints, at), "key"),
					      json_get_str(json_at(body, 0), "value"))) {
		json_free(left);
		return false;
	}
	assert_int_equal(json_set(cluster_member(obj, "spec"), "taints", left), 0);
	return true;
}

static void cluster_patch(struct cluster *c, struct fake_conn *conn, char *path,
	const struct fake_request *q, const struct json *body)
{
	char *sub = strstr(path, "/status");
	struct json *obj;

	if (sub)
		*sub = '\0';
	if (c->refuses_next_patch && str_starts(path, "/api/v1/nodes/")) {
		c->refuses_next_patch = false;
		c->refused++;
		fake_reply(conn, "409 Conflict", "", "{\"reason\":\"Conflict\"}");
		return;
	}
	obj = cluster_get(c, path) ? json_copy(cluster_get(c, path)) : json_new_object();
	if (strcasestr(q->headers, "json-patch")) {
		if (!cluster_untaint(obj, body)) {
			c->refused++;
			json_free(obj);
			fake_reply(conn, "422 Unprocessable Entity", "",
				"{\"reason\":\"Invalid\"}");
			return;
		}
	} else if (str_starts(path, "/api/v1/nodes/") &&
		   !strcasestr(q->headers, "merge-patch")) {
		cluster_apply_node(obj, body);
	} else if (strcasestr(q->headers, "merge-patch")) {
		cluster_merge(obj, body);
	} else if (sub) {
		assert_int_equal(
			json_set(obj, "status", json_copy(json_get(body, "status"))), 0);
	} else {
		struct json *meta = json_copy(json_get(body, "metadata"));

		assert_int_equal(json_set_str(meta, "uid", "u-acc"), 0);
		assert_int_equal(json_set(obj, "metadata", meta), 0);
		assert_int_equal(
			json_set(obj, "spec", json_copy(json_get(body, "spec"))), 0);
		cluster_agent(c, obj);
	}
	cluster_store(c, path, obj);
	cluster_answer(conn, cluster_get(c, path));
}

static unsigned cluster_cordoned(const struct cluster *c)
{
	unsigned n = 0;
	char path[64];

	for (size_t i = 0; i < CLUSTER_NODES_MAX; i++) {
		(void)snprintf(path, sizeof(path), "/api/v1/nodes/n%zu", i);
		n += json_get_bool(
			json_get(cluster_get(c, path), "spec"), "unschedulable", false);
	}
	return n;
}

static void cluster_evict(struct cluster *c, struct fake_conn *conn, char *path)
{
	*strstr(path, "/eviction") = '\0';
	if (!cluster_get(c, path)) {
		fake_reply(conn, "404 Not Found", "", "{\"reason\":\"NotFound\"}");
		return;
	}
	if (c->evictions++ == 0)
		c->cordoned_at_eviction = cluster_cordoned(c);
	(void)map_del(c->objects, path);
	fake_reply(conn, "201 Created", "", "{\"kind\":\"Status\"}");
}

static void cluster_serve(
	struct fake_conn *conn, const struct fake_request *q, void *user)
{
	struct cluster *c = user;
	struct json *body = q->body_len ? cluster_parse(q->body) : NULL;
	char path[4096], *query;

	(void)snprintf(path, sizeof(path), "%s", q->path);
	query = strchrnul(path, '?');
	if (*query)
		*query++ = '\0';
	c->requests++;
	if (streq(q->method, "GET")) {
		cluster_read(c, conn, path, query);
	} else if (streq(q->method, "PATCH")) {
		cluster_patch(c, conn, path, q, body);
	} else if (strstr(path, "/eviction")) {
		cluster_evict(c, conn, path);
	} else if (strstr(path, "/events")) {
		c->events++;
		fake_reply(conn, "201 Created", "", q->body);
	} else {
		fail_msg("%s %s", q->method, q->path);
	}
	json_free(body);
}

/* ---- life ---- */

static void cluster_free_json(void *j)
{
	json_free(j);
}

static uint64_t cluster_wall(void *user)
{
	return 1700000000ULL * USEC_PER_SEC + skew_us;
}

/* @is_real: the machine's own clock, for loop_run(); else the clock of pump(). */
static _unused_ void cluster_start(struct cluster *c, bool is_real)
{
	struct loop_clock clock = { .now_us = skewed_now, .wall_us = cluster_wall };
	char dir[] = "/tmp/farrier-cluster-XXXXXX", path[64], text[512];
	struct kube_options o = { .kubeconfig = path };
	FILE *file;

	*c = (struct cluster){ .objects = map_new(cluster_free_json) };
	assert_non_null(c->objects);
	assert_int_equal(loop_new(&c->loop, is_real ? NULL : &clock, NULL), 0);
	fake_start(&c->server, c->loop, cluster_serve, c);
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/config", dir);
	(void)snprintf(text, sizeof(text),
		"current-context: a\ncontexts: [{name: a, context: {cluster: a, namespace: ours}}]\n"
		"clusters: [{name: a, cluster: {server: 'http://127.0.0.1:%u'}}]\n",
		c->server.port);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(kube_new(c->loop, &o, &c->kube, NULL), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
}

static _unused_ void cluster_stop(struct cluster *c)
{
	kube_free(c->kube);
	fake_stop(&c->server);
	map_free(c->objects);
	loop_free(c->loop);
}
