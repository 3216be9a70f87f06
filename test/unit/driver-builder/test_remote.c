// SPDX-License-Identifier: Apache-2.0
/* Artifacts that the fleet shares: what one node publishes another takes, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "remote_fixture.h"

static void test_shared(void **state)
{
	struct fixture *f = *state;
	struct published first, again;
	struct remote_want w = want(f, KEY, first.digest);
	struct artifact a = { 0 }, b = { 0 };
	struct err e = { 0 };

	build(f, KEY, "demo");
	assert_false(publish_find(f->builder, KEY, &again));
	if (publish(f->loop, &f->remote, f->builder, KEY, &first, &e) < 0)
		fail_msg("%s", e.text);
	assert_true(publish_find(f->builder, KEY, &again));
	assert_memory_equal(&first, &again, sizeof(first));
	assert_true(key_is_valid(first.unsigned_digest));
	/* the same again: the same manifest */
	assert_int_equal(publish(f->loop, &f->remote, f->builder, KEY, &again, NULL), 0);
	assert_memory_equal(&first, &again, sizeof(first));

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
	assert_true(publish_find(f->builder, KEY, &again));
	assert_int_equal(store_gc(f->builder, NULL, 0, NULL, NULL), 0);
	publish_gc(f->builder);
	assert_false(publish_find(f->builder, KEY, &again));
}

static void test_nothing_else_is_taken(void **state)
{
	struct fixture *f = *state;
	char absent[OCI_DIGEST_MAX + 1], image[2048];
	struct published pub;
	struct remote_want w = want(f, OTHER_KEY, pub.digest);
	struct err e = { 0 };

	build(f, KEY, "demo");
	assert_int_equal(publish(f->loop, &f->remote, f->builder, KEY, &pub, NULL), 0);
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
		pub.digest);
	w.digest = keep(f, image, strlen(image));
	assert_int_equal(remote_pull(f->loop, &f->remote, &w, &e), -EBADMSG);
	assert_false(store_has(f->taker, KEY));
	assert_false(store_has(f->taker, OTHER_KEY));
}

static void test_module_of_another_name(void **state)
{
	struct fixture *f = *state;
	struct published pub;
	struct remote_want w = want(f, KEY, pub.digest);
	struct err e = { 0 };

	build(f, KEY, "innocent");
	assert_int_equal(publish(f->loop, &f->remote, f->builder, KEY, &pub, NULL), 0);
	assert_int_equal(remote_pull(f->loop, &f->remote, &w, &e), -EBADMSG);
	assert_non_null(strstr(e.text, "another name"));
	assert_false(store_has(f->taker, KEY));
}

static void test_damaged_is_not_published(void **state)
{
	struct fixture *f = *state;
	struct published pub;
	char path[PATH_MAX];

	build(f, KEY, "demo");
	(void)snprintf(path, sizeof(path), "store/00/%s/modules/demo.ko", KEY);
	put(f->builder, path, "x", 1);
	assert_int_equal(
		publish(f->loop, &f->remote, f->builder, KEY, &pub, NULL), -EBADMSG);
	assert_int_equal(f->requests, 0);
	assert_int_equal(
		publish(f->loop, &f->remote, f->builder, OTHER_KEY, &pub, NULL), -ENOENT);
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
