// SPDX-License-Identifier: Apache-2.0
/* What a dkms.conf asks for, out of the variables that its evaluation left. */
#include "dkms.h"

#include <ctype.h>
#include <regex.h>
#include <stdio.h>

enum {
	VALUE_MAX = 64 << 10,
	EXPR_MAX = 256,
	EXPR_BOUNDS_MAX = 3,
	EXPR_REPEAT_MAX = 32,
	EXPR_COST_MAX = 4096,
};

/* All of a variable comes as an array: a plain one is its element 0. */
const char dkms_script[] =
	". ./dkms.conf >/dev/null\n"
	"exec 3>\"$1\" || exit 1\n"
	"for farrier_v in PACKAGE_NAME PACKAGE_VERSION CLEAN PRE_BUILD POST_BUILD MAKE "
	"MAKE_MATCH BUILT_MODULE_NAME BUILT_MODULE_LOCATION DEST_MODULE_NAME "
	"DEST_MODULE_LOCATION STRIP PATCH PATCH_MATCH BUILD_EXCLUSIVE_KERNEL "
	"BUILD_EXCLUSIVE_KERNEL_MIN BUILD_EXCLUSIVE_KERNEL_MAX BUILD_EXCLUSIVE_ARCH "
	"BUILD_EXCLUSIVE_CONFIG BUILD_DEPENDS OBSOLETE_BY; do\n"
	"\tdeclare -n farrier_a=$farrier_v\n"
	"\tfor farrier_i in \"${!farrier_a[@]}\"; do\n"
	"\t\tbuiltin printf '%s[%s]=%s\\0' \"$farrier_v\" \"$farrier_i\" "
	"\"${farrier_a[$farrier_i]}\" >&3\n"
	"\tdone\n"
	"done\n"
	"exit 0\n";

enum var {
	V_PACKAGE_NAME,
	V_PACKAGE_VERSION,
	V_CLEAN,
	V_PRE_BUILD,
	V_POST_BUILD,
	V_MAKE,
	V_MAKE_MATCH,
	V_NAME,
	V_LOCATION,
	V_DEST_NAME,
	V_DEST_LOCATION,
	V_STRIP,
	V_PATCH,
	V_PATCH_MATCH,
	V_ONLY_KERNEL,
	V_ONLY_MIN,
	V_ONLY_MAX,
	V_ONLY_ARCH,
	V_ONLY_CONFIG,
	V_DEPENDS,
	V_OBSOLETE,
	VARS_
};
static const char *const var_names[VARS_] = {
	[V_PACKAGE_NAME] = "PACKAGE_NAME",
	[V_PACKAGE_VERSION] = "PACKAGE_VERSION",
	[V_CLEAN] = "CLEAN",
	[V_PRE_BUILD] = "PRE_BUILD",
	[V_POST_BUILD] = "POST_BUILD",
	[V_MAKE] = "MAKE",
	[V_MAKE_MATCH] = "MAKE_MATCH",
	[V_NAME] = "BUILT_MODULE_NAME",
	[V_LOCATION] = "BUILT_MODULE_LOCATION",
	[V_DEST_NAME] = "DEST_MODULE_NAME",
	[V_DEST_LOCATION] = "DEST_MODULE_LOCATION",
	[V_STRIP] = "STRIP",
	[V_PATCH] = "PATCH",
	[V_PATCH_MATCH] = "PATCH_MATCH",
	[V_ONLY_KERNEL] = "BUILD_EXCLUSIVE_KERNEL",
	[V_ONLY_MIN] = "BUILD_EXCLUSIVE_KERNEL_MIN",
	[V_ONLY_MAX] = "BUILD_EXCLUSIVE_KERNEL_MAX",
	[V_ONLY_ARCH] = "BUILD_EXCLUSIVE_ARCH",
	[V_ONLY_CONFIG] = "BUILD_EXCLUSIVE_CONFIG",
	[V_DEPENDS] = "BUILD_DEPENDS",
	[V_OBSOLETE] = "OBSOLETE_BY",
};

struct vars {
	const char *v[VARS_][DKMS_MODULES_MAX + 1];
	size_t n[VARS_]; /* highest index set, plus one */
};

struct parser {
	struct arena *a;
	struct vars *vars;
	const struct dkms_kernel *kernel;
	struct dkms out;
	struct err *e;
};

#define invalid(p, ...) \
	err_reason((p)->e, -EINVAL, REASON_SOURCE_INVALID, "dkms.conf: " __VA_ARGS__)
#define not_for_us(p, ...) \
	err_reason( \
		(p)->e, -ENOTSUP, REASON_NOT_FOR_THIS_KERNEL, "dkms.conf: " __VA_ARGS__)

/* "" when it is not set. */
static const char *var(const struct parser *p, enum var v, size_t i)
{
	const char *s = i <= DKMS_MODULES_MAX ? p->vars->v[v][i] : NULL;

	return s ? s : "";
}

static int no_memory(const struct parser *p)
{
	return err_errno(p->e, -ENOMEM, "dkms.conf");
}

/* ---- records ---- */

static int parse_record(struct parser *p, const char *s)
{
	size_t len = strcspn(s, "["), i;
	unsigned long index;
	char *end;

	for (i = 0; i < VARS_; i++)
		if (strlen(var_names[i]) == len && strncmp(s, var_names[i], len) == 0)
			break;
	if (i == VARS_ || s[len] != '[' || !isdigit((unsigned char)s[len + 1]))
		return invalid(p, "'%.40s' is no record", s);
	errno = 0;
	index = strtoul(s + len + 1, &end, 10);
	if (errno || index > DKMS_MODULES_MAX || end[0] != ']' || end[1] != '=')
		return invalid(p, "'%.40s' is no record", s);
	if (strlen(end + 2) > VALUE_MAX)
		return invalid(p, "%s[%lu] is too long", var_names[i], index);
	p->vars->v[i][index] = arena_strdup(p->a, end + 2);
	if (!p->vars->v[i][index])
		return no_memory(p);
	p->vars->n[i] = MAX(p->vars->n[i], index + 1);
	return 0;
}

static int parse_records(struct parser *p, const char *data, size_t len)
{
	size_t off = 0, n = 0;

	while (off < len) {
		const char *zero = memchr(data + off, '\0', len - off);
		int r;

		if (!zero)
			return invalid(p, "the last record does not end");
		if (++n > DKMS_RECORDS_MAX)
			return invalid(p, "more than %d variables", DKMS_RECORDS_MAX);
		r = parse_record(p, data + off);
		if (r < 0)
			return r;
		off = (size_t)(zero - data) + 1;
	}
	return n > 0 ? 0 : invalid(p, "its evaluation gave nothing");
}

/* ---- expressions ---- */

/* Bounded, so that no expression costs more than it is worth: to compile one, what is repeated is copied,
 * twice for a '+', and once more for each level that it is nested in. */
static bool is_modest(const char *expr)
{
	unsigned long cost = 1;
	size_t bounds = 0;
	const char *p;

	if (strlen(expr) > EXPR_MAX)
		return false;
	for (p = expr; *p && cost <= EXPR_COST_MAX; p++) {
		unsigned long v;

		if (*p == '\\') {
			if (isdigit((unsigned char)p[1]))
				return false;
			p += p[1] != '\0';
			continue;
		}
		if (*p == '+')
			cost *= 2;
		if (*p == '{' && ++bounds > EXPR_BOUNDS_MAX)
			return false;
		if (!isdigit((unsigned char)*p) || bounds == 0)
			continue;
		v = strtoul(p, (char **)&p, 10);
		if (v > EXPR_REPEAT_MAX && (*p == '}' || *p == ','))
			return false;
		if (*p == '}' || (*p == ',' && p[1] == '}'))
			cost *= MAX(v, 1UL);
		p--;
	}
	return cost <= EXPR_COST_MAX;
}

/* As bash's =~: POSIX extended, anywhere in the text. 1, 0 or an error. */
static int matches(const struct parser *p, const char *text, const char *expr)
{
	regex_t re;
	int r;

	if (!is_modest(expr))
		return invalid(p, "expression '%.80s' is too much", expr);
	r = regcomp(&re, expr, REG_EXTENDED | REG_NOSUB);
	if (r == REG_ESPACE)
		return no_memory(p);
	if (r != 0)
		return invalid(p, "'%.80s' is no regular expression", expr);
	r = regexec(&re, text, 0, NULL, 0);
	regfree(&re);
	return r == 0;
}

/* ---- which kernels ---- */

static bool config_has(const char *config, const char *option, size_t len)
{
	const char *p = config;

	while (p && (p = strstr(p, "CONFIG_")) != NULL) {
		if ((p == config || p[-1] == '\n') && strncmp(p, option, len) == 0 &&
			p[len] == '=' && (p[len + 1] == 'y' || p[len + 1] == 'm'))
			return true;
		p += strlen("CONFIG_");
	}
	return false;
}

static int check_config(const struct parser *p)
{
	const char *s = var(p, V_ONLY_CONFIG, 0);

	while (p->kernel->config && *(s += strspn(s, " \t\n"))) {
		size_t n = strcspn(s, " \t\n");
		bool is_not = *s == '!';

		if (config_has(p->kernel->config, s + is_not, n - is_not) == is_not)
			return not_for_us(
				p, "BUILD_EXCLUSIVE_CONFIG '%.*s'", (int)MIN(n, 80), s);
		s += n;
	}
	return 0;
}

static int check_range(const struct parser *p)
{
	const char *min = var(p, V_ONLY_MIN, 0), *max = var(p, V_ONLY_MAX, 0);
	const char *name = var_names[V_ONLY_MAX], *release = p->kernel->release;

	if (!*max) {
		max = var(p, V_OBSOLETE, 0);
		name = var_names[V_OBSOLETE];
	}
	if (*min && dkms_version_cmp(release, min) < 0)
		return not_for_us(p, "'%s' is before BUILD_EXCLUSIVE_KERNEL_MIN '%.80s'",
			release, min);
	if (*max && dkms_version_cmp(release, max) > 0)
		return not_for_us(p, "'%s' is behind %s '%.80s'", release, name, max);
	return 0;
}

static int check_exclusive(const struct parser *p)
{
	const char *kernel = var(p, V_ONLY_KERNEL, 0), *arch = var(p, V_ONLY_ARCH, 0);
	int r = *kernel ? matches(p, p->kernel->release, kernel) : 1;

	if (r == 0)
		return not_for_us(p, "BUILD_EXCLUSIVE_KERNEL '%.80s' does not match '%s'",
			kernel, p->kernel->release);
	if (r > 0)
		r = *arch ? matches(p, p->kernel->arch, arch) : 1;
	if (r == 0)
		return not_for_us(p, "BUILD_EXCLUSIVE_ARCH '%.80s' does not match '%s'",
			arch, p->kernel->arch);
	if (r >= 0)
		r = check_range(p);
	return r < 0 ? r : check_config(p);
}

/* ---- names ---- */

static bool is_word(const char *s)
{
	size_t n = strlen(s);

	return n > 0 && n < 128 && *s != '.' && *s != '-' &&
	       strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
			 "._+~:-") == n;
}

/* Relative and without "..". */
static bool is_inside(const char *s)
{
	const char *p = s;

	if (*s == '/' || strlen(s) > 1024)
		return false;
	while (*p) {
		size_t n = strcspn(p, "/");

		if (n == 2 && p[0] == '.' && p[1] == '.')
			return false;
		p += n;
		p += *p == '/';
	}
	return true;
}

static bool ends_as_object(const char *s)
{
	size_t n = strlen(s);

	return (n > 2 && streq(s + n - 2, ".o")) || (n > 3 && streq(s + n - 3, ".ko"));
}

/* "./src//" -> "src" */
static const char *trim_location(const struct parser *p, const char *s)
{
	size_t n;

	while (str_starts(s, "./"))
		s += 2 + strspn(s + 2, "/");
	n = strlen(s);
	while (n > 0 && s[n - 1] == '/')
		n--;
	return n == 1 && *s == '.' ? "" : arena_strndup(p->a, s, n);
}

/* ---- what to build ---- */

static int add_module(struct parser *p, size_t i)
{
	struct dkms_module *m = &p->out.modules[i];
	const char *strip = var(p, V_STRIP, i);

	m->name = var(p, V_NAME, i);
	if (!*m->name && p->vars->n[V_DEST_LOCATION] == 1)
		m->name = p->out.package;
	if (!*m->name)
		return invalid(p, "no BUILT_MODULE_NAME for record %zu", i);
	m->dest_name = *var(p, V_DEST_NAME, i) ? var(p, V_DEST_NAME, i) : m->name;
	m->dest_location = var(p, V_DEST_LOCATION, i);
	m->location = trim_location(p, var(p, V_LOCATION, i));
	if (!m->location)
		return no_memory(p);
	if (!is_word(m->name) || !is_word(m->dest_name) || ends_as_object(m->name) ||
		ends_as_object(m->dest_name))
		return invalid(p, "'%.80s' is no name for a module", m->name);
	if (!is_inside(m->location))
		return invalid(p, "BUILT_MODULE_LOCATION '%.80s' leads out of the build",
			m->location);
	if (!*strip)
		strip = var(p, V_STRIP, 0);
	m->strip = *strip != 'n' && *strip != 'N';
	return 0;
}

static int add_modules(struct parser *p)
{
	static const enum var arrays[] = { V_NAME, V_LOCATION, V_DEST_NAME,
		V_DEST_LOCATION };
	size_t i, n = 0;
	int r = 0;

	for (i = 0; i < ARRAY_SIZE(arrays); i++)
		n = MAX(n, p->vars->n[arrays[i]]);
	if (n == 0 || n > DKMS_MODULES_MAX)
		return invalid(p, "it names no module to build");
	p->out.modules = arena_array(p->a, n, sizeof(*p->out.modules));
	if (!p->out.modules)
		return no_memory(p);
	p->out.modules_n = n;
	for (i = 0; r == 0 && i < n; i++)
		r = add_module(p, i);
	return r;
}

static int add_patches(struct parser *p)
{
	size_t i, n = p->vars->n[V_PATCH];

	p->out.patches = arena_array(p->a, n + 1, sizeof(*p->out.patches));
	if (!p->out.patches)
		return no_memory(p);
	for (i = 0; i < n; i++) {
		const char *name = var(p, V_PATCH, i), *m = var(p, V_PATCH_MATCH, i);
		int r = *m ? matches(p, p->kernel->release, m) : 1;

		if (r < 0)
			return r;
		if (!*name || r == 0)
			continue;
		if (!is_inside(name))
			return invalid(p, "PATCH '%.80s' leads out of patches/", name);
		p->out.patches[p->out.patches_n++] = name;
	}
	return 0;
}

/* The last MAKE[] whose MAKE_MATCH[] matches; else MAKE[0] when it has no match to fail. */
static int choose_make(struct parser *p)
{
	const char *make = *var(p, V_MAKE_MATCH, 0) ? "" : var(p, V_MAKE, 0);
	size_t i;

	for (i = 0; i < p->vars->n[V_MAKE]; i++) {
		const char *m = var(p, V_MAKE_MATCH, i);
		int r = *m && *var(p, V_MAKE, i) ? matches(p, p->kernel->release, m) : 0;

		if (r < 0)
			return r;
		if (r > 0)
			make = var(p, V_MAKE, i);
	}
	if (!*make)
		make = arena_fmt(p->a, "make -C %s M=" DKMS_TREE "/%s/%s/build",
			p->kernel->source_dir, p->out.package, p->out.version);
	if (make && str_starts(make, "make"))
		make = arena_fmt(p->a, "make -j%u KERNELRELEASE=%s%s", p->kernel->jobs,
			p->kernel->release, make + strlen("make"));
	if (make && config_has(p->kernel->config, "CONFIG_CC_IS_CLANG", 18))
		make = arena_fmt(p->a, "%s CC=clang", make);
	if (make && config_has(p->kernel->config, "CONFIG_LD_IS_LLD", 16))
		make = arena_fmt(p->a, "%s LD=ld.lld", make);
	p->out.make = make;
	return make ? 0 : no_memory(p);
}

static int add_commands(struct parser *p)
{
	int r = choose_make(p);

	if (r < 0)
		return r;
	p->out.clean = var(p, V_CLEAN, 0);
	if (!*p->out.clean)
		p->out.clean = arena_fmt(p->a,
			"make -C %s M=" DKMS_TREE "/%s/%s/build clean",
			p->kernel->source_dir, p->out.package, p->out.version);
	p->out.pre_build = var(p, V_PRE_BUILD, 0);
	p->out.post_build = var(p, V_POST_BUILD, 0);
	if (!p->out.clean)
		return no_memory(p);
	if (!is_inside(p->out.pre_build) || !is_inside(p->out.post_build))
		return invalid(p, "PRE_BUILD or POST_BUILD leads out of the build");
	return 0;
}

static int add_depends(struct parser *p)
{
	size_t i, n = p->vars->n[V_DEPENDS];

	p->out.depends = arena_array(p->a, n + 1, sizeof(*p->out.depends));
	if (!p->out.depends)
		return no_memory(p);
	for (i = 0; i < n; i++) {
		const char *name = var(p, V_DEPENDS, i);

		if (*name && !is_word(name))
			return invalid(p, "BUILD_DEPENDS '%.80s' is no package", name);
		if (*name && !streq(name, p->out.package))
			p->out.depends[p->out.depends_n++] = name;
	}
	return 0;
}

int dkms_parse(struct arena *a, const char *data, size_t len,
	const struct dkms_kernel *kernel, struct dkms *ret, struct err *e)
{
	struct parser p = { .a = a, .kernel = kernel, .e = e };
	int r;

	p.vars = arena_alloc(a, sizeof(*p.vars));
	if (!p.vars)
		return no_memory(&p);
	if (len > DKMS_BYTES_MAX)
		return invalid(&p, "its variables are too large");
	r = parse_records(&p, data, len);
	if (r == 0)
		r = check_exclusive(&p);
	if (r < 0)
		return r;
	p.out.package = var(&p, V_PACKAGE_NAME, 0);
	p.out.version = var(&p, V_PACKAGE_VERSION, 0);
	if (!is_word(p.out.package) || !is_word(p.out.version))
		return invalid(
			&p, "PACKAGE_NAME and PACKAGE_VERSION are missing or no names");
	r = add_modules(&p);
	if (r == 0)
		r = add_patches(&p);
	if (r == 0)
		r = add_commands(&p);
	if (r == 0)
		r = add_depends(&p);
	if (r == 0)
		*ret = p.out;
	return r;
}
