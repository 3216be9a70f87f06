// SPDX-License-Identifier: Apache-2.0
/* gRPC on Unix sockets and the loop: a server with many connections, and single unary requests. */
#include "grpc.h"

#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "buf.h"

enum {
	READ_MAX = 16 << 10,
	WRITE_MAX = 64 << 10, /* bytes gathered for one write */
	READS_PER_WAKE = 16, /* then others get their turn */
	BACKLOG = 64,
};
static const uint64_t accept_pause_us = 100 * USEC_PER_MSEC;

/* A connection and its socket: what server and client have in common. */
struct link {
	struct loop *loop;
	struct grpc_conn *conn;
	struct loop_source *source;
	int fd;
	uint32_t events;
	struct buf out;
};

static void link_events(struct link *k, uint32_t events)
{
	if (k->events == events)
		return;
	k->events = events;
	(void)loop_io_set(k->source, events);
}

static void link_on_output(void *user)
{
	struct link *k = user;

	if (k->source)
		link_events(k, EPOLLIN | EPOLLOUT);
}

static int link_open(struct link *k, struct loop *l, int fd, struct grpc_conn *conn,
	loop_io_fn fn, void *user)
{
	k->loop = l;
	k->conn = conn;
	k->fd = fd;
	k->events = EPOLLIN | EPOLLOUT;
	buf_init(&k->out, 2 * WRITE_MAX);
	grpc_conn_on_output(conn, link_on_output, k);
	return loop_io(l, fd, k->events, fn, user, &k->source);
}

static void link_close(struct link *k)
{
	struct grpc_conn *conn = TAKE(k->conn);
	struct loop_source *source = TAKE(k->source);

	loop_source_free(source);
	grpc_conn_free(conn);
	buf_done(&k->out);
	closep(&k->fd);
	k->fd = -1;
}

/* Gathers what the core wants to say. 1 when there may be more behind it. */
static int link_gather(struct link *k, struct err *e)
{
	const uint8_t *data;
	size_t n;
	int r;

	while (k->out.len < WRITE_MAX) {
		r = grpc_conn_output(k->conn, &data, &n, e);
		if (r < 0)
			return r;
		if (n == 0)
			return 0;
		r = buf_add(&k->out, data, n);
		if (r < 0)
			return r;
	}
	return 1;
}

/* Writes until there is nothing left or the socket is full. */
static int link_flush(struct link *k, struct err *e)
{
	for (;;) {
		int more = link_gather(k, e);
		ssize_t n;

		if (more < 0)
			return more;
		if (k->out.len == 0)
			break;
		n = send(k->fd, k->out.data, k->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			link_events(k, EPOLLIN | EPOLLOUT);
			return 0;
		}
		if (n < 0)
			return -errno;
		buf_consume(&k->out, (size_t)n);
	}
	link_events(k, EPOLLIN);
	return 0;
}

/* One wake-up: what came goes in, what follows goes out. Negative: close it. */
static int link_wake(struct link *k, uint32_t events, struct err *e)
{
	uint8_t data[READ_MAX];
	int r;

	for (int i = 0; i < READS_PER_WAKE && (events & (EPOLLIN | EPOLLHUP | EPOLLERR));
		i++) {
		ssize_t n = recv(k->fd, data, sizeof(data), MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ECONNRESET;
		r = grpc_conn_receive(k->conn, data, (size_t)n, e);
		if (r < 0)
			return r;
		if ((size_t)n < sizeof(data))
			break;
	}
	r = link_flush(k, e);
	if (r < 0)
		return r;
	if (grpc_conn_is_over(k->conn) && k->out.len == 0)
		return -ECONNRESET;
	return 0;
}

/* ---- server ---- */
struct peer {
	struct link link;
	struct grpc_server *server;
	struct peer *prev, *next;
};

struct grpc_server {
	struct loop *loop;
	const struct grpc_method *methods;
	void *user;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	dev_t dev;
	ino_t ino;
	int fd;
	struct loop_source *source, *pause;
	struct peer *peers; /* newest first */
	size_t n_peers;
};

static void peer_free(struct peer *p)
{
	struct grpc_server *s = p->server;

	if (p->prev)
		p->prev->next = p->next;
	else
		s->peers = p->next;
	if (p->next)
		p->next->prev = p->prev;
	s->n_peers--;
	link_close(&p->link);
	free(p);
}

static void on_peer(int fd, uint32_t events, void *user)
{
	struct peer *p = user;

	if (link_wake(&p->link, events, NULL) < 0)
		peer_free(p);
}

static int peer_new(struct grpc_server *s, int fd)
{
	CLEANUP(grpc_conn_freep) struct grpc_conn *conn = NULL;
	struct peer *p = NULL;
	int r;

	r = grpc_conn_new_server(s->methods, s->user, 0, &conn, NULL);
	if (r < 0)
		return r;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	r = link_open(&p->link, s->loop, fd, conn, on_peer, p);
	if (r < 0) {
		free(p);
		return r;
	}
	conn = NULL; /* the link's from here on */
	p->server = s;
	p->next = s->peers;
	if (s->peers)
		s->peers->prev = p;
	s->peers = p;
	s->n_peers++;
	if (link_flush(&p->link, NULL) < 0) /* our SETTINGS come first and at once */
		peer_free(p);
	return 0;
}

/* Makes room: the oldest connection without a call goes. */
static void drop_idle(struct grpc_server *s)
{
	struct peer *oldest = NULL;

	for (struct peer *p = s->peers; p; p = p->next)
		if (grpc_conn_calls(p->link.conn) == 0)
			oldest = p;
	if (oldest)
		peer_free(oldest);
}

static void on_accept(int fd, uint32_t events, void *user)
{
	struct grpc_server *s = user;

	for (int i = 0; i < BACKLOG; i++) {
		int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (client < 0 && (errno == EINTR || errno == ECONNABORTED))
			continue;
		if (client < 0) {
			if (errno != EAGAIN && errno != EWOULDBLOCK) {
				/* Out of descriptors: look again later instead of spinning. */
				(void)loop_io_set(s->source, 0);
				loop_timer_set(
					s->pause, loop_now(s->loop) + accept_pause_us);
			}
			return;
		}
		if (s->n_peers >= GRPC_CONNS_MAX)
			drop_idle(s);
		if (s->n_peers >= GRPC_CONNS_MAX || peer_new(s, client) < 0)
			(void)close(client);
	}
}

static void on_pause_over(void *user)
{
	struct grpc_server *s = user;

	if (s->source)
		(void)loop_io_set(s->source, EPOLLIN);
}

static int listen_at(struct grpc_server *s, const char *path, struct err *e)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct stat st;

	if (strlen(path) >= sizeof(a.sun_path))
		return err_set(e, -ENAMETOOLONG,
			"'%s': too long for a socket (%zu bytes at most)", path,
			sizeof(a.sun_path) - 1);
	memcpy(a.sun_path, path, strlen(path) + 1);
	memcpy(s->path, path, strlen(path) + 1);
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->fd < 0)
		return err_errno(e, -errno, "socket");
	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
		(void)unlink(path);
	/* Nobody can connect before listen(), so the mode is right in time. */
	if (bind(s->fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return err_errno(e, -errno, "'%s'", path);
	if (chmod(path, 0600) < 0 || lstat(path, &st) < 0 || listen(s->fd, BACKLOG) < 0)
		return err_errno(e, -errno, "'%s'", path);
	s->dev = st.st_dev;
	s->ino = st.st_ino;
	return 0;
}

/* Listens at @path and lets the loop tell of connections. */
static int start_listening(struct grpc_server *s, const char *path, struct err *e)
{
	int r = listen_at(s, path, e);

	if (r < 0)
		return r;
	r = loop_io(s->loop, s->fd, EPOLLIN, on_accept, s, &s->source);
	return r < 0 ? err_errno(e, r, "'%s'", path) : 0;
}

int grpc_server_new(struct loop *l, const char *path, const struct grpc_method *methods,
	void *user, struct grpc_server **ret, struct err *e)
{
	CLEANUP(grpc_server_freep) struct grpc_server *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return err_errno(e, -ENOMEM, "'%s'", path);
	s->loop = l;
	s->methods = methods;
	s->user = user;
	s->fd = -1;
	r = loop_timer(l, UINT64_MAX, on_pause_over, s, &s->pause);
	if (r < 0)
		return err_errno(e, r, "'%s'", path);
	r = start_listening(s, path, e);
	if (r < 0)
		return r;
	*ret = TAKE(s);
	return 0;
}

bool grpc_server_is_there(const struct grpc_server *s)
{
	struct stat st;

	return s->fd >= 0 && lstat(s->path, &st) == 0 && st.st_dev == s->dev &&
	       st.st_ino == s->ino;
}

static void stop_listening(struct grpc_server *s)
{
	if (grpc_server_is_there(s))
		(void)unlink(s->path);
	loop_source_free(TAKE(s->source));
	loop_timer_set(s->pause, UINT64_MAX);
	closep(&s->fd);
	s->fd = -1;
}

int grpc_server_rebind(struct grpc_server *s, struct err *e)
{
	char path[sizeof(s->path)];

	memcpy(path, s->path, sizeof(path));
	stop_listening(s);
	return start_listening(s, path, e);
}

void grpc_server_free(struct grpc_server *s)
{
	if (!s)
		return;
	if (s->pause)
		stop_listening(s);
	loop_source_free(s->pause);
	while (s->peers)
		peer_free(s->peers);
	free(s);
}

void grpc_server_drain(struct grpc_server *s)
{
	stop_listening(s);
	for (struct peer *p = s->peers; p; p = p->next)
		grpc_conn_shutdown(p->link.conn);
}

size_t grpc_server_conns(const struct grpc_server *s)
{
	return s->n_peers;
}

/* ---- one unary request ---- */
struct grpc_request {
	struct link link;
	struct loop_source *timer;
	grpc_done_fn done;
	void *user;
	bool is_told; /* the call itself has ended */
	bool is_cancelled;
};

static void request_free(struct grpc_request *r)
{
	loop_source_free(TAKE(r->timer));
	link_close(&r->link);
	free(r);
}

static void request_done(const struct grpc_result *res, void *user)
{
	struct grpc_request *r = user;

	r->is_told = true;
	if (!r->is_cancelled)
		r->done(res, r->user);
}

/* Ends a request whose call may not have ended; freeing the connection tells the owner. */
static void on_request(int fd, uint32_t events, void *user)
{
	struct grpc_request *r = user;
	int rc = link_wake(&r->link, events, NULL);

	if (rc < 0 || r->is_told)
		request_free(r);
}

static void on_timeout(void *user)
{
	struct grpc_request *r = user;
	const struct grpc_result res = {
		.status = GRPC_DEADLINE_EXCEEDED,
		.text = "no answer in time",
	};

	r->is_cancelled = true;
	r->done(&res, r->user);
	request_free(r);
}

static int connect_to(const char *path, int *ret_fd, struct err *e)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	CLEANUP(closep) int fd = -1;

	if (strlen(path) >= sizeof(a.sun_path))
		return err_set(e, -ENAMETOOLONG, "'%s': too long for a socket", path);
	memcpy(a.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_errno(e, -errno, "socket");
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return err_errno(e, -errno, "'%s'", path);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int grpc_request_start(struct loop *l, const char *socket, const char *path,
	const void *msg, size_t len, uint64_t timeout_us, grpc_done_fn done, void *user,
	struct grpc_request **ret, struct err *e)
{
	struct grpc_request *req;
	struct grpc_conn *conn = NULL;
	int fd = -1, r;

	r = connect_to(socket, &fd, e);
	if (r < 0)
		return r;
	req = calloc(1, sizeof(*req));
	if (!req) {
		closep(&fd);
		return err_errno(e, -ENOMEM, "'%s'", socket);
	}
	req->done = done;
	req->user = user;
	req->is_cancelled = true; /* no callback from inside this call */
	req->link.fd = fd;
	r = grpc_conn_new_client(0, &conn, e);
	if (r == 0) {
		r = link_open(&req->link, l, fd, conn, on_request, req);
		if (r == 0)
			r = loop_timer(l, loop_now(l) + timeout_us, on_timeout, req,
				&req->timer);
		if (r < 0)
			(void)err_errno(e, r, "'%s'", socket);
	}
	if (r == 0)
		r = grpc_call_start(conn, path, msg, len, request_done, req, NULL, e);
	if (r < 0) {
		request_free(req);
		return r;
	}
	req->is_cancelled = false;
	if (ret)
		*ret = req;
	return 0;
}

void grpc_request_cancel(struct grpc_request *r)
{
	if (!r)
		return;
	r->is_cancelled = true;
	request_free(r);
}
