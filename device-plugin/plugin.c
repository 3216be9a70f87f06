// SPDX-License-Identifier: Apache-2.0
/* Ties the rooms together: inventory and classes become a snapshot, which is written and served. */
#include "plugin.h"

#include <stdio.h>

#include "cdi.h"
#include "explain.h"
#include "file.h"
#include "folder.h"
#include "links.h"
#include "log.h"
#include "service.h"

/* Events come in bursts: the first waits a moment for the others. */
static const uint64_t settle_us = 20 * USEC_PER_MSEC;
static const uint64_t poll_us = 5 * USEC_PER_SEC;
static const uint64_t stop_us = 1 * USEC_PER_SEC;
static const uint64_t stop_poll_us = 5 * USEC_PER_MSEC;

struct plugin {
	struct loop *loop;
	const struct plugin_options *o;
	struct inventory *inventory;
	struct classes *classes;
	struct folder *folders[CLASS_DIRS_MAX];
	struct metrics *metrics;
	struct metrics_server *server;
	struct service *service;
	struct snapshot *snapshot;
	struct topology topology;
	struct loop_source *timer; /* the next refresh */
	struct loop_source *stop_timer;
	uint64_t stop_at_us;
	bool is_stopping;
	bool is_ready; /* everything is written and served */
	char *last_error; /* of writing files, logged once */
};

/* ---- what is said ---- */
static const char *const explained_once =
	"see `farrier-device-plugin --explain`"; /* for messages that cannot say it all */

static void log_classes(const struct plugin *p)
{
	for (size_t i = 0; i < classes_files(p->classes); i++) {
		const struct class_file *f = classes_file(p->classes, i);

		if (f->error)
			log_event(LOG_ERROR, "class file is not good", "error", f->error,
				"inForce",
				f->n ? "its last good content" : "nothing of it", NULL);
	}
}

/* What people should know about classes that do nothing, or one device wanted by two. */
static void log_claims(const struct plugin *p)
{
	const struct snapshot *s = p->snapshot;

	for (size_t i = 0; i < classes_len(p->classes); i++) {
		const struct api_class *c = classes_at(p->classes, i);
		bool is_used = false;

		for (size_t k = 0; k < s->n_claims; k++)
			is_used |= s->claims[k].class_ == c;
		if (!is_used)
			log_event(LOG_WARN, "class matches no device here", "class",
				c->meta.name, "reason",
				reason_name(REASON_NO_MATCHING_DEVICES), NULL);
	}
	for (size_t k = 0; k < s->n_claims; k++)
		if (s->claims[k].rival)
			log_event(LOG_WARN, "two classes claim one device", "device",
				s->claims[k].device->id, "class",
				s->claims[k].class_->meta.name, "other",
				s->claims[k].rival->meta.name, "reason",
				reason_name(REASON_CONFLICT), "hint", explained_once,
				NULL);
	for (size_t i = 0; i < s->n_resources; i++)
		if (s->resources[i].is_mixed)
			log_event(LOG_WARN,
				"some devices have no NUMA node: those never satisfy a "
				"topology hint",
				"resource", s->resources[i].name, NULL);
}

/* Health of each device against the snapshot before; both are alive here, their classes are not. */
struct state {
	char id[DEVICE_ID_MAX];
	enum health health;
	enum reason reason;
};

static struct state *states_of(const struct snapshot *s, size_t *ret_n)
{
	struct state *a;

	*ret_n = s ? s->n_claims : 0;
	a = calloc(*ret_n + 1, sizeof(*a));
	for (size_t i = 0; a && i < *ret_n; i++) {
		memcpy(a[i].id, s->claims[i].device->id, sizeof(a[i].id));
		a[i].health = s->claims[i].health;
		a[i].reason = s->claims[i].reason;
	}
	return a;
}

/* True when the set of devices or classes changed, not only their health. */
static bool log_health(const struct plugin *p, const struct state *before, size_t n)
{
	const struct snapshot *s = p->snapshot;
	bool is_new = n != s->n_claims;

	for (size_t i = 0; i < s->n_claims; i++) {
		const struct claim *c = &s->claims[i];
		const struct state *was = NULL;

		for (size_t k = 0; k < n && !was; k++)
			if (streq(before[k].id, c->device->id))
				was = &before[k];
		is_new |= !was;
		if (was && was->health == c->health && was->reason == c->reason)
			continue;
		log_event(c->health == HEALTH_HEALTHY ? LOG_INFO : LOG_WARN, "device",
			"device", c->device->id, "class", c->class_->meta.name, "health",
			health_names[c->health], "reason",
			c->reason ? reason_name(c->reason) : NULL, "message",
			*c->text ? c->text : NULL, NULL);
	}
	return is_new;
}

/* ---- metrics ---- */
static void metric_device(struct plugin *p, const char *resource, const char *class_,
	enum health h, double v)
{
	struct buf labels;

	buf_init(&labels, 4096);
	(void)metrics_label(&labels, "resource", resource);
	(void)metrics_label(&labels, "class", class_);
	(void)metrics_label(&labels, "health", health_names[h]);
	if (buf_ok(&labels) == 0)
		(void)metrics_add(p->metrics, METRIC_GAUGE, "farrier_plugin_devices",
			buf_cstr(&labels), "Devices by class and health.", v);
	buf_done(&labels);
}

static void set_metrics(struct plugin *p)
{
	size_t bad = 0;

	metrics_clear(p->metrics, "farrier_plugin_devices");
	for (size_t i = 0; i < p->snapshot->n_claims; i++) {
		const struct claim *c = &p->snapshot->claims[i];

		metric_device(p, c->resource ? c->resource : "", c->class_->meta.name,
			c->health, 1);
	}
	for (size_t i = 0; i < classes_files(p->classes); i++)
		bad += classes_file(p->classes, i)->error != NULL;
	(void)metrics_set(p->metrics, METRIC_GAUGE, "farrier_plugin_class_files_bad",
		NULL, "Class files whose content is not good.", (double)bad);
	(void)metrics_set(p->metrics, METRIC_GAUGE, "farrier_plugin_classes", NULL,
		"Classes in force.", (double)classes_len(p->classes));
	metrics_clear(p->metrics, "farrier_plugin_registered");
	for (size_t i = 0; i < service_len(p->service); i++) {
		enum registration_state state = REGISTRATION_WAITING;
		const char *name = service_resource(p->service, i, &state);
		struct buf labels;

		buf_init(&labels, 4096);
		if (name && metrics_label(&labels, "resource", name) == 0)
			(void)metrics_set(p->metrics, METRIC_GAUGE,
				"farrier_plugin_registered", buf_cstr(&labels),
				"1 while the kubelet watches the resource.",
				state == REGISTRATION_DONE);
		buf_done(&labels);
	}
}

/* ---- looking and writing ---- */
static int look(struct plugin *p, struct err *e)
{
	struct snapshot_options so = { p->o->root, p->o->run_dir };
	struct snapshot *fresh = NULL;
	int r;

	r = inventory_scan(p->inventory, classes_buses(p->classes), e);
	if (r < 0)
		return r;
	topology_load(&p->topology, NULL);
	r = snapshot_new(&so, p->classes, p->inventory, &fresh, e);
	if (r < 0)
		return r;
	snapshot_free(p->snapshot);
	p->snapshot = fresh;
	return 0;
}

static int write_devices(const struct plugin *p, struct err *e)
{
	CLEANUP(json_freep) struct json *doc = NULL;
	char path[1024];
	struct buf text;
	int r;

	r = devices_json(p->snapshot, &doc);
	if (r == 0)
		r = path_join(path, sizeof(path), p->o->run_dir, "devices.json", NULL);
	if (r < 0)
		return err_errno(e, r, "devices.json");
	buf_init(&text, EXPLAIN_BYTES_MAX);
	r = json_print(doc, false, &text);
	if (r == 0)
		r = dir_make(p->o->run_dir, 0755, e);
	if (r == 0)
		r = file_write_if_changed(path, text.data, text.len, 0644, e);
	buf_done(&text);
	return r < 0 ? err_wrap(e, r, "devices.json") : 0;
}

static void note(struct plugin *p, int r, const struct err *e)
{
	if (r == 0) {
		free(TAKE(p->last_error));
		return;
	}
	if (p->last_error && streq(p->last_error, e->text))
		return;
	free(p->last_error);
	p->last_error = strdup(e->text);
	log_error(e, "cannot write", NULL);
}

/* CDI specs and links are there before anybody is told of the devices behind them. What cannot be
 * written is tried again at the next poll. */
static void act(struct plugin *p)
{
	struct err e = { 0 };
	int r;

	r = cdi_write(p->o->cdi_dir, p->snapshot, p->classes,
		!classes_have_errors(p->classes), &e);
	if (r == 0)
		r = links_write(p->o->run_dir, p->snapshot, &e);
	if (r == 0)
		r = write_devices(p, &e);
	note(p, r, &e);
	service_update(p->service, p->snapshot, &p->topology);
	set_metrics(p);
}

static int refresh(struct plugin *p, struct err *e)
{
	CLEANUP(freep) struct state *before = NULL;
	size_t n = 0;
	int changed, r;

	before = states_of(p->snapshot, &n);
	if (!before)
		return err_errno(e, -ENOMEM, "refresh");
	for (size_t i = 0; i < p->o->n_class_dirs; i++)
		(void)folder_check(p->folders[i]);
	changed = classes_load(p->classes, e);
	if (changed < 0)
		return changed;
	r = look(p, e);
	if (r < 0)
		return r;
	if (changed)
		log_classes(p);
	if (log_health(p, before, n) || changed)
		log_claims(p);
	act(p);
	return 0;
}

/* A refresh that fails leaves nothing to answer from: end, and be started again. */
static void on_refresh(void *user)
{
	struct plugin *p = user;
	struct err e = { 0 };

	if (p->is_stopping)
		return;
	if (refresh(p, &e) < 0) {
		log_error(&e, "refresh failed", NULL);
		loop_exit(p->loop, 1);
		return;
	}
	loop_timer_set(p->timer, loop_now(p->loop) + poll_us);
}

static void on_change(void *user)
{
	struct plugin *p = user;

	loop_timer_set(p->timer, loop_now(p->loop) + settle_us);
}

static bool is_ready(void *user)
{
	return ((struct plugin *)user)->is_ready;
}

/* ---- life ---- */
static int plugin_look_only(
	const struct plugin_options *o, struct plugin **ret, struct err *e)
{
	CLEANUP(plugin_freep) struct plugin *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return err_errno(e, -ENOMEM, "plugin");
	p->o = o;
	r = inventory_new(NULL, &p->inventory, e);
	if (r == 0)
		r = classes_new(o->class_dirs, o->n_class_dirs, &p->classes, e);
	if (r < 0)
		return r;
	*ret = TAKE(p);
	return 0;
}

static int start(struct plugin *p, struct err *e)
{
	struct service_options so = { .kubelet_dir = p->o->kubelet_dir };
	struct err udev = { 0 };
	int r;

	r = metrics_new(&p->metrics);
	if (r < 0)
		return err_errno(e, r, "metrics");
	if (p->o->metrics) {
		r = metrics_listen(p->loop, p->metrics, p->o->metrics, NULL, is_ready, p,
			&p->server, e);
		if (r < 0)
			return err_wrap(e, r, "metrics at '%s'", p->o->metrics);
	}
	if (inventory_watch(p->inventory, p->loop, on_change, p, &udev) < 0)
		log_error(&udev, "no kernel events: polling only", NULL);
	for (size_t i = 0; i < p->o->n_class_dirs; i++) {
		r = folder_new(
			p->loop, p->o->class_dirs[i], on_change, p, &p->folders[i], e);
		if (r < 0)
			return r;
	}
	so.metrics = p->metrics;
	r = service_new(p->loop, &so, &p->service, e);
	if (r < 0)
		return r;
	r = loop_timer(p->loop, loop_now(p->loop) + poll_us, on_refresh, p, &p->timer);
	return r < 0 ? err_errno(e, r, "plugin") : refresh(p, e);
}

int plugin_new(struct loop *l, const struct plugin_options *o, struct plugin **ret,
	struct err *e)
{
	CLEANUP(plugin_freep) struct plugin *p = NULL;
	int r;

	r = plugin_look_only(o, &p, e);
	if (r < 0)
		return r;
	p->loop = l;
	r = start(p, e);
	if (r < 0)
		return r;
	p->is_ready = true;
	*ret = TAKE(p);
	return 0;
}

void plugin_free(struct plugin *p)
{
	if (!p)
		return;
	service_free(p->service);
	for (size_t i = 0; i < CLASS_DIRS_MAX; i++)
		folder_free(p->folders[i]);
	loop_source_free(p->timer);
	loop_source_free(p->stop_timer);
	metrics_server_free(p->server);
	metrics_free(p->metrics);
	snapshot_free(p->snapshot);
	classes_free(p->classes);
	inventory_free(p->inventory);
	free(p->last_error);
	free(p);
}

static void on_stop_timer(void *user)
{
	struct plugin *p = user;
	uint64_t now = loop_now(p->loop);

	if (service_is_idle(p->service) || now >= p->stop_at_us)
		loop_exit(p->loop, 0);
	else
		loop_timer_set(p->stop_timer, now + stop_poll_us);
}

void plugin_stop(struct plugin *p)
{
	if (p->is_stopping)
		return;
	p->is_stopping = true;
	p->is_ready = false;
	service_stop(p->service);
	p->stop_at_us = loop_now(p->loop) + stop_us;
	if (loop_timer(p->loop, loop_now(p->loop) + stop_poll_us, on_stop_timer, p,
		    &p->stop_timer) < 0)
		loop_exit(p->loop, 0);
}

int plugin_show(
	const struct plugin_options *o, bool is_explain, bool is_json, struct err *e)
{
	CLEANUP(plugin_freep) struct plugin *p = NULL;
	CLEANUP(json_freep) struct json *doc = NULL;
	struct buf out;
	int r;

	r = plugin_look_only(o, &p, e);
	if (r < 0)
		return r;
	r = classes_load(p->classes, e);
	if (r >= 0)
		r = look(p, e);
	if (r < 0)
		return r;
	buf_init(&out, EXPLAIN_BYTES_MAX);
	if (is_json) {
		r = is_explain ? explain_json(p->snapshot, p->classes, p->inventory, &doc)
			       : list_json(p->snapshot, p->classes, &doc);
		if (r == 0)
			r = json_print(doc, true, &out);
		(void)buf_chr(&out, '\n');
	} else {
		r = is_explain ? explain_text(p->snapshot, p->classes, p->inventory, &out)
			       : list_text(p->snapshot, p->classes, &out);
	}
	if (r == 0 && fputs(buf_cstr(&out), stdout) < 0)
		r = -EIO;
	buf_done(&out);
	return r < 0 ? err_errno(e, r, "output") : 0;
}
