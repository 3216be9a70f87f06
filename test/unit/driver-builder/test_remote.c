// SPDX-License-Identifier: Apache-2.0
/* Artifacts that the fleet shares: what one node publishes another takes, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "driver-builder/publish.h"
#include "driver-builder/remote.h"
#include "driver-builder/source.h"
#include "driver-builder/store.h"
#include "elf_maker.h"
#include "file.h"
#include "test/unit/lib/fake_server.h"

#define RELEASE "6.1.0-56"
#define FLAGS "SMP preempt mod_unload modversions "
#define CONFIG \
	"CONFIG_X86_64=y\nCONFIG_SMP=y\nCONFIG_PREEMPT_BUILD=y\n" \
	"CONFIG_MODULE_UNLOAD=y\nCONFIG_MODVERSIONS=y\n"
#define SYMVERS(crc) \
	"0x00000007\tmodule_layout\tvmlinux\tEXPORT_SYMBOL\t\n" crc \
	"\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n"
#define KEY "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define OTHER_KEY "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

enum { BLOBS_MAX = 64 };

struct fixture {
	struct loop *loop;
	struct fake_server server;
	struct {
		char digest[OCI_DIGEST_MAX + 1];
		char *data;
		size_t len;
	} blobs[BLOBS_MAX];
	size_t blobs_n;
	unsigned requests;
	char dir[64], builder[80], taker[80], registry[64], headers[80];
	struct kernel kernel;
	struct remote remote;
};

/* ---- a registry that keeps what it is given ---- */

static const char *keep(struct fixture *f, const void *data, size_t len)
{
	char digest[OCI_DIGEST_MAX + 1] = "sha256:";

	assert_int_equal(digest_bytes(data, len, digest + 7, NULL), 0);
	for (size_t i = 0; i < f->blobs_n; i++)
		if (streq(f->blobs[i].digest, digest))
			return f->blobs[i].digest;
	assert_true(f->blobs_n < BLOBS_MAX);
	memcpy(f->blobs[f->blobs_n].digest, digest, sizeof(digest));
	f->blobs[f->blobs_n].data = malloc(len + 1);
	assert_non_null(f->blobs[f->blobs_n].data);
	memcpy(f->blobs[f->blobs_n].data, data, len);
	f->blobs[f->blobs_n].len = len;
	return f->blobs[f->blobs_n++].digest;
}

static void serve(struct fake_conn *c, const struct fake_request *q, void *user)
{
	struct fixture *f = user;
	const char *digest = strstr(q->path, "sha256:");

	f->requests++;
	assert_true(str_starts(q->path, "/v2/team/"));
	if (streq(q->method, "POST")) {
		fake_reply(c, "202 Accepted", "Location: /v2/team/up?x=1\r\n", "");
	} else if (streq(q->method, "PUT")) {
		(void)keep(f, q->body, q->body_len);
		fake_reply(c, "201 Created", "", "");
	} else {
		for (size_t i = 0; digest && i < f->blobs_n; i++)
			if (streq(f->blobs[i].digest, digest)) {
				bool is_head = streq(q->method, "HEAD");

				fake_reply_bytes(c, "200 OK", "", f->blobs[i].data,
					is_head ? 0 : f->blobs[i].len);
				return;
			}
		fake_reply(c, "404 Not Found", "", "");
	}
}

static void put(const char *dir, const char *name, const void *data, size_t len)
{
	char path[PATH_MAX];

	assert_int_equal(path_join(path, sizeof(path), dir, name, NULL), 0);
	assert_int_equal(file_write_atomic(path, data, len, 0644, NULL), 0);
}

static int setup(void **state)
{
	static struct fixture f;
	char *const dirs[] = { f.builder, f.taker, f.headers };
	static const char *const names[] = { "builder", "taker", "headers" };

	f = (struct fixture){ .kernel.has_modules = true };
	(void)snprintf(f.dir, sizeof(f.dir), "/tmp/farrier-remote-XXXXXX");
	assert_non_null(mkdtemp(f.dir));
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		(void)snprintf(dirs[i], 80, "%s/%s", f.dir, names[i]);
		assert_int_equal(mkdir(dirs[i], 0755), 0);
	}
	put(f.headers, ".config", CONFIG, strlen(CONFIG));
	put(f.headers, "Module.symvers", SYMVERS("0x11111111"),
		strlen(SYMVERS("0x11111111")));
	(void)snprintf(f.kernel.release, sizeof(f.kernel.release), RELEASE);
	f.kernel.headers = f.headers;
	assert_int_equal(loop_new(&f.loop, NULL, NULL), 0);
	fake_start(&f.server, f.loop, serve, &f);
	(void)snprintf(
		f.registry, sizeof(f.registry), "127.0.0.1:%u/team", f.server.port);
	f.remote.registry = f.registry;
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	fake_stop(&f->server);
	loop_free(f->loop);
	for (size_t i = 0; i < f->blobs_n; i++)
		free(f->blobs[i].data);
	return dir_remove(f->dir, NULL);
}

/* ---- artifacts ---- */

static uint8_t *demo_module(size_t *ret_len)
{
	static const struct made_symbol symbols[] = {
		{ "printk", 0x11111111, .has_crc = true },
	};
	const struct made m = {
		.modinfo = "name=demo\0srcversion=ABCDEF\0vermagic=" RELEASE " " FLAGS
			   "\0",
		.symbols = symbols,
		.symbols_n = 1,
		.layout_crc = 7
	};

	return make_module(&m, ret_len);
}

/* Into the builder's store, as a build would. */
static void build(struct fixture *f, const char *key, const char *name)
{
	struct artifact_module mod = {
		.file = "modules/demo.ko", .vermagic = "claimed", .srcversion = "claimed"
	};
	struct artifact a = { .driver = "demo",
		.driver_version = "1.0",
		.kernel = RELEASE,
		.created_at = "2026-01-01T00:00:00Z",
		.modules = &mod,
		.modules_n = 1 };
	CLEANUP(store_abortp) struct store_txn *t = NULL;
	char path[PATH_MAX];
	size_t len;
	uint8_t *bytes = demo_module(&len);

	memcpy(a.key, key, sizeof(a.key));
	memcpy(a.source_digest, key, sizeof(a.key));
	memcpy(a.headers_digest, key, sizeof(a.key));
	(void)snprintf(mod.name, sizeof(mod.name), "%s", name);
	put(f->dir, "demo.ko", bytes, len);
	put(f->dir, "log", "a log", 5);
	free(bytes);
	assert_int_equal(store_begin(f->builder, &t, NULL), 0);
	(void)snprintf(path, sizeof(path), "%s/demo.ko", f->dir);
	assert_int_equal(store_txn_add(t, path, "modules/demo.ko", NULL), 0);
	(void)snprintf(path, sizeof(path), "%s/log", f->dir);
	assert_int_equal(store_txn_add(t, path, "build.log.gz", NULL), 0);
	assert_int_equal(store_commit(TAKE(t), &a, NULL), 0);
}

static struct remote_want want(
	struct fixture *f, const char *key, const char digest[OCI_DIGEST_MAX + 1])
{
	return (struct remote_want){ .root = f->dir,
		.state = f->taker,
		.driver = "demo",
		.kernel = &f->kernel,
		.key = key,
		.digest = digest };
}

static void assert_nothing_left(const struct fixture *f)
{
	char path[PATH_MAX];

	assert_int_equal(path_join(path, sizeof(path), f->taker, "pull", NULL), 0);
	if (file_exists(path))
		assert_int_equal(rmdir(path), 0);
}

static void test_shared(void **state)
{
	struct fixture *f = *state;
	char digest[OCI_DIGEST_MAX + 1], again[OCI_DIGEST_MAX + 1];
	struct remote_want w = want(f, KEY, digest);
	struct artifact a = { 0 }, b = { 0 };
	struct err e = { 0 };

	build(f, KEY, "demo");
	assert_false(publish_find(f->builder, KEY, again));
	if (publish(f->loop, &f->remote, f->builder, KEY, digest, &e) < 0)
		fail_msg("%s", e.text);
	assert_true(publish_find(f->builder, KEY, again));
	assert_string_equal(digest, again);
	/* the same again: the same manifest */
	assert_int_equal(publish(f->loop, &f->remote, f->builder, KEY, again, NULL), 0);
	assert_string_equal(digest, again);

	if (remote_pull(f->loop, &f->remote, &w, &e) < 0)
		fail_msg("%s", e.text);
	assert_nothing_left(f);
	assert_int_equal(store_get(f->builder, KEY, &a, NULL), 0);
	assert_int_equal(store_get(f->taker, KEY, &b, NULL), 0);
	assert_string_equal(a.modules[0].sha256, b.modules[0].sha256);
	assert_string_equal(b.driver_version, "1.0");
	/* what the registry says of a module is not taken for it */
	assert_string_equal(b.modules[0].srcversion, "ABCDEF");
	assert_string_equal(b.modules[0].vermagic, RELEASE " " FLAGS);
	artifact_done(&a);
	artifact_done(&b);

	publish_gc(f->builder);
	assert_true(publish_find(f->builder, KEY, again));
	assert_int_equal(store_gc(f->builder, NULL, 0, NULL, NULL), 0);
	publish_gc(f->builder);
	assert_false(publish_find(f->builder, KEY, again));
}

static void test_nothing_else_is_taken(void **state)
{
	struct fixture *f = *state;
	char digest[OCI_DIGEST_MAX + 1], absent[OCI_DIGEST_MAX + 1], image[2048];
	struct remote_want w = want(f, OTHER_KEY, digest);
	struct err e = { 0 };

	build(f, KEY, "demo");
	assert_int_equal(publish(f->loop, &f->remote, f->builder, KEY, digest, NULL), 0);
	/* another key than ours */
	assert_int_equal(remote_pull(f->loop, &f->remote, &w, &e), -EBADMSG);
	assert_int_equal(e.reason, REASON_ARTIFACT_CORRUPT);
	assert_nothing_left(f);
	/* of another kernel */
	w.key = KEY;
	f->kernel.release[0] = '7';
	assert_int_equal(remote_pull(f->loop, &f->remote, &w, &e), -EBADMSG);
	f->kernel.release[0] = '6';
	/* our kernel has another printk */
	put(f->headers, "Module.symvers", SYMVERS("0x22222222"),
		strlen(SYMVERS("0x22222222")));
	assert_true(remote_pull(f->loop, &f->remote, &w, &e) < 0);
	assert_int_equal(e.reason, REASON_SYMBOL_CRC_MISMATCH);
	assert_false(store_has(f->taker, KEY));
	/* not there; no digest at all */
	(void)snprintf(absent, sizeof(absent), "sha256:" OTHER_KEY);
	w.digest = absent;
	assert_int_equal(remote_pull(f->loop, &f->remote, &w, &e), -ENOENT);
	w.digest = "latest";
	assert_int_equal(remote_pull(f->loop, &f->remote, &w, &e), -EINVAL);
	/* an image that is no artifact, though its digest is right */
	(void)snprintf(image, sizeof(image),
		"{\"schemaVersion\":2,\"config\":{\"digest\":\"%s\",\"size\":2},"
		"\"layers\":[],\"annotations\":{\"" REMOTE_NOTE_KEY "\":\"" KEY "\"}}",
		digest);
	w.digest = keep(f, image, strlen(image));
	assert_int_equal(remote_pull(f->loop, &f->remote, &w, &e), -EBADMSG);
	assert_false(store_has(f->taker, KEY));
	assert_false(store_has(f->taker, OTHER_KEY));
}

static void test_module_of_another_name(void **state)
{
	struct fixture *f = *state;
	char digest[OCI_DIGEST_MAX + 1];
	struct remote_want w = want(f, KEY, digest);
	struct err e = { 0 };

	build(f, KEY, "innocent");
	assert_int_equal(publish(f->loop, &f->remote, f->builder, KEY, digest, NULL), 0);
	assert_int_equal(remote_pull(f->loop, &f->remote, &w, &e), -EBADMSG);
	assert_non_null(strstr(e.text, "another name"));
	assert_false(store_has(f->taker, KEY));
}

static void test_damaged_is_not_published(void **state)
{
	struct fixture *f = *state;
	char digest[OCI_DIGEST_MAX + 1], path[PATH_MAX];

	build(f, KEY, "demo");
	(void)snprintf(path, sizeof(path), "store/00/%s/modules/demo.ko", KEY);
	put(f->builder, path, "x", 1);
	assert_int_equal(
		publish(f->loop, &f->remote, f->builder, KEY, digest, NULL), -EBADMSG);
	assert_int_equal(f->requests, 0);
	assert_int_equal(
		publish(f->loop, &f->remote, f->builder, OTHER_KEY, digest, NULL),
		-ENOENT);
}

static void test_what_may_be_shared(void **state)
{
	static const struct {
		const char *name;
		struct api_source s;
		bool may;
	} cases[] = {
		{ "host without digest", { .type = API_SOURCE_HOST }, false },
		{ "host with one", { .type = API_SOURCE_HOST, .host.sha256 = KEY },
			true },
		{ "archive", { .type = API_SOURCE_HTTP }, true },
		{ "image", { .type = API_SOURCE_OCI }, true },
		{ "inline", { .type = API_SOURCE_INLINE }, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (publish_is_shareable(&cases[i].s) != cases[i].may)
			fail_msg("case '%s'", cases[i].name);
}

/* ---- sources ---- */

static const char *image_of(struct fixture *f, const char *const *layers, size_t n)
{
	char text[2048];
	size_t len = (size_t)snprintf(text, sizeof(text),
		"{\"schemaVersion\":2,\"config\":{\"digest\":\"sha256:" KEY
		"\",\"size\":2},\"layers\":[");

	for (size_t i = 0; i < n; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
			"%s{\"digest\":\"%s\",\"size\":%zu}", i ? "," : "",
			keep(f, layers[i], strlen(layers[i])), strlen(layers[i]));
	(void)snprintf(text + len, sizeof(text) - len, "]}");
	return keep(f, text, strlen(text));
}

static int get_source(
	struct fixture *f, const char *digest, char path[PATH_MAX], struct err *e)
{
	char image[512];

	(void)snprintf(image, sizeof(image), "%s/src@%s", f->registry, digest);
	err_clear(e);
	return remote_source(f->loop, &f->remote, f->taker, image, path, e);
}

static void test_source(void **state)
{
	static const char *const layers[] = { "an archive", "another" };
	struct fixture *f = *state;
	const char *one = image_of(f, layers, 1), *two = image_of(f, layers, 2);
	char path[PATH_MAX], index[512];
	CLEANUP(freep) char *text = NULL;
	CLEANUP(freep) char *again = NULL;
	struct err e = { 0 };
	unsigned before;

	if (get_source(f, one, path, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(file_read(path, 1024, &text, NULL, NULL), 0);
	assert_string_equal(text, "an archive");
	/* kept: no network any more */
	before = f->requests;
	assert_int_equal(get_source(f, one, path, &e), 0);
	assert_int_equal(f->requests, before);
	/* damaged: only the layer is fetched */
	assert_int_equal(file_write_atomic(path, "AN ARCHIVE", 10, 0600, NULL), 0);
	assert_int_equal(get_source(f, one, path, &e), 0);
	assert_int_equal(f->requests, before + 1);
	assert_int_equal(file_read(path, 1024, &again, NULL, NULL), 0);
	assert_string_equal(again, "an archive");

	assert_int_equal(get_source(f, two, path, &e), -EINVAL);
	assert_int_equal(e.reason, REASON_SOURCE_INVALID);
	assert_int_equal(get_source(f, "sha256:" KEY, path, &e), -ENOENT);
	assert_int_equal(e.reason, REASON_SOURCE_UNAVAILABLE);
	(void)snprintf(index, sizeof(index),
		"{\"schemaVersion\":2,\"manifests\":[{\"digest\":\"%s\"}]}", one);
	assert_int_equal(get_source(f, keep(f, index, strlen(index)), path, &e), -EINVAL);
	assert_non_null(strstr(e.text, one));
	assert_int_equal(remote_source(f->loop, &f->remote, f->taker,
				 "127.0.0.1:1/team/src:v1", path, &e),
		-EINVAL);
	assert_int_equal(e.reason, REASON_SOURCE_INVALID);
	/* offline */
	fake_kill(&f->server);
	assert_int_equal(get_source(f, one, path, &e), 0);
}

static void test_source_is_known_by_its_digest(void **state)
{
	static const struct {
		const char *name, *image;
		int result;
	} cases[] = {
		{ "good", "r.example/src@sha256:" KEY, 0 },
		{ "with a tag", "r.example/src:v1@sha256:" KEY, 0 },
		{ "no digest", "r.example/src:v1", -EINVAL },
		{ "no registry", "src@sha256:" KEY, -EINVAL },
		{ "nothing", NULL, -EINVAL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct api_source in = { .type = API_SOURCE_OCI,
			.oci.image = cases[i].image };
		struct source s = { 0 };
		struct err e = { 0 };
		int r = source_open(&in, "/nowhere", API_BUILD_AUTO, &s, &e);

		if (r != cases[i].result || (r == 0 && !streq(s.digest, KEY)) ||
			(r < 0 && e.reason != REASON_SOURCE_INVALID))
			fail_msg("case '%s': %d %s", cases[i].name, r, e.text);
		source_done(&s);
	}
}

static void test_images_are_capped(void **state)
{
	struct fixture *f = *state;
	char path[PATH_MAX], text[32], first[PATH_MAX];
	const char *layer = text;
	struct err e = { 0 };

	for (int i = 0; i <= REMOTE_IMAGES_MAX; i++) {
		struct timespec old[2] = { { .tv_sec = 1000 + i },
			{ .tv_sec = 1000 + i } };

		(void)snprintf(text, sizeof(text), "archive %d", i);
		assert_int_equal(get_source(f, image_of(f, &layer, 1), path, &e), 0);
		if (i == 0)
			memcpy(first, path, sizeof(path));
		/* in this order, however fast */
		*strrchr(path, '/') = '\0';
		assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
		if (i == REMOTE_IMAGES_MAX - 1)
			assert_true(file_exists(first));
	}
	assert_false(file_exists(first));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_shared, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_nothing_else_is_taken, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_module_of_another_name, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_damaged_is_not_published, setup, teardown),
		cmocka_unit_test(test_what_may_be_shared),
		cmocka_unit_test_setup_teardown(test_source, setup, teardown),
		cmocka_unit_test(test_source_is_known_by_its_digest),
		cmocka_unit_test_setup_teardown(test_images_are_capped, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
