// SPDX-License-Identifier: Apache-2.0
/* HTTP answers that come in pieces, and what their callbacks may do: cancel, start and free. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http_fixture.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(streams_flow),
		TEST(streams_are_stopped),
		TEST(cancelled_is_silent),
		TEST(requests_start_from_callbacks),
		TEST(freed_from_callbacks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
