// SPDX-License-Identifier: Apache-2.0
/* Proves, from files alone, that a kernel would load a module, or says why it would not. */
#include "verify.h"

#include <elf.h>
#include <limits.h>
#include <stdio.h>

#include "file.h"

enum { HASH_FILE_MAX = 4096 };

struct verify_kernel {
	char *root;
	char release[KERNEL_RELEASE_MAX];
	struct symvers *symbols;
	char *config;
	bool has_modversions;
	bool demands_signature;
	char flags[VERIFY_TEXT_MAX]; /* of vermagic, for the kernel's own machine */
	uint16_t machine;
};

/* ---- what is known of a kernel ---- */

static bool is_set(const char *config, const char *option)
{
	char v[8];

	return kernel_config_find(config, option, v, sizeof(v)) == 0 && streq(v, "y");
}

/* As include/linux/vermagic.h puts them together. */
int verify_flags(const char *config, const char *machine, char *out, size_t size)
{
	int n = snprintf(out, size, "%s%s%s%s%s",
		is_set(config, "CONFIG_SMP") ? "SMP " : "",
		is_set(config, "CONFIG_PREEMPT_RT")	 ? "preempt_rt "
		: is_set(config, "CONFIG_PREEMPT_BUILD") ? "preempt "
							 : "",
		is_set(config, "CONFIG_MODULE_UNLOAD") ? "mod_unload " : "",
		is_set(config, "CONFIG_MODVERSIONS") ? "modversions " : "",
		streq(machine, "aarch64") ? "aarch64" : "");

	return n < 0 || (size_t)n >= size ? -ENOBUFS : 0;
}

static uint16_t machine_of(const char *config, const char **ret_name)
{
	static const struct {
		const char *option, *name;
		uint16_t machine;
	} all[] = {
		{ "CONFIG_X86_64", "x86_64", EM_X86_64 },
		{ "CONFIG_ARM64", "aarch64", EM_AARCH64 },
		{ "CONFIG_RISCV", "riscv64", EM_RISCV },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(all); i++) {
		if (!is_set(config, all[i].option))
			continue;
		*ret_name = all[i].name;
		return all[i].machine;
	}
	*ret_name = "";
	return EM_NONE;
}

/* The running kernel may have been told on its command line to enforce signatures. */
static bool enforces_now(void)
{
	char v[4];

	return file_read_line(
		       "/sys/module/module/parameters/sig_enforce", v, sizeof(v)) == 0 &&
	       streq(v, "Y");
}

/* Structure randomisation puts its seed's hash into vermagic. */
static int add_randstruct(const struct kernel *k, struct verify_kernel *v)
{
	CLEANUP(freep) char *text = NULL;
	char path[PATH_MAX], hash[128];
	const char *p, *end;
	size_t n = strlen(v->flags);
	int r = path_join(path, sizeof(path), k->headers,
		"include/generated/randstruct_hash.h", NULL);

	if (!is_set(v->config, "CONFIG_RANDSTRUCT"))
		return 0;
	if (r < 0 || file_read(path, HASH_FILE_MAX, &text, NULL, NULL) < 0)
		return 0;
	p = strchr(text, '"');
	end = p ? strchr(p + 1, '"') : NULL;
	if (!end || (size_t)(end - p) > sizeof(hash))
		return 0;
	memcpy(hash, p + 1, (size_t)(end - p - 1));
	hash[end - p - 1] = '\0';
	r = snprintf(v->flags + n, sizeof(v->flags) - n, "RANDSTRUCT_%s", hash);
	return r < 0 || (size_t)r >= sizeof(v->flags) - n ? -ENOBUFS : 0;
}

static int load_kernel(
	const struct kernel *k, const char *root, struct verify_kernel *v, struct err *e)
{
	char path[PATH_MAX];
	const char *machine;
	int r;

	memcpy(v->release, k->release, sizeof(v->release));
	v->root = strdup(root);
	if (!v->root)
		return err_errno(e, -ENOMEM, "kernel '%s'", k->release);
	if (!k->headers)
		return err_reason(e, -ENOENT, REASON_HEADERS_MISSING, "kernel '%s': %s",
			k->release, k->missing ? k->missing : "no headers");
	r = kernel_config_read(k, &v->config, e);
	if (r < 0)
		return r;
	r = path_join(path, sizeof(path), k->headers, "Module.symvers", NULL);
	if (r == 0)
		r = symvers_read(path, &v->symbols, e);
	if (r < 0)
		return err_reason(e, r, REASON_HEADERS_MISSING,
			"kernel '%s': 'Module.symvers' cannot be read", k->release);
	v->machine = machine_of(v->config, &machine);
	v->has_modversions = is_set(v->config, "CONFIG_MODVERSIONS");
	v->demands_signature = is_set(v->config, "CONFIG_MODULE_SIG_FORCE") ||
			       (k->is_running && enforces_now());
	r = verify_flags(v->config, machine, v->flags, sizeof(v->flags));
	return r < 0 ? err_errno(e, r, "kernel '%s'", k->release) : add_randstruct(k, v);
}

int verify_kernel_open(const struct kernel *k, const char *root,
	struct verify_kernel **ret, struct err *e)
{
	CLEANUP(verify_kernel_freep) struct verify_kernel *v = calloc(1, sizeof(*v));
	int r;

	if (!v)
		return err_errno(e, -ENOMEM, "kernel '%s'", k->release);
	r = load_kernel(k, root, v, e);
	if (r < 0)
		return r;
	*ret = TAKE(v);
	return 0;
}

void verify_kernel_free(struct verify_kernel *v)
{
	if (!v)
		return;
	free(v->root);
	free(v->config);
	symvers_free(v->symbols);
	free(v);
}

/* ---- one module ---- */

static void warn(struct verify_report *rep, const char *what, const char *name)
{
	if (rep->warnings_n < VERIFY_WARNINGS_MAX)
		(void)snprintf(rep->warnings[rep->warnings_n++], VERIFY_TEXT_MAX,
			"%s '%.128s'", what, name);
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

static int check_symbol(const struct verify_kernel *v, const struct elf *m,
	const struct elf_symbol *s, const struct elf *siblings, size_t n, struct err *e)
{
	const struct symvers_entry *x = symvers_find(v->symbols, s->name);
	const struct elf_symbol *sib = x ? NULL : find_sibling(siblings, n, m, s->name);
	bool has_crc = x ? v->has_modversions : sib && sib->has_crc;
	uint32_t crc = x ? x->crc : sib ? sib->crc : 0;

	if (!x && !sib)
		return s->is_weak
			       ? 0
			       : err_reason(e, -ENOEXEC, REASON_SYMBOL_MISSING,
					 "symbol '%.256s' is exported by neither the kernel "
					 "nor a module of this driver",
					 s->name);
	if (!has_crc || !v->has_modversions || !m->has_versions)
		return 0;
	/* The kernel refuses a symbol without a version once there are versions at all. */
	if (!s->has_crc)
		return err_reason(e, -ENOEXEC, REASON_SYMBOL_CRC_MISMATCH,
			"symbol '%.256s': the module carries no CRC for it", s->name);
	return s->crc == crc ? 0 : crc_mismatch(e, s->name, s->crc, crc);
}

static int check_symbols(const struct verify_kernel *v, const struct elf *m,
	const struct elf *siblings, size_t n, size_t *ret_proved, struct err *e)
{
	const struct symvers_entry *layout = symvers_find(v->symbols, "module_layout");
	const struct elf_symbol *s = m->imports.items;
	size_t i;

	/* The kernel checks this one first, and so names it first. */
	if (layout && m->has_layout_crc && v->has_modversions &&
		m->layout_crc != layout->crc)
		return crc_mismatch(e, "module_layout", m->layout_crc, layout->crc);
	for (i = 0; i < m->imports.n; i++) {
		int r = check_symbol(v, m, &s[i], siblings, n, e);

		if (r < 0)
			return r;
		++*ret_proved;
	}
	return 0;
}

/* With CRCs the kernel skips the release; without, all of vermagic must be equal. */
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
	if (!same_release && !(v->has_modversions && m->has_versions))
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

static bool firmware_is_there(const struct verify_kernel *v, const char *name)
{
	static const char *const ends[] = { "", ".xz", ".zst" };
	const char *const dirs[] = { "/lib/firmware/updates/%", "/lib/firmware/updates",
		"/lib/firmware/%", "/lib/firmware" };
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(dirs); i++) {
		bool has_release = strchr(dirs[i], '%') != NULL;
		int len = (int)strcspn(dirs[i], "%");

		for (j = 0; j < ARRAY_SIZE(ends); j++) {
			CLEANUP(freep) char *real = NULL;
			char path[PATH_MAX];
			int n = snprintf(path, sizeof(path), "%.*s%s/%s%s", len, dirs[i],
				has_release ? v->release : "", name, ends[j]);

			if (n > 0 && n < PATH_MAX &&
				root_resolve(v->root, path, &real, NULL) == 0)
				return true;
		}
	}
	return false;
}

static void check_firmware(
	const struct verify_kernel *v, const struct elf *m, struct verify_report *rep)
{
	const char *const *names = m->firmware.items;
	size_t i;

	for (i = 0; i < m->firmware.n && i < VERIFY_WARNINGS_MAX; i++)
		if (!firmware_is_there(v, names[i]))
			warn(rep, "missing firmware", names[i]);
}

static void copy(char *out, size_t size, const char *s)
{
	(void)snprintf(out, size, "%s", s ? s : "");
}

int verify_module(const struct verify_kernel *v, const struct elf *m,
	const struct elf *siblings, size_t n, struct verify_report *ret, struct err *e)
{
	struct verify_report rep = { .is_signed = m->is_signed };
	int r = 0;

	copy(rep.name, sizeof(rep.name), m->name);
	copy(rep.vermagic, sizeof(rep.vermagic), m->vermagic);
	copy(rep.srcversion, sizeof(rep.srcversion), m->srcversion);
	copy(rep.version, sizeof(rep.version), m->version);
	if (v->machine != EM_NONE && m->machine != v->machine)
		r = err_reason(e, -ENOEXEC, REASON_MODULE_INVALID,
			"the module is for another machine (ELF machine %u)", m->machine);
	if (r == 0 && v->demands_signature && !m->is_signed)
		r = err_reason(e, -EKEYREJECTED, REASON_KEY_REJECTED,
			"kernel '%s' demands signed modules, this one is not",
			v->release);
	/* The kernel's own order: module_layout and the CRCs speak before vermagic's release. */
	if (r == 0)
		r = check_symbols(v, m, siblings, n, &rep.symbols, e);
	if (r == 0)
		r = check_vermagic(v, m, e);
	if (r == 0 && m->has_versions == false && v->has_modversions)
		warn(&rep, "no symbol versions, only vermagic proves",
			m->name ? m->name : "");
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

int verify_files(const struct verify_kernel *v, const char *const *paths, size_t n,
	struct verify_report *reports, struct err *e)
{
	CLEANUP(files_done) struct files f = { .n = n };
	size_t i, len;
	int r = 0;

	if (n > VERIFY_SIBLINGS_MAX)
		return err_set(
			e, -E2BIG, "verify: more than %d modules", VERIFY_SIBLINGS_MAX);
	f.data = calloc(n + 1, sizeof(*f.data));
	f.elfs = calloc(n + 1, sizeof(*f.elfs));
	if (!f.data || !f.elfs)
		return err_errno(e, -ENOMEM, "verify");
	for (i = 0; i < n; i++)
		reports[i] = (struct verify_report){ 0 };
	for (i = 0; r == 0 && i < n; i++) {
		r = elf_read_file(paths[i], &f.data[i], &len, e);
		if (r == 0)
			r = elf_parse(f.data[i], len, &f.elfs[i], e);
		if (r < 0)
			return err_wrap(e, r, "'%s'", paths[i]);
	}
	for (i = 0; i < n; i++) {
		r = verify_module(v, &f.elfs[i], f.elfs, n, &reports[i], e);
		if (r < 0)
			return err_wrap(e, r, "'%s'", paths[i]);
	}
	return 0;
}
