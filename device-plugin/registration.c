// SPDX-License-Identifier: Apache-2.0
/* The state machine behind Register: call, expect the stream, back off, call again. */
#include "registration.h"

#include "grpc.h"
#include "messages.h"

/* A socket that refuses is one of the last boot, or one that is about to listen: ask often, but not
 * for ever. */
static const uint64_t refused_pause_us = 10 * USEC_PER_MSEC;
static const uint64_t refused_slow_us = 500 * USEC_PER_MSEC;
static const uint64_t refused_fast_for_us = 60 * USEC_PER_SEC;
static const uint64_t call_timeout_us = 15 * USEC_PER_SEC; /* the kubelet's own is 10 s */
static const uint64_t stream_timeout_us = 5 * USEC_PER_SEC;
static const uint64_t first_pause_us = 50 * USEC_PER_MSEC;
static const uint64_t max_pause_us = 30 * USEC_PER_SEC;
static const uint64_t polite_us = 1 * USEC_PER_SEC;
static const uint64_t settled_us =
	10 * USEC_PER_SEC; /* a stream that lives so long is a good one */

const char *const registration_state_names[REGISTRATION_STATES_] = {
	[REGISTRATION_WAITING] = "Waiting",
	[REGISTRATION_CALLING] = "Calling",
	[REGISTRATION_EXPECTING] = "Expecting",
	[REGISTRATION_DONE] = "Registered",
};

struct registration {
	struct loop *loop;
	struct registration_options o;
	enum registration_state state;
	struct loop_source *timer;
	struct grpc_request *call;
	bool is_again; /* asked for while a call was under way */
	size_t streams;
	unsigned failures;
	uint64_t fast_until_us, done_at_us;
};

static void attempt(struct registration *r);

static uint64_t back_off(struct registration *r)
{
	uint64_t us = first_pause_us << MIN(r->failures, 16u);

	r->failures++;
	us = MIN(us, max_pause_us);
	return us / 2 + loop_random(r->loop, us / 2 + 1);
}

static void wait_for(struct registration *r, enum registration_state state, uint64_t us)
{
	r->state = state;
	loop_timer_set(r->timer, us == UINT64_MAX ? UINT64_MAX : loop_now(r->loop) + us);
}

static void on_registered(const struct grpc_result *res, void *user)
{
	struct registration *r = user;
	struct err e = { 0 };

	r->call = NULL;
	if (res->status != GRPC_OK) {
		(void)err_set(&e, -EREMOTEIO, "register '%s': %s: %s", r->o.resource,
			grpc_status_name(res->status), res->text);
		wait_for(r, REGISTRATION_WAITING, back_off(r));
		r->o.on_attempt(&e, r->o.user);
	} else {
		if (r->streams) {
			r->done_at_us = loop_now(r->loop);
			wait_for(r, REGISTRATION_DONE, UINT64_MAX);
		} else {
			wait_for(r, REGISTRATION_EXPECTING, stream_timeout_us);
		}
		r->o.on_attempt(NULL, r->o.user);
	}
	if (r->is_again)
		wait_for(r, REGISTRATION_WAITING, 0);
	r->is_again = false;
}

static void attempt(struct registration *r)
{
	struct err e = { 0 };
	struct buf msg;
	int rc;

	buf_init(&msg, 4096);
	rc = message_register(r->o.endpoint, r->o.resource, r->o.wants_pre_start, &msg);
	if (rc == 0)
		rc = grpc_request_start(r->loop, r->o.kubelet_socket,
			"/v1beta1.Registration/Register", msg.data, msg.len,
			call_timeout_us, on_registered, r, &r->call, &e);
	buf_done(&msg);
	if (rc == 0) {
		wait_for(r, REGISTRATION_CALLING, UINT64_MAX);
	} else if (rc == -ENOENT) {
		/* No kubelet: whoever watches the folder calls registration_renew(). */
		wait_for(r, REGISTRATION_WAITING, refused_slow_us);
	} else if (rc == -ECONNREFUSED || rc == -EAGAIN) {
		wait_for(r, REGISTRATION_WAITING,
			loop_now(r->loop) < r->fast_until_us ? refused_pause_us
							     : refused_slow_us);
	} else {
		(void)err_wrap(&e, rc, "register '%s'", r->o.resource);
		wait_for(r, REGISTRATION_WAITING, back_off(r));
		r->o.on_attempt(&e, r->o.user);
	}
}

static void on_timer(void *user)
{
	struct registration *r = user;
	struct err e = { 0 };

	if (r->state == REGISTRATION_EXPECTING) {
		(void)err_set(&e, -ETIMEDOUT,
			"register '%s': the kubelet agreed, but asked for no list",
			r->o.resource);
		wait_for(r, REGISTRATION_WAITING, back_off(r));
		r->o.on_attempt(&e, r->o.user);
	} else if (r->state == REGISTRATION_WAITING) {
		attempt(r);
	}
}

int registration_new(struct loop *l, const struct registration_options *o,
	struct registration **ret, struct err *e)
{
	CLEANUP(registration_freep) struct registration *r = calloc(1, sizeof(*r));
	int rc;

	if (!r)
		return err_errno(e, -ENOMEM, "registration");
	r->loop = l;
	r->o = *o;
	r->fast_until_us = loop_now(l) + refused_fast_for_us;
	rc = loop_timer(l, loop_now(l), on_timer, r, &r->timer);
	if (rc < 0)
		return err_errno(e, rc, "registration");
	*ret = TAKE(r);
	return 0;
}

void registration_free(struct registration *r)
{
	if (!r)
		return;
	grpc_request_cancel(r->call);
	loop_source_free(r->timer);
	free(r);
}

void registration_renew(struct registration *r)
{
	r->fast_until_us = loop_now(r->loop) + refused_fast_for_us;
	r->failures = 0;
	if (r->state == REGISTRATION_CALLING)
		r->is_again = true;
	else
		wait_for(r, REGISTRATION_WAITING, 0);
}

void registration_pre_start(struct registration *r, bool wants_pre_start)
{
	if (r->o.wants_pre_start == wants_pre_start)
		return;
	r->o.wants_pre_start = wants_pre_start;
	registration_renew(r);
}

void registration_streams(struct registration *r, size_t n)
{
	bool was_there = r->streams > 0;
	uint64_t now = loop_now(r->loop), pause_us;

	r->streams = n;
	if (n > 0 && r->state == REGISTRATION_EXPECTING) {
		r->done_at_us = now;
		wait_for(r, REGISTRATION_DONE, UINT64_MAX);
	} else if (n > 0 && r->state == REGISTRATION_WAITING && !was_there) {
		/* It came by another road (an older Register that we gave up on). */
		r->done_at_us = now;
		wait_for(r, REGISTRATION_DONE, UINT64_MAX);
	} else if (n == 0 && was_there && r->state == REGISTRATION_DONE) {
		if (now - r->done_at_us > settled_us)
			r->failures = 0;
		r->fast_until_us = now + refused_fast_for_us;
		pause_us = back_off(r);
		if (r->o.has_others && *r->o.has_others)
			pause_us = MAX(pause_us, polite_us);
		wait_for(r, REGISTRATION_WAITING, pause_us);
	}
}

enum registration_state registration_state(const struct registration *r)
{
	return r->state;
}
