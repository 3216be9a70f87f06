// SPDX-License-Identifier: Apache-2.0
/* The agent's life: what wakes it, and one look from observing to saying. */
#include "agent.h"

#include <limits.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/inotify.h>

#include "act.h"
#include "external.h"
#include "file.h"
#include "gate.h"
#include "kubelet.h"
#include "leftovers.h"
#include "log.h"
#include "status.h"

#define POLL_US (30 * USEC_PER_SEC)
#define SETTLE_LOOK_US (500 * USEC_PER_MSEC)
#define EVENT_DELAY_US (1 * USEC_PER_SEC)

enum { ARENA_MAX = 64 << 20 };

void agent_look(struct agent *a, uint64_t delay_us)
{
	uint64_t at = loop_now(a->loop) + delay_us;

	if (at < a->look_at_us) {
		a->look_at_us = at;
		loop_timer_set(a->timer, at);
	}
}

void agent_poke(struct agent *a)
{
	agent_look(a, 0);
}

/* ---- what is wanted --------------------------------------------------------------------------- */

/* Each text once, not at every look. */
static void say_errors(struct agent *a, const struct desired *d)
{
	const struct desired_error *x = d->errors.items;
	struct buf b CLEANUP(buf_done);

	buf_init(&b, 1 << 20);
	for (size_t i = 0; i < d->errors.n; i++)
		(void)buf_fmt(&b, "%s\n", x[i].message);
	if (a->said_errors && streq(a->said_errors, buf_cstr(&b)))
		return;
	for (size_t i = 0; i < d->errors.n; i++)
		log_event(LOG_ERROR, "manifest not used", "file", x[i].where, "reason",
			reason_name(x[i].reason), "error", x[i].message, NULL);
	free(a->said_errors);
	a->said_errors = strdup(buf_cstr(&b));
}

static int desired_of_cluster(struct agent *a, struct desired *ret, struct err *e)
{
	struct desired_error *x;
	int r;

	if (!a->node) {
		*ret = (struct desired){ .node_name = a->o->node_name, .uid = "" };
	} else {
		r = desired_parse(a->arena, a->node, ret, e);
		if (r < 0)
			return r;
	}
	if (a->node_error.code == 0)
		return 0;
	x = arena_alloc(a->arena, sizeof(*x));
	if (!x)
		return err_errno(e, -ENOMEM, "desired");
	*x = (struct desired_error){ "AcceleratorNode", REASON_MANIFEST_INVALID,
		a->node_error.text };
	ret->errors = (struct list){ x, 1 };
	return 0;
}

static int desired_now(struct agent *a, struct desired *ret, struct err *e)
{
	int r;

	memset(ret, 0, sizeof(*ret));
	r = a->o->is_standalone
		    ? manifests_read(a->manifests, a->arena, a->o->manifests, ret, e)
		    : desired_of_cluster(a, ret, e);
	if (r == 0)
		say_errors(a, ret);
	return r;
}

/* ---- one look ---------------------------------------------------------------------------------- */

static int say_gate(
	struct agent *a, const struct seen *s, const struct plan *p, struct err *e)
{
	struct buf b CLEANUP(buf_done);
	int r;

	buf_init(&b, 64 << 10);
	r = gate_text(s, p, &b);
	if (r == 0)
		r = gate_write(a->o->env.run, buf_cstr(&b), e);
	if (r == 1)
		log_event(LOG_INFO, b.len ? "reboot held" : "reboot no longer held",
			"why", b.len ? b.data : NULL, NULL);
	inhibit_set(a->inhibit, b.len ? b.data : NULL);
	(void)metrics_set(a->metrics, METRIC_GAUGE, "farrier_reboot_held", NULL,
		"1 while the next kernel is not ready.", b.len ? 1 : 0);
	return MIN(r, 0);
}

static int say_status(
	struct agent *a, const struct seen *s, const struct plan *p, struct err *e)
{
	CLEANUP(json_freep) struct json *j = NULL;
	struct api_node_status st;
	struct list old = { NULL, 0 };
	int r;

	if (a->status)
		status_conditions(a->arena, a->status, &old);
	r = status_make(a->arena, s, p, &old, loop_wall(a->loop), &st);
	if (r == 0) {
		status_merge_devices(a->arena, a->o->env.run, &st.devices);
		agent_topology(a, &st);
		j = field_print(api_node_status_fields, &st);
	}
	if (r < 0 || !j)
		return err_errno(e, -ENOMEM, "status");
	agent_metrics(a, s, p, &st);
	r = status_write(a->o->env.run, j, e);
	if (r >= 0 && a->cluster)
		r = cluster_status(a->cluster, j);
	json_free(a->status);
	a->status = TAKE(j);
	return MIN(r, 0);
}

/* ---- the reboot inside a wave ------------------------------------------------------------------- */

static void say_reboot(bool is_good, const char *message, void *user)
{
	struct agent *a = user;

	log_event(is_good ? LOG_INFO : LOG_WARN,
		is_good ? "rebooting" : "no reboot, though one is wanted", "why", message,
		NULL);
	if (a->cluster)
		cluster_event(a->cluster, is_good ? "Normal" : "Warning",
			is_good ? "Rebooting" : "RebootNotDone", message);
}

static void look_reboot(struct agent *a, const struct seen *s, const struct plan *p)
{
	const struct api_node_upgrade *up = &s->desired->upgrade;
	struct buf held CLEANUP(buf_done);

	buf_init(&held, 64 << 10);
	/* A step under way (an install, maybe) comes first; it ends with another look. */
	if (a->work || (reboot_is_wanted(up, s->boot_id) && gate_text(s, p, &held) < 0))
		return;
	reboot_look(a->reboot, up, s->boot_id, held.len ? held.data : "");
}

/* For the device plugin; nothing of ours depends on it. */
static void note_kubelet(struct agent *a)
{
	struct err e = { 0 };
	int r = kubelet_note(&a->o->env, loop_now(a->loop), &a->kubelet_us, &e);

	if (r < 0 && !a->is_kubelet_ill)
		log_event(LOG_WARN, "the kubelet's policies are not known", "error",
			e.text, NULL);
	if (r != KUBELET_NOT_YET)
		a->is_kubelet_ill = r < 0;
}

static uint64_t next_look(
	const struct agent *a, const struct seen *s, const struct plan *p)
{
	uint64_t wall = loop_wall(a->loop), delay = POLL_US;

	if (p->wake_at_us != UINT64_MAX)
		delay = MIN(delay, p->wake_at_us > wall ? p->wake_at_us - wall : 0);
	for (size_t i = 0; i < s->in.n_drivers; i++)
		if (s->in.drivers[i].is_settling &&
			s->in.drivers[i].bound < s->in.drivers[i].devices)
			delay = MIN(delay, SETTLE_LOOK_US);
	return MAX(delay, SETTLE_LOOK_US);
}

static int look(struct agent *a, struct err *e)
{
	struct seen s CLEANUP(seen_done) = { .running = "" };
	struct desired d;
	struct plan p;
	int r;

	arena_reset(a->arena);
	/* What cannot be read again is as it was. */
	if (records_read_notes(a->memory.records, a->o->env.state, NULL) < 0)
		log_event(LOG_DEBUG, "loaded.json not read again", NULL);
	r = desired_now(a, &d, e);
	if (r == 0)
		r = observe(&a->memory, a->arena, &d, loop_wall(a->loop), &s, e);
	if (r < 0)
		return r;
	r = plan_make(a->arena, &s.in, loop_wall(a->loop), &p);
	if (r < 0)
		return err_errno(e, r, "plan");
	r = say_gate(a, &s, &p, e);
	if (r == 0)
		r = say_status(a, &s, &p, e);
	/* Acting does not wait for a full disk of /run. */
	if (r < 0)
		log_error(e, "status not written", NULL);
	if (a->memory.is_noted)
		agent_save(a);
	a->memory.is_noted = false;
	agent_clean(a, &s);
	act(a, &s, &p);
	agent_share(a, &s);
	note_kubelet(a);
	look_reboot(a, &s, &p);
	agent_look(a, next_look(a, &s, &p));
	return 0;
}

static void on_timer(void *user)
{
	struct agent *a = user;
	struct err e = { 0 };

	a->look_at_us = UINT64_MAX;
	if (look(a, &e) < 0) {
		log_error(&e, "this look failed", NULL);
		agent_look(a, EVENT_DELAY_US * 5);
	}
	if (!a->is_ready) {
		a->is_ready = true;
		notify_send(a->notify, "READY=1");
	}
}

/* ---- what wakes it ------------------------------------------------------------------------------ */

static void on_inotify(int fd, uint32_t events, void *user)
{
	char bytes[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	struct agent *a = user;

	/* What it says does not matter, only that something changed: look at it all. */
	while (read(fd, bytes, sizeof(bytes)) > 0)
		;
	agent_look(a, EVENT_DELAY_US);
}

static int start_inotify(struct agent *a, struct err *e)
{
	static const char *const folders[] = { "lib/modules", "boot", "usr/src",
		EXTERNAL_FOLDER };
	const uint32_t mask = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |
			      IN_CLOSE_WRITE | IN_ATTRIB | IN_ONLYDIR;
	char path[PATH_MAX];
	int r;

	a->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (a->inotify_fd < 0) {
		/* The poll finds the same, later. */
		log_event(LOG_WARN, "no inotify, polling only", "error", strerror(errno),
			NULL);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		if (path_join(path, sizeof(path), a->o->env.root, folders[i], NULL) == 0)
			(void)inotify_add_watch(a->inotify_fd, path, mask);
	(void)inotify_add_watch(a->inotify_fd, EXTERNAL_FOLDER, mask); /* our own */
	if (a->o->is_standalone)
		(void)inotify_add_watch(a->inotify_fd, a->o->manifests, mask);
	(void)inotify_add_watch(a->inotify_fd, a->o->env.run, IN_MOVED_TO | IN_ONLYDIR);
	r = loop_io(a->loop, a->inotify_fd, EPOLLIN, on_inotify, a, &a->watch);
	return r < 0 ? err_errno(e, r, "inotify") : 0;
}

static void on_node(const struct json *node, void *user)
{
	struct agent *a = user;
	struct arena *tmp = arena_new(ARENA_MAX);
	struct err e = { 0 };
	struct desired d;
	struct json *copy;
	int r;

	r = tmp ? desired_parse(tmp, node, &d, &e) : -ENOMEM;
	arena_free(tmp);
	if (r == 0)
		r = desired_write(a->o->env.state, node, &e);
	err_clear(&a->node_error);
	if (r < 0) {
		/* The last good one stays in force. */
		a->node_error = e;
		if (a->node_error.code == 0)
			(void)err_errno(&a->node_error, r, "AcceleratorNode");
		log_error(&a->node_error, "AcceleratorNode not used", NULL);
	} else {
		copy = json_copy(node);
		if (copy) {
			json_free(a->node);
			a->node = copy;
		}
	}
	agent_look(a, 0);
}

static void on_link(bool is_up, const char *why, void *user)
{
	struct agent *a = user;

	log_event(is_up ? LOG_INFO : LOG_WARN,
		is_up ? "API server reached"
		      : "API server away: going on with what is known",
		"error", str_empty(why) ? NULL : why, NULL);
	a->memory.share.is_up = is_up;
	agent_look(a, 0);
	(void)metrics_set(a->metrics, METRIC_GAUGE, "farrier_api_up", NULL,
		"1 while the API server answers.", is_up);
}

static const struct cluster_ops cluster_ops = { .on_node = on_node, .on_link = on_link };

static int start_wanting(struct agent *a, struct err *e)
{
	struct cluster_options co = { a->o->kubeconfig, a->o->node_name };
	struct desired d;
	int r;

	if (a->o->is_standalone) {
		r = manifests_new(&a->manifests);
		return r < 0 ? err_errno(e, r, "manifests") : 0;
	}
	/* First what is on the disk: the API server may be away for ever. */
	r = desired_read(a->arena, a->o->env.state, &a->node, &d, e);
	if (r == 0 && !streq(d.node_name, a->o->node_name)) {
		json_free(TAKE(a->node));
		log_event(LOG_WARN, "desired.json is of another node", "node",
			d.node_name, NULL);
	}
	if (r < 0 && r != -ENOENT)
		log_error(e, "desired.json not used", NULL);
	err_clear(e);
	return cluster_new(a->loop, &co, &cluster_ops, a, &a->cluster, e);
}

static bool is_ready(void *user)
{
	return ((struct agent *)user)->is_ready;
}

static int make_folders(const struct env *env, struct err *e)
{
	int r = dir_make(env->state, 0755, e);

	return r < 0 ? r : dir_make(env->run, 0755, e);
}

static int start(struct agent *a, struct err *e)
{
	int r = make_folders(&a->o->env, e);

	if (r == 0)
		r = memory_init(&a->memory, &a->o->env, e);
	if (r < 0)
		return r;
	r = records_read(a->memory.records, a->o->env.state, e);
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		log_error(
			e, "records lost: builds are looked up in the store again", NULL);
	a->memory.is_lost = r < 0 || records_is_empty(a->memory.records);
	err_clear(e);
	agent_try_groups();
	if (leftovers_remove(&a->o->env, loop_wall(a->loop), e) < 0)
		log_error(e, "left-overs not removed", NULL);
	err_clear(e);
	/* Only for the times of its conditions. */
	if (status_read(a->o->env.run, &a->status, NULL) < 0)
		a->status = NULL;
	if (metrics_new(&a->metrics) < 0)
		return err_errno(e, -ENOMEM, "metrics");
	r = loop_timer(a->loop, UINT64_MAX, on_timer, a, &a->timer);
	if (r < 0)
		return err_errno(e, r, "timer");
	r = inhibit_new(a->loop, a->o->env.root, &a->inhibit, e);
	if (r < 0)
		return r;
	r = reboot_new(a->loop,
		&(struct reboot_options){
			&a->o->env, a->o->reboot_command, say_reboot, a },
		&a->reboot);
	if (r < 0)
		return err_errno(e, r, "reboot");
	r = notify_new(a->loop, &a->notify, e);
	if (r == 0)
		r = agent_share_start(a, e);
	if (r == 0)
		r = agent_topology_start(a, e);
	if (r == 0)
		r = start_wanting(a, e);
	if (r == 0)
		r = start_inotify(a, e);
	if (r == 0 && a->o->metrics)
		r = metrics_listen(a->loop, a->metrics, a->o->metrics, NULL, is_ready, a,
			&a->server, e);
	if (r == 0)
		agent_look(a, 0);
	return r;
}

int agent_new(
	struct loop *l, const struct agent_options *o, struct agent **ret, struct err *e)
{
	CLEANUP(agent_freep) struct agent *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return err_errno(e, -ENOMEM, "agent");
	a->o = o;
	a->loop = l;
	a->inotify_fd = -1;
	a->look_at_us = UINT64_MAX;
	a->arena = arena_new(ARENA_MAX);
	if (!a->arena)
		return err_errno(e, -ENOMEM, "agent");
	r = start(a, e);
	if (r < 0)
		return r;
	*ret = TAKE(a);
	return 0;
}

void agent_free(struct agent *a)
{
	if (!a)
		return;
	work_cancel(a->work);
	inhibit_free(a->inhibit);
	reboot_free(a->reboot);
	build_cancel(a->build);
	publisher_free(a->publisher);
	topology_watch_free(a->topology.watch);
	metrics_server_free(a->server);
	metrics_free(a->metrics);
	cluster_free(a->cluster);
	notify_free(a->notify);
	loop_source_free(a->watch);
	loop_source_free(a->timer);
	closep(&a->inotify_fd);
	manifests_free(a->manifests);
	memory_done(&a->memory);
	json_free(a->node);
	json_free(a->status);
	free(a->said_errors);
	arena_free(a->arena);
	free(a);
}
