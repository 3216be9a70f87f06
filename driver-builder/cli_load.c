// SPDX-License-Identifier: Apache-2.0
/* `load` and `unload`: a person's explicit intent about one driver, now. */
#include <stdio.h>

#include "cli.h"
#include "desired.h"
#include "hardware.h"
#include "records.h"
#include "stage.h"

enum { ARENA_MAX = 32 << 20 };

/* Everything that a command about one driver needs. */
struct subject {
	struct arena *a;
	struct manifests *manifests;
	struct json *node;
	struct records *records;
	struct kernels kernels;
	const struct kernel *running;
	const struct api_node_driver *driver;
};

static void subject_done(struct subject *s)
{
	kernels_done(&s->kernels);
	records_free(s->records);
	json_free(s->node);
	manifests_free(s->manifests);
	arena_free(s->a);
}

static const struct api_node_driver *find(const struct desired *d, const char *name)
{
	const struct api_node_driver *x = d->drivers.items;

	for (size_t i = 0; i < d->drivers.n; i++)
		if (streq(x[i].name, name))
			return &x[i];
	return NULL;
}

/* What the cluster last said comes first, then the manifests of this machine. */
static int find_driver(struct subject *s, const struct env *env, const char *manifests,
	const char *name, struct err *e)
{
	struct desired d = { 0 };
	int r;

	r = desired_read(s->a, env->state, &s->node, &d, e);
	if (r < 0 && r != -ENOENT)
		return r;
	err_clear(e);
	s->driver = r == 0 ? find(&d, name) : NULL;
	if (s->driver)
		return 0;
	r = manifests_new(&s->manifests);
	if (r == 0)
		r = manifests_read(s->manifests, s->a, manifests, &d, e);
	if (r < 0)
		return err_wrap(e, r, "manifests");
	s->driver = find(&d, name);
	if (s->driver)
		return 0;
	if (d.errors.n > 0)
		return err_reason(e, -ENOENT, REASON_MANIFEST_INVALID, "%s",
			((const struct desired_error *)d.errors.items)[0].message);
	return err_set(e, -ENOENT, "driver '%s' is wanted by nobody here", name);
}

static int subject_init(struct subject *s, const struct env *env, const char *manifests,
	const char *name, struct err *e)
{
	int r;

	*s = (struct subject){ .a = arena_new(ARENA_MAX) };
	if (!s->a || records_new(&s->records) < 0)
		return err_errno(e, -ENOMEM, "driver '%s'", name);
	r = find_driver(s, env, manifests, name, e);
	if (r == 0)
		r = records_read(s->records, env->state, e);
	if (r == 0)
		r = kernels_scan(env->root, &s->kernels, e);
	if (r < 0)
		return r;
	s->running = kernels_running(&s->kernels);
	if (!s->running)
		return err_set(e, -ENOENT, "the running kernel has no module folder");
	return 0;
}

/* For the agent, which cannot tell equal sources built differently apart by itself. */
static int note_loaded(
	struct subject *s, const struct env *env, const char *key, struct err *e)
{
	struct note n;
	int r;

	memset(&n, 0, sizeof(n));
	hardware_boot_id(n.boot_id);
	(void)snprintf(n.driver, sizeof(n.driver), "%s", s->driver->name);
	(void)snprintf(n.key, sizeof(n.key), "%s", key);
	(void)snprintf(n.version, sizeof(n.version), "%s",
		s->driver->spec.version ? s->driver->spec.version : "");
	(void)snprintf(n.kernel, sizeof(n.kernel), "%s", s->running->release);
	r = records_set_note(s->records, &n);
	return r < 0 ? err_errno(e, r, "note")
		     : records_write_notes(s->records, env->state, e);
}

static int finish(const struct cli *c, const char *driver, const char *done, int r,
	const struct err *e)
{
	CLEANUP(json_freep) struct json *j = json_new_object();
	char text[400];

	if (r < 0)
		return cli_fail(c, e);
	(void)snprintf(text, sizeof(text), "%s: %s\n", driver, done);
	if (!j || json_set_str(j, "driver", driver) < 0 ||
		json_set_str(j, "done", done) < 0)
		return CLI_FAILED;
	return cli_print(c, j, text);
}

int cli_load(struct cli *c, int argc, char **argv)
{
	struct subject s CLEANUP(subject_done) = { 0 };
	const char *manifests = ENV_MANIFESTS;
	const struct cli_option own[] = {
		{ "manifests", "DIR", &manifests,
			"AcceleratorDriver files (" ENV_MANIFESTS ")" },
		{ NULL },
	};
	const struct record *rec;
	struct stage stage;
	struct err e = { 0 };
	int r;

	if (!cli_parse(c, cli_find("load"), own, argc, argv, 1, 1))
		return cli_early(c);
	r = subject_init(&s, &c->env, manifests, c->args[0], &e);
	if (r < 0)
		return cli_fail(c, &e);
	rec = records_get(s.records, s.driver->name, s.running->release);
	if (!rec || rec->reason != REASON_NONE || !*rec->key) {
		r = err_reason(&e, -ENOENT, rec ? rec->reason : REASON_MODULE_MISSING,
			"'%s' is not built for '%s'%s%s", s.driver->name,
			s.running->release, rec ? ": " : "", rec ? rec->message : "");
		return cli_fail(c, &e);
	}
	stage = (struct stage){ .env = &c->env,
		.kernel = s.running,
		.driver = s.driver->name,
		.modules = &s.driver->spec.modules,
		.key = rec->key };
	r = stage_replace(&stage, &e);
	if (r == 0)
		r = note_loaded(&s, &c->env, rec->key, &e);
	return finish(c, s.driver->name, "loaded", r, &e);
}

int cli_unload(struct cli *c, int argc, char **argv)
{
	struct subject s CLEANUP(subject_done) = { 0 };
	const char *manifests = ENV_MANIFESTS;
	const struct cli_option own[] = {
		{ "manifests", "DIR", &manifests,
			"AcceleratorDriver files (" ENV_MANIFESTS ")" },
		{ NULL },
	};
	struct stage stage;
	struct err e = { 0 };
	int r;

	if (!cli_parse(c, cli_find("unload"), own, argc, argv, 1, 1))
		return cli_early(c);
	r = subject_init(&s, &c->env, manifests, c->args[0], &e);
	if (r < 0)
		return cli_fail(c, &e);
	stage = (struct stage){ .env = &c->env,
		.kernel = s.running,
		.driver = s.driver->name,
		.modules = &s.driver->spec.modules };
	r = stage_unload(&stage, &e);
	return finish(c, s.driver->name,
		s.driver->spec.paused
			? "unloaded"
			: "unloaded (an agent that runs loads it again: set 'paused: true' first)",
		r, &e);
}
