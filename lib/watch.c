// SPDX-License-Identifier: Apache-2.0
/* list -> watch -> watch -> …, and back to list when the server has forgotten where we were. A streamed list is
 * a watch whose first events are the list, until a bookmark says that they were. */
#include "watch.h"

#include <stdio.h>

#include "frame.h"

enum {
	PAGE = 500,
	WATCH_S_MIN = 300, /* the server ends a watch after 5 to 10 minutes */
	WATCH_S_MAX = 600,
	WATCH_PATH_MAX = 16 << 10,
	WATCH_GRACE_S = 30, /* and if it does not, we do */
	WATCH_WHY_MAX = 512,
	STREAM_TRIES = 3 /* of a streamed list, before pages */
};
static const uint64_t PAGE_US = 120 * USEC_PER_SEC;
static const uint64_t SILENCE_US = 30 * USEC_PER_SEC; /* of a streamed list */
static const uint64_t BACKOFF_MIN_US = 500 * USEC_PER_MSEC;
static const uint64_t BACKOFF_MAX_US = 30 * USEC_PER_SEC;
static const uint64_t HEALTHY_US =
	10 * USEC_PER_SEC; /* a watch that lived so long was a good one */

enum watch_state { WATCH_LIST, WATCH_EVENTS, WATCH_PAUSE };

struct watch {
	struct kube *kube;
	struct watch_ops ops;
	void *user;
	char *path, *selectors; /* "&labelSelector=…" */
	size_t item_max;

	enum watch_state state;
	struct http_req *req;
	struct frame *frame;
	struct loop_source *timer; /* pause is over, or the stream has been silent */
	char *resource_version; /* NULL: list */
	char *cont; /* the next page, NULL: the first */
	uint64_t opened_us; /* when the running watch began to answer, 0: not yet */
	unsigned failures;
	bool is_synced;
	bool is_expired; /* the server told so in mid-stream */
	bool got_event;
	bool may_stream; /* lists may come as streams */
	bool is_initial; /* the running watch still tells the list */
	unsigned broken_streams; /* one after the other */
	uint64_t ends_us; /* when the running watch has to have ended */

	bool link_known, is_up;
	struct err why; /* of the frame or an ERROR event */

	unsigned depth; /* of our calls that may lead to a callback */
	bool is_dead;
};

static const char *const skip_list[] = { "metadata.managedFields", "status.images",
	NULL };
static const char *const skip_events[] = { "object.metadata.managedFields",
	"object.status.images", NULL };

static void start(struct watch *w);

/* ---- life ---- */

static void enter(struct watch *w)
{
	w->depth++;
}

static void leave(struct watch *w)
{
	if (--w->depth == 0 && w->is_dead)
		watch_free(w);
}

void watch_free(struct watch *w)
{
	if (!w)
		return;
	http_cancel(w->req);
	w->req = NULL;
	loop_source_free(TAKE(w->timer));
	w->is_dead = true;
	if (w->depth)
		return;
	frame_free(w->frame);
	free(w->path);
	free(w->selectors);
	free(w->resource_version);
	free(w->cont);
	free(w);
}

bool watch_is_synced(const struct watch *w)
{
	return w->is_synced;
}

static void link_is(struct watch *w, bool is_up, const char *why)
{
	if (w->is_dead || (w->link_known && w->is_up == is_up))
		return;
	w->link_known = true;
	w->is_up = is_up;
	if (w->ops.on_link)
		w->ops.on_link(is_up, is_up ? "" : why, w->user);
}

/* ---- what comes in ---- */

static int keep(char **to, const char *text)
{
	char *s = strdup(text);

	if (!s)
		return -ENOMEM;
	free(*to);
	*to = s;
	return 0;
}

static int on_list_item(const char *text, size_t len, void *user)
{
	struct watch *w = user;
	CLEANUP(json_freep) struct json *obj = NULL;
	int r = json_parse(text, len, &obj, &w->why);

	if (r < 0)
		return r;
	w->ops.on_item(obj, w->user);
	return w->is_dead ? -ECANCELED : 0;
}

static int on_error_event(struct watch *w, const struct json *status)
{
	const char *reason = json_get_str(status, "reason");
	const char *message = json_get_str(status, "message");

	w->is_expired = json_get_int(status, "code", 0) == 410 ||
			(reason && (streq(reason, "Expired") || streq(reason, "Gone")));
	return err_set(&w->why, w->is_expired ? -ESTALE : -EIO,
		"the server ended the watch: %.200s: %.200s", reason ? reason : "?",
		message ? message : "?");
}

/* The bookmark behind the last event of a streamed list. */
static bool ends_list(const char *type, const struct json *obj)
{
	const char *end = json_get_str(
		json_path(obj, "metadata.annotations"), "k8s.io/initial-events-end");

	return streq(type, "BOOKMARK") && end && streq(end, "true");
}

/* Our place is good only when the list is whole. */
static int on_initial_event(struct watch *w, const char *type, const struct json *obj)
{
	const char *rv = json_get_str(json_get(obj, "metadata"), "resourceVersion");
	uint64_t now = loop_now(kube_loop(w->kube));
	int r;

	if (!ends_list(type, obj)) {
		loop_timer_set(w->timer, now + SILENCE_US);
		return 0;
	}
	if (str_empty(rv))
		return err_set(&w->why, -EPROTO, "a list without a resourceVersion");
	r = keep(&w->resource_version, rv);
	if (r < 0)
		return r;
	loop_timer_set(w->timer, w->ends_us);
	w->is_initial = false;
	w->broken_streams = 0;
	w->is_synced = true;
	w->ops.on_sync(w->user);
	return w->is_dead ? -ECANCELED : 0;
}

static int on_event(const char *text, size_t len, void *user)
{
	struct watch *w = user;
	CLEANUP(json_freep) struct json *event = NULL;
	const struct json *obj;
	const char *type, *rv;
	int r = json_parse(text, len, &event, &w->why);

	if (r < 0)
		return r;
	type = json_get_str(event, "type");
	obj = json_get(event, "object");
	if (!type || json_type(obj) != JSON_OBJECT)
		return err_set(&w->why, -EPROTO, "not a watch event");
	if (streq(type, "ERROR"))
		return on_error_event(w, obj);
	w->got_event = true;
	if (streq(type, "ADDED") || streq(type, "MODIFIED"))
		w->ops.on_item(obj, w->user);
	else if (streq(type, "DELETED"))
		w->ops.on_delete(obj, w->user);
	else if (!streq(type, "BOOKMARK"))
		return err_set(&w->why, -EPROTO, "'%.32s': not a watch event", type);
	if (w->is_dead)
		return -ECANCELED;
	if (w->is_initial)
		return on_initial_event(w, type, obj);
	/* Only now: an event that was cut off in its callback comes again. */
	rv = json_get_str(json_get(obj, "metadata"), "resourceVersion");
	return str_empty(rv) ? 0 : keep(&w->resource_version, rv);
}

static int on_data(const char *data, size_t len, void *user)
{
	struct watch *w = user;
	struct err e = { 0 };
	int r;

	enter(w);
	r = frame_feed(w->frame, data, len, &e);
	if (r < 0 && !w->why.code)
		w->why = e;
	/* A dead watch has cancelled its request; that needs no result. */
	r = w->is_dead ? 0 : r;
	leave(w);
	return r;
}

static void on_open(void *user)
{
	struct watch *w = user;

	enter(w);
	w->opened_us = loop_now(kube_loop(w->kube));
	link_is(w, true, "");
	leave(w);
}

/* ---- what happens next ---- */

static void pause_for(struct watch *w, uint64_t delay_us)
{
	w->state = WATCH_PAUSE;
	loop_timer_set(w->timer, loop_now(kube_loop(w->kube)) + delay_us);
}

static void back_off(struct watch *w, uint64_t at_least_us)
{
	uint64_t d = BACKOFF_MIN_US;

	for (unsigned i = 0; i < w->failures && d < BACKOFF_MAX_US; i++)
		d *= 2;
	d = MIN(d, BACKOFF_MAX_US);
	w->failures += w->failures < 100;
	d -= loop_random(kube_loop(w->kube), d / 2 + 1);
	pause_for(w, MAX(d, at_least_us));
}

static void forget_place(struct watch *w)
{
	free(TAKE(w->resource_version));
	free(TAKE(w->cont));
}

static void list_done(struct watch *w, const struct kube_response *res)
{
	struct err e = { 0 };
	const char *more;
	int r = res->result < 0 ? res->result : frame_end(w->frame, &e);

	if (r == 0) {
		more = frame_continue(w->frame);
		if (*more)
			r = keep(&w->cont, more);
		else if (*frame_resource_version(w->frame))
			r = keep(&w->resource_version, frame_resource_version(w->frame));
		else
			r = err_set(&e, -EPROTO, "a list without a resourceVersion");
		if (r == 0 && *more) {
			start(w);
			return;
		}
	}
	free(TAKE(w->cont));
	if (r < 0) {
		/* A list that expired between two pages is no broken link. */
		if (r != -ESTALE)
			link_is(w, false,
				w->why.code	  ? w->why.text
				: res->result < 0 ? res->message
						  : e.text);
		if (!w->is_dead)
			back_off(w, res->retry_after_us);
		return;
	}
	w->is_synced = true;
	w->ops.on_sync(w->user);
	if (!w->is_dead)
		start(w);
}

/* True when the next list comes in pages, at once. */
static bool give_up_stream(struct watch *w, const struct kube_response *res)
{
	bool is_refused = !w->opened_us && res->result == -EINVAL;

	w->broken_streams++;
	if (!is_refused && w->broken_streams < STREAM_TRIES)
		return false;
	w->may_stream = false;
	return is_refused;
}

static void events_done(struct watch *w, const struct kube_response *res)
{
	uint64_t now = loop_now(kube_loop(w->kube));
	bool was_good = w->opened_us && (w->got_event || now - w->opened_us > HEALTHY_US);
	bool is_over = res->result == -ESTALE || w->is_expired;

	if (w->is_initial && give_up_stream(w, res)) {
		start(w);
		return;
	}
	if (was_good)
		w->failures = 0;
	/* Expired, or nonsense in the stream: what we know may be wrong. */
	if (is_over || w->why.code)
		forget_place(w);
	if (!w->is_initial && was_good &&
		(is_over || (res->result == 0 && !w->why.code))) {
		start(w);
		return;
	}
	/* A stream that was cut says nothing about the next try, a refusal does. */
	if (!is_over && (w->why.code || (res->result < 0 && !w->opened_us)))
		link_is(w, false, w->why.code ? w->why.text : res->message);
	if (!w->is_dead)
		back_off(w, res->retry_after_us);
}

static void on_done(const struct kube_response *res, void *user)
{
	struct watch *w = user;

	w->req = NULL;
	enter(w);
	loop_timer_set(w->timer, UINT64_MAX);
	if (w->state == WATCH_LIST)
		list_done(w, res);
	else
		events_done(w, res);
	leave(w);
}

/* ---- what goes out ---- */

static int build_path(struct watch *w, unsigned timeout_s, struct buf *b)
{
	(void)buf_str(b, w->path);
	if (w->state == WATCH_LIST) {
		(void)buf_fmt(b, "?limit=%d", PAGE);
		if (w->cont) {
			(void)buf_str(b, "&continue=");
			(void)kube_path_escape(b, w->cont);
		}
	} else if (w->is_initial) {
		(void)buf_fmt(b,
			"?watch=true&allowWatchBookmarks=true&sendInitialEvents=true"
			"&resourceVersionMatch=NotOlderThan&timeoutSeconds=%u",
			timeout_s);
	} else {
		(void)buf_fmt(b,
			"?watch=true&allowWatchBookmarks=true&timeoutSeconds=%u&resourceVersion=",
			timeout_s);
		(void)kube_path_escape(b, w->resource_version);
	}
	return buf_str(b, w->selectors);
}

static int start_request(struct watch *w, struct err *e)
{
	bool is_list = w->state == WATCH_LIST;
	uint64_t now = loop_now(kube_loop(w->kube));
	unsigned timeout_s = WATCH_S_MIN + (unsigned)loop_random(kube_loop(w->kube),
						   WATCH_S_MAX - WATCH_S_MIN + 1);
	struct frame_options o = { .kind = is_list ? FRAME_LIST : FRAME_LINES,
		.item_max = w->item_max,
		.skip = is_list ? skip_list : skip_events };
	struct frame *f;
	struct buf path;
	int r = frame_new(&o, is_list ? on_list_item : on_event, w, &f, e);

	if (r < 0)
		return r;
	frame_free(w->frame);
	w->frame = f;
	buf_init(&path, WATCH_PATH_MAX);
	r = build_path(w, timeout_s, &path);
	if (r < 0)
		r = err_errno(e, r, "'%s'", w->path);
	else
		r = kube_stream(w->kube, buf_cstr(&path), is_list ? PAGE_US : 0, on_open,
			on_data, on_done, w, &w->req, e);
	buf_done(&path);
	w->ends_us = now + (timeout_s + WATCH_GRACE_S) * USEC_PER_SEC;
	if (r == 0 && !is_list)
		loop_timer_set(w->timer, w->is_initial ? now + SILENCE_US : w->ends_us);
	return r;
}

static void start(struct watch *w)
{
	struct err e = { 0 };

	w->is_initial = !w->resource_version && !w->cont && w->may_stream;
	w->state = w->resource_version || w->is_initial ? WATCH_EVENTS : WATCH_LIST;
	w->opened_us = 0;
	w->got_event = false;
	w->is_expired = false;
	err_clear(&w->why);
	if (!w->resource_version && !w->cont) {
		w->is_synced = false;
		w->ops.on_list(w->user);
		if (w->is_dead)
			return;
	}
	if (start_request(w, &e) < 0) {
		link_is(w, false, e.text);
		if (!w->is_dead)
			back_off(w, 0);
	}
}

static void on_timer(void *user)
{
	struct watch *w = user;

	enter(w);
	if (w->state == WATCH_EVENTS) {
		/* The server did not end the watch in time: the line is dead, our place is good. */
		http_cancel(w->req);
		w->req = NULL;
		/* … or it does not know what a streamed list is. */
		if (w->is_initial)
			w->may_stream = false;
	}
	start(w);
	leave(w);
}

static int add_selector(struct buf *b, const char *name, const char *value)
{
	if (str_empty(value))
		return 0;
	(void)buf_fmt(b, "&%s=", name);
	return kube_path_escape(b, value);
}

int watch_new(struct kube *k, const struct watch_options *o, const struct watch_ops *ops,
	void *user, struct watch **ret, struct err *e)
{
	CLEANUP(watch_freep) struct watch *w = calloc(1, sizeof(*w));
	struct buf b;
	int r;

	if (!w)
		return err_set(e, -ENOMEM, "out of memory");
	w->kube = k;
	w->ops = *ops;
	w->user = user;
	w->item_max = o->item_max;
	w->may_stream = o->is_streamed;
	w->state = WATCH_PAUSE;
	w->path = strdup(o->path);
	buf_init(&b, WATCH_PATH_MAX);
	(void)add_selector(&b, "labelSelector", o->label_selector);
	(void)add_selector(&b, "fieldSelector", o->field_selector);
	r = buf_ok(&b);
	w->selectors = strdup(buf_cstr(&b));
	buf_done(&b);
	if (r < 0 || !w->path || !w->selectors)
		return err_errno(e, r < 0 ? r : -ENOMEM, "watch of '%s'", o->path);
	/* From the loop, so that no callback comes before the caller has its pointer. */
	r = loop_timer(kube_loop(k), 0, on_timer, w, &w->timer);
	if (r < 0)
		return err_errno(e, r, "watch of '%s'", o->path);
	*ret = TAKE(w);
	return 0;
}
