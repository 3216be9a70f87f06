// SPDX-License-Identifier: Apache-2.0
/* The work queue, with a clock of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "queue.h"

static uint64_t now_us = USEC_PER_SEC;

static uint64_t fake_now(void *user)
{
	return now_us;
}

struct fixture {
	struct loop *loop;
	struct queue *queue;
	char log[4096]; /* "key " for every call */
	int64_t answer;
	const char *add_during; /* added by the callback, once */
	uint64_t add_after;
	bool forget_during;
};

static int64_t work(const char *key, void *user)
{
	struct fixture *f = user;
	size_t n = strlen(f->log);

	(void)snprintf(f->log + n, sizeof(f->log) - n, "%s ", key);
	if (f->forget_during)
		queue_forget(f->queue, key);
	if (f->add_during) {
		assert_int_equal(
			queue_add_after(f->queue, f->add_during, f->add_after), 0);
		f->add_during = NULL;
	}
	return f->answer;
}

static int setup_with(struct fixture *f, const struct queue_options *o)
{
	struct loop_clock clock = { .now_us = fake_now };

	*f = (struct fixture){ 0 };
	assert_int_equal(loop_new(&f->loop, &clock, NULL), 0);
	loop_seed(f->loop, 7);
	assert_int_equal(queue_new(f->loop, o, work, f, &f->queue, NULL), 0);
	return 0;
}

static int setup(void **state)
{
	static struct fixture f;

	*state = &f;
	return setup_with(&f, NULL);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	queue_free(f->queue);
	loop_free(f->loop);
	return 0;
}

static void turn(struct fixture *f)
{
	int r;

	do {
		r = loop_step(f->loop, 0);
		assert_true(r >= 0);
	} while (r > 0);
}

static void expect(struct fixture *f, const char *log)
{
	turn(f);
	assert_string_equal(f->log, log);
	*f->log = '\0';
}

static void keys_come_once_in_order(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(queue_add(f->queue, "b"), 0);
	assert_int_equal(queue_add(f->queue, "a"), 0);
	assert_int_equal(queue_add(f->queue, "b"), 0);
	assert_int_equal(queue_len(f->queue), 2);
	assert_string_equal(f->log, ""); /* never from inside the call */
	expect(f, "b a ");
	assert_int_equal(queue_len(f->queue), 0);
	expect(f, "");
	assert_int_equal(queue_add(f->queue, "b"), 0);
	expect(f, "b ");
}

static void delays_are_kept(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(queue_add_after(f->queue, "late", 3000), 0);
	assert_int_equal(queue_add_after(f->queue, "soon", 1000), 0);
	assert_int_equal(queue_add_after(f->queue, "never", UINT64_MAX), 0);
	expect(f, "");
	now_us += 999;
	expect(f, "");
	now_us += 1;
	expect(f, "soon ");
	/* Earlier wins, later does not put off. */
	assert_int_equal(queue_add_after(f->queue, "late", 9000), 0);
	assert_int_equal(queue_add(f->queue, "never"), 0);
	expect(f, "never ");
	now_us += 2000;
	expect(f, "late ");
	assert_int_equal(queue_len(f->queue), 0);
}

static void positive_comes_again(void **state)
{
	struct fixture *f = *state;

	f->answer = 500;
	assert_int_equal(queue_add(f->queue, "a"), 0);
	expect(f, "a ");
	now_us += 499;
	expect(f, "");
	now_us += 1;
	f->answer = 0;
	expect(f, "a ");
	now_us += 10000;
	expect(f, "");
}

/* How long until "a" is worked on again; steps of 1 ms. */
static uint64_t wait_for(struct fixture *f)
{
	uint64_t start = now_us;

	*f->log = '\0';
	while (!*f->log) {
		now_us += 1000;
		assert_true(loop_step(f->loop, 0) >= 0);
		assert_true(now_us - start < 3000 * USEC_PER_SEC);
	}
	*f->log = '\0';
	return now_us - start;
}

static void failures_back_off(void **state)
{
	struct fixture *f = *state;
	uint64_t full = 200 * USEC_PER_MSEC;

	f->answer = -EIO;
	assert_int_equal(queue_add(f->queue, "a"), 0);
	expect(f, "a ");
	for (int i = 0; i < 15; i++) {
		uint64_t waited = wait_for(f);

		assert_in_range(waited, full / 2, full + 1000);
		full = MIN(2 * full, 1000 * USEC_PER_SEC);
	}
	assert_int_equal(full, 1000 * USEC_PER_SEC);

	/* An add does not wait for the back-off to end; success forgets it. */
	assert_int_equal(queue_add(f->queue, "a"), 0);
	f->answer = 0;
	expect(f, "a ");
	assert_int_equal(queue_len(f->queue), 0);
	f->answer = -EIO;
	assert_int_equal(queue_add(f->queue, "a"), 0);
	expect(f, "a ");
	assert_in_range(wait_for(f), 100 * USEC_PER_MSEC, 201 * USEC_PER_MSEC);
}

static void options_set_the_back_off(void **state)
{
	struct queue_options o = { .base_us = 10000, .max_us = 25000 };
	struct fixture f;

	assert_int_equal(setup_with(&f, &o), 0);
	f.answer = -EIO;
	assert_int_equal(queue_add(f.queue, "a"), 0);
	expect(&f, "a ");
	assert_in_range(wait_for(&f), 5000, 11000);
	assert_in_range(wait_for(&f), 10000, 21000);
	assert_in_range(wait_for(&f), 12000, 26000);
	assert_in_range(wait_for(&f), 12000, 26000);
	queue_free(f.queue);
	loop_free(f.loop);
}

static void added_during_work_comes_again(void **state)
{
	struct fixture *f = *state;

	f->add_during = "a";
	assert_int_equal(queue_add(f->queue, "a"), 0);
	expect(f, "a a ");
	assert_int_equal(queue_len(f->queue), 0);

	/* Also when the work failed: the back-off does not hold up what is new. */
	f->answer = -EIO;
	f->add_during = "a";
	assert_int_equal(queue_add(f->queue, "a"), 0);
	expect(f, "a a ");

	f->answer = 0;
	queue_forget(f->queue, "a");
	f->add_during = "b";
	assert_int_equal(queue_add(f->queue, "a"), 0);
	expect(f, "a b ");
}

static void forgotten_is_gone(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(queue_add(f->queue, "a"), 0);
	assert_int_equal(queue_add(f->queue, "b"), 0);
	queue_forget(f->queue, "a");
	queue_forget(f->queue, "x");
	expect(f, "b ");

	/* In mid-work: the failure counts for nothing … */
	f->forget_during = true;
	f->answer = -EIO;
	assert_int_equal(queue_add(f->queue, "a"), 0);
	expect(f, "a ");
	assert_int_equal(queue_len(f->queue), 0);
	/* … but who adds it again behind that gets it again. */
	f->add_during = "a";
	f->add_after = 1000;
	assert_int_equal(queue_add(f->queue, "a"), 0);
	expect(f, "a ");
	assert_int_equal(queue_len(f->queue), 1);
	now_us += 1000;
	expect(f, "a ");
	assert_int_equal(queue_len(f->queue), 0);
}

static void paused_is_still(void **state)
{
	struct fixture *f = *state;

	queue_pause(f->queue, true);
	assert_int_equal(queue_add(f->queue, "a"), 0);
	now_us += USEC_PER_SEC;
	expect(f, "");
	assert_int_equal(queue_len(f->queue), 1);
	queue_pause(f->queue, false);
	expect(f, "a ");
}

/* ---- against a model: an array of keys with due times ---- */

enum { KEYS = 20, STEPS = 10000 };

struct model {
	struct fixture f;
	uint64_t due[KEYS]; /* 0: not queued */
	uint64_t seed;
	unsigned calls;
};

static uint64_t chance(struct model *m, uint64_t below)
{
	m->seed ^= m->seed << 13;
	m->seed ^= m->seed >> 7;
	m->seed ^= m->seed << 17;
	return m->seed % below;
}

static int64_t model_work(const char *key, void *user)
{
	struct model *m = user;
	unsigned k = (unsigned)(key[0] - 'a');
	uint64_t again;

	m->calls++;
	assert_true(m->due[k] != 0 && m->due[k] <= now_us);
	/* None that was due earlier was passed over. */
	for (unsigned i = 0; i < KEYS; i++)
		assert_true(m->due[i] == 0 || m->due[i] >= m->due[k]);
	m->due[k] = 0;
	if (chance(m, 3))
		return 0;
	again = 1 + chance(m, 50);
	m->due[k] = now_us + again;
	return (int64_t)again;
}

static void random_runs_agree_with_the_model(void **state)
{
	struct loop_clock clock = { .now_us = fake_now };
	struct model m = { .seed = 20240229 };

	assert_int_equal(loop_new(&m.f.loop, &clock, NULL), 0);
	assert_int_equal(queue_new(m.f.loop, NULL, model_work, &m, &m.f.queue, NULL), 0);
	for (unsigned step = 0; step < STEPS; step++) {
		char key[2] = { (char)('a' + chance(&m, KEYS)) };
		unsigned k = (unsigned)(key[0] - 'a');
		uint64_t delay = chance(&m, 40);
		size_t queued = 0;

		switch (chance(&m, 4)) {
		case 0:
			queue_forget(m.f.queue, key);
			m.due[k] = 0;
			break;
		case 1:
			now_us += chance(&m, 30);
			turn(&m.f);
			for (unsigned i = 0; i < KEYS; i++)
				assert_true(m.due[i] == 0 || m.due[i] > now_us);
			break;
		default:
			assert_int_equal(queue_add_after(m.f.queue, key, delay), 0);
			if (!m.due[k] || m.due[k] > now_us + delay)
				m.due[k] = now_us + delay;
		}
		for (unsigned i = 0; i < KEYS; i++)
			queued += m.due[i] != 0;
		assert_int_equal(queue_len(m.f.queue), queued);
	}
	assert_true(m.calls > STEPS / 10);
	queue_free(m.f.queue);
	loop_free(m.f.loop);
}

static void many_keys(void **state)
{
	struct fixture *f = *state;
	char key[16];

	f->answer = 0;
	for (unsigned i = 0; i < 5000; i++) {
		(void)snprintf(key, sizeof(key), "k%u", i * 7919 % 5000);
		assert_int_equal(queue_add_after(f->queue, key, i * 31 % 997), 0);
	}
	assert_int_equal(queue_len(f->queue), 5000);
	now_us += 1000;
	for (unsigned i = 0; i < 1000 && queue_len(f->queue); i++) {
		*f->log = '\0';
		(void)loop_step(f->loop, 0);
	}
	assert_int_equal(queue_len(f->queue), 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(keys_come_once_in_order),
		TEST(delays_are_kept),
		TEST(positive_comes_again),
		TEST(failures_back_off),
		cmocka_unit_test(options_set_the_back_off),
		TEST(added_during_work_comes_again),
		TEST(forgotten_is_gone),
		TEST(paused_is_still),
		cmocka_unit_test(random_runs_agree_with_the_model),
		TEST(many_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
