// SPDX-License-Identifier: Apache-2.0
/* What a module says of itself. */
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "shim.h"

static void take(struct module *m, const char *key, size_t key_len, const char *value)
{
	static const struct {
		const char *key;
		size_t off, size;
	} fields[] = {
		{ "name", offsetof(struct module, name), sizeof(m->name) },
		{ "vermagic", offsetof(struct module, vermagic), sizeof(m->vermagic) },
		{ "srcversion", offsetof(struct module, srcversion),
			sizeof(m->srcversion) },
		{ "version", offsetof(struct module, version), sizeof(m->version) },
		{ "depends", offsetof(struct module, depends), sizeof(m->depends) },
	};

	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
		if (strlen(fields[i].key) == key_len &&
			!strncmp(key, fields[i].key, key_len))
			(void)snprintf(
				(char *)m + fields[i].off, fields[i].size, "%s", value);
	if (key_len == 5 && !strncmp(key, "alias", 5) && m->n_aliases < ALIASES_MAX)
		(void)snprintf(
			m->aliases[m->n_aliases++], sizeof(m->aliases[0]), "%s", value);
}

int module_parse(const char *data, size_t len, struct module *m)
{
	const Elf64_Ehdr *h = (const void *)data;
	const Elf64_Shdr *sh;

	memset(m, 0, sizeof(*m));
	if (len < sizeof(*h) || memcmp(h->e_ident, ELFMAG, SELFMAG) != 0 ||
		h->e_type != ET_REL || h->e_shoff > len ||
		h->e_shnum > (len - h->e_shoff) / sizeof(*sh) ||
		h->e_shstrndx >= h->e_shnum)
		return ENOEXEC;
	sh = (const void *)(data + h->e_shoff);
	for (unsigned i = 0; i < h->e_shnum; i++) {
		const Elf64_Shdr *str = &sh[h->e_shstrndx];
		const char *p, *end;

		if (sh[i].sh_type != SHT_NOBITS &&
			(sh[i].sh_offset > len || sh[i].sh_size > len - sh[i].sh_offset))
			return ENOEXEC; /* "Invalid ELF section header overflow" */
		if (str->sh_offset > len || str->sh_size > len - str->sh_offset ||
			sh[i].sh_name + sizeof(".modinfo") > str->sh_size ||
			strcmp(data + str->sh_offset + sh[i].sh_name, ".modinfo") != 0)
			continue;
		p = data + sh[i].sh_offset;
		end = p + sh[i].sh_size;
		while (p < end) {
			size_t n = strnlen(p, (size_t)(end - p));
			const char *eq = memchr(p, '=', n);

			if (p + n >= end)
				break;
			if (eq)
				take(m, p, (size_t)(eq - p), eq + 1);
			p += n + 1;
		}
	}
	for (char *c = m->name; *c; c++)
		*c = *c == '-' ? '_' : *c;
	return *m->name ? 0 : ENOEXEC;
}
