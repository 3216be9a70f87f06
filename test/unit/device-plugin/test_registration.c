// SPDX-License-Identifier: Apache-2.0
/* Registration against a kubelet that agrees, refuses, forgets; under a made-up clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "device-plugin/registration.h"
#include "grpc.h"

static char dir[64], path[80];
static uint64_t now_us;
static int n_calls, n_agreed, n_failed;
static bool is_refusing;
static char last_error[ERR_TEXT_MAX];

static uint64_t read_clock(void *user)
{
	return now_us;
}

static void on_register(struct grpc_call *c, const uint8_t *msg, size_t len, void *user)
{
	n_calls++;
	assert_non_null(memmem(msg, len, "v1beta1", 7));
	assert_non_null(memmem(msg, len, "farrier.dev/edu", 15));
	assert_non_null(memmem(msg, len, "farrier-edu.sock", 16));
	if (is_refusing) {
		grpc_end(c, GRPC_UNKNOWN, "not today");
		return;
	}
	assert_int_equal(grpc_send(c, "", 0), 0);
	grpc_end(c, GRPC_OK, NULL);
}

static const struct grpc_method methods[] = {
	{ "/v1beta1.Registration/Register", on_register },
	{ NULL, NULL },
};

static void on_attempt(const struct err *e, void *user)
{
	if (!e) {
		n_agreed++;
		return;
	}
	n_failed++;
	(void)snprintf(last_error, sizeof(last_error), "%s", e->text);
}

static int setup(void **state)
{
	(void)snprintf(dir, sizeof(dir), "/tmp/farrier-reg-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/kubelet.sock", dir);
	now_us = 1000 * USEC_PER_SEC;
	n_calls = n_agreed = n_failed = 0;
	is_refusing = false;
	return 0;
}

static int teardown(void **state)
{
	(void)unlink(path);
	return rmdir(dir);
}

struct world {
	struct loop *l;
	struct grpc_server *kubelet;
	struct registration *r;
};

static void world_new(struct world *w, bool has_kubelet)
{
	const struct loop_clock clock = { .now_us = read_clock };
	const struct registration_options o = { path, "farrier.dev/edu",
		"farrier-edu.sock", on_attempt, NULL };

	*w = (struct world){ 0 };
	assert_int_equal(loop_new(&w->l, &clock, NULL), 0);
	loop_seed(w->l, 1);
	if (has_kubelet)
		assert_int_equal(
			grpc_server_new(w->l, path, methods, NULL, &w->kubelet, NULL), 0);
	assert_int_equal(registration_new(w->l, &o, &w->r, NULL), 0);
}

static void world_done(struct world *w)
{
	registration_free(w->r);
	grpc_server_free(w->kubelet);
	loop_free(w->l);
}

/* Lets @us pass in steps that are short beside every pause. */
static void pass(struct world *w, uint64_t us)
{
	for (uint64_t end = now_us + us; now_us < end; now_us += 2000)
		for (int i = 0; i < 3; i++)
			assert_true(loop_step(w->l, 0) >= 0);
}

static void agrees(void **state)
{
	struct world w;

	world_new(&w, true);
	pass(&w, 100000);
	assert_int_equal(n_calls, 1);
	assert_int_equal(n_agreed, 1);
	assert_int_equal(registration_state(w.r), REGISTRATION_EXPECTING);
	registration_streams(w.r, 1);
	assert_int_equal(registration_state(w.r), REGISTRATION_DONE);
	pass(&w, 60 * USEC_PER_SEC);
	assert_int_equal(n_calls, 1);
	/* The stream closes: again, at once (16). */
	registration_streams(w.r, 0);
	pass(&w, 200000);
	assert_int_equal(n_calls, 2);
	world_done(&w);
}

/* 17 */
static void no_stream_comes(void **state)
{
	struct world w;

	world_new(&w, true);
	pass(&w, 100000);
	assert_int_equal(n_calls, 1);
	pass(&w, 5 * USEC_PER_SEC + 200000);
	assert_int_equal(n_calls, 2);
	assert_non_null(strstr(last_error, "asked for no list"));
	world_done(&w);
}

/* 12, 13: a minute of refusals is a handful of calls. */
static void refused_backs_off(void **state)
{
	struct world w;

	is_refusing = true;
	world_new(&w, true);
	pass(&w, 60 * USEC_PER_SEC);
	assert_true(n_calls >= 5 && n_calls <= 15);
	assert_int_equal(n_failed, n_calls);
	assert_string_equal(last_error, "register 'farrier.dev/edu': UNKNOWN: not today");
	is_refusing = false;
	registration_renew(w.r); /* a new kubelet.sock: no pause any more */
	pass(&w, 20000);
	assert_int_equal(n_agreed, 1);
	world_done(&w);
}

/* 19: nobody there is no failure, and costs little. */
static void no_kubelet(void **state)
{
	struct world w;

	world_new(&w, false);
	pass(&w, 10 * USEC_PER_SEC);
	assert_int_equal(n_failed, 0);
	assert_int_equal(grpc_server_new(w.l, path, methods, NULL, &w.kubelet, NULL), 0);
	registration_renew(w.r);
	pass(&w, 20000);
	assert_int_equal(n_agreed, 1);
	world_done(&w);
}

/* A socket of the last boot refuses; the one that replaces it is found within milliseconds. */
static void stale_socket(void **state)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct world w;

	memcpy(a.sun_path, path, strlen(path) + 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(close(fd), 0);
	world_new(&w, false);
	pass(&w, 30 * USEC_PER_SEC);
	assert_int_equal(n_failed, 0);
	assert_int_equal(grpc_server_new(w.l, path, methods, NULL, &w.kubelet, NULL), 0);
	pass(&w, 30000); /* nobody told us */
	assert_int_equal(n_agreed, 1);
	world_done(&w);
}

/* Asked for while a call is under way: once more behind it. */
static void renewed_meanwhile(void **state)
{
	struct world w;

	world_new(&w, true);
	while (registration_state(w.r) != REGISTRATION_CALLING)
		assert_true(loop_step(w.l, 0) >= 0);
	registration_renew(w.r);
	pass(&w, 100000);
	assert_int_equal(n_calls, 2);
	world_done(&w);
}

/* A kubelet that accepts and says nothing. */
static void silent_kubelet(void **state)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct world w;

	memcpy(a.sun_path, path, strlen(path) + 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 10), 0);
	world_new(&w, false);
	pass(&w, 14 * USEC_PER_SEC);
	assert_int_equal(n_failed, 0);
	pass(&w, 2 * USEC_PER_SEC);
	assert_int_equal(n_failed, 1);
	assert_non_null(strstr(last_error, "DEADLINE_EXCEEDED"));
	world_done(&w);
	assert_int_equal(close(fd), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(agrees),
		T(no_stream_comes),
		T(refused_backs_off),
		T(no_kubelet),
		T(stale_socket),
		T(renewed_meanwhile),
		T(silent_kubelet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
