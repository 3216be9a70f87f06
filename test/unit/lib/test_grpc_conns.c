// SPDX-License-Identifier: Apache-2.0
/* gRPC: our client against our server byte by byte, and the glue over real sockets. */
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
#include "grpc_methods.h"

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
