// SPDX-License-Identifier: Apache-2.0
/* `load` and `unload`: a person's explicit intent about one driver, now. */
#include <stdio.h>

#include "cli.h"
#include "cli_subject.h"
#include "hardware.h"
#include "observe.h"
#include "stage.h"

static int find_subject(struct subject *s, const struct env *env, const char *manifests,
	const char *name, const struct api_node_driver **ret_driver,
	const struct kernel **ret_running, struct err *e)
{
	int r = subject_init(s, env, manifests, e);

	if (r == 0)
		r = subject_driver(s, manifests, name, ret_driver, e);
	if (r < 0)
		return r;
	*ret_running = kernels_running(&s->kernels);
	return *ret_running
		       ? 0
		       : err_set(e, -ENOENT, "the running kernel has no module folder");
}

/* For the agent, which cannot tell equal sources built differently apart by itself. */
static int note_loaded(struct subject *s, const struct env *env,
	const struct api_node_driver *driver, const char *kernel, const char *key,
	struct err *e)
{
	const char *parameters;
	struct note n;
	int r;

	memset(&n, 0, sizeof(n));
	hardware_boot_id(n.boot_id);
	(void)snprintf(n.driver, sizeof(n.driver), "%s", driver->name);
	(void)snprintf(n.key, sizeof(n.key), "%s", key);
	(void)snprintf(n.version, sizeof(n.version), "%s",
		driver->spec.version ? driver->spec.version : "");
	(void)snprintf(n.kernel, sizeof(n.kernel), "%s", kernel);
	if (stage_parameters(s->a, &driver->spec.modules, &parameters) < 0 ||
		snprintf(n.parameters, sizeof(n.parameters), "%s", parameters) >=
			(int)sizeof(n.parameters))
		memcpy(n.parameters, NOTE_UNKNOWN, sizeof(NOTE_UNKNOWN));
	r = records_set_note(s->records, &n);
	return r < 0 ? err_errno(e, r, "note")
		     : records_write_notes(s->records, env->state, e);
}

/* What is loaded, to go back to when ours does not work. */
static void look_back(struct subject *s, const struct env *env,
	const struct api_node_driver *driver, struct stage *stage)
{
	const struct note *n = records_note(s->records, driver->name);
	struct list devices;
	char boot_id[64];

	hardware_boot_id(boot_id);
	if (!n || !*n->key || !streq(n->boot_id, boot_id))
		return;
	stage->old_key = n->key;
	stage->old_parameters = streq(n->parameters, NOTE_UNKNOWN) ? NULL : n->parameters;
	if (hardware_scan(s->a, env->sys, &devices, NULL) < 0 ||
		devices_bound(s->a, driver, &devices, &stage->bound) < 0)
		stage->bound = (struct list){ NULL, 0 };
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
	const struct api_node_driver *driver;
	const struct kernel *running;
	const struct record *rec;
	const char *key;
	struct stage stage;
	struct err e = { 0 };
	int r;

	if (!cli_parse(c, cli_find("load"), own, argc, argv, 1, 1))
		return cli_early(c);
	r = find_subject(&s, &c->env, manifests, c->args[0], &driver, &running, &e);
	if (r < 0)
		return cli_fail(c, &e);
	rec = records_get(s.records, driver->name, running->release);
	if (!rec || rec->reason != REASON_NONE || !*rec->key) {
		r = err_reason(&e, -ENOENT, rec ? rec->reason : REASON_MODULE_MISSING,
			"'%s' is not built for '%s'%s%s", driver->name, running->release,
			rec ? ": " : "", rec ? rec->message : "");
		return cli_fail(c, &e);
	}
	key = rec->key;
	if (driver->spec.signing.mode == API_SIGNING_EXTERNAL)
		key = rec->signed_key;
	if (!*key) {
		r = err_reason(&e, -ENOENT, REASON_AWAITING_SIGNATURE,
			"'%s' is built for '%s' and not signed yet", driver->name,
			running->release);
		return cli_fail(c, &e);
	}
	stage = (struct stage){ .env = &c->env,
		.kernel = running,
		.driver = driver->name,
		.modules = &driver->spec.modules,
		.firmware = &driver->spec.firmware,
		.key = key };
	look_back(&s, &c->env, driver, &stage);
	r = stage_replace(&stage, &e);
	if (r == 0)
		r = note_loaded(&s, &c->env, driver, running->release, key, &e);
	if (r == -ECANCELED) {
		struct err why = { 0 };

		records_reject(s.records, driver->name, key);
		if (records_write_notes(s.records, c->env.state, &why) < 0)
			(void)err_wrap(&e, r, "not noted (%.200s)", why.text);
	}
	return finish(c, driver->name, "loaded", r, &e);
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
	const struct api_node_driver *driver;
	const struct kernel *running;
	struct stage stage;
	struct err e = { 0 };
	int r;

	if (!cli_parse(c, cli_find("unload"), own, argc, argv, 1, 1))
		return cli_early(c);
	r = find_subject(&s, &c->env, manifests, c->args[0], &driver, &running, &e);
	if (r < 0)
		return cli_fail(c, &e);
	stage = (struct stage){ .env = &c->env,
		.kernel = running,
		.driver = driver->name,
		.modules = &driver->spec.modules };
	r = stage_unload(&stage, &e);
	return finish(c, driver->name,
		driver->spec.paused
			? "unloaded"
			: "unloaded (an agent that runs loads it again: set 'paused: true' first)",
		r, &e);
}
