// SPDX-License-Identifier: Apache-2.0
/* gRPC: the core of a server byte by byte against a raw nghttp2 client. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "grpc_wire.h"

/* ---- the wire part of the conformance list ---- */
static void settings_come_first(void **state)
{
	struct grpc_conn *c = NULL;
	const uint8_t *data;
	size_t len = 0;

	assert_int_equal(grpc_conn_new_server(methods, NULL, 0, &c, NULL), 0);
	assert_int_equal(grpc_conn_output(c, &data, &len, NULL), 0);
	assert_true(len >= 9);
	assert_int_equal(data[3], NGHTTP2_SETTINGS);
	assert_int_equal(data[4], 0);
	grpc_conn_free(c);
}

static void split_everywhere(void **state)
{
	static const size_t chunks[] = { 1, 2, 3, 7, 100, SIZE_MAX };

	for (size_t i = 0; i < ARRAY_SIZE(chunks); i++) {
		struct wire w;
		struct answer *a, *b;

		wire_new(&w, 0);
		w.chunk = chunks[i];
		a = ask(&w, "/t.S/Echo", "hello", 5);
		b = ask(&w, "/t.S/Echo", "", 0);
		pump(&w);
		expect_echo(a, "hello");
		expect_echo(b, "");
		assert_int_equal(grpc_conn_calls(w.server), 0);
		wire_done(&w);
	}
}

static void errors_are_trailers_only(void **state)
{
	struct wire w;
	struct answer *a;

	wire_new(&w, 0);
	a = ask(&w, "/t.S/Fail", "x", 1);
	pump(&w);
	assert_string_equal(a->status, "200");
	assert_string_equal(a->grpc_status, "9");
	assert_string_equal(a->grpc_message, "100%25 %C3%A4rger%0A");
	assert_int_equal(a->data.len, 0);
	assert_true(a->is_closed);
	wire_done(&w);
}

#define GRPC "application/grpc"
static void bad_requests(void **state)
{
	static const struct {
		const char *name;
		struct request r;
		const char *body;
		size_t len;
		const char *status, *grpc_status;
		uint32_t error;
	} cases[] = {
		{ "unknown method", { NULL, "/t.S/Nope", GRPC, "localhost" },
			"\0\0\0\0\0", 5, "200", "12", 0 },
		{ "no such path", { NULL, "", GRPC, "localhost" }, "\0\0\0\0\0", 5, "200",
			"12", 0 },
		{ "content type", { NULL, "/t.S/Echo", "text/plain", "localhost" },
			"\0\0\0\0\0", 5, "415", "", 0 },
		{ "no content type", { NULL, "/t.S/Echo", NULL, "localhost" },
			"\0\0\0\0\0", 5, "415", "", 0 },
		{ "grpc-web", { NULL, "/t.S/Echo", "application/grpc-web", "localhost" },
			"\0\0\0\0\0", 5, "415", "", 0 },
		{ "GET", { "GET", "/t.S/Echo", GRPC, "localhost" }, NULL, 0, "405", "",
			0 },
		{ "hop header",
			{ NULL, "/t.S/Echo", GRPC, "localhost", "connection", "close" },
			"\0\0\0\0\0", 5, "", "", NGHTTP2_PROTOCOL_ERROR },
		{ "encoding",
			{ NULL, "/t.S/Echo", GRPC, "localhost", "grpc-encoding", "gzip" },
			"\0\0\0\0\0", 5, "200", "12", 0 },
		{ "compressed flag", { NULL, "/t.S/Echo", GRPC, "localhost" },
			"\1\0\0\0\0", 5, "200", "12", 0 },
		{ "strange flag", { NULL, "/t.S/Echo", GRPC, "localhost" }, "\7\0\0\0\0",
			5, "200", "13", 0 },
		{ "no message", { NULL, "/t.S/Echo", GRPC, "localhost" }, NULL, 0, "200",
			"13", 0 },
		{ "short prefix", { NULL, "/t.S/Echo", GRPC, "localhost" }, "\0\0\0", 3,
			"200", "13", 0 },
		{ "truncated", { NULL, "/t.S/Echo", GRPC, "localhost" }, "\0\0\0\0\3ab",
			7, "200", "13", 0 },
		{ "two messages", { NULL, "/t.S/Echo", GRPC, "localhost" },
			"\0\0\0\0\1a\0\0\0\0\1b", 12, "200", "13", 0 },
		{ "too long", { NULL, "/t.S/Echo", GRPC, "localhost" }, "\0\0\1\0\0abc",
			8, "200", "8", 0 },
		{ "longest there is", { NULL, "/t.S/Echo", GRPC, "localhost" },
			"\0\xff\xff\xff\xff", 5, "200", "8", 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct wire w;
		struct answer *a, *after;

		wire_new(&w, 1000);
		a = ask_raw(&w, &cases[i].r, cases[i].body, cases[i].len);
		pump(&w);
		if (!streq(a->status, cases[i].status) ||
			!streq(a->grpc_status, cases[i].grpc_status) || !a->is_closed ||
			a->error != cases[i].error || w.is_broken)
			fail_msg("case '%s': status '%s' grpc '%s' closed %d error %u",
				cases[i].name, a->status, a->grpc_status, a->is_closed,
				a->error);
		/* The connection lives on. */
		after = ask(&w, "/t.S/Echo", "after", 5);
		pump(&w);
		expect_echo(after, "after");
		wire_done(&w);
	}
}

static void oversized_upload_is_cut(void **state)
{
	static char big[100000];
	struct wire w;
	struct answer *a;

	wire_new(&w, 1000);
	a = ask(&w, "/t.S/Echo", big, sizeof(big));
	pump(&w);
	assert_string_equal(a->grpc_status, "8");
	assert_true(a->is_closed);
	assert_int_equal(grpc_conn_calls(w.server), 0);
	wire_done(&w);
}

static void authorities(void **state)
{
	static const char *const all[] = { "localhost",
		"%2Fvar%2Flib%2Fkubelet%2Fdevice-plugins%2Fa.sock",
		"/var/lib/kubelet/device-plugins/a.sock", "", NULL };

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		const struct request r = { NULL, "/t.S/Echo", "application/grpc+proto",
			all[i], "te", "trailers" };
		struct wire w;
		struct answer *a;

		wire_new(&w, 0);
		a = ask_raw(&w, &r, "\0\0\0\0\2hi", 7);
		pump(&w);
		expect_echo(a, "hi");
		wire_done(&w);
	}
}

static void large_answer_passes_windows(void **state)
{
	size_t len = 1 << 20;
	CLEANUP(freep) char *big = calloc(1, len);
	struct wire w;
	struct answer *a;

	wire_new(&w, 0);
	a = ask(&w, "/t.S/Hold", "", 0);
	pump(&w);
	assert_non_null(held);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(grpc_send(held, big, len), 0);
		pump(&w);
		assert_int_equal(grpc_queued(held), 0);
		assert_int_equal(n_drained, i + 1);
	}
	assert_int_equal(a->data.len, 3 * (len + 5));
	assert_string_equal(a->grpc_status, "");
	grpc_end(held, GRPC_OK, NULL);
	pump(&w);
	assert_string_equal(a->grpc_status, "0");
	assert_int_equal(n_closed, 1);
	wire_done(&w);
}

static void slow_reader_waits_alone(void **state)
{
	size_t len = 1 << 20;
	CLEANUP(freep) char *big = calloc(1, len);
	struct wire w;
	struct answer *slow, *other;

	wire_new(&w, 0);
	nghttp2_session_del(w.client);
	client_new(&w, false); /* never opens a window by itself */
	assert_int_equal(nghttp2_session_set_local_window_size(
				 w.client, NGHTTP2_FLAG_NONE, 0, 1 << 20),
		0);
	slow = ask(&w, "/t.S/Hold", "", 0);
	pump(&w);
	assert_int_equal(grpc_send(held, big, len), 0);
	pump(&w);
	assert_int_equal(slow->data.len, 65535);
	assert_int_equal(grpc_queued(held), len + 5 - 65535);
	assert_int_equal(n_drained, 0);
	other = ask(&w, "/t.S/Echo", "still here", 10);
	pump(&w);
	expect_echo(other, "still here");
	/* A larger window in mid-stream is honoured. */
	{
		nghttp2_settings_entry wider = { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,
			200000 };

		assert_int_equal(
			nghttp2_submit_settings(w.client, NGHTTP2_FLAG_NONE, &wider, 1),
			0);
		pump(&w);
		assert_int_equal(slow->data.len, 200000);
	}
	wire_done(&w);
	assert_int_equal(n_closed, 1); /* also when the connection is freed */
}

static void queue_has_a_cap(void **state)
{
	size_t len = 3 << 20;
	CLEANUP(freep) char *big = calloc(1, len);
	struct wire w;

	wire_new(&w, 0);
	(void)ask(&w, "/t.S/Hold", "", 0);
	pump(&w);
	assert_int_equal(grpc_send(held, big, len), 0);
	assert_int_equal(grpc_send(held, big, len), 0);
	assert_int_equal(grpc_send(held, big, len), -ENOBUFS);
	pump(&w); /* what was queued arrives, and there is room again */
	assert_int_equal(w.answers[0].data.len, 2 * (len + 5));
	assert_int_equal(grpc_send(held, big, len), 0);
	wire_done(&w);
}

static void ping_and_reset(void **state)
{
	struct wire w;
	struct answer *a;

	wire_new(&w, 0);
	assert_int_equal(nghttp2_submit_ping(w.client, NGHTTP2_FLAG_NONE,
				 (const uint8_t *)"12345678"),
		0);
	a = ask(&w, "/t.S/Hold", "", 0);
	pump(&w);
	assert_int_equal(w.n_pings, 1);
	assert_int_equal(grpc_conn_calls(w.server), 1);
	assert_int_equal(nghttp2_submit_rst_stream(
				 w.client, NGHTTP2_FLAG_NONE, a->stream, NGHTTP2_CANCEL),
		0);
	pump(&w);
	assert_int_equal(n_closed, 1);
	assert_int_equal(grpc_conn_calls(w.server), 0);
	wire_done(&w);
}

/* The kubelet changes its mind while a list is under way: smaller windows, larger frames, a window of none. */
static void settings_in_mid_stream(void **state)
{
	static const nghttp2_settings_entry changes[][2] = {
		{ { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1000 },
			{ NGHTTP2_SETTINGS_MAX_FRAME_SIZE, 16384 } },
		{ { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 20 },
			{ NGHTTP2_SETTINGS_MAX_FRAME_SIZE, 65536 } },
		{ { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 65535 },
			{ NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, 0 } },
	};
	size_t len = 256 << 10, want = 0;
	CLEANUP(freep) char *big = calloc(1, len);
	struct wire w;
	struct answer *a;

	wire_new(&w, 0);
	a = ask(&w, "/t.S/Hold", "", 0);
	pump(&w);
	assert_non_null(held);
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		assert_int_equal(grpc_send(held, big, len), 0);
		assert_int_equal(nghttp2_submit_settings(w.client, NGHTTP2_FLAG_NONE,
					 changes[i], ARRAY_SIZE(changes[i])),
			0);
		pump(&w);
		want += len + 5;
		assert_int_equal(a->data.len, want);
		assert_int_equal(grpc_queued(held), 0);
	}
	assert_false(w.is_broken);
	grpc_end(held, GRPC_OK, NULL);
	pump(&w);
	assert_string_equal(a->grpc_status, "0");
	wire_done(&w);
}

/* grpc-go closes with GOAWAY that names its own last stream: no error for us. */
static void goodbye_of_grpc_go(void **state)
{
	static const uint8_t frame[] = { 0, 0, 17, 7, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0,
		0, 'c', 'l', 'o', 's', 'i', 'n', 'g', '!', '!' };
	struct wire w;

	wire_new(&w, 0);
	(void)ask(&w, "/t.S/Echo", "x", 1);
	pump(&w);
	give(&w, frame, sizeof(frame));
	assert_false(w.is_broken);
	pump(&w);
	assert_true(grpc_conn_is_over(w.server));
	wire_done(&w);
}

static void too_many_streams(void **state)
{
	struct wire w;
	int refused = 0;

	wire_new(&w, 0);
	for (int i = 0; i < 15; i++)
		(void)ask(&w, "/t.S/Hold", "", 0);
	pump(&w);
	for (size_t i = 0; i < w.n; i++)
		refused += w.answers[i].is_closed;
	assert_int_equal(refused, 0);
	assert_int_equal(grpc_conn_calls(w.server), 15);
	grpc_conn_shutdown(w.server);
	pump(&w);
	assert_true(w.is_goaway);
	assert_int_equal(grpc_conn_calls(w.server), 15); /* open ones may finish */
	wire_done(&w);
	assert_int_equal(n_closed, 15);
}

/* Whatever comes: an error or silence, never a crash. */
static void garbage(void **state)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
	uint32_t x = 12345;
	int n_broken = 0;

	for (int round = 0; round < 300; round++) {
		struct grpc_conn *c = NULL;
		uint8_t junk[256];
		const uint8_t *data;
		size_t len;

		assert_int_equal(grpc_conn_new_server(methods, NULL, 0, &c, NULL), 0);
		if (round % 3)
			assert_int_equal(
				grpc_conn_receive(c, preface, sizeof(preface) - 1, NULL),
				0);
		for (size_t i = 0; i < sizeof(junk); i++) {
			x = x * 1664525u + 1013904223u;
			junk[i] = (uint8_t)(x >> 24);
		}
		if (round % 3 == 2) { /* a frame header that makes some sense */
			junk[0] = junk[1] = 0;
			junk[3] %= 11;
		}
		if (grpc_conn_receive(c, junk, sizeof(junk), NULL) < 0)
			n_broken++;
		do
			len = 0;
		while (grpc_conn_output(c, &data, &len, NULL) == 0 && len);
		if (round % 3 == 0)
			assert_true(grpc_conn_is_over(c) ||
				    grpc_conn_receive(c, junk, 1, NULL) < 0);
		grpc_conn_free(c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(settings_come_first),
		cmocka_unit_test(split_everywhere),
		cmocka_unit_test(errors_are_trailers_only),
		cmocka_unit_test(bad_requests),
		cmocka_unit_test(oversized_upload_is_cut),
		cmocka_unit_test(authorities),
		cmocka_unit_test(large_answer_passes_windows),
		cmocka_unit_test(slow_reader_waits_alone),
		cmocka_unit_test(queue_has_a_cap),
		cmocka_unit_test(ping_and_reset),
		cmocka_unit_test(settings_in_mid_stream),
		cmocka_unit_test(goodbye_of_grpc_go),
		cmocka_unit_test(too_many_streams),
		cmocka_unit_test(garbage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
