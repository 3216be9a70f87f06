// SPDX-License-Identifier: Apache-2.0
/* Several builders have to agree: who is asked, what is handed on, and that those who lie do not get
 * theirs handed on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "controller/plan.h"
#include "quorum_fleet.h"

static const struct claim_note *noted(const struct fleet *f)
{
	return f->notes.n ? VIEW_AT(struct claim_note, f->notes, 0) : NULL;
}

static void assert_noted(const struct fleet *f, enum reason reason, const char *text)
{
	assert_non_null(noted(f));
	assert_string_equal(noted(f)->driver, "edu");
	if (noted(f)->reason != reason || !streq(noted(f)->text, text))
		fail_msg("%s: %s", reason_name(noted(f)->reason), noted(f)->text);
}

static void test_equal_bytes_are_handed_on(void **state)
{
	struct fleet f;

	quorum_init(&f, 5, 2, "n0,n1,n2");
	assert_int_equal(plan(&f, ~0U), 5);
	assert_asked(&f, 0, "n0", 1);
	assert_asked(&f, 1, "n1", 1);
	for (size_t i = 2; i < 5; i++) {
		assert_asked(&f, i, "n0", 1);
		assert_string_equal(said(&f, i)->asked, "n0=1000,n1=1000");
	}
	assert_int_equal(f.wake_at, f.now + LIMIT);
	f.now += 10;
	assert_int_equal(plan(&f, ~0U), 0);
	/* one is not enough */
	publish(&f, 0, GOOD);
	(void)plan(&f, ~0U);
	for (size_t i = 0; i < 5; i++)
		assert_null(handed(&f, i));
	assert_int_equal(plan(&f, ~0U), 0);
	/* the first of those who agree, by name, whoever was first */
	publish(&f, 1, GOOD);
	assert_int_equal(plan(&f, ~0U), 3);
	for (size_t i = 2; i < 5; i++) {
		assert_string_equal(handed(&f, i), manifests[0]);
		assert_string_equal(said(&f, i)->key, KEY);
		assert_string_equal(said(&f, i)->unsigned_digest, GOOD);
	}
	assert_null(handed(&f, 0));
	assert_int_equal(plan(&f, ~0U), 0);
	assert_null(noted(&f));
	/* one of them is a builder no more: it has to be agreed on anew */
	f.v.builders = "n1,n2";
	(void)plan(&f, ~0U);
	for (size_t i = 2; i < 5; i++)
		assert_null(handed(&f, i));
	assert_asked(&f, 2, "n2", 2);
	publish(&f, 2, GOOD);
	(void)plan(&f, ~0U);
	assert_string_equal(handed(&f, 3), manifests[1]);
	fleet_done(&f);
}

/* Whichever of three it is. */
static void test_a_liar_alone(void **state)
{
	for (size_t liar = 0; liar < 3; liar++) {
		struct fleet f;
		char text[128];

		quorum_init(&f, 4, 2, "n0,n1,n2");
		(void)plan(&f, ~0U);
		publish(&f, 0, liar == 0 ? EVIL : GOOD);
		publish(&f, 1, liar == 1 ? EVIL : GOOD);
		(void)plan(&f, ~0U);
		if (liar < 2) {
			assert_null(handed(&f, 3));
			assert_asked(&f, 2, "n2", 2);
			(void)snprintf(text, sizeof(text),
				"kernel 6.1: 'n%zu' built aaaa01234567, 'n%zu' built "
				"eeee01234567",
				1 - liar, liar);
			assert_noted(&f, REASON_BUILDERS_DISAGREE, text);
			publish(&f, 2, GOOD);
			(void)plan(&f, ~0U);
			/* what is agreed on is handed on, and the other one is still named */
			assert_int_equal(noted(&f)->reason, REASON_BUILDERS_DISAGREE);
			assert_non_null(strstr(noted(&f)->text, "'n2' built aaaa"));
		}
		assert_string_equal(handed(&f, 3), manifests[liar == 0 ? 1 : 0]);
		assert_string_equal(said(&f, 3)->unsigned_digest, GOOD);
		fleet_done(&f);
	}
}

static void test_nobody_agrees(void **state)
{
	struct fleet f;

	quorum_init(&f, 4, 2, "n0,n1");
	(void)plan(&f, ~0U);
	publish(&f, 0, GOOD);
	publish(&f, 1, EVIL);
	(void)plan(&f, ~0U);
	assert_asked(&f, 3, "n0", 1);
	assert_int_equal(f.wake_at, f.now + CLAIM_GATHER_S);
	/* no other builder comes: everyone for himself, and it stays so */
	f.now += CLAIM_GATHER_S;
	assert_int_equal(plan(&f, ~0U), 2);
	assert_asked(&f, 2, "", 2);
	assert_asked(&f, 3, "", 2);
	f.now += 10 * LIMIT;
	assert_int_equal(plan(&f, ~0U), 0);
	assert_noted(&f, REASON_BUILDERS_DISAGREE,
		"kernel 6.1: 'n0' built aaaa01234567, 'n1' built eeee01234567");
	/* a third one that may build decides it, for those that still wait */
	f.v.builders = "n0,n1,n2";
	assert_int_equal(plan(&f, ~0U), 2);
	assert_asked(&f, 2, "n2", 3);
	publish(&f, 2, GOOD);
	(void)plan(&f, ~0U);
	assert_string_equal(handed(&f, 3), manifests[0]);
	fleet_done(&f);
}

/* Enough on both sides: then the number says nothing any more. */
static void test_torn(void **state)
{
	struct fleet f;

	quorum_init(&f, 6, 2, "n?");
	f.v.builders = "n0,n1,n2,n3";
	for (size_t i = 0; i < 4; i++)
		publish(&f, i, i % 2 ? EVIL : GOOD);
	(void)plan(&f, ~0U);
	assert_null(handed(&f, 4));
	assert_noted(&f, REASON_BUILDERS_DISAGREE,
		"kernel 6.1: 'n0', 'n2' built aaaa01234567, 'n1', 'n3' built "
		"eeee01234567");
	f.now += CLAIM_GATHER_S;
	(void)plan(&f, ~0U);
	assert_string_equal(view_str(said(&f, 4)->node), "");
	assert_null(handed(&f, 5));
	assert_int_equal(plan(&f, ~0U), 0);
	fleet_done(&f);
}

/* Another compiler is another key: no quarrel, but no agreement either. */
static void test_other_keys(void **state)
{
	struct fleet f;

	quorum_init(&f, 4, 2, "n0,n1,n2");
	(void)plan(&f, ~0U);
	publish(&f, 0, GOOD);
	publish_as(&f, 1, "other", EVIL);
	(void)plan(&f, ~0U);
	assert_null(noted(&f));
	assert_null(handed(&f, 3));
	publish_as(&f, 2, "other", EVIL);
	(void)plan(&f, ~0U);
	assert_string_equal(handed(&f, 3), manifests[1]);
	assert_string_equal(said(&f, 3)->key, "other");
	fleet_done(&f);
}

static void test_too_few(void **state)
{
	struct fleet f;

	quorum_init(&f, 3, 3, "n0,n1");
	(void)plan(&f, ~0U);
	/* those that are there begin */
	assert_asked(&f, 0, "n0", 1);
	assert_asked(&f, 1, "n1", 1);
	assert_noted(&f, REASON_BUILDERS_TOO_FEW,
		"kernel 6.1: 2 of the 3 builders that have to agree");
	publish(&f, 0, GOOD);
	publish(&f, 1, GOOD);
	(void)plan(&f, ~0U);
	assert_null(handed(&f, 2));
	f.now += CLAIM_GATHER_S;
	(void)plan(&f, ~0U);
	assert_asked(&f, 2, "", 2);
	/* and it is said as long as it is so, also when nobody waits */
	f.rows[2].state = API_KERNEL_READY;
	assert_int_equal(plan(&f, ~0U), 0);
	assert_int_equal(noted(&f)->reason, REASON_BUILDERS_TOO_FEW);
	fleet_done(&f);

	/* none at all: no word, which nodes wait for only shortly */
	quorum_init(&f, 2, 2, "elsewhere");
	for (int i = 0; i < 3; i++) {
		assert_int_equal(plan(&f, ~0U), 0);
		assert_null(said(&f, 0));
		f.now += CLAIM_GATHER_S;
	}
	assert_int_equal(noted(&f)->reason, REASON_BUILDERS_TOO_FEW);
	/* all are builders: nobody is kept waiting, and nothing is missing */
	f.v.builders = "*";
	f.v.n_nodes = 1;
	(void)plan(&f, ~0U);
	assert_null(noted(&f));
	assert_asked(&f, 0, "n0", 1);
	fleet_done(&f);
}

static void test_one_comes_late(void **state)
{
	struct fleet f;

	quorum_init(&f, 3, 2, "n0,n1");
	f.nodes[1].is_ready = false;
	(void)plan(&f, ~0U);
	assert_string_equal(said(&f, 2)->asked, "n0=1000");
	assert_null(noted(&f)); /* it is away, not missing */
	f.now += CLAIM_GATHER_S - 1;
	f.nodes[1].is_ready = true;
	(void)plan(&f, ~0U);
	assert_string_equal(said(&f, 2)->asked, "n0=1000,n1=1119");
	assert_asked(&f, 1, "n1", 2);
	publish(&f, 1, GOOD);
	publish(&f, 0, GOOD);
	(void)plan(&f, ~0U);
	assert_string_equal(handed(&f, 2), manifests[0]);
	fleet_done(&f);
}

static void test_passes_on(void **state)
{
	struct fleet f;

	quorum_init(&f, 5, 2, "n0,n1,n2,n3");
	(void)plan(&f, ~0U);
	/* one fails, the other takes too long */
	f.rows[0].state = API_KERNEL_FAILED;
	(void)plan(&f, ~0U);
	assert_asked(&f, 2, "n2", 2);
	assert_asked(&f, 1, "n1", 2);
	assert_int_equal(said(&f, 1)->since, 1000);
	f.now += LIMIT;
	(void)plan(&f, ~0U);
	assert_asked(&f, 3, "n3", 3);
	assert_string_equal(said(&f, 4)->asked, "n0=1000,n1=1000,n2=1000,n3=3700");
	/* late, but not too late */
	publish(&f, 1, GOOD);
	publish(&f, 3, GOOD);
	(void)plan(&f, ~0U);
	assert_string_equal(handed(&f, 4), manifests[1]);
	fleet_done(&f);
}

/* What was not built there is no vote: taken from the registry, of a node that nobody named, of another
 * generation, no digest. */
static void test_what_is_no_vote(void **state)
{
	static const struct {
		const char *name, *digest;
		bool is_unnamed, is_old, is_unpublished;
	} cases[] = {
		{ .name = "not compiled there", .digest = "none" },
		{ .name = "says nothing", .digest = NULL },
		{ .name = "cut short", .digest = "aaaa" },
		{ .name = "nobody named it", .digest = GOOD, .is_unnamed = true },
		{ .name = "of another generation", .digest = GOOD, .is_old = true },
		{ .name = "not published", .digest = GOOD, .is_unpublished = true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fleet f;

		quorum_init(&f, 4, 2, cases[i].is_unnamed ? "n0,n2" : "n0,n1,n2");
		(void)plan(&f, ~0U);
		publish(&f, 0, GOOD);
		publish(&f, 1, cases[i].digest);
		if (cases[i].is_old)
			f.rows[1].generation = 1;
		if (cases[i].is_unpublished)
			f.rows[1].digest = NULL;
		(void)plan(&f, ~0U);
		if (handed(&f, 3))
			fail_msg("case '%s'", cases[i].name);
		/* sooner or later another one is asked */
		f.now += LIMIT;
		(void)plan(&f, ~0U);
		publish(&f, 2, GOOD);
		(void)plan(&f, ~0U);
		if (!handed(&f, 3) || !streq(handed(&f, 3), manifests[0]))
			fail_msg("case '%s': after it", cases[i].name);
		fleet_done(&f);
	}
}

static void test_another_number(void **state)
{
	struct fleet f;

	quorum_init(&f, 4, 1, "n0,n1");
	(void)plan(&f, ~0U);
	assert_null(said(&f, 3)->asked);
	publish(&f, 0, GOOD);
	(void)plan(&f, ~0U);
	assert_string_equal(handed(&f, 3), manifests[0]);
	assert_null(said(&f, 3)->unsigned_digest);
	/* two from now on: what one said is taken back */
	f.v.quorum = 2;
	(void)plan(&f, ~0U);
	assert_null(handed(&f, 3));
	assert_string_equal(said(&f, 3)->asked, "n1=1000");
	publish(&f, 1, GOOD);
	(void)plan(&f, ~0U);
	assert_string_equal(handed(&f, 3), manifests[0]);
	assert_string_equal(said(&f, 3)->unsigned_digest, GOOD);
	/* and back */
	f.v.quorum = 1;
	(void)plan(&f, ~0U);
	assert_non_null(handed(&f, 3));
	assert_null(said(&f, 3)->unsigned_digest);
	assert_null(said(&f, 3)->asked);
	fleet_done(&f);
}

/* ---- what an admin sees ---- */

static const struct api_condition *degraded(
	struct fleet *f, struct view_driver *driver, struct plan *p)
{
	struct view_driver *drivers[] = { driver };
	const struct api_condition *found = NULL;

	f->v.drivers = drivers;
	f->v.n_drivers = 1;
	arena_reset(f->arena);
	assert_int_equal(plan_make(f->arena, &f->v, f->now, p), 0);
	for (size_t i = 0; i < p->drivers[0].conditions.n; i++) {
		const struct api_condition *c = VIEW_AT(
			struct api_condition, p->drivers[0].conditions, i);

		if (streq(c->type, "Degraded"))
			found = c;
	}
	assert_non_null(found);
	return found;
}

static void test_conditions(void **state)
{
	struct view_driver driver = { .name = "edu",
		.generation = 2,
		.selector = 1,
		.has_spec = true,
		.d.meta.generation = 2 };
	struct fleet f;
	struct plan p;

	quorum_init(&f, 3, 2, "n0,n1");
	f.assign.selector = 1;
	for (size_t i = 0; i < 3; i++) {
		f.nodes[i].has_acc = f.nodes[i].is_known = true;
		f.nodes[i].assigns = f.assigns[i];
		f.nodes[i].upgrade = (struct view_upgrade){
			.target = "", .reason = "", .message = ""
		};
		f.rows[i].reason = f.rows[i].artifact = "";
	}
	assert_string_equal(degraded(&f, &driver, &p)->status, "False");
	publish(&f, 0, GOOD);
	publish(&f, 1, EVIL);
	assert_string_equal(degraded(&f, &driver, &p)->reason, "BuildersDisagree");
	assert_string_equal(degraded(&f, &driver, &p)->message,
		"kernel 6.1: 'n0' built aaaa01234567, 'n1' built eeee01234567");
	assert_string_equal(degraded(&f, &driver, &p)->status, "True");
	f.v.builders = "n0";
	assert_string_equal(degraded(&f, &driver, &p)->reason, "BuildersTooFew");
	assert_string_equal(degraded(&f, &driver, &p)->message,
		"kernel 6.1: 1 of the 2 builders that have to agree");
	f.v.quorum = 1;
	assert_string_equal(degraded(&f, &driver, &p)->status, "False");
	fleet_done(&f);
}

/* The record of who was asked is ours, but whatever it holds must not hurt. */
static void test_hostile_records(void **state)
{
	static const char *const texts[] = { "", ",", "=", "n0", "n0=", "=1", "n0=x",
		"n0=1,,n1", "n0=99999999999999999999", "n0=-5",
		"n0=1,n0=1,n0=1,n0=1,n0=1,n0=1,n0=1,n0=1,n0=1,n0=1,n0=1,n0=1,n0=1,n0=1,"
		"n0=1,n0=1",
		"somebody=1000,else=1000", "n0=9223372036854775807" };

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct fleet f;

		quorum_init(&f, 3, 2, "*");
		f.stored[0][0] = (struct view_build){ .driver = "edu",
			.kernel = "6.1",
			.node = "n0",
			.generation = 2,
			.epoch = 1,
			.since = 1000,
			.asked = texts[i] };
		f.nodes[0].builds = (struct list){ f.stored[0], 1 };
		(void)plan(&f, ~0U);
		publish(&f, 0, GOOD);
		publish(&f, 1, GOOD);
		(void)plan(&f, ~0U);
		if (!handed(&f, 2))
			fail_msg("case '%s'", texts[i]);
		fleet_done(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equal_bytes_are_handed_on),
		cmocka_unit_test(test_a_liar_alone),
		cmocka_unit_test(test_nobody_agrees),
		cmocka_unit_test(test_torn),
		cmocka_unit_test(test_other_keys),
		cmocka_unit_test(test_too_few),
		cmocka_unit_test(test_one_comes_late),
		cmocka_unit_test(test_passes_on),
		cmocka_unit_test(test_what_is_no_vote),
		cmocka_unit_test(test_another_number),
		cmocka_unit_test(test_conditions),
		cmocka_unit_test(test_hostile_records),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
