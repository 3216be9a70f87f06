// SPDX-License-Identifier: Apache-2.0
/* Proves, from files alone, that a kernel would load a module, or says why it would not. */
#include <elf.h>
#include <stdio.h>

#include "firmware.h"
#include "verify_kernel.h"

enum { DEPENDS_NAME_MAX = 128, FIRMWARE_LOOKED_FOR_MAX = 1024 };

/* ---- one module ---- */

static void warn(struct verify_report *rep, const char *what, const char *name)
{
	if (rep->warnings_n < VERIFY_WARNINGS_MAX)
		(void)snprintf(rep->warnings[rep->warnings_n++], VERIFY_TEXT_MAX,
			"%s '%.128s'", what, name);
}

static void unproven(struct verify_report *rep, const char *what, const char *name)
{
	if (rep->unproven_n < VERIFY_UNPROVEN_MAX)
		(void)snprintf(rep->unproven[rep->unproven_n], VERIFY_TEXT_MAX,
			"%s '%.128s'", what, name);
	rep->unproven_n++;
}

/* A CRC for @name among the modules that are loaded before this one. */
static const struct elf_symbol *find_sibling(
	const struct elf *siblings, size_t n, const struct elf *self, const char *name)
{
	size_t i, k;

	for (i = 0; i < n; i++) {
		const struct elf_symbol *x = siblings[i].exports.items;
		size_t lo = 0, hi = siblings[i].exports.n;

		if (&siblings[i] == self)
			continue;
		while (lo < hi) {
			int c;

			k = lo + (hi - lo) / 2;
			c = strcmp(name, x[k].name);
			if (c == 0)
				return &x[k];
			if (c < 0)
				hi = k;
			else
				lo = k + 1;
		}
	}
	return NULL;
}

static int crc_mismatch(struct err *e, const char *name, uint32_t module, uint32_t kernel)
{
	return err_reason(e, -ENOEXEC, REASON_SYMBOL_CRC_MISMATCH,
		"symbol '%.256s': the module was built against CRC 0x%08x, the kernel "
		"has 0x%08x",
		name, module, kernel);
}

static int missing(struct err *e, const char *name)
{
	return err_reason(e, -ENOEXEC, REASON_SYMBOL_MISSING,
		"symbol '%.256s' is exported by neither the kernel nor a module of this "
		"driver",
		name);
}

/* The kernel's license_is_gpl_compatible(). */
static bool is_gpl(const struct elf *m)
{
	static const char *const all[] = { "GPL", "GPL v2", "GPL and additional rights",
		"Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL" };
	const char *licence = elf_modinfo(m, "license");
	size_t i;

	for (i = 0; licence && i < ARRAY_SIZE(all); i++)
		if (streq(licence, all[i]))
			return true;
	return false;
}

/* "module:a,b-*" (since 6.16) names the modules that may use the symbol. */
static bool is_for_module(const char *space, const char *module)
{
	size_t n;

	for (space += strlen("module:"); *space; space += n + (space[n] == ',')) {
		n = strcspn(space, ",");
		if (n > 0 && space[n - 1] == '*'
				? strncmp(module, space, n - 1) == 0
				: strlen(module) == n && strncmp(module, space, n) == 0)
			return true;
	}
	return false;
}

static bool imports_space(const struct elf *m, const char *space)
{
	const struct kv *kvs = m->modinfo.items;
	size_t i;

	if (str_starts(space, "module:"))
		return is_for_module(space, m->name ? m->name : "");
	for (i = 0; i < m->modinfo.n; i++)
		if (str_starts(kvs[i].key, "import_ns=") && streq(kvs[i].value, space))
			return true;
	return false;
}

/* What the kernel asks of a symbol of its own beside the CRC. */
static int check_rights(const struct verify_kernel *v, const struct elf *m,
	const struct symvers_entry *x, struct verify_report *rep, struct err *e)
{
	if (x->is_gpl && !is_gpl(m))
		return err_reason(e, -ENOEXEC, REASON_SYMBOL_MISSING,
			"symbol '%.256s' is exported to GPL modules only, this one's licence "
			"is '%.64s'",
			x->name,
			elf_modinfo(m, "license") ? elf_modinfo(m, "license") : "");
	if (!*x->space || imports_space(m, x->space))
		return 0;
	if (v->needs_namespaces)
		return err_reason(e, -ENOEXEC, REASON_SYMBOL_MISSING,
			"symbol '%.256s' is in the namespace '%.64s', which the module does "
			"not import",
			x->name, x->space);
	warn(rep, "does not import the namespace", x->space);
	return 0;
}

static int check_symbol(const struct verify_kernel *v, const struct elf *m,
	const struct elf_symbol *s, const struct elf *siblings, size_t n,
	struct verify_report *rep, struct err *e)
{
	const struct symvers_entry *x = symvers_find(v->symbols, s->name);
	const struct elf_symbol *sib = x ? NULL : find_sibling(siblings, n, m, s->name);
	bool has_crc = x ? v->has_modversions : sib && sib->has_crc;
	uint32_t crc = x ? x->crc : sib ? sib->crc : 0;

	if (!x && !sib && v->is_partial && !s->is_weak) {
		unproven(rep, "symbol", s->name);
		return 0;
	}
	if (!x && !sib)
		return s->is_weak ? 0 : missing(e, s->name);
	rep->symbols++;
	if (has_crc && v->has_modversions && m->has_versions) {
		/* The kernel refuses a symbol without a version once there are versions at all. */
		if (!s->has_crc)
			return err_reason(e, -ENOEXEC, REASON_SYMBOL_CRC_MISMATCH,
				"symbol '%.256s': the module carries no CRC for it",
				s->name);
		if (s->crc != crc)
			return crc_mismatch(e, s->name, s->crc, crc);
	}
	return x ? check_rights(v, m, x, rep, e) : 0;
}

static int check_symbols(const struct verify_kernel *v, const struct elf *m,
	const struct elf *siblings, size_t n, struct verify_report *rep, struct err *e)
{
	const struct symvers_entry *layout = symvers_find(v->symbols, "module_layout");
	const struct elf_symbol *s = m->imports.items;
	size_t i;

	/* The kernel checks this one first, and so names it first. */
	if (layout && m->has_layout_crc && v->has_modversions &&
		m->layout_crc != layout->crc)
		return crc_mismatch(e, "module_layout", m->layout_crc, layout->crc);
	for (i = 0; i < m->imports.n; i++) {
		int r = check_symbol(v, m, &s[i], siblings, n, rep, e);

		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- what is around it ---- */

/* @name as modpost writes it: of the file, with '-' where the module's name has '_'. */
static bool is_name(const char *module, const char *name)
{
	for (; *module && *name; module++, name++)
		if (*module != *name && !(*module == '_' && *name == '-'))
			return false;
	return *module == *name;
}

static bool is_sibling(const struct elf *siblings, size_t n, const char *name)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (siblings[i].name && is_name(siblings[i].name, name))
			return true;
	return false;
}

/* "a,b": modprobe wants each, and the kernel their symbols. */
static int check_depends(const struct verify_kernel *v, const struct elf *m,
	const struct elf *siblings, size_t n, struct verify_report *rep, struct err *e)
{
	const char *p = m->depends ? m->depends : "";
	size_t len;

	for (; *p; p += len + (p[len] == ',')) {
		char name[DEPENDS_NAME_MAX];

		len = strcspn(p, ",");
		(void)snprintf(
			name, sizeof(name), "%.*s", (int)MIN(len, sizeof(name) - 1), p);
		if (!*name || is_sibling(siblings, n, name))
			continue;
		if (!v->tree)
			unproven(rep, "no 'modules.dep' tells whether there is a module",
				name);
		else if (!verify_tree_find(v->tree, name))
			return err_reason(e, -ENOENT, REASON_SYMBOL_MISSING,
				"it depends on module '%s', which is neither in "
				"'/lib/modules/%s' nor of this driver",
				name, v->release);
	}
	return 0;
}

/* updates/ comes before kernel/ in modprobe's eyes: whoever has both should know. */
static void check_clash(
	const struct verify_kernel *v, const struct elf *m, struct verify_report *rep)
{
	bool is_theirs = elf_modinfo(m, "intree") != NULL; /* the very one, most likely */
	const char *path = v->tree && m->name && !is_theirs
				   ? verify_tree_find(v->tree, m->name)
				   : NULL;

	if (path && !*path)
		warn(rep, "the kernel has a driver of this name built in:", m->name);
	else if (path && str_starts(path, "kernel/"))
		warn(rep, "takes the place of the kernel's own", path);
}

static void check_firmware(
	const struct verify_kernel *v, const struct elf *m, struct verify_report *rep)
{
	const char *const *names = m->firmware.items;
	size_t i;

	for (i = 0; i < MIN(m->firmware.n, FIRMWARE_LOOKED_FOR_MAX); i++)
		if (rep->warnings_n < VERIFY_WARNINGS_MAX &&
			!firmware_exists(v->root, v->release, names[i]))
			warn(rep, "missing firmware", names[i]);
}

static int check_signature(const struct verify_kernel *v, const struct elf *m,
	struct verify_report *rep, struct err *e)
{
	int r;

	if (!m->is_signed && v->is_unsigned_fine)
		return 0;
	r = trust_check(v->trust, m, &rep->trust, e);
	if (r < 0)
		return r;
	if (rep->trust.verdict == TRUST_STRANGER)
		warn(rep, "the kernel does not have the key of", rep->trust.signer);
	else if (rep->trust.verdict == TRUST_KEY_ONLY)
		unproven(rep, "that the signature fits, of", rep->trust.signer);
	else if (rep->trust.verdict == TRUST_UNKNOWN)
		unproven(rep, "that the kernel has the key of", rep->trust.signer);
	return 0;
}

/* ---- all of it ---- */

/* With CRCs in __versions the kernel skips the release (same_magic()); without, and with CRCs in the
 * extended form alone, all of vermagic must be equal. */
static int check_vermagic(
	const struct verify_kernel *v, const struct elf *m, struct err *e)
{
	size_t n = strlen(v->release);
	const char *flags;
	bool same_release;

	if (!m->vermagic)
		return err_reason(e, -ENOEXEC, REASON_MODULE_INVALID,
			"not a kernel module: no vermagic");
	same_release = strncmp(m->vermagic, v->release, n) == 0 &&
		       (m->vermagic[n] == ' ' || m->vermagic[n] == '\0');
	if (!same_release && !(v->has_modversions && m->has_basic_versions))
		return err_reason(e, -ENOEXEC, REASON_VERMAGIC_MISMATCH,
			"vermagic '%.128s' is not of '%s', and there are no CRCs to prove "
			"that it fits",
			m->vermagic, v->release);
	flags = m->vermagic + strcspn(m->vermagic, " ");
	flags += *flags == ' ';
	if (!streq(flags, v->flags))
		return err_reason(e, -ENOEXEC, REASON_VERMAGIC_MISMATCH,
			"vermagic flags '%.128s', the kernel wants '%s'", flags,
			v->flags);
	return 0;
}

static void copy(char *out, size_t size, const char *s)
{
	(void)snprintf(out, size, "%s", s ? s : "");
}

int verify_module(const struct verify_kernel *v, const struct elf *m,
	const struct elf *siblings, size_t n, struct verify_report *ret, struct err *e)
{
	struct verify_report rep = {
		.is_signed = m->is_signed,
		.is_portable = v->has_modversions && m->has_basic_versions &&
			       m->has_layout_crc && !m->has_btf &&
			       symvers_find(v->symbols, "module_layout"),
	};
	int r = 0;

	copy(rep.name, sizeof(rep.name), m->name);
	copy(rep.vermagic, sizeof(rep.vermagic), m->vermagic);
	copy(rep.srcversion, sizeof(rep.srcversion), m->srcversion);
	copy(rep.version, sizeof(rep.version), m->version);
	if (v->machine != EM_NONE && m->machine != v->machine)
		r = err_reason(e, -ENOEXEC, REASON_MODULE_INVALID,
			"the module is for another machine (ELF machine %u)", m->machine);
	/* The kernel's own order: the signature, module_layout and the CRCs before vermagic. */
	if (r == 0)
		r = check_signature(v, m, &rep, e);
	if (r == 0)
		r = check_symbols(v, m, siblings, n, &rep, e);
	if (r == 0)
		r = check_vermagic(v, m, e);
	if (r == 0)
		r = check_depends(v, m, siblings, n, &rep, e);
	if (r == 0 && !m->has_versions && v->has_modversions)
		warn(&rep, "no symbol versions, only vermagic proves",
			m->name ? m->name : "");
	if (r == 0)
		check_clash(v, m, &rep);
	if (r == 0)
		check_firmware(v, m, &rep);
	*ret = rep;
	return r;
}

/* ---- files ---- */

struct files {
	char **data;
	struct elf *elfs;
	size_t n;
};

static void files_done(struct files *f)
{
	size_t i;

	for (i = 0; f->elfs && i < f->n; i++)
		elf_done(&f->elfs[i]);
	for (i = 0; f->data && i < f->n; i++)
		free(f->data[i]);
	free(f->elfs);
	free(f->data);
}

int verify_files_among(const struct verify_kernel *v, const char *const *paths, size_t n,
	size_t all, struct verify_report *reports, struct err *e)
{
	CLEANUP(files_done) struct files f = { .n = all };
	size_t i, len;
	int r = 0;

	if (all > VERIFY_SIBLINGS_MAX)
		return err_set(
			e, -E2BIG, "verify: more than %d modules", VERIFY_SIBLINGS_MAX);
	f.data = calloc(all + 1, sizeof(*f.data));
	f.elfs = calloc(all + 1, sizeof(*f.elfs));
	if (!f.data || !f.elfs)
		return err_errno(e, -ENOMEM, "verify");
	for (i = 0; i < n; i++)
		reports[i] = (struct verify_report){ 0 };
	for (i = 0; r == 0 && i < all; i++) {
		r = elf_read_file(paths[i], &f.data[i], &len, e);
		if (r == 0)
			r = elf_parse(f.data[i], len, &f.elfs[i], e);
		if (r < 0)
			return err_wrap(e, r, "'%s'", paths[i]);
	}
	for (i = 0; i < n; i++) {
		r = verify_module(v, &f.elfs[i], f.elfs, all, &reports[i], e);
		if (r < 0)
			return err_wrap(e, r, "'%s'", paths[i]);
	}
	return 0;
}

int verify_files(const struct verify_kernel *v, const char *const *paths, size_t n,
	struct verify_report *reports, struct err *e)
{
	return verify_files_among(v, paths, n, n, reports, e);
}
