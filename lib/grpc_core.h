// SPDX-License-Identifier: Apache-2.0
/* What the files of lib/grpc share: connections and calls from the inside. */
#pragma once

#include <nghttp2/nghttp2.h>

#include "buf.h"
#include "grpc.h"

enum { GRPC_PREFIX = 5 }; /* flag and length before each message */

struct grpc_call {
	struct grpc_conn *conn;
	struct grpc_call *prev, *next;
	int32_t stream;

	/* what came */
	struct buf in;
	bool is_remote_closed; /* END_STREAM seen */
	bool is_rejected; /* answered early: what still comes is dropped */
	bool has_method_post, has_content_type, is_content_type_ok;
	bool has_encoding; /* grpc-encoding other than identity */
	bool is_malformed; /* connection-specific header, or one we cannot keep */
	char path[GRPC_PATH_MAX];

	/* what goes */
	struct buf out;
	size_t out_off; /* bytes of @out that left */
	bool is_open; /* response headers submitted */
	bool is_ended; /* grpc_end() was called */
	enum grpc_status end_status;
	char end_text[GRPC_TEXT_MAX];

	/* client: the answer's head */
	unsigned http_status;
	bool has_status;
	bool is_cancelled;
	enum grpc_status status;
	char text[GRPC_TEXT_MAX];
	grpc_done_fn done;

	void (*on_drained)(struct grpc_call *c, void *user);
	void (*on_close)(struct grpc_call *c, void *user);
	void *user;
};

struct grpc_conn {
	nghttp2_session *session;
	bool is_server;
	bool is_closing; /* the peer said good-bye in its own way */
	bool in_receive;
	const struct grpc_method *methods;
	void *user;
	size_t message_max;
	size_t buffered; /* bytes in all calls' @in */
	struct grpc_call *calls;
	size_t n_calls;
	void (*on_output)(void *user);
	void *output_user;
};

/* A header of HTTP/2: @name_ a literal. */
#define NV(name_, value_, len_) \
	(nghttp2_nv) \
	{ \
		.name = (uint8_t *)(uintptr_t)(name_), \
		.value = (uint8_t *)(uintptr_t)(value_), .namelen = sizeof(name_) - 1, \
		.valuelen = (len_) \
	}

/* grpc.c */
struct grpc_call *grpc_call_new(struct grpc_conn *c, int32_t stream);
void grpc_call_finish(struct grpc_call *call); /* tells the owner, frees it */
void grpc_conn_wants_output(struct grpc_conn *c);

/* grpc_message.c: pure text and framing */
/* Splits the one message out of @in: 0 and *ret; or the status that says what is wrong, with its text. */
enum grpc_status grpc_message_only(const struct buf *in, size_t max, const uint8_t **ret,
	size_t *ret_len, const char **ret_text);
/* Does the start of @in promise more than @max bytes? */
bool grpc_message_is_too_long(const struct buf *in, size_t max);
void grpc_message_prefix(uint8_t out[GRPC_PREFIX], size_t len);
/* Percent-encodes as grpc-message wants it, cut to fit @size; returns the length. */
size_t grpc_text_encode(const char *text, char *out, size_t size);
void grpc_text_decode(const uint8_t *text, size_t len, char *out, size_t size);
enum grpc_status grpc_status_of_http(unsigned http_status);
