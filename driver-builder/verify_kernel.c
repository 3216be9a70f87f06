// SPDX-License-Identifier: Apache-2.0
/* What a kernel will hold against a module, read from files once for many modules. */
#include "verify_kernel.h"

#include <elf.h>
#include <limits.h>
#include <stdio.h>

#include "file.h"

enum { HASH_FILE_MAX = 4096, CONFIG_BYTES_MAX = 4 << 20 };

/* ---- its configuration ---- */

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

/* Structure randomisation puts its seed's hash into vermagic. */
static int add_randstruct(const struct kernel *k, struct verify_kernel *v)
{
	CLEANUP(freep) char *text = NULL;
	char path[PATH_MAX], hash[128];
	const char *p, *end;
	size_t n = strlen(v->flags);
	int r;

	if (!k->headers || !is_set(v->config, "CONFIG_RANDSTRUCT"))
		return 0;
	r = path_join(path, sizeof(path), k->headers,
		"include/generated/randstruct_hash.h", NULL);
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

/* ---- its symbols ---- */

/* In the headers; else where distributions put the file for kernels without them. */
static int read_symbols(const struct kernel *k, struct verify_kernel *v, struct err *e)
{
	static const struct {
		const char *dir, *file;
	} places[] = { { "/boot/symvers-", "" }, { "/lib/modules/", "/symvers" },
		{ "/lib/modules/", "/Module.symvers" } };
	static const char *const ends[] = { ".gz", ".xz", ".zst", "" };
	char path[PATH_MAX];
	size_t i, len;
	int r;

	if (k->headers) {
		r = path_join(path, sizeof(path), k->headers, "Module.symvers", NULL);
		if (r == 0)
			r = symvers_read(path, &v->symbols, e);
		return r < 0 ? err_reason(e, r, REASON_HEADERS_MISSING,
				       "kernel '%s': 'Module.symvers' cannot be read",
				       k->release)
			     : 0;
	}
	for (i = 0; i < ARRAY_SIZE(places) * ARRAY_SIZE(ends); i++) {
		CLEANUP(freep) char *real = NULL, *text = NULL;

		(void)snprintf(path, sizeof(path), "%s%s%s%s",
			places[i / ARRAY_SIZE(ends)].dir, k->release,
			places[i / ARRAY_SIZE(ends)].file, ends[i % ARRAY_SIZE(ends)]);
		if (root_resolve(v->root, path, &real, NULL) < 0 ||
			elf_read_file(real, &text, &len, NULL) < 0)
			continue;
		r = symvers_parse(text, len, &v->symbols, e);
		return r < 0 ? err_wrap(e, r, "'%s'", real) : 0;
	}
	return err_reason(e, -ENOENT, REASON_HEADERS_MISSING, "kernel '%s': %s",
		k->release, k->missing ? k->missing : "no headers");
}

static int read_config(const struct kernel *k, struct verify_kernel *v, struct err *e)
{
	static const struct {
		const char *dir, *file;
	} places[] = { { "/boot/config-", "" }, { "/lib/modules/", "/config" } };
	char path[PATH_MAX];
	size_t i;

	if (k->headers)
		return kernel_config_read(k, &v->config, e);
	for (i = 0; i < ARRAY_SIZE(places); i++) {
		CLEANUP(freep) char *real = NULL;

		(void)snprintf(path, sizeof(path), "%s%s%s", places[i].dir, k->release,
			places[i].file);
		if (root_resolve(v->root, path, &real, NULL) == 0 &&
			file_read(real, CONFIG_BYTES_MAX, &v->config, NULL, NULL) == 0)
			return 0;
	}
	return err_reason(e, -ENOENT, REASON_HEADERS_MISSING,
		"kernel '%s': neither headers nor its configuration are there",
		k->release);
}

/* ---- all of it ---- */

static int load_kernel(const struct kernel *k, const char *root, bool by_modules,
	struct verify_kernel *v, struct err *e)
{
	struct trust_host host = { .sys = "/sys", .proc = "/proc" };
	const char *machine;
	int r;

	v->kernel = *k;
	v->kernel.headers = k->headers ? strdup(k->headers) : NULL;
	v->kernel.headers_in = v->kernel.missing = NULL;
	v->release = v->kernel.release;
	v->root = strdup(root);
	if (!v->root || (k->headers && !v->kernel.headers))
		return err_errno(e, -ENOMEM, "kernel '%s'", k->release);
	r = read_config(k, v, e);
	if (r == 0)
		r = read_symbols(k, v, e);
	if (r < 0 && by_modules && v->config && e->reason == REASON_HEADERS_MISSING) {
		err_clear(e);
		v->is_partial = true;
		r = verify_tree_symbols(root, k->release, &v->symbols, e);
	}
	if (r == 0 && (r = verify_tree_read(root, k->release, &v->tree)) < 0)
		(void)err_errno(e, r, "kernel '%s'", k->release);
	if (r < 0)
		return r;
	v->machine = machine_of(v->config, &machine);
	v->has_modversions = is_set(v->config, "CONFIG_MODVERSIONS");
	v->needs_namespaces = !is_set(
		v->config, "CONFIG_MODULE_ALLOW_MISSING_NAMESPACE_IMPORTS");
	host.root = v->root;
	r = trust_open(&v->kernel, v->config, &host, &v->trust, e);
	if (r < 0)
		return r;
	r = verify_flags(v->config, machine, v->flags, sizeof(v->flags));
	return r < 0 ? err_errno(e, r, "kernel '%s'", k->release) : add_randstruct(k, v);
}

static int open_kernel(const struct kernel *k, const char *root, bool by_modules,
	struct verify_kernel **ret, struct err *e)
{
	CLEANUP(verify_kernel_freep) struct verify_kernel *v = calloc(1, sizeof(*v));
	int r;

	if (!v)
		return err_errno(e, -ENOMEM, "kernel '%s'", k->release);
	r = load_kernel(k, root, by_modules, v, e);
	if (r < 0)
		return r;
	*ret = TAKE(v);
	return 0;
}

int verify_kernel_open(const struct kernel *k, const char *root,
	struct verify_kernel **ret, struct err *e)
{
	return open_kernel(k, root, false, ret, e);
}

int verify_kernel_open_bare(const struct kernel *k, const char *root,
	struct verify_kernel **ret, struct err *e)
{
	struct err own = { 0 };

	/* Whether headers are missing decides here, told or not. */
	return open_kernel(k, root, true, ret, e ? e : &own);
}

void verify_kernel_allow_unsigned(struct verify_kernel *v)
{
	v->is_unsigned_fine = true;
}

void verify_kernel_free(struct verify_kernel *v)
{
	if (!v)
		return;
	trust_free(v->trust);
	free(v->kernel.headers);
	free(v->root);
	free(v->config);
	symvers_free(v->symbols);
	map_free(v->tree);
	free(v);
}
