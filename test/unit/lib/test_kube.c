// SPDX-License-Identifier: Apache-2.0
/* The Kubernetes client: kubeconfigs good and bad, tokens, codes, apply, Events, times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/stat.h>

#include "fake_server.h"
#include "kube.h"

struct fixture {
	struct loop *loop;
	struct kube *kube;
	struct fake_server server;
	char dir[64];
	char seen[16384];
	char body[8192];
	char log[4096]; /* "METHOD path\n" */
	const char *status, *answer; /* what comes back; NULL: 200 {} */
	bool is_silent;
	struct fake_conn *waiting;
};

static void serve(struct fake_conn *c, const struct fake_request *q, void *user)
{
	struct fixture *f = user;
	size_t n = strlen(f->log);

	(void)snprintf(f->seen, sizeof(f->seen), "%s\r\n", q->headers);
	(void)snprintf(f->body, sizeof(f->body), "%s", q->body);
	(void)snprintf(f->log + n, sizeof(f->log) - n, "%s %s\n", q->method, q->path);
	f->waiting = c;
	if (!f->is_silent)
		fake_reply(c, f->status ? f->status : "200 OK", "",
			f->answer ? f->answer : "{}");
}

static void write_file(struct fixture *f, const char *name, const char *text)
{
	char path[128];
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void remove_file(struct fixture *f, const char *name)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	(void)unlink(path);
}

/* A kubeconfig with @cluster and @user in flow style behind server and name. */
static int make_kube(struct fixture *f, const char *cluster, const char *user,
	struct kube **ret, struct err *e)
{
	struct kube_options o = { 0 };
	char text[4096], path[128];

	(void)snprintf(text, sizeof(text),
		"apiVersion: v1\nkind: Config\ncurrent-context: b\n"
		"clusters:\n- name: other\n  cluster: {server: 'https://x'}\n"
		"- name: c\n  cluster: {server: 'http://127.0.0.1:%u/'%s}\n"
		"contexts:\n- name: a\n  context: {cluster: other}\n"
		"- name: b\n  context: {cluster: c, user: u, namespace: mine}\n"
		"users:\n- name: u\n  user: {%s}\n",
		f->server.port, cluster, user);
	write_file(f, "config", text);
	(void)snprintf(path, sizeof(path), "%s/config", f->dir);
	o.kubeconfig = path;
	o.user_agent = "test/1";
	return kube_new(f->loop, &o, ret, e);
}

static int setup(void **state)
{
	static struct fixture f;
	struct err e = { 0 };

	f = (struct fixture){ .loop = skewed_loop(), .dir = "/tmp/farrier-kube-XXXXXX" };
	assert_non_null(mkdtemp(f.dir));
	fake_start(&f.server, f.loop, serve, &f);
	if (make_kube(&f, "", "token: abc", &f.kube, &e) < 0)
		fail_msg("%s", e.text);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	kube_free(f->kube);
	fake_stop(&f->server);
	loop_free(f->loop);
	remove_file(f, "config");
	remove_file(f, "token");
	remove_file(f, "ca.crt");
	remove_file(f, "namespace");
	return rmdir(f->dir);
}

struct answer {
	bool is_done;
	int result;
	long status;
	char message[1024];
	char name[64]; /* metadata.name of the object */
};

static void on_done(const struct kube_response *res, void *user)
{
	struct answer *a = user;
	const char *name = json_get_str(json_get(res->obj, "metadata"), "name");

	a->is_done = true;
	a->result = res->result;
	a->status = res->status;
	(void)snprintf(a->message, sizeof(a->message), "%s", res->message);
	(void)snprintf(a->name, sizeof(a->name), "%s", name ? name : "");
}

static struct answer ask(struct fixture *f, const char *method, const char *path)
{
	struct answer a = { 0 };

	*f->log = '\0';
	assert_int_equal(kube_request(f->kube, method, path, NULL, NULL, 5 * USEC_PER_SEC,
				 on_done, &a, NULL, NULL),
		0);
	assert_true(pump(f->loop, &a.is_done, 5000));
	return a;
}

static void requests_carry_what_they_must(void **state)
{
	struct fixture *f = *state;
	struct answer a;

	f->answer = "{\"metadata\":{\"name\":\"x\"}}";
	a = ask(f, "GET", "/api/v1/nodes/x?a=b");
	assert_int_equal(a.result, 0);
	assert_int_equal(a.status, 200);
	assert_string_equal(a.name, "x");
	assert_string_equal(f->log, "GET /api/v1/nodes/x?a=b\n");
	assert_non_null(strstr(f->seen, "Authorization: Bearer abc\r\n"));
	assert_non_null(strstr(f->seen, "Accept: application/json\r\n"));
	assert_non_null(strstr(f->seen, "User-Agent: test/1\r\n"));
	assert_null(strcasestr(f->seen, "content-type"));
	assert_string_equal(kube_namespace(f->kube), "mine");
	assert_ptr_equal(kube_loop(f->kube), f->loop);
}

static void statuses_become_codes(void **state)
{
	static const struct {
		const char *status, *answer;
		int result;
		const char *message;
	} cases[] = {
		{ "201 Created", "{}", 0, "GET /a: 201" },
		{ "404 Not Found",
			"{\"kind\":\"Status\",\"reason\":\"NotFound\",\"message\":\"no x\"}",
			-ENOENT, "GET /a: 404 NotFound: no x" },
		{ "404 Not Found", "404 page not found\n", -ENOENT,
			"GET /a: 404: 404 page not found" },
		{ "409 Conflict", "{\"reason\":\"AlreadyExists\"}", -EEXIST,
			"GET /a: 409 AlreadyExists" },
		{ "409 Conflict", "{\"reason\":\"Conflict\"}", -EAGAIN,
			"GET /a: 409 Conflict" },
		{ "401 Unauthorized", "{}", -EACCES, "GET /a: 401" },
		{ "403 Forbidden", "{}", -EACCES, "GET /a: 403" },
		{ "410 Gone", "{}", -ESTALE, "GET /a: 410" },
		{ "400 Bad Request", "{}", -EINVAL, "GET /a: 400" },
		{ "422 Unprocessable Entity", "{}", -EINVAL, "GET /a: 422" },
		{ "429 Too Many Requests", "{}", -EBUSY, "GET /a: 429" },
		{ "500 Internal Server Error", "", -EIO, "GET /a: 500" },
		{ "503 Service Unavailable", "[1", -EIO, "GET /a: 503: [1" },
		{ "302 Found", "{}", -EIO, "GET /a: 302" },
		{ "200 OK", "", 0, "GET /a: 200" },
	};
	struct fixture *f = *state;
	struct answer a;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		f->status = cases[i].status;
		f->answer = cases[i].answer;
		a = ask(f, "GET", "/a?q=1");
		if (a.result != cases[i].result ||
			strcmp(a.message, cases[i].message) != 0)
			fail_msg("case '%s' '%s': %d '%s'", cases[i].status,
				cases[i].answer, a.result, a.message);
	}
	f->status = "200 OK";
	f->answer = "{\"a\":";
	a = ask(f, "GET", "/a");
	assert_int_equal(a.result, -EPROTO);
	fake_kill(&f->server);
	a = ask(f, "GET", "/a");
	assert_int_equal(a.result, -ECONNREFUSED);
	assert_int_equal(a.status, 0);
	assert_true(str_starts(a.message, "GET /a: "));
}

static void wrong_paths_are_refused(void **state)
{
	static const char *const paths[] = { "", "a", "/a b", "/a\r\nX: y", "/\xc3\xa4" };
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		assert_int_equal(kube_request(f->kube, "GET", paths[i], NULL, NULL, 0,
					 on_done, NULL, NULL, NULL),
			-EINVAL);
}

static void apply_is_forced_and_named(void **state)
{
	struct fixture *f = *state;
	struct json *body = json_new_object();
	struct answer a = { 0 };

	assert_int_equal(json_set_str(body, "kind", "X"), 0);
	assert_int_equal(kube_apply(f->kube, "/apis/g/v1/x/a/status", "me & you", body,
				 on_done, &a, NULL, NULL),
		0);
	json_free(body); /* it was copied */
	assert_true(pump(f->loop, &a.is_done, 5000));
	assert_string_equal(f->log,
		"PATCH /apis/g/v1/x/a/status?force=true&fieldManager=me%20%26%20you\n");
	assert_non_null(
		strstr(f->seen, "Content-Type: application/apply-patch+yaml\r\n"));
	assert_string_equal(f->body, "{\"kind\":\"X\"}");
}

static void kubeconfigs_are_checked(void **state)
{
	static const struct {
		const char *name, *cluster, *user;
		int result;
		const char *text;
	} cases[] = {
		{ "plain", "", "", 0, NULL },
		{ "skip TLS", ", insecure-skip-tls-verify: true", "", -EOPNOTSUPP,
			"'insecure-skip-tls-verify' is not supported" },
		{ "do not skip TLS", ", insecure-skip-tls-verify: false", "", 0, NULL },
		{ "proxy", ", proxy-url: 'http://p'", "", -EOPNOTSUPP, "proxy-url" },
		{ "exec", "", "exec: {command: aws}", -EOPNOTSUPP,
			"'exec' is not supported" },
		{ "password", "", "username: a, password: b", -EOPNOTSUPP, "username" },
		{ "token of a wrong type", "", "token: 1", -EINVAL,
			"'token': not a string" },
		{ "token with a newline", "", "token: \"a\\r\\nX: y\"", -EINVAL,
			"token" },
		{ "token file missing", "", "tokenFile: none", -ENOENT, "/none'" },
		{ "bad base64", ", certificate-authority-data: 'ab!d'", "", -EINVAL,
			"'certificate-authority-data'" },
		{ "short base64", ", certificate-authority-data: 'abcde'", "", -EINVAL,
			"'certificate-authority-data'" },
		{ "good base64", ", certificate-authority-data: \"YWJj\\nZGU=\"", "", 0,
			NULL },
		{ "certificate without key", "", "client-certificate: a", -EINVAL,
			"its key" },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct kube *k = NULL;
		struct err e = { 0 };
		int r = make_kube(f, cases[i].cluster, cases[i].user, &k, &e);

		if (r != cases[i].result ||
			(cases[i].text && !strstr(e.text, cases[i].text)))
			fail_msg("case '%s': %d '%s'", cases[i].name, r, e.text);
		kube_free(k);
	}
}

static void wrong_files_are_named(void **state)
{
	static const char *const texts[] = {
		"", "[", "a: b", "current-context: x", "current-context: x\ncontexts: 7",
		"current-context: x\ncontexts: [{name: x}]",
		"current-context: x\ncontexts: [{name: x, context: {cluster: c}}]",
		"current-context: x\ncontexts: [{name: x, context: {cluster: c}}]\nclusters: [{name: c, cluster: {}}]",
		"current-context: x\ncontexts: [{name: x, context: {cluster: c}}]\nclusters: [{name: c, cluster: {server: 'ftp://x'}}]",
		"current-context: x\ncontexts: [{name: x, context: {cluster: c, user: u}}]\nclusters: [{name: c, cluster: {server: 'https://x'}}]",
		"current-context: x\ncontexts: [{name: x, context: {cluster: c, user: u}}]\nclusters: [{name: c, cluster: {server: 'http://far:1'}}]\nusers: [{name: u, user: {token: t}}]",
		"current-context: x\ncontexts: [{name: x, context: {cluster: c, user: u}}]\nclusters: [{name: c, cluster: {server: 'http://127.0.0.1.evil:1'}}]\nusers: [{name: u, user: {token: t}}]"
	};
	struct fixture *f = *state;
	char path[128];
	struct kube_options o = { .kubeconfig = path };
	struct kube *k = NULL;
	struct err e;

	(void)snprintf(path, sizeof(path), "%s/config", f->dir);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		write_file(f, "config", texts[i]);
		e = (struct err){ 0 };
		if (kube_new(f->loop, &o, &k, &e) >= 0 || !strstr(e.text, path))
			fail_msg("'%s': '%s'", texts[i], e.text);
	}
	(void)snprintf(path, sizeof(path), "%s/none", f->dir);
	assert_int_equal(kube_new(f->loop, &o, &k, &e), -ENOENT);
}

static void token_files_are_read_again(void **state)
{
	struct fixture *f = *state;
	struct err e = { 0 };

	kube_free(f->kube);
	f->kube = NULL;
	write_file(f, "token", "first\n");
	if (make_kube(f, "", "token: old, tokenFile: token", &f->kube, &e) < 0)
		fail_msg("%s", e.text);
	(void)ask(f, "GET", "/a");
	assert_non_null(strstr(f->seen, "Authorization: Bearer first\r\n"));
	write_file(f, "token", "the second");
	(void)ask(f, "GET", "/a");
	/* A space is no part of a token: the one that was good stays. */
	assert_non_null(strstr(f->seen, "Authorization: Bearer first\r\n"));
	write_file(f, "token", "second");
	(void)ask(f, "GET", "/a");
	assert_non_null(strstr(f->seen, "Authorization: Bearer second\r\n"));
	remove_file(f, "token");
	(void)ask(f, "GET", "/a");
	assert_non_null(strstr(f->seen, "Authorization: Bearer second\r\n"));
}

static void pods_find_their_cluster(void **state)
{
	struct fixture *f = *state;
	struct kube_options o = { .mount = f->dir };
	struct kube *k = NULL;
	struct err e = { 0 };

	(void)unsetenv("KUBERNETES_SERVICE_HOST");
	assert_int_equal(kube_new(f->loop, &o, &k, &e), -ENOENT);
	assert_string_equal(e.text, "not in a cluster, and no kubeconfig given");
	assert_int_equal(setenv("KUBERNETES_SERVICE_HOST", "::1", 1), 0);
	assert_int_equal(setenv("KUBERNETES_SERVICE_PORT", "443", 1), 0);
	assert_int_equal(kube_new(f->loop, &o, &k, &e), -ENOENT);
	assert_non_null(strstr(e.text, "ca.crt"));
	write_file(f, "ca.crt", "x");
	assert_int_equal(kube_new(f->loop, &o, &k, &e), -ENOENT);
	assert_non_null(strstr(e.text, "token"));
	write_file(f, "token", "t");
	assert_int_equal(kube_new(f->loop, &o, &k, &e), 0);
	assert_string_equal(kube_namespace(k), "default");
	kube_free(k);
	write_file(f, "namespace", "ns-1");
	assert_int_equal(kube_new(f->loop, &o, &k, &e), 0);
	assert_string_equal(kube_namespace(k), "ns-1");
	kube_free(k);
	(void)unsetenv("KUBERNETES_SERVICE_HOST");
	(void)unsetenv("KUBERNETES_SERVICE_PORT");
}

/* ---- events ---- */

static const struct kube_ref node = { "v1", "Node", "gpu-7", NULL, "u-1" };

static void say(struct fixture *f, const struct kube_ref *ref, const char *message)
{
	assert_int_equal(kube_event(f->kube, ref, "farrier", "Warning", "BuildFailed",
				 message, NULL),
		0);
	(void)pump(f->loop, NULL, 30);
}

static void equal_events_count_up(void **state)
{
	struct fixture *f = *state;
	struct kube_ref pod = { "v1", "Pod", "p", "ns-2", NULL };
	char path[512];
	char *end;

	*f->log = '\0';
	say(f, &node, "it \"broke\"");
	assert_true(str_starts(f->log, "POST /api/v1/namespaces/default/events\n"));
	assert_non_null(strstr(f->body,
		"\"involvedObject\":{\"apiVersion\":\"v1\",\"kind\":\"Node\","
		"\"name\":\"gpu-7\",\"uid\":\"u-1\"}"));
	assert_non_null(strstr(f->body, "\"message\":\"it \\\"broke\\\"\""));
	assert_non_null(strstr(f->body, "\"count\":1"));
	(void)snprintf(
		path, sizeof(path), "%s", strstr(f->body, "\"name\":\"gpu-7.") + 8);
	end = strchr(path, '"');
	assert_non_null(end);
	*end = '\0';

	/* The same a second later: one more of it, in the same object. */
	skew_us += 2 * USEC_PER_SEC;
	*f->log = '\0';
	say(f, &node, "it \"broke\"");
	assert_true(str_starts(f->log, "PATCH /api/v1/namespaces/default/events/gpu-7."));
	assert_non_null(strstr(f->log, path));
	assert_non_null(strstr(f->body, "\"count\":2"));
	assert_non_null(
		strstr(f->seen, "Content-Type: application/merge-patch+json\r\n"));

	/* A storm is counted, not sent. */
	*f->log = '\0';
	for (int i = 0; i < 20; i++)
		say(f, &node, "it \"broke\"");
	assert_string_equal(f->log, "");
	skew_us += 2 * USEC_PER_SEC;
	say(f, &node, "it \"broke\"");
	assert_non_null(strstr(f->body, "\"count\":23"));

	/* Another message, another object: other events, in the object's own namespace. */
	*f->log = '\0';
	say(f, &node, "else");
	say(f, &pod, "else");
	assert_true(str_starts(f->log, "POST /api/v1/namespaces/default/events\n"
				       "POST /api/v1/namespaces/ns-2/events\n"));

	/* After ten minutes it is a new one. */
	*f->log = '\0';
	skew_us += 601 * USEC_PER_SEC;
	say(f, &node, "it \"broke\"");
	assert_true(str_starts(f->log, "POST "));
	assert_non_null(
		strstr(f->body, "\"count\":1,") ?: strstr(f->body, "\"count\":1}"));

	/* One that the server has forgotten is made again. */
	f->status = "404 Not Found";
	skew_us += 2 * USEC_PER_SEC;
	say(f, &node, "it \"broke\"");
	f->status = NULL;
	*f->log = '\0';
	say(f, &node, "it \"broke\"");
	assert_true(str_starts(f->log, "POST "));
}

static void events_are_bounded(void **state)
{
	struct fixture *f = *state;
	char text[3000], message[64];
	int refused = 0;

	/* Long messages are cut between characters. */
	memset(text, 'x', sizeof(text));
	text[1023] = (char)0xc3;
	text[1024] = (char)0xa4;
	text[2999] = '\0';
	say(f, &node, text);
	assert_non_null(strstr(f->body, "xxxx\","));
	assert_null(strchr(f->body, 0xc3));

	/* A server that never answers: what waits is bounded, the rest is refused. */
	f->is_silent = true;
	for (int i = 0; i < 600; i++) {
		struct err e = { 0 };

		(void)snprintf(message, sizeof(message), "message %d", i);
		if (kube_event(f->kube, &node, "farrier", "Normal", "X", message, &e) <
			0) {
			assert_int_equal(e.code, -EBUSY);
			refused++;
		}
	}
	assert_in_range(refused, 80, 100);
	/* And answers that come are taken. */
	(void)pump(f->loop, NULL, 20);
	kube_free(f->kube);
	f->kube = NULL;
}

/* ---- small things ---- */

static void times(void **state)
{
	static const struct {
		const char *text;
		int result;
		int64_t s;
	} cases[] = {
		{ "1970-01-01T00:00:00Z", 0, 0 },
		{ "2024-02-29T12:34:56Z", 0, 1709210096 },
		{ "2024-02-29T12:34:56.123456Z", 0, 1709210096 },
		{ "2024-02-29T14:34:56+02:00", 0, 1709210096 },
		{ "2024-02-29T10:04:56-02:30", 0, 1709210096 },
		{ "", -EINVAL, 0 },
		{ "2024-02-29", -EINVAL, 0 },
		{ "2024-02-29T12:34:56", -EINVAL, 0 },
		{ "2024-13-01T00:00:00Z", -EINVAL, 0 },
		{ "2024-01-32T00:00:00Z", -EINVAL, 0 },
		{ "2024-01-01T24:00:00Z", -EINVAL, 0 },
		{ "2024-01-01T00:00:00.Z", -EINVAL, 0 },
		{ "2024-01-01T00:00:00Zx", -EINVAL, 0 },
		{ "2024-01-01T00:00:00+0100", -EINVAL, 0 },
		{ "-024-01-01T00:00:00Z", -EINVAL, 0 },
	};
	char text[32];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int64_t s = -1;
		int r = kube_time_parse(cases[i].text, &s);

		if (r != cases[i].result || (r == 0 && s != cases[i].s))
			fail_msg("'%s': %d %lld", cases[i].text, r, (long long)s);
	}
	assert_int_equal(kube_time_parse(NULL, &(int64_t){ 0 }), -EINVAL);
	kube_time(1709210096 * USEC_PER_SEC + 999999, text);
	assert_string_equal(text, "2024-02-29T12:34:56Z");
}

static void path_segments_are_escaped(void **state)
{
	struct buf b;

	buf_init(&b, 100);
	assert_int_equal(kube_path_escape(&b, "a-Z_0.~/ ?&=%\xff"), 0);
	assert_string_equal(buf_cstr(&b), "a-Z_0.~%2F%20%3F%26%3D%25%FF");
	buf_done(&b);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(requests_carry_what_they_must),
		TEST(statuses_become_codes),
		TEST(wrong_paths_are_refused),
		TEST(apply_is_forced_and_named),
		TEST(kubeconfigs_are_checked),
		TEST(wrong_files_are_named),
		TEST(token_files_are_read_again),
		TEST(pods_find_their_cluster),
		TEST(equal_events_count_up),
		TEST(events_are_bounded),
		cmocka_unit_test(times),
		cmocka_unit_test(path_segments_are_escaped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
