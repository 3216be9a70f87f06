// SPDX-License-Identifier: Apache-2.0
/*
 * gRPC over HTTP/2: a core that takes bytes and gives bytes (grpc_conn_*), and the glue that puts it
 * on Unix sockets and the loop (grpc_server_*, grpc_request_*). The only user of nghttp2.
 *
 * A call has one request message, as every method of the kubelet's APIs does; a server answers with
 * any number of messages, a client expects at most one. Messages are never compressed.
 *
 * Lifetime of a call: it belongs to its connection and is gone after its on_close (server) or done
 * (client) was called. Both come exactly once, also when the connection breaks or is freed.
 */
#pragma once

#include "err.h"
#include "loop.h"

enum grpc_status {
	GRPC_OK,
	GRPC_CANCELLED,
	GRPC_UNKNOWN,
	GRPC_INVALID_ARGUMENT,
	GRPC_DEADLINE_EXCEEDED,
	GRPC_NOT_FOUND,
	GRPC_ALREADY_EXISTS,
	GRPC_PERMISSION_DENIED,
	GRPC_RESOURCE_EXHAUSTED,
	GRPC_FAILED_PRECONDITION,
	GRPC_ABORTED,
	GRPC_OUT_OF_RANGE,
	GRPC_UNIMPLEMENTED,
	GRPC_INTERNAL,
	GRPC_UNAVAILABLE,
	GRPC_DATA_LOSS,
	GRPC_UNAUTHENTICATED,
	GRPC_STATUSES_
};
/* "UNAVAILABLE"; "UNKNOWN" for numbers that have no name. Never NULL. */
const char *grpc_status_name(enum grpc_status s);

enum {
	GRPC_MESSAGE_MAX =
		4 << 20, /* longest message taken, by default: what gRPC takes */
	GRPC_QUEUE_MAX = 8 << 20, /* bytes that wait for a peer's window, one call */
	GRPC_BUFFERED_MAX = 16 << 20, /* bytes of unfinished requests, one connection */
	GRPC_CALLS_MAX = 100, /* open calls, one connection */
	GRPC_CONNS_MAX = 64, /* connections, one server */
	GRPC_TEXT_MAX = 512, /* longest status text that is sent or kept */
	GRPC_PATH_MAX = 256,
};

struct grpc_conn;
struct grpc_call;

/* A method of a server, "/package.Service/Method". @fn gets the whole request, borrowed, and answers
 * now or later with grpc_send() and grpc_end(). */
struct grpc_method {
	const char *path; /* NULL ends the table */
	void (*fn)(struct grpc_call *c, const uint8_t *msg, size_t len, void *user);
};

/* ---- calls ---- */
/* Queues a message. -ENOBUFS beyond GRPC_QUEUE_MAX, -ENOMEM, -EPIPE after grpc_end(). */
int grpc_send(struct grpc_call *c, const void *msg, size_t len);
/* Ends the call behind everything that is queued; without a message sent, as trailers only. @text
 * (may be NULL) is UTF-8 for people. Later calls do nothing. */
void grpc_end(struct grpc_call *c, enum grpc_status status, const char *text);
/* Bytes that wait for the peer. A slow reader shows here, and blocks nobody. */
size_t grpc_queued(const struct grpc_call *c);
/* @on_drained: everything queued has left (it may send again); @on_close: the call is over, the
 * pointer is dead after it. Both may be NULL. */
void grpc_watch(struct grpc_call *c, void (*on_drained)(struct grpc_call *c, void *user),
	void (*on_close)(struct grpc_call *c, void *user), void *user);

/* ---- the core: bytes in, bytes out ---- */
/* @methods and @user as for every call of this connection; @message_max 0: GRPC_MESSAGE_MAX. Our
 * SETTINGS are the first output. */
int grpc_conn_new_server(const struct grpc_method *methods, void *user,
	size_t message_max, struct grpc_conn **ret, struct err *e) _must_check_;
int grpc_conn_new_client(size_t message_max, struct grpc_conn **ret, struct err *e)
	_must_check_;
/* Ends every call (CANCELLED for a server's handlers, UNAVAILABLE for a client's). */
void grpc_conn_free(struct grpc_conn *c);
DEFINE_CLEANUP(struct grpc_conn, grpc_conn_free)

/* Bytes from the peer. -EPROTO: the connection is broken and must be freed; -ENOMEM. */
int grpc_conn_receive(struct grpc_conn *c, const void *data, size_t len, struct err *e)
	_must_check_;
/* The next bytes for the peer, borrowed until the next call; *ret_len 0: nothing now. -ENOMEM, -EPROTO. */
int grpc_conn_output(struct grpc_conn *c, const uint8_t **ret, size_t *ret_len,
	struct err *e) _must_check_;
/* Called when there is output because of grpc_send(), grpc_end() or a new client call. */
void grpc_conn_on_output(struct grpc_conn *c, void (*fn)(void *user), void *user);
/* Neither reads nor writes any more: close it. */
bool grpc_conn_is_over(const struct grpc_conn *c);
/* GOAWAY: open calls may finish, new ones are refused. */
void grpc_conn_shutdown(struct grpc_conn *c);
size_t grpc_conn_calls(const struct grpc_conn *c);

/* The end of a client's call. @msg is NULL when there was none; a call that ends with GRPC_OK but
 * without exactly one message is told as GRPC_INTERNAL. */
struct grpc_result {
	enum grpc_status status;
	const char *text; /* "" when none; borrowed */
	const uint8_t *msg; /* borrowed */
	size_t len;
};
typedef void (*grpc_done_fn)(const struct grpc_result *res, void *user);
/* @msg is copied. *ret (may be NULL) is for grpc_call_cancel(). */
int grpc_call_start(struct grpc_conn *c, const char *path, const void *msg, size_t len,
	grpc_done_fn done, void *user, struct grpc_call **ret, struct err *e)
	_must_check_;
/* RST_STREAM; done still comes, with GRPC_CANCELLED. */
void grpc_call_cancel(struct grpc_call *c);

/* ---- on the loop, over Unix sockets ---- */
struct grpc_server;

/* Listens on @path (mode 0600; a socket that is there is replaced) and serves from now on. @user goes to the handlers. */
int grpc_server_new(struct loop *l, const char *path, const struct grpc_method *methods,
	void *user, struct grpc_server **ret, struct err *e) _must_check_;
/* Closes everything, unlinks the socket if it is still ours. */
void grpc_server_free(struct grpc_server *s);
DEFINE_CLEANUP(struct grpc_server, grpc_server_free)
/* Is our socket still at its path? */
bool grpc_server_is_there(const struct grpc_server *s);
/* Listens again at its path, after the socket was deleted; open connections stay. */
int grpc_server_rebind(struct grpc_server *s, struct err *e) _must_check_;
/* No new connections, socket unlinked, GOAWAY to all; what is queued is still sent. */
void grpc_server_drain(struct grpc_server *s);
/* Open connections. */
size_t grpc_server_conns(const struct grpc_server *s);

struct grpc_request;

/* One unary call over a connection of its own. Fails at once (-ENOENT, -ECONNREFUSED, -EAGAIN: its
 * backlog is full) when nobody listens on @socket; otherwise @done comes once, from the loop, and
 * the request is gone after it. */
int grpc_request_start(struct loop *l, const char *socket, const char *path,
	const void *msg, size_t len, uint64_t timeout_us, grpc_done_fn done, void *user,
	struct grpc_request **ret, struct err *e) _must_check_;
/* No callback comes any more. NULL is fine. */
void grpc_request_cancel(struct grpc_request *r);
