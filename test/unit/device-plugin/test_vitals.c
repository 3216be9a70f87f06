// SPDX-License-Identifier: Apache-2.0
/* What sysfs says of links and errors, and what children bring. */
#include "fake_sysfs.h"

#include <fcntl.h>
#include <signal.h>

#include "device-plugin/aer.h"
#include "device-plugin/health_file.h"
#include "device-plugin/memory.h"
#include "device-plugin/pci_config.h"
#include "device-plugin/probe.h"
#include "loop.h"

/* ---- link ---- */
static void link_speeds(void **state)
{
	static const struct {
		const char *text;
		unsigned want;
	} cases[] = { { "2.5 GT/s PCIe", 25 }, { "2.5 GT/s", 25 }, { "5 GT/s", 50 },
		{ "8.0 GT/s PCIe", 80 }, { "16.0 GT/s PCIe", 160 },
		{ "64.0 GT/s PCIe", 640 }, { "Unknown speed", 0 }, { "Unknown", 0 },
		{ "", 0 }, { "-5 GT/s", 0 }, { "8.0", 0 }, { " GT/s", 0 },
		{ "99999999999999999999 GT/s", 0 }, { "2.55 GT/s", 25 },
		{ "2.x GT/s", 0 } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (pci_link_speed(cases[i].text) != cases[i].want)
			fail_msg("case '%s': %u", cases[i].text,
				pci_link_speed(cases[i].text));
}

/* Files of the device, then of the port above it; NULL: not there. */
static const struct {
	const char *name;
	const char *width, *speed, *max_width, *max_speed, *up_width, *up_speed, *power;
	struct pci_link want;
} links[] = {
	{ "as good as it gets", "16", "16.0 GT/s PCIe", "16", "16.0 GT/s PCIe", "16",
		"16.0 GT/s PCIe", "active", { true, 16, 160, 16, 160 } },
	{ "a lesser slot is no fault", "8", "8.0 GT/s PCIe", "16", "16.0 GT/s PCIe", "8",
		"8.0 GT/s PCIe", NULL, { true, 8, 80, 8, 80 } },
	{ "no port above", "4", "8.0 GT/s PCIe", "16", "16.0 GT/s PCIe", NULL, NULL, NULL,
		{ true, 4, 80, 16, 160 } },
	{ "down", "0", "Unknown", "16", "16.0 GT/s PCIe", "16", "16.0 GT/s PCIe", NULL,
		{ true, 0, 0, 16, 160 } },
	{ "virtual function", "0", "Unknown", "0", "Unknown", "16", "16.0 GT/s PCIe",
		NULL, { 0 } },
	{ "not known", "63", "Unknown", "255", "Unknown", NULL, NULL, NULL, { 0 } },
	{ "asleep", "1", "2.5 GT/s PCIe", "16", "16.0 GT/s PCIe", NULL, NULL, "suspended",
		{ 0 } },
	{ "no link", NULL, NULL, NULL, NULL, NULL, NULL, NULL, { 0 } },
	{ "junk", "sixteen", "fast", "16x", "-1", "", "", "", { 0 } },
};

static void put(const char *dir, const char *name, const char *text)
{
	char path[1024];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	(void)unlink(path);
	if (text)
		fake_file(path, text);
}

static void links_are_read(void **state)
{
	char dir[512], up[512];

	(void)snprintf(dir, sizeof(dir), "%s", fake_path("port/card"));
	(void)snprintf(up, sizeof(up), "%s", fake_path("port"));
	assert_int_equal(dir_make(dir, 0755, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
		struct pci_link got;

		put(dir, "current_link_width", links[i].width);
		put(dir, "current_link_speed", links[i].speed);
		put(dir, "max_link_width", links[i].max_width);
		put(dir, "max_link_speed", links[i].max_speed);
		put(up, "max_link_width", links[i].up_width);
		put(up, "max_link_speed", links[i].up_speed);
		put(dir, "power/runtime_status", links[i].power);
		pci_link_read(dir, &got);
		if (got.is_known != links[i].want.is_known ||
			got.width != links[i].want.width ||
			got.speed != links[i].want.speed ||
			got.can_width != links[i].want.can_width ||
			got.can_speed != links[i].want.can_speed)
			fail_msg("case '%s': %d %u %u of %u %u", links[i].name,
				got.is_known, got.width, got.speed, got.can_width,
				got.can_speed);
	}
}

/* ---- errors ---- */
static void counters_are_parsed(void **state)
{
	static const struct {
		const char *name, *text;
		bool is_good;
		uint64_t want;
	} cases[] = {
		{ "as the kernel writes it",
			"Undefined 0\nDLP 2\nSDES 1\nTOTAL_ERR_FATAL 3\n", true, 3 },
		{ "without a total", "DLP 2\nSDES 1\n", true, 3 },
		{ "one line, no end", "DLP 7", true, 7 },
		{ "empty", "", false, 0 },
		{ "only ends", "\n\n", false, 0 },
		{ "no number", "DLP x\n", false, 0 },
		{ "negative", "DLP -1\n", false, 0 },
		{ "no name", " 1\n", false, 0 },
		{ "number only", "12\n", false, 0 },
		{ "no value", "DLP \n", false, 0 },
	};
	uint64_t big = 0;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t v = 0;

		if (aer_parse(cases[i].text, &v) != cases[i].is_good ||
			v != cases[i].want)
			fail_msg("case '%s': %llu", cases[i].name, (unsigned long long)v);
	}
	assert_true(aer_parse("DLP 99999999999999999999999999\n", &big));
	assert_true(big > 1ULL << 50);
}

static void errors_since(void **state)
{
	struct aer_counts base = { 0 };
	uint64_t fatal = 9, nonfatal = 9;

	aer_since(&base, &(struct aer_counts){ true, 5, 7 }, &fatal, &nonfatal);
	assert_int_equal(fatal + nonfatal, 0); /* what was before us is not counted */
	aer_since(&base, &(struct aer_counts){ true, 6, 9 }, &fatal, &nonfatal);
	assert_int_equal(fatal, 1);
	assert_int_equal(nonfatal, 2);
	aer_since(&base, &(struct aer_counts){ 0 }, &fatal, &nonfatal);
	aer_since(&base, &(struct aer_counts){ true, 6, 10 }, &fatal, &nonfatal);
	assert_int_equal(fatal, 0);
	assert_int_equal(nonfatal, 1);
	aer_since(&base, &(struct aer_counts){ true, 0, 0 }, &fatal, &nonfatal);
	assert_int_equal(fatal + nonfatal, 0); /* backwards: another device */
	aer_since(&base, &(struct aer_counts){ true, 1, 0 }, &fatal, &nonfatal);
	assert_int_equal(fatal, 1);
}

static void counters_are_read(void **state)
{
	struct aer_counts c;
	char dir[512];

	(void)snprintf(dir, sizeof(dir), "%s", fake_dir);
	aer_read(dir, &c);
	assert_false(c.is_known);
	put(dir, "aer_dev_fatal", "TOTAL_ERR_FATAL 1\n");
	aer_read(dir, &c);
	assert_false(c.is_known);
	put(dir, "aer_dev_nonfatal", "TOTAL_ERR_NONFATAL 2\n");
	aer_read(dir, &c);
	assert_true(c.is_known);
	assert_int_equal(c.fatal, 1);
	assert_int_equal(c.nonfatal, 2);
}

/* ---- children ---- */
struct outcome {
	int calls, r;
	char text[PROBE_OUT_MAX + 1];
};

static void on_done(int r, const char *text, void *user)
{
	struct outcome *o = user;

	o->calls++;
	o->r = r;
	(void)snprintf(o->text, sizeof(o->text), "%s", text);
}

static int says(const void *what, char *out, size_t size)
{
	return snprintf(out, size, "%s", (const char *)what);
}
static int says_much(const void *what, char *out, size_t size)
{
	memset(out, 'x', size);
	return (int)size;
}
static int fails(const void *what, char *out, size_t size)
{
	return -ENODEV;
}
static int crashes(const void *what, char *out, size_t size)
{
	(void)raise(SIGKILL);
	return 0;
}
static int hangs(const void *what, char *out, size_t size)
{
	for (int is_ever = 1; is_ever;)
		(void)pause();
	return 0;
}
/* Nothing of ours is open in it. */
static int counts_fds(const void *what, char *out, size_t size)
{
	int n = 0;

	for (int fd = 3; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return snprintf(out, size, "%d", n);
}

static void run(struct loop *l, probe_fn fn, const void *what, uint64_t timeout_us,
	struct outcome *o)
{
	struct probe *p = NULL;

	*o = (struct outcome){ 0 };
	assert_int_equal(probe_start(l, fn, what, timeout_us, on_done, o, &p), 0);
	while (!o->calls || probe_is_stuck(p))
		(void)loop_step(l, USEC_PER_SEC);
	assert_int_equal(o->calls, 1);
	probe_free(p);
}

static void children_answer(void **state)
{
	static const struct {
		const char *name;
		probe_fn fn;
		uint64_t timeout_us;
		int r;
		const char *text;
	} cases[] = {
		{ "says", says, 60 * USEC_PER_SEC, 0, "word" },
		{ "fails", fails, 60 * USEC_PER_SEC, -ENODEV, "" },
		{ "crashes", crashes, 60 * USEC_PER_SEC, -EIO, "" },
		{ "hangs", hangs, 50 * USEC_PER_MSEC, -ETIMEDOUT, "" },
		{ "has nothing open", counts_fds, 60 * USEC_PER_SEC, 0, "0" },
	};
	struct loop *l = NULL;
	struct outcome o;
	struct probe *p = NULL;

	assert_int_equal(loop_new(&l, NULL, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		run(l, cases[i].fn, "word", cases[i].timeout_us, &o);
		if (o.r != cases[i].r || strcmp(o.text, cases[i].text) != 0)
			fail_msg("case '%s': %d '%s'", cases[i].name, o.r, o.text);
	}
	run(l, says_much, NULL, 60 * USEC_PER_SEC, &o);
	assert_int_equal(o.r, 0);
	assert_int_equal(strlen(o.text), PROBE_OUT_MAX);
	/* Given up before it answered. */
	o.calls = 0;
	assert_int_equal(
		probe_start(l, hangs, NULL, 60 * USEC_PER_SEC, on_done, &o, &p), 0);
	probe_free(p);
	(void)loop_step(l, 0);
	assert_int_equal(o.calls, 0);
	loop_free(l);
}

/* ---- the classes' own files ---- */
static void verdicts(void **state)
{
	static const char *const good[] = { "", "0", "00", "0x0", "0x0000" },
				 *const bad[] = { "1", "-1", "00001", "0 0", "ok", "0x1",
					 "x", "00x0" };

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		if (health_file_verdict(good[i]) != HEALTH_FILE_GOOD)
			fail_msg("case '%s': not good", good[i]);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (health_file_verdict(bad[i]) != HEALTH_FILE_ILL)
			fail_msg("case '%s': not ill", bad[i]);
}

struct clock {
	uint64_t now;
	int changes;
};

static void on_change(void *user)
{
	((struct clock *)user)->changes++;
}

static uint64_t clock_now(void *user)
{
	return ((struct clock *)user)->now;
}

static void until_answered(struct loop *l, struct health_files *h)
{
	while (health_files_pending(h)) {
		if (!loop_step(l, 0))
			(void)usleep(1000);
	}
}

static void files_are_asked(void **state)
{
	struct clock c = { .now = 1000 * USEC_PER_SEC };
	struct loop_clock lc = { .now_us = clock_now, .user = &c };
	struct health_files *h = NULL;
	struct loop *l = NULL;
	const char *text = NULL, *path;

	assert_int_equal(loop_new(&l, &lc, NULL), 0);
	assert_int_equal(health_files_new(l, on_change, &c, &h), 0);
	path = fake_path("ecc");
	fake_file(path, "0\n");
	assert_int_equal(health_files_get(h, path, &text), HEALTH_FILE_NONE);
	until_answered(l, h);
	assert_int_equal(health_files_get(h, path, &text), HEALTH_FILE_GOOD);
	assert_int_equal(c.changes, 1);
	fake_file(path, "uncorrectable: 2\nmore\n");
	assert_false(health_files_pending(h)); /* not asked again at once */
	c.now += 10 * USEC_PER_SEC;
	(void)loop_step(l, 0);
	assert_int_equal(health_files_get(h, path, &text), HEALTH_FILE_GOOD);
	until_answered(l, h);
	assert_int_equal(health_files_get(h, path, &text), HEALTH_FILE_ILL);
	assert_string_equal(text, "uncorrectable: 2");
	assert_int_equal(c.changes, 2);
	assert_int_equal(unlink(path), 0);
	c.now += 10 * USEC_PER_SEC;
	(void)loop_step(l, 0);
	(void)health_files_get(h, path, &text);
	until_answered(l, h);
	assert_int_equal(health_files_get(h, path, &text), HEALTH_FILE_ILL);
	assert_string_equal(text, strerror(ENOENT));
	/* More than are asked at once: all have their turn. */
	for (size_t i = 0; i < 40; i++) {
		path = fake_path("f%zu", i);
		fake_file(path, "0\n");
		(void)health_files_get(h, path, &text);
	}
	until_answered(l, h);
	for (size_t i = 0; i < 40; i++)
		assert_int_equal(health_files_get(h, fake_path("f%zu", i), &text),
			HEALTH_FILE_GOOD);
	/* Forgotten when nobody asks. */
	c.now += 100 * USEC_PER_SEC;
	(void)loop_step(l, 0);
	health_files_sweep(h);
	assert_int_equal(health_files_get(h, fake_path("f0"), &text), HEALTH_FILE_NONE);
	health_files_free(h); /* with a child under way */
	loop_free(l);
}

/* A file that hangs: a pipe that somebody holds open and nobody fills would, were it read as a file is. */
static void one_that_hangs(void **state)
{
	struct clock c = { .now = 1000 * USEC_PER_SEC };
	struct loop_clock lc = { .now_us = clock_now, .user = &c };
	struct health_files *h = NULL;
	struct loop *l = NULL;
	const char *text = NULL, *path = fake_path("fifo");
	int fd;

	assert_int_equal(mkfifo(path, 0600), 0);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(loop_new(&l, &lc, NULL), 0);
	assert_int_equal(health_files_new(l, on_change, &c, &h), 0);
	(void)health_files_get(h, path, &text);
	until_answered(l, h); /* O_NONBLOCK: an error, and no waiting */
	assert_int_equal(health_files_get(h, path, &text), HEALTH_FILE_ILL);
	health_files_free(h);
	loop_free(l);
	(void)close(fd);
}

/* ---- what the plugin before knew ---- */
static void memories(void **state)
{
	static const struct {
		const char *name, *text;
		bool is_read;
		enum health want;
		const char *message;
	} cases[] = {
		{ "as we write it",
			"{\"version\":1,\"devices\":[{\"id\":\"x\"},{\"id\":\"a\",\"health\":"
			"\"Unhealthy\",\"reason\":\"DeviceIll\",\"message\":\"it is so\"}]}",
			true, HEALTH_UNHEALTHY, "it is so" },
		{ "watched",
			"{\"version\":1,\"devices\":[{\"id\":\"a\",\"health\":\"Recovering\","
			"\"reason\":\"DeviceIll\",\"message\":\"" MEMORY_WATCHED
			"it is so\"}]}",
			true, HEALTH_UNHEALTHY, "it is so" },
		{ "other types",
			"{\"version\":1,\"devices\":[1,null,{\"id\":7},{\"id\":\"a\",\"health\":"
			"[],\"reason\":{},\"message\":1}]}",
			true, HEALTH_HEALTHY, "" },
		{ "no list", "{\"version\":1,\"devices\":{}}", true, HEALTH_HEALTHY, "" },
		{ "a later version", "{\"version\":2,\"devices\":[]}", false,
			HEALTH_HEALTHY, "" },
		{ "cut off", "{\"version\":1,\"dev", false, HEALTH_HEALTHY, "" },
		{ "empty", "", false, HEALTH_HEALTHY, "" },
	};
	char dir[256];

	(void)snprintf(dir, sizeof(dir), "%s", fake_dir);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(json_freep) struct json *doc = NULL;
		struct device d = { .id = "a" };

		put(dir, "devices.json", cases[i].text);
		memory_read(dir, &doc);
		if ((doc != NULL) != cases[i].is_read)
			fail_msg("case '%s': read", cases[i].name);
		memory_restore(doc, &d, 1);
		if (d.health.state != cases[i].want ||
			strcmp(d.health.text, cases[i].message) != 0)
			fail_msg("case '%s': %s '%s'", cases[i].name,
				health_names[d.health.state], d.health.text);
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, fake_setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(link_speeds),
		T(links_are_read),
		cmocka_unit_test(counters_are_parsed),
		cmocka_unit_test(errors_since),
		T(counters_are_read),
		cmocka_unit_test(children_answer),
		cmocka_unit_test(verdicts),
		T(files_are_asked),
		T(one_that_hangs),
		T(memories),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
