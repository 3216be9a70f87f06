// SPDX-License-Identifier: Apache-2.0
/* The HTTP/1.1 server behind /metrics, /healthz and /readyz: one request a connection, small and bounded. */
#include "metrics.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

enum {
	REQUEST_MAX = 8 << 10,
	ANSWER_MAX = 8 << 20,
	CONNECTIONS_MAX = 16,
	BACKLOG = 16,
	HOST_MAX = 256
};
static const uint64_t CONNECTION_US = 10 * USEC_PER_SEC;

struct conn {
	struct metrics_server *server;
	int fd;
	struct loop_source *io, *timer;
	uint64_t seq; /* the lowest is the oldest */
	struct buf in, out;
	size_t sent;
	bool is_answering;
};

struct metrics_server {
	struct loop *loop;
	struct metrics *metrics;
	bool (*is_healthy)(void *);
	bool (*is_ready)(void *);
	void *user;
	int fd;
	struct loop_source *io;
	struct conn *conns[CONNECTIONS_MAX];
	uint64_t seq;
	uint16_t port;
	char *unix_path;
};

static void conn_free(struct conn *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		if (c->server->conns[i] == c)
			c->server->conns[i] = NULL;
	loop_source_free(c->io);
	loop_source_free(c->timer);
	closep(&c->fd);
	buf_done(&c->in);
	buf_done(&c->out);
	free(c);
}
DEFINE_CLEANUP(struct conn, conn_free)

static void answer(struct conn *c, const char *status, const char *type, const char *more,
	const struct buf *body, bool is_head)
{
	(void)buf_fmt(&c->out,
		"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%sConnection: close\r\n\r\n",
		status, type, body->len, more);
	if (!is_head)
		(void)buf_add(&c->out, buf_cstr(body), body->len);
	c->is_answering = true;
}

static void answer_text(struct conn *c, const char *status, const char *more,
	const char *text, bool is_head)
{
	struct buf body;

	buf_init(&body, 256);
	(void)buf_fmt(&body, "%s\n", text);
	answer(c, status, "text/plain; charset=utf-8", more, &body, is_head);
	buf_done(&body);
}

static void answer_metrics(struct conn *c, bool is_head)
{
	struct buf body;

	buf_init(&body, ANSWER_MAX - 1024);
	if (metrics_print(c->server->metrics, &body) < 0)
		answer_text(
			c, "500 Internal Server Error", "", "too many metrics", is_head);
	else
		answer(c, "200 OK", "text/plain; version=0.0.4; charset=utf-8", "", &body,
			is_head);
	buf_done(&body);
}

static void answer_check(struct conn *c, bool (*check)(void *), bool is_head)
{
	if (!check || check(c->server->user))
		answer_text(c, "200 OK", "", "ok", is_head);
	else
		answer_text(c, "503 Service Unavailable", "", "not ok", is_head);
}

/* @line is the request line, "GET /metrics HTTP/1.1". */
static void route(struct conn *c, char *line)
{
	char *path = strchr(line, ' ');
	char *version = path ? strchr(path + 1, ' ') : NULL;
	bool is_head;

	if (!version || !str_starts(version, " HTTP/1.")) {
		answer_text(c, "400 Bad Request", "", "bad request", false);
		return;
	}
	*path++ = '\0';
	*version = '\0';
	path[strcspn(path, "?")] = '\0';
	is_head = streq(line, "HEAD");

	if (!is_head && !streq(line, "GET"))
		answer_text(c, "405 Method Not Allowed", "Allow: GET, HEAD\r\n",
			"only GET and HEAD", false);
	else if (streq(path, "/metrics"))
		answer_metrics(c, is_head);
	else if (streq(path, "/healthz"))
		answer_check(c, c->server->is_healthy, is_head);
	else if (streq(path, "/readyz"))
		answer_check(c, c->server->is_ready, is_head);
	else
		answer_text(c, "404 Not Found", "", "not found", is_head);
}

/* Answers when the request is complete or can never be. */
static void look(struct conn *c)
{
	char *end = c->in.len ? memmem(c->in.data, c->in.len, "\r\n\r\n", 4) : NULL;

	if (end) {
		*(char *)memmem(c->in.data, c->in.len, "\r\n", 2) = '\0';
		route(c, c->in.data);
	} else if (c->in.len >= REQUEST_MAX) {
		answer_text(c, "431 Request Header Fields Too Large", "",
			"request too large", false);
	}
}

/* False when the connection is over. */
static bool conn_read(struct conn *c)
{
	char bytes[2048];
	ssize_t n;

	while (!c->is_answering) {
		n = recv(c->fd, bytes, MIN(sizeof(bytes), REQUEST_MAX - c->in.len), 0);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		if (n == 0 || buf_add(&c->in, bytes, (size_t)n) < 0)
			return false;
		look(c);
	}
	return true;
}

static bool conn_write(struct conn *c)
{
	while (c->sent < c->out.len) {
		ssize_t n = send(
			c->fd, c->out.data + c->sent, c->out.len - c->sent, MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		c->sent += (size_t)n;
	}
	(void)shutdown(c->fd, SHUT_WR);
	return false;
}

static void on_conn(int fd, uint32_t events, void *user)
{
	struct conn *c = user;
	bool is_open = true;

	if (!c->is_answering)
		is_open = conn_read(c);
	if (is_open && c->is_answering)
		is_open = buf_ok(&c->out) == 0 && conn_write(c);
	if (is_open && c->is_answering)
		is_open = loop_io_set(c->io, EPOLLOUT) == 0;
	if (!is_open)
		conn_free(c);
}

static void on_conn_late(void *user)
{
	conn_free(user);
}

/* A free place; the oldest connection gives up its own when there is none. */
static struct conn **place_for(struct metrics_server *s)
{
	size_t oldest = 0;

	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		if (!s->conns[i])
			return &s->conns[i];
		if (s->conns[i]->seq < s->conns[oldest]->seq)
			oldest = i;
	}
	conn_free(s->conns[oldest]);
	return &s->conns[oldest];
}

static void on_accept(int fd, uint32_t events, void *user)
{
	struct metrics_server *s = user;
	CLEANUP(conn_freep) struct conn *c = NULL;
	CLEANUP(closep)
	int conn_fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (conn_fd < 0)
		return;
	c = calloc(1, sizeof(*c));
	if (!c)
		return;
	c->server = s;
	c->fd = TAKE_FD(conn_fd);
	c->seq = s->seq++;
	buf_init(&c->in, REQUEST_MAX);
	buf_init(&c->out, ANSWER_MAX);
	if (loop_io(s->loop, c->fd, EPOLLIN, on_conn, c, &c->io) < 0 ||
		loop_timer(s->loop, loop_now(s->loop) + CONNECTION_US, on_conn_late, c,
			&c->timer) < 0)
		return;
	*place_for(s) = c;
	c = NULL;
}

static int listen_unix(struct metrics_server *s, const char *path, struct err *e)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof(sa.sun_path))
		return err_set(e, -ENAMETOOLONG, "'%s': too long for a socket", path);
	memcpy(sa.sun_path, path, strlen(path) + 1);
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->fd < 0)
		return err_errno(e, -errno, "socket");
	(void)unlink(path);
	if (bind(s->fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return err_errno(e, -errno, "bind '%s'", path);
	s->unix_path = strdup(path);
	return s->unix_path ? 0 : err_set(e, -ENOMEM, "out of memory");
}

static int bind_tcp(struct metrics_server *s, const struct addrinfo *ai)
{
	CLEANUP(closep) int fd = -1;
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	int one = 1, zero = 0;

	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (ai->ai_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 ||
		getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
		return -errno;
	s->port = ntohs(sa.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&sa)->sin6_port
						 : ((struct sockaddr_in *)&sa)->sin_port);
	s->fd = TAKE_FD(fd);
	return 0;
}

/* getaddrinfo() takes 70000 for 4464. */
static bool is_port(const char *s)
{
	unsigned long v = 0;
	size_t n = strspn(s, "0123456789");

	for (size_t i = 0; i < n && i < 6; i++)
		v = v * 10 + (unsigned long)(s[i] - '0');
	return n > 0 && n < 6 && !s[n] && v <= UINT16_MAX;
}

/* "host:port", "[v6]:port" or ":port"; names are not looked up, but for "localhost". */
static int listen_tcp(struct metrics_server *s, const char *address, struct err *e)
{
	static const char *const any[] = { "::", "0.0.0.0", NULL };
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV };
	const char *colon = strrchr(address, ':');
	size_t n = colon ? (size_t)(colon - address) : 0;
	char host[HOST_MAX];
	const char *one[] = { host, NULL };
	int r = -EINVAL;

	if (!colon || !is_port(colon + 1) || n >= sizeof(host))
		return err_set(
			e, -EINVAL, "'%s': neither host:port nor unix:/path", address);
	if (n >= 2 && address[0] == '[' && address[n - 1] == ']')
		(void)snprintf(host, sizeof(host), "%.*s", (int)n - 2, address + 1);
	else
		(void)snprintf(host, sizeof(host), "%.*s", (int)n, address);
	if (streq(host, "localhost"))
		(void)snprintf(host, sizeof(host), "127.0.0.1");

	for (const char *const *h = *host ? one : any; *h; h++) {
		struct addrinfo *ai = NULL;

		if (getaddrinfo(*h, colon + 1, &hints, &ai) != 0)
			return err_set(
				e, -EINVAL, "'%s': not an address and a port", address);
		r = bind_tcp(s, ai);
		freeaddrinfo(ai);
		if (r == 0)
			return 0;
	}
	return err_errno(e, r, "listen at '%s'", address);
}

int metrics_listen(struct loop *l, struct metrics *m, const char *address,
	bool (*is_healthy)(void *), bool (*is_ready)(void *), void *user,
	struct metrics_server **ret, struct err *e)
{
	CLEANUP(metrics_server_freep)
	struct metrics_server *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return err_set(e, -ENOMEM, "out of memory");
	s->fd = -1;
	s->loop = l;
	s->metrics = m;
	s->is_healthy = is_healthy;
	s->is_ready = is_ready;
	s->user = user;
	if (str_starts(address, "unix:"))
		r = listen_unix(s, address + strlen("unix:"), e);
	else
		r = listen_tcp(s, address, e);
	if (r < 0)
		return r;
	if (listen(s->fd, BACKLOG) < 0)
		return err_errno(e, -errno, "listen at '%s'", address);
	r = loop_io(l, s->fd, EPOLLIN, on_accept, s, &s->io);
	if (r < 0)
		return err_errno(e, r, "listen at '%s'", address);
	*ret = TAKE(s);
	return 0;
}

void metrics_server_free(struct metrics_server *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		conn_free(s->conns[i]);
	loop_source_free(s->io);
	closep(&s->fd);
	if (s->unix_path)
		(void)unlink(s->unix_path);
	free(s->unix_path);
	free(s);
}

uint16_t metrics_server_port(const struct metrics_server *s)
{
	return s->port;
}
