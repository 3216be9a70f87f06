// SPDX-License-Identifier: Apache-2.0
/* Builds, writes and reads the node's status. */
#include "status.h"

#include <limits.h>
#include <stdio.h>

#include "cond.h"
#include "file.h"
#include "hardware.h"
#include "kube.h"

struct maker {
	struct arena *a;
	const struct seen *s;
	const struct plan *p;
	struct api_node_status *st;
	enum reason worst;
	const char *worst_message;
	bool is_failed, is_busy, is_degraded;
};

static const char *message_of(struct maker *m, const char *driver, const char *kernel,
	enum reason reason, const char *text)
{
	const char *remedy = reason_remedy(reason);

	return arena_fmt(m->a, "%s%s%s%s%s%s%s", driver, kernel ? " for " : "",
		kernel ? kernel : "", str_empty(text) ? "" : ": ", text ? text : "",
		*remedy ? "; " : "", remedy);
}

/* The first failure told stays: they are told in the order of their weight. */
static void worst(struct maker *m, const char *driver, const char *kernel,
	enum reason reason, const char *text)
{
	if (m->worst != REASON_NONE || reason == REASON_NONE)
		return;
	m->worst = reason;
	m->worst_message = message_of(m, driver, kernel, reason, text);
}

static int add_driver(struct maker *m, size_t di, struct api_node_driver_status *out)
{
	const struct plan_driver *d = &m->s->in.drivers[di];
	const struct plan_say *say = &m->p->drivers[di];
	bool is_any_loaded = false, is_awaiting = false;

	*out = (struct api_node_driver_status){
		.name = d->name,
		.generation = d->generation,
		.state = (int)say->state,
		.version = d->version,
		.reason = reason_name(say->reason),
		.message = say->message ? say->message : "",
		.devices = d->devices,
		.bound = d->bound,
	};
	for (size_t k = 0; k < m->s->in.n_kernels; k++)
		if (m->s->in.kernels[k].is_running) {
			out->artifact = plan_built_key(&d->pairs[k]);
			is_awaiting = d->pairs[k].artifact == PLAN_ARTIFACT_UNSIGNED;
		}
	for (size_t i = 0; i < d->n_modules; i++) {
		is_any_loaded |= d->modules[i].is_loaded;
		if (d->modules[i].is_loaded && !out->srcversion)
			out->srcversion = d->modules[i].srcversion;
	}
	out->loaded_version = is_any_loaded ? d->loaded_version : NULL;
	if (say->state == API_DRIVER_FAILED) {
		m->is_failed = true;
		worst(m, d->name, NULL, say->reason, say->message);
	}
	/* No failure, but somebody has to do something. */
	if (is_awaiting && say->state == API_DRIVER_PENDING)
		worst(m, d->name, NULL, say->reason, say->message);
	m->is_busy |= say->state == API_DRIVER_BUILDING ||
		      say->state == API_DRIVER_PENDING;
	if (!d->unload) {
		m->st->drivers_desired++;
		m->st->drivers_ready += say->state == API_DRIVER_LOADED ||
					(say->state == API_DRIVER_BUILT &&
						say->reason == REASON_DEVICE_ABSENT);
	}
	return 0;
}

static int add_kernel(struct maker *m, size_t ki, struct api_node_kernel *out)
{
	const struct plan_kernel *k = &m->s->in.kernels[ki];
	struct api_node_kernel_driver *d = arena_array(
		m->a, m->s->in.n_drivers + 1, sizeof(*d));
	size_t n = 0;

	if (!d)
		return -ENOMEM;
	for (size_t i = 0; i < m->s->in.n_drivers; i++) {
		const struct plan_driver *pd = &m->s->in.drivers[i];
		const struct plan_pair *p = &pd->pairs[ki];
		const struct plan_failure *f = p->failure.reason != REASON_NONE
						       ? &p->failure
						       : &p->install;
		enum api_kernel_state state = m->p->kernels[i * m->s->in.n_kernels + ki];

		if (pd->unload)
			continue;
		d[n++] = (struct api_node_kernel_driver){
			.name = pd->name,
			.state = (int)state,
			.reason = reason_name(f->reason),
			.message = f->message ? f->message : "",
			.artifact = plan_built_key(p),
			.build_seconds = p->build_seconds,
			.generation = pd->generation,
			.digest = p->digest,
			.unsigned_digest = p->unsigned_digest,
		};
		m->is_busy |= state == API_KERNEL_BUILDING;
		if (p->artifact == PLAN_ARTIFACT_UNSIGNED && k->is_next && !k->is_running)
			worst(m, pd->name, k->release, f->reason, f->message);
		if (state == API_KERNEL_FAILED && k->is_next && !k->is_running) {
			m->is_degraded = true;
			worst(m, pd->name, k->release, f->reason, f->message);
		}
	}
	*out = (struct api_node_kernel){ .release = k->release,
		.running = k->is_running,
		.next = k->is_next,
		.drivers = { d, n } };
	return 0;
}

/* Flat columns about the kernel that a reboot would start, when it is another one. */
static void say_next(struct maker *m)
{
	const struct plan_input *in = &m->s->in;

	m->st->next_kernel = "";
	m->st->next_kernel_state = "";
	for (size_t k = 0; k < in->n_kernels; k++) {
		const char *state = "Ready";

		if (!in->kernels[k].is_next || in->kernels[k].is_running)
			continue;
		for (size_t d = 0; d < in->n_drivers; d++) {
			enum api_kernel_state x = m->p->kernels[d * in->n_kernels + k];

			if (in->drivers[d].unload || x == API_KERNEL_READY ||
				x == API_KERNEL_NOT_APPLICABLE)
				continue;
			if (x == API_KERNEL_FAILED)
				state = "Failed";
			else if (!streq(state, "Failed"))
				state = "Building";
		}
		m->st->next_kernel = in->kernels[k].release;
		m->st->next_kernel_state = in->n_drivers > 0 ? state : "";
	}
}

static int add_devices(struct maker *m)
{
	const struct hardware_device *h = m->s->devices.items;
	const struct api_node_driver *d = m->s->desired->drivers.items;
	struct api_node_device *out = arena_array(
		m->a, m->s->devices.n + 1, sizeof(*out));
	size_t n = 0;

	if (!out)
		return -ENOMEM;
	for (size_t i = 0; i < m->s->devices.n; i++) {
		bool is_wanted = false;

		for (size_t k = 0; k < m->s->desired->drivers.n; k++)
			is_wanted |= hardware_match_any(&d[k].spec.devices, &h[i]);
		if (is_wanted)
			out[n++] = (struct api_node_device){
				.id = h[i].address,
				.bus = "PCI",
				.vendor = h[i].vendor,
				.device = h[i].device,
				.driver = h[i].driver,
				.numa_node = h[i].numa_node,
				.pcie_root = h[i].root,
				.health = "",
				.resource_name = "",
				.class_name = "",
				.reason = "",
			};
	}
	m->st->devices = (struct list){ out, n };
	return 0;
}

static int add_conditions(struct maker *m, const struct list *old, uint64_t now_us)
{
	struct list *c = &m->st->conditions;
	int64_t gen = m->s->desired->generation;
	bool is_ready = m->st->drivers_ready == m->st->drivers_desired &&
			m->s->desired->errors.n == 0;
	/* A driver that failed and waits for its next try is stalled, not busy. */
	bool is_stalled = !is_ready && (m->is_failed || m->s->desired->errors.n > 0);
	const char *reason = m->worst != REASON_NONE ? reason_name(m->worst)
						     : "Progressing";
	const char *text = m->worst_message ? m->worst_message : "";
	char now[32];
	int r;

	kube_time(now_us, now);
	*c = *old;
	r = cond_set(m->a, c, "Ready", is_ready, is_ready ? "AllReady" : reason,
		is_ready ? "every wanted driver is ready" : text, gen, now);
	if (r == 0 && m->is_busy && !is_stalled)
		r = cond_set(m->a, c, "Reconciling", true, "Progressing", "", gen, now);
	else
		cond_remove(c, "Reconciling");
	if (r == 0 && is_stalled)
		r = cond_set(m->a, c, "Stalled", true, reason, text, gen, now);
	else
		cond_remove(c, "Stalled");
	if (r == 0)
		r = cond_set(m->a, c, "Degraded", m->is_degraded,
			m->is_degraded ? reason : "AsExpected",
			m->is_degraded ? text : "", gen, now);
	return r;
}

int status_make(struct arena *a, const struct seen *s, const struct plan *p,
	const struct list *old_conditions, uint64_t now_us, struct api_node_status *ret)
{
	struct api_node_status st = {
		.observed_generation = s->desired->generation,
		.boot_id = s->boot_id,
		.kernel = s->running,
		.agent_version = FARRIER_VERSION,
	};
	struct maker m = { .a = a, .s = s, .p = p, .st = &st };
	const struct desired_error *bad = s->desired->errors.items;
	struct api_node_driver_status *drivers = arena_array(
		a, s->in.n_drivers + 1, sizeof(*drivers));
	struct api_node_kernel *kernels = arena_array(
		a, s->in.n_kernels + 1, sizeof(*kernels));
	int r = drivers && kernels ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < s->desired->errors.n; i++)
		worst(&m, "manifest", NULL, bad[i].reason, bad[i].message);
	for (size_t i = 0; r == 0 && i < s->in.n_drivers; i++)
		r = add_driver(&m, i, &drivers[i]);
	for (size_t i = 0; r == 0 && i < s->in.n_kernels; i++)
		r = add_kernel(&m, i, &kernels[i]);
	if (r == 0)
		r = hardware_ids(a, &s->devices, &st.hardware);
	if (r == 0)
		r = add_devices(&m);
	if (r < 0)
		return r;
	st.drivers = (struct list){ drivers, s->in.n_drivers };
	st.kernels = (struct list){ kernels, s->in.n_kernels };
	say_next(&m);
	st.reason = reason_name(m.worst);
	st.message = m.worst_message ? m.worst_message : "";
	r = add_conditions(&m, old_conditions, now_us);
	if (r == 0)
		*ret = st;
	return r;
}

void status_merge_devices(struct arena *a, const char *run, struct list *devices)
{
	CLEANUP(freep) char *text = NULL;
	CLEANUP(json_freep) struct json *j = NULL;
	struct api_node_device *d = devices->items;
	const struct json *list;
	char path[PATH_MAX];
	size_t len;

	if (path_join(path, sizeof(path), run, "devices.json", NULL) < 0 ||
		file_read(path, STATUS_BYTES_MAX, &text, &len, NULL) < 0 ||
		json_parse(text, len, &j, NULL) < 0 || json_get_int(j, "version", 0) != 1)
		return;
	list = json_get(j, "devices");
	for (size_t i = 0; i < json_len(list); i++) {
		const struct json *x = json_at(list, i);
		const char *id = json_get_str(x, "id");

		for (size_t k = 0; id && k < devices->n; k++) {
			static const char none[] = "";
			const char *v;

			if (!streq(d[k].id, id))
				continue;
#define MERGE(field, key) \
	(v = json_get_str(x, key), d[k].field = v ? arena_strdup(a, v) : none)
			MERGE(health, "health");
			MERGE(resource_name, "resourceName");
			MERGE(class_name, "class");
			MERGE(reason, "reason");
#undef MERGE
		}
	}
}

static int status_path(char out[PATH_MAX], const char *run)
{
	return path_join(out, PATH_MAX, run, "status.json", NULL);
}

int status_write(const char *run, const struct json *status, struct err *e)
{
	CLEANUP(json_freep) struct json *j = json_copy(status);
	struct buf b CLEANUP(buf_done);
	char path[PATH_MAX];
	int r;

	buf_init(&b, STATUS_BYTES_MAX);
	r = j ? json_set_int(j, "version", STATUS_VERSION) : -ENOMEM;
	if (r == 0)
		r = json_print(j, true, &b);
	if (r == 0)
		r = buf_chr(&b, '\n');
	if (r == 0)
		r = status_path(path, run);
	if (r < 0)
		return err_errno(e, r, "status.json");
	return file_write_if_changed(path, b.data, b.len, 0644, e);
}

int status_read(const char *run, struct json **ret, struct err *e)
{
	CLEANUP(json_freep) struct json *j = NULL;
	CLEANUP(freep) char *text = NULL;
	char path[PATH_MAX];
	size_t len;
	int r;

	r = status_path(path, run);
	if (r == 0)
		r = file_read(path, STATUS_BYTES_MAX, &text, &len, e);
	if (r == 0)
		r = json_parse(text, len, &j, e);
	if (r < 0)
		return err_wrap(e, r, "'%s'", path);
	if (json_get_int(j, "version", 0) > STATUS_VERSION)
		return err_set(e, -EBADMSG, "'%s' is of a newer Farrier", path);
	*ret = TAKE(j);
	return 0;
}

void status_conditions(struct arena *a, const struct json *status, struct list *ret)
{
	const struct json *list = json_get(status, "conditions");
	struct api_condition *out = arena_array(a, json_len(list) + 1, sizeof(*out));
	size_t n = 0;

	for (size_t i = 0; out && i < json_len(list); i++) {
		memset(&out[n], 0, sizeof(out[n]));
		if (field_parse(a, api_condition_fields, json_at(list, i), &out[n],
			    NULL) == 0)
			n++;
	}
	*ret = (struct list){ out, n };
}

/* ---- for people ------------------------------------------------------------------------------ */

static const char *or_dash(const char *s)
{
	return str_empty(s) ? "-" : s;
}

static void text_reason(const struct json *x, const char *indent, struct buf *out)
{
	const char *reason = json_get_str(x, "reason"),
		   *message = json_get_str(x, "message");
	const char *remedy = reason ? reason_remedy(reason_from_name(reason)) : "";

	if (str_empty(reason) && str_empty(message))
		return;
	(void)buf_fmt(out, "%s%s%s%s\n", indent, reason ? reason : "",
		!str_empty(reason) && !str_empty(message) ? ": " : "",
		message ? message : "");
	/* The flat message has it already. */
	if (!str_empty(remedy) && !(message && strstr(message, remedy)))
		(void)buf_fmt(out, "%s-> %s\n", indent, remedy);
}

static void text_drivers(const struct json *list, struct buf *out)
{
	(void)buf_fmt(out, "\n%-20s %-16s %-10s %-10s %s\n", "DRIVER", "STATE", "WANTED",
		"LOADED", "BOUND");
	for (size_t i = 0; i < json_len(list); i++) {
		const struct json *d = json_at(list, i);

		(void)buf_fmt(out, "%-20s %-16s %-10s %-10s %lld/%lld\n",
			or_dash(json_get_str(d, "name")),
			or_dash(json_get_str(d, "state")),
			or_dash(json_get_str(d, "version")),
			or_dash(json_get_str(d, "loadedVersion")),
			(long long)json_get_int(d, "bound", 0),
			(long long)json_get_int(d, "devices", 0));
		text_reason(d, "    ", out);
	}
}

static void text_kernels(const struct json *list, struct buf *out)
{
	(void)buf_fmt(out, "\n%-32s %-20s %s\n", "KERNEL", "DRIVER", "STATE");
	for (size_t i = 0; i < json_len(list); i++) {
		const struct json *k = json_at(list, i), *ds = json_get(k, "drivers");
		char name[128];

		(void)snprintf(name, sizeof(name), "%s%s%s",
			or_dash(json_get_str(k, "release")),
			json_get_bool(k, "running", false) ? " (running)" : "",
			json_get_bool(k, "next", false) ? " (next)" : "");
		if (json_len(ds) == 0)
			(void)buf_fmt(out, "%-32s %-20s %s\n", name, "-", "-");
		for (size_t x = 0; x < json_len(ds); x++) {
			const struct json *d = json_at(ds, x);

			(void)buf_fmt(out, "%-32s %-20s %s\n", x ? "" : name,
				or_dash(json_get_str(d, "name")),
				or_dash(json_get_str(d, "state")));
			text_reason(d, "    ", out);
		}
	}
}

int status_text(const struct json *status, struct buf *out)
{
	(void)buf_fmt(out, "kernel   %s\nnext     %s %s\ndrivers  %lld of %lld ready\n",
		or_dash(json_get_str(status, "kernel")),
		or_dash(json_get_str(status, "nextKernel")),
		json_get_str(status, "nextKernelState")
			? json_get_str(status, "nextKernelState")
			: "",
		(long long)json_get_int(status, "driversReady", 0),
		(long long)json_get_int(status, "driversDesired", 0));
	text_reason(status, "worst    ", out);
	text_drivers(json_get(status, "drivers"), out);
	text_kernels(json_get(status, "kernels"), out);
	return buf_ok(out);
}
