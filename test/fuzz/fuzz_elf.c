// SPDX-License-Identifier: Apache-2.0
/* Kernel modules: parsed without trust, and proved against a small kernel; what is proved has what the
 * kernel will ask for. */
#include "driver-builder/verify.h"
#include "fuzz.h"

#define CONFIG \
	"CONFIG_X86_64=y\nCONFIG_SMP=y\nCONFIG_PREEMPT_BUILD=y\n" \
	"CONFIG_MODULE_UNLOAD=y\nCONFIG_MODVERSIONS=y\n"
#define SYMVERS \
	"0x00000007\tmodule_layout\tvmlinux\tEXPORT_SYMBOL\t\n" \
	"0x11111111\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n" \
	"0xfedcba98\tkfree\tvmlinux\tEXPORT_SYMBOL_GPL\tNS\n"

static struct verify_kernel *open_kernel(const char *config)
{
	struct kernel k = { .release = "6.1.0-56" };
	struct verify_kernel *v = NULL;
	char dir[PATH_MAX];

	(void)snprintf(dir, sizeof(dir), "%s", fuzz_path("kernel"));
	HOLDS(dir_make(dir, 0755, NULL) == 0);
	fuzz_file("kernel/.config", config, strlen(config));
	fuzz_file("kernel/Module.symvers", SYMVERS, sizeof(SYMVERS) - 1);
	k.headers = dir;
	HOLDS(verify_kernel_open(&k, dir, &v, NULL) == 0);
	return v;
}

static void check_symbols(const struct list *l, const void *data, size_t len)
{
	const struct elf_symbol *s = l->items;
	const char *start = data;

	HOLDS(l->n <= ELF_SYMBOLS_MAX);
	for (size_t i = 0; i < l->n; i++)
		HOLDS(s[i].name >= start && s[i].name + strlen(s[i].name) < start + len);
}

static void check_proved(const struct elf *m, const struct verify_report *rep)
{
	HOLDS(m->machine == 62 && m->is_64 && m->vermagic);
	HOLDS(rep->symbols <= m->imports.n);
	HOLDS(rep->warnings_n <= VERIFY_WARNINGS_MAX);
	HOLDS(rep->is_signed == m->is_signed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct verify_kernel *kernels[2];
	CLEANUP(elf_done) struct elf m = { 0 };
	struct elf sibling;
	struct err e = { 0 };
	int r;

	if (!kernels[0]) {
		kernels[0] = open_kernel(CONFIG);
		kernels[1] = open_kernel(CONFIG "CONFIG_MODULE_SIG_FORCE=y\n");
	}
	r = elf_parse(data, len, &m, &e);
	if (r < 0) {
		says_why(r, &e);
		HOLDS(!m.imports.items && !m.exports.items && !m.modinfo.items);
		return 0;
	}
	sibling = m; /* another module with the same exports */
	HOLDS(m.elf_len <= len && m.modinfo.n <= ELF_MODINFO_MAX);
	check_symbols(&m.imports, data, len);
	check_symbols(&m.exports, data, len);
	HOLDS(m.vermagic == elf_modinfo(&m, "vermagic"));
	for (size_t i = 0; i < 4; i++) {
		struct verify_report rep = { 0 };

		r = verify_module(
			kernels[i & 1], &m, i & 2 ? &sibling : NULL, i >> 1, &rep, &e);
		if (r < 0) {
			says_why(r, &e);
			HOLDS(e.reason != REASON_NONE);
			continue;
		}
		check_proved(&m, &rep);
		HOLDS(!(i & 1) || m.is_signed);
	}
	return 0;
}
