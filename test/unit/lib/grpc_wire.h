// SPDX-License-Identifier: Apache-2.0
/* A raw nghttp2 client of that server, which says whatever it is told to. */
#pragma once

#include <stdio.h>

#include <nghttp2/nghttp2.h>

#include "buf.h"
#include "grpc_methods.h"

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
