// SPDX-License-Identifier: Apache-2.0
/* Downloads from a server on loopback that moves, stalls, cuts off, lies and goes away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "../lib/fake_server.h"
#include "driver-builder/fetch.h"
#include "file.h"

enum { LEN = 100000 };

/* The server is a process of its own: a fetch blocks. What it saw is shared. */
struct seen {
	unsigned requests, resumed, conditional;
	bool is_lying; /* the bytes of /change are other ones now */
};

static char top[64], url[64], body[LEN + 1], sha[DIGEST_HEX + 1];
static struct seen *seen;
static pid_t server;

static void send_from(
	struct fake_conn *c, const struct fake_request *q, size_t upto, const char *etag)
{
	const char *range = strstr(q->headers, "\r\nRange: bytes=");
	size_t from = range ? strtoull(range + 15, NULL, 10) : 0;
	char head[512];

	seen->conditional += !!strstr(q->headers, "\r\nIf-Range: ");
	if (range && from >= LEN) {
		fake_reply(c, "416 Range Not Satisfiable", "", "");
		return;
	}
	seen->resumed += from > 0;
	(void)snprintf(head, sizeof(head),
		"HTTP/1.1 %s\r\nContent-Length: %zu\r\nContent-Range: bytes %zu-%d/%d\r\n%s\r\n",
		from > 0 ? "206 Partial Content" : "200 OK", LEN - from, from, LEN - 1,
		LEN, etag);
	fake_raw(c, head);
	assert_int_equal(buf_add(&c->out, body + from, MIN(upto, LEN - from)), 0);
	fake_flush(c);
	if (upto < LEN - from)
		fake_close(c);
}

static void serve(struct fake_conn *c, const struct fake_request *q, void *user)
{
	static const struct {
		const char *path, *location;
	} moved[] = { { "/moved", "/good" }, { "/dir/moved", "../good" },
		{ "/dir/beside", "good" }, { "/loop", "/loop" },
		{ "/file", "file:///etc/passwd" }, { "/nowhere", "" } };
	char location[128];
	size_t i;

	seen->requests++;
	for (i = 0; i < ARRAY_SIZE(moved); i++)
		if (streq(q->path, moved[i].path)) {
			(void)snprintf(location, sizeof(location), "Location: %s\r\n",
				moved[i].location);
			fake_reply(c, "302 Found", location, "");
			return;
		}
	if (streq(q->path, "/good") || streq(q->path, "/dir/good") ||
		streq(q->path, "/dir/../good"))
		send_from(c, q, LEN, "ETag: \"a\"\r\n");
	else if (streq(q->path, "/cut"))
		send_from(c, q, LEN / 3, "ETag: \"a\"\r\n");
	else if (streq(q->path, "/cut-at-once"))
		send_from(c, q, 0, "");
	else if (streq(q->path, "/stall"))
		fake_raw(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
	else if (streq(q->path, "/busy"))
		fake_reply(c, "503 Service Unavailable", "", "");
	else
		fake_reply(c, "404 Not Found", "", "");
}

static int setup(void **state)
{
	struct loop *loop = NULL;
	struct fake_server s;
	int port[2];
	size_t i;

	(void)snprintf(top, sizeof(top), "/tmp/farrier-fetch-XXXXXX");
	assert_non_null(mkdtemp(top));
	for (i = 0; i < LEN; i++)
		body[i] = (char)('a' + i * 7 % 23 + i / 4096 % 3);
	assert_int_equal(digest_bytes(body, LEN, sha, NULL), 0);
	seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(seen != MAP_FAILED);
	assert_int_equal(pipe(port), 0);
	server = fork();
	assert_true(server >= 0);
	if (server == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (loop_new(&loop, NULL, NULL) < 0)
			_exit(1);
		fake_start(&s, loop, serve, NULL);
		if (write(port[1], &s.port, sizeof(s.port)) != sizeof(s.port))
			_exit(1);
		(void)loop_run(loop);
		_exit(0);
	}
	assert_int_equal(read(port[0], &s.port, sizeof(s.port)), sizeof(s.port));
	(void)close(port[0]);
	(void)close(port[1]);
	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%u", s.port);
	return 0;
}

static int teardown(void **state)
{
	(void)kill(server, SIGKILL);
	(void)waitpid(server, NULL, 0);
	(void)munmap(seen, sizeof(*seen));
	return dir_remove(top, NULL);
}

static int get(const char *path, const char *digest, struct err *e)
{
	static const struct fetch_limits limits = { 0, USEC_PER_SEC, 0 };
	char full[256], file[PATH_MAX];
	CLEANUP(freep) char *got = NULL;
	size_t len;
	int r;

	*e = (struct err){ 0 };
	(void)snprintf(full, sizeof(full), "%s%s", url, path);
	r = fetch_archive(top, full, digest, &limits, file, e);
	if (r < 0)
		return r;
	assert_int_equal(file_read(file, LEN * 2, &got, &len, NULL), 0);
	assert_int_equal(len, LEN);
	assert_memory_equal(got, body, LEN);
	return 0;
}

static const char *in_sources(const char *suffix)
{
	static char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/sources/%s%s", top, sha, suffix);
	return path;
}

/* Leaves nothing but what the tests put there. */
static void forget(void)
{
	char path[PATH_MAX];

	assert_int_equal(path_join(path, sizeof(path), top, "sources", NULL), 0);
	assert_int_equal(dir_remove(path, NULL), 0);
	*seen = (struct seen){ 0 };
}

static void test_fetched_once(void **state)
{
	struct err e;
	FILE *f;

	assert_int_equal(get("/good", sha, &e), 0);
	assert_int_equal(seen->requests, 1);
	/* It is there: nobody is asked, whoever is named. */
	assert_int_equal(get("/404", sha, &e), 0);
	assert_int_equal(seen->requests, 1);
	assert_false(file_exists(in_sources(".part")));
	assert_false(file_exists(in_sources(".etag")));
	/* Damaged on the disk: fetched again. */
	f = fopen(in_sources(""), "r+e");
	assert_non_null(f);
	assert_int_equal(fputc('Z', f), 'Z');
	assert_int_equal(fclose(f), 0);
	assert_int_equal(get("/good", sha, &e), 0);
	assert_int_equal(seen->requests, 2);
}

static void test_redirects(void **state)
{
	static const char *const good[] = { "/moved", "/dir/moved", "/dir/beside" };
	static const char *const bad[] = { "/loop", "/file", "/nowhere" };
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		forget();
		if (get(good[i], sha, &e) < 0)
			fail_msg("case '%s': %s", good[i], e.text);
		assert_int_equal(seen->requests, 2);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		forget();
		if (get(bad[i], sha, &e) >= 0 || e.reason != REASON_SOURCE_UNAVAILABLE)
			fail_msg("case '%s': %s", bad[i], e.text);
		assert_true(seen->requests <= FETCH_REDIRECTS_MAX + 1);
	}
}

static void test_resumed(void **state)
{
	struct err e;

	/* Cut off twice within one fetch: goes on where it stopped. */
	forget();
	assert_int_equal(get("/cut", sha, &e), 0);
	assert_true(seen->resumed >= 2);
	assert_int_equal(seen->conditional, seen->resumed);

	/* What a killed process left is used, if it is of the same file … */
	forget();
	assert_int_equal(get("/cut-at-once", sha, &e), -ECONNRESET);
	assert_int_equal(e.reason, REASON_SOURCE_UNAVAILABLE);
	assert_int_equal(file_write_atomic(in_sources(".part"), body, 5000, 0600, &e), 0);
	assert_int_equal(get("/good", sha, &e), 0);
	assert_int_equal(seen->resumed, 1);

	/* … also when it is all of it … */
	forget();
	(void)get("/cut-at-once", sha, &e);
	assert_int_equal(file_write_atomic(in_sources(".part"), body, LEN, 0600, &e), 0);
	seen->requests = 0;
	assert_int_equal(get("/good", sha, &e), 0);
	assert_int_equal(seen->requests, 1);

	/* … and if it is not, all is fetched anew. */
	forget();
	(void)get("/cut-at-once", sha, &e);
	assert_int_equal(
		file_write_atomic(in_sources(".part"), body + 1, 5000, 0600, &e), 0);
	assert_int_equal(get("/good", sha, &e), 0);
	assert_int_equal(seen->resumed, 1);
}

static void test_refused(void **state)
{
	static const char other[] =
		"0000000000000000000000000000000000000000000000000000000000000000";
	static const struct {
		const char *name, *path;
		const char *says;
	} cases[] = {
		{ "absent", "/404", "404" },
		{ "busy", "/busy", "503" },
		{ "stalled", "/stall", "nothing came for 1 s" },
	};
	char file[PATH_MAX];
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (get(cases[i].path, sha, &e) >= 0 ||
			e.reason != REASON_SOURCE_UNAVAILABLE ||
			!strstr(e.text, cases[i].says))
			fail_msg("case '%s': %s: %s", cases[i].name,
				reason_name(e.reason), e.text);
	assert_true(get("/good", other, &e) < 0);
	assert_int_equal(e.reason, REASON_SOURCE_DIGEST_MISMATCH);
	assert_non_null(strstr(e.text, sha));
	/* Too large: neither kept nor tried again. */
	forget();
	(void)snprintf(file, sizeof(file), "%s/good", url);
	assert_int_equal(fetch_archive(top, file, sha,
				 &(struct fetch_limits){ .bytes = LEN - 1 }, file, &e),
		-EFBIG);
	assert_int_equal(e.reason, REASON_SOURCE_INVALID);
	assert_int_equal(seen->requests, 1);
	/* Nobody listens. */
	forget();
	(void)snprintf(url, sizeof(url), "http://127.0.0.1:1");
	assert_true(get("/good", sha, &e) < 0);
	assert_int_equal(e.reason, REASON_SOURCE_UNAVAILABLE);
}

static int count(const char *name, void *user)
{
	++*(int *)user;
	return 0;
}

static void test_kept(void **state)
{
	char dir[128], path[PATH_MAX];
	struct err e;
	int n = 0;

	assert_int_equal(path_join(dir, sizeof(dir), top, "sources", NULL), 0);
	assert_int_equal(dir_make(dir, 0700, NULL), 0);
	for (int i = 0; i < FETCH_KEPT_MAX + 3; i++) {
		const struct timespec t[2] = { { 1000 + i, 0 }, { 1000 + i, 0 } };

		(void)snprintf(path, sizeof(path), "%s/%064d", dir, i);
		assert_int_equal(file_write_atomic(path, "x", 1, 0600, NULL), 0);
		assert_int_equal(utimensat(AT_FDCWD, path, t, 0), 0);
	}
	assert_int_equal(get("/good", sha, &e), 0);
	assert_int_equal(dir_each(dir, count, &n, NULL), 0);
	assert_int_equal(n, FETCH_KEPT_MAX);
	/* The oldest went, the newest and the one that was asked for stayed. */
	(void)snprintf(path, sizeof(path), "%s/%064d", dir, 3);
	assert_false(file_exists(path));
	(void)snprintf(path, sizeof(path), "%s/%064d", dir, 4);
	assert_true(file_exists(path));
	assert_true(file_exists(in_sources("")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_fetched_once),
		T(test_redirects),
		T(test_resumed),
		T(test_refused),
		T(test_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
