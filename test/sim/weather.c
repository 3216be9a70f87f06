// SPDX-License-Identifier: Apache-2.0
/* What people and machines do to the fleet meanwhile. */
#include "model.h"

static void touch(struct node *n)
{
	n->obj.version++;
}

void sim_upset_node(struct sim *s, struct node *n)
{
	if (sim_trouble(s, 4) && !n->m.back_at) {
		n->obj.is_ready = !n->obj.is_ready;
		s->res->offline += !n->obj.is_ready;
		touch(n);
	}
	/* A cordon over our annotation could not be told from ours by anybody. */
	if (sim_trouble(s, 2) && !n->obj.is_unschedulable && !n->obj.is_cordoned) {
		n->admin_cordon = n->obj.is_unschedulable = true;
		sim_say(s, "%s: an admin cordons", n->name);
		touch(n);
	}
	if (sim_trouble(s, 2) && n->obj.is_unschedulable) {
		n->admin_cordon = n->obj.is_unschedulable = false;
		n->is_disturbed = true;
		sim_say(s, "%s: an admin uncordons", n->name);
		touch(n);
	}
	if (sim_trouble(s, 2)) {
		n->obj.has_label = !n->obj.has_label;
		touch(n);
	}
	if (sim_trouble(s, 10)) /* a heartbeat */
		touch(n);
}

void sim_edit_driver(struct sim *s, struct driver *d)
{
	int64_t g = ++d->v.generation;

	d->v.d.meta.generation = g;
	d->v.spec_hash++;
	d->v.d.spec.paused = sim_below(s, 8) == 0;
	d->bad_from = sim_below(s, 3) == 0 ? g : 0;
	d->same_build = sim_below(s, 5) == 0 ? g : 0;
	sim_say(s, "%s: generation %lld%s", d->name, (long long)g,
		d->bad_from ? ", bad" : "");
	s->changed = true;
}

void sim_restart(struct sim *s)
{
	s->res->restarts++;
	sim_say(s, "restart");
	for (size_t i = 0; i < s->n_nodes; i++) {
		struct node *n = &s->nodes[i];

		if (n->is_writing && sim_below(s, 2))
			sim_store(s, n);
		n->is_writing = false;
		sim_settle(s, n);
		n->v.pods = NULL;
		s->view.n_gangs = 0;
		memset(s->gangs, 0, sizeof(s->gangs));
		sim_see_acc(s, n);
		sim_see_obj(s, n);
	}
}

void sim_calm_down(struct sim *s)
{
	s->is_calm = true;
	sim_say(s, "calm");
	for (size_t i = 0; i < s->n_nodes; i++) {
		s->nodes[i].obj.is_ready = s->nodes[i].m.back_at == 0;
		touch(&s->nodes[i]);
	}
	for (size_t i = 0; i < s->n_drivers; i++)
		if (s->drivers[i].v.d.spec.paused)
			sim_edit_driver(s, &s->drivers[i]);
	for (size_t i = 0; i < s->n_drivers; i++)
		s->drivers[i].v.d.spec.paused = false;
}

void sim_keep_good(struct sim *s, struct driver *d, const struct plan_driver *p)
{
	int64_t g = d->v.d.meta.generation;

	if (!p->is_good || d->v.good.generation == g || sim_trouble(s, 30))
		return;
	if (d->bad_from && d->bad_share == 100 && g >= d->bad_from && s->n_nodes > 0 &&
		d->same_build != g)
		for (size_t i = 0; i < s->n_nodes; i++)
			if (s->nodes[i].m.is_broken[d->name[1] - '0'])
				sim_broken(s, "'%s': a bad generation is called good",
					d->name);
	d->v.good = (struct view_good){
		.generation = g,
		.version = "",
		.text = "{}",
		.spec_hash = d->v.spec_hash,
	};
	sim_say(s, "%s: generation %lld is good", d->name, (long long)g);
	s->changed = true;
}
