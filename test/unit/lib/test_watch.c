// SPDX-License-Identifier: Apache-2.0
/* List and watch against a server that pages, ends, expires, lies and dies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

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

static void lists_then_watches(void **state)
{
	struct fixture *f = *state;
	const char *path;
	unsigned long s;

	begin(f, (struct watch_options){ .label_selector = "a in (b,c)",
			 .field_selector = "metadata.name=x" });
	expect(f, "list up +a +b sync ");
	assert_true(watch_is_synced(f->watch));
	expect_watches(f, 1);
	assert_true(str_starts(f->requests,
		"/api/v1/xs?limit=500&labelSelector=a%20in%20%28b%2Cc%29&fieldSelector=metadata.name%3Dx\n"));
	path = last_request(f);
	assert_true(str_starts(
		path, "/api/v1/xs?watch=true&allowWatchBookmarks=true&timeoutSeconds="));
	assert_non_null(strstr(path, "&resourceVersion=10&labelSelector=a%20in"));
	s = strtoul(strstr(path, "Seconds=") + 8, NULL, 10);
	assert_in_range(s, 300, 600);

	fake_chunk(f->stream, EVENT("ADDED", "c", "11"));
	expect(f, "+c ");
	fake_chunk(f->stream, EVENT("MODIFIED", "c", "12") EVENT("DELETED", "a", "13"));
	expect(f, "+c -a ");
	/* cut anywhere */
	fake_chunk(f->stream, "{\"type\":\"DEL");
	expect(f, "");
	fake_chunk(f->stream, "ETED\",\"object\":" ITEM("c", "14"));
	fake_chunk(f->stream, "}");
	expect(f, "-c ");
}

static void pages_are_joined(void **state)
{
	static const char *const pages[] = { LIST("10", ",\"continue\":\"t/1=\"",
						     ITEM("a", "1")),
		LIST("10", ",\"continue\":\"t2\"", ITEM("b", "1")),
		LIST("10", "", ITEM("c", "1")), NULL };
	struct fixture *f = *state;

	f->pages = pages;
	begin(f, (struct watch_options){ 0 });
	expect(f, "list up +a +b +c sync ");
	expect_watches(f, 1);
	assert_non_null(
		strstr(f->requests, "?limit=500\n/api/v1/xs?limit=500&continue=t%2F1%3D\n"
				    "/api/v1/xs?limit=500&continue=t2\n"));
}

static void resumes_where_it_was(void **state)
{
	struct fixture *f = *state;

	begin(f, (struct watch_options){ 0 });
	expect(f, "list up +a +b sync ");
	expect_watches(f, 1);
	/* A bookmark tells nobody anything but moves our place. */
	fake_chunk(f->stream, EVENT("ADDED", "c", "11") EVENT("BOOKMARK", "", "40"));
	expect(f, "+c ");
	fake_stream_end(f->stream);
	expect_watches(f, 2); /* at once: the server's time-out is no failure */
	assert_non_null(strstr(last_request(f), "&resourceVersion=40"));
	/* Cut in mid-event: that event is not told, and comes again. */
	fake_chunk(f->stream, EVENT("ADDED", "d", "41") "{\"type\":\"ADDED\",\"obj");
	expect(f, "+d ");
	fake_close(f->stream);
	skew_us += 30 * USEC_PER_SEC;
	expect_watches(f, 3);
	assert_non_null(strstr(last_request(f), "&resourceVersion=41"));
	assert_string_equal(f->log, "");
	assert_int_equal(f->lists, 1);
}

static void expired_lists_again(void **state)
{
	struct fixture *f = *state;

	begin(f, (struct watch_options){ 0 });
	expect(f, "list up +a +b sync ");
	expect_watches(f, 1);
	/* in the stream */
	fake_chunk(f->stream, EVENT("ADDED", "c", "11"));
	expect(f, "+c ");
	fake_chunk(f->stream,
		"{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,"
		"\"reason\":\"Expired\",\"message\":\"too old\"}}\n");
	expect(f, "list +a +b sync ");
	expect_watches(f, 2);
	assert_non_null(strstr(last_request(f), "&resourceVersion=10"));
	/* as an answer: with a pause, for that is what comes from a server that has just started */
	f->watch_status = "410 Gone";
	fake_stream_end(f->stream);
	(void)pump(f->loop, NULL, 20);
	skew_us += 30 * USEC_PER_SEC;
	expect_watches(f, 3);
	f->watch_status = NULL;
	skew_us += 30 * USEC_PER_SEC;
	expect(f, "list +a +b sync ");
	expect_watches(f, 4);
	assert_int_equal(f->lists, 3);
}

static void a_list_that_expires_begins_again(void **state)
{
	static const char *const pages[] = {
		LIST("10", ",\"continue\":\"t\"", ITEM("a", "1")), "gone", NULL
	};
	struct fixture *f = *state;

	f->pages = pages;
	begin(f, (struct watch_options){ 0 });
	expect(f, "list up +a ");
	assert_int_equal(f->lists, 2);
	f->pages = two_items;
	assert_false(watch_is_synced(f->watch));
	skew_us += 30 * USEC_PER_SEC;
	expect(f, "list +a +b sync ");
	assert_non_null(
		strstr(f->requests, "?limit=500\n/api/v1/xs?limit=500&continue=t\n"));
}

static void refusals_are_told_once_and_slow_down(void **state)
{
	struct fixture *f = *state;
	unsigned before;

	f->list_status = "403 Forbidden";
	begin(f, (struct watch_options){ 0 });
	expect(f, "list down ");
	assert_int_equal(f->lists, 1);
	for (int i = 0; i < 10; i++) {
		skew_us += 30 * USEC_PER_SEC;
		(void)pump(f->loop, NULL, 10);
	}
	expect(f, "list list list list list list list list list list ");
	assert_int_equal(f->lists, 11);
	/* By now it waits 15 s at least. */
	before = f->lists;
	skew_us += 14 * USEC_PER_SEC;
	(void)pump(f->loop, NULL, 20);
	assert_int_equal(f->lists, before);
	f->list_status = NULL;
	skew_us += 17 * USEC_PER_SEC;
	expect(f, "list up +a +b sync ");
}

static void retry_after_is_obeyed(void **state)
{
	struct fixture *f = *state;

	f->watch_status = "429 Too Many Requests";
	f->watch_headers = "Retry-After: 100\r\n";
	begin(f, (struct watch_options){ 0 });
	expect(f, "list up +a +b sync down ");
	f->watch_status = NULL;
	skew_us += 90 * USEC_PER_SEC;
	(void)pump(f->loop, NULL, 30);
	assert_int_equal(f->watches, 1);
	skew_us += 11 * USEC_PER_SEC;
	expect(f, "up ");
	assert_int_equal(f->watches, 2);
	assert_int_equal(f->lists, 1);
}

static void a_dead_server_comes_back(void **state)
{
	struct fixture *f = *state;

	begin(f, (struct watch_options){ 0 });
	expect(f, "list up +a +b sync ");
	expect_watches(f, 1);
	fake_chunk(f->stream, EVENT("ADDED", "c", "11"));
	expect(f, "+c ");
	fake_kill(&f->server);
	skew_us += 2 * USEC_PER_SEC;
	expect(f, "down ");
	assert_true(watch_is_synced(f->watch));
	skew_us += 30 * USEC_PER_SEC;
	expect(f, "");
	fake_listen(&f->server);
	skew_us += 30 * USEC_PER_SEC;
	expect(f, "up ");
	assert_non_null(strstr(last_request(f), "&resourceVersion=11"));
	fake_chunk(f->stream, EVENT("ADDED", "d", "12"));
	expect(f, "+d ");
	assert_int_equal(f->lists, 1);
}

static void silence_ends_a_watch(void **state)
{
	struct fixture *f = *state;
	unsigned long s;

	begin(f, (struct watch_options){ 0 });
	expect(f, "list up +a +b sync ");
	expect_watches(f, 1);
	s = strtoul(strstr(last_request(f), "Seconds=") + 8, NULL, 10);
	skew_us += (s + 29) * USEC_PER_SEC;
	(void)pump(f->loop, NULL, 20);
	assert_int_equal(f->watches, 1);
	skew_us += 2 * USEC_PER_SEC;
	expect_watches(f, 2);
	assert_int_equal(fake_open(&f->server), 1);
	assert_int_equal(f->lists, 1);
}

static void nonsense_lists_again(void **state)
{
	static const char *const events[] = { "hello\n", "{\"type\":\"ADDED\"}\n",
		"{\"type\":\"WHAT\",\"object\":{}}\n", "{\"type\":1,\"object\":{}}\n",
		"{\"type\":\"ADDED\",\"object\":[]}\n",
		"{\"type\":\"ADDED\",\"object\":{\"a\":tru}}\n",
		"{\"type\":\"ERROR\",\"object\":{\"code\":500}}\n" };
	struct fixture *f = *state;

	begin(f, (struct watch_options){ 0 });
	expect(f, "list up +a +b sync ");
	for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
		expect_watches(f, (unsigned)i + 1);
		fake_chunk(f->stream, events[i]);
		expect(f, "down ");
		skew_us += 60 * USEC_PER_SEC;
		expect(f, "list up +a +b sync ");
	}
}

static void wrong_lists_are_not_synced(void **state)
{
	static const char *const lists[] = { "", "{", "{}", "[]", "{\"items\":[]}",
		"{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[1]}",
		"{\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[{\"a\":nul}]}" };
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		const char *const pages[] = { lists[i], NULL };

		f->pages = pages;
		begin(f, (struct watch_options){ 0 });
		expect(f, "list up down ");
		assert_false(watch_is_synced(f->watch));
		assert_int_equal(f->watches, 0);
		watch_free(f->watch);
		f->watch = NULL;
	}
}

static void too_large_an_item_is_refused(void **state)
{
	struct fixture *f = *state;

	begin(f, (struct watch_options){ .item_max = 80 });
	expect(f, "list up +a +b sync ");
	expect_watches(f, 1);
	fake_chunk(f->stream,
		"{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"01234567890123456789012345678901234567890123456789\"}}}");
	expect(f, "down ");
}

static void freed_in_any_callback(void **state)
{
	struct fixture *f = *state;

	f->free_in_list = true;
	begin(f, (struct watch_options){ 0 });
	expect(f, "list ");
	f->free_in_list = false;
	f->free_in_link = true;
	begin(f, (struct watch_options){ 0 });
	expect(f, "list up ");
	f->free_in_link = false;
	f->free_in_item = true;
	begin(f, (struct watch_options){ 0 });
	expect(f, "list up +a ");
	f->free_in_item = false;
	f->free_in_sync = true;
	begin(f, (struct watch_options){ 0 });
	expect(f, "list up +a +b sync ");
	f->free_in_sync = false;
	begin(f, (struct watch_options){ 0 });
	expect(f, "list up +a +b sync ");
	expect_watches(f, 1);
	f->free_in_item = true;
	fake_chunk(f->stream, EVENT("ADDED", "c", "11") EVENT("ADDED", "d", "12"));
	expect(f, "+c ");
	assert_null(f->watch);
	f->free_in_item = false;
	f->free_in_link = true;
	f->list_status = "500 Internal Server Error";
	begin(f, (struct watch_options){ 0 });
	expect(f, "list down ");
	assert_null(f->watch);
	f->free_in_link = false;
	f->list_status = NULL;
	/* and before anything happened */
	begin(f, (struct watch_options){ 0 });
	watch_free(f->watch);
	f->watch = NULL;
	expect(f, "");
}

static void nobody_asks_for_the_link(void **state)
{
	struct fixture *f = *state;
	struct watch_ops quiet = ops;
	struct watch_options o = { .path = "/api/v1/xs" };

	quiet.on_link = NULL;
	assert_int_equal(watch_new(f->kube, &o, &quiet, f, &f->watch, NULL), 0);
	expect(f, "list +a +b sync ");
	fake_kill(&f->server);
	skew_us += 30 * USEC_PER_SEC;
	expect(f, "");
}

/* ---- lists that come as streams ---- */

#define END(rv) \
	"{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"" rv \
	"\",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}}}}\n"

static void begin_stream(struct fixture *f)
{
	begin(f, (struct watch_options){ .is_streamed = true });
	expect_watches(f, 1);
	assert_non_null(strstr(last_request(f),
		"?watch=true&allowWatchBookmarks=true&sendInitialEvents=true"
		"&resourceVersionMatch=NotOlderThan&timeoutSeconds="));
	assert_null(strstr(f->requests, "resourceVersion="));
}

static void streamed_list(void **state)
{
	struct fixture *f = *state;

	begin_stream(f);
	expect(f, "list up ");
	/* a bookmark without the mark is not the end */
	fake_chunk(f->stream, EVENT("ADDED", "a", "5") EVENT("BOOKMARK", "", "7")
				      EVENT("ADDED", "b", "6"));
	expect(f, "+a +b ");
	assert_false(watch_is_synced(f->watch));
	skew_us += 29 * USEC_PER_SEC; /* slow, but alive */
	fake_chunk(f->stream, EVENT("ADDED", "c", "6"));
	expect(f, "+c ");
	skew_us += 29 * USEC_PER_SEC;
	fake_chunk(f->stream, END("40") EVENT("MODIFIED", "a", "41"));
	expect(f, "sync +a ");
	assert_true(watch_is_synced(f->watch));
	skew_us += 60 * USEC_PER_SEC; /* silence is nothing special from here on */
	expect(f, "");
	fake_stream_end(f->stream);
	expect_watches(f, 2); /* a watch like any other: from where it was */
	assert_non_null(strstr(last_request(f), "&resourceVersion=41"));
	assert_int_equal(f->lists, 0);
}

/* What has expired is listed as a stream again. */
static void streamed_list_after_expiry(void **state)
{
	struct fixture *f = *state;

	begin_stream(f);
	fake_chunk(f->stream, EVENT("ADDED", "a", "5") END("40"));
	expect(f, "list up +a sync ");
	fake_chunk(f->stream,
		"{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,"
		"\"reason\":\"Expired\",\"message\":\"too old\"}}\n");
	expect(f, "list ");
	expect_watches(f, 2);
	assert_false(watch_is_synced(f->watch));
	fake_chunk(f->stream, EVENT("ADDED", "b", "6") END("50"));
	expect(f, "+b sync ");
	assert_int_equal(f->lists, 0);
}

/* 400 and 422: pages, at once, and no stream is asked for again. */
static void stream_refused(void **state)
{
	static const char *const answers[] = { "400 Bad Request",
		"422 Unprocessable Entity" };
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		watch_free(f->watch);
		f->watch = NULL;
		f->watches = f->lists = 0;
		*f->log = *f->requests = '\0';
		f->pages = two_items;
		f->stream_status = answers[i];
		begin(f, (struct watch_options){ .is_streamed = true });
		expect(f, "list list up +a +b sync ");
		expect_watches(f, 2);
		assert_non_null(strstr(last_request(f), "&resourceVersion=10"));
		assert_int_equal(f->lists, 1);
	}
}

/* A server that does not know the words opens a watch, and the end of the list never comes. */
static void stream_ignored(void **state)
{
	struct fixture *f = *state;

	begin_stream(f);
	fake_chunk(f->stream, EVENT("ADDED", "a", "5"));
	expect(f, "list up +a ");
	skew_us += 31 * USEC_PER_SEC;
	expect(f, "list +a +b sync ");
	assert_int_equal(f->lists, 1);
	expect_watches(f, 2);
	assert_non_null(strstr(last_request(f), "&resourceVersion=10"));
}

/* Cut before its end: from the beginning; three times: pages. */
static void stream_interrupted(void **state)
{
	struct fixture *f = *state;

	begin_stream(f);
	for (unsigned i = 1; i <= 3; i++) {
		fake_chunk(f->stream, EVENT("ADDED", "a", "5"));
		expect(f, i == 1 ? "list up +a " : "list +a ");
		assert_false(watch_is_synced(f->watch));
		fake_close(f->stream);
		(void)pump(f->loop, NULL, 20);
		skew_us += 29 * USEC_PER_SEC;
		if (i < 3)
			expect_watches(f, i + 1);
		assert_int_equal(f->lists, i < 3 ? 0 : f->lists);
	}
	expect(f, "list +a +b sync ");
	assert_int_equal(f->lists, 1);
}

static void stream_freed_in_callbacks(void **state)
{
	struct fixture *f = *state;

	f->free_in_sync = true;
	begin_stream(f);
	fake_chunk(
		f->stream, EVENT("ADDED", "a", "5") END("40") EVENT("ADDED", "b", "6"));
	expect(f, "list up +a sync ");
	assert_null(f->watch);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lists_then_watches),
		TEST(pages_are_joined),
		TEST(resumes_where_it_was),
		TEST(expired_lists_again),
		TEST(a_list_that_expires_begins_again),
		TEST(refusals_are_told_once_and_slow_down),
		TEST(retry_after_is_obeyed),
		TEST(a_dead_server_comes_back),
		TEST(silence_ends_a_watch),
		TEST(nonsense_lists_again),
		TEST(wrong_lists_are_not_synced),
		TEST(too_large_an_item_is_refused),
		TEST(freed_in_any_callback),
		TEST(nobody_asks_for_the_link),
		TEST(streamed_list),
		TEST(streamed_list_after_expiry),
		TEST(stream_refused),
		TEST(stream_ignored),
		TEST(stream_interrupted),
		TEST(stream_freed_in_callbacks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
