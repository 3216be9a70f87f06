// SPDX-License-Identifier: Apache-2.0
/* Runs a build in the sandbox: Kbuild, DKMS or plain make. */
#include <stdarg.h>
#include <stdio.h>
#include <sys/utsname.h>

#include "build_work.h"
#include "file.h"

enum { EVAL_TIMEOUT_S = 60, STRIP_TIMEOUT_S = 300, ENV_MAX = 48, ARGV_MAX = 512 };

static const char kbuild_script[] = "exec make -j\"$FARRIER_JOBS\" \"$@\" modules";
static const char make_script[] = "exec make -j\"$FARRIER_JOBS\" \"$@\"";

/* As DKMS does it: patches, PRE_BUILD (whose status it does not look at), CLEAN, MAKE. */
static const char dkms_build_script[] =
	"make_command=$1 clean=$2 pre_build=$3 patches=$4; shift 4\n"
	"while [ \"$patches\" -gt 0 ]; do\n"
	"\techo \"applying patch $1\"\n"
	"\tpatch -p1 < \"./patches/$1\" || { echo \"error: patch $1 does not apply\"; exit 1; }\n"
	"\tpatches=$((patches - 1)); shift\n"
	"done\n"
	"export -n kernelver arch kernel_source_dir dkms_tree source_tree parallel_jobs\n"
	"if [ -n \"$pre_build\" ]; then\n"
	"\tif [ -x \"${pre_build%% *}\" ]; then ( exec ./$pre_build ); "
	"else echo \"PRE_BUILD '$pre_build' is not executable\"; fi\n"
	"fi\n"
	"eval \"$clean\" >/dev/null 2>&1\n"
	"eval \"{ $make_command \\\"\\$@\\\"; }\"\n";
static const char dkms_post_script[] = "[ -x \"${1%% *}\" ] && exec ./$1";
static const char strip_script[] = "exec \"$FARRIER_STRIP\" --strip-debug -- \"$@\"";

void build_warn(struct work *w, const char *fmt, ...)
{
	va_list ap;

	if (w->res->warnings_n >= BUILD_WARNINGS_MAX)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(w->res->warnings[w->res->warnings_n++],
		sizeof(w->res->warnings[0]), fmt, ap);
	va_end(ap);
}

/* ---- the environment ---- */

struct env {
	const char *v[ENV_MAX];
	size_t n;
};

static int env_add(struct work *w, struct env *env, const char *name, const char *value)
{
	if (env->n + 1 >= ENV_MAX)
		return -E2BIG;
	env->v[env->n] = arena_fmt(w->arena, "%s=%s", name, value);
	return env->v[env->n++] ? 0 : -ENOMEM;
}

/* One "-fdebug-prefix-map=DIR=AS " more. What the flags' own syntax would take apart is left out. */
static int add_map(struct work *w, const char **flags, const char *root, const char *dir,
	const char *as)
{
	static const char odd[] = " \t\n'\"\\$#=";

	if (!*flags || strpbrk(root, odd) || strpbrk(dir, odd))
		return *flags ? 0 : -ENOMEM;
	*flags = arena_fmt(
		w->arena, "%s -fdebug-prefix-map=%s%s=%s", *flags, root, dir, as);
	return *flags ? 0 : -ENOMEM;
}

/* The linker's build id is over everything, debug information too, although that is taken off later:
 * the headers' place must not be in it. Modules that keep theirs get it with made-up places. */
static int env_flags(struct work *w, struct env *env)
{
	const char *flags = w->keeps_debug ? "" : "-g0";
	const char *in = w->q->kernel->headers_in;
	char common[PATH_MAX], root[PATH_MAX];
	int r = root_prefix(w->headers_root, root, sizeof(root));

	if (r == 0)
		r = add_map(w, &flags, "", in, "/kernel");
	if (r == 0 && *root)
		r = add_map(w, &flags, root, in, "/kernel");
	if (r == 0 && kernel_headers_common(w->q->kernel, w->headers_root, common,
			      sizeof(common)) == 0) {
		r = add_map(w, &flags, "", common, "/kernel-common");
		if (r == 0 && *root)
			r = add_map(w, &flags, root, common, "/kernel-common");
	}
	if (r == 0)
		r = env_add(w, env, "KCFLAGS", flags);
	return r == 0 ? env_add(w, env, "KAFLAGS", flags) : r;
}

static const char *headers_in_sandbox(const struct work *w)
{
	return w->q->kernel->headers_in;
}

static int env_make(struct work *w, struct env *env)
{
	/* The names by which Makefiles out there ask for the headers. */
	static const char *const dirs[] = { "KDIR", "KERNELDIR", "KERNEL_DIR", "KSRC",
		"KERNEL_SRC", "KERNEL_SOURCE_DIR" };
	const char *const *p;
	char jobs[16];
	size_t i;
	int r = 0;

	for (p = sandbox_env; *p; p++)
		env->v[env->n++] = *p;
	(void)snprintf(jobs, sizeof(jobs), "%u", w->q->jobs);
	r = env_add(w, env, "FARRIER_JOBS", jobs);
	if (r == 0)
		r = env_add(
			w, env, "FARRIER_STRIP", w->tc.is_clang ? "llvm-strip" : "strip");
	for (i = 0; r == 0 && i < ARRAY_SIZE(dirs); i++)
		r = env_add(w, env, dirs[i], headers_in_sandbox(w));
	if (r == 0)
		r = env_add(w, env, "KVER", w->q->kernel->release);
	if (r == 0)
		r = env_flags(w, env);
	return r < 0 ? err_errno(w->e, r, "environment of the build") : 0;
}

static const char *machine(void)
{
	static struct utsname u;

	return uname(&u) == 0 ? u.machine : "x86_64";
}

static int env_dkms(struct work *w, struct env *env)
{
	const char *jobs;
	int r = env_make(w, env);

	if (r == 0)
		r = env_add(w, env, "kernelver", w->q->kernel->release);
	if (r == 0)
		r = env_add(w, env, "arch", machine());
	if (r == 0)
		r = env_add(w, env, "kernel_source_dir", headers_in_sandbox(w));
	if (r == 0)
		r = env_add(w, env, "dkms_tree", DKMS_TREE);
	if (r == 0)
		r = env_add(w, env, "source_tree", "/usr/src");
	/* NVIDIA's says ${parallel_jobs+-j$parallel_jobs}: one job, were it not set. */
	jobs = r == 0 ? arena_fmt(w->arena, "%u", w->q->jobs) : NULL;
	if (r == 0)
		r = jobs ? env_add(w, env, "parallel_jobs", jobs) : -ENOMEM;
	if (r == 0)
		r = env_add(w, env, "CC", w->tc.cc);
	if (r == 0 && w->depends_n > 0)
		r = env_add(w, env, "KBUILD_EXTRA_SYMBOLS", "/out/" BUILD_SYMBOLS);
	return r < 0 ? err_errno(w->e, r, "environment of the build") : 0;
}

/* ---- running ---- */

static uint64_t memory_of(const struct work *w)
{
	uint64_t v;

	if (str_empty(w->q->spec->build.memory) ||
		api_quantity(w->q->spec->build.memory, &v) < 0 || v == 0)
		return BUILD_MEMORY_DEFAULT;
	return v;
}

/* Adds to the log what one step said. */
static int add_log(struct work *w, const struct sandbox_run *run)
{
	size_t n = MIN(run->out_len, (size_t)BUILD_LOG_MAX - w->log_len);
	char *p = realloc(w->log, w->log_len + n + 1);

	if (!p)
		return err_errno(w->e, -ENOMEM, "log of the build");
	w->log = p;
	if (n > 0)
		memcpy(p + w->log_len, run->out, n);
	w->log_len += n;
	p[w->log_len] = '\0';
	return 0;
}

static int in_sandbox(struct work *w, const char *at, const char *const *argv,
	const struct env *env, uint64_t timeout_us, struct sandbox_run *run)
{
	CLEANUP(sandbox_freep) struct sandbox *s = NULL;
	struct sandbox_options o = {
		.tools_root = w->tc.root,
		.headers_root = w->headers_root,
		.release = w->q->kernel->release,
		.headers = w->q->kernel->headers,
		.mount_point = w->root,
		.work = w->src,
		.work_at = at,
		.out = w->out,
		.memory = memory_of(w),
	};
	int r = sandbox_new(&o, &s, w->e);

	if (r == 0)
		r = sandbox_run(s, argv, env->v, timeout_us, BUILD_LOG_MAX, run, w->e);
	return r < 0 ? r : add_log(w, run);
}

static uint64_t time_left(const struct work *w)
{
	uint64_t now = build_now_us();

	/* 0 would mean no limit at all. */
	return w->deadline_us > now ? w->deadline_us - now : 1;
}

static int failed(struct work *w, const struct sandbox_run *run)
{
	char line[512];
	enum reason reason = build_classify(
		w->log, w->log_len, run->status, run->is_timed_out, line, sizeof(line));
	const char *said = *line ? line : "see its log";

	if (reason == REASON_BUILD_TIMEOUT)
		return err_reason(w->e, -ETIMEDOUT, reason,
			"the build took longer than %llu s and was ended",
			(unsigned long long)(w->limit_us / USEC_PER_SEC));
	return err_reason(w->e, -ENOEXEC, reason, "%s", said);
}

/* Runs the build proper, within what is left of its time. */
static int run_build(
	struct work *w, const char *at, const char *const *argv, const struct env *env)
{
	struct sandbox_run run = { 0 };
	int r = in_sandbox(w, at, argv, env, time_left(w), &run);

	if (r == 0 && (run.status != 0 || run.is_timed_out))
		r = failed(w, &run);
	sandbox_run_done(&run);
	return r;
}

/* ---- the three systems ---- */

static int make_plain(struct work *w, bool is_kbuild)
{
	const char *argv[ARGV_MAX] = { "/bin/sh", "-c",
		is_kbuild ? kbuild_script : make_script, "farrier" };
	struct env env = { 0 };
	size_t n = 4, i;
	int r = env_make(w, &env);

	if (r < 0)
		return r;
	if (is_kbuild) {
		argv[n++] = "-C";
		argv[n++] = headers_in_sandbox(w);
		argv[n++] = "M=" BUILD_AT;
	}
	for (i = 0; i < w->args_n && n + 2 < ARGV_MAX; i++)
		argv[n++] = w->args[i];
	argv[n++] = arena_fmt(w->arena, "CC=%s", w->tc.cc);
	if (!argv[n - 1])
		return err_errno(w->e, -ENOMEM, "build");
	return run_build(w, BUILD_AT, argv, &env);
}

static int eval_dkms(struct work *w)
{
	const char *argv[] = { "/bin/bash", "-c", dkms_script, "farrier", "/out/dkms",
		NULL };
	struct dkms_kernel k = { w->q->kernel->release, machine(), headers_in_sandbox(w),
		w->config, w->q->jobs };
	CLEANUP(freep) char *data = NULL;
	struct sandbox_run run = { 0 };
	struct env env = { 0 };
	char path[PATH_MAX];
	size_t len, i;
	int r;

	if (!toolchain_has(w->tc.root, "bash"))
		return err_reason(w->e, -ENOENT, REASON_COMPILER_MISSING,
			"a dkms.conf needs 'bash', which is not among the tools of '%s'",
			w->tc.root);
	r = env_dkms(w, &env);
	if (r == 0)
		r = in_sandbox(
			w, BUILD_AT, argv, &env, EVAL_TIMEOUT_S * USEC_PER_SEC, &run);
	if (r == 0 && (run.status != 0 || run.is_timed_out))
		r = err_reason(w->e, -EINVAL, REASON_SOURCE_INVALID,
			"dkms.conf cannot be evaluated: %.300s",
			run.is_timed_out ? "it took too long" : run.out);
	sandbox_run_done(&run);
	if (r == 0)
		r = path_join(path, sizeof(path), w->out, "dkms", NULL);
	if (r == 0)
		r = file_read(path, DKMS_BYTES_MAX, &data, &len, w->e);
	if (r == 0)
		r = dkms_parse(w->arena, data, len, &k, &w->dkms, w->e);
	for (i = 0; r == 0 && i < w->dkms.modules_n; i++)
		w->keeps_debug = w->keeps_debug || !w->dkms.modules[i].strip;
	return r == 0 ? build_depends(w) : r;
}

static const char *dkms_at(struct work *w)
{
	return arena_fmt(
		w->arena, DKMS_TREE "/%s/%s/build", w->dkms.package, w->dkms.version);
}

static int make_dkms(struct work *w)
{
	const char *argv[ARGV_MAX] = { "/bin/bash", "-c", dkms_build_script, "farrier" };
	struct env env = { 0 };
	const char *at;
	size_t n = 4, i;
	int r = eval_dkms(w);

	if (r == 0)
		r = env_dkms(w, &env);
	if (r < 0)
		return r;
	at = dkms_at(w);
	argv[n++] = w->dkms.make;
	argv[n++] = w->dkms.clean;
	argv[n++] = w->dkms.pre_build;
	argv[n++] = arena_fmt(w->arena, "%zu", w->dkms.patches_n);
	if (!at || !argv[n - 1])
		return err_errno(w->e, -ENOMEM, "build");
	for (i = 0; i < w->dkms.patches_n && n + 1 < ARGV_MAX; i++)
		argv[n++] = w->dkms.patches[i];
	for (i = 0; i < w->args_n && n + 1 < ARGV_MAX; i++)
		argv[n++] = w->args[i];
	return run_build(w, at, argv, &env);
}

int build_make(struct work *w)
{
	switch (w->source.system) {
	case API_BUILD_DKMS:
		return make_dkms(w);
	case API_BUILD_KBUILD:
		return make_plain(w, true);
	default:
		return make_plain(w, false);
	}
}

/* ---- afterwards ---- */

int build_strip(struct work *w)
{
	const char *argv[ARGV_MAX] = { "/bin/sh", "-c", strip_script, "farrier" };
	struct sandbox_run run = { 0 };
	struct env env = { 0 };
	size_t n = 4, i;
	int r = env_make(w, &env);

	for (i = 0; i < w->modules_n && n + 1 < ARGV_MAX; i++)
		if (w->modules[i].strip)
			argv[n++] = w->modules[i].path + strlen(w->src) + 1;
	if (r == 0 && n > 4) {
		r = in_sandbox(
			w, BUILD_AT, argv, &env, STRIP_TIMEOUT_S * USEC_PER_SEC, &run);
		if (r == 0 && (run.status != 0 || run.is_timed_out))
			build_warn(w, "debug information was not taken off: %.128s",
				run.out);
		sandbox_run_done(&run);
	}
	if (r < 0 || w->source.system != API_BUILD_DKMS || !*w->dkms.post_build)
		return r;
	argv[2] = dkms_post_script;
	argv[4] = w->dkms.post_build;
	argv[5] = NULL;
	run = (struct sandbox_run){ 0 };
	r = in_sandbox(w, dkms_at(w), argv, &env, time_left(w), &run);
	if (r == 0 && run.status != 0)
		build_warn(w, "POST_BUILD ended with status %d", run.status);
	sandbox_run_done(&run);
	return r;
}
