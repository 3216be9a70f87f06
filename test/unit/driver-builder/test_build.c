// SPDX-License-Identifier: Apache-2.0
/* Real builds for real Debian kernels, where the cache has them; what they leave, and why they fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "driver-builder/build.h"
#include "driver-builder/key.h"
#include "driver-builder/sandbox.h"
#include "driver-builder/verify.h"
#include "file.h"

#define OLD "6.1.0-47-amd64"
#define NEW "6.1.0-56-amd64"

struct fixture {
	char state[64];
	char kroot[512], drivers[512];
	struct kernels kernels;
	const struct kernel *old, *new;
};

static int setup(void **state)
{
	const char *cache = getenv("FARRIER_CACHE"), *source = getenv("FARRIER_SOURCE");
	struct fixture *f = calloc(1, sizeof(*f));
	struct err e = { 0 };

	assert_non_null(f);
	(void)snprintf(f->state, sizeof(f->state), "/tmp/farrier-build-XXXXXX");
	assert_non_null(mkdtemp(f->state));
	(void)snprintf(f->kroot, sizeof(f->kroot), "%s/kroot",
		cache ? cache : "/var/cache/farrier");
	(void)snprintf(
		f->drivers, sizeof(f->drivers), "%s/test/drivers", source ? source : ".");
	if (kernels_scan(f->kroot, &f->kernels, &e) < 0)
		fail_msg("%s", e.text);
	f->old = kernels_find(&f->kernels, OLD);
	f->new = kernels_find(&f->kernels, NEW);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	int r = dir_remove(f->state, NULL);

	kernels_done(&f->kernels);
	free(f);
	return r;
}

/* Tests that need a kernel are skipped where the cache holds none. */
static void need(const struct fixture *f)
{
	char scratch[PATH_MAX];

	if (!f->old || !f->new || f->old->install != KERNEL_COMPLETE ||
		f->new->install != KERNEL_COMPLETE)
		skip();
	assert_int_equal(
		path_join(scratch, sizeof(scratch), f->state, "scratch", NULL), 0);
	assert_int_equal(dir_make(scratch, 0755, NULL), 0);
	if (sandbox_check("/", scratch, NULL) < 0)
		skip();
}

struct job {
	struct api_driver_spec spec;
	struct api_module module;
	struct build_request q;
	char path[PATH_MAX];
};

static struct job *job(struct fixture *f, const struct kernel *k, const char *driver,
	const char *module, int system)
{
	static struct job j;

	j = (struct job){ 0 };
	(void)snprintf(j.path, sizeof(j.path), "%s/%s", f->drivers, driver);
	j.module.name = module;
	j.spec.version = "1.0";
	j.spec.source.type = API_SOURCE_HOST;
	j.spec.source.host.present = true;
	j.spec.source.host.path = j.path;
	j.spec.build.system = system;
	j.spec.build.timeout_seconds = 100;
	if (module)
		j.spec.modules = (struct list){ &j.module, 1 };
	j.q = (struct build_request){
		.root = f->kroot,
		.source_root = "/",
		.state = f->state,
		.driver = driver,
		.spec = &j.spec,
		.kernel = k,
	};
	return &j;
}

static struct build_result *run(struct job *j, int wanted, enum reason reason)
{
	static struct build_result res;
	struct err e = { 0 };
	int r = build_run(&j->q, &res, &e);

	if ((r < 0) != (wanted < 0) || res.err.reason != reason)
		fail_msg("%s for %s: %d %s: %s", j->q.driver, j->q.kernel->release, r,
			reason_name(res.err.reason), res.err.text);
	return &res;
}

static int verify_one(struct fixture *f, const struct kernel *k, const char *path,
	struct verify_report *rep, struct err *e)
{
	struct verify_kernel *v = NULL;
	int r = verify_kernel_open(k, f->kroot, &v, e);

	assert_int_equal(r, 0);
	r = verify_files(v, &path, 1, rep, e);
	verify_kernel_free(v);
	return r;
}

static void test_edu_for_two_kernels(void **state)
{
	struct fixture *f = *state;
	struct verify_report rep;
	struct artifact a = { 0 };
	struct build_result *res;
	struct err e = { 0 };
	char path[PATH_MAX], key[DIGEST_HEX + 1], sha[DIGEST_HEX + 1];
	struct stat st;
	char *data = NULL;
	size_t len;

	need(f);
	res = run(job(f, f->old, "edu", "edu", API_BUILD_AUTO), 0, REASON_NONE);
	assert_false(res->is_reused);
	assert_int_equal(res->modules_n, 1);
	assert_string_equal(res->modules[0], "edu");
	assert_int_equal(stat(res->log, &st), 0);
	memcpy(key, res->key, sizeof(key));

	/* What is in the store is whole and right for its kernel. */
	assert_int_equal(store_get(f->state, key, &a, &e), 0);
	assert_string_equal(a.kernel, OLD);
	assert_string_equal(a.build_system, "DKMS");
	assert_int_equal(a.modules_n, 1);
	assert_true(a.modules[0].symbols > 20);
	(void)snprintf(path, sizeof(path), "%s/%s", a.dir, a.modules[0].file);
	assert_int_equal(verify_one(f, f->old, path, &rep, &e), 0);
	assert_true(str_starts(rep.vermagic, OLD " SMP "));
	assert_int_equal(strlen(rep.srcversion), 23);
	memcpy(sha, a.modules[0].sha256, sizeof(sha));

	/* Another kernel: refused, by CRC, as the kernel itself would. */
	e = (struct err){ 0 };
	assert_true(verify_one(f, f->new, path, &rep, &e) < 0);
	assert_int_equal(e.reason, REASON_SYMBOL_CRC_MISMATCH);
	assert_non_null(strstr(e.text, "module_layout"));

	/* Cut off anywhere: refused, and nothing worse. */
	assert_int_equal(file_read(path, 1 << 24, &data, &len, &e), 0);
	(void)snprintf(path, sizeof(path), "%s/cut.ko", f->state);
	assert_int_equal(file_write_atomic(path, data, len * 2 / 3, 0644, &e), 0);
	free(data);
	assert_true(verify_one(f, f->old, path, &rep, &e) < 0);
	assert_int_equal(e.reason, REASON_MODULE_INVALID);
	artifact_done(&a);

	/* Again: from the store. Forced, elsewhere: the same bytes. */
	res = run(job(f, f->old, "edu", "edu", API_BUILD_AUTO), 0, REASON_NONE);
	assert_true(res->is_reused);
	assert_int_equal(res->build_seconds, 0);
	assert_int_equal(store_gc(f->state, NULL, 0, &len, &e), 0);
	assert_int_equal(len, 1);
	res = run(job(f, f->old, "edu", "edu", API_BUILD_AUTO), 0, REASON_NONE);
	assert_false(res->is_reused);
	assert_string_equal(res->key, key);
	assert_int_equal(store_get(f->state, key, &a, &e), 0);
	assert_string_equal(a.modules[0].sha256, sha);
	artifact_done(&a);

	res = run(job(f, f->new, "edu", "edu", API_BUILD_KBUILD), 0, REASON_NONE);
	assert_string_not_equal(res->key, key);
	assert_int_equal(store_get(f->state, res->key, &a, &e), 0);
	(void)snprintf(path, sizeof(path), "%s/%s", a.dir, a.modules[0].file);
	assert_int_equal(verify_one(f, f->new, path, &rep, &e), 0);
	artifact_done(&a);

	/* No build leaves its folder behind. */
	(void)snprintf(path, sizeof(path), "%s/build", f->state);
	assert_int_equal(rmdir(path), 0);
}

static void test_broken_for_the_next_kernel(void **state)
{
	struct fixture *f = *state;
	struct build_result *res;
	struct stat st;

	need(f);
	res = run(job(f, f->old, "broken-next", "fbar", API_BUILD_AUTO), 0, REASON_NONE);
	assert_string_equal(res->modules[0], "fbar");
	res = run(job(f, f->new, "broken-next", "fbar", API_BUILD_AUTO), -1,
		REASON_BUILD_FAILED);
	print_message("told: %s\n", res->err.text);
	assert_true(str_starts(res->err.text, "fbar.c:"));
	assert_non_null(strstr(res->err.text, "too few arguments to function "));
	assert_non_null(strstr(res->err.text, "pci_resize_resource"));
	assert_int_equal(stat(res->log, &st), 0);
	assert_true(st.st_size > 100);
}

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
	j = inline_job(f, good, ARRAY_SIZE(good), API_BUILD_AUTO);
	j->module.name = "other";
	j->spec.modules = (struct list){ &j->module, 1 };
	(void)run(j, -1, REASON_MODULE_MISSING);
}

struct waiting {
	struct loop *loop;
	struct build_result res;
	unsigned ticks;
};

static void on_built(const struct build_result *res, void *user)
{
	struct waiting *w = user;

	w->res = *res;
	loop_exit(w->loop, 0);
}

static void on_tick(void *user)
{
	((struct waiting *)user)->ticks++;
}

static void test_in_a_worker(void **state)
{
	struct fixture *f = *state;
	static struct waiting w;
	struct loop_source *tick = NULL;
	struct build *b = NULL;
	struct err e = { 0 };
	char path[PATH_MAX];

	need(f);
	w = (struct waiting){ 0 };
	assert_int_equal(loop_new(&w.loop, NULL, &e), 0);
	assert_int_equal(
		loop_timer(w.loop, loop_now(w.loop) + 1000, on_tick, &w, &tick), 0);
	assert_int_equal(build_start(w.loop, &job(f, f->old, "edu", "edu", 0)->q,
				 on_built, &w, &b, &e),
		0);
	assert_int_equal(loop_run(w.loop), 0);
	if (w.res.err.code)
		fail_msg("%s", w.res.err.text);
	assert_true(store_has(f->state, w.res.key));
	assert_int_equal(w.ticks, 1); /* the loop went on meanwhile */

	/* Cancelled in the middle: no answer, nobody left, the folder is cleaned up. */
	assert_int_equal(build_start(w.loop, &job(f, f->new, "noncompiling", NULL, 0)->q,
				 on_built, &w, &b, &e),
		0);
	(void)usleep(200 * 1000);
	build_cancel(b);
	loop_source_free(tick);
	loop_free(w.loop);
	(void)usleep(100 * 1000);
	assert_int_equal(build_clean(f->state, &e), 0);
	(void)snprintf(path, sizeof(path), "%s/build", f->state);
	assert_int_equal(rmdir(path), 0);
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
		T(test_edu_for_two_kernels),
		T(test_broken_for_the_next_kernel),
		T(test_failures_have_their_reason),
		T(test_inline_builds),
		T(test_in_a_worker),
		cmocka_unit_test(test_classify),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
