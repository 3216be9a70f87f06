// SPDX-License-Identifier: Apache-2.0
/* What an HTTP/2 session tells: requests and answers as they come in; and connections as a whole. */
#include "grpc_core.h"

#include <stdio.h>

/* An answer that is HTTP only, for requests that are no gRPC. */
static void reject_http(struct grpc_call *call, const char *status)
{
	nghttp2_nv nv = NV(":status", status, 3);

	call->is_rejected = call->is_ended = true;
	(void)nghttp2_submit_response(call->conn->session, call->stream, &nv, 1, NULL);
}

static void reject(struct grpc_call *call, enum grpc_status status, const char *text)
{
	call->is_rejected = true;
	call->conn->buffered -= call->in.len;
	buf_done(&call->in);
	buf_init(&call->in, GRPC_PREFIX);
	grpc_end(call, status, text);
}

/* ---- what the session tells us ---- */
static const struct grpc_method *find_method(const struct grpc_conn *c, const char *path)
{
	for (const struct grpc_method *m = c->methods; m && m->path; m++)
		if (streq(m->path, path))
			return m;
	return NULL;
}

/* The request's headers are complete: refuse now what can be refused. */
static void request_head(struct grpc_call *call)
{
	char text[GRPC_TEXT_MAX];

	if (call->is_malformed) {
		call->is_rejected = call->is_ended = true;
		(void)nghttp2_submit_rst_stream(call->conn->session, NGHTTP2_FLAG_NONE,
			call->stream, NGHTTP2_PROTOCOL_ERROR);
	} else if (!call->has_method_post) {
		reject_http(call, "405");
	} else if (!call->is_content_type_ok) {
		reject_http(call, "415");
	} else if (call->has_encoding) {
		reject(call, GRPC_UNIMPLEMENTED, "compressed messages are not supported");
	} else if (!find_method(call->conn, call->path)) {
		(void)snprintf(text, sizeof(text), "unknown method '%s'", call->path);
		reject(call, GRPC_UNIMPLEMENTED, text);
	}
}

/* The request is complete. */
static void request_whole(struct grpc_call *call)
{
	const struct grpc_method *m;
	enum grpc_status status;
	const uint8_t *msg;
	const char *text;
	size_t len;

	call->is_remote_closed = true;
	if (call->is_rejected)
		return;
	status = grpc_message_only(&call->in, call->conn->message_max, &msg, &len, &text);
	if (status != GRPC_OK) {
		reject(call, status, text);
		return;
	}
	m = find_method(call->conn, call->path);
	m->fn(call, msg, len, call->conn->user);
	/* The handler is through with it; a stream may stay open for years. */
	call->conn->buffered -= call->in.len;
	buf_done(&call->in);
	buf_init(&call->in, GRPC_PREFIX);
}

static int on_begin_headers(nghttp2_session *s, const nghttp2_frame *frame, void *user)
{
	struct grpc_conn *c = user;
	struct grpc_call *call;

	if (!c->is_server || frame->hd.type != NGHTTP2_HEADERS ||
		frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	call = grpc_call_new(c, frame->hd.stream_id);
	if (!call)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	return nghttp2_session_set_stream_user_data(s, frame->hd.stream_id, call);
}

static bool name_is(const uint8_t *name, size_t len, const char *want)
{
	return len == strlen(want) && memcmp(name, want, len) == 0;
}

static void request_header(struct grpc_call *call, const uint8_t *name, size_t name_len,
	const uint8_t *value, size_t len)
{
	static const char *const hop[] = { "connection", "proxy-connection", "keep-alive",
		"transfer-encoding", "upgrade" };

	for (size_t i = 0; i < ARRAY_SIZE(hop); i++)
		if (name_is(name, name_len, hop[i]))
			call->is_malformed = true;
	if (name_is(name, name_len, ":method")) {
		call->has_method_post = len == 4 && memcmp(value, "POST", 4) == 0;
	} else if (name_is(name, name_len, ":path")) {
		if (len >= sizeof(call->path) || memchr(value, 0, len) || call->path[0])
			call->is_malformed = true;
		else
			memcpy(call->path, value, len);
	} else if (name_is(name, name_len, "content-type")) {
		/* "application/grpc", with "+proto" or ";…" behind it */
		call->is_content_type_ok = len >= 16 &&
					   memcmp(value, "application/grpc", 16) == 0 &&
					   (len == 16 || value[16] == '+' ||
						   value[16] == ';');
	} else if (name_is(name, name_len, "grpc-encoding")) {
		call->has_encoding = len != 8 || memcmp(value, "identity", 8) != 0;
	}
}

static unsigned small_number(const uint8_t *s, size_t len, unsigned otherwise)
{
	unsigned n = 0;

	if (len == 0 || len > 3)
		return otherwise;
	for (size_t i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return otherwise;
		n = n * 10 + (s[i] - '0');
	}
	return n;
}

static void answer_header(struct grpc_call *call, const uint8_t *name, size_t name_len,
	const uint8_t *value, size_t len)
{
	if (name_is(name, name_len, ":status")) {
		call->http_status = small_number(value, len, 500);
	} else if (name_is(name, name_len, "grpc-status")) {
		call->status = small_number(value, len, GRPC_UNKNOWN);
		call->has_status = true;
	} else if (name_is(name, name_len, "grpc-message")) {
		grpc_text_decode(value, len, call->text, sizeof(call->text));
	}
}

static int on_header(nghttp2_session *s, const nghttp2_frame *frame, const uint8_t *name,
	size_t name_len, const uint8_t *value, size_t len, uint8_t flags, void *user)
{
	struct grpc_conn *c = user;
	struct grpc_call *call = nghttp2_session_get_stream_user_data(
		s, frame->hd.stream_id);

	if (!call || frame->hd.type != NGHTTP2_HEADERS)
		return 0;
	if (!c->is_server)
		answer_header(call, name, name_len, value, len);
	else if (frame->headers.cat == NGHTTP2_HCAT_REQUEST)
		request_header(call, name, name_len, value, len);
	return 0;
}

static int on_data(nghttp2_session *s, uint8_t flags, int32_t stream, const uint8_t *data,
	size_t len, void *user)
{
	struct grpc_conn *c = user;
	struct grpc_call *call = nghttp2_session_get_stream_user_data(s, stream);
	int r;

	if (!call || call->is_rejected)
		return 0;
	if (c->buffered + len > GRPC_BUFFERED_MAX + c->message_max)
		r = -ENOBUFS;
	else
		r = buf_add(&call->in, data, len);
	if (r == 0) {
		c->buffered += len;
		if (!grpc_message_is_too_long(&call->in, c->message_max))
			return 0;
	}
	if (c->is_server) {
		reject(call, GRPC_RESOURCE_EXHAUSTED, "message is too long");
	} else {
		call->has_status = call->is_rejected = true;
		call->status = GRPC_RESOURCE_EXHAUSTED;
		(void)nghttp2_submit_rst_stream(
			s, NGHTTP2_FLAG_NONE, stream, NGHTTP2_CANCEL);
	}
	return 0;
}

static int on_frame_recv(nghttp2_session *s, const nghttp2_frame *frame, void *user)
{
	struct grpc_conn *c = user;
	struct grpc_call *call;

	if (frame->hd.type == NGHTTP2_GOAWAY)
		c->is_closing = true;
	if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
		return 0;
	call = nghttp2_session_get_stream_user_data(s, frame->hd.stream_id);
	if (!call)
		return 0;
	if (c->is_server && frame->hd.type == NGHTTP2_HEADERS &&
		frame->headers.cat == NGHTTP2_HCAT_REQUEST)
		request_head(call);
	if (!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		return 0;
	if (c->is_server)
		request_whole(call);
	else
		call->is_remote_closed = true;
	return 0;
}

/* An answer before the request's end: tell the peer that the rest is not wanted. */
static int on_frame_send(nghttp2_session *s, const nghttp2_frame *frame, void *user)
{
	struct grpc_conn *c = user;
	struct grpc_call *call;

	if (!c->is_server || frame->hd.type != NGHTTP2_HEADERS ||
		!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		return 0;
	call = nghttp2_session_get_stream_user_data(s, frame->hd.stream_id);
	if (call && !call->is_remote_closed)
		(void)nghttp2_submit_rst_stream(
			s, NGHTTP2_FLAG_NONE, call->stream, NGHTTP2_NO_ERROR);
	return 0;
}

static int on_stream_close(
	nghttp2_session *s, int32_t stream, uint32_t error_code, void *user)
{
	struct grpc_call *call = nghttp2_session_get_stream_user_data(s, stream);

	if (!call)
		return 0;
	(void)nghttp2_session_set_stream_user_data(s, stream, NULL);
	grpc_call_finish(call);
	return 0;
}

/* grpc-go says good-bye with a GOAWAY that names a stream of its own: a normal close. */
static int on_invalid_frame(
	nghttp2_session *s, const nghttp2_frame *frame, int error, void *user)
{
	struct grpc_conn *c = user;

	if (frame->hd.type == NGHTTP2_GOAWAY)
		c->is_closing = true;
	return 0;
}

/* ---- connections ---- */
static int session_new(struct grpc_conn *c)
{
	nghttp2_session_callbacks *cb = NULL;
	nghttp2_option *opt = NULL;
	nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, GRPC_CALLS_MAX },
		{ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
	};
	int r = NGHTTP2_ERR_NOMEM;

	if (nghttp2_session_callbacks_new(&cb) != 0 || nghttp2_option_new(&opt) != 0)
		goto out;
	/* Old kubelets send a raw path as :authority, which the library's own checks refuse. */
	nghttp2_option_set_no_http_messaging(opt, 1);
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame_recv);
	nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_send);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(
		cb, on_invalid_frame);
	r = c->is_server ? nghttp2_session_server_new2(&c->session, cb, c, opt)
			 : nghttp2_session_client_new2(&c->session, cb, c, opt);
	if (r == 0)
		r = nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings,
			c->is_server ? 1 : ARRAY_SIZE(settings));
out:
	nghttp2_option_del(opt);
	nghttp2_session_callbacks_del(cb);
	return r == 0 ? 0 : -ENOMEM;
}

static int conn_new(bool is_server, const struct grpc_method *methods, void *user,
	size_t message_max, struct grpc_conn **ret, struct err *e)
{
	CLEANUP(grpc_conn_freep) struct grpc_conn *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return err_errno(e, -ENOMEM, "connection");
	c->is_server = is_server;
	c->methods = methods;
	c->user = user;
	c->message_max = message_max ? message_max : GRPC_MESSAGE_MAX;
	r = session_new(c);
	if (r < 0)
		return err_errno(e, r, "connection");
	*ret = TAKE(c);
	return 0;
}

int grpc_conn_new_server(const struct grpc_method *methods, void *user,
	size_t message_max, struct grpc_conn **ret, struct err *e)
{
	return conn_new(true, methods, user, message_max, ret, e);
}

int grpc_conn_new_client(size_t message_max, struct grpc_conn **ret, struct err *e)
{
	return conn_new(false, NULL, NULL, message_max, ret, e);
}

void grpc_conn_free(struct grpc_conn *c)
{
	nghttp2_session *s;

	if (!c)
		return;
	s = c->session;
	c->session = NULL; /* what a callback sends now goes nowhere */
	while (c->calls)
		grpc_call_finish(c->calls);
	nghttp2_session_del(s);
	free(c);
}

int grpc_conn_receive(struct grpc_conn *c, const void *data, size_t len, struct err *e)
{
	ssize_t n;

	c->in_receive = true;
	n = nghttp2_session_mem_recv(c->session, data, len);
	c->in_receive = false;
	if (n < 0)
		return err_set(e, n == NGHTTP2_ERR_NOMEM ? -ENOMEM : -EPROTO,
			"HTTP/2: %s", nghttp2_strerror((int)n));
	return 0;
}

int grpc_conn_output(
	struct grpc_conn *c, const uint8_t **ret, size_t *ret_len, struct err *e)
{
	ssize_t n = nghttp2_session_mem_send(c->session, ret);

	if (n < 0)
		return err_set(e, n == NGHTTP2_ERR_NOMEM ? -ENOMEM : -EPROTO,
			"HTTP/2: %s", nghttp2_strerror((int)n));
	*ret_len = (size_t)n;
	return 0;
}

void grpc_conn_on_output(struct grpc_conn *c, void (*fn)(void *user), void *user)
{
	c->on_output = fn;
	c->output_user = user;
}

bool grpc_conn_is_over(const struct grpc_conn *c)
{
	return !nghttp2_session_want_read(c->session) &&
	       !nghttp2_session_want_write(c->session);
}

void grpc_conn_shutdown(struct grpc_conn *c)
{
	(void)nghttp2_submit_goaway(c->session, NGHTTP2_FLAG_NONE,
		nghttp2_session_get_last_proc_stream_id(c->session), NGHTTP2_NO_ERROR,
		NULL, 0);
	grpc_conn_wants_output(c);
}

size_t grpc_conn_calls(const struct grpc_conn *c)
{
	return c->n_calls;
}
