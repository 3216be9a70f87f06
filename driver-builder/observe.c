// SPDX-License-Identifier: Apache-2.0
/* Looks at everything anew each time; what is remembered only saves work. */
#include "observe_notes.h"

#include <limits.h>
#include <stdio.h>
#include <sys/utsname.h>

#include "boot.h"
#include "file.h"
#include "grub.h"
#include "hardware.h"
#include "headers.h"
#include "print.h"
#include "stage.h"

/* A kernel package's files arrive over some seconds, its headers often in another package. */
#define INCOMPLETE_GRACE_US (60 * USEC_PER_SEC)
#define SETTLE_US (10 * USEC_PER_SEC)

static void free_artifact(void *value)
{
	artifact_done(value);
	free(value);
}

int memory_init(struct memory *m, const struct env *env, struct err *e)
{
	*m = (struct memory){ .env = env };
	m->digests = boot_digests_new();
	m->artifacts = map_new(free_artifact);
	m->steps = map_new(free);
	m->seen_kernels = map_new(free);
	if (records_new(&m->records) < 0 || !m->digests || !m->artifacts || !m->steps ||
		!m->seen_kernels) {
		memory_done(m);
		return err_errno(e, -ENOMEM, "agent");
	}
	return 0;
}

void memory_done(struct memory *m)
{
	records_free(m->records);
	map_free(m->digests);
	share_done(&m->share);
	map_free(m->artifacts);
	map_free(m->steps);
	map_free(m->seen_kernels);
	*m = (struct memory){ .env = NULL };
}

static void step_name(
	char out[400], const char *what, const char *driver, const char *kernel)
{
	(void)snprintf(out, 400, "%s %s%s%s", what, driver, kernel ? " " : "",
		kernel ? kernel : "");
}

struct step *memory_step(
	const struct memory *m, const char *what, const char *driver, const char *kernel)
{
	char name[400];

	step_name(name, what, driver, kernel);
	return map_get(m->steps, name);
}

struct step *memory_step_new(
	struct memory *m, const char *what, const char *driver, const char *kernel)
{
	struct step *s = memory_step(m, what, driver, kernel);
	char name[400];

	if (s)
		return s;
	s = calloc(1, sizeof(*s));
	step_name(name, what, driver, kernel);
	return s && map_set(m->steps, name, s) == 0 ? s : NULL;
}

/* Are the files still those of the manifest? */
static bool is_whole(struct memory *m, const struct artifact *a)
{
	char path[PATH_MAX], digest[DIGEST_HEX + 1];

	for (size_t i = 0; i < a->modules_n; i++)
		if (path_join(path, sizeof(path), a->dir, a->modules[i].file, NULL) < 0 ||
			boot_digest(m->digests, path, digest) < 0 ||
			!streq(digest, a->modules[i].sha256))
			return false;
	return true;
}

const struct artifact *memory_artifact(struct memory *m, const char *key)
{
	struct artifact *a = map_get(m->artifacts, key);

	if (a && is_whole(m, a))
		return a;
	(void)map_del(m->artifacts, key);
	a = calloc(1, sizeof(*a));
	if (!a)
		return NULL;
	if (store_get(m->env->state, key, a, NULL) < 0) {
		free(a);
		return NULL;
	}
	return map_set(m->artifacts, key, a) == 0 ? a : NULL;
}

void seen_done(struct seen *s)
{
	kernels_done(&s->kernels);
}

struct plan_failure observe_failure(
	const struct step *s, const char *key, int64_t generation)
{
	if (!s || s->reason == REASON_NONE || s->generation != generation ||
		!streq(s->key, key ? key : ""))
		return (struct plan_failure){ REASON_NONE, NULL, 0 };
	return (struct plan_failure){ s->reason, s->message, s->retry_us };
}

/* Headers may still be on their way: how long has this kernel been seen without them? */
static bool is_in_grace(struct memory *m, const char *release, uint64_t now_us)
{
	uint64_t *first = map_get(m->seen_kernels, release);

	if (!first) {
		first = malloc(sizeof(*first));
		if (first)
			*first = now_us;
		if (!first || map_set(m->seen_kernels, release, first) < 0)
			return true;
	}
	return now_us < *first + INCOMPLETE_GRACE_US;
}

static void look_incomplete(struct memory *m, struct arena *a, const struct kernel *k,
	uint64_t now_us, struct plan_pair *p)
{
	bool is_waiting = is_in_grace(m, k->release, now_us);

	p->artifact = is_waiting ? PLAN_ARTIFACT_WAITING : PLAN_ARTIFACT_FAILED;
	p->failure.reason = REASON_HEADERS_MISSING;
	p->failure.message = arena_fmt(a, "headers of '%s' are not complete: %s",
		k->release, k->missing ? k->missing : kernel_install_names[k->install]);
	/* A new look finds them; nothing has to be tried. */
	p->failure.retry_at_us = is_waiting ? now_us + 5 * USEC_PER_SEC : UINT64_MAX;
}

/* With headers of its own, or those of archives that the spec names; a host that is about to have its own
 * is waited for. */
static bool is_buildable(struct memory *m, const struct api_build *b,
	const struct kernel *k, uint64_t now_us)
{
	if (k->install == KERNEL_NO_HEADERS || k->install == KERNEL_HEADERS_PARTIAL)
		return headers_named(b, k->release) &&
		       (k->install == KERNEL_NO_HEADERS ||
			       !is_in_grace(m, k->release, now_us));
	return k->install == KERNEL_COMPLETE;
}

static void look_artifact(struct memory *m, struct arena *a, const struct list *drivers,
	const struct api_node_driver *d, const struct kernel *k, const struct print *now,
	uint64_t now_us, struct plan_pair *p)
{
	const struct record *rec = records_get(m->records, d->name, k->release);
	bool is_current = rec && records_is_current(rec, now) &&
			  observe_depends(m, drivers, rec);

	if (is_current && rec->reason == REASON_NONE && memory_artifact(m, rec->key)) {
		p->artifact = PLAN_ARTIFACT_READY;
		p->key = arena_strdup(a, rec->key);
		p->build_seconds = rec->build_seconds;
	} else if (is_current && rec->reason == REASON_NONE && *rec->signed_key &&
		   memory_artifact(m, rec->signed_key)) {
		/* What was signed does not need what it was signed from. */
		p->artifact = PLAN_ARTIFACT_READY;
		p->key = arena_strdup(a, rec->key);
	} else if (m->is_building && streq(m->build_driver, d->name) &&
		   streq(m->build_kernel, k->release) &&
		   memcmp(&m->build_print, now, sizeof(*now)) == 0) {
		p->artifact = PLAN_ARTIFACT_BUILDING;
		if (is_current && rec->reason != REASON_NONE)
			p->failure = (struct plan_failure){ rec->reason,
				arena_strdup(a, rec->message), 0 };
	} else if (!is_buildable(m, &d->spec.build, k, now_us)) {
		look_incomplete(m, a, k, now_us, p);
	} else if (is_current && rec->reason != REASON_NONE) {
		p->artifact = rec->reason == REASON_NOT_FOR_THIS_KERNEL
				      ? PLAN_ARTIFACT_NOT_APPLICABLE
				      : PLAN_ARTIFACT_FAILED;
		p->key = *rec->key ? arena_strdup(a, rec->key) : NULL;
		p->failure = (struct plan_failure){ rec->reason,
			arena_strdup(a, rec->message), rec->retry_us };
	} else {
		p->artifact = PLAN_ARTIFACT_NONE;
	}
	if (k->install == KERNEL_COMPLETE)
		(void)map_del(m->seen_kernels, k->release);
	if (p->artifact == PLAN_ARTIFACT_READY &&
		d->spec.signing.mode == API_SIGNING_EXTERNAL)
		observe_signed(m, a, d, k->release, p);
}

/* @is_listed: the host's boot shall load it by name, because its device is here. */
static void look_installed(struct memory *m, struct arena *a,
	const struct api_node_driver *d, const struct kernel *k, bool is_listed,
	struct plan_pair *p)
{
	const struct artifact *art;

	p->install_key = p->artifact == PLAN_ARTIFACT_READY
				 ? arena_strdup(a, observe_install_key(m, d->name,
							   k->release, p->key))
				 : NULL;
	art = p->install_key ? memory_artifact(m, p->install_key) : NULL;
	if (art)
		p->installed = boot_check(m->env->root, k->release, art, m->digests);
	else if (boot_has_any(m->env->root, k->release, &d->spec.modules))
		p->installed = PLAN_INSTALLED_OTHER;
	if (p->installed == PLAN_INSTALLED_SAME && is_listed &&
		!boot_has_config(a, m->env->root, d->name, &d->spec.modules))
		p->installed = PLAN_INSTALLED_OTHER;
	p->install = observe_failure(memory_step(m, "install", d->name, k->release),
		p->install_key, d->generation);
}

static bool is_module_of(const struct list *modules, const char *name)
{
	const struct api_module *m = modules->items;

	for (size_t i = 0; i < modules->n; i++) {
		const char *a = m[i].name, *b = name;

		while (*a && (*a == *b || (*a == '-' && *b == '_')))
			a++, b++;
		if (!*a && !*b)
			return true;
	}
	return false;
}

static bool is_bound_to(
	const struct api_node_driver *d, const struct hardware_device *dev)
{
	return is_module_of(&d->spec.modules, dev->driver_module) ||
	       is_module_of(&d->spec.modules, dev->driver);
}

static void look_devices(const struct api_node_driver *d, const struct list *devices,
	struct plan_driver *ret)
{
	const struct hardware_device *dev = devices->items;

	for (size_t i = 0; i < devices->n; i++) {
		if (!hardware_match_any(&d->spec.devices, &dev[i]))
			continue;
		ret->devices++;
		if (is_bound_to(d, &dev[i])) {
			ret->bound++;
		} else if (!ret->unbound || (!ret->unbound_driver && *dev[i].driver)) {
			ret->unbound = dev[i].address;
			ret->unbound_driver = *dev[i].driver ? dev[i].driver : NULL;
		}
	}
}

int devices_bound(struct arena *a, const struct api_node_driver *d,
	const struct list *devices, struct list *ret)
{
	const struct hardware_device *dev = devices->items;
	const char **out = arena_array(a, devices->n + 1, sizeof(*out));
	size_t n = 0;

	if (!out)
		return -ENOMEM;
	for (size_t i = 0; i < devices->n; i++)
		if (hardware_match_any(&d->spec.devices, &dev[i]) &&
			is_bound_to(d, &dev[i]))
			out[n++] = dev[i].address;
	*ret = (struct list){ out, n };
	return 0;
}

static int look_modules(struct memory *m, struct arena *a,
	const struct api_node_driver *d, const struct plan_pair *running,
	struct plan_driver *ret, struct err *e)
{
	const struct artifact *art = running && running->artifact == PLAN_ARTIFACT_READY
					     ? memory_artifact(m, running->key)
					     : NULL;
	const struct api_module *spec = d->spec.modules.items;

	ret->n_modules = d->spec.modules.n;
	ret->modules = arena_array(a, ret->n_modules + 1, sizeof(*ret->modules));
	if (!ret->modules)
		return err_errno(e, -ENOMEM, "modules");
	for (size_t i = 0; i < ret->n_modules; i++) {
		struct plan_module *out = &ret->modules[i];
		const struct artifact_module *am = art ? artifact_find(art, spec[i].name)
						       : NULL;
		struct hardware_module h;
		int r;

		r = hardware_module(a, m->env->sys, spec[i].name, &h, e);
		if (r < 0)
			return r;
		*out = (struct plan_module){ .name = spec[i].name,
			.is_loaded = h.is_loaded,
			.srcversion = h.srcversion,
			.wanted_srcversion = am ? arena_strdup(a, am->srcversion)
						: NULL };
		if (h.version && !ret->loaded_version)
			ret->loaded_version = h.version;
	}
	return 0;
}

/* What our notes add to what the kernel says. */
static void look_notes(struct memory *m, struct arena *a, const struct seen *s,
	const struct plan_pair *running, const char *wanted, uint64_t now_us,
	struct plan_driver *d)
{
	const struct note *n = records_note(m->records, d->name);
	const struct step *load = memory_step(m, "load", d->name, NULL);
	bool is_of_boot = n && *s->boot_id && streq(n->boot_id, s->boot_id);

	if (is_of_boot && *n->key)
		d->loaded_key = arena_strdup(a, n->key);
	d->is_reload_needed = is_of_boot && !streq(n->parameters, NOTE_UNKNOWN) &&
			      !streq(n->parameters, wanted);
	/* The host's boot or a person may have loaded it as well: the kernel's word comes first. */
	if (running && running->artifact == PLAN_ARTIFACT_READY &&
		plan_is_same_build(d, running))
		d->loaded_version = d->version;
	else if (is_of_boot)
		d->loaded_version = arena_strdup(a, n->version);
	if (!is_of_boot)
		observe_boot(m, a, s, running, d);
	d->is_settling = load && load->done_us && now_us >= load->done_us &&
			 now_us < load->done_us + SETTLE_US;
	d->load = observe_failure(
		load, d->unload || !running ? NULL : running->key, d->generation);
}

/* Whether @d wants a build for the kernel @release that is not installed here. */
static bool wants_extra(const struct api_node_driver *d, const char *release)
{
	const char *const *extra = d->spec.build.extra_kernels.items;

	for (size_t i = 0; i < d->spec.build.extra_kernels.n; i++)
		if (streq(extra[i], release))
			return true;
	return false;
}

static int look_driver(struct memory *m, struct arena *a, struct seen *s, size_t di,
	uint64_t now_us, struct err *e)
{
	const struct api_node_driver *d = &(
		(const struct api_node_driver *)s->desired->drivers.items)[di];
	struct plan_driver *out = &s->in.drivers[di];
	const struct plan_pair *running = NULL;
	int r;

	*out = (struct plan_driver){
		.name = d->name,
		.version = d->spec.version,
		.generation = d->generation,
		.proceed_generation = d->proceed_generation,
		.unload = d->unload,
		.paused = d->spec.paused,
		.prebuild = !d->spec.build.present || d->spec.build.prebuild,
		.wants_device = d->spec.devices.n > 0,
		.on_unbuildable = d->spec.on_unbuildable,
	};
	out->pairs = arena_array(a, s->in.n_kernels + 1, sizeof(*out->pairs));
	if (!out->pairs)
		return err_errno(e, -ENOMEM, "driver '%s'", d->name);
	look_devices(d, &s->devices, out);
	for (size_t k = 0; k < s->in.n_kernels; k++) {
		struct print *now = &s->prints[di * s->in.n_kernels + k];

		if (s->pick[k]->is_extra && !wants_extra(d, s->pick[k]->release)) {
			out->pairs[k].artifact = PLAN_ARTIFACT_NOT_APPLICABLE;
			continue;
		}
		r = print_make(m->env->root, &d->spec, s->pick[k], now);
		if (r < 0)
			return err_errno(e, r, "driver '%s'", d->name);
		if (m->is_lost && !records_get(m->records, d->name, s->pick[k]->release))
			observe_adopt(m, d, s->pick[k], now);
		look_artifact(m, a, &s->desired->drivers, d, s->pick[k], now, now_us,
			&out->pairs[k]);
		r = share_look(&m->share, a, &s->desired->builds, d, s->pick[k]->release,
			now_us, &out->pairs[k]);
		if (r < 0)
			return err_errno(e, r, "driver '%s'", d->name);
		look_installed(m, a, d, s->pick[k],
			d->spec.devices.n == 0 || out->devices > 0, &out->pairs[k]);
		if (s->in.kernels[k].is_running)
			running = &out->pairs[k];
	}
	/* What no module can be given is said when it is loaded. */
	if (stage_parameters(a, &d->spec.modules, &s->parameters[di]) < 0)
		s->parameters[di] = NOTE_UNKNOWN;
	r = look_modules(m, a, d, running, out, e);
	if (r == 0)
		look_notes(m, a, s, running, s->parameters[di], now_us, out);
	return r < 0 ? err_wrap(e, r, "driver '%s'", d->name) : 0;
}

/* What cannot be a kernel is left out: it must not keep the others from being looked after. */
static int add_extra(struct memory *m, struct seen *s, struct err *e)
{
	const struct api_node_driver *d = s->desired->drivers.items;

	for (size_t i = 0; i < s->desired->drivers.n; i++) {
		const char *const *extra = d[i].spec.build.extra_kernels.items;

		for (size_t k = 0; k < d[i].spec.build.extra_kernels.n; k++)
			if (kernels_add_extra(&s->kernels, m->env->root, extra[k], e) ==
				-ENOMEM)
				return -ENOMEM;
	}
	return 0;
}

static int pick_kernels(struct arena *a, struct seen *s)
{
	struct kernel *bare = arena_alloc(a, sizeof(*bare));

	s->pick = arena_array(a, s->kernels.n + 2, sizeof(*s->pick));
	s->in.kernels = arena_array(a, s->kernels.n + 2, sizeof(*s->in.kernels));
	if (!s->pick || !s->in.kernels || !bare)
		return -ENOMEM;
	for (size_t i = 0; i < s->kernels.n; i++) {
		const struct kernel *k = &s->kernels.items[i];

		/* Without modules it is a left-over or not yet there; the running one always counts. */
		if (k->install == KERNEL_NO_MODULES && !k->is_running)
			continue;
		s->pick[s->in.n_kernels] = k;
		s->in.kernels[s->in.n_kernels++] = (struct plan_kernel){ k->release,
			k->is_running, k->is_next, k->is_extra, k->has_image };
	}
	if (kernels_running(&s->kernels) || !*s->running)
		return 0;
	/* It runs, so it is there: a kernel without modules, or one whose package was removed. */
	bare->install = KERNEL_NO_MODULES;
	bare->is_running = true;
	(void)snprintf(bare->release, sizeof(bare->release), "%s", s->running);
	bare->missing = arena_fmt(a, "no folder '/lib/modules/%s'", s->running);
	s->pick[s->in.n_kernels] = bare;
	s->in.kernels[s->in.n_kernels++] = (struct plan_kernel){ bare->release, true,
		false, true, false };
	return 0;
}

static void look_boot(
	struct memory *m, struct arena *a, const struct desired *d, struct plan_input *in)
{
	const struct api_node_driver *x = d->drivers.items;
	const struct step *st = memory_step(m, "keep", "", NULL);
	bool is_asked = false;

	in->is_keep_noted = grub_is_noted(m->env->state);
	for (size_t i = 0; i < d->drivers.n; i++)
		is_asked |= x[i].spec.on_unbuildable == API_UNBUILDABLE_KEEP;
	if (is_asked || in->is_keep_noted)
		in->kept = grub_kept(a, m->env->root, m->env->state);
	if (st && st->reason != REASON_NONE)
		in->keep = (struct plan_failure){ st->reason, st->message, st->retry_us };
}

int observe(struct memory *m, struct arena *a, const struct desired *d, uint64_t now_us,
	struct seen *ret, struct err *e)
{
	struct seen s = { .desired = d };
	struct utsname u;
	int r;

	hardware_boot_id(s.boot_id);
	(void)snprintf(
		s.running, sizeof(s.running), "%s", uname(&u) == 0 ? u.release : "");
	r = kernels_scan(m->env->root, &s.kernels, e);
	if (r == 0)
		r = add_extra(m, &s, e);
	if (r < 0) {
		seen_done(&s);
		return err_wrap(e, r, "kernels");
	}
	r = pick_kernels(a, &s);
	if (r == 0)
		r = hardware_scan(a, m->env->sys, &s.devices, e);
	s.in.n_drivers = d->drivers.n;
	s.in.drivers = arena_array(a, d->drivers.n + 1, sizeof(*s.in.drivers));
	s.parameters = arena_array(a, d->drivers.n + 1, sizeof(*s.parameters));
	s.prints = arena_array(a, d->drivers.n * s.in.n_kernels + 1, sizeof(*s.prints));
	s.in.is_building = m->is_building;
	look_boot(m, a, d, &s.in);
	if (r == 0 && (!s.in.drivers || !s.prints || !s.parameters))
		r = err_errno(e, -ENOMEM, "observe");
	for (size_t i = 0; r == 0 && i < d->drivers.n; i++)
		r = look_driver(m, a, &s, i, now_us, e);
	if (r < 0) {
		seen_done(&s);
		return r;
	}
	*ret = s;
	return 0;
}
