// SPDX-License-Identifier: Apache-2.0
/* What the variables of a dkms.conf mean; and dkms.conf files as they are, through bash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "buf.h"
#include "child.h"
#include "driver-builder/dkms.h"
#include "file.h"

static const struct dkms_kernel kernel = { "6.1.0-56-amd64", "x86_64", "/usr/src/h",
	"CONFIG_PCI=y\nCONFIG_USB=m\n# CONFIG_RT is not set\n", 4 };

#define HEAD "PACKAGE_NAME[0]=p|PACKAGE_VERSION[0]=1.0|"
#define ONE HEAD "BUILT_MODULE_NAME[0]=m|DEST_MODULE_LOCATION[0]=/updates|"
#define DEFAULT_MAKE \
	"make -j4 KERNELRELEASE=6.1.0-56-amd64 -C /usr/src/h M=/var/lib/dkms/p/1.0/build"

/* '|' stands for the zero between records. */
static const struct {
	const char *name, *records;
	enum reason reason;
	const char *make;
	const char *modules; /* "location/name>dest:strip,…" */
	const char *patches;
} cases[] = {
	{ "least", ONE, 0, DEFAULT_MAKE, "/m>m:1,", "" },
	{ "make gets -j and KERNELRELEASE", ONE "MAKE[0]=make all|", 0,
		"make -j4 KERNELRELEASE=6.1.0-56-amd64 all", "/m>m:1,", "" },
	{ "quoted make is left alone", ONE "MAKE[0]='make' all|", 0, "'make' all",
		"/m>m:1,", "" },
	{ "make by kernel", ONE "MAKE[0]=a|MAKE[1]=b|MAKE_MATCH[1]=^6\\.1|", 0, "b",
		"/m>m:1,", "" },
	{ "make not by kernel", ONE "MAKE[0]=a|MAKE[1]=b|MAKE_MATCH[1]=^5|", 0, "a",
		"/m>m:1,", "" },
	{ "no make matches", ONE "MAKE[0]=a|MAKE_MATCH[0]=^5|", 0, DEFAULT_MAKE,
		"/m>m:1,", "" },
	{ "renames and places",
		HEAD
		"BUILT_MODULE_NAME[0]=a|BUILT_MODULE_NAME[1]=b|BUILT_MODULE_LOCATION[0]="
		"./src//|DEST_MODULE_NAME[1]=c|DEST_MODULE_LOCATION[0]=/extra|STRIP[0]=no|",
		0, DEFAULT_MAKE, "src/a>a:0,/b>c:0,", "" },
	{ "strip each", ONE "BUILT_MODULE_NAME[1]=n|STRIP[0]=no|STRIP[1]=yes|", 0,
		DEFAULT_MAKE, "/m>m:0,/n>n:1,", "" },
	{ "name by package", HEAD "DEST_MODULE_LOCATION[0]=/updates|", 0, DEFAULT_MAKE,
		"/p>p:1,", "" },
	{ "patches",
		ONE "PATCH[0]=a.patch|PATCH[1]=b.patch|PATCH[2]=c|PATCH_MATCH[1]=^5|"
		    "PATCH_MATCH[2]=6\\.[0-9]+\\.|",
		0, DEFAULT_MAKE, "/m>m:1,", "a.patch,c," },
	{ "exclusive kernel fits", ONE "BUILD_EXCLUSIVE_KERNEL[0]=^(5\\.|6\\.1)|", 0,
		DEFAULT_MAKE, "/m>m:1,", "" },
	{ "exclusive kernel", ONE "BUILD_EXCLUSIVE_KERNEL[0]=^5\\.|",
		REASON_NOT_FOR_THIS_KERNEL },
	{ "exclusive arch", ONE "BUILD_EXCLUSIVE_ARCH[0]=aarch64|",
		REASON_NOT_FOR_THIS_KERNEL },
	{ "exclusive config fits", ONE "BUILD_EXCLUSIVE_CONFIG[0]=CONFIG_USB !CONFIG_RT|",
		0, DEFAULT_MAKE, "/m>m:1,", "" },
	{ "exclusive config", ONE "BUILD_EXCLUSIVE_CONFIG[0]=CONFIG_PCI CONFIG_US|",
		REASON_NOT_FOR_THIS_KERNEL },
	{ "exclusive config, negated", ONE "BUILD_EXCLUSIVE_CONFIG[0]=!CONFIG_PCI|",
		REASON_NOT_FOR_THIS_KERNEL },
	{ "within the range",
		ONE
		"BUILD_EXCLUSIVE_KERNEL_MIN[0]=5.15|BUILD_EXCLUSIVE_KERNEL_MAX[0]=6.1.0-100|",
		0, DEFAULT_MAKE, "/m>m:1,", "" },
	{ "before the range", ONE "BUILD_EXCLUSIVE_KERNEL_MIN[0]=6.10|",
		REASON_NOT_FOR_THIS_KERNEL },
	{ "behind the range", ONE "BUILD_EXCLUSIVE_KERNEL_MAX[0]=6.1.0-47|",
		REASON_NOT_FOR_THIS_KERNEL },
	{ "obsolete", ONE "OBSOLETE_BY[0]=6.0|", REASON_NOT_FOR_THIS_KERNEL },
	{ "not obsolete, by the range",
		ONE "OBSOLETE_BY[0]=6.0|BUILD_EXCLUSIVE_KERNEL_MAX[0]=6.2|", 0,
		DEFAULT_MAKE, "/m>m:1,", "" },
	{ "nothing", "", REASON_SOURCE_INVALID },
	{ "no version", "PACKAGE_NAME[0]=p|", REASON_SOURCE_INVALID },
	{ "no module", HEAD, REASON_SOURCE_INVALID },
	{ "module with .ko", HEAD "BUILT_MODULE_NAME[0]=m.ko|", REASON_SOURCE_INVALID },
	{ "module with path", HEAD "BUILT_MODULE_NAME[0]=../m|", REASON_SOURCE_INVALID },
	{ "package with path",
		"PACKAGE_NAME[0]=../..|PACKAGE_VERSION[0]=1|BUILT_MODULE_NAME[0]=m|",
		REASON_SOURCE_INVALID },
	{ "location outside", ONE "BUILT_MODULE_LOCATION[0]=a/../../b|",
		REASON_SOURCE_INVALID },
	{ "location absolute", ONE "BUILT_MODULE_LOCATION[0]=/etc|",
		REASON_SOURCE_INVALID },
	{ "patch outside", ONE "PATCH[0]=../../etc/passwd|", REASON_SOURCE_INVALID },
	{ "pre-build outside", ONE "PRE_BUILD[0]=../x|", REASON_SOURCE_INVALID },
	{ "broken expression", ONE "BUILD_EXCLUSIVE_KERNEL[0]=(|",
		REASON_SOURCE_INVALID },
	{ "costly expression",
		ONE "BUILD_EXCLUSIVE_KERNEL[0]=((((a{1,9}){9}){9}){9}){9}|",
		REASON_SOURCE_INVALID },
	{ "stacked repetition",
		ONE "BUILD_EXCLUSIVE_KERNEL[0]=8++++++++++++++++++++++++|",
		REASON_SOURCE_INVALID },
	{ "nested repetition",
		ONE
		"BUILD_EXCLUSIVE_KERNEL[0]=((((((((((((((((6+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)|",
		REASON_SOURCE_INVALID },
	{ "repetition as it is used",
		ONE
		"BUILD_EXCLUSIVE_KERNEL[0]=^[0-9]+\\.[0-9]{1,3}\\.[0-9]+-[0-9]+-(amd|arm)64$|",
		0, DEFAULT_MAKE, "/m>m:1,", "" },
	{ "large repetition", ONE "BUILD_EXCLUSIVE_KERNEL[0]=a{1,255}|",
		REASON_SOURCE_INVALID },
	{ "back reference", ONE "BUILD_EXCLUSIVE_KERNEL[0]=(a)\\1|",
		REASON_SOURCE_INVALID },
	{ "unknown variable", ONE "LD_PRELOAD[0]=x|", REASON_SOURCE_INVALID },
	{ "index too large", ONE "MAKE[256]=x|", REASON_SOURCE_INVALID },
	{ "index no number", ONE "MAKE[-1]=x|", REASON_SOURCE_INVALID },
	{ "no index", ONE "MAKE=x|", REASON_SOURCE_INVALID },
	{ "index overflows", ONE "MAKE[99999999999999999999]=x|", REASON_SOURCE_INVALID },
	{ "does not end", ONE "MAKE[0]=x", REASON_SOURCE_INVALID },
};

static void print(const struct dkms *d, struct buf *modules, struct buf *patches)
{
	size_t i;

	for (i = 0; i < d->modules_n; i++)
		(void)buf_fmt(modules, "%s/%s>%s:%d,", d->modules[i].location,
			d->modules[i].name, d->modules[i].dest_name, d->modules[i].strip);
	for (i = 0; i < d->patches_n; i++)
		(void)buf_fmt(patches, "%s,", d->patches[i]);
}

static void test_cases(void **state)
{
	size_t i, k;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct arena *a = arena_new(1 << 20);
		size_t len = strlen(cases[i].records);
		char *data = malloc(len + 1);
		struct buf modules, patches;
		struct err e = { 0 };
		struct dkms d = { 0 };
		int r;

		assert_non_null(data);
		for (k = 0; k < len; k++)
			data[k] =
				cases[i].records[k] == '|' &&
						(k + 1 == len ||
							(cases[i].records[k + 1] >= 'A' &&
								cases[i].records[k + 1] <=
									'Z'))
					? '\0'
					: cases[i].records[k];
		r = dkms_parse(a, data, len, &kernel, &d, &e);
		if ((r < 0) != (cases[i].reason != 0) || e.reason != cases[i].reason)
			fail_msg("case '%s': %d %s %s", cases[i].name, r,
				reason_name(e.reason), e.text);
		buf_init(&modules, 4096);
		buf_init(&patches, 4096);
		print(&d, &modules, &patches);
		if (r == 0 && (!streq(d.make, cases[i].make) ||
				      !streq(buf_cstr(&modules), cases[i].modules) ||
				      !streq(buf_cstr(&patches), cases[i].patches)))
			fail_msg("case '%s': '%s' '%s' '%s'", cases[i].name, d.make,
				buf_cstr(&modules), buf_cstr(&patches));
		buf_done(&modules);
		buf_done(&patches);
		free(data);
		arena_free(a);
	}
}

static void test_random_damage(void **state)
{
	static const char base[] =
		"PACKAGE_NAME[0]=p\0PACKAGE_VERSION[0]=1\0BUILT_MODULE_NAME[0]=m\0"
		"MAKE_MATCH[0]=^6.(1|2)[a-z]+\0MAKE[0]=make\0PATCH[3]=x\0STRIP[0]=no";
	uint32_t seed = 7, i, k;

	for (i = 0; i < 20000; i++) {
		struct arena *a = arena_new(1 << 20);
		char *data = malloc(sizeof(base));
		struct dkms d;

		assert_non_null(data);
		memcpy(data, base, sizeof(base));
		for (k = 0; k < 1 + i % 4; k++) {
			seed = seed * 1664525 + 1013904223;
			data[(seed >> 8) % sizeof(base)] = (char)(seed >> 24);
		}
		(void)!dkms_parse(
			a, data, sizeof(base) - (seed >> 28), &kernel, &d, NULL);
		free(data);
		arena_free(a);
	}
}

/* The script itself, without a sandbox: this dkms.conf is ours. */
static void test_evaluation(void **state)
{
	static const char conf[] =
		"PACKAGE_NAME=demo\nPACKAGE_VERSION=\"2.$((1 + 1))\"\n"
		"echo noise; for i in 0 1; do BUILT_MODULE_NAME[$i]=mod$i; "
		"DEST_MODULE_LOCATION[$i]=/kernel/drivers; done\n"
		"[ \"$arch\" = x86_64 ] && MAKE[0]=\"make -C $kernel_source_dir 'a  b'\"\n"
		"CLEAN=$'two\\nlines'\nunset PATH\nUNRELATED=1\nAUTOINSTALL=yes\n";
	static const char *const env[] = { "PATH=/usr/bin:/bin",
		"kernelver=6.1.0-56-amd64", "arch=x86_64", "kernel_source_dir=/usr/src/h",
		NULL };
	char dir[] = "/tmp/farrier-dkms-XXXXXX", path[64], out[64];
	const char *argv[] = { "/bin/bash", "-c", dkms_script, "farrier", out, NULL };
	struct child_options o = { .argv = argv,
		.env = env,
		.cwd = dir,
		.timeout_us = 20 * USEC_PER_SEC,
		.out_max = 4096,
		.log_fd = -1 };
	struct arena *a = arena_new(1 << 20);
	struct err e = { 0 };
	struct dkms d;
	char *data = NULL;
	size_t len;
	int status;

	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/dkms.conf", dir);
	(void)snprintf(out, sizeof(out), "%s/out", dir);
	assert_int_equal(file_write_atomic(path, conf, strlen(conf), 0644, &e), 0);
	assert_int_equal(child_run(&o, &status, NULL, &e), 0);
	assert_int_equal(status, 0);
	assert_int_equal(file_read(out, 1 << 20, &data, &len, &e), 0);
	if (dkms_parse(a, data, len, &kernel, &d, &e) < 0)
		fail_msg("%s", e.text);
	assert_string_equal(d.package, "demo");
	assert_string_equal(d.version, "2.2");
	assert_int_equal(d.modules_n, 2);
	assert_string_equal(d.modules[1].name, "mod1");
	assert_string_equal(d.clean, "two\nlines");
	assert_string_equal(
		d.make, "make -j4 KERNELRELEASE=6.1.0-56-amd64 -C /usr/src/h 'a  b'");
	free(data);
	arena_free(a);
	assert_int_equal(dir_remove(dir, &e), 0);
}

static void test_versions(void **state)
{
	/* Each before the next. */
	static const char *const order[] = { "", "2.6.9", "2.6.24", "2.6.24-16",
		"3.4.999", "3.5-rc2", "3.5.1", "3.18", "4.12", "4.12-rc1", "4.12.3",
		"6.1.0-9", "6.1.0-47-amd64", "6.1.0-56-amd64", "6.12", "1000.1" };

	for (size_t i = 0; i < ARRAY_SIZE(order); i++)
		for (size_t k = 0; k < ARRAY_SIZE(order); k++) {
			int r = dkms_version_cmp(order[i], order[k]);

			if ((r < 0) != (i < k) || (r > 0) != (i > k))
				fail_msg("'%s' '%s': %d", order[i], order[k], r);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_random_damage),
		cmocka_unit_test(test_evaluation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
