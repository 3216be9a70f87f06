// SPDX-License-Identifier: Apache-2.0
/* One round after the other: ask, join, compare. */
#include "topology_watch.h"

#include <limits.h>

#include "file.h"
#include "topology.h"

#define ASK_TIMEOUT_US (20 * USEC_PER_SEC)
#define SOON_US (2 * USEC_PER_SEC) /* the kubelet hears of devices when we do */
#define GAP_US (TOPOLOGY_EVERY_MIN_S * USEC_PER_SEC)

enum { ARENA_MAX = 16 << 20 };

struct topology_watch {
	struct loop *loop;
	struct topology_watch_options o;
	char socket[PATH_MAX];
	topology_fn fn;
	void *user;
	struct loop_source *timer;
	uint64_t at_us, begun_us; /* the next round; the last */
	struct podres_ask *ask;
	bool is_stale; /* devices changed since it was asked */

	struct json *said; /* as it is printed; NULL: nothing known */
	struct arena *arena; /* of current */
	struct api_node_topology current;
};

static void arm(struct topology_watch *w, uint64_t at_us)
{
	w->at_us = at_us;
	loop_timer_set(w->timer, at_us);
}

static void arm_next(struct topology_watch *w)
{
	uint64_t jitter = loop_random(w->loop, w->o.every_us / 4 + 1);

	arm(w, loop_now(w->loop) + w->o.every_us + jitter);
}

/* ---- what is known ---- */

/* Keeps @j (taken over) when it is something new. 1: it is, 0: not. */
static int keep(struct topology_watch *w, struct json *j, struct err *e)
{
	CLEANUP(json_freep) struct json *mine = j;
	CLEANUP(arena_freep) struct arena *a = NULL;
	struct api_node_topology t = { .present = true };
	int r;

	if (!mine)
		return err_errno(e, -ENOMEM, "topology");
	if (w->said && json_equal(w->said, mine))
		return 0;
	a = arena_new(ARENA_MAX);
	if (!a)
		return err_errno(e, -ENOMEM, "topology");
	r = field_parse_at(a, api_node_topology_fields, mine, "topology", false, &t, e);
	if (r < 0)
		return r;
	json_free(w->said);
	arena_free(w->arena);
	w->said = TAKE(mine);
	w->arena = TAKE(a);
	w->current = t;
	return 1;
}

/* The agent wrote it for those who cannot see the kubelet's process; what is not there is not known. */
static int read_policy(const struct env *env, struct kubelet_policy *ret)
{
	const struct kubelet_where where = {
		.root = env->run, .proc = env->run, .run = env->run
	};

	*ret = (struct kubelet_policy){ 0 };
	return kubelet_policy_read(&where, ret, NULL);
}

static int join(struct topology_watch *w, const struct podres *p, struct err *e)
{
	CLEANUP(arena_freep) struct arena *a = arena_new(ARENA_MAX);
	struct api_node_topology t;
	struct kubelet_policy k;
	struct numa numa;
	int r = a ? 0 : err_errno(e, -ENOMEM, "topology");

	if (r == 0)
		r = numa_read(a, w->o.env->sys, w->o.env->proc, &numa, e);
	if (r < 0)
		return r;
	if (read_policy(w->o.env, &k) < 0)
		k.is_known = false;
	r = topology_make(a, &numa, p, &k, &t);
	if (r < 0)
		return err_errno(e, r, "topology");
	return keep(w, field_print(api_node_topology_fields, &t), e);
}

/* ---- rounds ---- */

static void end_round(struct topology_watch *w, int r, const struct err *e)
{
	arm_next(w);
	if (w->is_stale)
		topology_watch_poke(w);
	w->fn(r == 1, e, w->user);
}

static void on_answer(const struct podres *p, const struct err *e, void *user)
{
	struct topology_watch *w = user;
	struct err own = { 0 };
	int r;

	w->ask = NULL;
	if (!p) {
		end_round(w, e->code, e);
		return;
	}
	r = join(w, p, &own);
	end_round(w, r, &own);
}

static void on_timer(void *user)
{
	struct topology_watch *w = user;
	struct err e = { 0 };
	int r;

	w->at_us = UINT64_MAX;
	w->is_stale = false;
	w->begun_us = loop_now(w->loop);
	r = podres_ask(w->loop, w->socket, ASK_TIMEOUT_US, on_answer, w, &w->ask, &e);
	if (r < 0)
		end_round(w, r, &e);
}

void topology_watch_poke(struct topology_watch *w)
{
	uint64_t now = loop_now(w->loop);
	uint64_t at = MAX(now + SOON_US, w->begun_us ? w->begun_us + GAP_US : 0);

	w->is_stale = w->ask != NULL;
	if (!w->ask && at < w->at_us)
		arm(w, at);
}

/* ---- life ---- */

int topology_watch_new(struct loop *l, const struct topology_watch_options *o,
	const struct json *before, topology_fn fn, void *user,
	struct topology_watch **ret, struct err *e)
{
	CLEANUP(topology_watch_freep)
	struct topology_watch *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return err_errno(e, -ENOMEM, "topology");
	w->loop = l;
	w->o = *o;
	w->fn = fn;
	w->user = user;
	r = path_join(w->socket, sizeof(w->socket), o->env->root, o->socket, NULL);
	if (r < 0)
		return err_errno(e, r, "'%s'", o->socket);
	/* Another version's words may be none that we know. */
	if (json_type(before) == JSON_OBJECT &&
		keep(w, json_copy(before), NULL) == -ENOMEM)
		return err_errno(e, -ENOMEM, "topology");
	r = loop_timer(l, UINT64_MAX, on_timer, w, &w->timer);
	if (r < 0)
		return err_errno(e, r, "timer");
	arm(w, loop_now(l) + SOON_US);
	*ret = TAKE(w);
	return 0;
}

void topology_watch_free(struct topology_watch *w)
{
	if (!w)
		return;
	podres_cancel(w->ask);
	loop_source_free(w->timer);
	json_free(w->said);
	arena_free(w->arena);
	free(w);
}

const struct api_node_topology *topology_watch_get(const struct topology_watch *w)
{
	return w->said ? &w->current : NULL;
}
