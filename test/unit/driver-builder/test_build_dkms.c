// SPDX-License-Identifier: Apache-2.0
/* One small tree with everything that a dkms.conf may ask for of a build, built for a real kernel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "build_fixture.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_everything),
		T(test_not_for_this_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
