// SPDX-License-Identifier: Apache-2.0
/* One small tree with everything that a dkms.conf may ask for of a build, built for a real kernel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "build_fixture.h"
#include "driver-builder/depends.h"
#include "driver-builder/observe_notes.h"

static void put(const struct job *j, const char *name, const char *text, mode_t mode)
{
	char path[PATH_MAX];

	assert_int_equal(path_join(path, sizeof(path), j->path, name, NULL), 0);
	*strrchr(path, '/') = '\0';
	assert_int_equal(dir_make(path, 0755, NULL), 0);
	assert_int_equal(path_join(path, sizeof(path), j->path, name, NULL), 0);
	assert_int_equal(file_write_atomic(path, text, strlen(text), mode, NULL), 0);
}

static const char conf[] =
	"PACKAGE_NAME=\"small\"\n"
	"PACKAGE_VERSION=\"0.1\"\n"
	"name() { echo \"sm-$1\"; }\n"
	"MAKE[0]=\"make -C ${kernel_source_dir} M=${dkms_tree}/small/0.1/build/src modules\"\n"
	"MAKE[1]=\"false\"\n"
	"MAKE_MATCH[1]=\"^5\\.\"\n"
	"CLEAN=\"touch cleaned\"\n"
	"BUILT_MODULE_NAME[0]=$(name one)\n"
	"BUILT_MODULE_LOCATION[0]=\"src\"\n"
	"DEST_MODULE_NAME[0]=\"$PACKAGE_NAME-renamed\"\n"
	"DEST_MODULE_LOCATION[0]=/updates/dkms\n"
	"BUILT_MODULE_NAME[1]=two\n"
	"BUILT_MODULE_LOCATION[1]=src/\n"
	"DEST_MODULE_LOCATION[1]=/updates/dkms\n"
	"STRIP[0]=\"no\"\n"
	"STRIP[1]=\"yes\"\n"
	"PATCH[0]=\"fix.patch\"\n"
	"PATCH[1]=\"never.patch\"\n"
	"PATCH_MATCH[1]=\"^5\\.\"\n"
	"PATCH[2]=\"more.patch\"\n"
	"PATCH_MATCH[2]=\"^6\\.1\\.\"\n"
	"PRE_BUILD=\"pre.sh $kernelver\"\n"
	"POST_BUILD=\"post.sh\"\n"
	"BUILD_EXCLUSIVE_KERNEL=\"^6\\.\"\n"
	"BUILD_EXCLUSIVE_KERNEL_MIN=\"6.0\"\n"
	"BUILD_EXCLUSIVE_ARCH=\"x86_64|aarch64\"\n"
	"BUILD_EXCLUSIVE_CONFIG=\"CONFIG_PCI !CONFIG_PREEMPT_RT\"\n"
	"AUTOINSTALL=\"yes\"\n";

/* Compiles with the patches and with what PRE_BUILD and CLEAN left only. */
static void write_tree(const struct job *j)
{
	put(j, "dkms.conf", conf, 0644);
	put(j, "src/Kbuild", "obj-m += sm-one.o two.o unnamed.o\n", 0644);
	put(j, "src/sm-one.c",
		"#include <linux/module.h>\n#include \"made.h\"\n#error not patched\n"
		"MODULE_LICENSE(\"GPL\");\n",
		0644);
	put(j, "src/two.c",
		"#include <linux/module.h>\n#error not patched\nMODULE_LICENSE(\"GPL\");\n",
		0644);
	put(j, "src/unnamed.c", "#include <linux/module.h>\nMODULE_LICENSE(\"GPL\");\n",
		0644);
	put(j, "patches/fix.patch",
		"--- a/src/sm-one.c\n+++ b/src/sm-one.c\n@@ -3 +3 @@\n-#error not patched\n"
		"+extern int made[MADE];\n",
		0644);
	put(j, "patches/more.patch",
		"--- a/src/two.c\n+++ b/src/two.c\n@@ -2 +2 @@\n-#error not patched\n+int two;\n",
		0644);
	put(j, "pre.sh",
		"#!/bin/sh\n[ \"$1\" = " OLD " ] || exit 0\n"
		"[ ! -e cleaned ] && echo '#define MADE 7' >src/made.h\n",
		0755);
	/* What it does comes too late for the module, as with DKMS: its copy was made before. */
	put(j, "post.sh", "#!/bin/sh\n[ -e cleaned ] && echo POST_BUILD ran\n", 0755);
}

static bool has_debug(const struct artifact *a, const char *name)
{
	const struct artifact_module *m = artifact_find(a, name);
	CLEANUP(freep) char *data = NULL;
	char path[PATH_MAX];
	size_t len;

	assert_non_null(m);
	assert_int_equal(path_join(path, sizeof(path), a->dir, m->file, NULL), 0);
	assert_int_equal(file_read(path, 64 << 20, &data, &len, NULL), 0);
	return memmem(data, len, ".debug_info", 11) != NULL;
}

static void test_everything(void **state)
{
	struct fixture *f = *state;
	struct build_result *res;
	struct artifact a = { 0 };
	struct job *j;

	need(f);
	j = job(f, f->old, "small", NULL, API_BUILD_AUTO);
	(void)snprintf(j->path, sizeof(j->path), "%s/small", f->state);
	write_tree(j);
	res = run(j, 0, REASON_NONE);
	/* What the dkms.conf names, as the kernel calls it, and nothing else. */
	assert_int_equal(res->modules_n, 2);
	assert_string_equal(res->modules[0], "sm_one");
	assert_string_equal(res->modules[1], "two");
	assert_int_equal(store_get(f->state, res->key, &a, NULL), 0);
	assert_string_equal(a.modules[0].file, "modules/small-renamed.ko");
	assert_string_equal(a.modules[1].file, "modules/two.ko");
	assert_true(has_debug(&a, "sm_one"));
	assert_false(has_debug(&a, "two"));
	artifact_done(&a);

	/* The file's name is not the module's. */
	j->module.name = "small-renamed";
	j->spec.modules = (struct list){ &j->module, 1 };
	(void)run(j, -1, REASON_MODULE_MISSING);
}

static void test_not_for_this_kernel(void **state)
{
	static const char *const clauses[] = { "BUILD_EXCLUSIVE_KERNEL='^5'",
		"BUILD_EXCLUSIVE_KERNEL_MIN=6.1.0-48", "BUILD_EXCLUSIVE_KERNEL_MAX=6.0",
		"BUILD_EXCLUSIVE_ARCH=none", "BUILD_EXCLUSIVE_CONFIG=CONFIG_NO_SUCH" };
	struct fixture *f = *state;
	struct job *j;
	char text[256];

	need(f);
	j = job(f, f->old, "small", NULL, API_BUILD_AUTO);
	(void)snprintf(j->path, sizeof(j->path), "%s/small", f->state);
	for (size_t i = 0; i < ARRAY_SIZE(clauses); i++) {
		(void)snprintf(text, sizeof(text),
			"PACKAGE_NAME=p\nPACKAGE_VERSION=1\nBUILT_MODULE_NAME[0]=m\n"
			"DEST_MODULE_LOCATION[0]=/updates\nMAKE[0]=false\n%s\n",
			clauses[i]);
		put(j, "dkms.conf", text, 0644);
		(void)run(j, -1, REASON_NOT_FOR_THIS_KERNEL);
	}
}

/* ---- one package built against another ---- */

static void write_package(struct job *j, struct fixture *f, const char *name,
	const char *more, const char *c)
{
	char text[512];

	(void)snprintf(j->path, sizeof(j->path), "%s/%s", f->state, name);
	(void)snprintf(text, sizeof(text),
		"PACKAGE_NAME=%s\nPACKAGE_VERSION=1\nBUILT_MODULE_NAME[0]=%s\n"
		"DEST_MODULE_LOCATION[0]=/updates\n%s\n",
		name, name, more);
	put(j, "dkms.conf", text, 0644);
	(void)snprintf(text, sizeof(text), "obj-m += %s.o\n", name);
	put(j, "Kbuild", text, 0644);
	(void)snprintf(text, sizeof(text), "%s.c", name);
	put(j, text, c, 0644);
}

static struct job *first_job(struct fixture *f, const char *type)
{
	struct job *j = job(f, f->old, "the-first", "first", API_BUILD_AUTO);
	char c[256];

	(void)snprintf(c, sizeof(c),
		"#include <linux/module.h>\n%s first_of_two(void);\n"
		"%s first_of_two(void) { return 7; }\nEXPORT_SYMBOL_GPL(first_of_two);\n"
		"MODULE_LICENSE(\"GPL\");\n",
		type, type);
	write_package(j, f, "first", "", c);
	return j;
}

static struct job *second_job(struct fixture *f, const struct build_peer *peers, size_t n)
{
	struct job *j = job(f, f->old, "the-second", "second", API_BUILD_AUTO);

	write_package(j, f, "second", "BUILD_DEPENDS[0]=first",
		"#include <linux/module.h>\nint first_of_two(void);\n"
		"static int __init begin(void) { return first_of_two() - 7; }\n"
		"module_init(begin);\nMODULE_LICENSE(\"GPL\");\n");
	j->q.peers = peers;
	j->q.peers_n = n;
	return j;
}

static struct record record_of(const char *driver, const char *key, uint64_t at_us)
{
	struct record r = { .at_us = at_us };

	(void)snprintf(r.driver, sizeof(r.driver), "%s", driver);
	(void)snprintf(r.kernel, sizeof(r.kernel), "%s", OLD);
	(void)snprintf(r.key, sizeof(r.key), "%s", key);
	return r;
}

/* What the agent makes of its records: built again when what it was built against changed, or came. */
static void check_records(const struct fixture *f, const char *first, const char *second)
{
	static const struct env no_env;
	struct api_node_driver d[] = { { .name = "the-first" },
		{ .name = "the-second" } };
	const struct list drivers = { d, 2 };
	struct env env = no_env;
	struct record a = record_of("the-first", first, 100), b;
	struct memory m;

	env.state = f->state;
	assert_int_equal(memory_init(&m, &env, NULL), 0);
	assert_int_equal(records_set(m.records, &a), 0);
	b = record_of("the-second", second, 200);
	assert_true(observe_depends(&m, &drivers, &b));
	a = record_of("the-first", second, 300);
	assert_int_equal(records_set(m.records, &a), 0);
	assert_false(observe_depends(&m, &drivers, &b));
	/* A build of it that fails changes nothing about what is there. */
	a.reason = REASON_BUILD_FAILED;
	assert_int_equal(records_set(m.records, &a), 0);
	assert_true(observe_depends(&m, &drivers, &b));
	b.reason = REASON_DEPENDENCY_MISSING;
	assert_true(observe_depends(&m, &drivers, &b));
	a.reason = REASON_NONE;
	assert_int_equal(records_set(m.records, &a), 0);
	assert_false(observe_depends(&m, &drivers, &b));
	b.at_us = 400;
	assert_true(observe_depends(&m, &drivers, &b));
	memory_done(&m);
}

static void check_proof(const struct fixture *f, const char *key, const char *first)
{
	struct arena *arena = arena_new(1 << 20);
	struct artifact a = { 0 };
	const char *paths[4];
	struct err e = { 0 };
	size_t n = 0;

	assert_int_equal(store_get(f->state, key, &a, NULL), 0);
	assert_string_equal(a.package, "second");
	assert_int_equal(a.depends_n, 1);
	assert_string_equal(a.depends[0], first);
	assert_int_equal(depends_paths(f->state, &a, arena, paths, 4, &n, &e), 0);
	assert_int_equal(n, 1);
	assert_non_null(strstr(paths[0], "/first.ko"));
	n = 4;
	assert_int_equal(depends_paths(f->state, &a, arena, paths, 4, &n, &e), -E2BIG);
	a.depends[0][0] ^= 1;
	n = 0;
	assert_true(depends_paths(f->state, &a, arena, paths, 4, &n, &e) < 0);
	assert_int_equal(e.reason, REASON_DEPENDENCY_MISSING);
	artifact_done(&a);
	arena_free(arena);
}

static void test_depends(void **state)
{
	char key[2][DIGEST_HEX + 1], second[2][DIGEST_HEX + 1];
	struct build_peer peers[] = { { "another", NULL }, { "the-first", NULL },
		{ "the-second", NULL } };
	struct fixture *f = *state;
	struct build_result *res;

	need(f);
	res = run(second_job(f, NULL, 0), -1, REASON_DEPENDENCY_MISSING);
	assert_non_null(strstr(res->err.text, "'first'"));
	res = run(second_job(f, peers, 3), -1, REASON_DEPENDENCY_MISSING);
	assert_non_null(strstr(res->err.text, "'first'"));
	res = run(first_job(f, "int"), 0, REASON_NONE);
	memcpy(key[0], res->key, sizeof(key[0]));
	peers[1].key = key[0];
	res = run(second_job(f, peers, 3), 0, REASON_NONE);
	memcpy(second[0], res->key, sizeof(second[0]));
	check_proof(f, second[0], key[0]);
	check_records(f, key[0], second[0]);

	/* Another build of the first is another key of the second; and its symbol has another CRC. */
	res = run(first_job(f, "long"), 0, REASON_NONE);
	memcpy(key[1], res->key, sizeof(key[1]));
	peers[1].key = key[1];
	res = run(second_job(f, peers, 3), 0, REASON_NONE);
	memcpy(second[1], res->key, sizeof(second[1]));
	assert_string_not_equal(second[0], second[1]);
	check_proof(f, second[1], key[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_everything),
		T(test_not_for_this_kernel),
		T(test_depends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
