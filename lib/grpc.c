// SPDX-License-Identifier: Apache-2.0
/* The calls of a gRPC connection, without I/O: their queues, what they send, how they end. */
#include "grpc_core.h"

#include <stdio.h>

enum { OUT_KEEP = 64 << 10 }; /* a drained queue above this gives its memory back */

void grpc_conn_wants_output(struct grpc_conn *c)
{
	if (c->on_output && !c->in_receive)
		c->on_output(c->output_user);
}

struct grpc_call *grpc_call_new(struct grpc_conn *c, int32_t stream)
{
	struct grpc_call *call = calloc(1, sizeof(*call));

	if (!call)
		return NULL;
	call->conn = c;
	call->stream = stream;
	buf_init(&call->in, c->message_max + GRPC_PREFIX + (64 << 10));
	buf_init(&call->out, GRPC_QUEUE_MAX + GRPC_PREFIX);
	call->next = c->calls;
	if (c->calls)
		c->calls->prev = call;
	c->calls = call;
	c->n_calls++;
	return call;
}

/* What a client's owner is told. */
static void client_result(struct grpc_call *call, struct grpc_result *res)
{
	const char *text = "";

	*res = (struct grpc_result){ .status = call->status, .text = call->text };
	if (call->is_cancelled) {
		res->status = GRPC_CANCELLED;
	} else if (!call->has_status && call->http_status && call->http_status != 200) {
		res->status = grpc_status_of_http(call->http_status);
		(void)snprintf(call->text, sizeof(call->text), "HTTP status %u",
			call->http_status);
	} else if (!call->has_status && call->is_remote_closed) {
		res->status = GRPC_INTERNAL;
		res->text = "the stream ended without a status";
	} else if (!call->has_status) {
		res->status = GRPC_UNAVAILABLE;
		res->text = "the connection ended before the call";
	} else if (call->status == GRPC_OK) {
		res->status = grpc_message_only(
			&call->in, call->conn->message_max, &res->msg, &res->len, &text);
		if (res->status != GRPC_OK)
			res->text = text;
	}
}

void grpc_call_finish(struct grpc_call *call)
{
	struct grpc_conn *c = call->conn;

	if (call->prev)
		call->prev->next = call->next;
	else
		c->calls = call->next;
	if (call->next)
		call->next->prev = call->prev;
	c->n_calls--;
	c->buffered -= call->in.len;
	if (call->done) {
		struct grpc_result res;

		client_result(call, &res);
		call->done(&res, call->user);
	}
	if (call->on_close)
		call->on_close(call, call->user);
	buf_done(&call->in);
	buf_done(&call->out);
	free(call);
}

/* The trailers, also the whole answer of a call without messages. */
static int submit_trailers(struct grpc_call *call, bool is_whole_answer)
{
	char status[16], text[GRPC_TEXT_MAX * 3];
	nghttp2_nv nv[4];
	size_t n = 0;

	if (is_whole_answer) {
		nv[n++] = NV(":status", "200", 3);
		nv[n++] = NV("content-type", "application/grpc", 16);
	}
	(void)snprintf(status, sizeof(status), "%u", (unsigned)call->end_status);
	nv[n++] = NV("grpc-status", status, strlen(status));
	if (call->end_text[0]) {
		size_t len = grpc_text_encode(call->end_text, text, sizeof(text));

		nv[n++] = NV("grpc-message", text, len);
	}
	if (is_whole_answer)
		return nghttp2_submit_response(
			call->conn->session, call->stream, nv, n, NULL);
	return nghttp2_submit_trailer(call->conn->session, call->stream, nv, n);
}

/* Data provider of both sides: hands out the queue, then the end. */
static ssize_t read_queue(nghttp2_session *s, int32_t stream, uint8_t *data, size_t len,
	uint32_t *flags, nghttp2_data_source *source, void *user)
{
	struct grpc_call *call = source->ptr;
	size_t n = MIN(len, call->out.len - call->out_off);

	if (n == 0 && !call->is_ended)
		return NGHTTP2_ERR_DEFERRED;
	if (n > 0)
		memcpy(data, call->out.data + call->out_off, n);
	call->out_off += n;
	if (call->out_off < call->out.len)
		return (ssize_t)n;
	call->out_off = 0;
	if (call->out.cap > OUT_KEEP) {
		buf_done(&call->out);
		buf_init(&call->out, GRPC_QUEUE_MAX + GRPC_PREFIX);
	} else {
		buf_clear(&call->out);
	}
	if (!call->is_ended && call->on_drained)
		call->on_drained(call, call->user);
	if (call->is_ended && call->out.len == 0) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		if (call->conn->is_server) {
			*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
			if (submit_trailers(call, false) != 0)
				return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
		}
	}
	return (ssize_t)n;
}

static int queue_message(struct grpc_call *c, const void *msg, size_t len)
{
	uint8_t prefix[GRPC_PREFIX];
	size_t before;

	if (c->out_off) {
		buf_consume(&c->out, c->out_off);
		c->out_off = 0;
	}
	before = c->out.len;
	if (len > GRPC_QUEUE_MAX || before > GRPC_QUEUE_MAX - len)
		return -ENOBUFS;
	grpc_message_prefix(prefix, len);
	if (buf_add(&c->out, prefix, sizeof(prefix)) < 0 ||
		(len && buf_add(&c->out, msg, len) < 0)) {
		c->out.len = before;
		c->out.failed = 0;
		return -ENOMEM;
	}
	return 0;
}

int grpc_send(struct grpc_call *c, const void *msg, size_t len)
{
	nghttp2_session *s = c->conn->session;
	nghttp2_data_provider body = { .source.ptr = c, .read_callback = read_queue };
	nghttp2_nv nv[] = {
		NV(":status", "200", 3),
		NV("content-type", "application/grpc", 16),
	};
	int r;

	if (c->is_ended || !s)
		return -EPIPE;
	r = queue_message(c, msg, len);
	if (r < 0)
		return r;
	if (c->is_open) {
		/* Fails when it is not deferred: then it is being sent anyway. */
		(void)nghttp2_session_resume_data(s, c->stream);
	} else {
		r = nghttp2_submit_response(s, c->stream, nv, ARRAY_SIZE(nv), &body);
		if (r != 0)
			return r == NGHTTP2_ERR_NOMEM ? -ENOMEM : -EPIPE;
		c->is_open = true;
	}
	grpc_conn_wants_output(c->conn);
	return 0;
}

void grpc_end(struct grpc_call *c, enum grpc_status status, const char *text)
{
	nghttp2_session *s = c->conn->session;

	if (c->is_ended || !s)
		return;
	c->is_ended = true;
	c->end_status = status;
	(void)snprintf(c->end_text, sizeof(c->end_text), "%s", text ? text : "");
	if (c->is_open)
		(void)nghttp2_session_resume_data(s, c->stream);
	else if (submit_trailers(c, true) != 0)
		(void)nghttp2_submit_rst_stream(
			s, NGHTTP2_FLAG_NONE, c->stream, NGHTTP2_INTERNAL_ERROR);
	grpc_conn_wants_output(c->conn);
}

size_t grpc_queued(const struct grpc_call *c)
{
	return c->out.len - c->out_off;
}

void grpc_watch(struct grpc_call *c, void (*on_drained)(struct grpc_call *c, void *user),
	void (*on_close)(struct grpc_call *c, void *user), void *user)
{
	c->on_drained = on_drained;
	c->on_close = on_close;
	c->user = user;
}

int grpc_call_start(struct grpc_conn *c, const char *path, const void *msg, size_t len,
	grpc_done_fn done, void *user, struct grpc_call **ret, struct err *e)
{
	nghttp2_nv nv[] = {
		NV(":method", "POST", 4),
		NV(":scheme", "http", 4),
		NV(":authority", "localhost", 9),
		NV(":path", path, strlen(path)),
		NV("content-type", "application/grpc", 16),
		NV("te", "trailers", 8),
		NV("user-agent", "farrier/" FARRIER_VERSION,
			sizeof("farrier/" FARRIER_VERSION) - 1),
	};
	struct grpc_call *call;
	nghttp2_data_provider body = { .read_callback = read_queue };
	int r;

	if (!c->session || c->is_server)
		return err_set(e, -EPIPE, "'%s': the connection is closed", path);
	call = grpc_call_new(c, 0);
	if (!call)
		return err_errno(e, -ENOMEM, "'%s'", path);
	r = queue_message(call, msg, len);
	if (r < 0) {
		grpc_call_finish(call);
		return err_errno(e, r, "'%s'", path);
	}
	call->is_ended = true; /* one message, then the end */
	body.source.ptr = call;
	r = nghttp2_submit_request(c->session, NULL, nv, ARRAY_SIZE(nv), &body, call);
	if (r < 0) {
		grpc_call_finish(call);
		return err_set(e, r == NGHTTP2_ERR_NOMEM ? -ENOMEM : -EPIPE, "'%s': %s",
			path, nghttp2_strerror(r));
	}
	call->stream = r;
	call->done = done;
	call->user = user;
	if (ret)
		*ret = call;
	grpc_conn_wants_output(c);
	return 0;
}

void grpc_call_cancel(struct grpc_call *c)
{
	if (!c->conn->session)
		return;
	c->is_cancelled = true;
	(void)nghttp2_submit_rst_stream(
		c->conn->session, NGHTTP2_FLAG_NONE, c->stream, NGHTTP2_CANCEL);
	grpc_conn_wants_output(c->conn);
}
