// SPDX-License-Identifier: Apache-2.0
/* HTTP requests, what came of them, and a server on the same loop that answers by the path. */
#pragma once

#include "fake_server.h"
#include "http.h"

struct fixture {
	struct loop *loop;
	struct http *http;
	struct fake_server server;
	struct fake_conn *stream;
	char url[64];
	char seen[16384]; /* head and body of the last request */
};

/* What came of one request, and what its callbacks are to do. */
struct answer {
	bool is_done;
	unsigned done, gone, opened;
	int result;
	long status;
	struct buf body;
	char type[64], location[64], error[256], digest[80], head[80];
	uint64_t retry_after_us;
	struct http_req *req;
	int stop_with; /* what on_head and on_data answer */
	struct http *free_in_data, *free_in_done;
	bool cancel_in_data, cancel_in_open;
	struct fixture *start_in_data, *start_in_done;
	struct answer *other;
};

/* Answers by the path; f->stream is the connection of who waits for more. */
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

/* Sends @method to @path, or to @o.url where there is one; @a tells what comes of it, and its body is
 * the caller's to end. */
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

/* GETs @path, and waits for the end. */
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

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
