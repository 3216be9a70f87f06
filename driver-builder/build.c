// SPDX-License-Identifier: Apache-2.0
/* Builds: one after the other in a command, in a worker process for the agent. */
#include "build.h"

#include <fcntl.h>
#include <regex.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "build_work.h"
#include "file.h"
#include "key.h"

enum { ARENA_MAX = 64 << 20, TIMEOUT_DEFAULT_S = 1800, WORKER_NICE = 10, JOBS_MAX = 256 };
#define JOB_MEMORY (128ULL << 20) /* what a compiler may well take */

uint64_t build_now_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * USEC_PER_SEC + (uint64_t)ts.tv_nsec / 1000;
}

/* ---- the folder of one build ---- */

static void drop(const char *dir)
{
	int r = dir_remove(dir, NULL);

	(void)r; /* what stays is taken away by build_clean() */
}

static void work_done(struct work *w)
{
	if (*w->top)
		drop(w->top);
	if (w->lock > 0)
		closep(&w->lock);
	source_done(&w->source);
	while (w->depends_n > 0)
		artifact_done(&w->depends[--w->depends_n]);
	kernel_done(&w->kernel);
	if (w->headers_lock > 0)
		closep(&w->headers_lock);
	arena_free(w->arena);
	free(w->config);
	free(w->modules);
	free(w->log);
}

/* STATE/build/XXXXXX with the folders that the sandbox needs. */
static int make_folders(struct work *w)
{
	static const char *const names[] = { "src", "out", "root" };
	char *const paths[] = { w->src, w->out, w->root };
	uid_t uid = geteuid() == 0 ? SANDBOX_UID : (uid_t)-1;
	gid_t gid = geteuid() == 0 ? SANDBOX_GID : (gid_t)-1;
	char template[PATH_MAX];
	size_t i;
	int r = path_join(template, sizeof(template), w->q->state, "build", NULL);

	if (r == 0)
		r = build_clean(w->q->state, w->e);
	if (r == 0)
		r = dir_make(template, 0700, w->e);
	if (r == 0)
		r = path_join(
			template, sizeof(template), w->q->state, "build/XXXXXX", NULL);
	if (r == 0 && !mkdtemp(template))
		r = -errno;
	if (r == 0) {
		memcpy(w->top, template, sizeof(w->top));
		w->lock = open(w->top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (w->lock < 0 || flock(w->lock, LOCK_EX | LOCK_NB) < 0)
			r = -errno;
	}
	for (i = 0; r == 0 && i < ARRAY_SIZE(names); i++) {
		r = path_join(paths[i], PATH_MAX, w->top, names[i], NULL);
		if (r == 0 && mkdir(paths[i], 0755) < 0)
			r = -errno;
	}
	if (r == 0 && chown(w->out, uid, gid) < 0)
		r = -errno;
	return r < 0 ? err_reason(w->e, r,
			       r == -ENOSPC ? REASON_DISK_FULL : REASON_INTERNAL,
			       "make a build folder below '%s': %s", w->q->state,
			       strerror(-r))
		     : 0;
}

/* ---- what is to be built ---- */

static int add_args(struct work *w, const struct list *l)
{
	const char *const *items = l->items;
	size_t i;

	for (i = 0; i < l->n; i++) {
		if (w->args_n >= BUILD_ARGS_MAX)
			return err_reason(w->e, -E2BIG, REASON_MANIFEST_INVALID,
				"more than %d make arguments", BUILD_ARGS_MAX);
		w->args[w->args_n++] = items[i];
	}
	return 0;
}

/* The spec's arguments, then those of the first override whose expression matches the release. */
static int choose_args(struct work *w)
{
	const struct api_kernel_override *o = w->q->spec->build.kernels.items;
	size_t i;
	int r = add_args(w, &w->q->spec->build.make_args);

	for (i = 0; r == 0 && i < w->q->spec->build.kernels.n; i++) {
		regex_t re;

		if (str_empty(o[i].regexp) ||
			regcomp(&re, o[i].regexp, REG_EXTENDED | REG_NOSUB) != 0)
			return err_reason(w->e, -EINVAL, REASON_MANIFEST_INVALID,
				"'build.kernels[%zu].regexp': no regular expression", i);
		r = regexec(&re, w->q->kernel->release, 0, NULL, 0);
		regfree(&re);
		if (r == 0)
			return add_args(w, &o[i].make_args);
		r = 0;
	}
	return r;
}

/* Arguments that follow from the kernel, and so from what is in the key already. */
static int own_args(struct work *w)
{
	static const char *const no_btf[] = { "CONFIG_DEBUG_INFO_BTF_MODULES=" };
	const char *llvm[] = { "LLVM=1" };
	struct list l = { (void *)(uintptr_t)no_btf, 1 };
	char v[8];
	int r = 0;

	/* BTF would need pahole and the kernel's vmlinux, and makes a module no more loadable. */
	if (kernel_config_find(
		    w->config, "CONFIG_DEBUG_INFO_BTF_MODULES", v, sizeof(v)) == 0)
		r = add_args(w, &l);
	if (r < 0 || !w->tc.is_clang)
		return r;
	if (str_starts(w->tc.cc, "clang-"))
		llvm[0] = arena_fmt(w->arena, "LLVM=%s", w->tc.cc + strlen("clang"));
	if (!llvm[0])
		return err_errno(w->e, -ENOMEM, "build");
	l.items = (void *)llvm;
	return add_args(w, &l);
}

int build_make_key(struct work *w, const struct list *more)
{
	static const char *const systems[] = { "Auto", "Kbuild", "DKMS", "Make" };
	const struct list args = { (void *)w->args, w->key_args_n };
	const struct key_input in = { w->source.digest, w->q->kernel->release,
		w->headers_digest, w->tc.version, systems[w->key_system], &args, more };

	return key_make(&in, w->res->key, w->e);
}

/* Everything that goes into the key, and the key. */
static int prepare(struct work *w)
{
	const struct api_build *b = &w->q->spec->build;
	int r;

	w->arena = arena_new(ARENA_MAX);
	if (!w->arena)
		return err_errno(w->e, -ENOMEM, "build");
	r = make_folders(w);
	if (r == 0)
		r = build_headers(w);
	if (r == 0)
		r = source_open(&w->q->spec->source,
			w->q->source_root ? w->q->source_root : w->q->root, b->system,
			&w->source, w->e);
	if (r == 0)
		r = kernel_config_read(w->q->kernel, &w->config, w->e);
	if (r == 0)
		r = toolchain_find(
			w->q->kernel, b->toolchain, w->q->root, w->root, &w->tc, w->e);
	if (r == 0)
		r = key_headers(w->q->kernel, w->headers_digest, w->e);
	if (r == 0)
		r = choose_args(w);
	if (r == 0)
		r = build_sign_open(w);
	if (r < 0)
		return r;
	w->key_args_n = w->args_n;
	w->key_system = w->source.system;
	r = build_make_key(w, &w->patches);
	return r < 0 ? r : own_args(w);
}

/* ---- building ---- */

static int list_modules(struct build_result *res, const char *name)
{
	if (res->modules_n >= BUILD_MODULES_MAX)
		return -E2BIG;
	(void)snprintf(
		res->modules[res->modules_n++], sizeof(res->modules[0]), "%s", name);
	return 0;
}

/* Does the store have it already? 1, 0. A damaged one is in quarantine now: built anew. */
static int reuse(struct work *w)
{
	struct artifact a = { 0 };
	const struct api_module *wanted = w->q->spec->modules.items;
	struct err e = { 0 };
	size_t i;
	int r;

	if (w->q->force)
		return 0;
	r = store_get(w->q->state, w->res->key, &a, &e);
	if (r < 0) {
		if (e.reason == REASON_ARTIFACT_CORRUPT)
			build_warn(w, "%.200s: built anew", e.text);
		return 0;
	}
	/* The list of modules is not in the key. */
	for (i = 0; i < w->q->spec->modules.n; i++) {
		if (artifact_find(&a, wanted[i].name))
			continue;
		r = err_reason(w->e, -ENOENT, REASON_MODULE_MISSING,
			"the build makes no module '%s'", wanted[i].name);
		artifact_done(&a);
		return r;
	}
	for (i = 0; i < a.modules_n; i++)
		(void)list_modules(w->res, a.modules[i].name);
	(void)snprintf(w->res->log, sizeof(w->res->log), "%s/build.log.gz", a.dir);
	w->res->is_reused = true;
	artifact_done(&a);
	return 1;
}

static void keep_failed_log(struct work *w)
{
	char path[PATH_MAX];

	if (!w->log || !*w->res->key ||
		path_join(path, sizeof(path), w->q->state, "failures", NULL) < 0 ||
		dir_make(path, 0755, NULL) < 0 ||
		snprintf(path, sizeof(path), "%s/failures/%s.log.gz", w->q->state,
			w->res->key) >= PATH_MAX)
		return;
	if (build_log_write(path, w->log, w->log_len, NULL) == 0)
		(void)snprintf(w->res->log, sizeof(w->res->log), "%s", path);
}

static int do_build(struct work *w)
{
	int64_t limit = w->q->spec->build.timeout_seconds;
	uint64_t started;
	size_t i;
	int r = build_source(w);

	/* A slow network is no slow build. */
	started = build_now_us();
	w->limit_us = (uint64_t)(limit > 0 ? limit : TIMEOUT_DEFAULT_S) * USEC_PER_SEC;
	w->deadline_us = started + w->limit_us;
	if (r == 0)
		r = build_make(w);
	if (r == 0)
		r = build_collect(w);
	if (r == 0)
		r = build_strip(w);
	w->res->build_seconds = (int64_t)((build_now_us() - started + USEC_PER_SEC / 2) /
					  USEC_PER_SEC);
	/* 0 says "out of the store". */
	w->res->build_seconds = MAX(w->res->build_seconds, 1);
	if (r == 0)
		r = build_keep(w);
	if (w->q->log_fd > 0 && w->log)
		for (i = 0; i < w->log_len;) {
			ssize_t n = write(w->q->log_fd, w->log + i, w->log_len - i);

			if (n <= 0 && errno != EINTR)
				break;
			i += n > 0 ? (size_t)n : 0;
		}
	if (r < 0) {
		keep_failed_log(w);
		return r;
	}
	for (i = 0; i < w->modules_n; i++)
		(void)list_modules(w->res, w->modules[i].name);
	(void)snprintf(w->res->log, sizeof(w->res->log), "%s/store/%.2s/%s/build.log.gz",
		w->q->state, w->res->key, w->res->key);
	return 0;
}

/* A request with its gaps filled. */
static struct build_request complete(const struct build_request *q)
{
	struct build_request c = *q;
	uint64_t memory = BUILD_MEMORY_DEFAULT;
	long n;

	/* The memory counts in sum: a machine with many CPUs must not run out of it for that. */
	if (!str_empty(q->spec->build.memory))
		(void)api_quantity(q->spec->build.memory, &memory);
	if (c.jobs == 0) {
		n = sysconf(_SC_NPROCESSORS_ONLN);
		c.jobs = n > 0 ? (unsigned)MIN(n, JOBS_MAX) : 1;
		c.jobs = MIN(c.jobs, (unsigned)MIN(memory / JOB_MEMORY, JOBS_MAX));
		c.jobs = MAX(c.jobs, 1);
	}
	return c;
}

int build_run(
	const struct build_request *request, struct build_result *ret, struct err *e)
{
	const struct build_request q = complete(request);
	uint64_t started = build_now_us();
	CLEANUP(freep) struct work *w = calloc(1, sizeof(*w));
	int r = w ? 0 : -ENOMEM;

	*ret = (struct build_result){ 0 };
	if (r < 0) {
		(void)err_errno(&ret->err, r, "build");
	} else {
		w->q = &q;
		w->res = ret;
		w->e = &ret->err;
		r = prepare(w);
		if (r == 0)
			r = reuse(w);
		if (r == 0 && build_reuse(w))
			r = reuse(w);
		if (r == 0 && build_take(w))
			r = reuse(w);
		if (r == 0)
			r = build_sign_ready(w);
		if (r == 0)
			r = do_build(w);
		work_done(w);
	}
	r = MIN(r, 0);
	ret->took_us = build_now_us() - started;
	ret->err.code = r;
	if (r < 0 && ret->err.reason == REASON_NONE)
		ret->err.reason = r == -ENOSPC	 ? REASON_DISK_FULL
				  : r == -ENOMEM ? REASON_OUT_OF_MEMORY
						 : REASON_INTERNAL;
	if (r < 0 && e)
		*e = ret->err;
	return r;
}

int build_key(
	const struct build_request *request, char ret[DIGEST_HEX + 1], struct err *e)
{
	CLEANUP(freep) struct work *w = calloc(1, sizeof(*w));
	CLEANUP(freep) struct build_result *res = calloc(1, sizeof(*res));
	int r;

	if (!w || !res)
		return err_errno(e, -ENOMEM, "build");
	w->q = request;
	w->res = res;
	w->e = e;
	r = prepare(w);
	if (r == 0)
		memcpy(ret, res->key, sizeof(res->key));
	work_done(w);
	return r;
}

/* ---- in a worker ---- */

struct build {
	pid_t pid;
	struct loop_source *source;
	struct build_result
		*shared; /* filled by the worker, then .err says how it went */
	build_done_fn done;
	void *user;
};

static void build_free(struct build *b)
{
	if (!b)
		return;
	loop_source_free(b->source);
	if (b->shared)
		(void)munmap(b->shared, sizeof(*b->shared));
	free(b);
}
DEFINE_CLEANUP(struct build, build_free)

static _Noreturn void worker(
	const struct build_request *q, struct build_result *ret, pid_t parent)
{
	sigset_t none;
	int i, r;

	(void)setpgid(0, 0);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	for (i = 1; i < NSIG; i++)
		if (i != SIGKILL && i != SIGSTOP)
			(void)signal(i, SIG_DFL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)setpriority(PRIO_PROCESS, 0, WORKER_NICE);
	r = build_run(q, ret, NULL);
	_exit(r < 0);
}

static void on_worker_end(pid_t pid, int status, void *user)
{
	struct build *b = user;

	/* A worker that ended by itself left 0 or an error; any other was killed. */
	if (!WIFEXITED(status) || (b->shared->err.code == 0 && WEXITSTATUS(status) != 0))
		(void)err_reason(&b->shared->err, -EIO,
			WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL
				? REASON_OUT_OF_MEMORY
				: REASON_INTERNAL,
			"the build worker ended with status 0x%x", (unsigned)status);
	b->done(b->shared, b->user);
	build_free(b);
}

int build_start(struct loop *l, const struct build_request *q, build_done_fn done,
	void *user, struct build **ret, struct err *e)
{
	CLEANUP(build_freep) struct build *b = calloc(1, sizeof(*b));
	pid_t parent = getpid();
	void *shared;
	int r;

	if (!b)
		return err_errno(e, -ENOMEM, "build");
	shared = mmap(NULL, sizeof(*b->shared), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return err_errno(e, -errno, "build");
	b->shared = shared;
	b->done = done;
	b->user = user;
	b->pid = fork();
	if (b->pid < 0)
		return err_errno(e, -errno, "build: fork");
	if (b->pid == 0)
		worker(q, b->shared, parent);
	(void)setpgid(b->pid, b->pid);
	r = loop_child(l, b->pid, on_worker_end, b, &b->source);
	if (r < 0) {
		(void)kill(b->pid, SIGKILL);
		(void)waitpid(b->pid, NULL, 0);
		return err_errno(e, r, "build");
	}
	if (ret)
		*ret = b;
	TAKE(b);
	return 0;
}

void build_cancel(struct build *b)
{
	if (!b)
		return;
	/* What the worker started dies with it, all the way down. */
	(void)kill(b->pid, SIGKILL);
	loop_source_free(TAKE(b->source));
	(void)waitpid(b->pid, NULL, 0);
	build_free(b);
}

/* A folder whose lock nobody holds has no build any more. */
static int clean_one(const char *name, void *user)
{
	CLEANUP(closep) int fd = -1;
	const char *dir = user;
	char path[PATH_MAX];

	if (path_join(path, sizeof(path), dir, name, NULL) < 0)
		return 0;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
		drop(path);
	return 0;
}

int build_clean(const char *state, struct err *e)
{
	char path[PATH_MAX];
	int r = path_join(path, sizeof(path), state, "build", NULL);

	if (r < 0 || !file_exists(path))
		return r < 0 ? err_errno(e, r, "clean up builds") : 0;
	return dir_each(path, clean_one, path, e);
}
