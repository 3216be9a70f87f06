// SPDX-License-Identifier: Apache-2.0
/* Default routes out of /proc, their devices' modules out of /sys. */
#include "routes.h"

#include <limits.h>
#include <stdio.h>

#include "file.h"

enum { ROUTES_MAX = 4 << 20, IFACE_MAX = 64, DEPTH_MAX = 8, FIELDS = 11 };
enum { FLAG_UP = 0x1, FLAG_REJECT = 0x200 };

struct search {
	struct arena *a;
	const char *sys, *module;
	const char *found; /* the interface whose module it is */
	int depth;
};

static bool is_same_module(const char *a, const char *b)
{
	while (*a && (*a == *b || (*a == '-' && *b == '_') || (*a == '_' && *b == '-')))
		a++, b++;
	return !*a && !*b;
}

static void look_at(struct search *s, const char *iface);

static int visit_lower(const char *name, void *user)
{
	struct search *s = user;

	if (str_starts(name, "lower_"))
		look_at(s, name + strlen("lower_"));
	return s->found ? 1 : 0;
}

/* The interface's own device, then those that it is made of. */
static void look_at(struct search *s, const char *iface)
{
	char dir[PATH_MAX], link[PATH_MAX], target[PATH_MAX];
	ssize_t n;

	if (!*iface || strchr(iface, '/') || *iface == '.' || s->depth >= DEPTH_MAX ||
		path_join(dir, sizeof(dir), s->sys, "class/net", iface, NULL) < 0 ||
		path_join(link, sizeof(link), dir, "device/driver/module", NULL) < 0)
		return;
	n = readlink(link, target, sizeof(target) - 1);
	if (n > 0) {
		const char *slash;

		target[n] = '\0';
		slash = strrchr(target, '/');
		if (is_same_module(slash ? slash + 1 : target, s->module)) {
			s->found = arena_strdup(s->a, iface);
			return;
		}
	}
	s->depth++;
	(void)dir_each(dir, visit_lower, s, NULL);
	s->depth--;
}

/* Splits @line at blanks; how many fields there are, FIELDS at most. */
static size_t split(char *line, const char *fields[FIELDS])
{
	size_t n = 0;

	for (char *p = line + strspn(line, " \t"); *p && n < FIELDS;) {
		size_t len = strcspn(p, " \t");

		fields[n++] = p;
		p += len;
		if (*p)
			*p++ = '\0';
		p += strspn(p, " \t");
	}
	return n;
}

static bool is_zero(const char *hex)
{
	return *hex && strspn(hex, "0") == strlen(hex);
}

static bool is_usable(const char *flags)
{
	unsigned long long v = strtoull(flags, NULL, 16);

	return (v & FLAG_UP) && !(v & FLAG_REJECT);
}

/* Iface Destination Gateway Flags RefCnt Use Metric Mask … */
static const char *default_v4(const char *f[FIELDS], size_t n)
{
	return n >= 8 && is_zero(f[1]) && is_zero(f[7]) && is_usable(f[3]) ? f[0] : NULL;
}

/* destination length source length gateway metric refcnt use flags iface */
static const char *default_v6(const char *f[FIELDS], size_t n)
{
	return n >= 10 && is_zero(f[0]) && is_zero(f[1]) && is_usable(f[8]) ? f[9] : NULL;
}

static int read_routes(const char *proc, const char *file, char **ret)
{
	/* In a pod our own routes are the pod's: the host's are those of its first process. */
	static const char *const who[] = { "1/net", "net" };
	char path[PATH_MAX];
	size_t len;

	for (size_t i = 0; i < ARRAY_SIZE(who); i++)
		if (path_join(path, sizeof(path), proc, who[i], file, NULL) == 0 &&
			file_read(path, ROUTES_MAX, ret, &len, NULL) == 0)
			return 0;
	return -ENOENT;
}

static void search_file(struct search *s, const char *proc, const char *file,
	const char *(*is_default)(const char *f[FIELDS], size_t n))
{
	CLEANUP(freep) char *text = NULL;

	if (read_routes(proc, file, &text) < 0)
		return;
	for (char *line = text; *line && !s->found;) {
		char *end = strchrnul(line, '\n');
		const char *f[FIELDS], *iface;
		size_t n;

		if (*end)
			*end++ = '\0';
		n = split(line, f);
		iface = is_default(f, n);
		if (iface && strlen(iface) < IFACE_MAX)
			look_at(s, iface);
		line = end;
	}
}

const char *routes_device_of(
	struct arena *a, const char *sys, const char *proc, const char *name)
{
	struct search s = { .a = a, .sys = sys, .module = name };

	search_file(&s, proc, "route", default_v4);
	if (!s.found)
		search_file(&s, proc, "ipv6_route", default_v6);
	return s.found;
}
