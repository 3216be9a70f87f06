// SPDX-License-Identifier: Apache-2.0
/* Whose turn a build is; publishing in the background; taking only what we would build. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "driver-builder/build_work.h"
#include "driver-builder/publisher.h"
#include "driver-builder/share.h"
#include "file.h"

#define KEY "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define OTHER_KEY "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define DIGEST "sha256:" KEY
#define SINCE 1000

static void test_turns(void **state)
{
	static const struct {
		const char *name;
		struct api_node_build b;
		bool is_said, is_up;
		uint64_t until;
	} cases[] = {
		{ "nothing said", { 0 }, false, true, SINCE + SHARE_GRACE_US },
		{ "nothing said, API away", { 0 }, false, false, SINCE + SHARE_GRACE_US },
		{ "ours", { .node = "n1" }, true, true, 0 },
		{ "ours, API away", { .node = "n1" }, true, false, 0 },
		{ "another's", { .node = "n2" }, true, true, SINCE + SHARE_WAIT_US },
		{ "another's, API away", { .node = "n2" }, true, false,
			SINCE + SHARE_GRACE_US },
		{ "everybody's", { .node = "" }, true, true, 0 },
		{ "everybody's too", { .node = NULL }, true, true, 0 },
		{ "published", { .node = "n2", .key = KEY, .digest = DIGEST }, true, true,
			0 },
		{ "a digest without a key", { .node = "n2", .digest = DIGEST }, true,
			true, SINCE + SHARE_WAIT_US },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t until = share_wait_until(cases[i].is_said ? &cases[i].b : NULL,
			"n1", cases[i].is_up, SINCE);

		if (until != cases[i].until)
			fail_msg("case '%s': %llu", cases[i].name,
				(unsigned long long)until);
	}
}

struct fixture {
	char dir[64];
	struct arena *arena;
	struct share share;
	struct api_node_driver d;
	struct api_node_build b;
	struct list builds;
};

static int setup(void **state)
{
	static struct fixture f;

	f = (struct fixture){
		.share = { .is_on = true, .is_up = true, .node = "n1", .state = f.dir },
		.d = { .name = "edu",
			.generation = 2,
			.spec.source = { .type = API_SOURCE_INLINE } },
		.b = { .driver = "edu", .generation = 2, .kernel = "6.1", .node = "n2" },
		.builds = { &f.b, 1 }
	};
	(void)snprintf(f.dir, sizeof(f.dir), "/tmp/farrier-share-XXXXXX");
	assert_non_null(mkdtemp(f.dir));
	f.arena = arena_new(1 << 20);
	assert_non_null(f.arena);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	share_done(&f->share);
	arena_free(f->arena);
	return dir_remove(f->dir, NULL);
}

static struct plan_pair look(
	struct fixture *f, enum plan_artifact artifact, const char *kernel, uint64_t now)
{
	struct plan_pair p = { .artifact = artifact, .key = KEY };

	assert_int_equal(
		share_look(&f->share, f->arena, &f->builds, &f->d, kernel, now, &p), 0);
	return p;
}

static void test_waits_and_stops_waiting(void **state)
{
	struct fixture *f = *state;
	struct plan_pair p = look(f, PLAN_ARTIFACT_NONE, "6.1", 5000);

	assert_int_equal(p.artifact, PLAN_ARTIFACT_WAITING);
	assert_int_equal(p.failure.reason, REASON_BUILD_ELSEWHERE);
	assert_int_equal(p.failure.retry_at_us, 5000 + SHARE_WAIT_US);
	assert_non_null(strstr(p.failure.message, "n2"));
	/* since the first look */
	p = look(f, PLAN_ARTIFACT_NONE, "6.1", 9000);
	assert_int_equal(p.failure.retry_at_us, 5000 + SHARE_WAIT_US);
	/* the API goes away: not for ever */
	f->share.is_up = false;
	p = look(f, PLAN_ARTIFACT_NONE, "6.1", 5000 + SHARE_GRACE_US);
	assert_int_equal(p.artifact, PLAN_ARTIFACT_NONE);
	f->share.is_up = true;
	p = look(f, PLAN_ARTIFACT_NONE, "6.1", 5000 + SHARE_WAIT_US - 1);
	assert_int_equal(p.artifact, PLAN_ARTIFACT_WAITING);
	p = look(f, PLAN_ARTIFACT_NONE, "6.1", 5000 + SHARE_WAIT_US);
	assert_int_equal(p.artifact, PLAN_ARTIFACT_NONE);
	/* another generation is another wait, and nobody has spoken of it */
	f->d.generation = 3;
	p = look(f, PLAN_ARTIFACT_NONE, "6.1", 5000 + SHARE_WAIT_US);
	assert_int_equal(p.failure.retry_at_us, 5000 + SHARE_WAIT_US + SHARE_GRACE_US);
	/* another kernel too */
	p = look(f, PLAN_ARTIFACT_NONE, "6.12", 7000);
	assert_int_equal(p.failure.retry_at_us, 7000 + SHARE_GRACE_US);
	/* what failed here, or is ready, or runs, is not touched */
	for (int a = 0; a < PLAN_ARTIFACTS_; a++)
		if (a != PLAN_ARTIFACT_NONE)
			assert_int_equal(
				look(f, (enum plan_artifact)a, "7", 1).artifact, a);
	/* a host's own folder is nobody else's business; nor is anything without a registry */
	f->d.spec.source.type = API_SOURCE_HOST;
	assert_int_equal(
		look(f, PLAN_ARTIFACT_NONE, "7", 1).artifact, PLAN_ARTIFACT_NONE);
	f->d.spec.source.type = API_SOURCE_INLINE;
	f->share.is_on = false;
	assert_int_equal(
		look(f, PLAN_ARTIFACT_NONE, "7", 1).artifact, PLAN_ARTIFACT_NONE);
}

static void test_compared(void **state)
{
	struct fixture *f = *state;

	assert_false(share_is_compared(&f->b));
	assert_false(share_asks(&f->b, "n1"));
	assert_true(share_asks(&f->b, "n2"));
	assert_false(share_asks(&f->b, NULL));
	f->b.asked = "n2=1,n3=1";
	assert_true(share_is_compared(&f->b));
	assert_non_null(strstr(look(f, PLAN_ARTIFACT_NONE, "6.1", 1).failure.message,
		"'n2' and others"));
	f->b.key = KEY, f->b.digest = DIGEST;
	assert_false(share_asks(&f->b, "n2"));
}

static void test_what_is_ours(void **state)
{
	struct fixture *f = *state;
	struct plan_pair p = { .artifact = PLAN_ARTIFACT_READY, .key = KEY };
	char dir[96], path[192];

	assert_false(share_is_ours(&f->share, &f->builds, &f->d, "6.1", &p));
	f->b.node = "n1";
	assert_true(share_is_ours(&f->share, &f->builds, &f->d, "6.1", &p));
	assert_false(share_is_ours(&f->share, &f->builds, &f->d, "6.2", &p));
	f->b.key = KEY, f->b.digest = DIGEST;
	assert_false(share_is_ours(&f->share, &f->builds, &f->d, "6.1", &p));
	f->b.key = f->b.digest = NULL;
	p.artifact = PLAN_ARTIFACT_BUILDING;
	assert_false(share_is_ours(&f->share, &f->builds, &f->d, "6.1", &p));
	/* published already: told in the status, not done again */
	(void)snprintf(dir, sizeof(dir), "%s/published", f->dir);
	(void)snprintf(path, sizeof(path), "%s/" KEY, dir);
	assert_int_equal(dir_make(dir, 0755, NULL), 0);
	assert_int_equal(
		file_write_atomic(path, DIGEST "\n", strlen(DIGEST) + 1, 0644, NULL), 0);
	p = look(f, PLAN_ARTIFACT_READY, "6.1", 1);
	assert_string_equal(p.digest, DIGEST);
	assert_null(p.unsigned_digest);
	assert_false(share_is_ours(&f->share, &f->builds, &f->d, "6.1", &p));
	/* but by an older agent: done again, where it is to be compared */
	f->b.asked = "n1=1,n2=1";
	assert_true(share_is_ours(&f->share, &f->builds, &f->d, "6.1", &p));
	assert_int_equal(file_write_atomic(path, DIGEST "\n" OTHER_KEY "\n",
				 strlen(DIGEST "\n" OTHER_KEY "\n"), 0644, NULL),
		0);
	p = look(f, PLAN_ARTIFACT_READY, "6.1", 1);
	assert_string_equal(p.digest, DIGEST);
	assert_string_equal(p.unsigned_digest, OTHER_KEY);
	assert_false(share_is_ours(&f->share, &f->builds, &f->d, "6.1", &p));
	f->b.asked = NULL;
	/* a damaged note is none */
	assert_int_equal(file_write_atomic(path, "sha256:../x\n", 12, 0644, NULL), 0);
	assert_null(look(f, PLAN_ARTIFACT_READY, "6.1", 1).digest);
}

/* ---- in the background ---- */

struct told {
	bool is_done;
	int code;
};

static void on_told(const char *driver, const char *kernel, const char *key,
	const struct err *result, void *user)
{
	struct told *t = user;

	assert_string_equal(driver, "edu");
	assert_string_equal(kernel, "6.1");
	assert_string_equal(key, KEY);
	*t = (struct told){ true, result->code };
}

static void test_publisher_backs_off(void **state)
{
	struct fixture *f = *state;
	struct remote remote = { .registry = "127.0.0.1:1/x" };
	struct publisher *p = NULL;
	struct loop *l = NULL;
	struct told t = { 0 };
	uint64_t again;

	assert_int_equal(loop_new(&l, NULL, NULL), 0);
	assert_int_equal(publisher_new(l, &remote, f->dir, on_told, &t, &p, NULL), 0);
	assert_int_equal(publisher_add(p, "edu", "6.1", KEY), UINT64_MAX);
	/* one at a time */
	assert_int_equal(publisher_add(p, "edu", "6.1", OTHER_KEY), UINT64_MAX);
	while (!t.is_done)
		assert_true(loop_step(l, USEC_PER_SEC) >= 0);
	assert_int_equal(t.code, -ENOENT); /* the store has no such artifact */
	again = publisher_add(p, "edu", "6.1", KEY);
	assert_true(again > loop_wall(l) && again != UINT64_MAX);
	publisher_free(p);
	loop_free(l);
}

/* ---- taking ---- */

static void test_take_only_what_we_would_build(void **state)
{
	struct fixture *f = *state;
	struct remote remote = { .registry = "127.0.0.1:1/x" };
	const struct api_driver_spec spec = { .version = "1.0" };
	struct build_request q = { .state = f->dir,
		.root = f->dir,
		.driver = "edu",
		.spec = &spec,
		.remote = &remote,
		.published_key = OTHER_KEY,
		.published_digest = DIGEST };
	struct build_result *res = calloc(1, sizeof(*res));
	struct work *w = calloc(1, sizeof(*w));

	assert_non_null(res);
	assert_non_null(w);
	w->q = &q;
	w->res = res;
	memcpy(res->key, KEY, sizeof(res->key));
	assert_false(build_take(w));
	assert_int_equal(res->warnings_n, 1);
	/* nothing published, no registry, or by force: not even asked */
	q.published_key = NULL;
	assert_false(build_take(w));
	q.published_key = KEY;
	remote.registry = NULL;
	assert_false(build_take(w));
	remote.registry = "127.0.0.1:1/x";
	q.force = true;
	assert_false(build_take(w));
	assert_int_equal(res->warnings_n, 1);
	assert_false(res->is_pulled);
	/* a digest that is none */
	q.force = false;
	q.published_digest = "latest";
	assert_false(build_take(w));
	assert_int_equal(res->warnings_n, 2);
	assert_int_equal(res->refused.code, -EINVAL);
	/* what is to be compared with others' is not theirs */
	q.is_compared = true;
	assert_false(build_take(w));
	assert_int_equal(res->warnings_n, 2);
	free(w);
	free(res);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_turns),
		cmocka_unit_test_setup_teardown(
			test_waits_and_stops_waiting, setup, teardown),
		cmocka_unit_test_setup_teardown(test_compared, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_is_ours, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_publisher_backs_off, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_take_only_what_we_would_build, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
