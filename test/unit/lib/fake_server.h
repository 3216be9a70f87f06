// SPDX-License-Identifier: Apache-2.0
/* An HTTP/1.1 server on loopback for tests of clients. It runs on the loop of the test itself, so
 * that everything happens in one thread in a known order. A header, because each test is one file. */
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "buf.h"
#include "loop.h"

/* ---- a clock that stands still but for pump() and whoever adds to it ---- */

static uint64_t skew_us = 1000 * USEC_PER_SEC;

static _unused_ uint64_t skewed_now(void *user)
{
	return skew_us;
}

static _unused_ struct loop *skewed_loop(void)
{
	struct loop_clock clock = { .now_us = skewed_now };
	struct loop *l = NULL;

	assert_int_equal(loop_new(&l, &clock, NULL), 0);
	return l;
}

/* Turns the loop until *@is_done, or without it until nothing has happened for @ms: everything here
 * is one thread on loopback, so what has not come by then does not come, however slow the machine
 * is. The clock moves by those milliseconds and no more. Returns *@is_done. */
static _unused_ bool pump(struct loop *l, const bool *is_done, unsigned ms)
{
	const uint64_t step_us = 200;
	struct timespec nap = { .tv_nsec = (long)(step_us * 1000) };
	unsigned naps = 0;

	while (!(is_done && *is_done) && naps < ms * USEC_PER_MSEC / step_us) {
		if (loop_step(l, 0) > 0)
			continue;
		naps++;
		skew_us += step_us;
		(void)nanosleep(&nap, NULL);
	}
	return is_done && *is_done;
}

/* ---- the server ---- */

struct fake_server;

struct fake_conn {
	struct fake_conn *next;
	struct fake_server *server;
	int fd; /* -1: closed, by whichever side */
	struct loop_source *io;
	struct buf in, out;
	size_t need; /* bytes of the request that is being read, 0: not known yet */
};

struct fake_request {
	char method[16];
	char path[4096]; /* with query */
	char headers[8192];
	const char *body; /* zero-terminated */
	size_t body_len;
};

typedef void (*fake_handler)(
	struct fake_conn *c, const struct fake_request *q, void *user);

struct fake_server {
	struct loop *loop;
	int fd;
	uint16_t port;
	struct loop_source *io;
	struct fake_conn *conns; /* all there ever were */
	unsigned accepted, requests;
	fake_handler fn;
	void *user;
};

static _unused_ void fake_close(struct fake_conn *c)
{
	if (c->fd < 0)
		return;
	loop_source_free(c->io);
	(void)close(c->fd);
	c->fd = -1;
}

static _unused_ void fake_flush(struct fake_conn *c)
{
	while (c->fd >= 0 && c->out.len) {
		ssize_t n = send(c->fd, c->out.data, c->out.len, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN) {
			assert_int_equal(loop_io_set(c->io, EPOLLIN | EPOLLOUT), 0);
			return;
		}
		if (n < 0) {
			fake_close(c);
			return;
		}
		buf_consume(&c->out, (size_t)n);
	}
	if (c->fd >= 0)
		(void)loop_io_set(c->io, EPOLLIN);
}

static _unused_ void fake_raw(struct fake_conn *c, const char *bytes)
{
	assert_int_equal(buf_str(&c->out, bytes), 0);
	fake_flush(c);
}

/* @status "200 OK"; @headers lines with their ends, or "". */
static _unused_ void fake_reply(
	struct fake_conn *c, const char *status, const char *headers, const char *body)
{
	assert_int_equal(
		buf_fmt(&c->out,
			"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n%s\r\n%s",
			status, strlen(body), headers, body),
		0);
	fake_flush(c);
}

/* The same with a body that may hold anything. */
static _unused_ void fake_reply_bytes(struct fake_conn *c, const char *status,
	const char *headers, const void *body, size_t len)
{
	assert_int_equal(buf_fmt(&c->out, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n%s\r\n",
				 status, len, headers),
		0);
	assert_int_equal(buf_add(&c->out, body, len), 0);
	fake_flush(c);
}

static _unused_ void fake_stream(struct fake_conn *c)
{
	fake_raw(c,
		"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
}

static _unused_ void fake_chunk(struct fake_conn *c, const char *text)
{
	assert_int_equal(buf_fmt(&c->out, "%zx\r\n%s\r\n", strlen(text), text), 0);
	fake_flush(c);
}

static _unused_ void fake_stream_end(struct fake_conn *c)
{
	fake_raw(c, "0\r\n\r\n");
}

static void fake_parse(struct fake_conn *c, char *end)
{
	struct fake_request q = { 0 };
	const char *length;
	size_t head = (size_t)(end - c->in.data) + 4;

	*end = '\0';
	length = strcasestr(c->in.data, "\r\ncontent-length:");
	c->need = head + (length ? strtoull(length + 17, NULL, 10) : 0);
	if (c->in.len < c->need) {
		*end = '\r';
		return;
	}
	(void)sscanf(c->in.data, "%15s %4095s", q.method, q.path);
	(void)snprintf(q.headers, sizeof(q.headers), "%s", c->in.data);
	{
		char *body = calloc(1, c->need - head + 1);

		assert_non_null(body);
		q.body_len = c->need - head;
		memcpy(body, c->in.data + head, q.body_len);
		buf_consume(&c->in, c->need);
		c->need = 0;
		q.body = body;
		c->server->requests++;
		c->server->fn(c, &q, c->server->user);
		free(body);
	}
}

static void fake_on_conn(int fd, uint32_t events, void *user)
{
	struct fake_conn *c = user;
	char bytes[4096];
	ssize_t n;

	if (events & EPOLLOUT)
		fake_flush(c);
	while (c->fd >= 0) {
		char *end;

		n = recv(c->fd, bytes, sizeof(bytes), 0);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			fake_close(c);
			return;
		}
		assert_int_equal(buf_add(&c->in, bytes, (size_t)n), 0);
		if (c->in.data[0] == 0x16) { /* somebody talks TLS */
			fake_raw(c, "HTTP/1.1 400 Bad Request\r\n\r\n");
			fake_close(c);
			return;
		}
		while (c->fd >= 0 && c->in.len >= c->need && c->in.len &&
			(end = memmem(c->in.data, c->in.len, "\r\n\r\n", 4))) {
			size_t before = c->in.len;

			fake_parse(c, end);
			if (c->in.len == before)
				break;
		}
	}
}

static void fake_on_accept(int fd, uint32_t events, void *user)
{
	struct fake_server *s = user;
	struct fake_conn *c;
	int conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (conn < 0)
		return;
	c = calloc(1, sizeof(*c));
	assert_non_null(c);
	s->accepted++;
	c->server = s;
	c->fd = conn;
	buf_init(&c->in, 16 << 20);
	buf_init(&c->out, 64 << 20);
	c->next = s->conns;
	s->conns = c;
	assert_int_equal(loop_io(s->loop, conn, EPOLLIN, fake_on_conn, c, &c->io), 0);
}

static _unused_ void fake_listen(struct fake_server *s)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
		.sin_port = htons(s->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sa);
	int one = 1;

	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(s->fd >= 0);
	(void)setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(s->fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(s->fd, 64), 0);
	assert_int_equal(getsockname(s->fd, (struct sockaddr *)&sa, &len), 0);
	s->port = ntohs(sa.sin_port);
	assert_int_equal(loop_io(s->loop, s->fd, EPOLLIN, fake_on_accept, s, &s->io), 0);
}

/* The server goes away as if killed: no listener, every connection reset or closed. */
static _unused_ void fake_kill(struct fake_server *s)
{
	if (s->fd >= 0) {
		loop_source_free(s->io);
		(void)close(s->fd);
		s->fd = -1;
	}
	for (struct fake_conn *c = s->conns; c; c = c->next)
		fake_close(c);
}

static _unused_ void fake_start(
	struct fake_server *s, struct loop *l, fake_handler fn, void *user)
{
	*s = (struct fake_server){ .loop = l, .fd = -1, .fn = fn, .user = user };
	fake_listen(s);
}

static _unused_ void fake_stop(struct fake_server *s)
{
	fake_kill(s);
	while (s->conns) {
		struct fake_conn *c = s->conns;

		s->conns = c->next;
		buf_done(&c->in);
		buf_done(&c->out);
		free(c);
	}
}

static _unused_ unsigned fake_open(const struct fake_server *s)
{
	unsigned n = 0;

	for (const struct fake_conn *c = s->conns; c; c = c->next)
		n += c->fd >= 0;
	return n;
}
