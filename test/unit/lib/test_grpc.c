// SPDX-License-Identifier: Apache-2.0
/* gRPC: the core byte by byte against a raw nghttp2 client, the glue over real sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <nghttp2/nghttp2.h>

#include "buf.h"
#include "grpc.h"

/* ---- a server whose handlers do one thing each ---- */
static struct grpc_call *held; /* of /t.S/Hold */
static int n_closed, n_drained;

static void echo(struct grpc_call *c, const uint8_t *msg, size_t len, void *user)
{
	assert_int_equal(grpc_send(c, msg, len), 0);
	grpc_end(c, GRPC_OK, NULL);
	assert_int_equal(grpc_send(c, msg, len), -EPIPE);
}

static void refuse(struct grpc_call *c, const uint8_t *msg, size_t len, void *user)
{
	grpc_end(c, GRPC_FAILED_PRECONDITION, "100% \xc3\xa4rger\n");
	grpc_end(c, GRPC_OK, "too late");
}

static void on_drained(struct grpc_call *c, void *user)
{
	n_drained++;
}

static void on_closed(struct grpc_call *c, void *user)
{
	n_closed++;
	held = NULL;
}

static void hold(struct grpc_call *c, const uint8_t *msg, size_t len, void *user)
{
	held = c;
	grpc_watch(c, on_drained, on_closed, NULL);
}

static const struct grpc_method methods[] = {
	{ "/t.S/Echo", echo },
	{ "/t.S/Fail", refuse },
	{ "/t.S/Hold", hold },
	{ NULL, NULL },
};

/* ---- a client that says whatever it is told to ---- */
struct answer {
	int32_t stream;
	char status[8], grpc_status[8], grpc_message[128], content_type[64];
	struct buf data;
	bool is_closed, has_data_end; /* has_data_end: END_STREAM came on DATA */
	uint32_t error;
};

struct wire {
	struct grpc_conn *server;
	nghttp2_session *client;
	struct answer answers[16];
	size_t n;
	size_t chunk; /* bytes given to the server at once */
	int n_pings, n_settings;
	bool is_goaway, is_broken;
	struct buf body[16];
	size_t body_off[16];
};

static struct answer *answer_of(struct wire *w, int32_t stream)
{
	for (size_t i = 0; i < w->n; i++)
		if (w->answers[i].stream == stream)
			return &w->answers[i];
	return NULL;
}

static void keep(char *to, size_t size, const uint8_t *value, size_t len)
{
	(void)snprintf(to, size, "%.*s", (int)len, (const char *)value);
}

static int on_header(nghttp2_session *s, const nghttp2_frame *f, const uint8_t *name,
	size_t name_len, const uint8_t *value, size_t len, uint8_t flags, void *user)
{
	struct answer *a = answer_of(user, f->hd.stream_id);

	if (!a)
		return 0;
	if (name_len == 7 && memcmp(name, ":status", 7) == 0)
		keep(a->status, sizeof(a->status), value, len);
	else if (name_len == 11 && memcmp(name, "grpc-status", 11) == 0)
		keep(a->grpc_status, sizeof(a->grpc_status), value, len);
	else if (name_len == 12 && memcmp(name, "grpc-message", 12) == 0)
		keep(a->grpc_message, sizeof(a->grpc_message), value, len);
	else if (name_len == 12 && memcmp(name, "content-type", 12) == 0)
		keep(a->content_type, sizeof(a->content_type), value, len);
	return 0;
}

static int on_data(nghttp2_session *s, uint8_t flags, int32_t stream, const uint8_t *data,
	size_t len, void *user)
{
	return buf_add(&answer_of(user, stream)->data, data, len);
}

static int on_frame(nghttp2_session *s, const nghttp2_frame *f, void *user)
{
	struct wire *w = user;

	if (f->hd.type == NGHTTP2_PING && (f->hd.flags & NGHTTP2_FLAG_ACK))
		w->n_pings++;
	if (f->hd.type == NGHTTP2_SETTINGS && !(f->hd.flags & NGHTTP2_FLAG_ACK))
		w->n_settings++;
	if (f->hd.type == NGHTTP2_GOAWAY)
		w->is_goaway = true;
	if (f->hd.type == NGHTTP2_DATA && (f->hd.flags & NGHTTP2_FLAG_END_STREAM))
		answer_of(w, f->hd.stream_id)->has_data_end = true;
	return 0;
}

static int on_close(nghttp2_session *s, int32_t stream, uint32_t error, void *user)
{
	struct answer *a = answer_of(user, stream);

	if (a) {
		a->is_closed = true;
		a->error = error;
	}
	return 0;
}

static void client_new(struct wire *w, bool auto_window)
{
	nghttp2_session_callbacks *cb = NULL;
	nghttp2_option *opt = NULL;

	assert_int_equal(nghttp2_session_callbacks_new(&cb), 0);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
	assert_int_equal(nghttp2_option_new(&opt), 0);
	nghttp2_option_set_no_http_messaging(opt, 1);
	nghttp2_option_set_no_auto_window_update(opt, !auto_window);
	assert_int_equal(nghttp2_session_client_new2(&w->client, cb, w, opt), 0);
	nghttp2_option_del(opt);
	nghttp2_session_callbacks_del(cb);
	assert_int_equal(
		nghttp2_submit_settings(w->client, NGHTTP2_FLAG_NONE, NULL, 0), 0);
}

static void wire_new(struct wire *w, size_t message_max)
{
	struct err e = { 0 };

	*w = (struct wire){ .chunk = SIZE_MAX };
	held = NULL;
	n_closed = n_drained = 0;
	assert_int_equal(
		grpc_conn_new_server(methods, NULL, message_max, &w->server, &e), 0);
	client_new(w, true);
}

static void wire_done(struct wire *w)
{
	grpc_conn_free(w->server);
	nghttp2_session_del(w->client);
	for (size_t i = 0; i < w->n; i++) {
		buf_done(&w->answers[i].data);
		buf_done(&w->body[i]);
	}
}

static void give(struct wire *w, const uint8_t *data, size_t len)
{
	while (len && !w->is_broken) {
		size_t n = MIN(len, w->chunk);

		if (grpc_conn_receive(w->server, data, n, NULL) < 0)
			w->is_broken = true;
		data += n;
		len -= n;
	}
}

/* Carries bytes both ways until nobody has anything to say. */
static void pump(struct wire *w)
{
	const uint8_t *data;
	bool is_quiet = false;

	while (!is_quiet && !w->is_broken) {
		size_t len = 0;
		ssize_t n = nghttp2_session_mem_send(w->client, &data);

		assert_true(n >= 0);
		give(w, data, (size_t)n);
		is_quiet = n == 0;
		if (w->is_broken)
			return;
		assert_int_equal(grpc_conn_output(w->server, &data, &len, NULL), 0);
		if (len)
			assert_int_equal(
				nghttp2_session_mem_recv(w->client, data, len), len);
		is_quiet &= len == 0;
	}
}

static ssize_t read_body(nghttp2_session *s, int32_t stream, uint8_t *data, size_t len,
	uint32_t *flags, nghttp2_data_source *source, void *user)
{
	struct wire *w = user;
	size_t i = (size_t)source->fd;
	size_t n = MIN(len, w->body[i].len - w->body_off[i]);

	if (n)
		memcpy(data, w->body[i].data + w->body_off[i], n);
	w->body_off[i] += n;
	if (w->body_off[i] == w->body[i].len)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

#define H(n_, v_) \
	(nghttp2_nv) \
	{ \
		(uint8_t *)(uintptr_t)(n_), (uint8_t *)(uintptr_t)(v_), strlen(n_), \
			strlen(v_), 0 \
	}

struct request {
	const char *method, *path, *content_type, *authority, *extra_name, *extra_value;
};

static struct answer *ask_raw(
	struct wire *w, const struct request *r, const void *body, size_t len)
{
	nghttp2_data_provider p = { .source.fd = (int)w->n, .read_callback = read_body };
	struct answer *a = &w->answers[w->n];
	nghttp2_nv nv[8];
	size_t n = 0;

	nv[n++] = H(":method", r->method ? r->method : "POST");
	nv[n++] = H(":scheme", "http");
	nv[n++] = H(":path", r->path);
	if (r->authority)
		nv[n++] = H(":authority", r->authority);
	if (r->content_type)
		nv[n++] = H("content-type", r->content_type);
	if (r->extra_name)
		nv[n++] = H(r->extra_name, r->extra_value);
	buf_init(&w->body[w->n], 64 << 20);
	buf_init(&a->data, 64 << 20);
	if (len)
		assert_int_equal(buf_add(&w->body[w->n], body, len), 0);
	w->n++;
	a->stream = nghttp2_submit_request(w->client, NULL, nv, n, len ? &p : NULL, NULL);
	assert_true(a->stream > 0);
	return a;
}

static struct answer *ask(struct wire *w, const char *path, const void *msg, size_t len)
{
	const struct request r = {
		.path = path, .content_type = "application/grpc", .authority = "localhost"
	};
	struct buf b;
	struct answer *a;
	uint8_t prefix[5] = { 0, (uint8_t)(len >> 24), (uint8_t)(len >> 16),
		(uint8_t)(len >> 8), (uint8_t)len };

	buf_init(&b, 64 << 20);
	assert_int_equal(buf_add(&b, prefix, 5), 0);
	if (len)
		assert_int_equal(buf_add(&b, msg, len), 0);
	a = ask_raw(w, &r, b.data, b.len);
	buf_done(&b);
	return a;
}

static void expect_echo(const struct answer *a, const char *text)
{
	assert_string_equal(a->status, "200");
	assert_string_equal(a->content_type, "application/grpc");
	assert_string_equal(a->grpc_status, "0");
	assert_true(a->is_closed);
	assert_false(a->has_data_end); /* grpc-go wants trailers */
	assert_int_equal(a->data.len, strlen(text) + 5);
	assert_memory_equal(a->data.data + 5, text, strlen(text));
}

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

/* ---- our client against our server, byte by byte ---- */
struct result {
	int n;
	enum grpc_status status;
	char text[256], msg[64];
};

static void on_done(const struct grpc_result *res, void *user)
{
	struct result *r = user;

	r->n++;
	r->status = res->status;
	(void)snprintf(r->text, sizeof(r->text), "%s", res->text);
	(void)snprintf(r->msg, sizeof(r->msg), "%.*s", (int)res->len,
		res->msg ? (const char *)res->msg : "");
}

/* Counts PING frames on the way: a grpc-go server takes them ill. */
static void pipe_conns(struct grpc_conn *a, struct grpc_conn *b, int *n_pings)
{
	struct grpc_conn *c[2] = { a, b };
	bool is_quiet = false;

	while (!is_quiet) {
		is_quiet = true;
		for (int i = 0; i < 2; i++) {
			const uint8_t *data;
			size_t len = 0;

			assert_int_equal(grpc_conn_output(c[i], &data, &len, NULL), 0);
			if (!len)
				continue;
			is_quiet = false;
			if (len >= 9 && data[3] == NGHTTP2_PING)
				(*n_pings)++;
			assert_int_equal(grpc_conn_receive(c[!i], data, len, NULL), 0);
		}
	}
}

static void client_calls(void **state)
{
	struct grpc_conn *s = NULL, *c = NULL;
	struct result ok = { 0 }, bad = { 0 }, none = { 0 }, cut = { 0 },
		      held_one = { 0 };
	struct grpc_call *call = NULL;
	int n_pings = 0;

	held = NULL;
	assert_int_equal(grpc_conn_new_server(methods, NULL, 0, &s, NULL), 0);
	assert_int_equal(grpc_conn_new_client(0, &c, NULL), 0);
	assert_int_equal(
		grpc_call_start(c, "/t.S/Echo", "hello", 5, on_done, &ok, NULL, NULL), 0);
	assert_int_equal(
		grpc_call_start(c, "/t.S/Fail", "", 0, on_done, &bad, NULL, NULL), 0);
	assert_int_equal(
		grpc_call_start(c, "/t.S/Nope", "", 0, on_done, &none, NULL, NULL), 0);
	assert_int_equal(
		grpc_call_start(c, "/t.S/Hold", "", 0, on_done, &cut, &call, NULL), 0);
	pipe_conns(c, s, &n_pings);
	assert_int_equal(ok.n, 1);
	assert_int_equal(ok.status, GRPC_OK);
	assert_string_equal(ok.msg, "hello");
	assert_int_equal(bad.n, 1);
	assert_int_equal(bad.status, GRPC_FAILED_PRECONDITION);
	assert_string_equal(bad.text, "100% \xc3\xa4rger?");
	assert_int_equal(none.status, GRPC_UNIMPLEMENTED);
	assert_int_equal(cut.n, 0);
	grpc_call_cancel(call);
	pipe_conns(c, s, &n_pings);
	assert_int_equal(cut.n, 1);
	assert_int_equal(cut.status, GRPC_CANCELLED);
	assert_null(held);
	assert_int_equal(
		grpc_call_start(c, "/t.S/Hold", "", 0, on_done, &held_one, NULL, NULL),
		0);
	pipe_conns(c, s, &n_pings);
	/* An OK without a message is none. */
	grpc_end(held, GRPC_OK, NULL);
	pipe_conns(c, s, &n_pings);
	assert_int_equal(held_one.status, GRPC_INTERNAL);
	/* What is open when the connection goes is told. */
	held_one.n = 0;
	assert_int_equal(
		grpc_call_start(c, "/t.S/Hold", "", 0, on_done, &held_one, NULL, NULL),
		0);
	pipe_conns(c, s, &n_pings);
	grpc_conn_free(c);
	assert_int_equal(held_one.n, 1);
	assert_int_equal(held_one.status, GRPC_UNAVAILABLE);
	assert_int_equal(n_pings, 0);
	grpc_conn_free(s);
}

static void texts(void **state)
{
	assert_string_equal(grpc_status_name(GRPC_UNIMPLEMENTED), "UNIMPLEMENTED");
	assert_string_equal(grpc_status_name((enum grpc_status)99), "UNKNOWN");
}

/* ---- the glue ---- */
static char dir[64], path[80];

static int make_dir(void **state)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/farrier-grpc-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/s", dir);
	return 0;
}

static int remove_dir(void **state)
{
	(void)unlink(path);
	return rmdir(dir);
}

static void turn(struct loop *l, const int *until, int want)
{
	for (int i = 0; i < 2000 && *until < want; i++)
		assert_true(loop_step(l, 5000) >= 0);
	assert_int_equal(*until, want);
}

static void over_sockets(void **state)
{
	CLEANUP(loop_freep) struct loop *l = NULL;
	CLEANUP(grpc_server_freep) struct grpc_server *s = NULL;
	struct result r = { 0 }, late = { 0 };
	struct err e = { 0 };
	struct stat st;

	held = NULL;
	assert_int_equal(loop_new(&l, NULL, NULL), 0);
	assert_int_equal(grpc_request_start(l, path, "/t.S/Echo", "", 0, USEC_PER_SEC,
				 on_done, &r, NULL, &e),
		-ENOENT);
	assert_int_equal(grpc_server_new(l, path, methods, NULL, &s, &e), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(grpc_request_start(l, path, "/t.S/Echo", "over", 4, USEC_PER_SEC,
				 on_done, &r, NULL, &e),
		0);
	turn(l, &r.n, 1);
	assert_int_equal(r.status, GRPC_OK);
	assert_string_equal(r.msg, "over");
	assert_int_equal(grpc_request_start(l, path, "/t.S/Hold", "", 0, 20000, on_done,
				 &late, NULL, &e),
		0);
	turn(l, &late.n, 1);
	assert_int_equal(late.status, GRPC_DEADLINE_EXCEEDED);
	/* Deleted, and made again under the same name. */
	assert_true(grpc_server_is_there(s));
	assert_int_equal(unlink(path), 0);
	assert_false(grpc_server_is_there(s));
	assert_int_equal(grpc_server_rebind(s, &e), 0);
	assert_int_equal(grpc_request_start(l, path, "/t.S/Echo", "again", 5,
				 USEC_PER_SEC, on_done, &r, NULL, &e),
		0);
	turn(l, &r.n, 2);
	assert_string_equal(r.msg, "again");
	grpc_server_drain(s);
	assert_int_equal(stat(path, &st), -1);
	for (int i = 0; i < 200 && grpc_server_conns(s); i++)
		(void)loop_step(l, 1000);
	assert_int_equal(grpc_server_conns(s), 0);
}

static void stale_socket_refuses(void **state)
{
	CLEANUP(loop_freep) struct loop *l = NULL;
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	memcpy(a.sun_path, path, strlen(path) + 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(close(fd), 0);
	assert_int_equal(loop_new(&l, NULL, NULL), 0);
	assert_int_equal(grpc_request_start(l, path, "/t.S/Echo", "", 0, USEC_PER_SEC,
				 on_done, NULL, NULL, NULL),
		-ECONNREFUSED);
}

/* A name that does not fit into a socket's address is an error, not a cut name. */
static void long_path(void **state)
{
	CLEANUP(loop_freep) struct loop *l = NULL;
	struct grpc_server *s = NULL;
	char name[200];

	memset(name, 'a', sizeof(name));
	name[0] = '/';
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(loop_new(&l, NULL, NULL), 0);
	assert_int_equal(
		grpc_server_new(l, name, methods, NULL, &s, NULL), -ENAMETOOLONG);
	assert_int_equal(grpc_request_start(l, name, "/t.S/Echo", "", 0, USEC_PER_SEC,
				 on_done, NULL, NULL, NULL),
		-ENAMETOOLONG);
}

/* Many come and go, say nothing or half of it: nothing stays (ASan sees leaks, we see descriptors). */
static void connects(void **state)
{
	CLEANUP(loop_freep) struct loop *l = NULL;
	CLEANUP(grpc_server_freep) struct grpc_server *s = NULL;
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct result r = { 0 };
	int idle[GRPC_CONNS_MAX + 10];

	memcpy(a.sun_path, path, strlen(path) + 1);
	assert_int_equal(loop_new(&l, NULL, NULL), 0);
	assert_int_equal(grpc_server_new(l, path, methods, NULL, &s, NULL), 0);
	for (int i = 0; i < 2000; i++) {
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

		assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
		if (i % 2)
			assert_int_equal(
				write(fd, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", i % 24 + 1),
				i % 24 + 1);
		assert_int_equal(close(fd), 0);
		if (i % 16 == 15)
			(void)loop_step(l, 0);
	}
	for (int i = 0; i < 100 && grpc_server_conns(s); i++)
		(void)loop_step(l, 1000);
	assert_int_equal(grpc_server_conns(s), 0);
	/* Idle ones do not keep others out. */
	for (size_t i = 0; i < ARRAY_SIZE(idle); i++) {
		idle[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(connect(idle[i], (struct sockaddr *)&a, sizeof(a)), 0);
		(void)loop_step(l, 0);
	}
	assert_true(grpc_server_conns(s) <= GRPC_CONNS_MAX);
	assert_int_equal(grpc_request_start(l, path, "/t.S/Echo", "in", 2,
				 5 * USEC_PER_SEC, on_done, &r, NULL, NULL),
		0);
	turn(l, &r.n, 1);
	assert_string_equal(r.msg, "in");
	for (size_t i = 0; i < ARRAY_SIZE(idle); i++)
		(void)close(idle[i]);
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
		cmocka_unit_test(client_calls),
		cmocka_unit_test(texts),
		cmocka_unit_test_setup_teardown(over_sockets, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(
			stale_socket_refuses, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(long_path, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(connects, make_dir, remove_dir),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
