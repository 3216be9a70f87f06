// SPDX-License-Identifier: Apache-2.0
/* Builds out of archives: on the host, and fetched once for every kernel that comes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "../lib/fake_server.h"
#include "archive_maker.h"
#include "build_fixture.h"

/* A driver that takes no time, as release archives have theirs. */
static void pack_tiny(const char *path)
{
	static const struct member m[] = {
		{ "tiny-1.0/Kbuild", 0, "obj-m += tiny.o\n" },
		{ "tiny-1.0/tiny.c", 0,
			"#include <linux/module.h>\nMODULE_LICENSE(\"GPL\");\n" },
	};

	pack(path, "xz", m, ARRAY_SIZE(m));
}

static void serve(struct fake_conn *c, const struct fake_request *q, void *user)
{
	CLEANUP(freep) char *data = NULL;
	size_t len;

	assert_int_equal(file_read(user, 1 << 20, &data, &len, NULL), 0);
	assert_int_equal(
		buf_fmt(&c->out, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", len),
		0);
	assert_int_equal(buf_add(&c->out, data, len), 0);
	fake_flush(c);
}

/* A server of its own process with the file at @path as all it has. */
static pid_t start_server(char *path, char url[64])
{
	struct loop *loop = NULL;
	struct fake_server s;
	int port[2];
	pid_t pid;

	assert_int_equal(pipe(port), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (loop_new(&loop, NULL, NULL) < 0)
			_exit(1);
		fake_start(&s, loop, serve, path);
		if (write(port[1], &s.port, sizeof(s.port)) != sizeof(s.port))
			_exit(1);
		(void)loop_run(loop);
		_exit(0);
	}
	assert_int_equal(read(port[0], &s.port, sizeof(s.port)), sizeof(s.port));
	(void)close(port[0]);
	(void)close(port[1]);
	(void)snprintf(url, 64, "http://127.0.0.1:%u/tiny.tar.xz", s.port);
	return pid;
}

static void test_http(void **state)
{
	struct fixture *f = *state;
	char path[PATH_MAX], sources[PATH_MAX], url[64], sha[DIGEST_HEX + 1];
	struct build_result *res;
	struct artifact a = { 0 };
	struct job *j;
	pid_t pid;

	need(f);
	assert_int_equal(path_join(path, sizeof(path), f->state, "tiny.tar.xz", NULL), 0);
	assert_int_equal(
		path_join(sources, sizeof(sources), f->state, "sources", NULL), 0);
	pack_tiny(path);
	assert_int_equal(digest_file(path, sha, NULL), 0);
	pid = start_server(path, url);

	j = job(f, f->old, "tiny", "tiny", API_BUILD_AUTO);
	j->spec.source = (struct api_source){ .type = API_SOURCE_HTTP };
	j->spec.source.http.present = true;
	j->spec.source.http.url = url;
	j->spec.source.http.sha256 = sha;
	res = run(j, 0, REASON_NONE);
	assert_false(res->is_reused);
	assert_int_equal(store_get(f->state, res->key, &a, NULL), 0);
	assert_string_equal(a.source_digest, sha);
	assert_string_equal(a.build_system, "Kbuild");
	artifact_done(&a);

	/* No network any more: the next kernel is built from what is on the disk … */
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	j->q.kernel = f->new;
	(void)run(j, 0, REASON_NONE);
	/* … and without that, what was built is still found. */
	assert_int_equal(dir_remove(sources, NULL), 0);
	j->q.kernel = f->old;
	res = run(j, 0, REASON_NONE);
	assert_true(res->is_reused);
	/* The same archive on the host is the same source. */
	j->spec.source = (struct api_source){ .type = API_SOURCE_HOST };
	j->spec.source.host.path = path;
	res = run(j, 0, REASON_NONE);
	assert_true(res->is_reused);
	j->spec.source = (struct api_source){ .type = API_SOURCE_HTTP };
	j->spec.source.http.url = url;
	j->spec.source.http.sha256 = sha;
	j->q.force = true;
	(void)run(j, -1, REASON_SOURCE_UNAVAILABLE);
}

static void test_bad_archive(void **state)
{
	static const struct member bad[] = { { "edu/Kbuild", 0, "obj-m += a.o\n" },
		{ "edu/a.c", AE_IFLNK, "/etc/passwd" } };
	struct fixture *f = *state;
	struct build_result *res;
	struct job *j;

	need(f);
	j = job(f, f->old, "tiny", "tiny", API_BUILD_AUTO);
	(void)snprintf(j->path, sizeof(j->path), "%s/tiny.tar.xz", f->state);
	pack(j->path, "gzip", bad, ARRAY_SIZE(bad));
	res = run(j, -1, REASON_SOURCE_INVALID);
	assert_non_null(strstr(res->err.text, "'a.c': a link that leads out"));
	assert_int_equal(file_write_atomic(j->path, "junk", 4, 0644, NULL), 0);
	(void)run(j, -1, REASON_SOURCE_INVALID);
}

static void put(const struct job *j, const char *name, const char *text)
{
	char path[PATH_MAX];

	assert_int_equal(path_join(path, sizeof(path), j->path, name, NULL), 0);
	*strrchr(path, '/') = '\0';
	assert_int_equal(dir_make(path, 0755, NULL), 0);
	assert_int_equal(path_join(path, sizeof(path), j->path, name, NULL), 0);
	assert_int_equal(file_write_atomic(path, text, strlen(text), 0644, NULL), 0);
}

/* Modules that lie in the source are no result of a build. */
static void test_left_overs(void **state)
{
	struct fixture *f = *state;
	struct build_result *res;
	struct job *j;

	need(f);
	j = job(f, f->old, "tiny", NULL, API_BUILD_MAKE);
	(void)snprintf(j->path, sizeof(j->path), "%s/tiny", f->state);
	put(j, "Makefile", "all:\n\ttrue\n");
	put(j, "tiny.ko", "an old one");
	res = run(j, -1, REASON_BUILD_FAILED);
	assert_non_null(strstr(res->err.text, "left no module"));

	/* Nor are the objects that they were linked of: what the Makefile makes is made. */
	put(j, "Makefile", "tiny.ko: tiny.c\n\t$(MAKE) -C $(KDIR) M=$(CURDIR) modules\n");
	put(j, "Kbuild", "obj-m += tiny.o\n");
	put(j, "tiny.c", "#include <linux/module.h>\nMODULE_LICENSE(\"GPL\");\n");
	put(j, "tiny.o", "of another kernel");
	put(j, ".tiny.o.cmd", "savedcmd_tiny.o := true\n");
	put(j, "old/tiny.ko", "an even older one");
	res = run(j, 0, REASON_NONE);
	assert_int_equal(res->modules_n, 1);
	assert_string_equal(res->modules[0], "tiny");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_http),
		T(test_bad_archive),
		T(test_left_overs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
