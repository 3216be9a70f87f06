// SPDX-License-Identifier: Apache-2.0
/* Carries the plan out: builds one at a time, steps in a worker, failures with back-off. */
#include "act.h"

#include <stdio.h>

#include "api.h"
#include "log.h"
#include "stage.h"

#define BUILD_RETRY_MIN_US (30 * USEC_PER_SEC)
#define BUILD_RETRY_MAX_US (3600 * USEC_PER_SEC)
#define STEP_RETRY_MIN_US (5 * USEC_PER_SEC)
#define STEP_RETRY_MAX_US (300 * USEC_PER_SEC)
#define STEP_TIMEOUT_US (600 * USEC_PER_SEC)

static uint64_t back_off(uint64_t attempts, uint64_t min_us, uint64_t max_us)
{
	uint64_t us = min_us;

	for (uint64_t i = 1; i < attempts && us < max_us; i++)
		us *= 2;
	return MIN(us, max_us);
}

uint64_t act_retry_us(unsigned attempts)
{
	return back_off(attempts, STEP_RETRY_MIN_US, STEP_RETRY_MAX_US);
}

void agent_say(struct agent *a, bool is_good, const char *event, const char *driver,
	const char *kernel, enum reason reason, const char *message)
{
	char text[ERR_TEXT_MAX + 400];

	log_event(is_good ? LOG_INFO : LOG_ERROR, event, "driver", driver, "kernel",
		kernel, "reason", reason == REASON_NONE ? NULL : reason_name(reason),
		"error", is_good || str_empty(message) ? NULL : message, "detail",
		is_good && !str_empty(message) ? message : NULL, NULL);
	if (!a->cluster)
		return;
	(void)snprintf(text, sizeof(text), "%s for %s: %s%s%s", driver, kernel,
		reason == REASON_NONE ? "" : reason_name(reason),
		reason == REASON_NONE ? "" : ": ", message);
	cluster_event(a->cluster, is_good ? "Normal" : "Warning", event, text);
}

static void labels(
	struct buf *b, const char *driver, const char *kernel, const char *result)
{
	buf_init(b, 1024);
	(void)metrics_label(b, "driver", driver);
	if (kernel)
		(void)metrics_label(b, "kernel", kernel);
	if (result)
		(void)metrics_label(b, "result", result);
}

static void count_build(struct agent *a, const struct build_result *res)
{
	const char *driver = a->memory.build_driver, *kernel = a->memory.build_kernel;
	struct buf b CLEANUP(buf_done);

	labels(&b, driver, kernel,
		res->err.code	 ? reason_name(res->err.reason)
		: res->is_pulled ? "pulled"
		: res->is_reused ? "reused"
				 : "built");
	(void)metrics_add(a->metrics, METRIC_COUNTER, "farrier_builds_total",
		buf_cstr(&b), "Builds by outcome.", 1);
	if (res->is_reused)
		(void)metrics_add(a->metrics, METRIC_COUNTER,
			"farrier_artifact_cache_hits_total", NULL,
			"Builds answered by the store.", 1);
	buf_done(&b);
	labels(&b, driver, kernel, NULL);
	(void)metrics_set(a->metrics, METRIC_GAUGE, "farrier_build_duration_seconds",
		buf_cstr(&b), "How long the last build took.",
		(double)res->took_us / (double)USEC_PER_SEC);
}

void agent_save(struct agent *a)
{
	struct err e = { 0 };

	if (records_write(a->memory.records, a->o->env.state, &e) < 0)
		log_error(&e, "records not written", NULL);
}

static void on_built(const struct build_result *res, void *user)
{
	struct agent *a = user;
	struct memory *m = &a->memory;
	const struct record *old = records_get(
		m->records, m->build_driver, m->build_kernel);
	struct record rec = { .print = m->build_print, .at_us = loop_wall(a->loop) };
	char text[128];

	a->build = NULL;
	m->is_building = false;
	count_build(a, res);
	(void)snprintf(rec.driver, sizeof(rec.driver), "%s", m->build_driver);
	(void)snprintf(rec.kernel, sizeof(rec.kernel), "%s", m->build_kernel);
	memcpy(rec.key, res->key, sizeof(rec.key));
	if (res->err.code == 0) {
		rec.build_seconds = res->build_seconds;
		if (old && streq(old->key, rec.key))
			memcpy(rec.signed_key, old->signed_key, sizeof(rec.signed_key));
		(void)snprintf(text, sizeof(text), "%s in %.1f s, artifact %.12s",
			res->is_pulled	 ? "taken from the registry"
			: res->is_reused ? "taken from the store"
					 : "built",
			(double)res->took_us / (double)USEC_PER_SEC, res->key);
		agent_say(a, true, "BuildSucceeded", rec.driver, rec.kernel, REASON_NONE,
			text);
		if (res->refused.reason == REASON_ARTIFACT_NOT_AGREED)
			agent_say(a, false, "ArtifactRefused", rec.driver, rec.kernel,
				res->refused.reason, res->refused.text);
		for (size_t i = 0; i < MIN(res->warnings_n, (size_t)BUILD_WARNINGS_MAX);
			i++)
			log_event(LOG_WARN, "build warning", "driver", rec.driver,
				"kernel", rec.kernel, "warning", res->warnings[i], NULL);
	} else {
		rec.reason = res->err.reason == REASON_NONE ? REASON_INTERNAL
							    : res->err.reason;
		rec.attempts = old && old->reason != REASON_NONE &&
					       records_is_current(old, &rec.print)
				       ? old->attempts + 1
				       : 1;
		rec.retry_us = rec.at_us + back_off((uint64_t)rec.attempts,
						   BUILD_RETRY_MIN_US,
						   BUILD_RETRY_MAX_US);
		memcpy(rec.message, res->err.text, sizeof(rec.message));
		if (rec.reason == REASON_NOT_FOR_THIS_KERNEL)
			log_event(LOG_INFO, "not for this kernel", "driver", rec.driver,
				"kernel", rec.kernel, "detail", rec.message, NULL);
		else
			agent_say(a, false, "BuildFailed", rec.driver, rec.kernel,
				rec.reason, rec.message);
	}
	if (records_set(m->records, &rec) < 0)
		log_event(LOG_ERROR, "out of memory", NULL);
	agent_save(a);
	agent_look(a, 0);
}

static void start_build(
	struct agent *a, const struct seen *s, const struct plan_action *x)
{
	const struct api_node_driver *d = s->desired->drivers.items;
	const struct api_node_build *shared = share_find(&s->desired->builds,
		d[x->driver].name, d[x->driver].generation, s->pick[x->kernel]->release);
	struct memory *m = &a->memory;
	/* Without memory it is built as if it stood alone. */
	struct build_peer *peers = arena_array(
		a->arena, s->in.n_drivers + 1, sizeof(*peers));
	struct build_request q = {
		.root = a->o->env.root,
		.state = a->o->env.state,
		.driver = d[x->driver].name,
		.spec = &d[x->driver].spec,
		.kernel = s->pick[x->kernel],
		.remote = &a->o->remote,
		.published_key = shared && !str_empty(shared->key) ? shared->key : NULL,
		.published_digest = shared && !str_empty(shared->digest) ? shared->digest
									 : NULL,
		.published_unsigned = shared && !str_empty(shared->unsigned_digest)
					      ? shared->unsigned_digest
					      : NULL,
		.is_compared = shared && share_is_compared(shared) &&
			       share_asks(shared, m->share.node),
		.peers = peers,
		.peers_n = peers ? s->in.n_drivers : 0,
		.log_fd = -1,
	};
	struct err e = { 0 };

	for (size_t i = 0; i < q.peers_n; i++) {
		const struct plan_pair *p = &s->in.drivers[i].pairs[x->kernel];

		peers[i] = (struct build_peer){ d[i].name,
			p->artifact == PLAN_ARTIFACT_READY ||
					p->artifact == PLAN_ARTIFACT_UNSIGNED
				? plan_built_key(p)
				: NULL };
	}
	(void)snprintf(m->build_driver, sizeof(m->build_driver), "%s", q.driver);
	(void)snprintf(m->build_kernel, sizeof(m->build_kernel), "%s", q.kernel->release);
	m->build_print = s->prints[x->driver * s->in.n_kernels + x->kernel];
	if (build_start(a->loop, &q, on_built, a, &a->build, &e) < 0) {
		log_error(&e, "build not started", "driver", q.driver, "kernel",
			q.kernel->release, NULL);
		agent_look(a, STEP_RETRY_MIN_US);
		return;
	}
	m->is_building = true;
	log_event(LOG_INFO, "build started", "driver", q.driver, "kernel",
		q.kernel->release, NULL);
	agent_look(a, 0); /* say that it is building */
}

static int run_step(void *user, struct err *e)
{
	struct agent *a = user;

	switch (a->step.verb) {
	case PLAN_LOAD:
		return stage_load(a->step.stage, e);
	case PLAN_REPLACE:
		return stage_replace(a->step.stage, e);
	case PLAN_UNLOAD:
		return stage_unload(a->step.stage, e);
	case PLAN_INSTALL:
		return stage_install(a->step.stage, e);
	case PLAN_UNINSTALL:
		return stage_uninstall(a->step.stage, e);
	default:
		return err_set(e, -EINVAL, "no such step");
	}
}

static bool is_of_boot(enum plan_verb verb)
{
	return verb == PLAN_INSTALL || verb == PLAN_UNINSTALL;
}

static void note_loaded(struct agent *a)
{
	struct note n;

	memset(&n, 0, sizeof(n));
	memcpy(n.driver, a->step.driver, sizeof(n.driver));
	memcpy(n.key, a->step.key, sizeof(n.key));
	memcpy(n.version, a->step.version, sizeof(n.version));
	memcpy(n.kernel, a->step.kernel, sizeof(n.kernel));
	memcpy(n.boot_id, a->step.boot_id, sizeof(n.boot_id));
	memcpy(n.parameters, a->step.parameters, sizeof(n.parameters));
	if (records_set_note(a->memory.records, &n) < 0)
		log_event(LOG_ERROR, "out of memory", NULL);
	agent_save(a);
}

static const struct {
	const char *good, *bad;
} step_events[PLAN_VERBS_] = {
	[PLAN_LOAD] = { "ModuleLoaded", "ModuleLoadFailed" },
	[PLAN_REPLACE] = { "ModuleLoaded", "ModuleLoadFailed" },
	[PLAN_UNLOAD] = { "ModuleUnloaded", "ModuleUnloadFailed" },
	[PLAN_INSTALL] = { "ModuleInstalled", "ModuleInstallFailed" },
	[PLAN_UNINSTALL] = { "ModuleUninstalled", "ModuleUninstallFailed" },
};

static void count_step(struct agent *a, const struct err *result)
{
	struct buf b CLEANUP(buf_done);

	labels(&b, a->step.driver, NULL,
		result->code ? reason_name(result->reason) : "done");
	(void)metrics_label(&b, "step", plan_verb_names[a->step.verb]);
	(void)metrics_add(a->metrics, METRIC_COUNTER, "farrier_steps_total", buf_cstr(&b),
		"Loads, unloads and installs by outcome.", 1);
}

static void on_step_done(const struct err *result, void *user)
{
	struct agent *a = user;
	bool is_boot = is_of_boot(a->step.verb);
	struct step *st = memory_step_new(&a->memory, is_boot ? "install" : "load",
		a->step.driver, is_boot ? a->step.kernel : NULL);
	uint64_t now = loop_wall(a->loop);
	char text[64];

	a->work = NULL;
	count_step(a, result);
	agent_look(a, 0);
	if (!st) {
		log_event(LOG_ERROR, "out of memory", NULL);
		return;
	}
	if (result->code == 0) {
		*st = (struct step){ .done_us = now };
		if (a->step.verb == PLAN_LOAD || a->step.verb == PLAN_REPLACE)
			note_loaded(a);
		(void)snprintf(text, sizeof(text), "in %llu ms",
			(unsigned long long)(now - a->step.start_us) / USEC_PER_MSEC);
		agent_say(a, true, step_events[a->step.verb].good, a->step.driver,
			a->step.kernel, REASON_NONE, text);
		return;
	}
	if (!streq(st->key, a->step.key) || st->generation != a->step.generation)
		st->attempts = 0;
	memcpy(st->key, a->step.key, sizeof(st->key));
	st->generation = a->step.generation;
	st->reason = result->reason != REASON_NONE ? result->reason
		     : is_boot			   ? REASON_INTERNAL
						   : REASON_LOAD_FAILED;
	memcpy(st->message, result->text, sizeof(st->message));
	st->attempts++;
	st->retry_us = now + act_retry_us(st->attempts);
	/* It was tried, and what worked is back: once is enough until something changes. */
	if (result->code == -ECANCELED) {
		st->retry_us = UINT64_MAX;
		records_reject(a->memory.records, a->step.driver, a->step.key);
		agent_save(a);
	}
	st->done_us = 0;
	agent_say(a, false, step_events[a->step.verb].bad, a->step.driver, a->step.kernel,
		st->reason, st->message);
}

/* What is loaded, for a replacement to go back to. */
static void look_back(
	struct agent *a, const struct seen *s, size_t di, struct stage *stage)
{
	const struct plan_driver *pd = &s->in.drivers[di];
	const struct note *n = records_note(a->memory.records, pd->name);

	if (!n || !streq(n->boot_id, s->boot_id) || !*n->key)
		return;
	stage->old_key = arena_strdup(a->arena, n->key);
	if (!streq(n->parameters, NOTE_UNKNOWN))
		stage->old_parameters = arena_strdup(a->arena, n->parameters);
	if (devices_bound(a->arena,
		    &((const struct api_node_driver *)s->desired->drivers.items)[di],
		    &s->devices, &stage->bound) < 0)
		stage->bound = (struct list){ NULL, 0 };
}

/* UNLOAD concerns the running kernel. */
static const struct kernel *kernel_of(const struct seen *s, const struct plan_action *x)
{
	if (x->kernel != SIZE_MAX)
		return s->pick[x->kernel];
	for (size_t i = 0; i < s->in.n_kernels; i++)
		if (s->in.kernels[i].is_running)
			return s->pick[i];
	return NULL;
}

static void start_step(struct agent *a, const struct seen *s, const struct plan_action *x)
{
	const struct api_node_driver *d = &(
		(const struct api_node_driver *)s->desired->drivers.items)[x->driver];
	const struct plan_driver *pd = &s->in.drivers[x->driver];
	const struct kernel *k = kernel_of(s, x);
	bool needs_key = x->verb == PLAN_LOAD || x->verb == PLAN_REPLACE ||
			 x->verb == PLAN_INSTALL;
	const struct plan_pair *pair = needs_key ? &pd->pairs[x->kernel] : NULL;
	const char *key = !pair			    ? NULL
			  : x->verb == PLAN_INSTALL ? pair->install_key
						    : pair->key;
	struct stage stage = {
		.env = &a->o->env,
		.kernel = k,
		.driver = d->name,
		.modules = &d->spec.modules,
		.firmware = &d->spec.firmware,
		.key = key,
		/* Without its device a driver is found by its alias when the device comes. */
		.is_listed = d->spec.devices.n == 0 || pd->devices > 0,
	};
	struct err e = { 0 };

	if (!k)
		return;
	if (x->verb == PLAN_REPLACE)
		look_back(a, s, x->driver, &stage);
	if (snprintf(a->step.parameters, sizeof(a->step.parameters), "%s",
		    s->parameters[x->driver]) >= (int)sizeof(a->step.parameters))
		memcpy(a->step.parameters, NOTE_UNKNOWN, sizeof(NOTE_UNKNOWN));
	a->step.verb = x->verb;
	a->step.generation = d->generation;
	a->step.start_us = loop_wall(a->loop);
	a->step.stage = &stage;
	(void)snprintf(a->step.driver, sizeof(a->step.driver), "%s", d->name);
	(void)snprintf(a->step.version, sizeof(a->step.version), "%s",
		d->spec.version ? d->spec.version : "");
	(void)snprintf(a->step.kernel, sizeof(a->step.kernel), "%s", k->release);
	(void)snprintf(a->step.key, sizeof(a->step.key), "%s", key ? key : "");
	memcpy(a->step.boot_id, s->boot_id, sizeof(a->step.boot_id));
	/* The worker has its own copy of all this memory. */
	if (work_start(a->loop, run_step, on_step_done, a, STEP_TIMEOUT_US, &a->work,
		    &e) < 0) {
		log_error(&e, "step not started", "step", plan_verb_names[x->verb], NULL);
		agent_look(a, STEP_RETRY_MIN_US);
	}
	a->step.stage = NULL;
}

static void cancel_build(struct agent *a)
{
	struct err e = { 0 };

	log_event(LOG_INFO, "build cancelled", "driver", a->memory.build_driver, "kernel",
		a->memory.build_kernel, NULL);
	build_cancel(a->build);
	a->build = NULL;
	a->memory.is_building = false;
	if (build_clean(a->o->env.state, &e) < 0)
		log_error(&e, "left-overs not removed", NULL);
}

void act(struct agent *a, const struct seen *s, const struct plan *p)
{
	for (size_t i = 0; i < p->n_actions; i++) {
		const struct plan_action *x = &p->actions[i];

		if (x->verb == PLAN_CANCEL) {
			cancel_build(a);
		} else if (x->verb == PLAN_BUILD) {
			if (!a->build)
				start_build(a, s, x);
		} else if (x->verb == PLAN_KEEP || x->verb == PLAN_LET_GO) {
			if (!a->work)
				act_keep(a, s, x);
		} else if (x->verb == PLAN_SIGN) {
			if (!a->work)
				act_sign(a, s, x);
		} else if (!a->work) {
			start_step(a, s, x);
		}
	}
}
