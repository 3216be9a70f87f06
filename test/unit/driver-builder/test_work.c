// SPDX-License-Identifier: Apache-2.0
/* work.c and notify.c: what comes back from a worker, however it ends; what the service manager hears. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

#include "driver-builder/notify.h"
#include "driver-builder/work.h"
#include "loop.h"

struct outcome {
	struct loop *loop;
	struct err err;
	int calls;
};

static int succeed(void *user, struct err *e)
{
	(void)err_set(e, -EIO, "a text of a step that went well in the end");
	return 0;
}
static int fail_typed(void *user, struct err *e)
{
	return err_reason(e, -EBUSY, REASON_MODULE_IN_USE, "held by 'x'");
}
static int fail_bare(void *user, struct err *e)
{
	return -ENOSPC;
}
static int crash(void *user, struct err *e)
{
	(void)raise(SIGKILL);
	return 0;
}
static int hang(void *user, struct err *e)
{
	while (user || e)
		(void)pause();
	return 0;
}

static void on_done(const struct err *result, void *user)
{
	struct outcome *o = user;

	o->err = *result;
	o->calls++;
	loop_exit(o->loop, 0);
}

static const struct {
	const char *name;
	work_fn fn;
	uint64_t timeout_us;
	int code;
	enum reason reason;
	const char *text;
} cases[] = {
	{ "success", succeed, 10 * USEC_PER_SEC, 0, REASON_NONE, "" },
	{ "typed failure", fail_typed, 10 * USEC_PER_SEC, -EBUSY, REASON_MODULE_IN_USE,
		"held by 'x'" },
	{ "bare failure", fail_bare, 10 * USEC_PER_SEC, -ENOSPC, REASON_DISK_FULL,
		"No space left" },
	{ "killed", crash, 10 * USEC_PER_SEC, -EIO, REASON_INTERNAL, "died" },
	{ "too long", hang, 100 * USEC_PER_MSEC, -ETIMEDOUT, REASON_TIMEOUT, "too long" },
};

static void test_outcomes(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct outcome o = { .calls = 0 };
		struct work *w;

		assert_int_equal(loop_new(&o.loop, NULL, NULL), 0);
		assert_int_equal(work_start(o.loop, cases[i].fn, on_done, &o,
					 cases[i].timeout_us, &w, NULL),
			0);
		assert_int_equal(loop_run(o.loop), 0);
		if (o.calls != 1 || o.err.code != cases[i].code ||
			o.err.reason != cases[i].reason ||
			!strstr(o.err.text, cases[i].text))
			fail_msg("case '%s': %d %d '%s'", cases[i].name, o.err.code,
				o.err.reason, o.err.text);
		loop_free(o.loop);
	}
}

static void test_cancel(void **state)
{
	struct outcome o = { .calls = 0 };
	struct work *w;

	assert_int_equal(loop_new(&o.loop, NULL, NULL), 0);
	assert_int_equal(
		work_start(o.loop, hang, on_done, &o, 10 * USEC_PER_SEC, &w, NULL), 0);
	work_cancel(w);
	(void)loop_step(o.loop, 50 * USEC_PER_MSEC);
	assert_int_equal(o.calls, 0);
	work_cancel(NULL);
	loop_free(o.loop);
}

static void test_notify(void **state)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	char dir[] = "/tmp/farrier-notify-XXXXXX", text[64];
	struct loop *l;
	struct notify *n;
	ssize_t len;
	int fd;

	assert_non_null(mkdtemp(dir));
	(void)snprintf(to.sun_path, sizeof(to.sun_path), "%s/n", dir);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	(void)setenv("NOTIFY_SOCKET", to.sun_path, 1);
	(void)setenv("WATCHDOG_USEC", "20000", 1);
	assert_int_equal(loop_new(&l, NULL, NULL), 0);
	assert_int_equal(notify_new(l, &n, NULL), 0);
	notify_send(n, "READY=1");
	len = recv(fd, text, sizeof(text), 0);
	assert_int_equal(len, 7);
	assert_memory_equal(text, "READY=1", 7);
	for (int i = 0; i < 20; i++)
		(void)loop_step(l, 5 * USEC_PER_MSEC);
	len = recv(fd, text, sizeof(text), MSG_DONTWAIT);
	assert_int_equal(len, 10);
	assert_memory_equal(text, "WATCHDOG=1", 10);
	notify_free(n);
	(void)setenv("WATCHDOG_USEC", "soon", 1);
	assert_int_equal(notify_new(l, &n, NULL), -EINVAL);
	(void)unsetenv("WATCHDOG_USEC");
	(void)unsetenv("NOTIFY_SOCKET");
	assert_int_equal(notify_new(l, &n, NULL), 0);
	notify_send(n, "READY=1"); /* nobody listens */
	notify_free(n);
	loop_free(l);
	(void)close(fd);
	(void)unlink(to.sun_path);
	(void)rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_outcomes),
		cmocka_unit_test(test_cancel), cmocka_unit_test(test_notify) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
