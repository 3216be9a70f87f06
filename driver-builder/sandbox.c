// SPDX-License-Identifier: Apache-2.0
/* Plans a sandbox: which folders of which root are seen where. */
#include "sandbox.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "file.h"
#include "kernels.h"
#include "sandbox_plan.h"

#define DEFAULT_FILE_SIZE (4ULL << 30)
#define DEFAULT_DISK (10ULL << 30)
#define DISK_SLACK (1ULL << 20)
enum { DEFAULT_PROCESSES = 4096 };

const char *const sandbox_env[] = {
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	"HOME=/tmp",
	"TMPDIR=/tmp",
	"LC_ALL=C",
	"TZ=UTC",
	"USER=farrier",
	"LOGNAME=farrier",
	"SHELL=/bin/sh",
	"SOURCE_DATE_EPOCH=1",
	"KBUILD_BUILD_TIMESTAMP=1970-01-01",
	"KBUILD_BUILD_USER=farrier",
	"KBUILD_BUILD_HOST=farrier",
	"KBUILD_BUILD_VERSION=1",
	NULL,
};

/* ---- writing the plan ---- */

static int add(struct sandbox *s, enum sandbox_op_type type, bool is_file,
	const char *src, const char *dst)
{
	struct sandbox_op *op;

	if (s->n >= SANDBOX_BINDS_MAX)
		return -E2BIG;
	if (s->n == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 64;
		struct sandbox_op *p = reallocarray(s->ops, cap, sizeof(*p));

		if (!p)
			return -ENOMEM;
		s->ops = p;
		s->cap = cap;
	}
	op = &s->ops[s->n];
	*op = (struct sandbox_op){ .type = type, .is_file = is_file };
	if (src && !(op->src = strdup(src)))
		return -ENOMEM;
	if (asprintf(&op->dst, "%s/%s", s->mount_point, dst + strspn(dst, "/")) < 0) {
		free(TAKE(op->src));
		op->dst = NULL;
		return -ENOMEM;
	}
	s->n++;
	return 0;
}

/* Shows @path as it is: folders and files bound read-only, links made again (made relative when
 * they are absolute and at the top, where they name the tools' own root). Absent is fine. */
static int show(struct sandbox *s, const char *path, const char *at)
{
	char target[PATH_MAX];
	struct stat st;
	ssize_t n;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (S_ISDIR(st.st_mode))
		return add(s, SANDBOX_BIND_RO, false, path, at);
	if (S_ISREG(st.st_mode))
		return add(s, SANDBOX_BIND_RO, true, path, at);
	if (!S_ISLNK(st.st_mode))
		return 0;
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return -errno;
	target[n] = '\0';
	if (!strchr(at + 1, '/'))
		return add(s, SANDBOX_LINK, false, target + strspn(target, "/"), at);
	return add(s, SANDBOX_LINK, false, target, at);
}

/* <prefix>/<a>/<b>; unlike path_join() it takes "" for the root. @b may be NULL. */
static int under(char *out, const char *prefix, const char *a, const char *b)
{
	int n = snprintf(out, PATH_MAX, "%s/%s%s%s", prefix, a + strspn(a, "/"),
		b ? "/" : "", b ? b : "");

	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

struct explode {
	struct sandbox *s;
	const char *prefix; /* real root */
	const char *dir; /* "/usr/lib" */
	bool (*wanted)(const char *dir, const char *name);
	const char *again; /* a second prefix that the same is shown under, or NULL */
};

static int explode_entry(const char *name, void *user)
{
	const struct explode *x = user;
	char real[PATH_MAX], at[PATH_MAX];
	int r;

	if (!x->wanted(x->dir, name))
		return 0;
	r = under(real, x->prefix, x->dir, name);
	if (r == 0)
		r = under(at, "", x->dir, name);
	if (r == 0)
		r = show(x->s, real, at);
	if (r == 0 && x->again)
		r = show(x->s, real, real);
	return r;
}

/* Shows the wanted entries of a folder one by one, on a folder of our own. */
static int explode(struct sandbox *s, const char *prefix, const char *dir,
	bool (*wanted)(const char *dir, const char *name), const char *again)
{
	struct explode x = { s, prefix, dir, wanted, again };
	char real[PATH_MAX];
	struct stat st;
	int r = under(real, prefix, dir, NULL);

	if (r < 0)
		return r;
	if (stat(real, &st) < 0 || !S_ISDIR(st.st_mode))
		return 0;
	r = add(s, SANDBOX_DIR, false, NULL, dir);
	return r < 0 ? r : dir_each(real, explode_entry, &x, NULL);
}

/* Of the tools' root everything below /usr and /lib but what belongs to kernels. */
static bool is_tool(const char *dir, const char *name)
{
	if (streq(dir, "/usr"))
		return !streq(name, "src") && !streq(name, "lib");
	return !streq(name, "modules") && !str_starts(name, "linux-kbuild-");
}

static bool is_kernel_source(const char *dir, const char *name)
{
	if (streq(dir, "/usr/src"))
		return str_starts(name, "linux-") || streq(name, "kernels");
	return str_starts(name, "linux-kbuild-");
}

static bool same_dir(const char *a, const char *b)
{
	struct stat sa, sb;

	return stat(a, &sa) == 0 && stat(b, &sb) == 0 && sa.st_dev == sb.st_dev &&
	       sa.st_ino == sb.st_ino;
}

static int plan_lib(struct sandbox *s, const char *tools, const char *name, bool is_split)
{
	char real[PATH_MAX], at[32];
	struct stat st;
	int r = under(real, tools, name, NULL);

	if (r < 0)
		return r;
	(void)snprintf(at, sizeof(at), "/%s", name);
	if (is_split && streq(name, "lib") && lstat(real, &st) == 0 &&
		S_ISDIR(st.st_mode))
		return explode(s, tools, "/lib", is_tool, NULL);
	return show(s, real, at);
}

/* @is_split: the headers come from another root, so the folders that they need are ours to fill. */
static int plan_tools(struct sandbox *s, const char *tools, bool is_split)
{
	static const char *const tops[] = { "bin", "sbin", "lib", "lib32", "lib64",
		"libx32" };
	static const char *const etc[] = { "/etc/alternatives", "/etc/ld.so.cache",
		"/etc/ld.so.conf", "/etc/ld.so.conf.d" };
	char real[PATH_MAX];
	size_t i;
	int r = under(real, tools, "usr", NULL);

	if (r == 0 && is_split)
		r = explode(s, tools, "/usr", is_tool, NULL);
	if (r == 0 && is_split)
		r = explode(s, tools, "/usr/lib", is_tool, NULL);
	if (r == 0 && !is_split)
		r = show(s, real, "/usr");
	for (i = 0; r == 0 && i < ARRAY_SIZE(tops); i++)
		r = plan_lib(s, tools, tops[i], is_split);
	for (i = 0; r == 0 && i < ARRAY_SIZE(etc); i++) {
		r = under(real, tools, etc[i], NULL);
		if (r == 0)
			r = show(s, real, etc[i]);
	}
	if (r == 0)
		r = add(s, SANDBOX_FILE, true,
			"root:x:0:0:root:/:/bin/sh\n"
			"farrier:x:65534:65534:build:/tmp:/bin/sh\n",
			"/etc/passwd");
	return r;
}

/* The header trees where their own absolute paths expect them; those of a relocated tree begin
 * with its root, so what is shown is shown there as well. */
static int plan_headers(struct sandbox *s, const struct sandbox_options *o,
	const char *headers_root, bool is_split)
{
	const char *again = *headers_root ? headers_root : NULL;
	CLEANUP(freep) char *modules = NULL;
	char in[PATH_MAX], at[PATH_MAX];
	int r = 0;

	(void)snprintf(in, sizeof(in), "/lib/modules/%s", o->release ? o->release : "");
	if (is_split) {
		r = explode(s, headers_root, "/usr/src", is_kernel_source, again);
		if (r == 0)
			r = explode(s, headers_root, "/usr/lib", is_kernel_source, again);
		if (r == 0 && o->release &&
			root_resolve(o->headers_root, in, &modules, NULL) == 0) {
			r = show(s, modules, in);
			if (r == 0 && again && under(at, again, in, NULL) == 0)
				r = show(s, modules, at);
		}
	}
	if (r < 0 || !o->headers || !str_starts(o->headers, headers_root))
		return r;
	/* Headers at a place of their own: a kernel that was built by hand. */
	if (!is_split ? str_starts(o->headers, "/usr/")
		      : str_starts(o->headers + strlen(headers_root), "/usr/src/"))
		return 0;
	r = show(s, o->headers, o->headers + strlen(headers_root));
	return r == 0 && again ? show(s, o->headers, o->headers) : r;
}

static int plan_system(struct sandbox *s)
{
	static const char *const devices[] = { "/dev/null", "/dev/zero", "/dev/full",
		"/dev/random", "/dev/urandom" };
	static const char *const links[][2] = { { "/proc/self/fd", "/dev/fd" },
		{ "/proc/self/fd/0", "/dev/stdin" }, { "/proc/self/fd/1", "/dev/stdout" },
		{ "/proc/self/fd/2", "/dev/stderr" } };
	size_t i;
	int r = add(s, SANDBOX_PROC, false, NULL, "/proc");

	if (r == 0)
		r = add(s, SANDBOX_TMP, false, "mode=1777,size=1g", "/tmp");
	for (i = 0; r == 0 && i < ARRAY_SIZE(devices); i++)
		r = add(s, SANDBOX_DEVICE, true, devices[i], devices[i]);
	for (i = 0; r == 0 && i < ARRAY_SIZE(links); i++)
		r = add(s, SANDBOX_LINK, false, links[i][0], links[i][1]);
	return r;
}

static int plan(struct sandbox *s, const struct sandbox_options *o)
{
	char tools[PATH_MAX], headers[PATH_MAX] = "";
	bool is_split = o->headers_root && !same_dir(o->tools_root, o->headers_root);
	int r = root_prefix(o->tools_root, tools, sizeof(tools));

	if (r == 0 && o->headers_root)
		r = root_prefix(o->headers_root, headers, sizeof(headers));
	if (r == 0)
		r = plan_tools(s, tools, is_split);
	if (r == 0 && o->headers_root)
		r = plan_headers(s, o, headers, is_split);
	if (r == 0)
		r = plan_system(s);
	if (r == 0 && o->work)
		r = add(s, o->work_read_only ? SANDBOX_BIND_RO : SANDBOX_BIND_RW, false,
			o->work, o->work_at);
	if (r == 0 && o->out)
		r = add(s, SANDBOX_BIND_RW, false, o->out, "/out");
	return r;
}

int sandbox_new(const struct sandbox_options *o, struct sandbox **ret, struct err *e)
{
	CLEANUP(sandbox_freep) struct sandbox *s = calloc(1, sizeof(*s));
	void *shared;
	int r;

	if (!s)
		return err_errno(e, -ENOMEM, "sandbox");
	shared = mmap(NULL, sizeof(*s->shared), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return err_errno(e, -errno, "sandbox");
	s->shared = shared;
	s->memory = o->memory;
	s->disk = o->disk ? o->disk : DEFAULT_DISK;
	s->file_size = MIN(o->file_size ? o->file_size : DEFAULT_FILE_SIZE,
		s->disk + DISK_SLACK); /* one file alone can be seen to be too much */
	s->cpu_seconds = o->cpu_seconds;
	s->processes = o->processes ? o->processes : DEFAULT_PROCESSES;
	s->mount_point = strdup(o->mount_point);
	if (o->work)
		s->cwd = strdup(o->work_at);
	if (o->work && !o->work_read_only)
		s->written[0] = strdup(o->work);
	if (o->out)
		s->written[1] = strdup(o->out);
	s->groups = o->groups ? o->groups : &cgroup_host;
	if (!s->mount_point || (o->work && !s->cwd) ||
		(o->work && !o->work_read_only && !s->written[0]) ||
		(o->out && !s->written[1]))
		return err_errno(e, -ENOMEM, "sandbox");
	r = plan(s, o);
	if (r < 0)
		return err_reason(e, r, REASON_SANDBOX_UNAVAILABLE, "plan a sandbox: %s",
			strerror(-r));
	*ret = TAKE(s);
	return 0;
}

void sandbox_free(struct sandbox *s)
{
	size_t i;

	if (!s)
		return;
	for (i = 0; i < s->n; i++) {
		free(s->ops[i].src);
		free(s->ops[i].dst);
	}
	free(s->ops);
	free(s->mount_point);
	free(s->cwd);
	free(s->written[0]);
	free(s->written[1]);
	if (s->shared)
		(void)munmap(s->shared, sizeof(*s->shared));
	free(s);
}

int sandbox_result(const struct sandbox *s, struct err *e)
{
	const struct sandbox_shared *sh = s->shared;

	if (sh->is_entered)
		return 0;
	return err_reason(e, sh->error < 0 ? sh->error : -EIO, REASON_SANDBOX_UNAVAILABLE,
		"sandbox: %s '%s': %s", sh->step ? sh->step : "start",
		sh->what ? sh->what : "", sh->error < 0 ? strerror(-sh->error) : "died");
}
