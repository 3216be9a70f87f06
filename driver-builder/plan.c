// SPDX-License-Identifier: Apache-2.0
/* The node agent's decisions as pure functions of what was observed. */
#include "plan.h"

const char *const plan_verb_names[] = {
	[PLAN_UNLOAD] = "unload",
	[PLAN_LOAD] = "load",
	[PLAN_REPLACE] = "replace",
	[PLAN_SIGN] = "sign",
	[PLAN_INSTALL] = "install",
	[PLAN_UNINSTALL] = "uninstall",
	[PLAN_CANCEL] = "cancel",
	[PLAN_KEEP] = "keep",
	[PLAN_LET_GO] = "let go",
	[PLAN_BUILD] = "build",
	NULL,
};

/* What an artifact's state means for a driver that is not loaded, and for a kernel. */
static const enum api_driver_state driver_state[PLAN_ARTIFACTS_] = {
	[PLAN_ARTIFACT_NONE] = API_DRIVER_PENDING,
	[PLAN_ARTIFACT_WAITING] = API_DRIVER_PENDING,
	[PLAN_ARTIFACT_BUILDING] = API_DRIVER_BUILDING,
	[PLAN_ARTIFACT_UNSIGNED] = API_DRIVER_PENDING,
	[PLAN_ARTIFACT_READY] = API_DRIVER_BUILT,
	[PLAN_ARTIFACT_FAILED] = API_DRIVER_FAILED,
	[PLAN_ARTIFACT_NOT_APPLICABLE] = API_DRIVER_NOT_APPLICABLE,
};
static const enum api_kernel_state kernel_state[PLAN_ARTIFACTS_] = {
	[PLAN_ARTIFACT_NONE] = API_KERNEL_PENDING,
	[PLAN_ARTIFACT_WAITING] = API_KERNEL_PENDING,
	[PLAN_ARTIFACT_BUILDING] = API_KERNEL_BUILDING,
	[PLAN_ARTIFACT_UNSIGNED] = API_KERNEL_PENDING,
	[PLAN_ARTIFACT_READY] = API_KERNEL_READY,
	[PLAN_ARTIFACT_FAILED] = API_KERNEL_FAILED,
	[PLAN_ARTIFACT_NOT_APPLICABLE] = API_KERNEL_NOT_APPLICABLE,
};

/* A failure that is tried again stays one, with its reason, until the outcome is another. */
static bool is_retry(const struct plan_pair *p)
{
	return p->artifact == PLAN_ARTIFACT_BUILDING && p->failure.reason != REASON_NONE;
}

struct maker {
	struct arena *a;
	const struct plan_input *in;
	uint64_t now_us;
	struct plan *p;
};

static void act(struct maker *m, enum plan_verb verb, size_t driver, size_t kernel)
{
	m->p->actions[m->p->n_actions++] = (struct plan_action){
		.verb = verb, .driver = driver, .kernel = kernel
	};
}

/* True when the step may be tried now; remembers when it may be otherwise. */
static bool is_due(struct maker *m, const struct plan_failure *f)
{
	if (f->reason == REASON_NONE || f->retry_at_us <= m->now_us)
		return true;
	m->p->wake_at_us = MIN(m->p->wake_at_us, f->retry_at_us);
	return false;
}

static void say(struct maker *m, size_t driver, enum api_driver_state state,
	enum reason reason, const char *message)
{
	m->p->drivers[driver] = (struct plan_say){
		.state = state, .reason = reason, .message = message
	};
}

const char *plan_built_key(const struct plan_pair *p)
{
	return p->unsigned_key ? p->unsigned_key : p->key;
}

static size_t count_loaded(const struct plan_driver *d)
{
	size_t n = 0;

	for (size_t i = 0; i < d->n_modules; i++)
		n += d->modules[i].is_loaded;
	return n;
}

bool plan_is_same_build(const struct plan_driver *d, const struct plan_pair *running)
{
	/* Equal srcversions are equal sources, not equal builds: our note of this boot, where there
	 * is one, names the very artifact. */
	bool is_noted_otherwise = d->loaded_key && running->key &&
				  !streq(d->loaded_key, running->key);

	for (size_t i = 0; i < d->n_modules; i++) {
		const struct plan_module *m = &d->modules[i];

		if (!m->is_loaded)
			continue;
		if (is_noted_otherwise ||
			(!str_empty(m->srcversion) && !str_empty(m->wanted_srcversion) &&
				!streq(m->srcversion, m->wanted_srcversion)))
			return false;
	}
	return true;
}

static void plan_unload(struct maker *m, size_t di)
{
	const struct plan_driver *d = &m->in->drivers[di];

	if (count_loaded(d) > 0) {
		if (is_due(m, &d->load))
			act(m, PLAN_UNLOAD, di, SIZE_MAX);
		if (d->load.reason != REASON_NONE)
			say(m, di, API_DRIVER_FAILED, d->load.reason, d->load.message);
		else
			say(m, di, API_DRIVER_PENDING, REASON_NONE, "to be unloaded");
		return;
	}
	say(m, di, API_DRIVER_UNLOADED, REASON_NONE, NULL);
}

static void say_loaded(struct maker *m, size_t di)
{
	const struct plan_driver *d = &m->in->drivers[di];

	if (d->bound >= d->devices)
		say(m, di, API_DRIVER_LOADED, REASON_NONE, NULL);
	else if (d->is_settling)
		say(m, di, API_DRIVER_PENDING, REASON_NONE,
			"waiting for devices to bind");
	else if (d->unbound_driver)
		say(m, di, API_DRIVER_FAILED, REASON_IN_TREE_CONFLICT,
			arena_fmt(m->a,
				"%lld of %lld devices are not bound, %s has driver '%s'",
				(long long)(d->devices - d->bound), (long long)d->devices,
				d->unbound ? d->unbound : "?", d->unbound_driver));
	else
		say(m, di, API_DRIVER_FAILED, REASON_DRIVER_NOT_BOUND,
			arena_fmt(m->a, "%lld of %lld devices are not bound, %s is one",
				(long long)(d->devices - d->bound), (long long)d->devices,
				d->unbound ? d->unbound : "?"));
}

/* The running kernel, artifact there: load, replace, or leave alone. */
static void plan_ready(struct maker *m, size_t di, size_t ki)
{
	const struct plan_driver *d = &m->in->drivers[di];
	size_t loaded = count_loaded(d);
	bool may_act = !d->paused && is_due(m, &d->load);
	bool is_same = plan_is_same_build(d, &d->pairs[ki]);

	if (loaded > 0 && (!is_same || d->is_reload_needed)) {
		bool may_replace = d->proceed_generation == d->generation;

		if (may_replace && may_act)
			act(m, PLAN_REPLACE, di, ki);
		if (may_replace && d->load.reason != REASON_NONE)
			say(m, di, API_DRIVER_FAILED, d->load.reason, d->load.message);
		else
			say(m, di, API_DRIVER_UPGRADE_REQUIRED, REASON_NONE,
				is_same ? "it is loaded with other parameters than wanted"
					: "another build is loaded; the wanted one is staged");
		return;
	}
	if (loaded == d->n_modules) {
		say_loaded(m, di);
		return;
	}
	if (d->wants_device && d->devices == 0) {
		say(m, di, API_DRIVER_BUILT, REASON_DEVICE_ABSENT,
			"built and staged; no matching device is present");
		return;
	}
	if (may_act)
		act(m, PLAN_LOAD, di, ki);
	if (d->load.reason != REASON_NONE)
		say(m, di, API_DRIVER_FAILED, d->load.reason, d->load.message);
	else
		say(m, di, API_DRIVER_BUILT, REASON_NONE, NULL);
}

static void plan_running(struct maker *m, size_t di, size_t ki)
{
	const struct plan_driver *d = &m->in->drivers[di];
	const struct plan_pair *p = &d->pairs[ki];

	if (p->artifact == PLAN_ARTIFACT_READY) {
		plan_ready(m, di, ki);
		return;
	}
	say(m, di, is_retry(p) ? API_DRIVER_FAILED : driver_state[p->artifact],
		p->failure.reason, p->failure.message);
}

/* Installing and removing what the host's own boot loads. */
static void plan_install(struct maker *m, size_t di, size_t ki)
{
	const struct plan_driver *d = &m->in->drivers[di];
	const struct plan_pair *p = &d->pairs[ki];

	if (d->paused || m->in->kernels[ki].is_bare)
		return;
	if (d->unload) {
		if (p->installed != PLAN_INSTALLED_NONE && is_due(m, &p->install))
			act(m, PLAN_UNINSTALL, di, ki);
	} else if (p->artifact == PLAN_ARTIFACT_READY &&
		   p->installed != PLAN_INSTALLED_SAME && is_due(m, &p->install)) {
		act(m, PLAN_INSTALL, di, ki);
	}
}

/* Another signature than that of what is ready is taken over as well. */
static void plan_sign(struct maker *m, size_t di, size_t ki)
{
	const struct plan_driver *d = &m->in->drivers[di];
	const struct plan_pair *p = &d->pairs[ki];

	if (!d->paused && !d->unload && p->sign_key && is_due(m, &p->sign))
		act(m, PLAN_SIGN, di, ki);
}

static void plan_build(struct maker *m, size_t di, size_t ki)
{
	const struct plan_driver *d = &m->in->drivers[di];
	const struct plan_pair *p = &d->pairs[ki];

	if (d->paused || d->unload || (!d->prebuild && !m->in->kernels[ki].is_running))
		return;
	if (p->artifact == PLAN_ARTIFACT_NONE ||
		(p->artifact == PLAN_ARTIFACT_FAILED && is_due(m, &p->failure)))
		act(m, PLAN_BUILD, di, ki);
	else if (p->artifact == PLAN_ARTIFACT_WAITING)
		(void)is_due(m, &p->failure); /* look again then */
}

/* A staged artifact counts for a kernel once its boot will find it, or when that cannot be had. */
static enum api_kernel_state say_kernel(
	const struct plan_driver *d, const struct plan_kernel *k, size_t ki)
{
	const struct plan_pair *p = &d->pairs[ki];

	if (p->artifact == PLAN_ARTIFACT_READY && !d->paused && !k->is_bare &&
		p->installed != PLAN_INSTALLED_SAME && p->install.reason == REASON_NONE)
		return API_KERNEL_BUILDING;
	return is_retry(p) ? API_KERNEL_FAILED : kernel_state[p->artifact];
}

/* Kernels in the order in which they matter: running, next, the others as given. */
static size_t *kernel_order(struct arena *a, const struct plan_input *in)
{
	size_t *order = arena_array(a, in->n_kernels + 1, sizeof(*order)), n = 0;

	if (!order)
		return NULL;
	for (int rank = 0; rank < 3; rank++)
		for (size_t k = 0; k < in->n_kernels; k++) {
			int r = in->kernels[k].is_running ? 0
				: in->kernels[k].is_next  ? 1
							  : 2;

			if (r == rank)
				order[n++] = k;
		}
	return order;
}

static void plan_all(struct maker *m, const size_t *order)
{
	const struct plan_input *in = m->in;
	bool is_wanted = false;

	for (size_t d = 0; d < in->n_drivers; d++) {
		say(m, d, API_DRIVER_PENDING, REASON_NONE,
			"the running kernel has no module folder");
		if (in->drivers[d].unload && !in->drivers[d].paused)
			plan_unload(m, d);
		else
			for (size_t k = 0; k < in->n_kernels; k++)
				if (in->kernels[k].is_running)
					plan_running(m, d, k);
	}
	for (size_t i = 0; i < in->n_kernels; i++)
		for (size_t d = 0; d < in->n_drivers; d++) {
			plan_sign(m, d, order[i]);
			plan_install(m, d, order[i]);
		}
	for (size_t d = 0; d < in->n_drivers; d++)
		for (size_t k = 0; k < in->n_kernels; k++)
			is_wanted |= in->drivers[d].pairs[k].artifact ==
					     PLAN_ARTIFACT_BUILDING &&
				     !in->drivers[d].unload;
	if (in->is_building && !is_wanted)
		act(m, PLAN_CANCEL, SIZE_MAX, SIZE_MAX);
	for (size_t i = 0; i < in->n_kernels; i++)
		for (size_t d = 0; d < in->n_drivers; d++) {
			plan_build(m, d, order[i]);
			m->p->kernels[d * in->n_kernels + order[i]] = say_kernel(
				&in->drivers[d], &in->kernels[order[i]], order[i]);
		}
}

static bool is_good(const struct maker *m, size_t di, size_t ki)
{
	enum api_kernel_state x = m->p->kernels[di * m->in->n_kernels + ki];

	return x == API_KERNEL_READY || x == API_KERNEL_NOT_APPLICABLE;
}

/* Good for every driver that may hold a reboot. */
static bool is_good_for_all(const struct maker *m, size_t ki)
{
	bool is_all = m->in->kernels[ki].has_image;

	for (size_t d = 0; d < m->in->n_drivers; d++)
		is_all &= m->in->drivers[d].unload || m->in->drivers[d].paused ||
			  m->in->drivers[d].on_unbuildable == API_UNBUILDABLE_WARN ||
			  is_good(m, d, ki);
	return is_all;
}

/* Where a driver asks for it and the kernel that would boot next is not good: the newest good one. */
static void plan_keep(struct maker *m)
{
	const struct plan_input *in = m->in;
	bool is_wanted = false, is_paused = false;
	size_t k = 0;

	for (size_t d = 0; d < in->n_drivers; d++) {
		const struct plan_driver *x = &in->drivers[d];

		if (x->on_unbuildable != API_UNBUILDABLE_KEEP || x->unload)
			continue;
		is_paused |= x->paused;
		for (size_t i = 0; !x->paused && i < in->n_kernels; i++)
			is_wanted |= in->kernels[i].is_next && !is_good(m, d, i);
	}
	while (is_wanted && k < in->n_kernels && !is_good_for_all(m, k))
		k++;
	if (is_wanted && k < in->n_kernels) {
		m->p->keep = k;
		if (!(in->kept && streq(in->kept, in->kernels[k].release)) &&
			is_due(m, &in->keep))
			act(m, PLAN_KEEP, SIZE_MAX, k);
	} else if (!is_wanted && !is_paused && in->is_keep_noted &&
		   is_due(m, &in->keep)) {
		act(m, PLAN_LET_GO, SIZE_MAX, SIZE_MAX);
	}
}

int plan_make(
	struct arena *a, const struct plan_input *in, uint64_t now_us, struct plan *ret)
{
	struct plan p = { .wake_at_us = UINT64_MAX, .keep = SIZE_MAX };
	struct maker m = { .a = a, .in = in, .now_us = now_us, .p = &p };
	size_t pairs = in->n_drivers * in->n_kernels;
	size_t *order = kernel_order(a, in);

	/* At most one of load/replace/unload a driver, sign, install and build a pair, one cancel, one
	 * about the boot loader. */
	p.actions = arena_array(a, in->n_drivers + 3 * pairs + 2, sizeof(*p.actions));
	p.drivers = arena_array(a, in->n_drivers + 1, sizeof(*p.drivers));
	p.kernels = arena_array(a, pairs + 1, sizeof(*p.kernels));
	if (!order || !p.actions || !p.drivers || !p.kernels)
		return -ENOMEM;
	plan_all(&m, order);
	plan_keep(&m);
	*ret = p;
	return 0;
}
