// SPDX-License-Identifier: Apache-2.0
/* Modules against kernels: each reason to refuse, in the kernel's own order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "driver-builder/verify.h"
#include "elf_maker.h"
#include "file.h"

#define CONFIG \
	"CONFIG_X86_64=y\nCONFIG_SMP=y\nCONFIG_PREEMPT_BUILD=y\n" \
	"CONFIG_MODULE_UNLOAD=y\nCONFIG_MODVERSIONS=y\n"
#define FLAGS "SMP preempt mod_unload modversions "
#define SYMVERS \
	"0x00000007\tmodule_layout\tvmlinux\tEXPORT_SYMBOL\t\n" \
	"0x11111111\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n" \
	"0xfedcba98\tkfree\tvmlinux\tEXPORT_SYMBOL_GPL\t\"NS\"\n" \
	"0x00000003\tpicky\tvmlinux\tEXPORT_SYMBOL\tmodule:kvm-*,demo\n"

static const struct made_symbol good[] = {
	{ "printk", 0x11111111, .has_crc = true },
	{ "kfree", 0xfedcba98, .has_crc = true },
};
static const struct made_symbol changed[] = {
	{ "printk", 0x11111111, .has_crc = true },
	{ "kfree", 0xfedcba99, .has_crc = true },
};
static const struct made_symbol unknown[] = {
	{ "printk", 0x11111111, .has_crc = true },
	{ "gone_since", 3, .has_crc = true },
};
static const struct made_symbol chosen[] = { { "picky", 3, .has_crc = true } };
static const struct made_symbol weak[] = { { "gone_since", 0, .is_weak = true } };
static const struct made_symbol crcless[] = { { "printk", 0, false } };
static const struct made_symbol importer[] = { { "sibling_fn", 0x55, .has_crc = true } };
static const struct made_symbol exporter[] = { { "sibling_fn", 0x55, .has_crc = true,
	.is_export = true } };
static const struct made_symbol old_exporter[] = { { "sibling_fn", 0x56, .has_crc = true,
	.is_export = true } };

#define RIGHTS "license=GPL\0import_ns=OTHER\0import_ns=NS\0"
#define INFO(magic) "name=demo\0" RIGHTS "vermagic=" magic "\0"
#define TREE "lib/modules/6.1.0-56/"
#define INDEX "kernel/a/my-dep.ko.xz: kernel/b.ko\nkernel/b.ko:\nupdates/farrier/c.ko:\n"
#define N(a) a, ARRAY_SIZE(a)

static const struct {
	const char *name;
	struct made m;
	const char *config;
	enum reason reason;
	const char *says;
} cases[] = {
	{ "fits", { INFO("6.1.0-56 " FLAGS), N(good), .layout_crc = 7 }, CONFIG, 0, "" },
	{ "another release, equal CRCs",
		{ INFO("6.1.0-55 " FLAGS), N(good), .layout_crc = 7 }, CONFIG, 0, "" },
	{ "another layout", { INFO("6.1.0-56 " FLAGS), N(good), .layout_crc = 8 }, CONFIG,
		REASON_SYMBOL_CRC_MISMATCH, "module_layout" },
	{ "layout speaks before vermagic",
		{ INFO("6.1.0-47 " FLAGS), N(good), .layout_crc = 8 }, CONFIG,
		REASON_SYMBOL_CRC_MISMATCH, "0x00000008" },
	{ "another CRC", { INFO("6.1.0-56 " FLAGS), N(changed), .layout_crc = 7 }, CONFIG,
		REASON_SYMBOL_CRC_MISMATCH,
		"symbol 'kfree': the module was built against CRC 0xfedcba99, the kernel has "
		"0xfedcba98" },
	{ "a symbol that is gone",
		{ INFO("6.1.0-56 " FLAGS), N(unknown), .layout_crc = 7 }, CONFIG,
		REASON_SYMBOL_MISSING, "gone_since" },
	{ "a weak one may be gone", { INFO("6.1.0-56 " FLAGS), N(weak), .layout_crc = 7 },
		CONFIG, 0, "" },
	{ "a symbol without CRC",
		{ INFO("6.1.0-56 " FLAGS), N(crcless), .layout_crc = 7 }, CONFIG,
		REASON_SYMBOL_CRC_MISMATCH, "printk" },
	{ "other flags",
		{ INFO("6.1.0-56 SMP mod_unload modversions "), N(good),
			.layout_crc = 7 },
		CONFIG, REASON_VERMAGIC_MISMATCH, "flags" },
	{ "no CRCs, same release",
		{ INFO("6.1.0-56 " FLAGS), N(good), .no_versions = true }, CONFIG, 0,
		"" },
	{ "no CRCs, another release",
		{ INFO("6.1.0-5 " FLAGS), N(good), .no_versions = true }, CONFIG,
		REASON_VERMAGIC_MISMATCH, "6.1.0-5" },
	{ "kernel without modversions",
		{ INFO("6.1.0-56 SMP "), N(changed), .layout_crc = 8 },
		"CONFIG_X86_64=y\nCONFIG_SMP=y\n", 0, "" },
	{ "no vermagic", { "name=demo\0" RIGHTS, N(good), .layout_crc = 7 }, CONFIG,
		REASON_MODULE_INVALID, "vermagic" },
	{ "another machine",
		{ INFO("6.1.0-56 " FLAGS), N(good), .layout_crc = 7,
			.machine = EM_AARCH64 },
		CONFIG, REASON_MODULE_INVALID, "machine" },
	{ "unsigned where signatures are demanded",
		{ INFO("6.1.0-56 " FLAGS), N(good), .layout_crc = 7 },
		CONFIG "CONFIG_MODULE_SIG_FORCE=y\n", REASON_KEY_REJECTED, "signed" },
	{ "a signature that is none",
		{ INFO("6.1.0-56 " FLAGS), N(good), .layout_crc = 7, .is_signed = true },
		CONFIG "CONFIG_MODULE_SIG=y\n", REASON_KEY_REJECTED, "PKCS#7" },
	{ "and a kernel that does not look at it",
		{ INFO("6.1.0-56 " FLAGS), N(good), .layout_crc = 7, .is_signed = true },
		CONFIG, 0, "" },
	{ "a licence that is not the GPL's",
		{ "name=demo\0license=NVIDIA\0import_ns=NS\0vermagic=6.1.0-56 " FLAGS
		  "\0",
			N(good), .layout_crc = 7 },
		CONFIG, REASON_SYMBOL_MISSING, "GPL modules only" },
	{ "a namespace that is not imported",
		{ "name=demo\0license=Dual MIT/GPL\0import_ns=N\0vermagic=6.1.0-56 " FLAGS
		  "\0",
			N(good), .layout_crc = 7 },
		CONFIG, REASON_SYMBOL_MISSING, "namespace 'NS'" },
	{ "and a kernel that only warns of it",
		{ "name=demo\0license=GPL v2\0vermagic=6.1.0-56 " FLAGS "\0", N(good),
			.layout_crc = 7 },
		CONFIG "CONFIG_MODULE_ALLOW_MISSING_NAMESPACE_IMPORTS=y\n", 0, "" },
	{ "a symbol for other modules",
		{ "name=demon\0" RIGHTS "vermagic=6.1.0-56 " FLAGS "\0", N(chosen),
			.layout_crc = 7 },
		CONFIG, REASON_SYMBOL_MISSING, "namespace 'module:kvm-*,demo'" },
	{ "a symbol for this module",
		{ INFO("6.1.0-56 " FLAGS), N(chosen), .layout_crc = 7 }, CONFIG, 0, "" },
	{ "CRCs in the extended form only",
		{ INFO("6.1.0-56 " FLAGS), N(good), .no_versions = true,
			.ext_versions = true },
		CONFIG, 0, "" },
	{ "which do not stand in for the release",
		{ INFO("6.1.0-55 " FLAGS), N(good), .no_versions = true,
			.ext_versions = true },
		CONFIG, REASON_VERMAGIC_MISMATCH, "6.1.0-55" },
	{ "a wrong CRC in the extended form",
		{ INFO("6.1.0-55 " FLAGS), N(changed), .no_versions = true,
			.ext_versions = true },
		CONFIG, REASON_SYMBOL_CRC_MISMATCH, "kfree" },
	{ "a dependency that is there",
		{ INFO("6.1.0-56 " FLAGS) "depends=my-dep,builtin_one\0", N(good),
			.layout_crc = 7 },
		CONFIG, 0, "" },
	{ "a dependency that is not",
		{ INFO("6.1.0-56 " FLAGS) "depends=my-dep,none\0", N(good),
			.layout_crc = 7 },
		CONFIG, REASON_SYMBOL_MISSING, "depends on module 'none'" },
	{ "missing firmware only warns",
		{ "name=demo\0" RIGHTS "firmware=no/such.bin\0vermagic=6.1.0-56 " FLAGS
		  "\0",
			N(good), .layout_crc = 7 },
		CONFIG, 0, "" },
};

struct place {
	char dir[64];
	struct kernel k;
};

static int setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	(void)snprintf(p->dir, sizeof(p->dir), "/tmp/farrier-verify-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	(void)snprintf(p->k.release, sizeof(p->k.release), "6.1.0-56");
	p->k.headers = p->dir;
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;
	int r = dir_remove(p->dir, NULL);

	free(p);
	return r;
}

static void put(const struct place *p, const char *name, const void *data, size_t len)
{
	char path[PATH_MAX], *slash;
	struct err e = { 0 };

	(void)snprintf(path, sizeof(path), "%s/%s", p->dir, name);
	slash = strrchr(path, '/');
	*slash = '\0';
	assert_int_equal(dir_make(path, 0755, &e), 0);
	*slash = '/';
	if (file_write_atomic(path, data, len, 0644, &e) < 0)
		fail_msg("%s", e.text);
}

static struct verify_kernel *open_kernel(const struct place *p, const char *config)
{
	struct verify_kernel *v = NULL;
	struct err e = { 0 };

	put(p, ".config", config, strlen(config));
	put(p, "Module.symvers", SYMVERS, strlen(SYMVERS));
	put(p, TREE "modules.dep", INDEX, strlen(INDEX));
	put(p, TREE "modules.builtin", "kernel/lib/builtin-one.ko\n", 26);
	if (verify_kernel_open(&p->k, p->dir, &v, &e) < 0)
		fail_msg("%s", e.text);
	return v;
}

static void test_cases(void **state)
{
	struct place *p = *state;
	size_t i, len;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct verify_kernel *v = open_kernel(p, cases[i].config);
		uint8_t *bytes = make_module(&cases[i].m, &len);
		struct verify_report rep;
		struct err e = { 0 };
		struct elf elf;
		int r;

		assert_int_equal(elf_parse(bytes, len, &elf, &e), 0);
		r = verify_module(v, &elf, NULL, 0, &rep, &e);
		if (e.reason != cases[i].reason || e.code != r ||
			(r < 0) != (cases[i].reason != 0) ||
			!strstr(e.text, cases[i].says))
			fail_msg("case '%s': %d %s: %s", cases[i].name, r,
				reason_name(e.reason), e.text);
		if (strstr(cases[i].name, "firmware") &&
			(rep.warnings_n != 1 || !strstr(rep.warnings[0], "no/such.bin")))
			fail_msg("case '%s': no warning", cases[i].name);
		elf_done(&elf);
		free(bytes);
		verify_kernel_free(v);
	}
}

static void test_signed_later(void **state)
{
	static const struct {
		const char *name;
		struct made m;
		enum reason reason;
	} later[] = {
		{ "unsigned", { INFO("6.1.0-56 " FLAGS), N(good), .layout_crc = 7 }, 0 },
		{ "a signature that is none",
			{ INFO("6.1.0-56 " FLAGS), N(good), .layout_crc = 7,
				.is_signed = true },
			REASON_KEY_REJECTED },
		{ "unsigned, another CRC",
			{ INFO("6.1.0-56 " FLAGS), N(changed), .layout_crc = 7 },
			REASON_SYMBOL_CRC_MISMATCH },
	};
	struct verify_kernel *v = open_kernel(
		*state, CONFIG "CONFIG_MODULE_SIG=y\nCONFIG_MODULE_SIG_FORCE=y\n");

	verify_kernel_allow_unsigned(v);
	for (size_t i = 0; i < ARRAY_SIZE(later); i++) {
		struct verify_report rep;
		struct err e = { 0 };
		struct elf elf;
		size_t len;
		uint8_t *bytes = make_module(&later[i].m, &len);

		assert_int_equal(elf_parse(bytes, len, &elf, &e), 0);
		if (verify_module(v, &elf, NULL, 0, &rep, &e) != e.code ||
			e.reason != later[i].reason)
			fail_msg("case '%s': %s", later[i].name, e.text);
		elf_done(&elf);
		free(bytes);
	}
	verify_kernel_free(v);
}

static int check_pair(
	const struct place *p, const struct made_symbol *provider, struct err *e)
{
	const struct made a = { INFO("6.1.0-56 " FLAGS), importer, 1, .layout_crc = 7 };
	const struct made b = { INFO("6.1.0-56 " FLAGS), provider, 1, .layout_crc = 7 };
	struct verify_kernel *v = open_kernel(p, CONFIG);
	struct verify_report reps[2];
	char pa[PATH_MAX], pb[PATH_MAX];
	const char *paths[] = { pa, pb };
	uint8_t *bytes;
	size_t len;
	int r;

	bytes = make_module(&a, &len);
	put(p, "a.ko", bytes, len);
	free(bytes);
	bytes = make_module(&b, &len);
	put(p, "b.ko", bytes, len);
	free(bytes);
	(void)snprintf(pa, sizeof(pa), "%s/a.ko", p->dir);
	(void)snprintf(pb, sizeof(pb), "%s/b.ko", p->dir);
	r = verify_files(v, paths, 2, reps, e);
	verify_kernel_free(v);
	return r;
}

/* What was proved for itself only lends its exports. */
static void test_lenders(void **state)
{
	const struct place *p = *state;
	const struct made a = { INFO("6.1.0-56 " FLAGS), importer, 1, .layout_crc = 7 };
	const struct made b = { INFO("6.1.0-56 SMP "), exporter, 1, .layout_crc = 7 };
	struct verify_kernel *v = open_kernel(p, CONFIG);
	struct verify_report reps[2];
	char pa[PATH_MAX], pb[PATH_MAX];
	const char *paths[] = { pa, pb };
	struct err e = { 0 };
	uint8_t *bytes;
	size_t len;

	bytes = make_module(&a, &len);
	put(p, "a.ko", bytes, len);
	free(bytes);
	bytes = make_module(&b, &len);
	put(p, "b.ko", bytes, len);
	free(bytes);
	(void)snprintf(pa, sizeof(pa), "%s/a.ko", p->dir);
	(void)snprintf(pb, sizeof(pb), "%s/b.ko", p->dir);
	assert_true(verify_files(v, paths, 2, reps, &e) < 0);
	assert_int_equal(e.reason, REASON_VERMAGIC_MISMATCH);
	assert_int_equal(verify_files_among(v, paths, 1, 2, reps, &e), 0);
	assert_true(verify_files_among(v, paths, 1, 1, reps, &e) < 0);
	assert_int_equal(e.reason, REASON_SYMBOL_MISSING);
	verify_kernel_free(v);
}

static void test_siblings(void **state)
{
	struct err e = { 0 };

	assert_int_equal(check_pair(*state, exporter, &e), 0);
	assert_true(check_pair(*state, old_exporter, &e) < 0);
	assert_int_equal(e.reason, REASON_SYMBOL_CRC_MISMATCH);
	assert_non_null(strstr(e.text, "sibling_fn"));
	e = (struct err){ 0 };
	assert_true(check_pair(*state, good, &e) < 0);
	assert_int_equal(e.reason, REASON_SYMBOL_MISSING);
}

/* What is told beside the verdict. */
static struct verify_report report_of(
	const struct place *p, const char *config, const struct made *made)
{
	struct verify_kernel *v = open_kernel(p, config);
	struct verify_report rep;
	struct err e = { 0 };
	struct elf elf;
	size_t len;
	uint8_t *bytes = make_module(made, &len);

	assert_int_equal(elf_parse(bytes, len, &elf, &e), 0);
	if (verify_module(v, &elf, NULL, 0, &rep, &e) < 0)
		fail_msg("%s", e.text);
	elf_done(&elf);
	free(bytes);
	verify_kernel_free(v);
	return rep;
}

static void test_name_clash(void **state)
{
	static const struct {
		const char *modinfo, *says;
	} all[] = {
		{ "name=my_dep\0vermagic=6.1.0-56 " FLAGS "\0",
			"takes the place of the kernel's own 'kernel/a/my-dep.ko.xz'" },
		{ "name=builtin_one\0vermagic=6.1.0-56 " FLAGS "\0", "built in" },
		{ "name=c\0vermagic=6.1.0-56 " FLAGS "\0", NULL },
		{ "name=my\0vermagic=6.1.0-56 " FLAGS "\0", NULL },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(all); i++) {
		const struct made m = { all[i].modinfo, .layout_crc = 7 };
		struct verify_report rep = report_of(*state, CONFIG, &m);

		assert_int_equal(rep.warnings_n, all[i].says ? 1 : 0);
		if (all[i].says && !strstr(rep.warnings[0], all[i].says))
			fail_msg("%s", rep.warnings[0]);
	}
}

static void test_firmware(void **state)
{
	const struct made m = {
		INFO("6.1.0-56 " FLAGS) "firmware=a/b.bin\0"
					"firmware=../../etc/passwd\0firmware=none\0firmware=c\0"
					"firmware=d\0",
		.layout_crc = 7
	};
	struct verify_report rep;

	put(*state, "lib/firmware/a/b.bin.zst", "x", 1);
	put(*state, "etc/passwd", "x", 1);
	put(*state, "lib/firmware/updates/6.1.0-56/c", "x", 1);
	put(*state, "lib/firmware/6.1.0-56/d.xz", "x", 1);
	rep = report_of(*state, CONFIG, &m);
	assert_int_equal(rep.warnings_n, 2);
	assert_string_equal(rep.warnings[0], "missing firmware '../../etc/passwd'");
	assert_string_equal(rep.warnings[1], "missing firmware 'none'");
}

static void put_made(const struct place *p, const char *name, const struct made *m)
{
	size_t len;
	uint8_t *bytes = make_module(m, &len);

	put(p, name, bytes, len);
	free(bytes);
}

/* Symbols out of a file beside the kernel, or out of its own modules. */
static void test_without_headers(void **state)
{
	const struct made own = { INFO("6.1.0-56 " FLAGS), good, 1, .layout_crc = 7 };
	const struct made m = { INFO("6.1.0-56 " FLAGS), N(good), .layout_crc = 7 };
	const struct made wrong = { INFO("6.1.0-56 " FLAGS), N(good), .layout_crc = 8 };
	struct place *p = *state;
	struct verify_kernel *v = NULL;
	struct verify_report rep;
	char path[PATH_MAX];
	const char *paths[] = { path };
	struct err e = { 0 };

	p->k.headers = NULL;
	(void)snprintf(path, sizeof(path), "%s/demo.ko", p->dir);
	put_made(p, "demo.ko", &m);
	assert_true(verify_kernel_open_bare(&p->k, p->dir, &v, &e) < 0);
	assert_int_equal(e.reason, REASON_HEADERS_MISSING);
	put(p, "boot/config-6.1.0-56", CONFIG, strlen(CONFIG));
	assert_true(verify_kernel_open_bare(&p->k, p->dir, &v, NULL) < 0);
	put_made(p, TREE "kernel/net/other.ko", &own);
	put(p, TREE "kernel/net/rubbish.ko", "x", 1);
	assert_true(verify_kernel_open(&p->k, p->dir, &v, &e) < 0);
	e = (struct err){ 0 };
	assert_int_equal(verify_kernel_open_bare(&p->k, p->dir, &v, &e), 0);
	assert_int_equal(verify_files(v, paths, 1, &rep, &e), 0);
	assert_int_equal(rep.symbols, 1);
	assert_int_equal(rep.unproven_n, 1);
	assert_string_equal(rep.unproven[0], "symbol 'kfree'");
	put_made(p, "demo.ko", &wrong);
	assert_true(verify_files(v, paths, 1, &rep, &e) < 0);
	assert_int_equal(e.reason, REASON_SYMBOL_CRC_MISMATCH);
	verify_kernel_free(v);
	/* With the kernel's list all is proved, in either call. */
	put_made(p, "demo.ko", &m);
	put(p, TREE "symvers", SYMVERS, strlen(SYMVERS));
	assert_int_equal(verify_kernel_open(&p->k, p->dir, &v, &e), 0);
	assert_int_equal(verify_files(v, paths, 1, &rep, &e), 0);
	assert_int_equal(rep.symbols, 2);
	assert_int_equal(rep.unproven_n, 0);
	verify_kernel_free(v);
}

static void test_kernel_without_symvers(void **state)
{
	struct place *p = *state;
	struct verify_kernel *v = NULL;
	struct err e = { 0 };

	put(p, ".config", CONFIG, strlen(CONFIG));
	assert_true(verify_kernel_open(&p->k, p->dir, &v, &e) < 0);
	assert_int_equal(e.reason, REASON_HEADERS_MISSING);
	put(p, "Module.symvers", "rubbish\n", 8);
	assert_true(verify_kernel_open(&p->k, p->dir, &v, &e) < 0);
	assert_int_equal(e.reason, REASON_HEADERS_MISSING);
}

static const struct {
	const char *config, *machine, *flags;
} flags[] = {
	{ CONFIG, "x86_64", FLAGS },
	{ "CONFIG_SMP=y\nCONFIG_PREEMPT_RT=y\n", "x86_64", "SMP preempt_rt " },
	{ "CONFIG_SMP=y\nCONFIG_MODVERSIONS=y\n", "aarch64", "SMP modversions aarch64" },
	{ "# CONFIG_SMP is not set\nXCONFIG_SMP=y\nCONFIG_SMPX=y\nCONFIG_SMP=m\n",
		"x86_64", "" },
};

static void test_flags(void **state)
{
	char out[VERIFY_TEXT_MAX];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		assert_int_equal(
			verify_flags(flags[i].config, flags[i].machine, out, sizeof(out)),
			0);
		assert_string_equal(out, flags[i].flags);
	}
	assert_int_equal(verify_flags(CONFIG, "x86_64", out, 5), -ENOBUFS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_cases),
		T(test_signed_later),
		T(test_siblings),
		T(test_lenders),
		T(test_name_clash),
		T(test_firmware),
		T(test_without_headers),
		T(test_kernel_without_symvers),
		cmocka_unit_test(test_flags),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
