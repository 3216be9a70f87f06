// SPDX-License-Identifier: Apache-2.0
/* Reading modules: right ones, and every way in which bytes can be wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <zlib.h>

#include "driver-builder/elf.h"
#include "elf_maker.h"
#include "file.h"

static const char modinfo[] = "version=1.2\0firmware=a/b.bin\0firmware=c.bin\0"
			      "license=GPL\0srcversion=ABCDEF\0depends=\0name=demo\0"
			      "vermagic=6.1.0-56-amd64 SMP preempt mod_unload "
			      "modversions \0";
static const struct made_symbol symbols[] = {
	{ "printk", 0x11111111, .has_crc = true },
	{ "kfree", 0xfedcba98, .has_crc = true },
	{ "maybe", 0, .is_weak = true },
	{ "ours", 0x1234, .has_crc = true, .is_export = true },
};
static const struct made demo = { modinfo, symbols, ARRAY_SIZE(symbols),
	.layout_crc = 7 };

static const struct elf_symbol *find(const struct list *l, const char *name)
{
	const struct elf_symbol *s = l->items;
	size_t i;

	for (i = 0; i < l->n; i++)
		if (streq(s[i].name, name))
			return &s[i];
	fail_msg("no symbol '%s'", name);
	return NULL;
}

static void test_good(void **state)
{
	size_t len;
	uint8_t *p = make_module(&demo, &len);
	struct elf elf;
	struct err e = { 0 };

	assert_int_equal(elf_parse(p, len, &elf, &e), 0);
	assert_string_equal(elf.name, "demo");
	assert_string_equal(elf.version, "1.2");
	assert_string_equal(elf.srcversion, "ABCDEF");
	assert_string_equal(elf.depends, "");
	assert_string_equal(elf_modinfo(&elf, "license"), "GPL");
	assert_null(elf_modinfo(&elf, "licens"));
	assert_int_equal(elf.firmware.n, 2);
	assert_string_equal(((const char **)elf.firmware.items)[1], "c.bin");
	assert_int_equal(elf.imports.n, 3);
	assert_int_equal(find(&elf.imports, "printk")->crc, 0x11111111);
	assert_int_equal(find(&elf.imports, "kfree")->crc, 0xfedcba98);
	assert_true(find(&elf.imports, "maybe")->is_weak);
	assert_false(find(&elf.imports, "maybe")->has_crc);
	assert_int_equal(elf.exports.n, 1);
	assert_int_equal(find(&elf.exports, "ours")->crc, 0x1234);
	assert_true(elf.has_layout_crc && elf.layout_crc == 7);
	assert_false(elf.is_signed);
	assert_int_equal(elf.elf_len, len);
	elf_done(&elf);
	free(p);
}

static void test_signed(void **state)
{
	struct made m = demo;
	struct err e = { 0 };
	struct elf elf;
	uint8_t *p;
	size_t len;

	m.is_signed = true;
	p = make_module(&m, &len);
	assert_int_equal(elf_parse(p, len, &elf, &e), 0);
	assert_true(elf.is_signed);
	assert_int_equal(elf.elf_len, len - 28 - 12 - 16);
	elf_done(&elf);
	/* A signature that says that it is longer than the file. */
	p[len - 28 - 4] = 0x7f;
	assert_int_equal(elf_parse(p, len, &elf, &e), -ENOEXEC);
	assert_int_equal(e.reason, REASON_MODULE_INVALID);
	free(p);
}

static void test_extended_versions(void **state)
{
	struct made m = demo;
	struct err e = { 0 };
	struct elf elf;
	uint8_t *p;
	size_t len;

	m.no_versions = true;
	m.ext_versions = true;
	p = make_module(&m, &len);
	assert_int_equal(elf_parse(p, len, &elf, &e), 0);
	assert_true(elf.has_versions && elf.has_ext_versions);
	assert_int_equal(find(&elf.imports, "kfree")->crc, 0xfedcba98);
	elf_done(&elf);
	free(p);
}

/* Parses a copy of exactly @len bytes, so that the sanitizer sees one byte too many. */
static int parse_copy(const uint8_t *p, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	struct err e = { 0 };
	struct elf elf;
	int r;

	assert_non_null(copy);
	memcpy(copy, p, len);
	r = elf_parse(copy, len, &elf, &e);
	if (r == 0)
		elf_done(&elf);
	else
		assert_int_equal(e.reason, REASON_MODULE_INVALID);
	free(copy);
	return r;
}

static void test_every_truncation(void **state)
{
	struct made m = demo;
	uint8_t *p;
	size_t len, i;

	p = make_module(&m, &len);
	for (i = 0; i < len; i++)
		if (parse_copy(p, i) == 0)
			fail_msg("cut to %zu of %zu bytes: taken for whole", i, len);
	free(p);
}

static void test_every_byte_wrong(void **state)
{
	static const uint8_t values[] = { 0x00, 0x01, 0x7f, 0x80, 0xff };
	struct made m = demo;
	uint8_t *p;
	size_t len, i, j;

	m.ext_versions = true;
	m.is_signed = true;
	p = make_module(&m, &len);
	for (i = 0; i < len; i++) {
		uint8_t old = p[i];

		for (j = 0; j < ARRAY_SIZE(values); j++) {
			p[i] = values[j];
			(void)parse_copy(p, len);
		}
		p[i] = old;
	}
	assert_int_equal(parse_copy(p, len), 0);
	free(p);
}

static void test_random_damage(void **state)
{
	struct made m = demo;
	uint32_t seed = 20240607, i, k;
	uint8_t *p, *q;
	size_t len;

	m.ext_versions = true;
	p = make_module(&m, &len);
	q = malloc(len);
	assert_non_null(q);
	for (i = 0; i < 20000; i++) {
		memcpy(q, p, len);
		for (k = 0; k < 1 + i % 6; k++) {
			seed = seed * 1664525 + 1013904223;
			q[(seed >> 8) % len] = (uint8_t)(seed >> 24);
		}
		(void)parse_copy(q, len);
	}
	free(q);
	free(p);
}

static const struct {
	const char *name;
	size_t off, n;
	uint64_t value;
} headers[] = {
	{ "not an ELF", 0, 1, 0 },
	{ "32 bits", EI_CLASS, 1, ELFCLASS32 },
	{ "big-endian", EI_DATA, 1, ELFDATA2MSB },
	{ "a program", offsetof(Elf64_Ehdr, e_type), 2, ET_EXEC },
	{ "section table far away", offsetof(Elf64_Ehdr, e_shoff), 8, UINT64_MAX },
	{ "section table wraps", offsetof(Elf64_Ehdr, e_shoff), 8, UINT64_MAX - 63 },
	{ "no sections", offsetof(Elf64_Ehdr, e_shnum), 2, 0 },
	{ "many sections", offsetof(Elf64_Ehdr, e_shnum), 2, 0xffff },
	{ "names in no section", offsetof(Elf64_Ehdr, e_shstrndx), 2, 0xfffe },
	{ "small entries", offsetof(Elf64_Ehdr, e_shentsize), 2, 8 },
};

static void test_headers(void **state)
{
	size_t i, len;

	for (i = 0; i < ARRAY_SIZE(headers); i++) {
		uint8_t *p = make_module(&demo, &len);

		memcpy(p + headers[i].off, &headers[i].value, headers[i].n);
		if (parse_copy(p, len) == 0)
			fail_msg("case '%s'", headers[i].name);
		free(p);
	}
}

static void test_empty(void **state)
{
	assert_int_equal(parse_copy((const uint8_t *)"", 0), -ENOEXEC);
	assert_int_equal(parse_copy((const uint8_t *)"~Module signature appended~\n", 28),
		-ENOEXEC);
}

static void test_compressed_files(void **state)
{
	char dir[] = "/tmp/farrier-elf-XXXXXX", path[64];
	size_t len, got;
	uint8_t *p = make_module(&demo, &len);
	struct err e = { 0 };
	char *data = NULL;
	gzFile gz;

	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/a.ko.gz", dir);
	gz = gzopen(path, "wb");
	assert_non_null(gz);
	assert_int_equal(gzwrite(gz, p, (unsigned)len), (int)len);
	assert_int_equal(gzclose(gz), Z_OK);
	assert_int_equal(elf_read_file(path, &data, &got, &e), 0);
	assert_int_equal(got, len);
	assert_memory_equal(data, p, len);
	free(data);
	/* Cut in the middle: named, not taken for whole. */
	assert_int_equal(truncate(path, 60), 0);
	assert_true(elf_read_file(path, &data, &got, &e) < 0);
	assert_int_equal(e.reason, REASON_MODULE_INVALID);
	(void)snprintf(path, sizeof(path), "%s/b.ko.xz", dir);
	assert_int_equal(elf_read_file(path, &data, &got, &e), -ENOENT);
	assert_int_equal(file_write_atomic(path, "rubbish", 7, 0644, &e), 0);
	assert_true(elf_read_file(path, &data, &got, &e) < 0 || (free(data), got == 7));
	assert_int_equal(dir_remove(dir, &e), 0);
	free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_signed),
		cmocka_unit_test(test_extended_versions),
		cmocka_unit_test(test_every_truncation),
		cmocka_unit_test(test_every_byte_wrong),
		cmocka_unit_test(test_random_damage),
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_compressed_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
