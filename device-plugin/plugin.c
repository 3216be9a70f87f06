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
#include "memory.h"
#include "others.h"
#include "report.h"
#include "service.h"

/* Events come in bursts: the first waits a moment for the others. */
static const uint64_t settle_us = 20 * USEC_PER_MSEC;
static const uint64_t poll_us = 5 * USEC_PER_SEC;
/* From the end of a stream until the kubelet has written down who took it. */
static const uint64_t taken_us = 500 * USEC_PER_MSEC;
static const uint64_t show_wait_us = 3 * USEC_PER_SEC; /* for what children find out */
static const uint64_t kubelet_wait_us = 1 * USEC_PER_SEC; /* registering comes first */
static const uint64_t stop_us = 1 * USEC_PER_SEC;
static const uint64_t stop_poll_us = 5 * USEC_PER_MSEC;

struct plugin {
	struct loop *loop;
	const struct plugin_options *o;
	char class_cache[1024];
	struct inventory *inventory;
	struct classes *classes;
	struct health_files *files;
	struct kubelet_watch *kubelet;
	struct json *before; /* devices.json as it was found; NULL when served */
	struct folder *folders[CLASS_DIRS_MAX];
	struct metrics *metrics;
	struct metrics_server *server;
	struct others *others;
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

/* ---- looking and writing ---- */
static int look(struct plugin *p, struct err *e)
{
	struct snapshot_options so = { p->o->root, p->o->run_dir, loop_now(p->loop),
		p->files, p->before };
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
	others_look(p->others, loop_now(p->loop));
	r = others_apply(p->others, fresh, p->metrics);
	return r < 0 ? err_errno(e, r, "other plugins") : 0;
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
	report_metrics(p->metrics, p->snapshot, p->classes, p->service);
}

static void on_kubelet(void *user)
{
	struct plugin *p = user;

	if (p->metrics && p->snapshot)
		report_kubelet(p->metrics, p->kubelet, p->snapshot, p->topology.n);
}

static int refresh(struct plugin *p, struct err *e)
{
	CLEANUP(freep) struct report_state *before = NULL;
	size_t n = 0;
	int changed, r;

	before = report_states(p->snapshot, &n);
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
		report_classes(p->classes);
	if (report_health(p->snapshot, before, n, p->metrics) || changed) {
		report_claims(p->snapshot, p->classes);
		on_kubelet(p);
	}
	act(p);
	health_files_sweep(p->files);
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
	loop_timer_set(p->timer, MIN(loop_now(p->loop) + poll_us, p->snapshot->next_us));
}

static void on_change(void *user)
{
	struct plugin *p = user;

	if (p->timer)
		loop_timer_set(p->timer, loop_now(p->loop) + settle_us);
}

/* The kubelet gives a resource to whoever registered last. Look who that was before asking again. */
static bool on_stream_lost(void *user)
{
	struct plugin *p = user;
	uint64_t now = loop_now(p->loop);

	others_look(p->others, now);
	if (!others_any(p->others))
		return false;
	loop_timer_set(p->timer, now + taken_us);
	return true;
}

static bool is_ready(void *user)
{
	return ((struct plugin *)user)->is_ready;
}

/* ---- life ---- */
static int plugin_look_only(struct loop *l, const struct plugin_options *o,
	bool is_serving, struct plugin **ret, struct err *e)
{
	CLEANUP(plugin_freep) struct plugin *p = calloc(1, sizeof(*p));
	struct kubelet_where where = { o->kubelet_config, o->root, NULL, o->run_dir };
	int r;

	if (!p)
		return err_errno(e, -ENOMEM, "plugin");
	p->loop = l;
	p->o = o;
	memory_read(o->run_dir, &p->before);
	r = health_files_new(l, on_change, p, &p->files);
	if (r < 0)
		return err_errno(e, r, "plugin");
	r = kubelet_watch_new(
		l, &where, is_serving ? kubelet_wait_us : 0, on_kubelet, p, &p->kubelet);
	if (r < 0)
		return err_errno(e, r, "plugin");
	r = inventory_new(NULL, &p->inventory, e);
	if (r == 0)
		r = others_new(o->kubelet_dir, &p->others, e);
	if (r == 0)
		r = classes_new(o->class_dirs, o->n_class_dirs, &p->classes, e);
	if (r < 0)
		return r;
	if (path_join(p->class_cache, sizeof(p->class_cache), o->run_dir, "classes",
		    NULL) == 0)
		classes_cache(p->classes, p->class_cache, is_serving);
	*ret = TAKE(p);
	return 0;
}

static int start(struct plugin *p, struct err *e)
{
	struct service_options so = { .kubelet_dir = p->o->kubelet_dir,
		.on_stream_lost = on_stream_lost,
		.user = p };
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
	so.prestart = (struct prestart){ p->inventory, p->o->root, p->o->cdi_dir };
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

	r = plugin_look_only(l, o, true, &p, e);
	if (r < 0)
		return r;
	r = start(p, e);
	if (r < 0)
		return r;
	p->is_ready = true;
	json_free(TAKE(p->before));
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
	others_free(p->others);
	snapshot_free(p->snapshot);
	classes_free(p->classes);
	health_files_free(p->files);
	kubelet_watch_free(p->kubelet);
	json_free(p->before);
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

/* Two looks: the second knows what children found out. */
static int look_twice(struct plugin *p, struct err *e)
{
	uint64_t end = loop_now(p->loop) + show_wait_us;
	int r = look(p, e);

	if (r < 0)
		return r;
	while ((health_files_pending(p->files) || kubelet_watch_pending(p->kubelet)) &&
		loop_now(p->loop) < end)
		(void)loop_step(p->loop, end - loop_now(p->loop));
	return look(p, e);
}

static int show_json(struct plugin *p, bool is_explain, struct buf *out)
{
	CLEANUP(json_freep) struct json *doc = NULL;
	int r;

	r = is_explain ? explain_json(p->snapshot, p->classes, p->inventory, &doc)
		       : list_json(p->snapshot, p->classes, &doc);
	if (r == 0 && is_explain)
		r = report_kubelet_json(p->kubelet, p->snapshot, p->topology.n, doc);
	if (r == 0)
		r = json_print(doc, true, out);
	return r == 0 ? buf_chr(out, '\n') : r;
}

static int show_text(struct plugin *p, bool is_explain, struct buf *out)
{
	int r;

	if (!is_explain)
		return list_text(p->snapshot, p->classes, out);
	r = explain_text(p->snapshot, p->classes, p->inventory, out);
	return r == 0 ? report_kubelet_text(p->kubelet, p->snapshot, p->topology.n, out)
		      : r;
}

int plugin_show(
	const struct plugin_options *o, bool is_explain, bool is_json, struct err *e)
{
	CLEANUP(loop_freep) struct loop *l = NULL;
	CLEANUP(plugin_freep) struct plugin *p = NULL;
	struct buf out;
	int r;

	r = loop_new(&l, NULL, e);
	if (r == 0)
		r = plugin_look_only(l, o, false, &p, e);
	if (r < 0)
		return r;
	r = classes_load(p->classes, e);
	if (r >= 0)
		r = look_twice(p, e);
	if (r < 0)
		return r;
	buf_init(&out, EXPLAIN_BYTES_MAX);
	r = is_json ? show_json(p, is_explain, &out) : show_text(p, is_explain, &out);
	if (r == 0 && fputs(buf_cstr(&out), stdout) < 0)
		r = -EIO;
	buf_done(&out);
	return r < 0 ? err_errno(e, r, "output") : 0;
}
