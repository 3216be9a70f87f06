// SPDX-License-Identifier: Apache-2.0
/* Who starts next. Nodes that a gang's pods connect are one unit: all of them start, or none. Which pods a
 * node has, and where a gang has pods, is asked for when its turn has come, and only then. */
#include "wave_inside.h"

#include <stdio.h>

enum {
	FRESH_S = 30, /* how long a listing counts */
	PATIENCE_S = 300, /* with a gang that the budget never has room for */
	UNIT_MAX = 256, /* nodes */
	GANGS_MAX = 64, /* to be listed by one plan */
};

struct unit {
	struct wave_node **nodes;
	size_t n;
	const char *gang; /* one that spans it, NULL: a node alone */
	bool is_known; /* nothing has to be listed before */
	bool must_wait; /* a node of it cannot begin yet */
	bool is_large; /* more nodes than a unit can have */
};

/* ---- looking up ---- */

static int by_name(const void *x, const void *y)
{
	const struct wave_node *const *a = x, *const *b = y;

	return strcmp((*a)->node->name, (*b)->node->name);
}

static int sort_all(struct wave *w)
{
	if (w->sorted)
		return 0;
	w->sorted = arena_array(w->a, w->v->n_nodes, sizeof(struct wave_node *));
	if (!w->sorted)
		return -ENOMEM;
	for (size_t i = 0; i < w->v->n_nodes; i++)
		w->sorted[i] = &w->nodes[i];
	qsort(w->sorted, w->v->n_nodes, sizeof(struct wave_node *), by_name);
	return 0;
}

/* NULL when there is none. After sort_all(). */
static struct wave_node *find_node(struct wave *w, const char *name)
{
	struct view_node v = { .name = name };
	struct wave_node key = { .node = &v }, *k = &key, **at;

	at = bsearch(&k, w->sorted, w->v->n_nodes, sizeof(struct wave_node *), by_name);
	return at ? *at : NULL;
}

static const struct view_gang *find_gang(const struct wave *w, const char *key)
{
	for (size_t i = 0; i < w->v->n_gangs; i++)
		if (streq(w->v->gangs[i]->key, key) &&
			w->now - w->v->gangs[i]->listed_at <= FRESH_S)
			return w->v->gangs[i];
	return NULL;
}

static int want_gang(struct wave *w, const char *key)
{
	const char **keys = w->gangs.items;

	for (size_t i = 0; i < w->gangs.n; i++)
		if (streq(keys[i], key))
			return 0;
	if (!keys)
		w->gangs.items = keys = arena_array(w->a, GANGS_MAX, sizeof(*keys));
	if (!keys)
		return -ENOMEM;
	if (w->gangs.n == GANGS_MAX)
		return 0; /* the next plan */
	keys[w->gangs.n] = arena_strdup(w->a, key);
	return keys[w->gangs.n++] ? 0 : -ENOMEM;
}

/* ---- the unit ---- */

static bool has(const struct unit *u, const struct wave_node *n)
{
	for (size_t i = 0; i < u->n; i++)
		if (u->nodes[i] == n)
			return true;
	return false;
}

/* Whether some driver here is on its way to today's generation: it may want an upgrade soon. */
static bool is_soon(const struct wave *w, const struct wave_node *n)
{
	if (n->is_soon)
		return true;
	if (!n->node->has_node || !n->node->is_ready || n->node->is_skipped)
		return false;
	if (wave_is_active(wave_effective(n->node)->state))
		return true;
	for (size_t i = 0; i < n->assigns.n; i++) {
		const struct plan_driver *d = wave_driver(w, n, i);
		const struct view_driver_state *st = d ? wave_current(n->node, d) : NULL;

		if (d && d->driver->has_spec && !wave_held(d) &&
			wave_state_of(n->node, d->driver->name) &&
			(!st || st->state == API_DRIVER_PENDING ||
				st->state == API_DRIVER_BUILDING ||
				st->state == API_DRIVER_UPGRADE_REQUIRED))
			return wave_effective(n->node)->state != API_UPGRADE_FAILED;
	}
	return false;
}

static void add_gang(struct wave *w, struct unit *u, const struct view_gang *g)
{
	const char *const *names = g->nodes.items;

	for (size_t i = 0; i < g->nodes.n; i++) {
		struct wave_node *m = find_node(w, names[i]);

		if (!m || has(u, m))
			continue;
		if (m->is_candidate && u->n < UNIT_MAX)
			u->nodes[u->n++] = m;
		else if (m->is_candidate)
			u->is_large = true;
		else if (is_soon(w, m))
			u->must_wait = true;
		else
			continue;
		u->gang = g->key;
	}
}

/* Whether pods that ran on @m at @listed_at still do, for all that we did: no wave has it, or has had it since. */
static bool is_undisturbed(const struct wave_node *m, int64_t listed_at)
{
	const struct view_node *v = m->node;
	const struct view_upgrade *ups[] = { &v->upgrade, wave_effective(v), m->upgrade };

	if (!v->has_node || !v->is_ready || v->is_deleting || v->is_cordoned)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(ups); i++) {
		int64_t since = ups[i]->since - (ups[i]->state == API_UPGRADE_REQUIRED);

		if (wave_is_active(ups[i]->state) ||
			(ups[i]->state != API_UPGRADE_NONE && since >= listed_at))
			return false;
	}
	return true;
}

/* Whether the pods of @g on @n are more than it needs: enough of the others stay where they are. */
static bool is_surplus(
	struct wave *w, const struct wave_node *n, const struct view_gang *g)
{
	const char *const *names = g->nodes.items;
	int64_t staying = 0;

	if (g->min <= 0 || !g->running)
		return false;
	for (size_t i = 0; i < g->nodes.n; i++) {
		const struct wave_node *m = find_node(w, names[i]);

		/* One that we do not manage stays. */
		if (m != n && (!m || is_undisturbed(m, g->listed_at)))
			staying += g->running[i];
	}
	return staying >= g->min;
}

static void policies_of(
	const struct wave *w, const struct wave_node *n, struct wave_policies *ret)
{
	ret->n = 0;
	for (size_t i = 0; i < n->assigns.n && ret->n < WAVE_DRIVERS_MAX; i++) {
		const struct plan_driver *d = wave_driver(w, n, i);

		if (d && wave_want_startable(n, d))
			ret->p[ret->n++] = &d->driver->d.spec.upgrade_policy;
	}
}

static int add_node(struct wave *w, struct unit *u, struct wave_node *n)
{
	const struct view_pods *p = n->node->pods;
	struct wave_policies ps;
	int r;

	if (!p || p->for_state != API_UPGRADE_REQUIRED ||
		p->for_since != n->node->upgrade.since ||
		w->now - p->listed_at > FRESH_S) {
		n->need_pods = true;
		u->is_known = false;
		return 0;
	}
	policies_of(w, n, &ps);
	for (size_t i = 0; i < p->n; i++) {
		const char *key = p->pods[i].gang;
		const struct view_gang *g;

		if (!key || !wave_would_evict(&ps, &p->pods[i]))
			continue;
		g = find_gang(w, key);
		r = g ? sort_all(w) : want_gang(w, key);
		if (r < 0)
			return r;
		if (!g)
			u->is_known = false;
		else if (u->n > 1 || !is_surplus(w, n, g))
			add_gang(w, u, g);
	}
	return 0;
}

/* All that has to start with @n: over its gangs to their nodes, and so on. */
static int make_unit(struct wave *w, struct wave_node *n, struct unit *ret)
{
	struct unit u = { .is_known = true };

	u.nodes = arena_array(w->a, UNIT_MAX, sizeof(struct wave_node *));
	if (!u.nodes)
		return -ENOMEM;
	u.nodes[u.n++] = n;
	for (size_t i = 0; i < u.n; i++) {
		int r = add_node(w, &u, u.nodes[i]);

		if (r < 0)
			return r;
	}
	if (w->now - n->node->upgrade.since >= WAVE_SETTLE_LIMIT_S)
		u.must_wait = false;
	qsort(u.nodes, u.n, sizeof(struct wave_node *), by_name);
	*ret = u;
	return 0;
}

/* ---- room ---- */

/* Whether there would be room for all if nobody else were under way. */
static bool can_fit(struct wave *w, const struct unit *u)
{
	for (size_t k = 0; k < w->v->n_drivers; k++) {
		struct plan_driver *d = &w->drivers[k];
		size_t n = 0;

		if (!d->driver->has_spec)
			continue;
		for (size_t i = 0; i < u->n; i++)
			for (size_t j = 0; j < u->nodes[i]->assigns.n; j++)
				n += wave_driver(w, u->nodes[i], j) == d;
		if (n <= wave_allowed(d) || n <= 1)
			continue;
		d->large_gang = u->gang;
		return false;
	}
	return !u->is_large;
}

struct room {
	size_t busy, parallel;
};

static struct room *save_room(struct wave *w)
{
	struct room *s = arena_array(w->a, w->v->n_drivers + 1, sizeof(*s));

	for (size_t i = 0; s && i < w->v->n_drivers; i++)
		s[i] = (struct room){ w->drivers[i].busy, w->drivers[i].parallel };
	return s;
}

static void restore_room(struct wave *w, const struct room *s)
{
	for (size_t i = 0; i < w->v->n_drivers; i++) {
		w->drivers[i].busy = s[i].busy;
		w->drivers[i].parallel = s[i].parallel;
	}
}

/* ---- starting ---- */

static int prepare(
	struct wave *w, struct wave_node *n, const char *group, struct view_upgrade *ret)
{
	const char *target = wave_target(w, n, wave_want_startable);

	if (!target)
		return -ENOMEM;
	*ret = (struct view_upgrade){ API_UPGRADE_CORDON, w->now, target, "", "", NULL,
		group };
	return 0;
}

static int start(struct wave *w, struct wave_node *n, const char *group)
{
	struct view_upgrade *up = wave_renew(w, n);
	int r = up ? prepare(w, n, group, up) : -ENOMEM;

	if (r < 0)
		return r;
	n->record_before = true;
	n->is_candidate = false;
	wave_count_busy(w, n, up);
	return 0;
}

/* Takes the room of a node that is about to start, so that nobody overtakes it. */
static int reserve(struct wave *w, struct wave_node *n, const char *group)
{
	struct view_upgrade up;
	int r = prepare(w, n, group, &up);

	if (r >= 0)
		wave_count_busy(w, n, &up);
	return r;
}

static void show(struct wave *w, struct wave_node *n, const struct unit *u)
{
	const char *text = u->n > 1
				   ? arena_fmt(w->a,
					     "gang '%s': %zu nodes are upgraded together",
					     u->gang, u->n)
				   : arena_fmt(w->a, "gang '%s' is on other nodes too",
					     u->gang);

	struct view_upgrade *up = text ? wave_renew(w, n) : NULL;

	if (up) {
		up->reason = WAVE_GANG;
		up->message = text;
	}
}

/* All nodes of the unit start, or all wait with the room that there is. */
static int start_together(struct wave *w, struct unit *u)
{
	struct room *before = save_room(w);
	const char *group = arena_fmt(w->a, "%s/%zu", u->nodes[0]->node->name, u->n);
	bool fits = true;
	int r = before && group ? 0 : -ENOMEM;

	for (size_t i = 0; i < u->n && r >= 0; i++) {
		fits = fits && wave_fits(w, u->nodes[i], i > 0);
		r = reserve(w, u->nodes[i], group);
	}
	if (r < 0 || !fits)
		return r;
	restore_room(w, before);
	for (size_t i = 0; i < u->n && r >= 0; i++)
		r = start(w, u->nodes[i], group);
	return r;
}

/* Whether a gang that never fits was waited for long enough: as long as its jobs may take. */
static bool is_patient(struct wave *w, const struct wave_node *n)
{
	struct wave_policies ps;
	int64_t limit = PATIENCE_S;

	policies_of(w, n, &ps);
	if (wave_wants_state(&ps, API_UPGRADE_WAIT_FOR_JOBS))
		limit = wave_state_limit(&ps, API_UPGRADE_WAIT_FOR_JOBS);
	if (limit > 0)
		w->wake_at = MIN(
			w->wake_at, MAX(n->node->upgrade.since + limit, w->now + 1));
	return limit <= 0 || w->now - n->node->upgrade.since < limit;
}

static int try_start(struct wave *w, struct wave_node *n)
{
	struct unit u;
	int r;

	if (!n->is_candidate || !wave_fits(w, n, false))
		return 0;
	r = make_unit(w, n, &u);
	if (r < 0)
		return r;
	if (!u.is_known)
		return reserve(w, n, NULL);
	if (!can_fit(w, &u)) {
		if (!is_patient(w, n))
			return start(w, n, NULL); /* one by one, then */
		show(w, n, &u);
		return 0;
	}
	if (u.must_wait) {
		show(w, n, &u);
		w->wake_at = MIN(w->wake_at, w->now + FRESH_S);
		return 0;
	}
	if (u.n == 1)
		return start(w, n, NULL);
	show(w, n, &u);
	return start_together(w, &u);
}

int wave_start(struct wave *w)
{
	size_t n_nodes = w->v->n_nodes, n = 0, left = 0;
	struct wave_node **c, *own = NULL;

	for (size_t i = 0; i < n_nodes; i++)
		n += w->nodes[i].is_candidate;
	if (n == 0)
		return 0;
	c = arena_array(w->a, n, sizeof(struct wave_node *));
	if (!c)
		return -ENOMEM;
	n = 0;
	for (size_t i = 0; i < n_nodes; i++) {
		if (!w->nodes[i].is_candidate)
			continue;
		if (w->v->own_node && streq(w->nodes[i].node->name, w->v->own_node))
			own = &w->nodes[i];
		else
			c[n++] = &w->nodes[i];
	}
	qsort(c, n, sizeof(struct wave_node *), by_name);
	for (size_t i = 0; i < n; i++) {
		int r = try_start(w, c[i]);

		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < n; i++)
		left += c[i]->is_candidate;
	return own && left == 0 ? try_start(w, own) : 0;
}
