// SPDX-License-Identifier: Apache-2.0
/* Resources, their sockets and streams; the methods of v1beta1.DevicePlugin. */
#include "service.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include "file.h"
#include "folder.h"
#include "log.h"
#include "messages.h"

enum {
	RESOURCES_MAX = 256,
	STREAMS_MAX = 16, /* of one resource; the oldest goes */
	LIST_MAX = ANSWER_BYTES_MAX,
	ENDPOINT_MAX = 64, /* leaves room for the folder in sun_path */
};
/* Behind inotify, and without it; and while a machine boots, when every millisecond counts. */
static const uint64_t poll_us = 1 * USEC_PER_SEC;
static const uint64_t boot_poll_us = 10 * USEC_PER_MSEC;
static const uint64_t boot_us = 60 * USEC_PER_SEC;
static const uint64_t leave_us = 5 * USEC_PER_SEC;

struct stream {
	struct grpc_call *call;
	struct resource *resource;
	uint64_t sent; /* version of the list that it has */
	struct stream *next;
};

struct resource {
	struct service *service;
	struct resource *next;
	char *name, *labels; /* labels: resource="…" */
	char *socket;
	char endpoint[ENDPOINT_MAX];
	struct grpc_server *server;
	struct registration *registration;
	struct stream *streams; /* newest first */
	size_t n_streams;
	struct buf list; /* as it was sent last */
	uint64_t version;
	bool is_leaving, is_lost_logged;
	uint64_t leave_at_us;
	char *last_error; /* logged once */
};

struct service {
	struct loop *loop;
	struct service_options o;
	char *kubelet_socket;
	struct folder *folder;
	struct loop_source *timer;
	struct resource *resources;
	size_t n_resources;
	unsigned serial; /* of resources ever made: part of their sockets' names */
	const struct snapshot *snapshot;
	const struct topology *topology;
	struct stat kubelet; /* the kubelet.sock that we know; st_ino 0: none */
	char tag[16]; /* makes our sockets' names unique, also among pods that are all pid 1 */
	bool is_stopping;
};

static void count(struct resource *r, const char *name, const char *help, double v)
{
	(void)metrics_add(
		r->service->o.metrics, METRIC_COUNTER, name, r->labels, help, v);
}

/* ---- streams ---- */
static void stream_push(struct stream *s)
{
	struct resource *r = s->resource;

	/* One that still reads the list before gets the newest when it is through with that. */
	if (s->sent == r->version || grpc_queued(s->call) > 0)
		return;
	if (grpc_send(s->call, r->list.data, r->list.len) < 0)
		return; /* tried again at the next change */
	s->sent = r->version;
	count(r, "farrier_plugin_lists_sent_total", "Device lists sent to the kubelet.",
		1);
}

static void on_drained(struct grpc_call *call, void *user)
{
	stream_push(user);
}

static void on_closed(struct grpc_call *call, void *user)
{
	struct stream *s = user;
	struct resource *r = s->resource;

	for (struct stream **p = &r->streams; *p; p = &(*p)->next) {
		if (*p != s)
			continue;
		*p = s->next;
		break;
	}
	r->n_streams--;
	free(s);
	if (!r->is_leaving && !r->service->is_stopping) {
		if (r->n_streams == 0)
			log_event(LOG_INFO, "the kubelet's stream ended", "resource",
				r->name, NULL);
		registration_streams(r->registration, r->n_streams);
	}
}

static void on_list_and_watch(
	struct grpc_call *call, const uint8_t *msg, size_t len, void *user)
{
	struct resource *r = user;
	struct stream *s = calloc(1, sizeof(*s)), *oldest = r->streams;

	if (!s || r->is_leaving || r->service->is_stopping) {
		free(s);
		grpc_end(call, GRPC_UNAVAILABLE, "not now");
		return;
	}
	if (r->n_streams >= STREAMS_MAX) {
		while (oldest->next)
			oldest = oldest->next;
		grpc_end(oldest->call, GRPC_OK, NULL);
	}
	s->call = call;
	s->resource = r;
	s->next = r->streams;
	r->streams = s;
	r->n_streams++;
	grpc_watch(call, on_drained, on_closed, s);
	log_event(LOG_INFO, "the kubelet watches", "resource", r->name, NULL);
	stream_push(s);
	registration_streams(r->registration, r->n_streams);
}

/* ---- unary methods ---- */
typedef enum grpc_status (*answer_fn)(const struct answer_context *x, const uint8_t *msg,
	size_t len, struct buf *out, struct err *e);

static enum grpc_status answer(struct grpc_call *call, struct resource *r, answer_fn fn,
	const uint8_t *msg, size_t len)
{
	struct answer_context x = { r->service->snapshot, r->service->topology, r->name };
	enum grpc_status status;
	struct err e = { 0 };
	struct buf out;

	buf_init(&out, ANSWER_BYTES_MAX);
	status = fn(&x, msg, len, &out, &e);
	if (status == GRPC_OK && grpc_send(call, out.data, out.len) < 0)
		status = GRPC_RESOURCE_EXHAUSTED;
	grpc_end(call, status, e.text);
	buf_done(&out);
	if (status != GRPC_OK)
		log_event(LOG_WARN, "refused a request of the kubelet", "resource",
			r->name, "status", grpc_status_name(status), "error", e.text,
			NULL);
	return status;
}

static void on_options(struct grpc_call *call, const uint8_t *msg, size_t len, void *user)
{
	struct buf out;
	int rc;

	buf_init(&out, ANSWER_BYTES_MAX);
	rc = message_options(&out);
	if (rc == 0)
		rc = grpc_send(call, out.data, out.len);
	grpc_end(call, rc < 0 ? GRPC_RESOURCE_EXHAUSTED : GRPC_OK, NULL);
	buf_done(&out);
}

static double seconds_now(void)
{
	struct timespec t = { 0 };

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void on_allocate(
	struct grpc_call *call, const uint8_t *msg, size_t len, void *user)
{
	struct resource *r = user;
	double t0 = seconds_now();
	enum grpc_status s = answer(call, r, answer_allocate, msg, len);

	count(r,
		s == GRPC_OK ? "farrier_plugin_allocations_total"
			     : "farrier_plugin_allocation_errors_total",
		s == GRPC_OK ? "Allocate calls answered." : "Allocate calls refused.", 1);
	count(r, "farrier_plugin_allocate_seconds_total", "Time spent in Allocate.",
		seconds_now() - t0);
}

static void on_preferred(
	struct grpc_call *call, const uint8_t *msg, size_t len, void *user)
{
	(void)answer(call, user, answer_preferred, msg, len);
}

static void on_pre_start(
	struct grpc_call *call, const uint8_t *msg, size_t len, void *user)
{
	(void)answer(call, user, answer_pre_start, msg, len);
}

static const struct grpc_method methods[] = {
	{ "/v1beta1.DevicePlugin/GetDevicePluginOptions", on_options },
	{ "/v1beta1.DevicePlugin/ListAndWatch", on_list_and_watch },
	{ "/v1beta1.DevicePlugin/Allocate", on_allocate },
	{ "/v1beta1.DevicePlugin/GetPreferredAllocation", on_preferred },
	{ "/v1beta1.DevicePlugin/PreStartContainer", on_pre_start },
	{ NULL, NULL },
};

/* ---- resources ---- */
static void on_attempt(const struct err *e, void *user)
{
	struct resource *r = user;

	if (!e) {
		log_event(LOG_INFO, "registered with the kubelet", "resource", r->name,
			"endpoint", r->endpoint, NULL);
		count(r, "farrier_plugin_registrations_total",
			"Registrations that the kubelet agreed to.", 1);
		free(TAKE(r->last_error));
		return;
	}
	count(r, "farrier_plugin_registration_errors_total", "Registrations that failed.",
		1);
	if (r->last_error && streq(r->last_error, e->text))
		return;
	free(r->last_error);
	r->last_error = strdup(e->text);
	log_error(e, "registration failed", "resource", r->name, NULL);
}

static void resource_free(struct resource *r)
{
	if (!r)
		return;
	r->is_leaving = true;
	registration_free(TAKE(r->registration));
	grpc_server_free(r->server); /* ends the streams */
	buf_done(&r->list);
	free(r->name);
	free(r->labels);
	free(r->socket);
	free(r->last_error);
	free(r);
}
DEFINE_CLEANUP(struct resource, resource_free)

/* "farrier-<resource>-<pid>-<tag>.sock", the middle cut where it would not fit. */
static int name_socket(struct resource *r)
{
	struct service *s = r->service;
	char middle[28];
	size_t n = 0;

	for (const char *p = r->name; *p && n + 1 < sizeof(middle); p++)
		middle[n++] = *p == '/' ? '_' : *p;
	middle[n] = '\0';
	(void)snprintf(r->endpoint, sizeof(r->endpoint), "farrier-%s-%d-%s%x.sock",
		middle, (int)getpid(), s->tag, s->serial);
	return asprintf(&r->socket, "%s/%s", s->o.kubelet_dir, r->endpoint) < 0 ? -ENOMEM
										: 0;
}

/* @list is handed over. The socket serves when this returns; then the kubelet is told. */
static int resource_new(
	struct service *s, const char *name, struct buf *list, struct err *e)
{
	CLEANUP(resource_freep) struct resource *r = calloc(1, sizeof(*r));
	struct registration_options o = { .on_attempt = on_attempt };
	struct buf labels;
	int rc;

	if (!r)
		return err_errno(e, -ENOMEM, "resource '%s'", name);
	r->service = s;
	r->list = *list;
	buf_init(list, LIST_MAX);
	r->version = 1;
	r->name = strdup(name);
	buf_init(&labels, 4096);
	rc = r->name ? metrics_label(&labels, "resource", name) : -ENOMEM;
	if (rc == 0)
		r->labels = buf_steal(&labels);
	buf_done(&labels);
	if (!r->labels || name_socket(r) < 0) {
		r->socket = NULL;
		return err_errno(e, -ENOMEM, "resource '%s'", name);
	}
	rc = grpc_server_new(s->loop, r->socket, methods, r, &r->server, e);
	if (rc < 0)
		return err_wrap(e, rc, "resource '%s'", name);
	o.kubelet_socket = s->kubelet_socket;
	o.resource = r->name;
	o.endpoint = r->endpoint;
	o.user = r;
	rc = registration_new(s->loop, &o, &r->registration, e);
	if (rc < 0)
		return err_wrap(e, rc, "resource '%s'", name);
	s->serial++;
	s->n_resources++;
	r->next = s->resources;
	s->resources = TAKE(r);
	return 0;
}

static struct resource *find(struct service *s, const char *name)
{
	for (struct resource *r = s->resources; r; r = r->next)
		if (streq(r->name, name) && !r->is_leaving)
			return r;
	return NULL;
}

/* Takes over @list when it says something new. */
static void resource_list(struct resource *r, struct buf *list)
{
	if (list->len == r->list.len &&
		(list->len == 0 || memcmp(list->data, r->list.data, list->len) == 0))
		return;
	buf_done(&r->list);
	r->list = *list;
	buf_init(list, LIST_MAX);
	r->version++;
	for (struct stream *s = r->streams; s; s = s->next)
		stream_push(s);
}

/* An empty list, then the end of its streams and its socket. */
static void resource_leave(struct resource *r)
{
	struct buf none;

	buf_init(&none, LIST_MAX);
	resource_list(r, &none);
	buf_done(&none);
	r->is_leaving = true;
	r->leave_at_us = loop_now(r->service->loop) + leave_us;
	registration_free(TAKE(r->registration));
	for (struct stream *s = r->streams; s; s = s->next)
		grpc_end(s->call, GRPC_OK, NULL);
	grpc_server_drain(r->server);
	log_event(LOG_INFO, "resource is no more", "resource", r->name, NULL);
}

void service_update(struct service *s, const struct snapshot *snapshot,
	const struct topology *topology)
{
	s->snapshot = snapshot;
	s->topology = topology;
	if (s->is_stopping)
		return;
	for (size_t i = 0; i < snapshot->n_resources; i++) {
		const struct resource_view *v = &snapshot->resources[i];
		struct resource *r = find(s, v->name);
		struct err e = { 0 };
		struct buf list;
		size_t left_out;
		int rc;

		buf_init(&list, LIST_MAX);
		rc = message_list(v, &list, &left_out);
		if (rc == 0 && r)
			resource_list(r, &list);
		else if (rc == 0 && s->n_resources < RESOURCES_MAX)
			rc = resource_new(s, v->name, &list, &e);
		buf_done(&list);
		if (rc < 0)
			log_error(&e, "cannot serve", "resource", v->name, NULL);
		if (rc == 0 && left_out)
			log_event(LOG_ERROR,
				"more devices than a kubelet takes: the last are left out",
				"resource", v->name, NULL);
	}
	for (struct resource *r = s->resources; r; r = r->next)
		if (!r->is_leaving && !snapshot_resource(snapshot, r->name))
			resource_leave(r);
}

/* ---- the kubelet's folder ---- */
static void check_sockets(struct service *s, bool is_new_kubelet)
{
	for (struct resource *r = s->resources; r; r = r->next) {
		struct err e = { 0 };
		bool is_there;

		if (r->is_leaving)
			continue;
		is_there = grpc_server_is_there(r->server);
		if (!is_there && grpc_server_rebind(r->server, &e) < 0) {
			if (!r->is_lost_logged)
				log_error(&e, "cannot serve", "resource", r->name, NULL);
			r->is_lost_logged = true;
			continue;
		}
		r->is_lost_logged = false;
		if (!is_there)
			log_event(LOG_INFO, "our socket was deleted: made again",
				"resource", r->name, NULL);
		if (!is_there || is_new_kubelet)
			registration_renew(r->registration);
	}
}

static void reap(struct service *s)
{
	struct resource **p = &s->resources;

	while (*p) {
		struct resource *r = *p;

		if (!r->is_leaving || (grpc_server_conns(r->server) > 0 &&
					      loop_now(s->loop) < r->leave_at_us)) {
			p = &r->next;
			continue;
		}
		*p = r->next;
		s->n_resources--;
		resource_free(r);
	}
}

/* Looks at the folder: our sockets, and whether kubelet.sock is another one than before. */
static void look(struct service *s)
{
	struct stat st = { 0 };
	bool is_new;

	if (s->is_stopping)
		return;
	if (lstat(s->kubelet_socket, &st) < 0)
		st.st_ino = 0;
	is_new = st.st_ino &&
		 (st.st_ino != s->kubelet.st_ino || st.st_dev != s->kubelet.st_dev ||
			 memcmp(&st.st_ctim, &s->kubelet.st_ctim, sizeof(st.st_ctim)) !=
				 0);
	s->kubelet = st;
	check_sockets(s, is_new);
}

static void on_folder(void *user)
{
	look(user);
}

static bool is_boot(void)
{
	struct timespec t = { 0 };

	return clock_gettime(CLOCK_BOOTTIME, &t) == 0 &&
	       (uint64_t)t.tv_sec * USEC_PER_SEC < boot_us;
}

static void on_poll(void *user)
{
	struct service *s = user;

	if (folder_check(s->folder))
		log_event(LOG_DEBUG, "watching the kubelet's folder", NULL);
	look(s);
	reap(s);
	loop_timer_set(
		s->timer, loop_now(s->loop) + (is_boot() ? boot_poll_us : poll_us));
}

/* A socket nobody listens on is one of a dead process of ours. */
static int sweep_one(const char *name, void *user)
{
	const struct service *s = user;
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	CLEANUP(closep) int fd = -1;
	size_t n = strlen(name);

	if (!str_starts(name, "farrier-") || n < 5 || !streq(name + n - 5, ".sock") ||
		path_join(a.sun_path, sizeof(a.sun_path), s->o.kubelet_dir, name, NULL) <
			0)
		return 0;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 &&
		errno == ECONNREFUSED)
		(void)unlink(a.sun_path);
	return 0;
}

int service_new(struct loop *l, const struct service_options *o, struct service **ret,
	struct err *e)
{
	CLEANUP(service_freep) struct service *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return err_errno(e, -ENOMEM, "service");
	s->loop = l;
	s->o = *o;
	(void)snprintf(
		s->tag, sizeof(s->tag), "%06x", (unsigned)loop_random(l, 1u << 24));
	if (asprintf(&s->kubelet_socket, "%s/kubelet.sock", o->kubelet_dir) < 0) {
		s->kubelet_socket = NULL;
		return err_errno(e, -ENOMEM, "service");
	}
	r = dir_make(o->kubelet_dir, 0750, e);
	if (r < 0)
		return err_wrap(e, r, "kubelet's folder");
	(void)dir_each(o->kubelet_dir, sweep_one, s, NULL);
	if (lstat(s->kubelet_socket, &s->kubelet) < 0)
		s->kubelet.st_ino = 0;
	r = folder_new(l, o->kubelet_dir, on_folder, s, &s->folder, e);
	if (r < 0)
		return r;
	r = loop_timer(l, loop_now(l), on_poll, s, &s->timer);
	if (r < 0)
		return err_errno(e, r, "service");
	*ret = TAKE(s);
	return 0;
}

void service_stop(struct service *s)
{
	s->is_stopping = true;
	for (struct resource *r = s->resources; r; r = r->next) {
		if (r->is_leaving)
			continue;
		registration_free(TAKE(r->registration));
		for (struct stream *k = r->streams; k; k = k->next)
			grpc_end(k->call, GRPC_OK, NULL);
		grpc_server_drain(r->server);
	}
}

bool service_is_idle(const struct service *s)
{
	for (const struct resource *r = s->resources; r; r = r->next)
		if (grpc_server_conns(r->server) > 0)
			return false;
	return true;
}

void service_free(struct service *s)
{
	if (!s)
		return;
	s->is_stopping = true;
	while (s->resources) {
		struct resource *r = s->resources;

		s->resources = r->next;
		resource_free(r);
	}
	folder_free(s->folder);
	loop_source_free(s->timer);
	free(s->kubelet_socket);
	free(s);
}

size_t service_len(const struct service *s)
{
	size_t n = 0;

	for (const struct resource *r = s->resources; r; r = r->next)
		n += !r->is_leaving;
	return n;
}

const char *service_resource(
	const struct service *s, size_t i, enum registration_state *ret_state)
{
	for (const struct resource *r = s->resources; r; r = r->next) {
		if (r->is_leaving || i-- > 0)
			continue;
		*ret_state = r->registration ? registration_state(r->registration)
					     : REGISTRATION_WAITING;
		return r->name;
	}
	return NULL;
}
