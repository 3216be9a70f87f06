// SPDX-License-Identifier: Apache-2.0
/* Equal key, equal bytes: wherever the headers lie, debug information kept or not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "build_fixture.h"
#include "child.h"

/* The header trees of $1 for kernel $3 once more below $2, as fetch-kernels.sh relocates them. */
static const char copy_script[] =
	"set -e; from=$1 to=$2 abi=$3; cd \"$from\"\n"
	"mkdir -p \"$to/usr/src\" \"$to/usr/lib\" \"$to/lib/modules/$abi/kernel\"\n"
	"common=usr/src/linux-headers-${abi%-*}-common\n"
	"cp -al usr/src/linux-headers-$abi $common \"$to/usr/src/\" ||\n"
	"cp -a usr/src/linux-headers-$abi $common \"$to/usr/src/\"\n"
	"cp -a usr/lib/linux-kbuild-* \"$to/usr/lib/\"\n"
	"ln -s \"$to/usr/src/linux-headers-$abi\" \"$to/lib/modules/$abi/build\"\n"
	"find \"$to\" -type l | while read -r l; do\n"
	"\tt=$(readlink \"$l\")\n"
	"\tcase $t in \"$from\"/*) ln -sfn \"$to${t#\"$from\"}\" \"$l\" ;; esac\n"
	"done\n"
	"for f in \"$to\"/usr/src/*/Makefile \"$to\"/usr/src/*/.kernelvariables; do\n"
	"\t[ ! -f \"$f\" ] || { sed \"s#$from/#$to/#g\" \"$f\" >\"$f.new\" && mv -f \"$f.new\" \"$f\"; }\n"
	"done\n";

static void copy_headers(const struct fixture *f, const char *to)
{
	const char *argv[] = { "/bin/sh", "-c", copy_script, "sh", f->kroot, to, OLD,
		NULL };
	struct child_options o = { .argv = argv, .timeout_us = 100 * USEC_PER_SEC };
	CLEANUP(freep) char *out = NULL;
	struct err e = { 0 };
	int status;

	assert_int_equal(child_run(&o, &status, &out, &e), 0);
	if (status != 0)
		fail_msg("copy of the headers: %s", out);
}

static void put(const struct job *j, const char *name, const char *text)
{
	char path[PATH_MAX];

	assert_int_equal(dir_make(j->path, 0755, NULL), 0);
	assert_int_equal(path_join(path, sizeof(path), j->path, name, NULL), 0);
	assert_int_equal(file_write_atomic(path, text, strlen(text), 0644, NULL), 0);
}

static void digest_of(
	const struct fixture *f, const char *key, char ret[2 * DIGEST_HEX + 1])
{
	struct artifact a = { 0 };

	assert_int_equal(store_get(f->state, key, &a, NULL), 0);
	assert_int_equal(a.modules_n, 2);
	for (size_t i = 0; i < a.modules_n; i++)
		memcpy(ret + i * DIGEST_HEX, a.modules[i].sha256, DIGEST_HEX);
	ret[2 * DIGEST_HEX] = '\0';
	artifact_done(&a);
}

static void test_headers_elsewhere(void **state)
{
	struct fixture *f = *state;
	/* Not below /tmp, which is the sandbox's own. */
	char to[] = "/var/tmp/farrier-headers-XXXXXX", key[DIGEST_HEX + 1];
	char one[2 * DIGEST_HEX + 1], two[2 * DIGEST_HEX + 1];
	struct kernels ks = { NULL, 0 };
	struct build_result *res;
	struct err e = { 0 };
	struct job *j;

	need(f);
	assert_non_null(mkdtemp(to));
	copy_headers(f, to);
	j = job(f, f->old, "two", NULL, API_BUILD_DKMS);
	(void)snprintf(j->path, sizeof(j->path), "%s/two", f->state);
	put(j, "Kbuild", "obj-m += plain.o debug.o\n");
	put(j, "plain.c",
		"#include <linux/module.h>\nMODULE_LICENSE(\"GPL\");\n"
		"int f(void *d); int f(void *d) { WARN_ON(!d); "
		"pr_info(__FILE__); return try_module_get(d); }\n");
	put(j, "debug.c",
		"#include <linux/module.h>\nMODULE_LICENSE(\"GPL\");\n"
		"int g(void *d); int g(void *d) { return WARN_ON(!d); }\n");
	put(j, "dkms.conf",
		"PACKAGE_NAME=two\nPACKAGE_VERSION=1\nBUILT_MODULE_NAME[0]=plain\n"
		"BUILT_MODULE_NAME[1]=debug\nDEST_MODULE_LOCATION[0]=/updates\n"
		"DEST_MODULE_LOCATION[1]=/updates\nSTRIP[1]=no\n");
	res = run(j, 0, REASON_NONE);
	memcpy(key, res->key, sizeof(key));
	digest_of(f, key, one);

	assert_int_equal(kernels_scan(to, &ks, &e), 0);
	j->q.root = to;
	j->q.kernel = kernels_find(&ks, OLD);
	assert_non_null(j->q.kernel);
	j->q.force = true;
	assert_int_equal(store_gc(f->state, NULL, 0, &(size_t){ 0 }, &e), 0);
	res = run(j, 0, REASON_NONE);
	assert_string_equal(res->key, key);
	digest_of(f, key, two);
	kernels_done(&ks);
	assert_int_equal(dir_remove(to, NULL), 0);
	assert_string_equal(one, two);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_headers_elsewhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
