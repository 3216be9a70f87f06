// SPDX-License-Identifier: Apache-2.0
/* Finds the compiler that a kernel was built with among the tools of a root. */
#include "toolchain.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "kernels.h"
#include "sandbox.h"

enum { VERSION_TIMEOUT_S = 20, CANDIDATES = 3 };

/* The first word that begins with a digit, outside brackets: "gcc (Debian 12.2.0-14) 12.2.0". */
static const char *version_word(const char *p)
{
	unsigned depth = 0;
	bool is_start = true;

	for (; *p; p++) {
		if (depth == 0 && is_start && isdigit((unsigned char)*p))
			return p;
		is_start = *p == ' ';
		if (*p == '(')
			depth++;
		else if (*p == ')' && depth > 0)
			depth--;
	}
	return NULL;
}

int toolchain_parse_text(const char *text, bool *ret_is_clang, unsigned *ret_major)
{
	bool is_clang = strstr(text, "clang version ") != NULL;
	const char *p = version_word(text);
	unsigned long v;
	char *end;

	if (!p || (!is_clang && !strstr(text, "gcc") && !strstr(text, "GCC")))
		return -EINVAL;
	errno = 0;
	v = strtoul(p, &end, 10);
	if (errno || v == 0 || v > 1000 || (*end != '.' && *end != ' ' && *end != '\0'))
		return -EINVAL;
	*ret_is_clang = is_clang;
	*ret_major = (unsigned)v;
	return 0;
}

bool toolchain_has(const char *root, const char *program)
{
	static const char *const dirs[] = { "/usr/local/bin", "/usr/bin", "/bin" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(dirs); i++) {
		CLEANUP(freep) char *real = NULL;
		char path[PATH_MAX];
		struct stat st;

		if (snprintf(path, sizeof(path), "%s/%s", dirs[i], program) < PATH_MAX &&
			root_resolve(root, path, &real, NULL) == 0 && real &&
			stat(real, &st) == 0 && S_ISREG(st.st_mode) && st.st_mode & 0111)
			return true;
	}
	return false;
}

/* The first line of `cc --version`, as the compiler says it where it will run. */
static int ask_version(struct toolchain *t, const char *scratch, struct err *e)
{
	static const char script[] = "exec \"$0\" --version";
	const char *argv[] = { "/bin/sh", "-c", script, t->cc, NULL };
	struct sandbox_options o = { .tools_root = t->root, .mount_point = scratch };
	CLEANUP(sandbox_freep) struct sandbox *s = NULL;
	struct sandbox_run run = { 0 };
	int r = sandbox_new(&o, &s, e);

	if (r == 0)
		r = sandbox_run(
			s, argv, NULL, VERSION_TIMEOUT_S * USEC_PER_SEC, 4096, &run, e);
	if (r < 0)
		return err_wrap(e, r, "ask '%s' for its version", t->cc);
	if (run.status != 0 || run.is_timed_out)
		r = err_reason(e, -ENOEXEC, REASON_COMPILER_MISSING,
			"'%s' does not run: %.200s", t->cc, run.out);
	else
		(void)snprintf(t->version, sizeof(t->version), "%.*s",
			(int)strcspn(run.out, "\n"), run.out);
	sandbox_run_done(&run);
	return r;
}

static int missing(const struct toolchain *t, const char *what, struct err *e)
{
	return err_reason(e, -ENOENT, REASON_COMPILER_MISSING,
		"no '%s' among the tools of '%s'; the kernel was built with '%s'", what,
		t->root, t->text);
}

/* cc-MAJOR; under the distribution's name for it too; else a plain cc, whatever its version. */
static int choose(struct toolchain *t, unsigned major, struct err *e)
{
	const char *family = t->is_clang ? "clang" : "gcc";
	char names[CANDIDATES][TOOLCHAIN_NAME_MAX];
	size_t i;

	(void)snprintf(names[0], sizeof(names[0]), "%s-%u", family, major);
	(void)snprintf(names[1], sizeof(names[1]), "%.*s",
		(int)MIN(strcspn(t->text, " "), sizeof(names[1]) - 1), t->text);
	(void)snprintf(names[2], sizeof(names[2]), "%s", family);
	for (i = 0; i < CANDIDATES; i++) {
		if (!*names[i] || strchr(names[i], '/') || !strstr(names[i], family) ||
			!toolchain_has(t->root, names[i]))
			continue;
		memcpy(t->cc, names[i], sizeof(t->cc));
		return 0;
	}
	return missing(t, names[0], e);
}

int toolchain_find(const struct kernel *k, int which, const char *root,
	const char *scratch, struct toolchain *ret, struct err *e)
{
	struct toolchain t = { 0 };
	unsigned major, found;
	bool is_clang;
	int r;

	r = snprintf(
		t.root, sizeof(t.root), "%s", which == API_TOOLCHAIN_HOST ? root : "/");
	if (r < 0 || (size_t)r >= sizeof(t.root))
		return err_errno(e, -ENAMETOOLONG, "toolchain");
	r = kernel_config_get(k, "CONFIG_CC_VERSION_TEXT", t.text, sizeof(t.text));
	if (r < 0)
		return err_reason(e, -ENOENT, REASON_HEADERS_MISSING,
			"kernel '%s': its headers do not say what it was built with%s%s",
			k->release, k->missing ? ": " : "", k->missing ? k->missing : "");
	r = toolchain_parse_text(t.text, &t.is_clang, &major);
	if (r < 0)
		return err_reason(e, r, REASON_COMPILER_MISMATCH,
			"kernel '%s' was built with '%s', which we do not know",
			k->release, t.text);
	r = choose(&t, major, e);
	if (r == 0 && !toolchain_has(t.root, "make"))
		r = missing(&t, "make", e);
	if (r == 0 && !toolchain_has(t.root, t.is_clang ? t.cc : "ld"))
		r = missing(&t, "ld", e);
	if (r == 0)
		r = ask_version(&t, scratch, e);
	if (r < 0)
		return r;
	if (toolchain_parse_text(t.version, &is_clang, &found) < 0 ||
		is_clang != t.is_clang || found != major)
		return err_reason(e, -EINVAL, REASON_COMPILER_MISMATCH,
			"kernel '%s' was built with '%s', there is only '%s'", k->release,
			t.text, t.version);
	*ret = t;
	return 0;
}
