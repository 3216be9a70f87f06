// SPDX-License-Identifier: Apache-2.0
/* Leader election as client-go does it: the holder proves itself by changing the record, and whoever
 * sees it unchanged for its duration, by its own clock, may take it. Writes carry the resourceVersion
 * that was read, so that of two takers one fails. */
#include "lease.h"

#include <stdio.h>
#include <time.h>

enum { LEASE_PATH_MAX = 1024, LEASE_SECONDS_MAX = 86400 };
static const uint64_t DURATION_US = 15 * USEC_PER_SEC;
static const uint64_t RENEW_DEADLINE_US = 10 * USEC_PER_SEC;
static const uint64_t RETRY_US = 2 * USEC_PER_SEC;
static const uint64_t RELEASE_US = 2 * USEC_PER_SEC;

struct lease {
	struct kube *kube;
	char *collection, *path;
	char *namespace_, *name, *identity;
	uint64_t duration_us, deadline_us, retry_us;
	void (*on_change)(bool is_leader, void *user);
	void (*on_link)(bool is_up, const char *why, void *user);
	void *user;
	bool link_known, is_up;

	struct loop_source *retry, *deadline;
	struct http_req *req;
	uint64_t asked_us; /* start of this try */

	struct json *seen; /* the object as last read or written */
	char *record; /* its spec as text: has it changed? */
	uint64_t seen_us; /* when it last changed, by our clock */

	bool is_leader;
	bool is_releasing;
	void (*released)(void *user);
	void *released_user;
};

static struct loop *loop_of(struct lease *l)
{
	return kube_loop(l->kube);
}

void lease_free(struct lease *l)
{
	if (!l)
		return;
	http_cancel(l->req);
	loop_source_free(l->retry);
	loop_source_free(l->deadline);
	json_free(l->seen);
	free(l->record);
	free(l->collection);
	free(l->path);
	free(l->namespace_);
	free(l->name);
	free(l->identity);
	free(l);
}

bool lease_is_leader(const struct lease *l)
{
	return l->is_leader;
}

static void lead(struct lease *l, bool is_leader)
{
	if (l->is_leader == is_leader)
		return;
	l->is_leader = is_leader;
	if (!is_leader)
		loop_timer_set(l->deadline, UINT64_MAX);
	if (l->on_change && !l->is_releasing)
		l->on_change(is_leader, l->user);
}

/* ---- the record ---- */

/* Keeps a copy of @obj; the clock of its holder starts again when the spec is not what it was. */
static int observe(struct lease *l, const struct json *obj)
{
	CLEANUP(json_freep) struct json *copy = json_copy(obj);
	CLEANUP(freep) char *record = NULL;
	struct buf b;

	if (!copy)
		return -ENOMEM;
	buf_init(&b, HTTP_BODY_MAX);
	(void)json_print(json_get(obj, "spec"), false, &b);
	record = buf_ok(&b) == 0 ? strdup(buf_cstr(&b)) : NULL;
	buf_done(&b);
	if (!record)
		return -ENOMEM;
	if (!l->record || !streq(l->record, record)) {
		free(l->record);
		l->record = TAKE(record);
		l->seen_us = loop_now(loop_of(l));
	}
	json_free(l->seen);
	l->seen = TAKE(copy);
	return 0;
}

static const char *holder_of(const struct lease *l)
{
	const char *s = json_get_str(json_get(l->seen, "spec"), "holderIdentity");

	return s ? s : "";
}

/* The holder's own word on how long its lease lasts counts, within reason. */
static uint64_t duration_of(const struct lease *l)
{
	int64_t s = json_get_int(json_get(l->seen, "spec"), "leaseDurationSeconds", 0);

	if (s <= 0 || s > LEASE_SECONDS_MAX)
		return l->duration_us;
	return (uint64_t)s * USEC_PER_SEC;
}

static void micro_time(uint64_t wall_us, char out[40])
{
	char text[32];

	kube_time(wall_us, text);
	text[strcspn(text, "Z")] = '\0';
	(void)snprintf(out, 40, "%s.%06uZ", text, (unsigned)(wall_us % USEC_PER_SEC));
}

/* What the lease looks like when @holder has it; "" gives it up. */
static struct json *spec_for(struct lease *l, const char *holder)
{
	const struct json *old = json_get(l->seen, "spec");
	CLEANUP(json_freep) struct json *spec = old ? json_copy(old) : json_new_object();
	int64_t transitions = json_get_int(old, "leaseTransitions", 0);
	bool is_other = !streq(holder_of(l), l->identity);
	int64_t seconds = (int64_t)(l->duration_us / USEC_PER_SEC);
	char now[40];

	micro_time(loop_wall(loop_of(l)), now);
	if (!spec || json_set_str(spec, "holderIdentity", holder) < 0 ||
		json_set_int(spec, "leaseDurationSeconds",
			*holder ? MAX(seconds, 1) : 1) < 0 ||
		json_set_str(spec, "renewTime", now) < 0)
		return NULL;
	if ((is_other || !*holder || !json_get(spec, "acquireTime")) &&
		json_set_str(spec, "acquireTime", now) < 0)
		return NULL;
	if (json_set_int(spec, "leaseTransitions",
		    transitions + (l->seen && is_other && *holder)) < 0)
		return NULL;
	return TAKE(spec);
}

/* The whole object: the one that was seen with another spec, or a new one. */
static struct json *object_for(struct lease *l, const char *holder)
{
	CLEANUP(json_freep) struct json *obj = NULL, *meta = NULL;

	if (l->seen) {
		obj = json_copy(l->seen);
	} else {
		obj = json_new_object();
		meta = json_new_object();
		if (!obj || !meta ||
			json_set_str(obj, "apiVersion", "coordination.k8s.io/v1") < 0 ||
			json_set_str(obj, "kind", "Lease") < 0 ||
			json_set_str(meta, "name", l->name) < 0 ||
			json_set_str(meta, "namespace", l->namespace_) < 0 ||
			json_set(obj, "metadata", TAKE(meta)) < 0)
			return NULL;
	}
	if (!obj || json_set(obj, "spec", spec_for(l, holder)) < 0)
		return NULL;
	return TAKE(obj);
}

/* ---- one try: read unless we lead, then write ---- */

static void again(struct lease *l)
{
	uint64_t wait = l->retry_us;

	if (l->is_releasing)
		return;
	if (!l->is_leader)
		wait += loop_random(loop_of(l), l->retry_us / 5 + 1);
	loop_timer_set(l->retry, loop_now(loop_of(l)) + wait);
}

static void forget(struct lease *l)
{
	json_free(l->seen);
	l->seen = NULL;
}

/* A conflict is an answer too: somebody else was faster. */
static void link_is(struct lease *l, const struct kube_response *res)
{
	bool is_up = res->result == 0 || res->result == -ENOENT ||
		     res->result == -EAGAIN || res->result == -EEXIST;

	if (l->link_known && l->is_up == is_up)
		return;
	l->link_known = true;
	l->is_up = is_up;
	if (l->on_link)
		l->on_link(is_up, is_up ? "" : res->message, l->user);
}

static void on_written(const struct kube_response *res, void *user)
{
	struct lease *l = user;
	uint64_t until;

	l->req = NULL;
	link_is(l, res);
	if (res->result < 0 || !res->obj || observe(l, res->obj) < 0) {
		/* Somebody else was faster, or we cannot know: read before the next write. */
		forget(l);
		again(l);
		return;
	}
	/* What we wrote holds from the moment we asked, not from when the answer came. */
	until = l->asked_us + l->deadline_us;
	again(l);
	if (until <= loop_now(loop_of(l)))
		return;
	loop_timer_set(l->deadline, until);
	lead(l, true);
}

static int write_lease(
	struct lease *l, const char *holder, uint64_t timeout_us, kube_done_fn done)
{
	CLEANUP(json_freep) struct json *body = object_for(l, holder);

	if (!body)
		return -ENOMEM;
	return kube_request(l->kube, l->seen ? "PUT" : "POST",
		l->seen ? l->path : l->collection, KUBE_JSON, body, timeout_us, done, l,
		&l->req, NULL);
}

static void on_read(const struct kube_response *res, void *user)
{
	struct lease *l = user;
	bool is_mine, is_free;

	l->req = NULL;
	link_is(l, res);
	if (res->result == -ENOENT) {
		forget(l);
	} else if (res->result < 0 || !res->obj || observe(l, res->obj) < 0) {
		again(l);
		return;
	}
	is_mine = l->seen && streq(holder_of(l), l->identity);
	is_free = !l->seen || !*holder_of(l) ||
		  l->seen_us + duration_of(l) <= loop_now(loop_of(l));
	if (!is_mine && !is_free) {
		again(l);
		lead(l, false);
		return;
	}
	if (write_lease(l, l->identity, l->deadline_us / 2, on_written) < 0)
		again(l);
}

static void try_lease(void *user)
{
	struct lease *l = user;

	if (l->req)
		return;
	l->asked_us = loop_now(loop_of(l));
	if (l->is_leader && l->seen) {
		if (write_lease(l, l->identity, l->deadline_us / 2, on_written) < 0)
			again(l);
		return;
	}
	if (kube_request(l->kube, "GET", l->path, NULL, NULL, l->deadline_us / 2, on_read,
		    l, &l->req, NULL) < 0)
		again(l);
}

static void on_deadline(void *user)
{
	lead(user, false);
}

/* ---- what others call ---- */

static int build_paths(struct lease *l)
{
	struct buf b;
	int r = -ENOMEM;

	buf_init(&b, LEASE_PATH_MAX);
	(void)buf_str(&b, "/apis/coordination.k8s.io/v1/namespaces/");
	(void)kube_path_escape(&b, l->namespace_);
	(void)buf_str(&b, "/leases");
	l->collection = buf_ok(&b) == 0 ? strdup(buf_cstr(&b)) : NULL;
	(void)buf_chr(&b, '/');
	(void)kube_path_escape(&b, l->name);
	l->path = buf_ok(&b) == 0 ? strdup(buf_cstr(&b)) : NULL;
	if (l->collection && l->path)
		r = 0;
	buf_done(&b);
	return r;
}

int lease_new(struct kube *k, const struct lease_options *o,
	void (*on_change)(bool is_leader, void *user), void *user, struct lease **ret,
	struct err *e)
{
	CLEANUP(lease_freep) struct lease *l = calloc(1, sizeof(*l));
	struct loop *loop = kube_loop(k);

	if (!l)
		return err_set(e, -ENOMEM, "out of memory");
	l->kube = k;
	l->on_change = on_change;
	l->on_link = o->on_link;
	l->user = user;
	l->duration_us = o->duration_us ? o->duration_us : DURATION_US;
	l->deadline_us = o->renew_deadline_us ? o->renew_deadline_us : RENEW_DEADLINE_US;
	l->retry_us = o->retry_us ? o->retry_us : RETRY_US;
	if (l->duration_us <= l->deadline_us || l->deadline_us <= l->retry_us)
		return err_set(e, -EINVAL,
			"lease '%s': duration > renew deadline > retry does not hold",
			o->name);
	if (str_empty(o->identity))
		return err_set(e, -EINVAL, "lease '%s': no identity", o->name);
	l->namespace_ = strdup(o->namespace_);
	l->name = strdup(o->name);
	l->identity = strdup(o->identity);
	if (!l->namespace_ || !l->name || !l->identity || build_paths(l) < 0 ||
		loop_timer(loop, loop_now(loop), try_lease, l, &l->retry) < 0 ||
		loop_timer(loop, UINT64_MAX, on_deadline, l, &l->deadline) < 0)
		return err_set(e, -ENOMEM, "lease '%s': out of memory", o->name);
	*ret = TAKE(l);
	return 0;
}

static void release_done(struct lease *l)
{
	void (*released)(void *user) = l->released;

	l->released = NULL;
	http_cancel(l->req);
	l->req = NULL;
	loop_timer_set(l->retry, UINT64_MAX);
	loop_timer_set(l->deadline, UINT64_MAX);
	if (released)
		released(l->released_user);
}

static void on_released(const struct kube_response *res, void *user)
{
	struct lease *l = user;

	l->req = NULL;
	/* At once, but not from here: whoever is told may free us. */
	loop_timer_set(l->deadline, 0);
}

static void on_release_read(const struct kube_response *res, void *user)
{
	struct lease *l = user;

	l->req = NULL;
	if (res->result < 0 || !res->obj || observe(l, res->obj) < 0 ||
		!streq(holder_of(l), l->identity) ||
		write_lease(l, "", RELEASE_US, on_released) < 0)
		loop_timer_set(l->deadline, 0);
}

static int start_release(struct lease *l, bool was_asking)
{
	/* A renewal under way may have been written without our knowing the version it got. */
	if (was_asking || !l->seen)
		return kube_request(l->kube, "GET", l->path, NULL, NULL, RELEASE_US,
			on_release_read, l, &l->req, NULL);
	return write_lease(l, "", RELEASE_US, on_released);
}

static void on_release_over(void *user)
{
	release_done(user);
}

void lease_release(struct lease *l, void (*done)(void *user), void *user)
{
	struct loop *loop = loop_of(l);
	bool was_leader = l->is_leader, was_asking = l->req;

	http_cancel(l->req);
	l->req = NULL;
	l->is_releasing = true;
	l->released = done;
	l->released_user = user;
	lead(l, false);
	loop_timer_set(l->retry, UINT64_MAX);
	/* From here on the deadline's timer only ends the release. */
	loop_source_free(TAKE(l->deadline));
	if (loop_timer(loop, loop_now(loop) + RELEASE_US, on_release_over, l,
		    &l->deadline) < 0) {
		release_done(l);
		return;
	}
	if (!was_leader || start_release(l, was_asking) < 0)
		loop_timer_set(l->deadline, 0);
}
