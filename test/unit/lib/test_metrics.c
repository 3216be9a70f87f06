// SPDX-License-Identifier: Apache-2.0
/* Metrics as text, and the little server with well and badly behaved clients. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <math.h>
#include <sys/stat.h>

#include "fake_server.h"
#include "metrics.h"

static void expect_print(const struct metrics *m, const char *text)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	assert_int_equal(metrics_print(m, &b), 0);
	assert_string_equal(buf_cstr(&b), text);
	buf_done(&b);
}

static void series_are_printed(void **state)
{
	struct metrics *m = NULL;

	assert_int_equal(metrics_new(&m), 0);
	expect_print(m, "");
	assert_int_equal(
		metrics_add(m, METRIC_COUNTER, "a_total", NULL, "How \\ many\nof a", 1),
		0);
	assert_int_equal(
		metrics_add(m, METRIC_COUNTER, "a_total", NULL, "other help", 2), 0);
	assert_int_equal(metrics_set(m, METRIC_GAUGE, "b", "x=\"1\"", "b", 0.1), 0);
	assert_int_equal(metrics_set(m, METRIC_GAUGE, "b", "x=\"2\"", "b", 1e15), 0);
	assert_int_equal(metrics_set(m, METRIC_GAUGE, "b", "x=\"1\"", "b", -2.5), 0);
	assert_int_equal(metrics_set(m, METRIC_GAUGE, "c", NULL, NULL, INFINITY), 0);
	expect_print(m,
		"# HELP a_total How \\\\ many\\nof a\n# TYPE a_total counter\na_total 3\n"
		"# HELP b b\n# TYPE b gauge\nb{x=\"1\"} -2.5\nb{x=\"2\"} 1e+15\n"
		"# HELP c \n# TYPE c gauge\nc +Inf\n");
	metrics_clear(m, "b");
	metrics_clear(m, "nothing");
	assert_int_equal(metrics_set(m, METRIC_GAUGE, "c", NULL, NULL, NAN), 0);
	expect_print(m,
		"# HELP a_total How \\\\ many\\nof a\n# TYPE a_total counter\na_total 3\n"
		"# HELP c \n# TYPE c gauge\nc NaN\n");
	metrics_free(m);
}

static void wrong_series_are_refused(void **state)
{
	struct metrics *m = NULL;

	assert_int_equal(metrics_new(&m), 0);
	assert_int_equal(metrics_set(m, METRIC_GAUGE, "", NULL, "", 1), -EINVAL);
	assert_int_equal(metrics_set(m, METRIC_GAUGE, "1a", NULL, "", 1), -EINVAL);
	assert_int_equal(metrics_set(m, METRIC_GAUGE, "a b", NULL, "", 1), -EINVAL);
	assert_int_equal(
		metrics_set(m, METRIC_GAUGE, "a", "x=\"1\"}\nb 1", "", 1), -EINVAL);
	assert_int_equal(
		metrics_add(m, METRIC_COUNTER, "a_total", NULL, "", -1), -EINVAL);
	assert_int_equal(
		metrics_add(m, METRIC_COUNTER, "a_total", NULL, "", NAN), -EINVAL);
	expect_print(m, "");
	assert_int_equal(metrics_set(m, METRIC_GAUGE, "a", NULL, "", 1), 0);
	assert_int_equal(metrics_add(m, METRIC_COUNTER, "a", NULL, "", 1), -EINVAL);
	metrics_free(m);
	metrics_free(NULL);
}

static void series_are_capped(void **state)
{
	struct metrics *m = NULL;
	char labels[32];

	assert_int_equal(metrics_new(&m), 0);
	for (int i = 0; i < 10000; i++) {
		(void)snprintf(labels, sizeof(labels), "i=\"%d\"", i);
		assert_int_equal(
			metrics_set(m, METRIC_GAUGE, i % 2 ? "a" : "b", labels, "", i),
			0);
	}
	assert_int_equal(metrics_set(m, METRIC_GAUGE, "a", "i=\"x\"", "", 1), -E2BIG);
	assert_int_equal(metrics_set(m, METRIC_GAUGE, "a", "i=\"1\"", "", 1), 0);
	metrics_clear(m, "b");
	assert_int_equal(metrics_set(m, METRIC_GAUGE, "a", "i=\"x\"", "", 1), 0);
	metrics_free(m);
}

static void labels_are_escaped(void **state)
{
	struct buf b;

	buf_init(&b, 100);
	assert_int_equal(metrics_label(&b, "driver", "a\"b\\c\nd"), 0);
	assert_int_equal(metrics_label(&b, "kernel", "6.1"), 0);
	assert_string_equal(buf_cstr(&b), "driver=\"a\\\"b\\\\c\\nd\",kernel=\"6.1\"");
	assert_int_equal(metrics_label(&b, "a-b", "x"), -EINVAL);
	assert_int_equal(metrics_label(&b, "", "x"), -EINVAL);
	buf_done(&b);
}

/* ---- the server ---- */

struct fixture {
	struct loop *loop;
	struct metrics *metrics;
	struct metrics_server *server;
	bool is_ready;
};

static bool is_ready(void *user)
{
	return ((struct fixture *)user)->is_ready;
}

static int setup(void **state)
{
	static struct fixture f;

	f = (struct fixture){ .loop = skewed_loop() };
	assert_int_equal(metrics_new(&f.metrics), 0);
	assert_int_equal(metrics_set(f.metrics, METRIC_GAUGE, "up", NULL, "is up", 1), 0);
	assert_int_equal(metrics_listen(f.loop, f.metrics, "127.0.0.1:0", NULL, is_ready,
				 &f, &f.server, NULL),
		0);
	assert_true(metrics_server_port(f.server) != 0);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	metrics_server_free(f->server);
	metrics_free(f->metrics);
	loop_free(f->loop);
	return 0;
}

static int dial(struct fixture *f)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
		.sin_port = htons(metrics_server_port(f->server)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return fd;
}

/* Reads until the other side closes. False when it has not within a second. */
static bool read_all(struct fixture *f, int fd, struct buf *b)
{
	char bytes[4096];

	for (int i = 0; i < 1000; i++) {
		ssize_t n = recv(fd, bytes, sizeof(bytes), 0);

		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return true;
		if (n > 0)
			assert_int_equal(buf_add(b, bytes, (size_t)n), 0);
		else
			(void)pump(f->loop, NULL, 1);
	}
	return false;
}

static void ask(struct fixture *f, const char *request, size_t piece, struct buf *b)
{
	int fd = dial(f);
	size_t len = strlen(request);

	for (size_t at = 0; at < len; at += piece) {
		(void)send(fd, request + at, MIN(piece, len - at), MSG_NOSIGNAL);
		(void)pump(f->loop, NULL, piece < len ? 1 : 0);
	}
	buf_init(b, 1 << 20);
	assert_true(read_all(f, fd, b));
	(void)close(fd);
}

static void requests_are_answered(void **state)
{
	static const struct {
		const char *name, *request, *status, *has;
	} cases[] = {
		{ "metrics", "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
			"HTTP/1.1 200 OK\r\n",
			"\r\n\r\n# HELP up is up\n# TYPE up gauge\nup 1\n" },
		{ "query", "GET /metrics?x=y HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n",
			"up 1\n" },
		{ "head", "HEAD /healthz HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\n",
			"Content-Length: 3\r\n" },
		{ "healthy", "GET /healthz HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\n",
			"\r\n\r\nok\n" },
		{ "not ready", "GET /readyz HTTP/1.1\r\n\r\n",
			"HTTP/1.1 503 Service Unavailable\r\n", "not ok\n" },
		{ "elsewhere", "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 404 Not Found\r\n",
			"" },
		{ "longer", "GET /metricsx HTTP/1.1\r\n\r\n",
			"HTTP/1.1 404 Not Found\r\n", "" },
		{ "post", "POST /metrics HTTP/1.1\r\nContent-Length: 1\r\n\r\nx",
			"HTTP/1.1 405 Method Not Allowed\r\n", "Allow: GET, HEAD\r\n" },
		{ "one word", "GET\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n", "" },
		{ "nothing", "\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n", "" },
		{ "no version", "GET /metrics\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n",
			"" },
		{ "http/2", "PRI * HTTP/2.0\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n",
			"" },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		for (size_t piece = 1; piece < 1000; piece += 300) {
			struct buf b;

			ask(f, cases[i].request, piece, &b);
			if (!str_starts(buf_cstr(&b), cases[i].status) ||
				!strstr(buf_cstr(&b), cases[i].has) ||
				!strstr(buf_cstr(&b), "Connection: close\r\n"))
				fail_msg("case '%s': %s", cases[i].name, buf_cstr(&b));
			buf_done(&b);
		}
	}
	f->is_ready = true;
	{
		struct buf b;

		ask(f, "GET /readyz HTTP/1.1\r\n\r\n", 100, &b);
		assert_true(str_starts(buf_cstr(&b), "HTTP/1.1 200 OK\r\n"));
		buf_done(&b);
	}
}

static void large_answers_arrive_whole(void **state)
{
	struct fixture *f = *state;
	char labels[512];
	struct buf b;
	const char *body;

	for (int i = 0; i < 10000 - 1; i++) {
		(void)snprintf(labels, sizeof(labels), "i=\"%0300d\"", i);
		assert_int_equal(
			metrics_set(f->metrics, METRIC_GAUGE, "big", labels, "", i), 0);
	}
	buf_init(&b, 16 << 20);
	{
		int fd = dial(f);

		(void)send(fd, "GET /metrics HTTP/1.1\r\n\r\n", 25, 0);
		(void)pump(f->loop, NULL, 50); /* the socket is full by now */
		assert_true(read_all(f, fd, &b));
		(void)close(fd);
	}
	body = strstr(buf_cstr(&b), "\r\n\r\n");
	assert_non_null(body);
	body = strstr(b.data, "Content-Length: ");
	assert_non_null(body);
	assert_int_equal(strtoull(body + 16, NULL, 10),
		b.len - (size_t)(strstr(b.data, "\r\n\r\n") + 4 - b.data));
	assert_true(b.len > 3000000);
	buf_done(&b);
}

static void too_large_a_request_is_refused(void **state)
{
	struct fixture *f = *state;
	char *request = calloc(1, 10000);
	struct buf b;

	assert_non_null(request);
	memset(request, 'a', 9999);
	/* The whole 8 KiB and not a byte more, so that nothing unread resets the connection. */
	request[8192] = '\0';
	ask(f, request, 8192, &b);
	assert_true(str_starts(buf_cstr(&b), "HTTP/1.1 431 "));
	buf_done(&b);
	request[8192] = 'a';
	ask(f, request, 9999, &b); /* whatever comes, it ends */
	buf_done(&b);
	free(request);
}

static void slow_clients_are_cut_off(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);
	struct buf b;

	(void)send(fd, "GET /met", 8, 0);
	(void)pump(f->loop, NULL, 10);
	skew_us += 9900 * USEC_PER_MSEC;
	buf_init(&b, 100);
	(void)pump(f->loop, NULL, 10);
	assert_int_equal(recv(fd, &(char){ 0 }, 1, 0), -1); /* still there */
	skew_us += 200 * USEC_PER_MSEC;
	assert_true(read_all(f, fd, &b));
	assert_int_equal(b.len, 0);
	buf_done(&b);
	(void)close(fd);
}

static void a_crowd_does_not_lock_others_out(void **state)
{
	struct fixture *f = *state;
	int fd[40];
	struct buf b;
	unsigned open = 0;

	for (size_t i = 0; i < ARRAY_SIZE(fd); i++) {
		fd[i] = dial(f);
		(void)pump(f->loop, NULL, 2);
	}
	for (size_t i = 0; i < ARRAY_SIZE(fd); i++)
		open += recv(fd[i], &(char){ 0 }, 1, 0) < 0;
	assert_int_equal(open, 16);
	ask(f, "GET /healthz HTTP/1.1\r\n\r\n", 100, &b);
	assert_true(str_starts(buf_cstr(&b), "HTTP/1.1 200 OK\r\n"));
	buf_done(&b);
	for (size_t i = 0; i < ARRAY_SIZE(fd); i++)
		(void)close(fd[i]);
	(void)pump(f->loop, NULL, 10);
}

static void addresses(void **state)
{
	static const struct {
		const char *address;
		bool is_good;
	} cases[] = { { "127.0.0.1:0", true }, { ":0", true }, { "localhost:0", true },
		{ "", false }, { "9090", false }, { "127.0.0.1", false },
		{ "127.0.0.1:", false }, { "127.0.0.1:x", false },
		{ "127.0.0.1:70000", false }, { "example.com:80", false },
		{ "unix:/no/such/folder/s", false } };
	struct fixture *f = *state;
	char dir[] = "/tmp/farrier-metrics-XXXXXX", path[64], stale[64];
	struct stat st;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct metrics_server *s = NULL;
		struct err e = { 0 };
		int r = metrics_listen(
			f->loop, f->metrics, cases[i].address, NULL, NULL, NULL, &s, &e);

		if ((r == 0) != cases[i].is_good || (r < 0 && !*e.text))
			fail_msg("'%s': %d '%s'", cases[i].address, r, e.text);
		metrics_server_free(s);
	}
	/* A socket left by a killed process does not matter; ours goes with us. */
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "unix:%s/s", dir);
	(void)snprintf(stale, sizeof(stale), "%s/stale", dir);
	for (int i = 0; i < 2; i++) {
		struct metrics_server *s = NULL;

		assert_int_equal(metrics_listen(f->loop, f->metrics, path, NULL, NULL,
					 NULL, &s, NULL),
			0);
		if (i == 0)
			assert_int_equal(link(path + 5, stale), 0);
		metrics_server_free(s);
		assert_int_equal(stat(path + 5, &st), -1);
		if (i == 0)
			assert_int_equal(rename(stale, path + 5), 0);
	}
	assert_int_equal(rmdir(dir), 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(series_are_printed),
		cmocka_unit_test(wrong_series_are_refused),
		cmocka_unit_test(series_are_capped),
		cmocka_unit_test(labels_are_escaped),
		TEST(requests_are_answered),
		TEST(large_answers_arrive_whole),
		TEST(too_large_a_request_is_refused),
		TEST(slow_clients_are_cut_off),
		TEST(a_crowd_does_not_lock_others_out),
		TEST(addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
