// SPDX-License-Identifier: Apache-2.0
/* What builders of one key have in common, and that nothing else is taken where they had to agree. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "remote_fixture.h"

/* A builder that was broken into publishes something, and says of it what the honest ones say of theirs. */
static void test_only_what_was_agreed_on_is_taken(void **state)
{
	struct fixture *f = *state;
	struct published honest, liar;
	struct remote_want w = want(f, KEY, liar.digest);
	struct artifact a = { 0 };
	struct err e = { 0 };

	build(f, KEY, "demo");
	assert_int_equal(publish(f->loop, &f->remote, f->builder, KEY, &honest, NULL), 0);
	assert_int_equal(store_gc(f->builder, NULL, 0, NULL, NULL), 0);
	build_as(f, KEY, "demo", false);
	assert_int_equal(publish(f->loop, &f->remote, f->builder, KEY, &liar, NULL), 0);
	assert_string_not_equal(honest.unsigned_digest, liar.unsigned_digest);
	w.unsigned_digest = honest.unsigned_digest;
	assert_int_equal(remote_pull(f->loop, &f->remote, &w, &e), -EBADMSG);
	assert_int_equal(e.reason, REASON_ARTIFACT_NOT_AGREED);
	assert_non_null(strstr(e.text, "agreed"));
	assert_false(store_has(f->taker, KEY));
	assert_nothing_left(f);
	/* nor anything while what was agreed on is no digest */
	err_clear(&e);
	w.digest = honest.digest;
	w.unsigned_digest = UNSIGNED_NONE;
	assert_int_equal(remote_pull(f->loop, &f->remote, &w, &e), -EBADMSG);
	assert_int_equal(e.reason, REASON_ARTIFACT_NOT_AGREED);
	assert_false(store_has(f->taker, KEY));
	/* and the honest one is taken, with nothing that its publisher says of itself */
	w.unsigned_digest = honest.unsigned_digest;
	w.recipe = OTHER_KEY;
	w.config_digest = "";
	assert_int_equal(remote_pull(f->loop, &f->remote, &w, NULL), 0);
	assert_int_equal(store_get(f->taker, KEY, &a, NULL), 0);
	assert_false(a.is_compiled);
	assert_string_equal(a.recipe, OTHER_KEY);
	assert_string_equal(a.config_digest, "");
	artifact_done(&a);
	/* which it may publish again, but not as its own work */
	assert_int_equal(publish(f->loop, &f->remote, f->taker, KEY, &liar, NULL), 0);
	assert_string_equal(liar.unsigned_digest, UNSIGNED_NONE);
}

static void test_notes_of_what_was_published(void **state)
{
	static const struct {
		const char *name, *text, *unsigned_digest; /* NULL: not published */
	} cases[] = {
		{ "of an older agent", "sha256:" KEY "\n", "" },
		{ "whole", "sha256:" KEY "\n" OTHER_KEY "\n", OTHER_KEY },
		{ "not compiled here", "sha256:" KEY "\n" UNSIGNED_NONE "\n",
			UNSIGNED_NONE },
		{ "cut short", "sha256:" KEY "\n00ff", "" },
		{ "no line end", "sha256:" KEY, "" },
		{ "a third line", "sha256:" KEY "\n" OTHER_KEY "\nx\n", OTHER_KEY },
		{ "the first cut short", "sha256:00\n" OTHER_KEY "\n", NULL },
		{ "something else", "../../x\n" OTHER_KEY "\n", NULL },
		{ "empty", "", NULL },
	};
	struct fixture *f = *state;
	char path[PATH_MAX];
	struct published p;

	assert_int_equal(path_join(path, sizeof(path), f->builder, "published", NULL), 0);
	assert_int_equal(mkdir(path, 0755), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		bool is_found;

		put(f->builder, "published/" KEY, cases[i].text, strlen(cases[i].text));
		is_found = publish_find(f->builder, KEY, &p);
		if (is_found != (cases[i].unsigned_digest != NULL) ||
			(is_found && (!streq(p.digest, "sha256:" KEY) ||
					     !streq(p.unsigned_digest,
						     cases[i].unsigned_digest))))
			fail_msg("case '%s'", cases[i].name);
	}
}

/* ---- without signatures ---- */

#define TRAILER(len) \
	"signed" \
	"\0\0\2\0\0\0\0\0\0\0\0" len "~Module signature appended~\n"

static void write_two(
	struct fixture *f, const char *a, size_t a_len, const char *b, size_t b_len)
{
	put(f->dir, "modules/a.ko", a, a_len);
	put(f->dir, "modules/b.ko", b, b_len);
}

static void test_signatures_do_not_count(void **state)
{
	static const char one[] = "one" TRAILER("\6"), bad[] = "one" TRAILER("\177"),
			  twice[] = "one" TRAILER("\6") TRAILER("\6");
	struct fixture *f = *state;
	struct artifact_module m[] = { { .file = "modules/a.ko", .name = "a" },
		{ .file = "modules/b.ko", .name = "b" } };
	struct artifact_module turned[] = { m[1], m[0] };
	struct artifact a = { .modules = m, .modules_n = 2 };
	char path[PATH_MAX], was[DIGEST_HEX + 1], now[DIGEST_HEX + 1];
	struct err e = { 0 };

	assert_int_equal(path_join(path, sizeof(path), f->dir, "modules", NULL), 0);
	assert_int_equal(mkdir(path, 0755), 0);
	write_two(f, "one", 3, "two", 3);
	assert_int_equal(unsigned_digest(&a, f->dir, was, NULL), 0);
	/* signed, and in another order */
	write_two(f, one, sizeof(one) - 1, "two", 3);
	assert_int_equal(unsigned_digest(&a, f->dir, now, NULL), 0);
	assert_string_equal(was, now);
	a.modules = turned;
	assert_int_equal(unsigned_digest(&a, f->dir, now, NULL), 0);
	assert_string_equal(was, now);
	a.modules = m;
	/* a kernel takes one signature off, and so do we */
	write_two(f, twice, sizeof(twice) - 1, "two", 3);
	assert_int_equal(unsigned_digest(&a, f->dir, now, NULL), 0);
	assert_string_not_equal(was, now);
	write_two(f, bad, sizeof(bad) - 1, "two", 3);
	assert_int_equal(unsigned_digest(&a, f->dir, now, &e), -ENOEXEC);
	assert_int_equal(e.reason, REASON_MODULE_INVALID);
	/* everything else does */
	write_two(f, "one", 3, "twO", 3);
	assert_int_equal(unsigned_digest(&a, f->dir, now, NULL), 0);
	assert_string_not_equal(was, now);
	write_two(f, "two", 3, "one", 3);
	assert_int_equal(unsigned_digest(&a, f->dir, now, NULL), 0);
	assert_string_not_equal(was, now);
	write_two(f, "one", 3, "two", 3);
	a.modules_n = 1;
	assert_int_equal(unsigned_digest(&a, f->dir, now, NULL), 0);
	assert_string_not_equal(was, now);
	a.modules_n = 2;
	a.depends_n = 1;
	memcpy(a.depends[0], KEY, sizeof(KEY));
	assert_int_equal(unsigned_digest(&a, f->dir, now, NULL), 0);
	assert_string_not_equal(was, now);
	a.depends_n = 0;
	(void)snprintf(a.package, sizeof(a.package), "other");
	assert_int_equal(unsigned_digest(&a, f->dir, now, NULL), 0);
	assert_string_not_equal(was, now);
	a.package[0] = '\0';
	assert_int_equal(unsigned_digest(&a, f->dir, now, NULL), 0);
	assert_string_equal(was, now);
	/* a file that is not there */
	(void)snprintf(m[1].file, sizeof(m[1].file), "modules/c.ko");
	assert_int_equal(unsigned_digest(&a, f->dir, now, NULL), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_only_what_was_agreed_on_is_taken, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_notes_of_what_was_published, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_signatures_do_not_count, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
