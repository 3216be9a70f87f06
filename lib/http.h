// SPDX-License-Identifier: Apache-2.0
/* HTTP(S) requests on the loop, over curl's multi interface; the only user of libcurl. TLS is always
 * verified. A request calls back on_data as bytes arrive (streams) or collects a capped body. */
#pragma once

#include "buf.h"
#include "loop.h"

struct http; /* connection pool, one per process */
struct http_req; /* a running request */
struct http_response;

enum { HTTP_BODY_MAX = 8 << 20 };

struct http_tls {
	const char *ca_file; /* NULL: the system's */
	const char *cert_file, *key_file; /* client certificate, both or none */
	/* The same as PEM bytes, which win over the files; NULL: not given. */
	const char *ca_data, *cert_data, *key_data;
};

struct http_options {
	const char *method, *url;
	const char *const *headers; /* "Name: value", NULL-terminated; may be NULL */
	const char *body;
	size_t body_len;
	const struct http_tls *tls;
	const char *user_agent;
	const char *unix_socket; /* talk over this socket instead of TCP */
	uint64_t timeout_us; /* 0: none (streams); connect has its own 10 s */
	size_t body_max; /* 0: HTTP_BODY_MAX */
	/* When set, the body of a 2xx answer goes here instead of being collected; non-zero ends the request with it. */
	int (*on_data)(const char *data, size_t len, void *user);
	/* The headers of a 2xx answer have come. May be NULL. */
	void (*on_open)(void *user);
	/* The same, with its status and headers, before any body; non-zero ends the request with it.
	 * May be NULL. */
	int (*on_head)(const struct http_response *head, void *user);
	/* The request is gone: the very last call, after @done as after a cancel. May be NULL. */
	void (*on_gone)(void *user);
};

struct http_response {
	int result; /* 0, or negative errno: -ETIMEDOUT, -ECONNREFUSED, -EHOSTUNREACH, -EPROTO, -EFBIG, … */
	long status; /* HTTP status, 0 when there was none */
	const char *body; /* "" for streams; borrowed */
	size_t body_len;
	uint64_t retry_after_us; /* from Retry-After, else 0 */
	const char *error; /* text for people, "" when none */
	const char *content_type, *location, *www_authenticate, *docker_content_digest,
		*content_range, *etag; /* "" when absent */
};
typedef void (*http_done_fn)(const struct http_response *res, void *user);

int http_new(struct loop *l, struct http **ret, struct err *e) _must_check_;
/* Cancels what runs, without callbacks but on_gone. Fine from a callback. */
void http_free(struct http *h);
DEFINE_CLEANUP(struct http, http_free)

/* Copies what @o points to, but for @body, which must live until done. @done comes once, from the
 * loop, never from inside this call. */
int http_start(struct http *h, const struct http_options *o, http_done_fn done,
	void *user, struct http_req **ret, struct err *e) _must_check_;
/* No callback comes any more, but on_gone. Fine from any callback; NULL is fine; not after @done. */
void http_cancel(struct http_req *r);
