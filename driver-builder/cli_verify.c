// SPDX-License-Identifier: Apache-2.0
/* `verify`: would this kernel load these module files? */
#include <stdio.h>

#include "cli.h"
#include "verify.h"

static void kernels_donep(struct kernels *k)
{
	kernels_done(k);
}

static struct json *texts_json(const char (*texts)[VERIFY_TEXT_MAX], size_t n)
{
	CLEANUP(json_freep) struct json *j = json_new_array();
	size_t i;

	for (i = 0; j && i < n; i++)
		if (json_add(j, json_new_str(texts[i])) < 0)
			return NULL;
	return TAKE(j);
}

static struct json *report_json(const char *path, const struct verify_report *v)
{
	CLEANUP(json_freep) struct json *j = json_new_object();

	if (!j || json_set(j, "warnings", texts_json(v->warnings, v->warnings_n)) < 0 ||
		json_set(j, "unproven",
			texts_json(v->unproven,
				MIN(v->unproven_n, (size_t)VERIFY_UNPROVEN_MAX))) < 0 ||
		json_set_str(j, "file", path) < 0 || json_set_bool(j, "ok", true) < 0 ||
		json_set_str(j, "name", v->name) < 0 ||
		json_set_str(j, "vermagic", v->vermagic) < 0 ||
		json_set_str(j, "srcversion", v->srcversion) < 0 ||
		json_set_int(j, "symbols", (int64_t)v->symbols) < 0 ||
		json_set_int(j, "unprovenCount", (int64_t)v->unproven_n) < 0 ||
		json_set_bool(j, "signed", v->is_signed) < 0 ||
		json_set_str(j, "signer", v->trust.signer) < 0)
		return NULL;
	return TAKE(j);
}

static void print_report(struct buf *b, const char *path, const struct verify_report *v)
{
	size_t i;

	(void)buf_fmt(b, "%s: ok, %zu symbols proved%s%s\n", path, v->symbols,
		*v->trust.signer ? ", signed by "
		: v->is_signed	 ? ", signed"
				 : "",
		v->trust.signer);
	for (i = 0; i < v->warnings_n; i++)
		(void)buf_fmt(b, "%s: warning: %s\n", path, v->warnings[i]);
	for (i = 0; i < MIN(v->unproven_n, (size_t)VERIFY_UNPROVEN_MAX); i++)
		(void)buf_fmt(b, "%s: unproven: %s\n", path, v->unproven[i]);
	if (v->unproven_n > VERIFY_UNPROVEN_MAX)
		(void)buf_fmt(b, "%s: unproven: %zu more\n", path,
			v->unproven_n - VERIFY_UNPROVEN_MAX);
}

static int print_reports(const struct cli *c, const struct verify_report *v)
{
	CLEANUP(json_freep) struct json *list = json_new_array();
	struct buf b CLEANUP(buf_done);

	buf_init(&b, 1 << 20);
	for (int i = 0; i < c->n_args; i++) {
		print_report(&b, c->args[i], &v[i]);
		if (!list || json_add(list, report_json(c->args[i], &v[i])) < 0)
			return CLI_FAILED;
	}
	return cli_print(c, list, buf_cstr(&b));
}

int cli_verify(struct cli *c, int argc, char **argv)
{
	struct kernels ks CLEANUP(kernels_donep) = { NULL, 0 };
	CLEANUP(verify_kernel_freep) struct verify_kernel *v = NULL;
	CLEANUP(freep) struct verify_report *reports = NULL;
	const char *kernel = NULL;
	const struct cli_option own[] = {
		{ "kernel", "RELEASE", &kernel, "as in /lib/modules" },
		{ NULL },
	};
	const struct kernel *k;
	struct err e = { 0 };

	if (!cli_parse(c, cli_find("verify"), own, argc, argv, 1, -1))
		return cli_early(c);
	if (!kernel) {
		(void)fprintf(stderr,
			"farrier-driver-builder verify: --kernel is needed (see --help)\n");
		return CLI_USAGE;
	}
	reports = calloc((size_t)c->n_args, sizeof(*reports));
	if (!reports)
		return CLI_FAILED;
	if (kernels_scan(c->env.root, &ks, &e) < 0)
		return cli_fail(c, &e);
	k = kernels_find(&ks, kernel);
	if (!k) {
		(void)err_reason(&e, -ENOENT, REASON_HEADERS_MISSING,
			"kernel '%s' is not installed below '%s'", kernel, c->env.root);
		return cli_fail(c, &e);
	}
	if (verify_kernel_open_bare(k, c->env.root, &v, &e) < 0 ||
		verify_files(v, (const char *const *)c->args, (size_t)c->n_args, reports,
			&e) < 0)
		return cli_fail(c, &e);
	return print_reports(c, reports);
}
