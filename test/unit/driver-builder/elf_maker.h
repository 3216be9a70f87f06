// SPDX-License-Identifier: Apache-2.0
/* Makes small kernel modules byte by byte, for tests of what reads them. */
#pragma once

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct made_symbol {
	const char *name;
	uint32_t crc;
	bool has_crc, is_weak, is_export;
};

struct made {
	const char *modinfo; /* NUL-separated, ends with an empty string */
	const struct made_symbol *symbols;
	size_t symbols_n;
	bool no_versions, ext_versions, is_signed;
	uint32_t layout_crc;
	uint16_t machine; /* 0: EM_X86_64 */
};

struct maker {
	uint8_t *p;
	size_t len;
	char names[1024];
	size_t names_len;
	Elf64_Shdr sh[16];
	size_t sections;
};

static void maker_put(struct maker *m, const void *data, size_t len)
{
	m->p = realloc(m->p, m->len + len + 8);
	if (!m->p)
		abort();
	if (len > 0)
		memcpy(m->p + m->len, data, len);
	m->len += len;
}

static Elf64_Shdr *maker_section(
	struct maker *m, const char *name, uint32_t type, const void *data, size_t len)
{
	Elf64_Shdr *sh = &m->sh[m->sections++];

	sh->sh_name = (uint32_t)m->names_len;
	memcpy(m->names + m->names_len, name, strlen(name) + 1);
	m->names_len += strlen(name) + 1;
	sh->sh_type = type;
	sh->sh_offset = m->len;
	sh->sh_size = len;
	maker_put(m, data, len);
	return sh;
}

static void maker_versions(struct maker *m, const struct made *in)
{
	uint8_t table[64 * 32] = { 0 };
	size_t n = 0, i;

	for (i = 0; i <= in->symbols_n; i++) {
		const struct made_symbol *s = i ? &in->symbols[i - 1] : NULL;
		uint64_t crc = s ? s->crc : in->layout_crc;

		if (s && (!s->has_crc || s->is_export))
			continue;
		memcpy(table + n * 64, &crc, 8);
		(void)snprintf((char *)table + n * 64 + 8, 56, "%s",
			s ? s->name : "module_layout");
		n++;
	}
	maker_section(m, "__versions", SHT_PROGBITS, table, n * 64);
}

static void maker_ext_versions(struct maker *m, const struct made *in)
{
	uint32_t crcs[32];
	char names[2048];
	size_t n = 0, len = 0, i;

	for (i = 0; i < in->symbols_n; i++) {
		if (!in->symbols[i].has_crc || in->symbols[i].is_export)
			continue;
		crcs[n++] = in->symbols[i].crc;
		memcpy(names + len, in->symbols[i].name, strlen(in->symbols[i].name) + 1);
		len += strlen(in->symbols[i].name) + 1;
	}
	maker_section(m, "__version_ext_crcs", SHT_PROGBITS, crcs, n * 4);
	maker_section(m, "__version_ext_names", SHT_PROGBITS, names, len);
}

static void maker_symbols(struct maker *m, const struct made *in)
{
	Elf64_Sym syms[64] = { 0 };
	char strs[4096] = "";
	size_t n = 1, len = 1, i;
	Elf64_Shdr *sh;

	for (i = 0; i < in->symbols_n; i++) {
		const struct made_symbol *s = &in->symbols[i];

		syms[n].st_name = (uint32_t)len;
		syms[n].st_info = ELF64_ST_INFO(s->is_weak ? STB_WEAK : STB_GLOBAL, 0);
		syms[n++].st_shndx = s->is_export ? 1 : SHN_UNDEF;
		len += (size_t)snprintf(strs + len, sizeof(strs) - len, "%s%s",
			       s->is_export ? "__ksymtab_" : "", s->name) +
		       1;
		if (!s->is_export || !s->has_crc)
			continue;
		syms[n].st_name = (uint32_t)len;
		syms[n].st_value = s->crc;
		syms[n++].st_shndx = SHN_ABS;
		len += (size_t)snprintf(
			       strs + len, sizeof(strs) - len, "__crc_%s", s->name) +
		       1;
	}
	sh = maker_section(m, ".symtab", SHT_SYMTAB, syms, n * sizeof(*syms));
	sh->sh_entsize = sizeof(*syms);
	sh->sh_link = (uint32_t)m->sections;
	maker_section(m, ".strtab", SHT_STRTAB, strs, len);
}

static size_t modinfo_len(const char *s)
{
	const char *p = s;

	while (*p)
		p += strlen(p) + 1;
	return (size_t)(p - s);
}

/* *ret_len bytes, to be freed. */
static uint8_t *make_module(const struct made *in, size_t *ret_len)
{
	static const char magic[] = "~Module signature appended~\n";
	uint8_t info[12] = { 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 16 };
	struct maker m = { .sections = 1, .names_len = 1 };
	Elf64_Ehdr eh = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1 },
		.e_type = ET_REL,
		.e_machine = in->machine ? in->machine : EM_X86_64,
		.e_version = 1,
		.e_ehsize = sizeof(Elf64_Ehdr),
		.e_shentsize = sizeof(Elf64_Shdr) };
	Elf64_Shdr *names;

	maker_put(&m, &eh, sizeof(eh));
	maker_section(
		&m, ".gnu.linkonce.this_module", SHT_PROGBITS, "0123456789abcdef", 16);
	maker_section(
		&m, ".modinfo", SHT_PROGBITS, in->modinfo, modinfo_len(in->modinfo));
	if (!in->no_versions)
		maker_versions(&m, in);
	if (in->ext_versions)
		maker_ext_versions(&m, in);
	maker_symbols(&m, in);
	names = maker_section(&m, ".shstrtab", SHT_STRTAB, "", 0);
	names->sh_size = m.names_len;
	names->sh_offset = m.len;
	maker_put(&m, m.names, m.names_len);
	eh.e_shnum = (uint16_t)m.sections;
	eh.e_shstrndx = (uint16_t)(m.sections - 1);
	eh.e_shoff = m.len;
	maker_put(&m, m.sh, m.sections * sizeof(*m.sh));
	memcpy(m.p, &eh, sizeof(eh));
	if (in->is_signed) {
		maker_put(&m, "0123456789abcdef", 16);
		maker_put(&m, info, sizeof(info));
		maker_put(&m, magic, sizeof(magic) - 1);
	}
	*ret_len = m.len;
	return m.p;
}
