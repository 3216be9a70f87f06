// SPDX-License-Identifier: Apache-2.0
/* Lists that come as streams: from a server that knows them, and from one that does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "watch_fixture.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(streamed_list),
		TEST(streamed_list_after_expiry),
		TEST(stream_refused),
		TEST(stream_ignored),
		TEST(stream_interrupted),
		TEST(stream_freed_in_callbacks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
