// SPDX-License-Identifier: Apache-2.0
/* `report`: everything about this node that a support ticket needs, in one JSON document. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/utsname.h>
#include <time.h>

#include <zlib.h>

#include "api.h"
#include "child.h"
#include "cli.h"
#include "cli_subject.h"
#include "file.h"
#include "gate.h"
#include "redact.h"
#include "status.h"
#include "store.h"

enum {
	REPORT_VERSION = 1,
	REPORT_MAX = 32 << 20,
	LOGS_MAX = 16, /* builds that failed: their logs' ends */
	LOG_TAIL = 16 << 10,
	LOG_READ_MAX = 16 << 20,
	JOURNAL_MAX = 256 << 10,
	FILE_MAX = 4 << 20
};

/* Adds @value under @key; what cannot be had is told in its place. */
static int put(struct json *j, const char *key, struct json *value, const struct err *e)
{
	if (value)
		return json_set(j, key, value);
	value = json_new_object();
	if (!value || json_set_str(value, "error", e ? e->text : "") < 0) {
		json_free(value);
		return -ENOMEM;
	}
	return json_set(j, key, value);
}

static int put_file(struct json *j, const char *key, const char *state, const char *name)
{
	CLEANUP(freep) char *text = NULL;
	struct json *value = NULL;
	struct err e = { 0 };
	char path[PATH_MAX];
	size_t len = 0;

	if (path_join(path, sizeof(path), state, name, NULL) < 0 ||
		file_read(path, FILE_MAX, &text, &len, &e) < 0 ||
		json_parse(text, len, &value, &e) < 0)
		value = NULL;
	return put(j, key, value, &e);
}

static int put_kernels(struct json *j, const struct kernels *ks)
{
	struct json *list = json_new_array();
	int r = list ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < ks->n; i++) {
		const struct kernel *k = &ks->items[i];
		struct json *x = json_new_object();

		if (!x || json_set_str(x, "release", k->release) < 0 ||
			json_set_str(x, "install", kernel_install_names[k->install]) <
				0 ||
			json_set_str(x, "missing", k->missing) < 0 ||
			json_set_bool(x, "running", k->is_running) < 0 ||
			json_set_bool(x, "next", k->is_next) < 0) {
			json_free(x);
			r = -ENOMEM;
		} else {
			r = json_add(list, x);
		}
	}
	if (r < 0) {
		json_free(list);
		return r;
	}
	return json_set(j, "kernels", list);
}

/* What is wanted. Files that a manifest carries in itself stay here. */
static int put_drivers(struct json *j, const struct desired *d)
{
	const struct api_node_driver *x = d->drivers.items;
	const struct desired_error *bad = d->errors.items;
	struct json *list = json_new_array(), *errors = json_new_array();
	int r = list && errors ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < d->drivers.n; i++) {
		struct json *spec = field_print(api_driver_spec_fields, &x[i].spec);
		struct json *one = json_new_object();

		r = spec && one ? json_set_str(one, "name", x[i].name) : -ENOMEM;
		if (r == 0) {
			(void)json_del((struct json *)json_get(spec, "source"), "inline");
			r = json_set(one, "spec", TAKE(spec));
		}
		json_free(spec);
		if (r == 0)
			r = json_add(list, TAKE(one));
		json_free(one);
	}
	for (size_t i = 0; r == 0 && i < d->errors.n; i++)
		r = json_add(errors, json_new_str(bad[i].message));
	if (r == 0)
		r = json_set(j, "drivers", TAKE(list));
	if (r == 0)
		r = json_set(j, "manifestErrors", TAKE(errors));
	json_free(list);
	json_free(errors);
	return r;
}

static struct json *artifact_json(const struct artifact *a)
{
	CLEANUP(json_freep) struct json *j = json_new_object();
	struct json *modules = json_new_array();
	int r = j && modules ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < a->modules_n; i++)
		r = json_add(modules, json_new_str(a->modules[i].name));
	if (r == 0)
		r = json_set(j, "modules", TAKE(modules));
	json_free(modules);
	if (r < 0 || json_set_str(j, "key", a->key) < 0 ||
		json_set_str(j, "driver", a->driver) < 0 ||
		json_set_str(j, "version", a->driver_version) < 0 ||
		json_set_str(j, "kernel", a->kernel) < 0 ||
		json_set_str(j, "toolchain", a->toolchain) < 0 ||
		json_set_str(j, "createdAt", a->created_at) < 0)
		return NULL;
	return TAKE(j);
}

static int put_artifacts(struct json *j, const char *state)
{
	struct json *list = json_new_array();
	struct artifact *a = NULL;
	struct err e = { 0 };
	size_t n = 0;
	int r = list ? 0 : -ENOMEM;

	if (r == 0 && store_list(state, &a, &n, &e) < 0) {
		json_free(list);
		return put(j, "artifacts", NULL, &e);
	}
	for (size_t i = 0; r == 0 && i < n; i++)
		r = json_add(list, artifact_json(&a[i]));
	artifacts_free(a, n);
	if (r < 0) {
		json_free(list);
		return r;
	}
	return json_set(j, "artifacts", list);
}

struct logs {
	struct json *list;
	const char *folder;
	size_t n;
};

/* The end of a compressed log, where the failure is. */
static int add_log(const char *name, void *user)
{
	struct logs *l = user;
	CLEANUP(freep) char *text = malloc(LOG_READ_MAX);
	struct json *x = json_new_object();
	char path[PATH_MAX];
	gzFile f = NULL;
	int n = -1;

	if (l->n < LOGS_MAX && path_join(path, sizeof(path), l->folder, name, NULL) == 0)
		f = gzopen(path, "rbe");
	if (f && text)
		n = gzread(f, text, LOG_READ_MAX - 1);
	if (f)
		(void)gzclose(f);
	if (n > 0 && x) {
		text[n] = '\0';
		/* A log may hold any byte; JSON holds none that is zero. */
		for (int i = 0; i < n; i++)
			if (!text[i])
				text[i] = ' ';
		if (json_set_str(x, "file", name) == 0 &&
			json_set_str(x, "end",
				text + (n > LOG_TAIL ? n - LOG_TAIL : 0)) == 0 &&
			json_add(l->list, TAKE(x)) == 0)
			l->n++;
	}
	json_free(x);
	return 0;
}

static int put_logs(struct json *j, const char *state)
{
	struct logs l = { json_new_array(), NULL, 0 };
	char folder[PATH_MAX];

	if (!l.list)
		return -ENOMEM;
	if (path_join(folder, sizeof(folder), state, "failures", NULL) == 0) {
		l.folder = folder;
		(void)dir_each(folder, add_log, &l, NULL);
	}
	return json_set(j, "buildLogs", l.list);
}

/* The agent's own words, where the host keeps them. */
static int put_journal(struct json *j, const struct env *env)
{
	const char *const argv[] = { "journalctl", "-u", "farrier-driver-builder", "-n",
		"300", "--no-pager", "-o", "cat", NULL };
	const struct child_options o = { .argv = argv,
		.timeout_us = 20 * USEC_PER_SEC,
		.out_max = JOURNAL_MAX,
		.log_fd = -1 };
	CLEANUP(freep) char *out = NULL;
	int status = 0;

	if (!streq(env->root, "/") || child_run(&o, &status, &out, NULL) < 0 ||
		status != 0)
		return 0;
	return json_set_str(j, "journal", out);
}

static int put_host(struct json *j, const struct env *env)
{
	CLEANUP(freep) char *os = NULL, *hold = NULL;
	struct utsname u = { 0 };
	struct tm tm = { 0 };
	char path[PATH_MAX], when[32];
	time_t now = time(NULL);
	size_t len;
	int r;

	(void)uname(&u);
	(void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
	r = path_join(path, sizeof(path), env->root, "etc/os-release", NULL);
	if (r == 0 && file_read(path, 64 << 10, &os, &len, NULL) < 0)
		os = NULL;
	if (gate_read(env->run, &hold, NULL) < 0)
		hold = NULL;
	if (r < 0 || json_set_int(j, "version", REPORT_VERSION) < 0 ||
		json_set_str(j, "agentVersion", FARRIER_VERSION) < 0 ||
		json_set_str(j, "madeAt", when) < 0 ||
		json_set_str(j, "kernel", u.release) < 0 ||
		json_set_str(j, "machine", u.machine) < 0 ||
		json_set_str(j, "osRelease", os) < 0 ||
		json_set_str(j, "rebootHold", hold) < 0)
		return -ENOMEM;
	return 0;
}

static int make(
	const struct env *env, const char *manifests, struct buf *out, struct err *e)
{
	struct subject s CLEANUP(subject_done) = { 0 };
	CLEANUP(json_freep) struct json *j = json_new_object();
	struct json *status = NULL;
	struct buf b CLEANUP(buf_done);
	struct err why = { 0 };
	int r = j ? 0 : -ENOMEM;

	buf_init(&b, REPORT_MAX);
	if (r == 0)
		r = put_host(j, env);
	if (r == 0) {
		if (status_read(env->run, &status, &why) < 0)
			status = NULL;
		r = put(j, "status", status, &why);
	}
	err_clear(&why);
	/* Half a report is better than none: this is asked for when things are broken. */
	if (r == 0 && subject_init(&s, env, manifests, &why) == 0) {
		r = put_kernels(j, &s.kernels);
		if (r == 0)
			r = put_drivers(j, &s.desired);
	} else if (r == 0) {
		r = put(j, "drivers", NULL, &why);
	}
	if (r == 0)
		r = put_file(j, "builds", env->state, "builds.json");
	if (r == 0)
		r = put_file(j, "loaded", env->state, "loaded.json");
	if (r == 0)
		r = put_artifacts(j, env->state);
	if (r == 0)
		r = put_logs(j, env->state);
	if (r == 0)
		r = put_journal(j, env);
	if (r == 0)
		r = json_print(j, true, &b);
	if (r == 0)
		r = redact(buf_cstr(&b), out);
	if (r == 0)
		r = buf_chr(out, '\n');
	return r < 0 ? err_errno(e, r, "report") : 0;
}

int cli_report(struct cli *c, int argc, char **argv)
{
	const char *out = NULL, *manifests = ENV_MANIFESTS;
	const struct cli_option own[] = {
		{ "out", "FILE", &out,
			"write it there, for root's eyes (standard output)" },
		{ "manifests", "DIR", &manifests,
			"AcceleratorDriver files (" ENV_MANIFESTS ")" },
		{ NULL },
	};
	struct buf b CLEANUP(buf_done);
	struct err e = { 0 };
	int r;

	buf_init(&b, REPORT_MAX);
	if (!cli_parse(c, cli_find("report"), own, argc, argv, 0, 0))
		return cli_early(c);
	r = make(&c->env, manifests, &b, &e);
	if (r == 0 && out)
		r = file_write_atomic(out, b.data, b.len, 0600, &e);
	if (r < 0)
		return cli_fail(c, &e);
	if (!out)
		return fputs(buf_cstr(&b), stdout) < 0 || fflush(stdout) != 0 ? CLI_FAILED
									      : CLI_DONE;
	return CLI_DONE;
}
