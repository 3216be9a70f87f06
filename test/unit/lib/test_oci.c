// SPDX-License-Identifier: Apache-2.0
/* The client of registries against one on the same loop: honest, busy, cut off and lying. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/stat.h>

#include "fake_server.h"
#include "file.h"
#include "oci.h"

#define DIGITS "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define DIGEST "sha256:" DIGITS
#define CONFIG "\"config\":{\"digest\":\"" DIGEST "\",\"size\":2}"
#define LAYER "{\"digest\":\"" DIGEST "\",\"size\":7}"

/* ---- a registry ---- */

enum { STORED_MAX = 16 };

struct fixture {
	struct loop *loop;
	struct oci *oci;
	struct fake_server server;
	struct oci_ref ref;
	char dir[64], auth_file[128], blob_path[128];
	struct {
		char digest[OCI_DIGEST_MAX + 1];
		char *body;
	} stored[STORED_MAX];
	size_t stored_n;
	char tag[OCI_DIGEST_MAX + 1]; /* digest under the tag "v1" */
	/* how it behaves */
	const char *wants; /* "Authorization: …" or NULL */
	bool is_bearer;
	unsigned busy; /* so many requests are answered 503 first */
	const char *busy_headers;
	unsigned cut; /* so many blob answers break off in the middle */
	bool no_ranges, lies, redirects, drops_login;
	/* what it saw */
	unsigned tokens, gets, ranges, uploads;
	char token_query[4096], token_auth[128];
	bool leaked_login;
};

static void keep(struct fixture *f, const char *body, char digest[OCI_DIGEST_MAX + 1])
{
	assert_true(f->stored_n < STORED_MAX);
	memcpy(digest, "sha256:", 7);
	assert_int_equal(digest_bytes(body, strlen(body), digest + 7, NULL), 0);
	memcpy(f->stored[f->stored_n].digest, digest, OCI_DIGEST_MAX + 1);
	f->stored[f->stored_n].body = strdup(body);
	f->stored_n++;
}

static const char *stored(const struct fixture *f, const char *digest)
{
	for (size_t i = 0; i < f->stored_n; i++)
		if (strncmp(f->stored[i].digest, digest, OCI_DIGEST_MAX) == 0)
			return f->stored[i].body;
	return NULL;
}

static void serve_token(
	struct fixture *f, struct fake_conn *c, const struct fake_request *q)
{
	const char *auth = strcasestr(q->headers, "\r\nauthorization: ");

	f->tokens++;
	(void)snprintf(f->token_query, sizeof(f->token_query), "%s", q->path);
	(void)snprintf(f->token_auth, sizeof(f->token_auth), "%.*s",
		auth ? (int)strcspn(auth + 2, "\r") : 0, auth ? auth + 2 : "");
	fake_reply(c, "200 OK", "", "{\"token\":\"good-token\"}");
}

static void serve_blob(
	struct fixture *f, struct fake_conn *c, const struct fake_request *q)
{
	const char *digest = strstr(q->path, "/blobs/") + 7, *body = stored(f, digest);
	const char *range = strcasestr(q->headers, "\r\nrange: bytes=");
	size_t from = 0;
	char head[256];

	if (!body) {
		fake_reply(c, "404 Not Found", "", "");
		return;
	}
	if (streq(q->method, "HEAD")) {
		fake_raw(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
		return;
	}
	f->gets++;
	if (f->lies) {
		char *wrong = strdup(body);

		wrong[0] ^= 1;
		fake_reply(c, "200 OK", "", wrong);
		free(wrong);
		return;
	}
	if (range) {
		f->ranges++;
		if (!f->no_ranges)
			from = strtoull(range + 15, NULL, 10);
	}
	(void)snprintf(head, sizeof(head), "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n",
		from ? "206 Partial Content" : "200 OK", strlen(body) - from);
	fake_raw(c, head);
	if (f->cut > 0) {
		char *half = strndup(body + from, (strlen(body) - from) / 2);

		f->cut--;
		fake_raw(c, half);
		free(half);
		fake_close(c);
		return;
	}
	fake_raw(c, body + from);
}

static void serve_put(
	struct fixture *f, struct fake_conn *c, const struct fake_request *q)
{
	char digest[OCI_DIGEST_MAX + 1];
	const char *given = strstr(q->path, "digest=");

	keep(f, q->body, digest);
	if (given && !streq(given + 7, digest)) {
		fake_reply(c, "400 Bad Request", "", "");
		return;
	}
	f->uploads += given != NULL;
	if (strstr(q->path, "/manifests/"))
		memcpy(f->tag, digest, sizeof(digest));
	fake_reply(c, "201 Created", "", "");
}

static void serve_manifest(
	struct fixture *f, struct fake_conn *c, const struct fake_request *q)
{
	const char *what = strstr(q->path, "/manifests/") + 11;
	const char *body = stored(f, streq(what, "v1") ? f->tag : what);

	if (!body)
		fake_reply(c, "404 Not Found", "", "");
	else
		fake_reply(c, "200 OK", "", f->lies ? "{\"schemaVersion\":2}" : body);
}

static void serve(struct fake_conn *c, const struct fake_request *q, void *user)
{
	struct fixture *f = user;
	char head[8192];

	if (f->busy > 0) {
		f->busy--;
		fake_reply(c, "503 Service Unavailable", f->busy_headers, "");
		return;
	}
	if (str_starts(q->path, "/token")) {
		serve_token(f, c, q);
		return;
	}
	if (str_starts(q->path, "/elsewhere")) {
		/* localhost is another host than 127.0.0.1 */
		f->leaked_login |= strcasestr(q->headers, "authorization:") != NULL;
		serve_blob(f, c, q);
		return;
	}
	if (f->wants && !strstr(q->headers, f->wants)) {
		(void)snprintf(head, sizeof(head),
			f->is_bearer
				? "WWW-Authenticate: Bearer realm=\"http://127.0.0.1:%u/token\",service=\"s p\"\r\n"
				: "WWW-Authenticate: Basic realm=\"r %u\"\r\n",
			f->server.port);
		fake_reply(c, "401 Unauthorized", head, "");
		return;
	}
	if (streq(q->method, "POST")) {
		(void)snprintf(head, sizeof(head),
			"Location: /v2/test/blobs/uploads/77?s=1\r\n");
		fake_reply(c, "202 Accepted", head, "");
	} else if (streq(q->method, "PUT")) {
		serve_put(f, c, q);
	} else if (strstr(q->path, "/manifests/")) {
		serve_manifest(f, c, q);
	} else if (f->redirects && streq(q->method, "GET")) {
		(void)snprintf(head, sizeof(head),
			"Location: http://localhost:%u/elsewhere%s\r\n", f->server.port,
			q->path);
		fake_reply(c, "307 Temporary Redirect", head, "");
	} else {
		serve_blob(f, c, q);
	}
}

static int setup(void **state)
{
	static struct fixture f;
	struct oci_options o = {
		.auth_file = f.auth_file, .retry_us = USEC_PER_MSEC, .tries = 4
	};
	char text[128];

	f = (struct fixture){ .busy_headers = "" };
	(void)snprintf(f.dir, sizeof(f.dir), "/tmp/farrier-oci-XXXXXX");
	assert_non_null(mkdtemp(f.dir));
	(void)snprintf(f.auth_file, sizeof(f.auth_file), "%s/config.json", f.dir);
	(void)snprintf(f.blob_path, sizeof(f.blob_path), "%s/blob", f.dir);
	assert_int_equal(loop_new(&f.loop, NULL, NULL), 0);
	fake_start(&f.server, f.loop, serve, &f);
	(void)snprintf(text, sizeof(text), "127.0.0.1:%u/test:v1", f.server.port);
	assert_int_equal(oci_ref_parse(text, &f.ref, NULL), 0);
	(void)snprintf(text, sizeof(text),
		"{\"auths\":{\"127.0.0.1:%u\":{\"auth\":\"dTpw\"}}}", f.server.port);
	assert_int_equal(
		file_write_atomic(f.auth_file, text, strlen(text), 0600, NULL), 0);
	assert_int_equal(oci_new(f.loop, &o, &f.oci, NULL), 0);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	oci_free(f->oci);
	fake_stop(&f->server);
	loop_free(f->loop);
	for (size_t i = 0; i < f->stored_n; i++)
		free(f->stored[i].body);
	return dir_remove(f->dir, NULL);
}

static struct oci_blob offer(struct fixture *f, const char *body)
{
	struct oci_blob b = { .size = (int64_t)strlen(body) };

	keep(f, body, b.digest);
	return b;
}

static void assert_holds(const char *path, const char *want)
{
	CLEANUP(freep) char *text = NULL;

	assert_int_equal(file_read(path, 1 << 20, &text, NULL, NULL), 0);
	assert_string_equal(text, want);
}

static void assert_no_part(const struct fixture *f)
{
	char part[160];

	(void)snprintf(part, sizeof(part), "%s.part", f->blob_path);
	assert_false(file_exists(part));
}

static void test_push_and_pull(void **state)
{
	struct fixture *f = *state;
	struct oci_blob layer = { .type = "application/x", .title = "edu.ko" };
	struct oci_manifest m = { .layers = &layer, .layers_n = 1 }, back;
	struct oci_ref by_digest = f->ref;
	char file[128];

	(void)snprintf(file, sizeof(file), "%s/edu.ko", f->dir);
	assert_int_equal(file_write_atomic(file, "module", 6, 0644, NULL), 0);
	assert_int_equal(oci_put_file(f->oci, &f->ref, file, &layer, NULL), 0);
	assert_int_equal(layer.size, 6);
	assert_int_equal(oci_put_bytes(f->oci, &f->ref, "{}", 2, &m.config, NULL), 0);
	assert_int_equal(f->uploads, 2);
	/* what is there is not sent again */
	assert_int_equal(oci_put_file(f->oci, &f->ref, file, &layer, NULL), 0);
	assert_int_equal(f->uploads, 2);
	assert_int_equal(oci_put_manifest(f->oci, &f->ref, &m, NULL), 0);

	memcpy(by_digest.digest, m.digest, sizeof(m.digest));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(
			oci_get_manifest(f->oci, i ? &by_digest : &f->ref, &back, NULL),
			0);
		assert_string_equal(back.digest, m.digest);
		assert_string_equal(back.layers[0].title, "edu.ko");
		oci_manifest_done(&back);
	}
	assert_int_equal(oci_get_blob(f->oci, &f->ref, &layer, f->blob_path, NULL), 0);
	assert_holds(f->blob_path, "module");
	assert_no_part(f);
}

static void test_logins(void **state)
{
	struct fixture *f = *state;
	struct oci_blob b = offer(f, "hello");
	struct err e = { 0 };

	f->wants = "Authorization: Bearer good-token";
	f->is_bearer = true;
	assert_int_equal(oci_get_blob(f->oci, &f->ref, &b, f->blob_path, NULL), 0);
	assert_int_equal(f->tokens, 1);
	assert_string_equal(
		f->token_query, "/token?service=s%20p&scope=repository%3Atest%3Apull");
	assert_string_equal(f->token_auth, "Authorization: Basic dTpw");
	/* the token is kept */
	assert_int_equal(oci_get_blob(f->oci, &f->ref, &b, f->blob_path, NULL), 0);
	assert_int_equal(f->tokens, 1);
	/* pushing asks for more */
	assert_int_equal(oci_put_bytes(f->oci, &f->ref, "x", 1, &b, NULL), 0);
	assert_int_equal(f->tokens, 2);
	assert_non_null(strstr(f->token_query, "pull%2Cpush"));
	/* a login that no longer counts is fetched anew, once */
	f->wants = "Authorization: Bearer other";
	assert_int_equal(oci_get_blob(f->oci, &f->ref, &b, f->blob_path, &e), -EACCES);
	assert_int_equal(f->tokens, 3);
	/* Basic */
	f->wants = "Authorization: Basic dTpw";
	f->is_bearer = false;
	assert_int_equal(oci_get_blob(f->oci, &f->ref, &b, f->blob_path, NULL), 0);
	/* nobody to be */
	assert_int_equal(file_write_atomic(f->auth_file, "{}", 2, 0600, NULL), 0);
	f->wants = "Authorization: Basic bmV3";
	assert_int_equal(oci_get_blob(f->oci, &f->ref, &b, f->blob_path, &e), -EACCES);
	assert_null(strstr(e.text, "dTpw"));
}

static void test_goes_on_where_it_was_cut(void **state)
{
	struct fixture *f = *state;
	struct oci_blob b = offer(f, "0123456789abcdefghijklmnopqrstuvwxyz");
	char part[160];

	f->cut = 2;
	assert_int_equal(oci_get_blob(f->oci, &f->ref, &b, f->blob_path, NULL), 0);
	assert_int_equal(f->gets, 3);
	assert_int_equal(f->ranges, 2);
	assert_holds(f->blob_path, "0123456789abcdefghijklmnopqrstuvwxyz");

	/* from an earlier process; from a server that knows no ranges; too much; wrong; whole */
	static const struct {
		const char *name, *part;
		bool no_ranges;
		int result;
		unsigned gets;
	} cases[] = {
		{ "some", "01234", false, 0, 1 },
		{ "no ranges", "01234", true, 0, 1 },
		{ "too much", "0123456789abcdefghijklmnopqrstuvwxyz and more", false, 0,
			1 },
		{ "wrong start", "xxxx", false, -EBADMSG, 1 },
		{ "whole", "0123456789abcdefghijklmnopqrstuvwxyz", false, 0, 0 },
		{ "wrong and whole", "x123456789abcdefghijklmnopqrstuvwxyz", false, 0,
			1 },
	};
	(void)snprintf(part, sizeof(part), "%s.part", f->blob_path);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int r;

		(void)unlink(f->blob_path);
		assert_int_equal(file_write_atomic(part, cases[i].part,
					 strlen(cases[i].part), 0600, NULL),
			0);
		f->no_ranges = cases[i].no_ranges;
		f->gets = 0;
		r = oci_get_blob(f->oci, &f->ref, &b, f->blob_path, NULL);
		if (r != cases[i].result || f->gets != cases[i].gets)
			fail_msg("case '%s': %d, %u gets", cases[i].name, r, f->gets);
		if (r == 0)
			assert_holds(
				f->blob_path, "0123456789abcdefghijklmnopqrstuvwxyz");
	}
	/* a wrong start costs one failure, not all that follow */
	assert_int_equal(file_write_atomic(part, "xxxx", 4, 0600, NULL), 0);
	assert_int_equal(oci_get_blob(f->oci, &f->ref, &b, f->blob_path, NULL), -EBADMSG);
	assert_int_equal(oci_get_blob(f->oci, &f->ref, &b, f->blob_path, NULL), 0);
}

static void test_busy(void **state)
{
	struct fixture *f = *state;
	struct oci_blob b = offer(f, "hello");
	struct err e = { 0 };
	uint64_t before;

	f->busy = 3;
	assert_int_equal(oci_get_blob(f->oci, &f->ref, &b, f->blob_path, NULL), 0);
	f->busy = 4;
	assert_int_equal(oci_get_blob(f->oci, &f->ref, &b, f->blob_path, &e), -EAGAIN);
	assert_non_null(strstr(e.text, "503"));
	f->busy = 1;
	f->busy_headers = "Retry-After: 1\r\n";
	before = loop_now(f->loop);
	assert_int_equal(oci_get_blob(f->oci, &f->ref, &b, f->blob_path, NULL), 0);
	assert_true(loop_now(f->loop) - before >= USEC_PER_SEC);
}

static void test_redirects(void **state)
{
	struct fixture *f = *state;
	struct oci_blob b = offer(f, "hello");

	f->redirects = true;
	f->wants = "Authorization: Basic dTpw";
	assert_int_equal(oci_get_blob(f->oci, &f->ref, &b, f->blob_path, NULL), 0);
	assert_holds(f->blob_path, "hello");
	assert_false(f->leaked_login);
}

static void test_lies(void **state)
{
	struct fixture *f = *state;
	struct oci_blob b = offer(f, "hello"), small = b, large = b;
	struct oci_manifest m;
	struct oci_ref ref = f->ref;

	f->lies = true;
	assert_int_equal(oci_get_blob(f->oci, &f->ref, &b, f->blob_path, NULL), -EBADMSG);
	assert_false(file_exists(f->blob_path));
	memcpy(ref.digest, b.digest, sizeof(b.digest));
	assert_int_equal(oci_get_manifest(f->oci, &ref, &m, NULL), -EBADMSG);
	f->lies = false;
	small.size = 3;
	large.size = 9;
	assert_int_equal(
		oci_get_blob(f->oci, &f->ref, &small, f->blob_path, NULL), -EBADMSG);
	assert_int_equal(
		oci_get_blob(f->oci, &f->ref, &large, f->blob_path, NULL), -EBADMSG);
	assert_false(file_exists(f->blob_path));
	(void)snprintf(ref.digest, sizeof(ref.digest), "%s", DIGEST);
	assert_int_equal(oci_get_manifest(f->oci, &ref, &m, NULL), -ENOENT);
}

static void test_index(void **state)
{
	struct fixture *f = *state;
	struct oci_manifest m;
	char inner[OCI_DIGEST_MAX + 1], text[1024];

	keep(f, "{\"schemaVersion\":2," CONFIG ",\"layers\":[" LAYER "]}", inner);
	(void)snprintf(text, sizeof(text),
		"{\"schemaVersion\":2,\"manifests\":[{\"digest\":\"" DIGEST
		"\",\"platform\":{\"os\":\"plan9\",\"architecture\":\"mips\"}},"
		"{\"digest\":\"%s\",\"platform\":{\"os\":\"linux\"}}]}",
		inner);
	keep(f, text, f->tag);
	assert_int_equal(oci_get_manifest(f->oci, &f->ref, &m, NULL), 0);
	assert_string_equal(m.digest, inner);
	assert_int_equal(m.layers_n, 1);
	oci_manifest_done(&m);
	keep(f, "{\"schemaVersion\":2,\"manifests\":[]}", f->tag);
	assert_int_equal(oci_get_manifest(f->oci, &f->ref, &m, NULL), -ENOENT);
}

static void test_nobody_there(void **state)
{
	struct fixture *f = *state;
	struct oci_blob b = offer(f, "hello");

	fake_kill(&f->server);
	assert_int_equal(
		oci_get_blob(f->oci, &f->ref, &b, f->blob_path, NULL), -ECONNREFUSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_push_and_pull, setup, teardown),
		cmocka_unit_test_setup_teardown(test_logins, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_goes_on_where_it_was_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(test_busy, setup, teardown),
		cmocka_unit_test_setup_teardown(test_redirects, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lies, setup, teardown),
		cmocka_unit_test_setup_teardown(test_index, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nobody_there, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
