// SPDX-License-Identifier: Apache-2.0
/* List and watch against a server that pages, ends, expires, lies and dies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "watch_fixture.h"

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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
