// SPDX-License-Identifier: Apache-2.0
/* Builds of hostile Makefiles: what they may not do fails, and what ends them has its own reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/stat.h>

#include "driver-builder/cgroup.h"

#include "build_fixture.h"

static const struct {
	const char *name, *recipe; /* @STATE@ stands for the agent's folder */
	const char *memory;
	int64_t timeout;
	enum reason reason;
	const char *needle; /* in the message */
	bool needs_groups;
} cases[] = {
	{ "the network", "exec 3<>/dev/tcp/192.0.2.1/80", NULL, 100, REASON_BUILD_FAILED,
		"", false },
	{ "writing outside", "echo x > /usr/bin/x; echo x > /etc/x", NULL, 100,
		REASON_BUILD_FAILED, "", false },
	{ "the host's passwords", "cat /etc/shadow", NULL, 100, REASON_BUILD_FAILED, "",
		false },
	{ "the state of the agent", "ls @STATE@", NULL, 100, REASON_BUILD_FAILED, "",
		false },
	{ "other processes", "kill -9 -1; exit 0", NULL, 100, REASON_BUILD_FAILED,
		"not for its memory", true },
	{ "no end", "sleep 600", NULL, 2, REASON_BUILD_TIMEOUT, "2 s", false },
	{ "a daemon that holds on", "setsid sleep 600 & sleep 600", NULL, 2,
		REASON_BUILD_TIMEOUT, "2 s", false },
	{ "memory", "head -c 400000000 /dev/zero | tail -c 400000000 | wc -c; exit 1",
		"96Mi", 100, REASON_OUT_OF_MEMORY, "96 MiB", true },
	{ "memory, in many processes",
		"for i in 1 2 3 4; do head -c 60000000 /dev/zero > /tmp/$$i & done; wait; "
		"exit 1",
		"128Mi", 100, REASON_OUT_OF_MEMORY, "128 MiB", true },
	{ "a compiler's error within its memory",
		"echo 'x.c:1:2: error: no such thing'; exit 1", "128Mi", 100,
		REASON_BUILD_FAILED, "no such thing", false },
};

static const char *recipe_of(
	struct fixture *f, const char *recipe, char *out, size_t size)
{
	const char *at = strstr(recipe, "@STATE@");

	(void)snprintf(out, size, "SHELL := /bin/bash\n.ONESHELL:\nall:\n\t%.*s%s%s\n",
		at ? (int)(at - recipe) : (int)strlen(recipe), recipe, at ? f->state : "",
		at ? at + strlen("@STATE@") : "");
	return out;
}

static bool has_groups(void)
{
	const struct cgroup_limits l = { 64 << 20, 100 };
	struct cgroup *c = NULL;
	bool is_there;

	if (cgroup_new(&cgroup_host, &l, &c, NULL) < 0)
		return false;
	is_there = cgroup_has_memory(c);
	cgroup_free(c);
	return is_there;
}

static void test_cases(void **state)
{
	struct fixture *f = *state;
	char folder[PATH_MAX], file[PATH_MAX], text[2048];

	need(f);
	assert_int_equal(path_join(folder, sizeof(folder), f->state, "hostile", NULL), 0);
	assert_int_equal(path_join(file, sizeof(file), folder, "Makefile", NULL), 0);
	assert_int_equal(dir_make(folder, 0755, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		static struct build_result res;
		struct job *j = job(f, f->old, "edu", NULL, API_BUILD_MAKE);
		struct err e = { 0 };

		if (cases[i].needs_groups && !has_groups())
			continue;
		(void)recipe_of(f, cases[i].recipe, text, sizeof(text));
		assert_int_equal(
			file_write_atomic(file, text, strlen(text), 0644, NULL), 0);
		(void)snprintf(j->path, sizeof(j->path), "%s", folder);
		j->spec.build.present = true;
		j->spec.build.memory = cases[i].memory;
		j->spec.build.timeout_seconds = cases[i].timeout;
		assert_true(build_run(&j->q, &res, &e) < 0);
		if (res.err.reason != cases[i].reason ||
			!strstr(res.err.text, cases[i].needle))
			fail_msg("case '%s': %s: %s", cases[i].name,
				reason_name(res.err.reason), res.err.text);
	}
}

/* What a build wrote outside would be there now; what it left running too. */
static void test_nothing_stays(void **state)
{
	struct stat st;

	assert_int_equal(stat("/usr/bin/x", &st), -1);
	assert_int_equal(stat("/etc/x", &st), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_cases, setup, teardown),
		cmocka_unit_test(test_nothing_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
