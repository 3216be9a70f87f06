// SPDX-License-Identifier: Apache-2.0
/* `build`: one source, one kernel, no agent. */
#include <limits.h>
#include <stdio.h>

#include "build.h"
#include "cli.h"
#include "file.h"

static void kernels_donep(struct kernels *k)
{
	kernels_done(k);
}

static int find_kernel(const struct env *env, const char *release, struct kernels *ks,
	const struct kernel **ret, struct err *e)
{
	int r = kernels_scan(env->root, ks, e);

	/* Headers are enough to build for it. */
	if (r == 0)
		r = kernels_add_extra(ks, env->root, release, e);
	if (r < 0)
		return r;
	*ret = kernels_find(ks, release);
	if ((*ret)->is_extra && (*ret)->install == KERNEL_NO_HEADERS)
		return err_reason(e, -ENOENT, REASON_HEADERS_MISSING,
			"kernel '%s' is not installed below '%s', nor are headers for it",
			release, env->root);
	return 0;
}

static bool need(const char *command, const char *option, const char *value)
{
	if (value)
		return true;
	(void)fprintf(stderr, "farrier-driver-builder %s: --%s is needed (see --help)\n",
		command, option);
	return false;
}

/* Copies the modules of the artifact to @out. */
static int copy_out(
	const struct env *env, const char *key, const char *out, struct err *e)
{
	struct artifact a = { 0 };
	char from[PATH_MAX], to[PATH_MAX], file[NAME_MAX];
	int r = store_get(env->state, key, &a, e);

	if (r == 0)
		r = dir_make(out, 0755, e);
	for (size_t i = 0; r == 0 && i < a.modules_n; i++) {
		(void)snprintf(file, sizeof(file), "%s.ko", a.modules[i].name);
		r = path_join(from, sizeof(from), a.dir, a.modules[i].file, NULL);
		if (r == 0)
			r = path_join(to, sizeof(to), out, file, NULL);
		if (r == 0)
			r = file_copy(from, to, 0644, e);
	}
	artifact_done(&a);
	return r;
}

static struct json *result_json(const struct build_result *res)
{
	CLEANUP(json_freep) struct json *j = json_new_object();
	struct json *modules = json_new_array(), *warnings = json_new_array();
	int r = j && modules && warnings ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < res->modules_n; i++)
		r = json_add(modules, json_new_str(res->modules[i]));
	for (size_t i = 0; r == 0 && i < res->warnings_n; i++)
		r = json_add(warnings, json_new_str(res->warnings[i]));
	if (r < 0) {
		json_free(modules);
		json_free(warnings);
		return NULL;
	}
	r = json_set(j, "modules", modules);
	if (r < 0) {
		json_free(warnings);
		return NULL;
	}
	if (json_set(j, "warnings", warnings) < 0 ||
		json_set_str(j, "key", res->key) < 0 ||
		json_set_bool(j, "reused", res->is_reused) < 0 ||
		json_set_int(j, "tookMilliseconds", (int64_t)(res->took_us / 1000)) < 0 ||
		json_set_str(j, "log", res->log) < 0 ||
		json_set_str(j, "reason", reason_name(res->err.reason)) < 0 ||
		json_set_str(j, "error", res->err.text) < 0 ||
		json_set_str(j, "remedy", reason_remedy(res->err.reason)) < 0)
		return NULL;
	return TAKE(j);
}

int cli_print_build(const struct cli *c, const struct build_result *res)
{
	CLEANUP(json_freep) struct json *j = result_json(res);
	struct buf b CLEANUP(buf_done);

	buf_init(&b, 64 << 10);
	if (!j)
		return CLI_FAILED;
	if (res->err.code < 0 && !c->is_json) {
		int r = cli_fail(c, &res->err);

		if (*res->log)
			(void)fprintf(stderr, "log: %s\n", res->log);
		return r;
	}
	(void)buf_fmt(&b, "%s in %.1f s: artifact %s\n",
		res->is_reused ? "reused" : "built",
		(double)res->took_us / (double)USEC_PER_SEC, res->key);
	for (size_t i = 0; i < res->modules_n; i++)
		(void)buf_fmt(&b, "  %s\n", res->modules[i]);
	for (size_t i = 0; i < res->warnings_n; i++)
		(void)buf_fmt(&b, "warning: %s\n", res->warnings[i]);
	if (cli_print(c, j, buf_cstr(&b)) != CLI_DONE || res->err.code < 0)
		return CLI_FAILED;
	return CLI_DONE;
}

int cli_build(struct cli *c, int argc, char **argv)
{
	struct kernels ks CLEANUP(kernels_donep) = { NULL, 0 };
	const char *source = NULL, *kernel = NULL, *out = NULL, *name = "command-line";
	const char *driver = NULL, *manifests = ENV_MANIFESTS;
	const struct cli_option own[] = {
		{ "source", "DIR", &source, "the driver's source tree" },
		{ "kernel", "RELEASE", &kernel, "as in /lib/modules" },
		{ "out", "DIR", &out, "copy the modules there too" },
		{ "name", "NAME", &name, "the driver's name in the artifact" },
		{ "driver", "NAME", &driver,
			"instead of --source: a wanted driver, as the agent would, recorded for it" },
		{ "manifests", "DIR", &manifests,
			"AcceleratorDriver files (" ENV_MANIFESTS ")" },
		{ NULL },
	};
	static struct build_result res; /* large */
	struct api_driver_spec spec = { .version = "" };
	struct build_request q = { .source_root = "/", .spec = &spec, .log_fd = -1 };
	char real[PATH_MAX];
	struct err e = { 0 };
	int r;

	if (!cli_parse(c, cli_find("build"), own, argc, argv, 0, 0))
		return cli_early(c);
	if (!need("build", driver ? "driver" : "source", driver ? driver : source) ||
		!need("build", "kernel", kernel))
		return CLI_USAGE;
	if (driver && (source || out)) {
		(void)fprintf(stderr, "farrier-driver-builder build: --driver goes with "
				      "neither --source nor --out\n");
		return CLI_USAGE;
	}
	if (driver)
		return cli_build_driver(c, driver, kernel, manifests);
	if (!realpath(source, real)) {
		(void)err_reason(&e, -errno, REASON_SOURCE_MISSING, "'%s': %s", source,
			strerror(errno));
		return cli_fail(c, &e);
	}
	if (find_kernel(&c->env, kernel, &ks, &q.kernel, &e) < 0 ||
		dir_make(c->env.state, 0755, &e) < 0)
		return cli_fail(c, &e);
	spec.source.type = API_SOURCE_HOST;
	spec.source.host.present = true;
	spec.source.host.path = real;
	spec.build.prebuild = true;
	spec.build.timeout_seconds = 1800;
	spec.build.memory = "2Gi";
	q.root = c->env.root;
	q.state = c->env.state;
	q.driver = name;
	r = build_run(&q, &res, &e);
	if (r == 0 && out && copy_out(&c->env, res.key, out, &e) < 0)
		return cli_fail(c, &e);
	return cli_print_build(c, &res);
}
