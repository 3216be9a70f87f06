// SPDX-License-Identifier: Apache-2.0
/* Builds that must fail, each with its own reason; hostile and clumsy sources; what a log tells. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "build_fixture.h"

static void test_failures_have_their_reason(void **state)
{
	struct fixture *f = *state;
	struct build_result *res;
	struct kernel none = { .release = "6.1.0-99-amd64" };
	struct job *j;

	need(f);
	res = run(job(f, f->old, "noncompiling", NULL, API_BUILD_AUTO), -1,
		REASON_BUILD_FAILED);
	assert_non_null(strstr(res->err.text, "this_function_does_not_exist_anywhere"));
	(void)run(job(f, f->old, "no-such-driver", NULL, API_BUILD_AUTO), -1,
		REASON_SOURCE_MISSING);
	(void)run(
		job(f, &none, "edu", "edu", API_BUILD_AUTO), -1, REASON_HEADERS_MISSING);
	j = job(f, f->old, "edu", "edu", API_BUILD_AUTO);
	j->spec.build.toolchain = API_TOOLCHAIN_HOST; /* a root without tools */
	(void)run(j, -1, REASON_COMPILER_MISSING);
	j = job(f, f->old, "edu", "edu", API_BUILD_AUTO);
	j->spec.source.host.sha256 =
		"0000000000000000000000000000000000000000000000000000000000000000";
	(void)run(j, -1, REASON_SOURCE_DIGEST_MISMATCH);
}

/* Inline sources: a hostile or clumsy Makefile, and what becomes of it. */
static struct job *inline_job(
	struct fixture *f, const struct kv *files, size_t n, int system)
{
	struct job *j = job(f, f->old, "inline", NULL, system);

	j->spec.source.type = API_SOURCE_INLINE;
	j->spec.source.inline_.present = true;
	j->spec.source.inline_.files = (struct list){ (void *)(uintptr_t)files, n };
	return j;
}

static void test_inline_builds(void **state)
{
	static const struct kv good[] = {
		{ "Kbuild", "obj-m := sub/in-line.o\n" },
		{ "sub/in-line.c",
			"#include <linux/module.h>\nMODULE_LICENSE(\"GPL\");\n"
			"static int __init i(void) { return 0; }\nmodule_init(i);\n" },
	};
	static const struct kv slow[] = { { "Makefile", "all:\n\tsleep 100\n" } };
	static const struct kv nothing[] = { { "Makefile", "all:\n\ttrue\n" } };
	static const struct kv escape[] = { { "../evil", "x" }, { "Kbuild", "" } };
	static const struct kv fake[] = { { "Makefile",
		"all:\n\thead -c 5000 /dev/zero > evil.ko\n" } };
	static const struct kv link[] = { { "Makefile",
		"all:\n\tln -s /etc evil; ln -s /etc/passwd evil.ko\n" } };
	static const struct kv excluded[] = { { "dkms.conf",
		"PACKAGE_NAME=x\nPACKAGE_VERSION=1\nBUILT_MODULE_NAME[0]=x\n"
		"DEST_MODULE_LOCATION[0]=/updates\nBUILD_EXCLUSIVE_KERNEL='^5\\.'\n" } };
	/* Some hand the number of jobs on themselves, as NVIDIA's does. */
	static const struct kv parallel[] = { { "dkms.conf",
		"PACKAGE_NAME=x\nPACKAGE_VERSION=1\nBUILT_MODULE_NAME[0]=x\n"
		"DEST_MODULE_LOCATION[0]=/updates\n"
		"MAKE[0]=\"echo error: jobs ${parallel_jobs+-j$parallel_jobs}x; false\"\n" } };
	struct fixture *f = *state;
	struct build_result *res;
	struct job *j;

	need(f);
	res = run(inline_job(f, good, ARRAY_SIZE(good), API_BUILD_AUTO), 0, REASON_NONE);
	assert_string_equal(res->modules[0], "in_line");
	j = inline_job(f, slow, 1, API_BUILD_AUTO);
	j->spec.build.timeout_seconds = 1;
	(void)run(j, -1, REASON_BUILD_TIMEOUT);
	(void)run(inline_job(f, nothing, 1, API_BUILD_AUTO), -1, REASON_BUILD_FAILED);
	(void)run(inline_job(f, escape, 2, API_BUILD_AUTO), -1, REASON_SOURCE_INVALID);
	(void)run(inline_job(f, fake, 1, API_BUILD_AUTO), -1, REASON_MODULE_INVALID);
	(void)run(inline_job(f, link, 1, API_BUILD_AUTO), -1, REASON_BUILD_FAILED);
	(void)run(inline_job(f, excluded, 1, API_BUILD_AUTO), -1,
		REASON_NOT_FOR_THIS_KERNEL);
	res = run(inline_job(f, parallel, 1, API_BUILD_AUTO), -1, REASON_BUILD_FAILED);
	assert_non_null(strstr(res->err.text, "error: jobs -j"));
	j = inline_job(f, good, ARRAY_SIZE(good), API_BUILD_AUTO);
	j->module.name = "other";
	j->spec.modules = (struct list){ &j->module, 1 };
	(void)run(j, -1, REASON_MODULE_MISSING);
}

static const struct {
	const char *name, *log;
	int status;
	bool is_timed_out;
	enum reason reason;
	const char *line;
} logs[] = {
	{ "first compiler error",
		"make\n/build/a.c:1:2: warning: x\n/build/a.c:3:4: error: "
		"boo\n/build/b.c:5:6: error: more\nmake: *** [x] Error 2\n",
		2, false, REASON_BUILD_FAILED, "a.c:3:4: error: boo" },
	{ "dkms path",
		"/var/lib/dkms/x/1.0/build/d/a.c:3:4: fatal error: h.h: No such file\n",
		2, false, REASON_BUILD_FAILED,
		"d/a.c:3:4: fatal error: h.h: No such file" },
	{ "modpost",
		"ERROR: modpost: \"foo\" [/build/a.ko] undefined!\nmake: *** [y] Error 1\n",
		2, false, REASON_BUILD_FAILED,
		"ERROR: modpost: \"foo\" [a.ko] undefined!" },
	{ "make's own words",
		"Makefile:3: *** no headers.  Stop.\nmake: *** [z] Error 1\n", 2, false,
		REASON_BUILD_FAILED, "Makefile:3: *** no headers.  Stop." },
	{ "memory", "a.c:1:1: error: x\ncc1: out of memory allocating 65536 bytes\n", 2,
		false, REASON_OUT_OF_MEMORY,
		"cc1: out of memory allocating 65536 bytes" },
	{ "disk", "write: No space left on device\n", 2, false, REASON_DISK_FULL,
		"write: No space left on device" },
	{ "time", "CC a.o\n", 137, true, REASON_BUILD_TIMEOUT, "" },
	{ "killed from outside", "CC a.o\n", 137, false, REASON_OUT_OF_MEMORY,
		"the build was killed for want of memory" },
	{ "nothing to tell", "", 1, false, REASON_BUILD_FAILED, "" },
	{ "no newline, no zero", "x: error: y", 1, false, REASON_BUILD_FAILED,
		"x: error: y" },
	{ "control characters", "a.c:1: error: \033[31mred\n", 1, false,
		REASON_BUILD_FAILED, "a.c:1: error:  [31mred" },
};

static void test_classify(void **state)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(logs); i++) {
		size_t len = strlen(logs[i].log);
		char *copy = malloc(len + 1), line[256];
		enum reason r;

		assert_non_null(copy);
		memcpy(copy, logs[i].log, len + 1);
		r = build_classify(copy, len, logs[i].status, logs[i].is_timed_out, line,
			sizeof(line));
		free(copy);
		if (r != logs[i].reason || !streq(line, logs[i].line))
			fail_msg(
				"case '%s': %s '%s'", logs[i].name, reason_name(r), line);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_failures_have_their_reason),
		T(test_inline_builds),
		cmocka_unit_test(test_classify),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
