// SPDX-License-Identifier: Apache-2.0
/* Control groups: both versions against folders of files, and the host's own where it lets us. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "driver-builder/cgroup.h"
#include "file.h"

struct fake {
	char top[64], root[128], self[128];
	struct cgroup_place place;
};

static int setup(void **state)
{
	struct fake *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	(void)snprintf(f->top, sizeof(f->top), "/tmp/farrier-cgroup-XXXXXX");
	assert_non_null(mkdtemp(f->top));
	(void)snprintf(f->root, sizeof(f->root), "%s/cgroup", f->top);
	(void)snprintf(f->self, sizeof(f->self), "%s/self", f->top);
	assert_int_equal(mkdir(f->root, 0755), 0);
	f->place = (struct cgroup_place){ f->root, f->self };
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fake *f = *state;
	int r = dir_remove(f->top, NULL);

	free(f);
	return r;
}

static void put(struct fake *f, const char *file, const char *text)
{
	char path[PATH_MAX], *slash;

	assert_int_equal(path_join(path, sizeof(path), f->top, file, NULL), 0);
	slash = strrchr(path, '/');
	*slash = '\0';
	assert_int_equal(dir_make(path, 0755, NULL), 0);
	*slash = '/';
	assert_int_equal(file_write_atomic(path, text, strlen(text), 0644, NULL), 0);
}

struct found {
	char name[NAME_MAX + 1];
	int n;
};

static int find_one(const char *name, void *user)
{
	struct found *x = user;

	if (!str_starts(name, "farrier-build-"))
		return 0;
	x->n++;
	(void)snprintf(x->name, sizeof(x->name), "%s", name);
	return 0;
}

/* The one group below @dir; "" when there is none. */
static const char *group_in(struct fake *f, const char *dir)
{
	static char path[PATH_MAX + NAME_MAX + 2];
	struct found x = { .n = 0 };
	char base[PATH_MAX];

	assert_int_equal(path_join(base, sizeof(base), f->top, dir, NULL), 0);
	assert_int_equal(dir_each(base, find_one, &x, NULL), 0);
	assert_true(x.n <= 1);
	(void)snprintf(path, sizeof(path), "%s/%s", base, x.name);
	return x.n ? path : "";
}

static void expect_file(const char *dir, const char *file, const char *text)
{
	char path[PATH_MAX], line[128] = "";

	assert_int_equal(path_join(path, sizeof(path), dir, file, NULL), 0);
	(void)file_read_line(path, line, sizeof(line));
	if (!streq(line, text))
		fail_msg("'%s' holds '%s', not '%s'", path, line, text);
}

static const struct cgroup_limits limits = { 64 << 20, 100 };

static void test_v2(void **state)
{
	struct fake *f = *state;
	struct cgroup *c = NULL;
	char events[PATH_MAX];
	const char *dir;

	put(f, "self", "0::/system.slice/farrier.service\n");
	put(f, "cgroup/system.slice/farrier.service/cgroup.procs", "");
	put(f, "cgroup/system.slice/farrier.service/cgroup.controllers",
		"cpu memory pids\n");
	put(f, "cgroup/system.slice/farrier.service/cgroup.subtree_control", "");
	assert_int_equal(cgroup_new(&f->place, &limits, &c, NULL), 0);
	assert_int_equal(cgroup_version(c), 2);
	assert_true(cgroup_has_memory(c) && cgroup_has_processes(c));
	dir = group_in(f, "cgroup/system.slice/farrier.service");
	expect_file(dir, "memory.max", "67108864");
	expect_file(dir, "memory.swap.max", "0");
	expect_file(dir, "memory.oom.group", "1");
	expect_file(dir, "pids.max", "100");
	expect_file(dir, "../cgroup.subtree_control", "+memory +pids");
	assert_int_equal(cgroup_enter(c), 0);
	expect_file(dir, "cgroup.procs", "00"); /* tried, then entered */
	assert_false(cgroup_is_out_of_memory(c));
	assert_int_equal(
		path_join(events, sizeof(events), dir, "memory.events", NULL), 0);
	assert_int_equal(
		file_write_atomic(events, "low 0\noom 4\noom_kill 0\n", 23, 0644, NULL),
		0);
	assert_false(cgroup_is_out_of_memory(c));
	assert_int_equal(
		file_write_atomic(events, "low 0\noom 4\noom_kill 1\n", 23, 0644, NULL),
		0);
	assert_true(cgroup_is_out_of_memory(c));
	assert_int_equal(path_join(events, sizeof(events), dir, "pids.events", NULL), 0);
	assert_false(cgroup_is_out_of_processes(c));
	assert_int_equal(file_write_atomic(events, "max 3\n", 6, 0644, NULL), 0);
	assert_true(cgroup_is_out_of_processes(c));
	cgroup_free(c);
}

static void test_v1(void **state)
{
	struct fake *f = *state;
	struct cgroup *c = NULL;
	const char *dir;

	put(f, "self", "9:name=systemd:/\n8:pids:/\n4:memory:/agent\n1:cpu:/\n0::/\n");
	put(f, "cgroup/memory/agent/cgroup.procs", "");
	put(f, "cgroup/pids/cgroup.procs", "");
	assert_int_equal(cgroup_new(&f->place, &limits, &c, NULL), 0);
	assert_int_equal(cgroup_version(c), 1);
	assert_true(cgroup_has_memory(c) && cgroup_has_processes(c));
	dir = group_in(f, "cgroup/memory/agent");
	expect_file(dir, "memory.limit_in_bytes", "67108864");
	expect_file(group_in(f, "cgroup/pids"), "pids.max", "100");
	assert_int_equal(cgroup_enter(c), 0);
	expect_file(group_in(f, "cgroup/memory/agent"), "cgroup.procs",
		"00"); /* tried, then entered */
	expect_file(group_in(f, "cgroup/pids"), "cgroup.procs",
		"00"); /* tried, then entered */
	cgroup_free(c);
}

static void test_one_controller_is_enough(void **state)
{
	struct fake *f = *state;
	struct cgroup *c = NULL;

	put(f, "self", "8:pids:/\n4:memory:/\n");
	put(f, "cgroup/memory/cgroup.procs", "");
	assert_int_equal(cgroup_new(&f->place, &limits, &c, NULL), 0);
	assert_true(cgroup_has_memory(c));
	assert_false(cgroup_has_processes(c));
	cgroup_free(c);
}

static const struct {
	const char *name, *self, *file, *text;
} bad[] = {
	{ "nothing at all", "", NULL, NULL },
	{ "no hierarchy mounted", "0::/x\n", NULL, NULL },
	{ "version 2 without the memory controller", "0::/\n",
		"cgroup/cgroup.controllers", "cpu memory_x xmemory\n" },
	{ "not a line", "memory\n:::\n\n4memory/\n", NULL, NULL },
	{ "a long line", "4:memory", NULL, NULL },
	{ "out of the hierarchy", "4:memory:/../../..\n", NULL, NULL },
};

static void test_none(void **state)
{
	struct fake *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct cgroup *c = NULL;
		struct err e = { 0 };

		put(f, "self", bad[i].self);
		if (bad[i].file) {
			put(f, bad[i].file, bad[i].text);
			put(f, "cgroup/cgroup.procs", "");
		}
		if (cgroup_new(&f->place, &limits, &c, &e) == 0)
			fail_msg("case '%s'", bad[i].name);
		assert_null(c);
		assert_true(e.code < 0);
	}
	/* A container that sees the host's tree under another name: the top is taken. */
	put(f, "self", "4:memory:/kubepods/pod1\n");
	put(f, "cgroup/memory/cgroup.procs", "");
	{
		struct cgroup *c = NULL;

		assert_int_equal(cgroup_new(&f->place, &limits, &c, NULL), 0);
		assert_string_not_equal(group_in(f, "cgroup/memory"), "");
		cgroup_free(c);
	}
}

static void test_what_is_left_over_goes(void **state)
{
	struct fake *f = *state;
	struct cgroup *c = NULL;
	struct stat st;
	char old[PATH_MAX], other[PATH_MAX];

	put(f, "self", "4:memory:/\n");
	put(f, "cgroup/memory/cgroup.procs", "");
	assert_int_equal(
		path_join(old, sizeof(old), f->root, "memory/farrier-build-old", NULL),
		0);
	assert_int_equal(
		path_join(other, sizeof(other), f->root, "memory/others", NULL), 0);
	assert_int_equal(mkdir(old, 0755) | mkdir(other, 0755), 0);
	assert_int_equal(cgroup_new(&f->place, &limits, &c, NULL), 0);
	assert_int_equal(stat(old, &st), -1);
	assert_int_equal(stat(other, &st), 0);
	cgroup_free(c);
}

static bool has_swap(void)
{
	CLEANUP(freep) char *text = NULL;
	size_t len;

	return file_read("/proc/swaps", 64 << 10, &text, &len, NULL) == 0 &&
	       strstr(text, "\n/");
}

static void test_the_host(void **state)
{
	struct cgroup *c = NULL;
	struct err e = { 0 };
	int status;
	pid_t pid;

	if (cgroup_new(&cgroup_host, &limits, &c, &e) < 0) {
		print_message("no control group here: %s\n", e.text);
		skip();
	}
	pid = fork();
	if (pid == 0) {
		size_t n = (size_t)limits.memory * 2;
		char *p;

		if (cgroup_enter(c) < 0)
			_exit(3);
		p = malloc(n);
		if (p)
			memset(p, 1, n);
		_exit(p ? p[n / 2] : 2);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (cgroup_has_memory(c) && (WIFSIGNALED(status) || !has_swap())) {
		assert_true(WIFSIGNALED(status));
		assert_true(cgroup_is_out_of_memory(c));
	}
	cgroup_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_v2),
		T(test_v1),
		T(test_one_controller_is_enough),
		T(test_none),
		T(test_what_is_left_over_goes),
		T(test_the_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
