// SPDX-License-Identifier: Apache-2.0
/* The states of a device's health over made-up facts and time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "device-plugin/health.h"

#define S USEC_PER_SEC

static struct health_facts good(void)
{
	return (struct health_facts){ .is_present = true,
		.answers = true,
		.needs_driver = true,
		.driver = "edu",
		.wanted_driver = "edu",
		.link = { true, 16, 160, 16, 160 },
		.link_was = 16,
		.file = HEALTH_FILE_GOOD,
		.file_text = "0" };
}

static void gone(struct health_facts *f)
{
	f->is_present = false;
	f->driver = "";
}
static void off_bus(struct health_facts *f)
{
	f->answers = false;
}
static void other_driver(struct health_facts *f)
{
	f->driver = "vfio-pci";
}
static void no_driver(struct health_facts *f)
{
	f->driver = "";
}
static void no_node(struct health_facts *f)
{
	f->missing_node = "/dev/edu0";
}
static void fatal(struct health_facts *f)
{
	f->aer_fatal = 1;
}
static void storm(struct health_facts *f)
{
	f->aer_nonfatal = 1000000;
}
static void nonfatal(struct health_facts *f)
{
	f->aer_nonfatal = 1;
}
static void ill(struct health_facts *f)
{
	f->file = HEALTH_FILE_ILL;
	f->file_text = "1";
}
static void silent(struct health_facts *f)
{
	f->file = HEALTH_FILE_SILENT;
	f->file_text = "Connection timed out";
}
static void command_ill(struct health_facts *f)
{
	f->command = HEALTH_FILE_ILL;
	f->command_name = "/opt/check";
	f->command_text = "exit status 3: too hot";
}
static void command_silent(struct health_facts *f)
{
	f->command = HEALTH_FILE_SILENT;
	f->command_name = "/opt/check";
	f->command_text = "no end within 5 s, killed";
}
static void command_failed(struct health_facts *f)
{
	f->command = HEALTH_FILE_FAILED;
	f->command_name = "/opt/check";
	f->command_text = "No such file or directory";
}
static void link_down(struct health_facts *f)
{
	f->link.width = f->link.speed = 0;
}
static void narrowed(struct health_facts *f)
{
	f->link.width = 4;
}
static void slow(struct health_facts *f)
{
	f->link.speed = 25;
}
static void no_link(struct health_facts *f)
{
	f->link = (struct pci_link){ 0 };
}

/* Each sign alone: the state at once, after it lasted, and after it went and some time passed. */
static const struct {
	const char *name;
	void (*sign)(struct health_facts *f);
	enum health at_once, lasting, cleared;
	enum reason reason;
	const char *text;
} signs[] = {
	{ "gone", gone, HEALTH_UNHEALTHY, HEALTH_UNHEALTHY, HEALTH_HEALTHY,
		REASON_DEVICE_LOST, "the device is gone from the bus" },
	{ "off the bus", off_bus, HEALTH_UNHEALTHY, HEALTH_UNHEALTHY, HEALTH_HEALTHY,
		REASON_DEVICE_LOST,
		"its configuration space reads all ones: it fell off the bus" },
	{ "other driver", other_driver, HEALTH_UNHEALTHY, HEALTH_UNHEALTHY,
		HEALTH_HEALTHY, REASON_DRIVER_NOT_BOUND,
		"driver 'vfio-pci' is bound, the class wants 'edu'" },
	{ "no driver", no_driver, HEALTH_UNHEALTHY, HEALTH_UNHEALTHY, HEALTH_HEALTHY,
		REASON_DRIVER_NOT_BOUND, "no driver is bound, the class wants 'edu'" },
	{ "no node", no_node, HEALTH_UNHEALTHY, HEALTH_UNHEALTHY, HEALTH_HEALTHY,
		REASON_DEVICE_ABSENT, "device node '/dev/edu0' is missing" },
	{ "fatal error", fatal, HEALTH_UNHEALTHY, HEALTH_UNHEALTHY, HEALTH_UNHEALTHY,
		REASON_DEVICE_ERRORS, "it reported fatal PCI errors" },
	{ "errors", storm, HEALTH_UNHEALTHY, HEALTH_UNHEALTHY, HEALTH_UNHEALTHY,
		REASON_DEVICE_ERRORS, "it reported many PCI errors" },
	{ "an error", nonfatal, HEALTH_SUSPECT, HEALTH_UNHEALTHY, HEALTH_UNHEALTHY,
		REASON_DEVICE_ERRORS, "it reported non-fatal PCI errors" },
	{ "ill", ill, HEALTH_SUSPECT, HEALTH_UNHEALTHY, HEALTH_RECOVERING,
		REASON_DEVICE_ILL, "its health file says '1'" },
	{ "silent", silent, HEALTH_SUSPECT, HEALTH_UNHEALTHY, HEALTH_RECOVERING,
		REASON_DEVICE_ILL,
		"its health file does not answer: Connection timed out" },
	{ "command ill", command_ill, HEALTH_SUSPECT, HEALTH_UNHEALTHY, HEALTH_RECOVERING,
		REASON_DEVICE_ILL,
		"its health command '/opt/check': exit status 3: too hot" },
	{ "command silent", command_silent, HEALTH_SUSPECT, HEALTH_UNHEALTHY,
		HEALTH_RECOVERING, REASON_DEVICE_ILL,
		"its health command '/opt/check': no end within 5 s, killed" },
	{ "command failed", command_failed, HEALTH_SUSPECT, HEALTH_SUSPECT,
		HEALTH_SUSPECT, REASON_DEVICE_ILL,
		"its health command '/opt/check' cannot be run: No such file or directory" },
	{ "link down", link_down, HEALTH_SUSPECT, HEALTH_UNHEALTHY, HEALTH_RECOVERING,
		REASON_LINK_DEGRADED, "its PCI link is down" },
	{ "narrowed", narrowed, HEALTH_SUSPECT, HEALTH_UNHEALTHY, HEALTH_RECOVERING,
		REASON_LINK_DEGRADED, "its PCI link has 4 lanes and had 16" },
	{ "slow", slow, HEALTH_SUSPECT, HEALTH_SUSPECT, HEALTH_SUSPECT,
		REASON_LINK_DEGRADED,
		"its link has 16 lanes at 2.5 GT/s, both ends can 16 at 16.0 GT/s" },
	{ "link not known", no_link, HEALTH_HEALTHY, HEALTH_HEALTHY, HEALTH_HEALTHY,
		REASON_NONE, "" },
};

static void look(struct health_track *t, void (*sign)(struct health_facts *f),
	uint64_t from_s, uint64_t to_s)
{
	for (uint64_t s = from_s; s <= to_s; s++) {
		struct health_facts f = good();

		if (sign)
			sign(&f);
		health_step(t, &f, s * S);
	}
}

static void expect(const char *name, const char *when, const struct health_track *t,
	enum health want)
{
	if (t->state != want)
		fail_msg("case '%s', %s: %s, not %s", name, when, health_names[t->state],
			health_names[want]);
}

static void each_sign(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(signs); i++) {
		const char *name = signs[i].name;
		struct health_track t = { 0 };

		look(&t, NULL, 1, 5);
		expect(name, "before", &t, HEALTH_HEALTHY);
		look(&t, signs[i].sign, 6, 6);
		expect(name, "at once", &t, signs[i].at_once);
		assert_int_equal(health_reason(&t), signs[i].reason);
		if (strcmp(t.text, signs[i].text) != 0)
			fail_msg("case '%s': '%s'", name, t.text);
		look(&t, signs[i].sign, 7, 30);
		expect(name, "lasting", &t, signs[i].lasting);
		look(&t, NULL, 31, 31);
		expect(name, "cleared", &t, signs[i].cleared);
		look(&t, NULL, 32, 32 + 30 + 10 + 10);
		expect(name, "in the end", &t, HEALTH_HEALTHY);
		assert_string_equal(t.text, "");
		assert_int_equal(health_reason(&t), REASON_NONE);
		assert_int_equal(health_next(&t), UINT64_MAX);
	}
}

/* One that is seen for the first time is what it is, and had no fall. */
static void first_look(void **state)
{
	struct health_track t = { 0 };

	look(&t, no_driver, 1, 100);
	expect("late driver", "at first", &t, HEALTH_UNHEALTHY);
	assert_int_equal(t.falls, 0);
	look(&t, NULL, 101, 101);
	expect("late driver", "bound", &t, HEALTH_HEALTHY);
}

static void a_moment_is_no_fall(void **state)
{
	struct health_track t = { 0 };

	look(&t, NULL, 1, 1);
	look(&t, ill, 2, 11);
	expect("ill", "for 9 s", &t, HEALTH_SUSPECT);
	look(&t, NULL, 12, 20);
	expect("ill", "9 s after", &t, HEALTH_SUSPECT);
	look(&t, ill, 21, 30); /* counted anew */
	expect("ill", "again for 9 s", &t, HEALTH_SUSPECT);
	look(&t, ill, 31, 31);
	expect("ill", "for 10 s", &t, HEALTH_UNHEALTHY);
}

/* The device that comes and goes: each further fall makes it wait longer, a calm time forgets. */
static void flaps_are_damped(void **state)
{
	static const uint64_t holds[] = { 0, 0, 0, 2, 4, 8, 16, 32, 60, 60 };
	struct health_track t = { 0 };
	uint64_t s = 1;

	look(&t, NULL, s, s);
	for (size_t i = 0; i < ARRAY_SIZE(holds); i++) {
		look(&t, no_driver, s + 1, s + 1);
		expect("flap", "down", &t, HEALTH_UNHEALTHY);
		s += 2;
		look(&t, NULL, s, s);
		for (uint64_t left = holds[i]; left > 0; left--) {
			expect("flap", "held", &t, HEALTH_RECOVERING);
			assert_int_equal(health_reason(&t), REASON_DRIVER_NOT_BOUND);
			assert_int_equal(health_next(&t), (s + left) * S);
			s++;
			look(&t, NULL, s, s);
		}
		expect("flap", "up", &t, HEALTH_HEALTHY);
	}
	s += 301;
	look(&t, no_driver, s, s);
	look(&t, NULL, s + 1, s + 1);
	expect("flap", "long after", &t, HEALTH_HEALTHY);
}

static void errors_add_up(void **state)
{
	struct health_track t = { 0 };

	look(&t, NULL, 1, 1);
	for (uint64_t s = 0; s < 4; s++) { /* four in a minute */
		look(&t, nonfatal, 10 + s * 15, 10 + s * 15);
		expect("errors", "few", &t, HEALTH_SUSPECT);
	}
	look(&t, nonfatal, 69, 69); /* the fifth */
	expect("errors", "many", &t, HEALTH_UNHEALTHY);
	look(&t, NULL, 70, 98);
	expect("errors", "29 s after", &t, HEALTH_UNHEALTHY);
	look(&t, NULL, 99, 99);
	expect("errors", "30 s after", &t, HEALTH_RECOVERING);
	look(&t, nonfatal, 100, 100); /* one more is no fall, and yet not well */
	look(&t, NULL, 101, 108);
	expect("errors", "watched", &t, HEALTH_RECOVERING);
	look(&t, NULL, 109, 109);
	expect("errors", "one more", &t, HEALTH_SUSPECT);
	look(&t, NULL, 110, 140);
	expect("errors", "none more", &t, HEALTH_HEALTHY);
}

/* A plugin that starts anew: what it cannot see at once, it is told; it is watched before it is trusted. */
static void restored(void **state)
{
	static const struct {
		const char *name;
		enum health before;
		enum reason reason;
		enum health first, after_15_s;
	} cases[] = {
		{ "fatal errors", HEALTH_UNHEALTHY, REASON_DEVICE_ERRORS,
			HEALTH_UNHEALTHY, HEALTH_UNHEALTHY },
		{ "nearly over", HEALTH_RECOVERING, REASON_DEVICE_ERRORS,
			HEALTH_RECOVERING, HEALTH_HEALTHY },
		{ "ill", HEALTH_UNHEALTHY, REASON_DEVICE_ILL, HEALTH_RECOVERING,
			HEALTH_HEALTHY },
		{ "a worse link", HEALTH_SUSPECT, REASON_LINK_DEGRADED, HEALTH_SUSPECT,
			HEALTH_HEALTHY },
		{ "no driver then", HEALTH_UNHEALTHY, REASON_DRIVER_NOT_BOUND,
			HEALTH_HEALTHY, HEALTH_HEALTHY },
		{ "well", HEALTH_HEALTHY, REASON_DEVICE_ERRORS, HEALTH_HEALTHY,
			HEALTH_HEALTHY },
		{ "unknown words", HEALTH_UNHEALTHY, REASON_INTERNAL, HEALTH_HEALTHY,
			HEALTH_HEALTHY },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct health_track t = { 0 };

		health_restore(
			&t, cases[i].before, cases[i].reason, "as it was", 100 * S);
		look(&t, NULL, 100, 100);
		expect(cases[i].name, "first", &t, cases[i].first);
		if (t.state != HEALTH_HEALTHY)
			assert_int_equal(health_reason(&t), cases[i].reason);
		look(&t, NULL, 101, 115);
		expect(cases[i].name, "after 15 s", &t, cases[i].after_15_s);
		look(&t, NULL, 116, 160);
		expect(cases[i].name, "in the end", &t, HEALTH_HEALTHY);
	}
}

/* ---- properties ---- */
static uint32_t seed;

static uint32_t chance(uint32_t below)
{
	seed = seed * 1664525u + 1013904223u;
	return (uint32_t)(((uint64_t)seed * below) >> 32);
}

static struct health_facts random_facts(void)
{
	struct health_facts f = good();

	for (uint32_t n = chance(4) ? 0 : 1 + chance(2); n > 0; n--)
		signs[chance(ARRAY_SIZE(signs))].sign(&f);
	return f;
}

static bool is_hard(const struct health_facts *f)
{
	return !f->is_present || !f->answers || f->missing_node ||
	       strcmp(f->driver, "edu") != 0 || f->aer_fatal || f->aer_nonfatal >= 5;
}

static void check_step(const struct health_track *was, const struct health_track *t,
	const struct health_facts *f, uint64_t now)
{
	uint64_t next = health_next(t);

	if (is_hard(f))
		assert_int_equal(t->state, HEALTH_UNHEALTHY);
	assert_int_equal(t->state == HEALTH_HEALTHY, t->text[0] == '\0');
	assert_int_equal(t->state == HEALTH_HEALTHY, health_reason(t) == REASON_NONE);
	if (t->state == HEALTH_HEALTHY)
		assert_int_equal(t->causes, 0);
	if (was->is_known && was->state == HEALTH_HEALTHY)
		assert_int_not_equal(t->state, HEALTH_RECOVERING);
	assert_true(t->since_us <= now && next > now);
}

/* With the same facts and no new errors nothing changes before health_next() and something does then. */
static void check_next(
	const struct health_track *t, const struct health_facts *f, uint64_t now)
{
	struct health_track a = *t, b = *t;
	struct health_facts same = *f;
	uint64_t next = health_next(t);

	same.aer_fatal = same.aer_nonfatal = 0;
	if (next == UINT64_MAX) {
		health_step(&a, &same, now + 3600 * S);
		assert_int_equal(a.state, t->state);
		return;
	}
	health_step(&a, &same, next - 1);
	assert_int_equal(a.state, t->state);
	health_step(&b, &same, next);
	assert_true(b.state != t->state || b.causes != t->causes);
}

static void any_life(void **state)
{
	for (uint32_t round = 0; round < 300; round++) {
		struct health_track t = { 0 };
		uint64_t now = 1;

		seed = round;
		for (int i = 0; i < 200; i++) {
			struct health_track was = t;
			struct health_facts f = random_facts();

			now += (uint64_t)chance(chance(10) ? 6 : 100) * S + chance(1000);
			health_step(&t, &f, now);
			check_step(&was, &t, &f, now);
			check_next(&t, &f, now);
			/* Twice the same is once. */
			was = t;
			f.aer_fatal = f.aer_nonfatal = 0;
			health_step(&t, &f, now);
			assert_int_equal(t.state, was.state);
			assert_string_equal(t.text, was.text);
		}
		/* Left in peace, it gets well by itself, and within known time. */
		for (int i = 0; i < 130; i++) {
			struct health_facts f = good();

			now += S;
			health_step(&t, &f, now);
		}
		assert_int_equal(t.state, HEALTH_HEALTHY);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_sign),
		cmocka_unit_test(first_look),
		cmocka_unit_test(a_moment_is_no_fall),
		cmocka_unit_test(flaps_are_damped),
		cmocka_unit_test(errors_add_up),
		cmocka_unit_test(restored),
		cmocka_unit_test(any_life),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
