// SPDX-License-Identifier: Apache-2.0
/* The kernels of a host, as the files below its root say. */
#include "kernels.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "file.h"

enum {
	LINKS_MAX = 40,
	CONFIG_MAX = 4 << 20,
	SMALL_MAKEFILE = 4096,
	SMALL_FILE_MAX = 4096
};

const char *const kernel_install_names[] = {
	[KERNEL_COMPLETE] = "Complete",
	[KERNEL_NO_HEADERS] = "NoHeaders",
	[KERNEL_HEADERS_PARTIAL] = "HeadersPartial",
	[KERNEL_NO_MODULES] = "NoModules",
	[KERNEL_INSTALLS_] = NULL,
};

/* ---- versions ---- */

/* GRUB puts these before the release that they lead to, by turning the separator into '~'. */
static bool is_prerelease(const char *s)
{
	static const char *const words[] = { "pre", "rc", "test", "git", "old", "trunk" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(words); i++)
		if (str_starts(s, words[i]))
			return true;
	return false;
}

/* The weight of one character that is no digit: '~' before the end, letters before the rest. */
static int weight(const char *s)
{
	unsigned char c = (unsigned char)*s;

	if (c == '\0' || isdigit(c))
		return 0;
	if (c == '~' || ((c == '-' || c == '_' || c == '.') && is_prerelease(s + 1)))
		return -1;
	return isalpha(c) ? c : c + 256;
}

int kernel_version_cmp(const char *a, const char *b)
{
	while (*a || *b) {
		int first = 0;

		while ((*a && !isdigit((unsigned char)*a)) ||
			(*b && !isdigit((unsigned char)*b))) {
			int wa = weight(a), wb = weight(b);

			if (wa != wb)
				return wa < wb ? -1 : 1;
			a += *a != '\0';
			b += *b != '\0';
		}
		while (*a == '0')
			a++;
		while (*b == '0')
			b++;
		while (isdigit((unsigned char)*a) && isdigit((unsigned char)*b)) {
			if (first == 0)
				first = *a - *b;
			a++;
			b++;
		}
		if (isdigit((unsigned char)*a))
			return 1;
		if (isdigit((unsigned char)*b))
			return -1;
		if (first != 0)
			return first < 0 ? -1 : 1;
	}
	return 0;
}

bool kernel_release_is_valid(const char *s)
{
	size_t n = strlen(s);

	return n > 0 && n < KERNEL_RELEASE_MAX && *s != '.' && *s != '-' &&
	       strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
			 "._+~-") == n;
}

/* ---- what is there ---- */

/* Whether <root>/<before><release><after> exists, links followed inside the root. */
static bool root_has(
	const char *root, const char *before, const char *release, const char *after)
{
	CLEANUP(freep) char *real = NULL;
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s%s%s", before, release, after);

	return n > 0 && n < PATH_MAX && root_resolve(root, path, &real, NULL) == 0;
}

/* ---- headers ---- */

/* The absolute path that the small Makefile of a header tree (Debian's) includes, as it is written.
 * -ENOENT when it includes none. */
static int read_include(const char *headers, char *out, size_t size)
{
	CLEANUP(freep) char *text = NULL;
	char path[PATH_MAX];
	const char *p;
	size_t n;

	if (path_join(path, sizeof(path), headers, "Makefile", NULL) < 0 ||
		file_read(path, SMALL_MAKEFILE, &text, NULL, NULL) < 0)
		return -ENOENT; /* a large Makefile is the kernel's own */
	p = strstr(text, "include /");
	if (!p || (p != text && p[-1] != '\n'))
		return -ENOENT;
	p += strlen("include ");
	n = strcspn(p, " \t\n");
	if (n >= size)
		return -ENAMETOOLONG;
	memcpy(out, p, n);
	out[n] = '\0';
	return 0;
}

/* @path without the root that a relocated tree has in front of it. */
static const char *without_root(const char *root, const char *path)
{
	char prefix[PATH_MAX];

	return root_prefix(root, prefix, sizeof(prefix)) == 0 && *prefix &&
			       str_starts(path, prefix) && path[strlen(prefix)] == '/'
		       ? path + strlen(prefix)
		       : path;
}

/* What it includes must be there too. */
static bool include_is_there(
	const char *root, const char *headers, char *why, size_t size)
{
	CLEANUP(freep) char *real = NULL;
	char path[PATH_MAX];
	const char *in;

	if (read_include(headers, path, sizeof(path)) < 0)
		return true;
	in = without_root(root, path);
	if (root_resolve(root, in, &real, NULL) == 0)
		return true;
	(void)snprintf(why, size, "'%s' includes '%s', which is not there", path, in);
	return false;
}

int kernel_headers_common(
	const struct kernel *k, const char *root, char *out, size_t size)
{
	char path[PATH_MAX];
	const char *in;
	char *slash;
	int r = k->headers ? read_include(k->headers, path, sizeof(path)) : -ENOENT;

	if (r < 0)
		return r;
	slash = strrchr(path, '/');
	*slash = '\0';
	in = without_root(root, path);
	if (strlen(in) >= size)
		return -ENAMETOOLONG;
	memcpy(out, in, strlen(in) + 1);
	return *in ? 0 : -ENOENT;
}

/* utsrelease.h of the tree must name this release. */
static bool release_matches(
	const char *headers, const char *release, char *why, size_t size)
{
	CLEANUP(freep) char *text = NULL;
	char path[PATH_MAX], quoted[KERNEL_RELEASE_MAX + 2];

	(void)snprintf(quoted, sizeof(quoted), "\"%s\"", release);
	if (path_join(path, sizeof(path), headers, "include/generated/utsrelease.h",
		    NULL) < 0 ||
		file_read(path, SMALL_FILE_MAX, &text, NULL, NULL) < 0) {
		(void)snprintf(why, size, "no 'include/generated/utsrelease.h' in '%s'",
			headers);
		return false;
	}
	if (strstr(text, quoted))
		return true;
	(void)snprintf(why, size, "'%s' is of another release", headers);
	return false;
}

static bool headers_usable(const char *root, const char *in, const char *headers,
	const char *release, char *why, size_t size)
{
	static const char *const needed[] = { "Makefile", "Module.symvers", "scripts",
		"include/generated/autoconf.h" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(needed); i++) {
		CLEANUP(freep) char *real = NULL;
		char path[PATH_MAX];

		if (path_join(path, sizeof(path), in, needed[i], NULL) < 0 ||
			root_resolve(root, path, &real, NULL) < 0) {
			(void)snprintf(why, size, "no '%s' in '%s'", needed[i], headers);
			return false;
		}
	}
	return release_matches(headers, release, why, size) &&
	       include_is_there(root, headers, why, size);
}

/* Looks where headers are by custom; the first usable tree wins. */
static int find_headers(const char *root, struct kernel *k)
{
	static const char *const places[][2] = { { "/lib/modules/", "/build" },
		{ "/usr/src/linux-headers-", "" }, { "/usr/src/kernels/", "" },
		{ "/usr/src/linux-", "" } };
	char prefix[PATH_MAX], why[PATH_MAX + 128];
	bool is_partial = false;
	size_t i;

	if (root_prefix(root, prefix, sizeof(prefix)) < 0)
		return -ENAMETOOLONG;
	for (i = 0; i < ARRAY_SIZE(places); i++) {
		CLEANUP(freep) char *real = NULL;
		char path[PATH_MAX];
		const char *in;

		(void)snprintf(path, sizeof(path), "%s%s%s", places[i][0], k->release,
			places[i][1]);
		if (root_resolve(root, path, &real, NULL) < 0)
			continue;
		in = real + strlen(prefix);
		if (headers_usable(root, in, real, k->release, why, sizeof(why))) {
			k->headers_in = strdup(in);
			k->headers = TAKE(real);
			free(TAKE(k->missing));
			k->install = KERNEL_COMPLETE;
			return k->headers_in ? 0 : -ENOMEM;
		}
		if (!is_partial && !(k->missing = strdup(why)))
			return -ENOMEM;
		is_partial = true;
	}
	k->install = is_partial ? KERNEL_HEADERS_PARTIAL : KERNEL_NO_HEADERS;
	if (!is_partial && !(k->missing = strdup("no headers are installed")))
		return -ENOMEM;
	return 0;
}

/* ---- scan ---- */

void kernel_done(struct kernel *k)
{
	free(k->headers);
	free(k->headers_in);
	free(k->missing);
}

void kernels_done(struct kernels *k)
{
	size_t i;

	for (i = 0; i < k->n; i++)
		kernel_done(&k->items[i]);
	free(k->items);
	*k = (struct kernels){ 0 };
}

struct scan {
	const char *root;
	char running[KERNEL_RELEASE_MAX];
	struct kernels k;
};

static int look_at(const struct scan *s, struct kernel *k)
{
	int r;

	k->has_dep = root_has(s->root, "/lib/modules/", k->release, "/modules.dep");
	k->has_modules = k->has_dep ||
			 root_has(s->root, "/lib/modules/", k->release, "/kernel");
	k->has_image = root_has(s->root, "/boot/vmlinuz-", k->release, "") ||
		       root_has(s->root, "/boot/vmlinux-", k->release, "") ||
		       root_has(s->root, "/boot/Image-", k->release, "") ||
		       root_has(s->root, "/lib/modules/", k->release, "/vmlinuz");
	k->is_running = streq(k->release, s->running);
	r = find_headers(s->root, k);
	if (r < 0 || k->has_modules)
		return r;
	k->install = KERNEL_NO_MODULES;
	free(k->missing);
	k->missing = strdup("no modules are installed");
	return k->missing ? 0 : -ENOMEM;
}

static int scan_one(const char *name, void *user)
{
	struct scan *s = user;
	struct kernel *items, *k;

	if (!kernel_release_is_valid(name))
		return 0;
	if (s->k.n >= KERNELS_MAX)
		return -E2BIG;
	items = reallocarray(s->k.items, s->k.n + 1, sizeof(*items));
	if (!items)
		return -ENOMEM;
	s->k.items = items;
	k = &items[s->k.n++];
	*k = (struct kernel){ 0 };
	memcpy(k->release, name, strlen(name) + 1);
	return look_at(s, k);
}

static int newest_first(const void *a, const void *b)
{
	const struct kernel *ka = a, *kb = b;

	return kernel_version_cmp(kb->release, ka->release);
}

int kernels_scan(const char *root, struct kernels *ret, struct err *e)
{
	CLEANUP(freep) char *dir = NULL;
	struct scan s = { .root = root };
	struct utsname u;
	size_t i;
	int r;

	if (uname(&u) == 0)
		(void)snprintf(s.running, sizeof(s.running), "%.64s", u.release);
	r = root_resolve(root, "/lib/modules", &dir, NULL);
	if (r == -ENOENT) {
		*ret = (struct kernels){ 0 };
		return 0;
	}
	if (r == 0)
		r = dir_each(dir, scan_one, &s, NULL);
	if (r < 0) {
		kernels_done(&s.k);
		return err_errno(e, r, "kernels of '%s'", root);
	}
	if (s.k.n > 0)
		qsort(s.k.items, s.k.n, sizeof(*s.k.items), newest_first);
	for (i = 0; i < s.k.n; i++) {
		if (!s.k.items[i].has_image || !s.k.items[i].has_modules)
			continue;
		s.k.items[i].is_next = true;
		break;
	}
	*ret = s.k;
	return 0;
}

int kernels_add_extra(
	struct kernels *ks, const char *root, const char *release, struct err *e)
{
	struct kernel *items, *k = (struct kernel *)(uintptr_t)kernels_find(ks, release);
	int r;

	if (k && (k->has_modules || k->is_running || k->is_extra))
		return 0;
	if (!kernel_release_is_valid(release))
		return err_set(e, -EINVAL, "'%.80s' is no kernel release", release);
	if (!k && ks->n >= KERNELS_MAX)
		return err_set(e, -E2BIG, "more than %d kernels", KERNELS_MAX);
	if (!k) {
		items = reallocarray(ks->items, ks->n + 1, sizeof(*items));
		if (!items)
			return err_errno(e, -ENOMEM, "kernel '%s'", release);
		ks->items = items;
		k = &items[ks->n++];
		*k = (struct kernel){ 0 };
		memcpy(k->release, release, strlen(release) + 1);
	}
	k->is_extra = true;
	/* A folder with nothing but the link to the headers has been looked at already. */
	free(TAKE(k->missing));
	free(TAKE(k->headers));
	free(TAKE(k->headers_in));
	r = find_headers(root, k);
	qsort(ks->items, ks->n, sizeof(*ks->items), newest_first);
	return r < 0 ? err_errno(e, r, "kernel '%s'", release) : 0;
}

int kernel_headers_find(struct kernel *ret, const char *root, struct err *e)
{
	int r = find_headers(root, ret);

	if (r < 0)
		return err_errno(e, r, "kernel '%s'", ret->release);
	return ret->install == KERNEL_COMPLETE
		       ? 0
		       : err_reason(e, -ENOENT, REASON_HEADERS_MISSING, "kernel '%s': %s",
				 ret->release, ret->missing);
}

const struct kernel *kernels_find(const struct kernels *k, const char *release)
{
	size_t i;

	for (i = 0; i < k->n; i++)
		if (streq(k->items[i].release, release))
			return &k->items[i];
	return NULL;
}

const struct kernel *kernels_running(const struct kernels *k)
{
	size_t i;

	for (i = 0; i < k->n; i++)
		if (k->items[i].is_running)
			return &k->items[i];
	return NULL;
}

const struct kernel *kernels_next(const struct kernels *k)
{
	size_t i;

	for (i = 0; i < k->n; i++)
		if (k->items[i].is_next)
			return &k->items[i];
	return NULL;
}

/* ---- configuration ---- */

int kernel_config_read(const struct kernel *k, char **ret_text, struct err *e)
{
	static const char *const places[] = { ".config", "include/config/auto.conf" };
	size_t i;

	for (i = 0; k->headers && i < ARRAY_SIZE(places); i++) {
		char path[PATH_MAX];
		int r = path_join(path, sizeof(path), k->headers, places[i], NULL);

		if (r == 0)
			r = file_read(path, CONFIG_MAX, ret_text, NULL, e);
		if (r == 0)
			return 0;
	}
	return err_reason(e, -ENOENT, REASON_HEADERS_MISSING,
		"kernel '%s': its headers hold no configuration", k->release);
}

int kernel_config_find(const char *text, const char *option, char *out, size_t size)
{
	size_t len = strlen(option);
	const char *p = text;

	while ((p = strstr(p, option)) != NULL) {
		const char *value = p + len + 1;
		size_t n;

		if ((p != text && p[-1] != '\n') || p[len] != '=') {
			p += len;
			continue;
		}
		n = strcspn(value, "\n");
		if (n >= 2 && value[0] == '"' && value[n - 1] == '"') {
			value++;
			n -= 2;
		}
		if (n >= size)
			return -ENOBUFS;
		memcpy(out, value, n);
		out[n] = '\0';
		return 0;
	}
	return -ENOENT;
}

int kernel_config_get(const struct kernel *k, const char *option, char *out, size_t size)
{
	CLEANUP(freep) char *text = NULL;
	int r = kernel_config_read(k, &text, NULL);

	return r < 0 || !text ? -ENOENT : kernel_config_find(text, option, out, size);
}
