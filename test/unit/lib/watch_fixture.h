// SPDX-License-Identifier: Apache-2.0
/* A watch, what it told, and a server that answers by script. */
#pragma once

#include "fake_server.h"
#include "watch.h"

#define LIST(rv, more, items) \
	"{\"kind\":\"XList\",\"metadata\":{\"resourceVersion\":\"" rv "\"" more \
	"},\"items\":[" items "]}"
#define ITEM(name, rv) \
	"{\"metadata\":{\"name\":\"" name "\",\"resourceVersion\":\"" rv \
	"\",\"managedFields\":[{\"x\":{}}]}}"
#define EVENT(type, name, rv) "{\"type\":\"" type "\",\"object\":" ITEM(name, rv) "}\n"

struct fixture {
	struct loop *loop;
	struct kube *kube;
	struct watch *watch;
	struct fake_server server;
	char log[8192]; /* what the watch told: "list +a -b sync up down " */
	char requests[16384]; /* lines of paths */
	struct fake_conn *stream; /* the running watch */
	unsigned lists, watches;
	/* How the server behaves: scripts of answers, the last one stays. */
	const char *const *pages; /* bodies of lists, NULL-terminated */
	const char *watch_status; /* NULL: the watch is opened */
	const char *list_status;
	const char *stream_status; /* of lists that are to come as streams */
	const char *watch_headers;
	bool free_in_item, free_in_list, free_in_sync, free_in_link;
};

static void serve(struct fake_conn *c, const struct fake_request *q, void *user)
{
	struct fixture *f = user;
	size_t n = strlen(f->requests);

	(void)snprintf(f->requests + n, sizeof(f->requests) - n, "%s\n", q->path);
	if (strstr(q->path, "watch=true")) {
		f->watches++;
		if (f->stream_status && strstr(q->path, "sendInitialEvents")) {
			fake_reply(c, f->stream_status, "", "{\"kind\":\"Status\"}");
			return;
		}
		if (f->watch_status) {
			fake_reply(c, f->watch_status,
				f->watch_headers ? f->watch_headers : "",
				"{\"kind\":\"Status\",\"message\":\"no\"}");
			return;
		}
		f->stream = c;
		fake_stream(c);
		return;
	}
	f->lists++;
	if (f->list_status) {
		fake_reply(c, f->list_status, "", "{}");
		return;
	}
	if (streq(*f->pages, "gone"))
		fake_reply(c, "410 Gone", "", "{}");
	else
		fake_reply(c, "200 OK", "", *f->pages);
	if (f->pages[1])
		f->pages++;
}

static void tell(struct fixture *f, const char *what, const struct json *obj)
{
	const struct json *meta = json_get(obj, "metadata");
	size_t n = strlen(f->log);

	if (obj)
		assert_null(json_get(meta, "managedFields"));
	(void)snprintf(f->log + n, sizeof(f->log) - n, "%s%s ", what,
		obj ? json_get_str(meta, "name") : "");
}

static void end_watch(struct fixture *f, bool now)
{
	if (now) {
		watch_free(f->watch);
		f->watch = NULL;
	}
}

static void on_list(void *user)
{
	tell(user, "list", NULL);
	end_watch(user, ((struct fixture *)user)->free_in_list);
}

static void on_item(const struct json *obj, void *user)
{
	tell(user, "+", obj);
	end_watch(user, ((struct fixture *)user)->free_in_item);
}

static void on_delete(const struct json *obj, void *user)
{
	tell(user, "-", obj);
}

static void on_sync(void *user)
{
	tell(user, "sync", NULL);
	end_watch(user, ((struct fixture *)user)->free_in_sync);
}

static void on_link(bool is_up, const char *why, void *user)
{
	assert_int_equal(!*why, is_up);
	tell(user, is_up ? "up" : "down", NULL);
	end_watch(user, ((struct fixture *)user)->free_in_link);
}

static const struct watch_ops ops = { on_list, on_item, on_delete, on_sync, on_link };

static const char *const two_items[] = {
	LIST("10", "", ITEM("a", "5") "," ITEM("b", "6")), NULL
};

static void begin(struct fixture *f, struct watch_options o)
{
	struct err e = { 0 };

	if (!o.path)
		o.path = "/api/v1/xs";
	if (watch_new(f->kube, &o, &ops, f, &f->watch, &e) < 0)
		fail_msg("%s", e.text);
	assert_string_equal(f->log, "");
}

static int setup(void **state)
{
	static struct fixture f;
	char dir[] = "/tmp/farrier-watch-XXXXXX", path[64], text[512];
	struct kube_options o = { .kubeconfig = path };
	struct err e = { 0 };
	FILE *file;

	f = (struct fixture){ .loop = skewed_loop(), .pages = two_items };
	loop_seed(f.loop, 42);
	fake_start(&f.server, f.loop, serve, &f);
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/config", dir);
	(void)snprintf(text, sizeof(text),
		"current-context: a\ncontexts: [{name: a, context: {cluster: a}}]\n"
		"clusters: [{name: a, cluster: {server: 'http://127.0.0.1:%u'}}]\n",
		f.server.port);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	if (kube_new(f.loop, &o, &f.kube, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	watch_free(f->watch);
	kube_free(f->kube);
	fake_stop(&f->server);
	loop_free(f->loop);
	return 0;
}

/* Turns until the log says @text, then forgets the log. */
static void expect(struct fixture *f, const char *text)
{
	for (int i = 0; i < 1000 && strcmp(f->log, text) != 0; i++)
		(void)pump(f->loop, NULL, 1);
	(void)pump(f->loop, NULL, 5);
	assert_string_equal(f->log, text);
	*f->log = '\0';
}

/* Until the server has seen @n watches. */
static void expect_watches(struct fixture *f, unsigned n)
{
	for (int i = 0; i < 1000 && f->watches < n; i++)
		(void)pump(f->loop, NULL, 1);
	(void)pump(f->loop, NULL, 5);
	assert_int_equal(f->watches, n);
}

static const char *last_request(struct fixture *f)
{
	char *end = f->requests + strlen(f->requests) - 1;

	*end = '\0';
	end = strrchr(f->requests, '\n');
	return end ? end + 1 : f->requests;
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
