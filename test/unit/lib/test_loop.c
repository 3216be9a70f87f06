// SPDX-License-Identifier: Apache-2.0
/* The loop: timers under a made-up clock, sources that free themselves, signals and children. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/wait.h>

#include "loop.h"

static uint64_t fake_now;

static uint64_t read_fake(void *user)
{
	return *(uint64_t *)user;
}

static struct loop *fake_loop(void)
{
	const struct loop_clock clock = { read_fake, read_fake, &fake_now };
	struct loop *l = NULL;

	fake_now = 1000;
	assert_int_equal(loop_new(&l, &clock, NULL), 0);
	return l;
}

static struct loop *real_loop(void)
{
	struct loop *l = NULL;

	assert_int_equal(loop_new(&l, NULL, NULL), 0);
	return l;
}

static void steps(struct loop *l, int n)
{
	while (n-- > 0)
		assert_true(loop_step(l, 0) >= 0);
}

/* ---- timers ---- */

struct timer {
	struct loop *l;
	struct loop_source *s;
	uint64_t due, fired_at;
	int fired, order;
};
static int order;

static void on_timer(void *user)
{
	struct timer *t = user;

	t->fired++;
	t->fired_at = loop_now(t->l);
	t->order = ++order;
}

static void test_timer(void **state)
{
	CLEANUP(loop_freep) struct loop *l = fake_loop();
	struct timer t = { .l = l };

	assert_int_equal(loop_timer(l, 2000, on_timer, &t, &t.s), 0);
	assert_int_equal(loop_step(l, UINT64_MAX), 0); /* never sleeps */
	fake_now = 1999;
	assert_int_equal(loop_step(l, 0), 0);
	fake_now = 2000;
	assert_int_equal(loop_step(l, 0), 1);
	assert_int_equal(t.fired, 1);
	fake_now = 9000;
	assert_int_equal(loop_step(l, 0), 0); /* once */
	loop_timer_set(t.s, 9500);
	loop_timer_set(t.s, UINT64_MAX);
	fake_now = 10000;
	assert_int_equal(loop_step(l, 0), 0); /* disarmed */
	loop_timer_set(t.s, 5); /* in the past: now */
	assert_int_equal(loop_step(l, 0), 1);
	assert_int_equal(t.fired, 2);
}

/* Random arming, moving and freeing: each fires at its time, in the order of times. */
static void test_timers_random(void **state)
{
	enum { N = 500 };
	CLEANUP(loop_freep) struct loop *l = fake_loop();
	static struct timer t[N];
	uint64_t before = 0;
	size_t i, fired = 0, want = 0;

	loop_seed(l, 42);
	memset(t, 0, sizeof(t));
	order = 0;
	for (i = 0; i < N; i++) {
		t[i].l = l;
		t[i].due = 2000 + loop_random(l, 100);
		assert_int_equal(loop_timer(l, t[i].due, on_timer, &t[i], &t[i].s), 0);
	}
	for (i = 0; i < N; i++) {
		uint64_t what = loop_random(l, 4);

		if (what == 0) {
			loop_source_free(TAKE(t[i].s));
			t[i].due = 0;
		} else if (what == 1) {
			t[i].due = 2000 + loop_random(l, 100);
			loop_timer_set(t[i].s, t[i].due);
		}
		want += t[i].due != 0;
	}
	for (fake_now = 2000; fake_now < 2200; fake_now += 7)
		steps(l, 1);
	for (i = 0; i < N; i++) {
		fired += (size_t)t[i].fired;
		if (t[i].fired != (t[i].due != 0))
			fail_msg("timer %zu fired %d times", i, t[i].fired);
		if (t[i].due &&
			(t[i].fired_at < t[i].due || t[i].fired_at > t[i].due + 7))
			fail_msg("timer %zu due %d fired at %d", i, (int)t[i].due,
				(int)t[i].fired_at);
	}
	assert_int_equal(fired, want);
	for (order = 1; order <= (int)want; order++)
		for (i = 0; i < N; i++)
			if (t[i].order == order) {
				assert_true(t[i].due >= before);
				before = t[i].due;
			}
}

static void rearm_now(void *user)
{
	struct timer *t = user;

	t->fired++;
	loop_timer_set(t->s, 0);
}

/* A timer that is due again and again starves nobody. */
static void test_timer_does_not_starve(void **state)
{
	CLEANUP(loop_freep) struct loop *l = fake_loop();
	struct timer greedy = { .l = l }, modest = { .l = l };

	assert_int_equal(loop_timer(l, 0, rearm_now, &greedy, &greedy.s), 0);
	assert_int_equal(loop_timer(l, 1500, on_timer, &modest, &modest.s), 0);
	steps(l, 3);
	assert_int_equal(greedy.fired, 3);
	fake_now = 1500;
	steps(l, 2);
	assert_int_equal(modest.fired, 1);
	assert_int_equal(greedy.fired, 5);
}

static void free_self(void *user)
{
	struct timer *t = user;

	t->fired++;
	loop_source_free(TAKE(t->s));
}

static void test_free_in_callback(void **state)
{
	CLEANUP(loop_freep) struct loop *l = fake_loop();
	struct timer t = { .l = l };

	assert_int_equal(loop_timer(l, 0, free_self, &t, &t.s), 0);
	steps(l, 3);
	assert_int_equal(t.fired, 1);
	loop_source_free(NULL);
	assert_int_equal(loop_timer(l, 0, on_timer, &t, NULL), 0); /* nobody holds it */
	steps(l, 3);
	assert_int_equal(t.fired, 2);
	assert_int_equal(
		loop_timer(l, 5000, on_timer, &t, NULL), 0); /* freed with the loop */
}

static void test_real_time(void **state)
{
	CLEANUP(loop_freep) struct loop *l = real_loop();
	struct timer t = { .l = l };
	uint64_t start = loop_now(l), wall = loop_wall(l);

	assert_true(wall > 1600000000ULL * USEC_PER_SEC);
	assert_int_equal(loop_timer(l, start + 20000, on_timer, &t, NULL), 0);
	while (!t.fired)
		assert_true(loop_step(l, USEC_PER_SEC) >= 0);
	assert_true(loop_now(l) - start >= 20000);
	assert_true(loop_now(l) - start < 2000000);
	start = loop_now(l);
	assert_int_equal(loop_step(l, 5000), 0);
	assert_true(loop_now(l) - start >= 5000);
}

/* ---- deferred calls ---- */

static void defer_again(void *user)
{
	struct timer *t = user;

	t->fired++;
	if (t->fired < 3)
		assert_int_equal(loop_defer(t->l, defer_again, t), 0);
	else
		loop_exit(t->l, 7);
}

static void test_defer(void **state)
{
	CLEANUP(loop_freep) struct loop *l = real_loop();
	struct timer t = { .l = l };

	assert_int_equal(loop_defer(l, defer_again, &t), 0);
	assert_int_equal(loop_run(l), 7);
	assert_int_equal(t.fired, 3);
	loop_exit(l, 3); /* before it runs */
	assert_int_equal(loop_run(l), 3);
	assert_int_equal(loop_defer(l, defer_again, &t), 0); /* dropped with the loop */
}

/* ---- descriptors ---- */

struct pair {
	struct loop *l;
	struct loop_source *mine, *other;
	int fired;
	uint32_t events;
};

static void on_io(int fd, uint32_t events, void *user)
{
	struct pair *p = user;

	p->fired++;
	p->events = events;
}

static void free_both(int fd, uint32_t events, void *user)
{
	struct pair *p = user;

	p->fired++;
	loop_source_free(TAKE(p->mine));
	loop_source_free(TAKE(p->other));
}

static void test_io(void **state)
{
	CLEANUP(loop_freep) struct loop *l = fake_loop();
	struct pair p = { .l = l };
	int fd[2];

	assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
	assert_int_equal(loop_io(l, fd[0], EPOLLIN, on_io, &p, &p.mine), 0);
	assert_int_equal(loop_step(l, 0), 0);
	assert_int_equal(write(fd[1], "x", 1), 1);
	assert_int_equal(loop_step(l, 0), 1);
	assert_int_equal(p.events, EPOLLIN);
	assert_int_equal(loop_io_set(p.mine, 0), 0);
	assert_int_equal(loop_step(l, 0), 0);
	assert_int_equal(loop_io_set(p.mine, EPOLLIN), 0);
	assert_int_equal(loop_step(l, 0), 1);
	assert_int_equal(loop_io(l, fd[0], EPOLLIN, on_io, &p, &p.other), -EEXIST);
	assert_int_equal(loop_io(l, -1, EPOLLIN, on_io, &p, &p.other), -EBADF);
	assert_null(p.other);
	(void)close(fd[1]);
	assert_int_equal(read(fd[0], &fd[1], 1), 1);
	assert_int_equal(loop_step(l, 0), 1);
	assert_int_equal(p.events, EPOLLHUP);
	(void)close(fd[0]); /* closed before it is freed: harmless */
	loop_source_free(p.mine);
	assert_int_equal(loop_step(l, 0), 0);
}

/* Both are ready in one turn; whoever comes first frees both. */
static void test_free_other_in_callback(void **state)
{
	CLEANUP(loop_freep) struct loop *l = fake_loop();
	struct pair p = { .l = l };
	int a[2], b[2];

	assert_int_equal(pipe2(a, O_CLOEXEC), 0);
	assert_int_equal(pipe2(b, O_CLOEXEC), 0);
	assert_int_equal(write(a[1], "x", 1), 1);
	assert_int_equal(write(b[1], "x", 1), 1);
	assert_int_equal(loop_io(l, a[0], EPOLLIN, free_both, &p, &p.mine), 0);
	assert_int_equal(loop_io(l, b[0], EPOLLIN, free_both, &p, &p.other), 0);
	steps(l, 3);
	assert_int_equal(p.fired, 1);
	(void)close(a[0]);
	(void)close(a[1]);
	(void)close(b[0]);
	(void)close(b[1]);
}

/* ---- signals and children ---- */

static int signals[2];

static void on_signal(int signo, void *user)
{
	signals[signo == SIGUSR1 ? 0 : 1]++;
}

static void test_signal(void **state)
{
	CLEANUP(loop_freep) struct loop *l = fake_loop();
	struct loop_source *s = NULL;

	assert_int_equal(loop_signal(l, SIGUSR1, on_signal, NULL, &s), 0);
	assert_int_equal(loop_signal(l, SIGUSR2, on_signal, NULL, NULL), 0);
	assert_true(loop_signal(l, 9999, on_signal, NULL, NULL) < 0);
	assert_int_equal(raise(SIGUSR1), 0);
	assert_int_equal(raise(SIGUSR2), 0);
	steps(l, 2);
	assert_int_equal(signals[0], 1);
	assert_int_equal(signals[1], 1);
	loop_source_free(s);
	assert_int_equal(raise(SIGUSR1), 0); /* still blocked: does not kill us */
	steps(l, 2);
	assert_int_equal(signals[0], 1);
}

struct end {
	int n, status;
	pid_t pid;
};

static void on_child(pid_t pid, int status, void *user)
{
	struct end *x = user;

	x->n++;
	x->pid = pid;
	x->status = status;
}

static void test_child(void **state)
{
	CLEANUP(loop_freep) struct loop *l = real_loop();
	struct loop_source *s = NULL;
	struct end x = { 0 };
	pid_t pid = fork();

	if (pid == 0)
		_exit(42);
	assert_int_equal(loop_child(l, pid, on_child, &x, &s), 0);
	while (x.n == 0)
		assert_true(loop_step(l, USEC_PER_SEC) >= 0);
	assert_int_equal(x.pid, pid);
	assert_true(WIFEXITED(x.status));
	assert_int_equal(WEXITSTATUS(x.status), 42);
	assert_int_equal(waitpid(pid, NULL, WNOHANG), -1); /* reaped */
	steps(l, 2);
	assert_int_equal(x.n, 1);
	loop_source_free(s);
	assert_int_equal(loop_child(l, pid, on_child, &x, &s), -ESRCH);
}

static void test_child_killed(void **state)
{
	CLEANUP(loop_freep) struct loop *l = real_loop();
	struct end x = { 0 };
	pid_t pid = fork();

	if (pid == 0)
		for (;;)
			(void)pause();
	assert_int_equal(loop_child(l, pid, on_child, &x, NULL), 0);
	assert_int_equal(loop_step(l, 0), 0);
	assert_int_equal(kill(pid, SIGKILL), 0);
	while (x.n == 0)
		assert_true(loop_step(l, USEC_PER_SEC) >= 0);
	assert_true(WIFSIGNALED(x.status));
	assert_int_equal(WTERMSIG(x.status), SIGKILL);
}

/* ---- chance ---- */

static void test_random(void **state)
{
	CLEANUP(loop_freep) struct loop *a = fake_loop(), *b = fake_loop();
	int hits[10] = { 0 }, i;
	bool differs = false;

	loop_seed(a, 7);
	loop_seed(b, 7);
	for (i = 0; i < 100; i++)
		assert_true(loop_random(a, UINT64_MAX) == loop_random(b, UINT64_MAX));
	loop_seed(b, 8);
	for (i = 0; i < 100; i++)
		differs |= loop_random(a, 1000) != loop_random(b, 1000);
	assert_true(differs);
	for (i = 0; i < 10000; i++)
		hits[loop_random(a, 10)]++; /* ASan sees it when one is out of bounds */
	for (i = 0; i < 10; i++)
		assert_in_range(hits[i], 800, 1200);
	assert_int_equal(loop_random(a, 0), 0);
	assert_int_equal(loop_random(a, 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_timer),
		cmocka_unit_test(test_timers_random),
		cmocka_unit_test(test_timer_does_not_starve),
		cmocka_unit_test(test_free_in_callback),
		cmocka_unit_test(test_real_time),
		cmocka_unit_test(test_defer),
		cmocka_unit_test(test_io),
		cmocka_unit_test(test_free_other_in_callback),
		cmocka_unit_test(test_signal),
		cmocka_unit_test(test_child),
		cmocka_unit_test(test_child_killed),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
