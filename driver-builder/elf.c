// SPDX-License-Identifier: Apache-2.0
/*
 * Reads a kernel module's ELF by hand. Sections are found by name, every offset is checked against
 * the bytes that are there, and strings are only taken where their terminating zero is inside the
 * section. Little-endian 64-bit modules (amd64, arm64, riscv64) are what we know.
 */
#include "elf.h"

#include <elf.h>

static const char signature_magic[] = "~Module signature appended~\n";

/* In front of the magic: algo, hash, id type, two lengths, three pad bytes, big-endian length. */
struct signature_info {
	uint8_t algo, hash, id_type, signer_len, key_id_len, pad[3];
	uint8_t sig_len[4];
};

/* Names are looked at so far and no further, so that no file costs more than its size. */
enum { MODVERSION_SIZE = 64, SIGNATURE_PKCS7 = 2, NAME_SEEN_MAX = 4096 };

struct reader {
	const uint8_t *p;
	size_t len;
	const Elf64_Shdr *sh;
	size_t sections;
	const char *names;
	size_t names_len;
	struct err *e;
};

struct bytes {
	const uint8_t *p;
	size_t len;
};

static int invalid(struct err *e, const char *why)
{
	return err_reason(
		e, -ENOEXEC, REASON_MODULE_INVALID, "not a kernel module: %s", why);
}

/* ---- sections ---- */

static uint64_t get(const uint8_t *p, size_t n)
{
	uint64_t v = 0;

	while (n-- > 0)
		v = v << 8 | p[n];
	return v;
}

static bool section_bytes(const struct reader *r, const Elf64_Shdr *sh, struct bytes *ret)
{
	if (sh->sh_type == SHT_NOBITS) {
		*ret = (struct bytes){ 0 };
		return true;
	}
	if (sh->sh_offset > r->len || sh->sh_size > r->len - sh->sh_offset)
		return false;
	*ret = (struct bytes){ r->p + sh->sh_offset, sh->sh_size };
	return true;
}

/* The zero-terminated string at @off, NULL when it does not end inside, or not soon. */
static const char *string_at(struct bytes b, uint64_t off)
{
	if (off >= b.len || !memchr(b.p + off, '\0', MIN(b.len - off, NAME_SEEN_MAX)))
		return NULL;
	return (const char *)b.p + off;
}

static const Elf64_Shdr *find_section(const struct reader *r, const char *name)
{
	struct bytes names = { (const uint8_t *)r->names, r->names_len };
	size_t i;

	for (i = 1; i < r->sections; i++) {
		const char *s = string_at(names, r->sh[i].sh_name);

		if (s && streq(s, name))
			return &r->sh[i];
	}
	return NULL;
}

static bool find_bytes(const struct reader *r, const char *name, struct bytes *ret)
{
	const Elf64_Shdr *sh = find_section(r, name);

	return sh && section_bytes(r, sh, ret);
}

/* The header and the section table; copies the table, since the bytes may not be aligned. */
static int open_sections(struct reader *r, struct elf *out, Elf64_Shdr **ret_table)
{
	Elf64_Ehdr eh;
	Elf64_Shdr *table;
	struct bytes names = { 0 };
	size_t i;

	if (r->len < sizeof(eh))
		return invalid(r->e, "shorter than an ELF header");
	memcpy(&eh, r->p, sizeof(eh));
	if (memcmp(eh.e_ident, ELFMAG, SELFMAG) != 0)
		return invalid(r->e, "no ELF file");
	if (eh.e_ident[EI_CLASS] != ELFCLASS64 || eh.e_ident[EI_DATA] != ELFDATA2LSB)
		return invalid(r->e, "not 64-bit little-endian");
	if (eh.e_type != ET_REL)
		return invalid(r->e, "not relocatable");
	if (eh.e_shentsize != sizeof(Elf64_Shdr) || eh.e_shnum == 0)
		return invalid(r->e, "no section table");
	if (eh.e_shoff > r->len || eh.e_shnum * sizeof(Elf64_Shdr) > r->len - eh.e_shoff)
		return invalid(r->e, "truncated: the section table is missing");
	if (eh.e_shstrndx == SHN_UNDEF || eh.e_shstrndx >= eh.e_shnum)
		return invalid(r->e, "no section names");
	table = calloc(eh.e_shnum, sizeof(*table));
	if (!table)
		return -ENOMEM;
	*ret_table = table;
	memcpy(table, r->p + eh.e_shoff, eh.e_shnum * sizeof(*table));
	r->sh = table;
	r->sections = eh.e_shnum;
	for (i = 1; i < r->sections; i++)
		if (!section_bytes(r, &table[i], &names))
			return invalid(r->e, "truncated: a section ends behind the file");
	(void)section_bytes(r, &table[eh.e_shstrndx], &names);
	r->names = (const char *)names.p;
	r->names_len = names.len;
	out->machine = eh.e_machine;
	out->is_64 = true;
	return 0;
}

/* ---- .modinfo ---- */

static int read_modinfo(const struct reader *r, struct elf *out)
{
	struct bytes b;
	size_t i, n = 0, cap = 0, fw = 0;
	struct kv *kvs = NULL;

	if (!find_bytes(r, ".modinfo", &b))
		return invalid(r->e, "no .modinfo");
	if (b.len > 0 && b.p[b.len - 1] != '\0')
		return invalid(r->e, ".modinfo does not end");
	/* The strings are borrowed, '=' and all: a kv's key is looked up by its length. */
	for (i = 0; i < b.len; i += strlen((const char *)b.p + i) + 1) {
		const char *s = (const char *)b.p + i;
		const char *eq = strchr(s, '=');

		if (!eq)
			continue;
		if (n == ELF_MODINFO_MAX) {
			free(kvs);
			return invalid(r->e, "too much .modinfo");
		}
		if (n == cap) {
			struct kv *p = reallocarray(
				kvs, cap = cap ? cap * 2 : 32, sizeof(*kvs));

			if (!p) {
				free(kvs);
				return -ENOMEM;
			}
			kvs = p;
		}
		kvs[n++] = (struct kv){ s, eq + 1 };
	}
	out->modinfo = (struct list){ kvs, n };
	out->name = elf_modinfo(out, "name");
	out->vermagic = elf_modinfo(out, "vermagic");
	out->srcversion = elf_modinfo(out, "srcversion");
	out->version = elf_modinfo(out, "version");
	out->depends = elf_modinfo(out, "depends");
	out->firmware.items = calloc(n + 1, sizeof(const char *));
	if (!out->firmware.items)
		return -ENOMEM;
	for (i = 0; i < n; i++)
		if (str_starts(kvs[i].key, "firmware="))
			((const char **)out->firmware.items)[fw++] = kvs[i].value;
	out->firmware.n = fw;
	return 0;
}

const char *elf_modinfo(const struct elf *elf, const char *key)
{
	const struct kv *kvs = elf->modinfo.items;
	size_t i, len = strlen(key);

	for (i = 0; i < elf->modinfo.n; i++)
		if (strncmp(kvs[i].key, key, len) == 0 && kvs[i].key[len] == '=')
			return kvs[i].value;
	return NULL;
}

/* ---- symbols ---- */

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct elf_symbol *)a)->name,
		((const struct elf_symbol *)b)->name);
}

static struct elf_symbol *find_symbol(const struct list *l, const char *name)
{
	struct elf_symbol key = { .name = name };

	return l->n == 0 ? NULL : bsearch(&key, l->items, l->n, sizeof(key), by_name);
}

struct symtab {
	struct bytes syms, strs;
	size_t n;
};

static int find_symtab(const struct reader *r, struct symtab *ret)
{
	size_t i;

	for (i = 1; i < r->sections; i++) {
		const Elf64_Shdr *sh = &r->sh[i];

		if (sh->sh_type != SHT_SYMTAB)
			continue;
		if (sh->sh_entsize != sizeof(Elf64_Sym) || sh->sh_link >= r->sections ||
			!section_bytes(r, sh, &ret->syms) ||
			!section_bytes(r, &r->sh[sh->sh_link], &ret->strs))
			return invalid(r->e, "bad symbol table");
		ret->n = ret->syms.len / sizeof(Elf64_Sym);
		return ret->n > ELF_SYMBOLS_MAX ? invalid(r->e, "too many symbols") : 0;
	}
	return invalid(r->e, "no symbol table");
}

/* Symbols in @pick's eyes; sorted, so that their CRCs can be put to them. */
static int collect(const struct reader *r, const struct symtab *t,
	const char *(*pick)(const char *name, const Elf64_Sym *sym), struct list *ret)
{
	struct elf_symbol *out = calloc(t->n + 1, sizeof(*out));
	size_t i, n = 0;

	if (!out)
		return -ENOMEM;
	for (i = 1; i < t->n; i++) {
		const char *name;
		Elf64_Sym sym;

		memcpy(&sym, t->syms.p + i * sizeof(sym), sizeof(sym));
		name = string_at(t->strs, sym.st_name);
		if (!name) {
			free(out);
			return invalid(r->e, "a symbol's name is outside the file");
		}
		name = pick(name, &sym);
		if (name)
			out[n++] = (struct elf_symbol){
				.name = name,
				.is_weak = ELF64_ST_BIND(sym.st_info) == STB_WEAK,
			};
	}
	qsort(out, n, sizeof(*out), by_name);
	*ret = (struct list){ out, n };
	return 0;
}

static const char *pick_import(const char *name, const Elf64_Sym *sym)
{
	return sym->st_shndx == SHN_UNDEF && *name ? name : NULL;
}

/* __ksymtab_NAME is made by EXPORT_SYMBOL; the section names and strings begin alike. */
static const char *pick_export(const char *name, const Elf64_Sym *sym)
{
	if (sym->st_shndx == SHN_UNDEF || !str_starts(name, "__ksymtab_"))
		return NULL;
	return name[10] ? name + 10 : NULL;
}

static void put_crc(struct elf *out, const char *name, uint32_t crc)
{
	struct elf_symbol *s = find_symbol(&out->imports, name);

	if (streq(name, "module_layout")) {
		out->layout_crc = crc;
		out->has_layout_crc = true;
	}
	if (!s)
		return;
	s->crc = crc;
	s->has_crc = true;
}

/* __versions: 64 bytes each, the CRC as unsigned long, then the name. */
static int read_versions(const struct reader *r, struct elf *out)
{
	struct bytes b;
	size_t i;

	if (!find_bytes(r, "__versions", &b))
		return 0;
	if (b.len % MODVERSION_SIZE != 0)
		return invalid(r->e, "__versions has a broken size");
	out->has_versions = out->has_basic_versions = true;
	for (i = 0; i < b.len; i += MODVERSION_SIZE) {
		struct bytes name = { b.p + i + 8, MODVERSION_SIZE - 8 };
		const char *s = string_at(name, 0);

		if (!s)
			return invalid(r->e, "a name in __versions does not end");
		put_crc(out, s, (uint32_t)get(b.p + i, 8));
	}
	return 0;
}

/* Since 6.14: CRCs of 32 bits in one section, names one behind the other in a second. */
static int read_ext_versions(const struct reader *r, struct elf *out)
{
	struct bytes crcs, names;
	size_t i, off = 0;

	if (!find_bytes(r, "__version_ext_crcs", &crcs) ||
		!find_bytes(r, "__version_ext_names", &names))
		return 0;
	if (crcs.len % 4 != 0)
		return invalid(r->e, "__version_ext_crcs has a broken size");
	out->has_versions = out->has_ext_versions = true;
	for (i = 0; i < crcs.len; i += 4) {
		const char *s = string_at(names, off);

		if (!s)
			return invalid(
				r->e, "fewer names than CRCs in __version_ext_names");
		put_crc(out, s, (uint32_t)get(crcs.p + i, 4));
		off += strlen(s) + 1;
	}
	return 0;
}

/* __crc_NAME is the CRC itself in an absolute symbol, or names the place that holds it. */
static void read_export_crcs(
	const struct reader *r, const struct symtab *t, struct elf *out)
{
	size_t i;

	for (i = 1; out->exports.n > 0 && i < t->n; i++) {
		struct elf_symbol *x;
		struct bytes b;
		const char *name;
		Elf64_Sym sym;

		memcpy(&sym, t->syms.p + i * sizeof(sym), sizeof(sym));
		name = string_at(t->strs, sym.st_name);
		if (!name || !str_starts(name, "__crc_"))
			continue;
		x = find_symbol(&out->exports, name + strlen("__crc_"));
		if (!x)
			continue;
		if (sym.st_shndx == SHN_ABS) {
			x->crc = (uint32_t)sym.st_value;
			x->has_crc = true;
		} else if (sym.st_shndx != SHN_UNDEF && sym.st_shndx < r->sections &&
			   section_bytes(r, &r->sh[sym.st_shndx], &b) && b.len >= 4 &&
			   sym.st_value <= b.len - 4) {
			x->crc = (uint32_t)get(b.p + sym.st_value, 4);
			x->has_crc = true;
		}
	}
}

static int read_symbols(const struct reader *r, struct elf *out)
{
	struct symtab t = { 0 };
	int rc = find_symtab(r, &t);

	if (rc == 0)
		rc = collect(r, &t, pick_import, &out->imports);
	if (rc == 0)
		rc = collect(r, &t, pick_export, &out->exports);
	if (rc == 0)
		read_export_crcs(r, &t, out);
	if (rc == 0)
		rc = read_versions(r, out);
	if (rc == 0)
		rc = read_ext_versions(r, out);
	return rc;
}

/* ---- signature ---- */

/* Takes the signature off, as the kernel does before it looks at the ELF. */
int elf_split_signature(const void *data, size_t len, size_t *ret_len,
	struct elf_signature *ret, struct err *e)
{
	const size_t magic = sizeof(signature_magic) - 1;
	const uint8_t *p = data;
	struct signature_info info;
	uint64_t sig;
	size_t left;

	*ret_len = len;
	if (len < magic || memcmp(p + len - magic, signature_magic, magic) != 0)
		return 0;
	left = len - magic;
	if (left < sizeof(info))
		return invalid(e, "truncated signature");
	memcpy(&info, p + left - sizeof(info), sizeof(info));
	left -= sizeof(info);
	sig = (uint64_t)info.sig_len[0] << 24 | (uint64_t)info.sig_len[1] << 16 |
	      (uint64_t)info.sig_len[2] << 8 | info.sig_len[3];
	if (sig >= left)
		return invalid(e, "the signature is longer than the file");
	*ret = (struct elf_signature){
		.data = p + left - sig,
		.len = sig,
		/* Everything else has to be zero: mod_check_sig(). */
		.is_pkcs7 = info.id_type == SIGNATURE_PKCS7 && !info.algo && !info.hash &&
			    !info.signer_len && !info.key_id_len && !info.pad[0] &&
			    !info.pad[1] && !info.pad[2],
	};
	*ret_len = left - sig;
	return 1;
}

int elf_parse(const void *data, size_t len, struct elf *ret, struct err *e)
{
	struct reader rd = { .p = data, .e = e };
	Elf64_Shdr *table = NULL;
	struct elf out = { .bytes = data };
	int r = elf_split_signature(data, len, &rd.len, &out.signature, e);

	out.is_signed = r > 0;
	if (r >= 0)
		r = open_sections(&rd, &out, &table);
	out.elf_len = rd.len;
	if (r == 0 && !find_section(&rd, ".gnu.linkonce.this_module"))
		r = invalid(e, "no .gnu.linkonce.this_module");
	out.has_btf = r == 0 && find_section(&rd, ".BTF");
	if (r == 0)
		r = read_modinfo(&rd, &out);
	if (r == 0)
		r = read_symbols(&rd, &out);
	free(table);
	if (r < 0) {
		elf_done(&out);
		return r == -ENOMEM ? err_errno(e, r, "read a module") : r;
	}
	*ret = out;
	return 0;
}

void elf_done(struct elf *elf)
{
	free(elf->modinfo.items);
	free(elf->firmware.items);
	free(elf->imports.items);
	free(elf->exports.items);
	*elf = (struct elf){ 0 };
}
