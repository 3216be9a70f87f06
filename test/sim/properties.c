// SPDX-License-Identifier: Apache-2.0
/* What has to hold: at each start, write and eviction, and at the end of a run. */
#include "model.h"

bool sim_is_busy(const struct node *n, const struct plan_node *p)
{
	return (wave_is_active(n->acc.state) &&
		       (n->acc.state != API_UPGRADE_UNCORDON || n->obj.is_cordoned)) ||
	       (n->v.intent && wave_is_active(n->v.intent->upgrade.state)) ||
	       (n->is_writing && wave_is_active(n->write.state)) ||
	       (p && p->write && wave_is_active(p->upgrade.state));
}

static bool has_driver(const struct acc *a, const char *name)
{
	for (size_t i = 0; i < a->n_assigns; i++)
		if (streq(a->assigns[i].name, name))
			return true;
	return false;
}

static bool assigned(const struct list *assigns, const char *name)
{
	for (size_t i = 0; i < assigns->n; i++)
		if (streq(VIEW_AT(struct view_assign, *assigns, i)->name, name))
			return true;
	return false;
}

void sim_check_budget(
	struct sim *s, const struct plan *p, const struct plan_node *started)
{
	for (size_t d = 0; d < s->n_drivers; d++) {
		const struct api_upgrade_policy *policy =
			&s->drivers[d].v.d.spec.upgrade_policy;
		struct intstr quarter = { true, 25 };
		size_t online = 0, busy = 0, allowed;

		if (!assigned(&started->assigns, s->drivers[d].name))
			continue;
		for (size_t i = 0; i < s->n_nodes; i++) {
			struct node *n = &s->nodes[i];
			const struct plan_node *out = NULL;

			for (size_t k = 0; k < p->n_nodes && !out; k++)
				if (p->nodes[k].node == &n->v)
					out = &p->nodes[k];
			/* one that was sent away counts though it is not there */
			if ((!n->v.is_ready &&
				    n->v.upgrade.state != API_UPGRADE_REBOOT) ||
				!assigned(out ? &out->assigns : &n->v.assigns,
					s->drivers[d].name))
				continue;
			online++;
			busy += sim_is_busy(n, out);
		}
		allowed = api_budget(
			policy->present ? &policy->max_unavailable : &quarter, online);
		if (busy > allowed)
			sim_broken(s,
				"'%s' started: %zu of %zu nodes busy, %zu allowed (%s)",
				started->name, busy, online, allowed, s->drivers[d].name);
	}
}

void sim_check_assigns(struct sim *s, const struct node *n, const struct acc *w)
{
	for (size_t i = 0; i < n->acc.n_assigns; i++)
		if (!has_driver(w, n->acc.assigns[i].name) &&
			!(streq(n->acc.assigns[i].name, "d2") && has_driver(w, "d0")))
			sim_broken(s, "'%s' lost driver '%s'", n->name,
				n->acc.assigns[i].name);
	for (size_t i = 0; i < w->n_assigns; i++) {
		if (w->assigns[i].unload)
			sim_broken(s, "'%s' told to unload", n->name);
		if (w->assigns[i].proceed && !wave_may_replace(w->state))
			sim_broken(s, "'%s' may replace in state %d", n->name, w->state);
	}
	if (has_driver(w, "d0") && has_driver(w, "d2"))
		sim_broken(s, "'%s' has two drivers for one device", n->name);
}

/* Whether the gang goes on without its pods on @n: by what is so, whatever the controller has listed. */
static bool is_spare(
	struct sim *s, const struct plan *p, const struct node *n, unsigned gang)
{
	int64_t staying = 0;

	if (s->gang_min[gang - 1] == 0)
		return false;
	for (size_t i = 0; i < s->n_nodes; i++) {
		const struct node *m = &s->nodes[i];
		const struct plan_node *out = NULL;

		for (size_t k = 0; k < p->n_nodes && !out; k++)
			if (p->nodes[k].node == &m->v)
				out = &p->nodes[k];
		if (m != n && m->v.is_ready && !sim_is_busy(m, out))
			staying += sim_running_of(m, gang);
	}
	return staying >= s->gang_min[gang - 1];
}

void sim_check_gang(struct sim *s, const struct plan *p, const struct plan_node *started)
{
	struct node *n = container_of(started->node, struct node, v);

	int64_t patience = 300;

	for (size_t i = 0; i < s->n_drivers; i++)
		if (s->drivers[i].v.d.spec.upgrade_policy.wait.present)
			patience = 30;
	if (s->now - n->v.upgrade.since >= patience)
		return; /* too large for the budget: one by one, after a while */
	for (size_t i = 0; i < p->n_nodes; i++) {
		const struct plan_node *o = &p->nodes[i];
		struct node *m = container_of(o->node, struct node, v);

		if (m == n || !m->v.is_ready ||
			o->upgrade.state != API_UPGRADE_REQUIRED ||
			(!streq(o->upgrade.reason, WAVE_BUDGET) &&
				!streq(o->upgrade.reason, WAVE_GANG)))
			continue;
		for (unsigned g = 1; g <= GANGS_MAX; g++)
			if (sim_has_gang(n, g) && sim_has_gang(m, g) &&
				is_spare(s, p, n, g))
				s->res->surplus++;
			else if (sim_has_gang(n, g) && sim_has_gang(m, g))
				sim_broken(s, "half a gang: '%s' started without '%s'",
					n->name, m->name);
	}
}

void sim_check_group(struct sim *s, const struct node *n)
{
	for (size_t i = 0; i < s->n_nodes; i++) {
		const struct node *m = &s->nodes[i];

		if (m != n && *n->acc.group && streq(m->acc.group, n->acc.group) &&
			m->acc.state == API_UPGRADE_CORDON && m->obj.is_ready)
			sim_broken(s, "'%s' evicts before '%s' is cordoned", n->name,
				m->name);
	}
}

/* An old build that still runs has a reason that people can see. */
static void check_builds(struct sim *s, const struct node *n)
{
	for (size_t i = 0; i < n->acc.n_assigns; i++) {
		const struct view_assign *a = &n->acc.assigns[i];
		size_t d = (size_t)(a->name[1] - '0');

		if (a->generation != s->drivers[d].v.d.meta.generation &&
			(n->acc.state != API_UPGRADE_FAILED ||
				a->generation != s->drivers[d].v.good.generation))
			sim_broken(s, "'%s' has an old generation of '%s'", n->name,
				a->name);
		if (n->m.loaded[d] != sim_build_of(&s->drivers[d], a->generation) &&
			n->acc.state != API_UPGRADE_REQUIRED &&
			n->acc.state != API_UPGRADE_FAILED)
			sim_broken(s, "'%s' runs an old build of '%s' in state %d",
				n->name, a->name, n->acc.state);
	}
}

void sim_check_end(struct sim *s)
{
	for (size_t i = 0; i < s->n_nodes; i++) {
		const struct node *n = &s->nodes[i];

		check_builds(s, n);
		if (wave_is_active(n->acc.state))
			sim_broken(s, "'%s' never ended: state %d, %s %s", n->name,
				n->acc.state, n->acc.reason, n->acc.message);
		if (n->acc.state == API_UPGRADE_REQUIRED &&
			(streq(n->acc.reason, WAVE_BUDGET) || !*n->acc.reason))
			sim_broken(s, "'%s' waits for ever: %s", n->name, n->acc.reason);
		if (n->obj.is_cordoned)
			sim_broken(s, "'%s' was left cordoned", n->name);
		if (n->obj.is_unschedulable != n->admin_cordon)
			sim_broken(s, "'%s' is%s unschedulable, its admin wants%s",
				n->name, n->obj.is_unschedulable ? "" : " not",
				n->admin_cordon ? " it" : " not");
	}
}
