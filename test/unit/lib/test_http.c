// SPDX-License-Identifier: Apache-2.0
/* HTTP requests against a server on the same loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "fake_server.h"
#include "http.h"

/* The clock that curl reads, which may be made to stand still. */
static bool is_frozen;
static struct timespec frozen_at;

int clock_gettime(clockid_t id, struct timespec *t)
{
	int r = (int)syscall(SYS_clock_gettime, id, t);

	if (id != CLOCK_MONOTONIC)
		return r;
	if (is_frozen)
		*t = frozen_at;
	frozen_at = *t;
	return r;
}

struct fixture {
	struct loop *loop;
	struct http *http;
	struct fake_server server;
	struct fake_conn *stream;
	char url[64];
	char seen[16384]; /* head and body of the last request */
};

struct answer {
	bool is_done;
	unsigned done, gone, opened;
	int result;
	long status;
	struct buf body;
	char type[64], location[64], error[256], digest[80], head[80];
	uint64_t retry_after_us;
	struct http_req *req;
	int stop_with; /* what on_data answers */
	struct http *free_in_data, *free_in_done;
	bool cancel_in_data, cancel_in_open;
	struct fixture *start_in_data, *start_in_done;
	struct answer *other;
};

static void serve(struct fake_conn *c, const struct fake_request *q, void *user)
{
	struct fixture *f = user;

	(void)snprintf(f->seen, sizeof(f->seen), "%s\n%s", q->headers, q->body);
	if (streq(q->path, "/part"))
		fake_reply(c, "206 Partial Content",
			"Content-Range: bytes 2-4/5\r\nETag: \"v1\"\r\n", "llo");
	else if (streq(q->path, "/hello"))
		fake_reply(c, "200 OK", "X: y\r\nDocker-Content-Digest:  sha256:ab \r\n",
			"hello");
	else if (streq(q->path, "/busy"))
		fake_reply(c, "429 Too Many Requests", "Retry-After: 7\r\n", "busy");
	else if (streq(q->path, "/moved"))
		fake_reply(c, "302 Found", "Location: /hello\r\n", "");
	else if (streq(q->path, "/broken"))
		fake_raw(c, "SMTP ready\r\n");
	else if (streq(q->path, "/short"))
		fake_raw(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"),
			fake_close(c);
	else if (streq(q->path, "/close"))
		fake_close(c);
	else if (streq(q->path, "/never"))
		f->stream = c;
	else if (streq(q->path, "/stream"))
		f->stream = c, fake_stream(c);
	else if (streq(q->path, "/error"))
		fake_reply(c, "500 Internal Server Error", "", "it broke");
	else if (streq(q->path, "/head"))
		fake_raw(c, "HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n");
	else
		fake_reply(c, "404 Not Found", "", "");
}

static int setup(void **state)
{
	static struct fixture f;

	f = (struct fixture){ .loop = skewed_loop() };
	assert_int_equal(http_new(f.loop, &f.http, NULL), 0);
	fake_start(&f.server, f.loop, serve, &f);
	(void)snprintf(f.url, sizeof(f.url), "http://127.0.0.1:%u", f.server.port);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	http_free(f->http);
	fake_stop(&f->server);
	loop_free(f->loop);
	return 0;
}

static void start(struct fixture *f, struct answer *a, const char *method,
	const char *path, struct http_options o);

static void on_done(const struct http_response *res, void *user)
{
	struct answer *a = user;

	a->is_done = true;
	a->done++;
	a->result = res->result;
	a->status = res->status;
	a->retry_after_us = res->retry_after_us;
	(void)buf_add(&a->body, res->body, res->body_len);
	(void)snprintf(a->type, sizeof(a->type), "%s", res->content_type);
	(void)snprintf(a->location, sizeof(a->location), "%s", res->location);
	(void)snprintf(a->digest, sizeof(a->digest), "%s", res->docker_content_digest);
	(void)snprintf(a->error, sizeof(a->error), "%s", res->error);
	assert_true(!!*res->error == !!res->result);
	if (a->start_in_done)
		start(a->start_in_done, a->other, "GET", "/hello",
			(struct http_options){ 0 });
	if (a->free_in_done)
		http_free(a->free_in_done);
}

static void on_gone(void *user)
{
	((struct answer *)user)->gone++;
}

static int on_data(const char *data, size_t len, void *user)
{
	struct answer *a = user;

	(void)buf_add(&a->body, data, len);
	if (a->cancel_in_data)
		http_cancel(a->req);
	if (a->start_in_data)
		start(a->start_in_data, a->other, "GET", "/hello",
			(struct http_options){ 0 });
	if (a->free_in_data)
		http_free(a->free_in_data);
	return a->stop_with;
}

static void on_open(void *user)
{
	struct answer *a = user;

	a->opened++;
	if (a->cancel_in_open)
		http_cancel(a->req);
}

static void start(struct fixture *f, struct answer *a, const char *method,
	const char *path, struct http_options o)
{
	char url[256];

	(void)snprintf(url, sizeof(url), "%s%s", f->url, path);
	o.method = method;
	o.url = o.url ? o.url : url;
	o.on_gone = on_gone;
	o.on_open = on_open;
	buf_init(&a->body, 1 << 20);
	assert_int_equal(http_start(f->http, &o, on_done, a, &a->req, NULL), 0);
	assert_int_equal(a->done, 0);
	memset(url, 'x', sizeof(url) - 1);
}

static void get(
	struct fixture *f, struct answer *a, const char *path, struct http_options o)
{
	*a = (struct answer){ 0 };
	start(f, a, "GET", path, o);
	assert_true(pump(f->loop, &a->is_done, 5000));
	(void)pump(f->loop, NULL, 5);
	assert_int_equal(a->done, 1);
	assert_int_equal(a->gone, 1);
}

static void answers_arrive(void **state)
{
	struct fixture *f = *state;
	struct answer a;

	get(f, &a, "/hello", (struct http_options){ 0 });
	assert_int_equal(a.result, 0);
	assert_int_equal(a.status, 200);
	assert_int_equal(a.opened, 1);
	assert_string_equal(buf_cstr(&a.body), "hello");
	assert_string_equal(a.type, "application/json");
	assert_string_equal(a.digest, "sha256:ab");
	assert_non_null(strstr(f->seen, "GET /hello HTTP/1.1\r\n"));
	assert_non_null(strstr(f->seen, "User-Agent: farrier/"));
	buf_done(&a.body);

	/* The same connection serves the next one. */
	get(f, &a, "/busy", (struct http_options){ 0 });
	assert_int_equal(f->server.accepted, 1);
	assert_int_equal(a.result, 0);
	assert_int_equal(a.status, 429);
	assert_int_equal(a.opened, 0);
	assert_int_equal(a.retry_after_us, 7 * USEC_PER_SEC);
	buf_done(&a.body);

	/* A redirect is an answer, not an order. */
	get(f, &a, "/moved", (struct http_options){ 0 });
	assert_int_equal(a.status, 302);
	assert_string_equal(a.location, "/hello");
	buf_done(&a.body);
}

static int on_head(const struct http_response *head, void *user)
{
	struct answer *a = user;

	(void)snprintf(a->head, sizeof(a->head), "%ld %s %s", head->status,
		head->content_range, head->etag);
	return a->stop_with;
}

static void the_head_comes_before_the_body(void **state)
{
	struct fixture *f = *state;
	struct answer a;

	get(f, &a, "/part", (struct http_options){ .on_head = on_head });
	assert_int_equal(a.result, 0);
	assert_string_equal(a.head, "206 bytes 2-4/5 \"v1\"");
	assert_string_equal(buf_cstr(&a.body), "llo");
	buf_done(&a.body);

	/* What it answers ends the request. */
	a = (struct answer){ .stop_with = -ESTALE };
	start(f, &a, "GET", "/part", (struct http_options){ .on_head = on_head });
	assert_true(pump(f->loop, &a.is_done, 5000));
	assert_int_equal(a.result, -ESTALE);
	assert_int_equal(a.body.len, 0);
	buf_done(&a.body);
}

static void bodies_and_headers_are_sent(void **state)
{
	static const char *const headers[] = { "Authorization: Bearer x", "X-A: b",
		NULL };
	struct fixture *f = *state;
	struct answer a = { 0 };
	struct http_options o = { .headers = headers,
		.body = "{\"a\":\0 1}",
		.body_len = 9,
		.user_agent = "me/1" };

	start(f, &a, "PATCH", "/hello", o);
	assert_true(pump(f->loop, &a.is_done, 5000));
	assert_non_null(strstr(f->seen, "PATCH /hello HTTP/1.1\r\n"));
	assert_non_null(strstr(f->seen, "Authorization: Bearer x\r\n"));
	assert_non_null(strstr(f->seen, "X-A: b"));
	assert_non_null(strstr(f->seen, "User-Agent: me/1\r\n"));
	assert_non_null(strstr(f->seen, "Content-Length: 9"));
	assert_null(strcasestr(f->seen, "Expect:"));
	buf_done(&a.body);

	a = (struct answer){ 0 };
	start(f, &a, "DELETE", "/hello", (struct http_options){ 0 });
	assert_true(pump(f->loop, &a.is_done, 5000));
	assert_non_null(strstr(f->seen, "DELETE /hello HTTP/1.1\r\n"));
	assert_null(strcasestr(f->seen, "Content-Length:"));
	buf_done(&a.body);

	a = (struct answer){ 0 };
	start(f, &a, "HEAD", "/head", (struct http_options){ 0 });
	assert_true(pump(f->loop, &a.is_done, 5000));
	assert_int_equal(a.result, 0);
	assert_non_null(strstr(f->seen, "HEAD /head HTTP/1.1\r\n"));
	buf_done(&a.body);
}

static void a_large_body_is_sent(void **state)
{
	struct fixture *f = *state;
	struct answer a = { 0 };
	size_t len = 2 << 20;
	char *body = malloc(len);

	assert_non_null(body);
	memset(body, 'x', len);
	start(f, &a, "PUT", "/hello",
		(struct http_options){ .body = body, .body_len = len });
	/* curl alone would have waited a second for "100 Continue" */
	assert_true(pump(f->loop, &a.is_done, 900));
	assert_int_equal(a.status, 200);
	free(body);
	buf_done(&a.body);
}

static void failures_have_codes(void **state)
{
	static const struct {
		const char *name, *path;
		int result;
	} cases[] = {
		{ "no HTTP", "/broken", -EPROTO },
		{ "cut short", "/short", -ECONNRESET },
		{ "closed", "/close", -ECONNRESET },
		{ "no answer", "/never", -ETIMEDOUT },
		{ "too large", "/hello", -EFBIG },
	};
	struct fixture *f = *state;
	struct answer a;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct http_options o = { .timeout_us = 100000, .body_max = 4 };

		get(f, &a, cases[i].path, o);
		if (a.result != cases[i].result)
			fail_msg("case '%s': %d %s", cases[i].name, a.result, a.error);
		buf_done(&a.body);
	}
	get(f, &a, "/", (struct http_options){ .url = "http://127.0.0.1:1/" });
	assert_int_equal(a.result, -ECONNREFUSED);
	buf_done(&a.body);
	get(f, &a, "/", (struct http_options){ .url = "file:///etc/passwd" });
	assert_int_equal(a.result, -EPROTO);
	buf_done(&a.body);
	/* Plain HTTP where TLS was asked for. */
	(void)snprintf(f->url, sizeof(f->url), "https://127.0.0.1:%u", f->server.port);
	get(f, &a, "/hello", (struct http_options){ 0 });
	assert_int_equal(a.result, -EPROTO);
	buf_done(&a.body);
}

static void proxies_of_the_environment_do_not_count(void **state)
{
	struct fixture *f = *state;
	struct answer a;

	assert_int_equal(setenv("http_proxy", "http://127.0.0.1:1", 1), 0);
	assert_int_equal(setenv("ALL_PROXY", "http://127.0.0.1:1", 1), 0);
	get(f, &a, "/hello", (struct http_options){ 0 });
	assert_int_equal(a.result, 0);
	buf_done(&a.body);
	(void)unsetenv("http_proxy");
	(void)unsetenv("ALL_PROXY");
}

static void streams_flow(void **state)
{
	struct fixture *f = *state;
	struct answer a = { 0 };

	start(f, &a, "GET", "/stream", (struct http_options){ .on_data = on_data });
	(void)pump(f->loop, NULL, 50);
	assert_int_equal(a.opened, 1); /* before any byte of the body */
	assert_int_equal(a.body.len, 0);
	fake_chunk(f->stream, "one");
	(void)pump(f->loop, NULL, 20);
	assert_string_equal(buf_cstr(&a.body), "one");
	fake_chunk(f->stream, "two");
	fake_stream_end(f->stream);
	assert_true(pump(f->loop, &a.is_done, 1000));
	assert_string_equal(buf_cstr(&a.body), "onetwo");
	assert_int_equal(a.result, 0);
	buf_done(&a.body);

	/* An answer that is no success is collected, not streamed. */
	get(f, &a, "/error",
		(struct http_options){ .on_data = on_data, .body_max = 100 });
	assert_int_equal(a.status, 500);
	assert_string_equal(buf_cstr(&a.body), "it broke");
	buf_done(&a.body);
}

static void streams_are_stopped(void **state)
{
	struct fixture *f = *state;
	struct answer a = { .stop_with = -EXDEV };

	start(f, &a, "GET", "/stream", (struct http_options){ .on_data = on_data });
	(void)pump(f->loop, NULL, 20);
	fake_chunk(f->stream, "x");
	assert_true(pump(f->loop, &a.is_done, 1000));
	assert_int_equal(a.result, -EXDEV);
	assert_int_equal(a.gone, 1);
	(void)pump(f->loop, NULL, 20);
	assert_int_equal(fake_open(&f->server), 0);
	buf_done(&a.body);
}

static void cancelled_is_silent(void **state)
{
	struct fixture *f = *state;
	struct answer a = { 0 };

	/* before it was ever sent, while it waits, from its own callbacks */
	start(f, &a, "GET", "/never", (struct http_options){ 0 });
	http_cancel(a.req);
	assert_int_equal(a.gone, 1);
	a = (struct answer){ 0 };
	start(f, &a, "GET", "/never", (struct http_options){ 0 });
	(void)pump(f->loop, NULL, 30);
	http_cancel(a.req);
	assert_int_equal(a.gone, 1);
	(void)pump(f->loop, NULL, 30);
	assert_int_equal(a.done, 0);
	assert_int_equal(fake_open(&f->server), 0);

	a = (struct answer){ .cancel_in_data = true };
	start(f, &a, "GET", "/stream", (struct http_options){ .on_data = on_data });
	(void)pump(f->loop, NULL, 20);
	fake_chunk(f->stream, "x");
	(void)pump(f->loop, NULL, 30);
	assert_int_equal(a.gone, 1);
	assert_int_equal(a.done, 0);
	buf_done(&a.body);

	a = (struct answer){ .cancel_in_open = true };
	start(f, &a, "GET", "/stream", (struct http_options){ .on_data = on_data });
	(void)pump(f->loop, NULL, 30);
	assert_int_equal(a.opened, 1);
	assert_int_equal(a.gone, 1);
	assert_int_equal(a.done, 0);
	http_cancel(NULL);
}

static void requests_start_from_callbacks(void **state)
{
	struct fixture *f = *state;
	struct answer second = { 0 }, a = { .start_in_data = f, .other = &second };

	start(f, &a, "GET", "/stream", (struct http_options){ .on_data = on_data });
	(void)pump(f->loop, NULL, 20);
	fake_chunk(f->stream, "x");
	assert_true(pump(f->loop, &second.is_done, 1000));
	assert_int_equal(second.status, 200);
	assert_false(a.is_done);
	buf_done(&second.body);
	buf_done(&a.body);
	http_cancel(a.req);

	second = (struct answer){ 0 };
	a = (struct answer){ .start_in_done = f, .other = &second };
	start(f, &a, "GET", "/hello", (struct http_options){ 0 });
	assert_true(pump(f->loop, &second.is_done, 1000));
	assert_int_equal(second.status, 200);
	buf_done(&second.body);
	buf_done(&a.body);
}

static void freed_from_callbacks(void **state)
{
	struct fixture *f = *state;
	struct answer waits = { 0 }, a = { .free_in_data = f->http };

	start(f, &waits, "GET", "/never", (struct http_options){ 0 });
	start(f, &a, "GET", "/stream", (struct http_options){ .on_data = on_data });
	(void)pump(f->loop, NULL, 20);
	fake_chunk(f->stream, "x");
	(void)pump(f->loop, NULL, 30);
	assert_int_equal(a.gone, 1);
	assert_int_equal(a.done, 0);
	assert_int_equal(waits.gone, 1);
	assert_int_equal(waits.done, 0);
	assert_int_equal(fake_open(&f->server), 0);
	buf_done(&a.body);

	assert_int_equal(http_new(f->loop, &f->http, NULL), 0);
	waits = (struct answer){ 0 };
	a = (struct answer){ .free_in_done = f->http };
	start(f, &waits, "GET", "/never", (struct http_options){ 0 });
	start(f, &a, "GET", "/hello", (struct http_options){ 0 });
	(void)pump(f->loop, NULL, 50);
	assert_int_equal(a.done, 1);
	assert_int_equal(a.gone, 1);
	assert_int_equal(waits.gone, 1);
	assert_int_equal(waits.done, 0);
	buf_done(&a.body);
	f->http = NULL;
}

static void many_at_once(void **state)
{
	enum { MANY = 100 };
	struct fixture *f = *state;
	struct answer a[MANY] = { 0 };

	for (int i = 0; i < MANY; i++)
		start(f, &a[i], "GET", i % 3 ? "/hello" : "/close",
			(struct http_options){ 0 });
	for (int i = 0; i < MANY; i++) {
		assert_true(pump(f->loop, &a[i].is_done, 5000));
		assert_int_equal(a[i].result, i % 3 ? 0 : -ECONNRESET);
		buf_done(&a[i].body);
	}
}

/* The loop's clock and curl's are two: a timer may fire a moment before curl finds it due. */
static void early_timers_are_not_lost(void **state)
{
	struct fixture *f = *state;
	struct answer a = { 0 };

	start(f, &a, "GET", "/never", (struct http_options){ .timeout_us = 300000 });
	(void)pump(f->loop, NULL, 5);
	skew_us += 300000;
	assert_true(pump(f->loop, &a.is_done, 2000));
	assert_int_equal(a.result, -ETIMEDOUT);
	buf_done(&a.body);
}

/* Whatever curl makes of its timer: when the time is up, the request ends. */
static void lost_timers_are_made_up_for(void **state)
{
	struct fixture *f = *state;
	struct answer a = { 0 };

	start(f, &a, "GET", "/never", (struct http_options){ .timeout_us = 300000 });
	(void)pump(f->loop, NULL, 5);
	is_frozen = true;
	(void)pump(f->loop, &a.is_done, 1000);
	assert_int_equal(a.done, 0);
	assert_true(pump(f->loop, &a.is_done, 2000));
	is_frozen = false;
	assert_int_equal(a.result, -ETIMEDOUT);
	assert_int_equal(a.done, 1);
	assert_int_equal(a.gone, 1);
	buf_done(&a.body);
}

static void unix_sockets_work(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	char dir[] = "/tmp/farrier-http-XXXXXX";
	struct answer a;

	assert_non_null(mkdtemp(dir));
	(void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/s", dir);
	fake_kill(&f->server);
	f->server.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(f->server.fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(f->server.fd, 5), 0);
	assert_int_equal(loop_io(f->loop, f->server.fd, EPOLLIN, fake_on_accept,
				 &f->server, &f->server.io),
		0);
	get(f, &a, "/hello",
		(struct http_options){
			.url = "http://localhost/hello", .unix_socket = sa.sun_path });
	assert_int_equal(a.status, 200);
	buf_done(&a.body);
	assert_int_equal(unlink(sa.sun_path), 0);
	assert_int_equal(rmdir(dir), 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(answers_arrive),
		TEST(the_head_comes_before_the_body),
		TEST(bodies_and_headers_are_sent),
		TEST(a_large_body_is_sent),
		TEST(failures_have_codes),
		TEST(proxies_of_the_environment_do_not_count),
		TEST(streams_flow),
		TEST(streams_are_stopped),
		TEST(cancelled_is_silent),
		TEST(requests_start_from_callbacks),
		TEST(freed_from_callbacks),
		TEST(many_at_once),
		TEST(early_timers_are_not_lost),
		TEST(lost_timers_are_made_up_for),
		TEST(unix_sockets_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
