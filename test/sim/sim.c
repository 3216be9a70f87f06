// SPDX-License-Identifier: Apache-2.0
/* One run of a seed: time, and the controller in it. See sim.h. */
#include "model.h"

static int tick(struct sim *s, int64_t *wake_at)
{
	struct plan p;
	int r;

	for (size_t i = 0; i < s->n_nodes; i++) {
		struct node *n = &s->nodes[i];

		sim_run_pods(s, n);
		sim_run_agent(s, n);
		if (n->is_writing && s->now >= n->write_at)
			sim_finish_write(s, n);
		sim_upset_node(s, n);
	}
	for (size_t i = 0; i < s->n_drivers; i++)
		if (sim_trouble(s, 4))
			sim_edit_driver(s, &s->drivers[i]);
	if (sim_trouble(s, 2))
		sim_restart(s);
	sim_watch(s);
	if (!s->changed && s->now < *wake_at)
		return 0;
	s->changed = false;
	arena_reset(s->arena);
	r = plan_make(s->arena, &s->view, s->now, &p);
	if (r < 0) {
		sim_broken(s, "plan: %d", r);
		return 0;
	}
	*wake_at = p.wake_at;
	for (size_t i = 0; i < s->n_drivers; i++)
		sim_keep_good(s, &s->drivers[i], &p.drivers[i]);
	sim_act(s, &p);
	return p.n_nodes > 0;
}

bool sim_run(uint64_t seed, bool trace, struct sim_result *ret)
{
	struct sim *s = calloc(1, sizeof(*s));
	int64_t wake_at = 0;
	unsigned quiet = 0;

	memset(ret, 0, sizeof(*ret));
	if (!s)
		return false;
	s->seed = seed;
	s->trace = trace;
	s->res = ret;
	s->now = 1000;
	s->changed = true;
	s->arena = arena_new(ARENA_MAX);
	if (!s->arena)
		sim_broken(s, "memory");
	sim_make_fleet(s);
	while (!*ret->broken && ret->ticks < CHAOS_TICKS + CALM_TICKS && quiet < 30) {
		if (ret->ticks == CHAOS_TICKS)
			sim_calm_down(s);
		quiet = tick(s, &wake_at) || !s->is_calm ? 0 : quiet + 1;
		/* nothing moves but time */
		if (quiet > 10 && wake_at != INT64_MAX && wake_at > s->now) {
			s->now = wake_at;
			quiet = 0;
		}
		s->now += TICK_S;
		ret->ticks++;
	}
	if (!*ret->broken)
		sim_check_end(s);
	arena_free(s->arena);
	free(s);
	return !*ret->broken;
}
