// SPDX-License-Identifier: Apache-2.0
/* The API server, which delays, loses, repeats and refuses what plan() wants done. */
#include "model.h"

#include <stdio.h>

void sim_store(struct sim *s, struct node *n)
{
	struct acc *w = &n->write;

	if (n->acc.state != w->state)
		sim_say(s, "%s: %d -> %d %s %s", n->name, n->acc.state, w->state,
			w->target, w->reason);
	if (n->acc.state != w->state && w->state == API_UPGRADE_DONE)
		s->res->upgrades++;
	if (n->acc.state != w->state && w->state == API_UPGRADE_FAILED)
		s->res->failures++;
	if (n->acc.state == API_UPGRADE_ROLLBACK && w->state == API_UPGRADE_FAILED &&
		strstr(w->message, "runs again"))
		s->res->rollbacks++;
	if (w->state == API_UPGRADE_CORDON)
		n->is_disturbed = false;
	sim_check_assigns(s, n, w);
	/* the agent's half is its own */
	w->is_known = n->acc.is_known;
	memcpy(w->states, n->acc.states, sizeof(w->states));
	w->n_states = n->acc.n_states;
	memcpy(w->boot_id, n->acc.boot_id, sizeof(w->boot_id));
	n->acc = *w;
	n->acc.exists = true;
}

void sim_settle(struct sim *s, struct node *n)
{
	n->v.intent = NULL;
	n->is_uncertain = false;
	s->changed = true;
}

void sim_finish_write(struct sim *s, struct node *n)
{
	uint64_t luck = s->is_calm ? 99 : sim_below(s, 100);

	n->is_writing = false;
	s->changed = true;
	if (luck < 8) { /* lost: nobody knows, it is tried again */
		n->is_uncertain = true;
		return;
	}
	if (luck < 12) { /* refused, which says nothing of earlier tries */
		if (!n->is_uncertain)
			sim_settle(s, n);
		return;
	}
	sim_store(s, n);
	if (luck < 20) { /* done, the answer is lost */
		n->is_uncertain = true;
		return;
	}
	sim_see_acc(s, n);
	sim_settle(s, n);
}

static void begin_write(struct sim *s, struct node *n, const struct plan_node *p)
{
	struct acc *w = &n->write;

	n->intent.upgrade = p->upgrade;
	memset(w, 0, sizeof(*w));
	w->n_assigns = p->assigns.n;
	for (size_t i = 0; i < p->assigns.n; i++) {
		w->assigns[i] = *VIEW_AT(struct view_assign, p->assigns, i);
		for (size_t d = 0; d < s->n_drivers; d++)
			if (streq(s->drivers[d].name, w->assigns[i].name))
				w->assigns[i].name = s->drivers[d].name;
	}
	w->state = p->upgrade.state;
	w->since = p->upgrade.since;
	sim_copy_text(w->target, p->upgrade.target);
	sim_copy_text(w->reason, p->upgrade.reason);
	sim_copy_text(w->message, p->upgrade.message);
	sim_copy_text(w->before, p->before);
	(void)snprintf(w->boot, sizeof(w->boot), "%s", view_str(p->upgrade.boot));
	(void)snprintf(w->group, sizeof(w->group), "%s", view_str(p->upgrade.group));
	w->hash = p->hash;
	n->intent.upgrade.target = w->target;
	n->intent.upgrade.reason = w->reason;
	n->intent.upgrade.message = w->message;
	n->intent.upgrade.boot = *w->boot ? w->boot : NULL;
	n->intent.upgrade.group = *w->group ? w->group : NULL;
	n->intent.assigns = (struct list){ w->assigns, w->n_assigns };
	n->v.intent = &n->intent;
	n->is_writing = true;
	n->write_at = s->now + (int64_t)sim_below(s, 3) * TICK_S;
}

/* The intent's strings live in the write, which a second try overwrites: keep them apart. */
static void again(struct sim *s, struct node *n, const struct plan_node *p)
{
	struct acc keep = n->write;
	struct plan_node q = *p;

	q.upgrade.target = keep.target;
	q.upgrade.reason = keep.reason;
	q.upgrade.message = keep.message;
	q.upgrade.boot = *keep.boot ? keep.boot : NULL;
	q.upgrade.group = *keep.group ? keep.group : NULL;
	begin_write(s, n, &q);
}

static void cordon(struct sim *s, struct node *n, bool on)
{
	if (n->obj.version != n->v.version) {
		s->res->conflicts++;
		return;
	}
	if (sim_trouble(s, 10))
		return;
	if (on && n->obj.is_unschedulable)
		sim_broken(s, "'%s' cordoned over another's cordon", n->name);
	if (!on && n->admin_cordon)
		sim_broken(s, "'%s': an admin's cordon removed", n->name);
	sim_say(s, "%s: %s", n->name, on ? "cordon" : "uncordon");
	n->obj.is_unschedulable = on;
	n->obj.is_cordoned = on;
	n->obj.version++;
	if (!sim_trouble(s, 20))
		sim_see_obj(s, n);
}

static const char *const gang_keys[GANGS_MAX] = { "default/job/g1", "default/job/g2" };

static void list_gang(struct sim *s, const char *key)
{
	struct gang *g = &s->gangs[streq(key, gang_keys[1])];

	if (sim_trouble(s, 15))
		return;
	g->is_listed = true;
	g->v = (struct view_gang){ .key = gang_keys[g - s->gangs],
		.listed_at = s->now,
		.running = g->running,
		.min = s->gang_min[g - s->gangs] };
	g->v.nodes.items = g->names;
	for (size_t i = 0; i < s->n_nodes; i++) {
		unsigned gang = (unsigned)(g - s->gangs) + 1;

		if (!sim_has_gang(&s->nodes[i], gang))
			continue;
		g->running[g->v.nodes.n] = sim_running_of(&s->nodes[i], gang);
		g->names[g->v.nodes.n++] = s->nodes[i].name;
	}
	s->view.n_gangs = 0;
	for (size_t i = 0; i < GANGS_MAX; i++)
		if (s->gangs[i].is_listed)
			s->gang_ptrs[s->view.n_gangs++] = &s->gangs[i].v;
	s->changed = true;
}

static void list_pods(struct sim *s, struct node *n)
{
	size_t k = 0;

	if (sim_trouble(s, 15))
		return;
	for (size_t i = 0; i < PODS_MAX; i++) {
		const struct pod *p = &n->pods[i];

		if (!p->is_there)
			continue;
		n->pod_records[k++] = (struct view_pod){
			.namespace_ = "default",
			.name = n->pod_names[i],
			.uid = n->pod_names[i],
			.uses_devices = p->uses_devices,
			.has_controller = p->has_controller,
			.is_deleting = p->is_deleting,
			.gang = p->gang ? gang_keys[p->gang - 1] : NULL,
		};
	}
	n->pods_seen = (struct view_pods){
		.pods = n->pod_records,
		.n = k,
		.listed_at = s->now,
		.for_state = n->v.upgrade.state,
		.for_since = n->v.upgrade.since,
	};
	n->v.pods = &n->pods_seen;
	s->changed = true;
}

static void evict(struct sim *s, struct node *n, const struct view_pod *pod)
{
	struct pod *p = &n->pods[pod->name[1] - '0'];
	struct view_pod *record = (struct view_pod *)pod;

	if (!n->obj.is_unschedulable)
		return; /* uncordoned in this moment: the next plan sees it */
	sim_check_group(s, n);
	if (p->gang)
		s->res->gang_evictions++;
	if (p->is_protected) {
		record->is_blocked = true;
		record->retry_at = s->now + TICK_S;
		return;
	}
	if (sim_trouble(s, 10))
		return;
	s->res->evictions++;
	p->is_deleting = record->is_deleting = true;
	p->gone_at = s->now + (int64_t)sim_below(s, 4) * TICK_S;
}

void sim_act(struct sim *s, const struct plan *p)
{
	for (size_t i = 0; i < p->gangs.n; i++)
		list_gang(s, *VIEW_AT(const char *, p->gangs, i));
	for (size_t i = 0; i < p->n_nodes; i++) {
		const struct plan_node *out = &p->nodes[i];
		struct node *n = container_of(out->node, struct node, v);

		if (out->write && !n->is_writing) {
			if (n->v.intent) {
				again(s, n, out);
				continue;
			}
			if (n->v.upgrade.state == API_UPGRADE_REQUIRED &&
				out->upgrade.state == API_UPGRADE_CORDON) {
				sim_check_budget(s, p, out);
				sim_check_gang(s, p, out);
				s->res->grouped += out->upgrade.group != NULL;
			}
			begin_write(s, n, out);
		}
		n->v.labels_mark.stored = out->marks.labels_hash;
		n->v.condition_mark.stored = out->marks.condition_hash;
		if (out->write)
			continue;
		if (out->cordon != PLAN_CORDON_KEEP)
			cordon(s, n, out->cordon == PLAN_CORDON_ON);
		if (out->need_pods)
			list_pods(s, n);
		for (size_t k = 0; k < out->evict.n; k++)
			evict(s, n, *VIEW_AT(struct view_pod *, out->evict, k));
	}
}
