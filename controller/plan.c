// SPDX-License-Identifier: Apache-2.0
/* Puts the decisions together: assignment, waves, and what is to be written. */
#include "plan.h"

#include "assign.h"
#include "builds.h"
#include "claim.h"
#include "jhash.h"
#include "summary.h"
#include "taint.h"
#include "wave.h"

enum { NODES_ROOM = 64, NODE_ARENA_MAX = 64 << 20 };

struct plan_driver *plan_find_driver(
	struct plan_driver *drivers, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (streq(drivers[i].driver->name, name))
			return &drivers[i];
	return NULL;
}

/* ---- the hash of what an AcceleratorNode should hold ---- */

static uint64_t hash_assign(const struct view *v, const struct view_assign *s)
{
	uint64_t h = JHASH_OBJECT;

	jhash_member(&h, "name", jhash_str(s->name));
	jhash_member(&h, "generation", jhash_int(s->generation));
	if (s->proceed)
		jhash_member(&h, "proceedGeneration", jhash_int(s->proceed));
	if (s->unload)
		jhash_member(&h, "unload", jhash_bool(true));
	for (size_t i = 0; i < v->n_drivers; i++)
		if (streq(v->drivers[i]->name, s->name))
			jhash_member(
				&h, "spec", view_spec_hash(v->drivers[i], s->generation));
	return jhash_end(h);
}

static uint64_t hash_classes(const struct view *v)
{
	uint64_t list = JHASH_LIST;

	for (size_t i = 0; i < v->n_classes; i++) {
		uint64_t h = JHASH_OBJECT;

		if (!v->classes[i]->has_spec)
			continue;
		jhash_member(&h, "name", jhash_str(v->classes[i]->name));
		jhash_member(&h, "spec", v->classes[i]->spec_hash);
		jhash_item(&list, jhash_end(h));
	}
	return jhash_end(list);
}

static uint64_t hash_upgrade(const struct view_upgrade *up)
{
	uint64_t h = JHASH_OBJECT;

	jhash_member(&h, "state", jhash_str(api_upgrade_state_names[up->state]));
	jhash_member(&h, "since", jhash_int(up->since));
	jhash_member(&h, "target", jhash_str(up->target));
	if (up->group)
		jhash_member(&h, "group", jhash_str(up->group));
	if (up->boot)
		jhash_member(&h, "bootID", jhash_str(up->boot));
	if (*up->reason)
		jhash_member(&h, "reason", jhash_str(up->reason));
	if (*up->message)
		jhash_member(&h, "message", jhash_str(up->message));
	return jhash_end(h);
}

uint64_t plan_hash(const struct view *v, const struct list *assigns,
	const struct view_upgrade *up, const char *selectors, const char *before)
{
	uint64_t h = JHASH_OBJECT, list = JHASH_LIST;

	for (size_t i = 0; i < assigns->n; i++)
		jhash_item(
			&list, hash_assign(v, VIEW_AT(struct view_assign, *assigns, i)));
	jhash_member(&h, "drivers", jhash_end(list));
	jhash_member(&h, "classes", hash_classes(v));
	if (up->state != API_UPGRADE_NONE)
		jhash_member(&h, "upgrade", hash_upgrade(up));
	if (*selectors)
		jhash_member(&h, VIEW_SELECTORS, jhash_str(selectors));
	if (*before)
		jhash_member(&h, VIEW_BEFORE, jhash_str(before));
	return jhash_end(h);
}

/* ---- one node ---- */

/* The permission to replace a module is there only while the node is drained for it. */
static int set_permissions(struct arena *a, struct wave_node *n)
{
	const struct view_upgrade *up = n->upgrade;
	struct view_assign *copy = NULL;

	for (size_t i = 0; i < n->assigns.n; i++) {
		const struct view_assign *s = VIEW_AT(struct view_assign, n->assigns, i);
		bool is_target = wave_targets(up->target, s->name,
			up->state == API_UPGRADE_ROLLBACK ? 0 : s->generation);
		int64_t proceed = wave_may_replace(up->state) && is_target ? s->generation
									   : 0;

		if (proceed == s->proceed)
			continue;
		if (!copy) {
			copy = arena_array(a, n->assigns.n, sizeof(*copy));
			if (!copy)
				return -ENOMEM;
			memcpy(copy, n->assigns.items, n->assigns.n * sizeof(*copy));
			n->assigns.items = copy;
		}
		copy[i].proceed = proceed;
	}
	return 0;
}

static const char *print_selectors(struct arena *a, const struct list *assigns)
{
	char *out = arena_strdup(a, "");

	for (size_t i = 0; i < assigns->n && out; i++) {
		const struct view_assign *s = VIEW_AT(struct view_assign, *assigns, i);

		out = arena_fmt(a, "%s%s%s=%016llx", out, i ? "," : "", s->name,
			(unsigned long long)s->selector);
	}
	return out;
}

static const char *print_counts(struct arena *a, const struct list *counts)
{
	char *out = arena_strdup(a, "");

	for (size_t i = 0; i < counts->n && out; i++) {
		const struct view_count *c = VIEW_AT(struct view_count, *counts, i);

		if (c->n > 0)
			out = arena_fmt(a, "%s%s%s=%lld", out, *out ? "," : "", c->name,
				(long long)c->n);
	}
	return out;
}

/* A driver whose spec nobody can read any more: its nodes cannot be written without losing it. */
static bool is_frozen(const struct view *v, const struct list *assigns)
{
	for (size_t i = 0; i < assigns->n; i++)
		for (size_t j = 0; j < v->n_drivers; j++)
			if (!v->drivers[j]->has_spec &&
				streq(v->drivers[j]->name,
					VIEW_AT(struct view_assign, *assigns, i)->name))
				return true;
	return false;
}

static bool is_wanted(const struct view_mark *m, uint32_t hash)
{
	return hash != m->stored && !(hash == m->written && m->stored == m->gave);
}

/* @t: of this node alone. */
static int decide(struct arena *a, struct arena *t, const struct view *v,
	struct wave_node *n, const struct list *builds, struct plan_node *ret)
{
	const struct list none = { 0 };
	const struct list *before = n->record_before ? &n->node->allocatable
				    : wave_is_active(n->upgrade->state) ? &n->node->before
									: &none;
	int r = set_permissions(a, n);

	if (r < 0)
		return r;
	*ret = (struct plan_node){
		.node = n->node,
		.assigns = n->assigns,
		.builds = *builds,
		.upgrade = *n->upgrade,
		.selectors = print_selectors(t, &n->assigns),
		.before = print_counts(t, before),
	};
	if (!ret->selectors || !ret->before)
		return -ENOMEM;
	ret->hash = plan_hash(v, &n->assigns, n->upgrade, ret->selectors, ret->before);
	ret->hash = builds_hash_with(ret->hash, builds_hash(builds));
	ret->write = !n->node->has_acc || n->node->intent ||
		     (ret->hash != n->node->spec_hash &&
			     !(ret->hash == n->node->written_hash &&
				     n->node->spec_hash == n->node->stored_hash));
	if (is_frozen(v, &n->assigns))
		ret->write = false;
	if (n->node->is_known && !n->node->is_deleting) {
		r = marks_make(t, v, n->node, &n->assigns, &ret->marks);
		if (r < 0)
			return r;
		ret->mark_labels = is_wanted(
			&n->node->labels_mark, ret->marks.labels_hash);
		ret->mark_condition = is_wanted(
			&n->node->condition_mark, ret->marks.condition_hash);
		ret->drop_taint = n->node->taint_at > 0 &&
				  taint_is_over(v, n->node, &n->assigns, &ret->marks);
	}
	if (ret->write)
		return 0;
	ret->cordon = n->cordon;
	ret->node_version = n->node->version;
	ret->need_pods = n->need_pods;
	ret->evict = n->evict;
	ret->evict_serial = n->node->pods ? n->node->pods->serial : 0;
	return 0;
}

/* False when memory is short. */
static bool keep_text(struct arena *a, const char **text)
{
	if (*text)
		*text = arena_strdup(a, *text);
	return *text;
}

static bool keep_marks(struct arena *a, struct marks *m)
{
	struct kv *copy = arena_array(a, m->labels.n + 1, sizeof(*copy));

	for (size_t i = 0; copy && i < m->labels.n; i++) {
		copy[i] = *VIEW_AT(struct kv, m->labels, i);
		if (!keep_text(a, &copy[i].key) || !keep_text(a, &copy[i].value))
			return false;
	}
	m->labels.items = copy;
	return copy &&
	       (!m->status || (keep_text(a, &m->status) && keep_text(a, &m->reason) &&
				      keep_text(a, &m->message)));
}

/* The pods are the fleet's: only the array is the plan's. */
static bool keep_evict(struct arena *a, struct list *evict)
{
	struct view_pod **copy = arena_array(a, evict->n + 1, sizeof(struct view_pod *));

	if (copy && evict->n > 0)
		memcpy(copy, evict->items, evict->n * sizeof(struct view_pod *));
	evict->items = copy;
	return copy;
}

/* What the plan keeps of a node must outlive changes of the fleet. False when memory is short. */
static bool keep(struct arena *a, struct plan_node *p)
{
	struct view_assign *copy = arena_array(
		a, p->assigns.n + 1, sizeof(struct view_assign));

	p->name = p->node->name;
	if (!copy || !keep_text(a, &p->name) || !keep_text(a, &p->upgrade.target) ||
		!keep_text(a, &p->upgrade.reason) || !keep_text(a, &p->upgrade.message) ||
		!keep_text(a, &p->selectors) || !keep_text(a, &p->before))
		return false;
	if ((p->upgrade.group && !keep_text(a, &p->upgrade.group)) ||
		(p->upgrade.boot && !keep_text(a, &p->upgrade.boot)))
		return false;
	for (size_t i = 0; i < p->assigns.n; i++) {
		copy[i] = *VIEW_AT(struct view_assign, p->assigns, i);
		copy[i].name = arena_strdup(a, copy[i].name);
		if (!copy[i].name)
			return false;
	}
	p->assigns.items = copy;
	return keep_marks(a, &p->marks) && keep_evict(a, &p->evict) &&
	       builds_keep(a, &p->builds) == 0;
}

/* ---- all ---- */

static int assign_all(
	struct arena *a, const struct view *v, struct plan *p, struct wave_node *nodes)
{
	CLEANUP(arena_freep) struct arena *t = arena_new(NODE_ARENA_MAX);

	for (size_t i = 0; t && i < v->n_nodes; i++) {
		const struct view_node *n = v->nodes[i];
		struct list l = { 0 };
		void *copy;
		int r;

		if (!n->has_node)
			continue;
		arena_reset(t);
		r = assign_node(t, v, p->drivers, n, &l);
		if (r < 0)
			return r;
		nodes[i].assigns = l.n > 0 ? l : (struct list){ 0 };
		if (l.n == 0 || l.items == n->assigns.items ||
			(n->intent && l.items == n->intent->assigns.items))
			continue; /* as it is stored: no memory of the plan's */
		copy = arena_array(a, l.n, sizeof(struct view_assign));
		if (!copy)
			return -ENOMEM;
		memcpy(copy, l.items, l.n * sizeof(struct view_assign));
		nodes[i].assigns.items = copy;
	}
	return t ? 0 : -ENOMEM;
}

/* Who builds what: the lists of all nodes. */
static int claim_all(struct arena *a, const struct view *v, const struct wave_node *nodes,
	int64_t now, struct plan *p, struct list **ret)
{
	struct list *builds = arena_array(a, v->n_nodes + 1, sizeof(*builds));
	struct list *assigns = arena_array(
		a, v->builders ? v->n_nodes + 1 : 1, sizeof(*assigns));
	struct list notes = { 0 };
	int r;

	if (!builds || !assigns)
		return -ENOMEM;
	for (size_t i = 0; v->builders && i < v->n_nodes; i++)
		assigns[i] = nodes[i].assigns;
	*ret = builds;
	r = claim_make(a, v, assigns, now, builds, &notes, &p->wake_at);
	for (size_t i = 0; r >= 0 && i < notes.n; i++) {
		const struct claim_note *n = VIEW_AT(struct claim_note, notes, i);
		struct plan_driver *d = plan_find_driver(
			p->drivers, p->n_drivers, n->driver);

		if (d) {
			d->share_reason = n->reason;
			d->share_note = n->text;
		}
	}
	return r;
}

/* Room for one more node; most plans have few. */
static struct plan_node *next_node(struct arena *a, struct plan *p, size_t *room)
{
	struct plan_node *more;

	if (p->n_nodes < *room)
		return &p->nodes[p->n_nodes];
	more = arena_array(a, *room * 2, sizeof(*more));
	if (!more)
		return NULL;
	memcpy(more, p->nodes, p->n_nodes * sizeof(*more));
	p->nodes = more;
	*room *= 2;
	return &p->nodes[p->n_nodes];
}

/* Without its Node an AcceleratorNode is garbage, collected by its owner reference. */
static bool is_garbage(const struct view_node *n)
{
	return !n->has_node || (n->is_deleting && !n->has_acc);
}

static bool has_work(const struct plan_node *p)
{
	return p->write || p->cordon != PLAN_CORDON_KEEP || p->need_pods ||
	       p->evict.n > 0 || p->mark_labels || p->mark_condition || p->drop_taint;
}

static bool can_wait(const struct plan_node *p)
{
	return !wave_is_active(p->upgrade.state) &&
	       !wave_is_active(p->node->upgrade.state) && !p->node->intent &&
	       p->cordon == PLAN_CORDON_KEEP;
}

/* One node; it is of the plan when it has work that has room. */
static int decide_one(struct arena *kept, struct arena *t, const struct wave *w,
	struct plan *p, size_t i, const struct list *builds, size_t *room)
{
	struct plan_node *out = next_node(w->a, p, room);
	int r;

	if (!out)
		return -ENOMEM;
	arena_reset(t);
	r = decide(w->a, t, w->v, &w->nodes[i], builds, out);
	if (r < 0 || !has_work(out))
		return r;
	if (p->n_nodes >= PLAN_NODES_MAX && can_wait(out)) {
		p->wake_at = MIN(p->wake_at, w->now + 1);
		return 0;
	}
	if (!keep(kept, out))
		return -ENOMEM;
	p->n_nodes++;
	return 0;
}

static int decide_all(struct arena *kept, const struct wave *w, struct plan *p,
	const struct list *builds)
{
	CLEANUP(arena_freep) struct arena *t = arena_new(NODE_ARENA_MAX);
	size_t room = NODES_ROOM, n = w->v->n_nodes, first = 0;
	struct plan_node *all;

	for (size_t i = 0; i < n; i++)
		if (!is_garbage(w->v->nodes[i]))
			summary_add(p, w->v->nodes[i], &w->nodes[i].assigns,
				w->nodes[i].upgrade);
	/* Each time from elsewhere: nodes that cannot be written must not keep others from their turn. */
	if (n > PLAN_NODES_MAX)
		first = (size_t)((uint64_t)w->now * 7919 % n);
	for (size_t k = 0; t && k < n; k++) {
		size_t i = (first + k) % n;
		int r = is_garbage(w->v->nodes[i])
				? 0
				: decide_one(kept, t, w, p, i, &builds[i], &room);

		if (r < 0)
			return r;
	}
	all = arena_array(kept, p->n_nodes + 1, sizeof(*all));
	if (!t || !all)
		return -ENOMEM;
	memcpy(all, p->nodes, p->n_nodes * sizeof(*all));
	p->nodes = all;
	return 0;
}

static int allocate(struct arena *a, const struct view *v, struct plan *p,
	struct wave_node **ret_nodes)
{
	p->n_drivers = v->n_drivers;
	p->n_classes = v->n_classes;
	p->drivers = arena_array(a, v->n_drivers + 1, sizeof(*p->drivers));
	p->classes = arena_array(a, v->n_classes + 1, sizeof(*p->classes));
	p->nodes = arena_array(a, NODES_ROOM, sizeof(*p->nodes));
	*ret_nodes = arena_array(a, v->n_nodes + 1, sizeof(**ret_nodes));
	if (!p->drivers || !p->classes || !p->nodes || !*ret_nodes)
		return -ENOMEM;
	for (size_t i = 0; i < v->n_drivers; i++)
		p->drivers[i].driver = v->drivers[i];
	for (size_t i = 0; i < v->n_classes; i++)
		p->classes[i].class_ = v->classes[i];
	return 0;
}

int plan_make_in(struct arena *kept, struct arena *a, const struct view *v, int64_t now,
	struct plan *ret)
{
	struct plan p = { 0 };
	struct wave w = { .a = a, .v = v, .now = now };
	struct list *builds = NULL;
	int r = allocate(a, v, &p, &w.nodes);

	if (r < 0)
		return r;
	w.drivers = p.drivers;
	r = assign_all(a, v, &p, w.nodes);
	if (r >= 0)
		r = wave_run(&w);
	p.wake_at = w.wake_at;
	p.gangs = w.gangs;
	if (r >= 0)
		r = claim_all(a, v, w.nodes, now, &p, &builds);
	if (r >= 0)
		r = decide_all(kept, &w, &p, builds);
	if (r >= 0)
		r = summary_finish(a, v, &p, now);
	if (r < 0)
		return r;
	*ret = p;
	return 0;
}

int plan_make(struct arena *a, const struct view *v, int64_t now, struct plan *ret)
{
	return plan_make_in(a, a, v, now, ret);
}
