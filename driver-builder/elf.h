// SPDX-License-Identifier: Apache-2.0
/* What a kernel module file says of itself. The bytes may be hostile: nothing is trusted, nothing
 * is read out of bounds, and what the kernel would refuse as ENOEXEC is REASON_MODULE_INVALID. */
#pragma once

#include "err.h"
#include "field.h"

enum { ELF_BYTES_MAX = 512 << 20, ELF_SYMBOLS_MAX = 1 << 20, ELF_MODINFO_MAX = 65536 };

struct elf_symbol {
	const char *name;
	uint32_t crc;
	bool has_crc, is_weak;
};

/* What lies behind the ELF of a signed module. */
struct elf_signature {
	const void *data; /* PKCS#7, for signature_parse() */
	size_t len;
	bool is_pkcs7; /* of the only type that kernels still check */
};

/* Strings are borrowed from the bytes that were parsed, which must live as long. */
struct elf {
	uint16_t machine; /* EM_X86_64, EM_AARCH64, … */
	bool is_64;
	bool has_versions; /* __versions or its extended form is there */
	bool has_basic_versions; /* __versions: only then the kernel skips vermagic's release */
	bool has_ext_versions; /* __version_ext_names/_crcs (6.14 and later) */
	const void *bytes; /* what was parsed */
	size_t elf_len; /* without the signature */
	bool has_btf; /* types as the kernel that it was built for has them */
	bool is_signed; /* "~Module signature appended~" behind the ELF */
	struct elf_signature signature;
	const char *name, *vermagic, *srcversion, *version,
		*depends; /* NULL when absent */
	struct list
		modinfo; /* struct kv in file order; the key ends at its '=': see elf_modinfo() */
	struct list firmware; /* const char * */
	struct list
		imports; /* struct elf_symbol: undefined symbols with the CRC wanted of each */
	struct list
		exports; /* struct elf_symbol: __ksymtab_*, with their CRC when it is there */
	uint32_t layout_crc; /* of module_layout in __versions */
	bool has_layout_crc;
};

/* A relocatable ELF with .modinfo and .gnu.linkonce.this_module; else -ENOEXEC. -ENOMEM. */
int elf_parse(const void *data, size_t len, struct elf *ret, struct err *e) _must_check_;
void elf_done(struct elf *elf);
/* Only the signature: *ret_len is the length of the signed bytes in front. 1 signed, 0 not,
 * -ENOEXEC (REASON_MODULE_INVALID). */
int elf_split_signature(const void *data, size_t len, size_t *ret_len,
	struct elf_signature *ret, struct err *e) _must_check_;
const char *elf_modinfo(const struct elf *elf, const char *key); /* first; NULL */

/* Reads a module from disk; .xz, .gz, .zst are unpacked (libarchive), capped at ELF_BYTES_MAX.
 * *ret is the caller's. -ENOENT, -EFBIG; REASON_MODULE_INVALID for damaged compression. */
int elf_read_file(const char *path, char **ret, size_t *ret_len, struct err *e)
	_must_check_;
