// SPDX-License-Identifier: Apache-2.0
/* One probe a minute, and its last word. */
#include "kubelet_watch.h"

#include <stdio.h>

#include "probe.h"

enum { ERROR_MAX = 512 };
static const uint64_t again_us = 60 * USEC_PER_SEC;
static const uint64_t timeout_us = 5 * USEC_PER_SEC;

struct kubelet_watch {
	struct loop *loop;
	struct kubelet_where where;
	struct loop_source *timer;
	struct probe *probe;
	void (*on_change)(void *user);
	void *user;
	bool is_pending;
	struct kubelet_policy policy;
	char error[ERROR_MAX];
	char last[PROBE_OUT_MAX + 1]; /* the answer before */
};

/* In the child: "+" and a policy, or "-" and an error. */
static int ask(const void *what, char *out, size_t size)
{
	struct kubelet_policy p;
	struct err e = { 0 };
	int r = kubelet_policy_read(what, &p, &e);

	if (r < 0)
		return snprintf(out, size, "-%.*s", ERROR_MAX - 1, e.text);
	out[0] = '+';
	r = kubelet_policy_print(&p, out + 1, size - 1);
	return r < 0 ? r : r + 1;
}

static void on_answer(int r, const char *text, void *user)
{
	struct kubelet_watch *w = user;
	char failed[ERROR_MAX];

	w->is_pending = false;
	loop_timer_set(w->timer, loop_now(w->loop) + again_us);
	if (r < 0) {
		(void)snprintf(failed, sizeof(failed), "-the kubelet's configuration: %s",
			strerror(-r));
		text = failed;
	}
	if (streq(text, w->last))
		return;
	(void)snprintf(w->last, sizeof(w->last), "%s", text);
	w->error[0] = '\0';
	w->policy = (struct kubelet_policy){ 0 };
	if (text[0] == '-')
		(void)snprintf(w->error, sizeof(w->error), "%s", text + 1);
	else if (text[0] == '+')
		(void)kubelet_policy_parse(text + 1, &w->policy);
	w->on_change(w->user);
}

static void on_timer(void *user)
{
	struct kubelet_watch *w = user;

	loop_timer_set(w->timer, loop_now(w->loop) + again_us);
	if (w->probe && probe_is_stuck(w->probe))
		return;
	probe_free(TAKE(w->probe));
	if (probe_start(w->loop, ask, &w->where, timeout_us, on_answer, w, &w->probe) < 0)
		w->is_pending = false;
}

int kubelet_watch_new(struct loop *l, const struct kubelet_where *where,
	uint64_t delay_us, void (*on_change)(void *user), void *user,
	struct kubelet_watch **ret)
{
	CLEANUP(kubelet_watch_freep) struct kubelet_watch *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return -ENOMEM;
	w->loop = l;
	w->where = *where;
	w->on_change = on_change;
	w->user = user;
	w->is_pending = true;
	r = loop_timer(l, loop_now(l) + delay_us, on_timer, w, &w->timer);
	if (r < 0)
		return r;
	*ret = TAKE(w);
	return 0;
}

void kubelet_watch_free(struct kubelet_watch *w)
{
	if (!w)
		return;
	probe_free(w->probe);
	loop_source_free(w->timer);
	free(w);
}

const struct kubelet_policy *kubelet_watch_policy(const struct kubelet_watch *w)
{
	return &w->policy;
}

const char *kubelet_watch_error(const struct kubelet_watch *w)
{
	return w->error[0] ? w->error : NULL;
}

bool kubelet_watch_pending(const struct kubelet_watch *w)
{
	return w->is_pending;
}
