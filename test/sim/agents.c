// SPDX-License-Identifier: Apache-2.0
/* The agents and the pods of each node. */
#include "model.h"

#include <stdio.h>

static bool holds_device(const struct node *n)
{
	for (size_t i = 0; i < PODS_MAX; i++)
		if (n->pods[i].is_there && n->pods[i].uses_devices)
			return true;
	return false;
}

static void replace(struct sim *s, struct node *n, struct driver *d, size_t i, int64_t g,
	struct view_driver_state *st)
{
	if (!wave_may_replace(n->acc.state))
		sim_broken(
			s, "'%s' replaced a module in state %d", n->name, n->acc.state);
	if (holds_device(n)) {
		st->state = API_DRIVER_FAILED;
		st->reason = "ModuleInUse";
		return;
	}
	n->m.loaded[i] = sim_build_of(d, g);
	n->m.is_broken[i] = d->bad_from && g >= d->bad_from &&
			    sim_below(s, 100) < d->bad_share;
	n->m.busy_until[i] = s->now + (int64_t)sim_below(s, 4) * TICK_S;
	n->obj.allocatable = 0;
	n->obj.version++;
}

static void run_driver(struct sim *s, struct node *n, const struct view_assign *a,
	struct view_driver_state *st)
{
	size_t i = (size_t)(a->name[1] - '0');
	struct driver *d = &s->drivers[i];
	int64_t g = a->generation;

	*st = (struct view_driver_state){
		.name = d->name,
		.reason = "",
		.generation = g,
		.state = API_DRIVER_BUILDING,
		.devices = 2,
	};
	if (n->m.built[i] != g) {
		n->m.built[i] = g;
		n->m.busy_until[i] = s->now + (int64_t)sim_below(s, 4) * TICK_S;
	}
	if (s->now < n->m.busy_until[i])
		return;
	if (!n->m.loaded[i]) /* a first load needs no permission */
		n->m.loaded[i] = sim_build_of(d, g);
	if (n->m.loaded[i] != sim_build_of(d, g)) {
		st->state = API_DRIVER_UPGRADE_REQUIRED;
		st->bound = 2;
		if (a->proceed == g)
			replace(s, n, d, i, g, st);
		return;
	}
	if (n->m.is_broken[i]) {
		st->state = API_DRIVER_FAILED;
		st->reason = "LoadFailed";
		return;
	}
	st->state = API_DRIVER_LOADED;
	st->bound = 2;
}

static void run_boot(const struct node *n, char out[24])
{
	(void)snprintf(out, 24, "%.12s-%u", n->name, n->m.boots);
}

/* What is staged runs after a boot; a load may fail as well as in place. */
static void boot(struct sim *s, struct node *n)
{
	n->m.back_at = 0;
	n->m.boots++;
	n->obj.is_ready = true;
	n->obj.version++;
	for (size_t i = 0; i < s->n_drivers; i++) {
		const struct driver *d = &s->drivers[i];

		if (!n->m.loaded[i] || n->m.loaded[i] == sim_build_of(d, n->m.built[i]))
			continue;
		n->m.loaded[i] = sim_build_of(d, n->m.built[i]);
		n->m.is_broken[i] = d->bad_from && n->m.built[i] >= d->bad_from &&
				    sim_below(s, 100) < d->bad_share;
	}
	sim_say(s, "%s: booted", n->name);
}

/* True while the node is away. */
static bool reboot(struct sim *s, struct node *n)
{
	char now[24];

	if (n->m.back_at) {
		if (s->now >= n->m.back_at)
			boot(s, n);
		return true;
	}
	run_boot(n, now);
	if (n->acc.state != API_UPGRADE_REBOOT || !streq(n->acc.boot, now) ||
		!n->obj.is_ready || sim_trouble(s, 30))
		return false;
	if (holds_device(n) && !n->is_disturbed)
		sim_broken(s, "'%s' reboots under its pods", n->name);
	sim_say(s, "%s: reboots", n->name);
	s->res->reboots++;
	n->m.back_at = s->now + (int64_t)(1 + sim_below(s, 6)) * TICK_S;
	n->obj.is_ready = false;
	n->obj.allocatable = 0;
	n->obj.version++;
	return true;
}

void sim_run_agent(struct sim *s, struct node *n)
{
	bool works = true;

	if (!n->acc.exists || reboot(s, n) || !n->obj.is_ready)
		return;
	n->acc.is_known = true;
	run_boot(n, n->acc.boot_id);
	n->acc.n_states = n->acc.n_assigns;
	for (size_t i = 0; i < n->acc.n_assigns; i++) {
		run_driver(s, n, &n->acc.assigns[i], &n->acc.states[i]);
		works = works &&
			(n->acc.states[i].state == API_DRIVER_LOADED ||
				n->acc.states[i].state == API_DRIVER_UPGRADE_REQUIRED);
	}
	if (works && n->obj.allocatable == 0 && !sim_trouble(s, 50)) {
		n->obj.allocatable = 2;
		n->obj.version++;
	}
}

void sim_run_pods(struct sim *s, struct node *n)
{
	for (size_t i = 0; i < PODS_MAX; i++) {
		struct pod *p = &n->pods[i];

		if (p->is_deleting && s->now >= p->gone_at && n->obj.is_ready)
			p->is_there = p->is_deleting = false;
		/* a gang that was there once ends one day and does not come again */
		if (p->gang && p->is_there && !p->is_deleting && !s->is_calm &&
			sim_below(s, 200) == 0 && s->gang_min[p->gang - 1] == 0)
			p->is_there = false;
		if (!p->is_there && !p->gang && !n->obj.is_unschedulable &&
			sim_trouble(s, 10))
			p->is_there = true; /* the scheduler */
	}
}
