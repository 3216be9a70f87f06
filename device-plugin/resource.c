// SPDX-License-Identifier: Apache-2.0
/* Streams, methods and life of one resource. */
#include "resource.h"

#include <stdio.h>
#include <time.h>

#include "log.h"
#include "messages.h"

enum { STREAMS_MAX = 16 }; /* of one resource; the oldest goes */
static const uint64_t leave_us = 5 * USEC_PER_SEC;

struct stream {
	struct grpc_call *call;
	struct resource *resource;
	uint64_t sent; /* version of the list that it has */
	struct stream *next;
};

static void count(struct resource *r, const char *name, const char *help, double v)
{
	(void)metrics_add(r->host->metrics, METRIC_COUNTER, name, r->labels, help, v);
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
	if (!r->is_leaving && !r->host->is_stopping) {
		if (r->n_streams == 0)
			log_event(LOG_INFO, "the kubelet's stream ended", "resource",
				r->name, NULL);
		if (r->n_streams == 0 && r->host->on_stream_lost)
			r->host->has_others = r->host->on_stream_lost(r->host->user);
		registration_streams(r->registration, r->n_streams);
	}
}

static void on_list_and_watch(
	struct grpc_call *call, const uint8_t *msg, size_t len, void *user)
{
	struct resource *r = user;
	struct stream *s = calloc(1, sizeof(*s)), *oldest = r->streams;

	if (!s || r->is_leaving || r->host->is_stopping) {
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
	struct answer_context x = { r->host->snapshot, r->host->topology, r->name,
		&r->host->prestart };
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
	const struct resource *r = user;
	struct buf out;
	int rc;

	buf_init(&out, ANSWER_BYTES_MAX);
	rc = message_options(r->wants_pre_start, &out);
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

/* ---- life ---- */
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

void resource_free(struct resource *r)
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

/* "farrier-<resource>-<pid>-<tag>.sock", the middle cut where it would not fit. */
static int name_socket(struct resource *r)
{
	const struct resource_host *h = r->host;
	char middle[28];
	size_t n = 0;

	for (const char *p = r->name; *p && n + 1 < sizeof(middle); p++)
		middle[n++] = *p == '/' ? '_' : *p;
	middle[n] = '\0';
	(void)snprintf(r->endpoint, sizeof(r->endpoint), "farrier-%s-%d-%s%x.sock",
		middle, (int)getpid(), h->tag, h->serial);
	return asprintf(&r->socket, "%s/%s", h->kubelet_dir, r->endpoint) < 0 ? -ENOMEM
									      : 0;
}

int resource_new(struct resource_host *h, const char *name, bool wants_pre_start,
	struct buf *list, struct resource **ret, struct err *e)
{
	CLEANUP(resource_freep) struct resource *r = calloc(1, sizeof(*r));
	struct registration_options o = { .on_attempt = on_attempt };
	struct buf labels;
	int rc;

	if (!r)
		return err_errno(e, -ENOMEM, "resource '%s'", name);
	r->host = h;
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
	rc = grpc_server_new(h->loop, r->socket, methods, r, &r->server, e);
	if (rc < 0)
		return err_wrap(e, rc, "resource '%s'", name);
	o.kubelet_socket = h->kubelet_socket;
	o.has_others = &h->has_others;
	o.resource = r->name;
	o.endpoint = r->endpoint;
	o.user = r;
	o.wants_pre_start = r->wants_pre_start = wants_pre_start;
	rc = registration_new(h->loop, &o, &r->registration, e);
	if (rc < 0)
		return err_wrap(e, rc, "resource '%s'", name);
	h->serial++;
	*ret = TAKE(r);
	return 0;
}

void resource_stop(struct resource *r)
{
	registration_free(TAKE(r->registration));
	for (struct stream *s = r->streams; s; s = s->next)
		grpc_end(s->call, GRPC_OK, NULL);
	grpc_server_drain(r->server);
}

void resource_pre_start(struct resource *r, bool wants_pre_start)
{
	r->wants_pre_start = wants_pre_start;
	if (r->registration)
		registration_pre_start(r->registration, wants_pre_start);
}

void resource_list(struct resource *r, struct buf *list)
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

void resource_leave(struct resource *r)
{
	struct buf none;

	buf_init(&none, LIST_MAX);
	resource_list(r, &none);
	buf_done(&none);
	r->is_leaving = true;
	r->leave_at_us = loop_now(r->host->loop) + leave_us;
	resource_stop(r);
	log_event(LOG_INFO, "resource is no more", "resource", r->name, NULL);
}
