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

#include "http_fixture.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(answers_arrive),
		TEST(the_head_comes_before_the_body),
		TEST(bodies_and_headers_are_sent),
		TEST(a_large_body_is_sent),
		TEST(failures_have_codes),
		TEST(proxies_of_the_environment_do_not_count),
		TEST(many_at_once),
		TEST(early_timers_are_not_lost),
		TEST(lost_timers_are_made_up_for),
		TEST(unix_sockets_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
