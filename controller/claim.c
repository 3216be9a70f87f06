// SPDX-License-Identifier: Apache-2.0
/* Sorts all pairs of node and wanted build into groups, and decides for each group. */
#include "claim_inside.h"

#include <fnmatch.h>

enum { PATTERN_MAX = 256 };

bool claim_may_build(const char *builders, const char *name)
{
	char pattern[PATTERN_MAX];

	while (builders && *builders) {
		size_t n = strcspn(builders, ",");

		if (n > 0 && n < sizeof(pattern)) {
			memcpy(pattern, builders, n);
			pattern[n] = '\0';
			if (fnmatch(pattern, name, 0) == 0)
				return true;
		}
		builders += n + (builders[n] == ',');
	}
	return false;
}

/* ---- who wants what ---- */

static const struct view_build *stored_of(const struct view_node *n, const char *driver,
	int64_t generation, const char *release)
{
	for (size_t i = 0; i < n->builds.n; i++) {
		const struct view_build *b = VIEW_AT(struct view_build, n->builds, i);

		if (b->generation == generation && streq(b->driver, driver) &&
			streq(b->kernel, release))
			return b;
	}
	return NULL;
}

static const struct view_assign *assign_of(const struct list *assigns, const char *driver)
{
	for (size_t i = 0; i < assigns->n; i++) {
		const struct view_assign *s = VIEW_AT(struct view_assign, *assigns, i);

		if (streq(s->name, driver))
			return s->unload ? NULL : s;
	}
	return NULL;
}

static int compare(const void *x, const void *y)
{
	const struct want *a = x, *b = y;
	int r = a->driver == b->driver ? 0 : strcmp(a->driver, b->driver);

	if (r == 0 && a->release != b->release)
		r = strcmp(a->release, b->release);
	/* A release does not always name its architecture (6.8.0-45-generic). */
	if (r == 0 && a->arch != b->arch)
		r = strcmp(a->arch, b->arch);
	if (r == 0 && a->generation != b->generation)
		r = a->generation < b->generation ? -1 : 1;
	/* Nodes come in any order: sorted by name afterwards, where it matters. */
	return r ? r : (a->node > b->node) - (a->node < b->node);
}

static bool is_same_group(const struct want *x, const struct want *y)
{
	return x->generation == y->generation && streq(x->driver, y->driver) &&
	       streq(x->release, y->release) && streq(x->arch, y->arch);
}

static int collect(struct maker *m, const struct list *assigns, struct want **ret_items,
	size_t *ret_n)
{
	const struct view *v = m->v;
	struct want *items;
	size_t n = 0;

	for (size_t i = 0; i < v->n_nodes; i++)
		n += v->nodes[i]->kernels.n;
	items = arena_array(m->a, n + 1, sizeof(*items));
	if (!items)
		return -ENOMEM;
	n = 0;
	for (size_t i = 0; i < v->n_nodes; i++) {
		const struct view_node *node = v->nodes[i];

		for (size_t k = 0; node->has_node && k < node->kernels.n; k++) {
			const struct view_kernel *row = VIEW_AT(
				struct view_kernel, node->kernels, k);
			const struct view_assign *s = assign_of(&assigns[i], row->driver);

			if (s)
				items[n++] = (struct want){ row->driver, row->release,
					view_str(node->arch), s->generation, i, row,
					stored_of(node, row->driver, s->generation,
						row->release),
					NULL };
		}
	}
	qsort(items, n, sizeof(*items), compare);
	*ret_items = items;
	*ret_n = n;
	return 0;
}

/* ---- one group ---- */

const char *claim_name(const struct maker *m, const struct want *w)
{
	return m->v->nodes[w->node]->name;
}

bool claim_is_in(const struct want *w, enum api_kernel_state state)
{
	return w->row->generation == w->generation && w->row->state == state;
}

bool claim_is_trusted(const struct maker *m, const struct want *w)
{
	return claim_may_build(m->v->builders, claim_name(m, w));
}

bool claim_is_published(const struct maker *m, const struct want *w)
{
	/* What waits for a signature from outside is published without it: each node signs for itself. */
	bool is_built = claim_is_in(w, API_KERNEL_READY) ||
			claim_is_in(w, API_KERNEL_PENDING);

	return is_built && !str_empty(w->row->digest) && !str_empty(w->row->artifact) &&
	       claim_is_trusted(m, w);
}

bool claim_is_able(const struct maker *m, const struct want *w)
{
	const struct view_node *n = m->v->nodes[w->node];

	return n->is_ready && !n->is_deleting && !claim_is_in(w, API_KERNEL_FAILED) &&
	       !claim_is_in(w, API_KERNEL_NOT_APPLICABLE) && claim_is_trusted(m, w);
}

int64_t claim_time_limit(const struct maker *m, const char *driver)
{
	for (size_t i = 0; i < m->v->n_drivers; i++) {
		const struct view_driver *d = m->v->drivers[i];

		if (streq(d->name, driver) && d->has_spec &&
			d->d.spec.build.timeout_seconds > 0)
			return d->d.spec.build.timeout_seconds + CLAIM_MARGIN_S;
	}
	return CLAIM_TIMEOUT_S + CLAIM_MARGIN_S;
}

const struct view_build *claim_latest(const struct want *g, size_t n)
{
	const struct view_build *best = NULL;

	for (size_t i = 0; i < n; i++)
		if (g[i].stored && (!best || g[i].stored->epoch > best->epoch ||
					   (g[i].stored->epoch == best->epoch &&
						   g[i].stored->since < best->since)))
			best = g[i].stored;
	return best;
}

static bool is_valid(
	struct maker *m, const struct want *g, size_t n, const struct view_build *claim)
{
	int64_t until = claim->since + claim_time_limit(m, claim->driver);

	if (str_empty(claim->node))
		return true; /* all were asked */
	if (until <= m->now)
		return false;
	for (size_t i = 0; i < n; i++)
		if (streq(claim_name(m, &g[i]), claim->node) && claim_is_able(m, &g[i])) {
			m->wake_at = MIN(m->wake_at, until);
			return true;
		}
	return false;
}

/* Somebody who has it already, else the next by name behind @after, around the end. */
static const struct want *choose(
	const struct maker *m, const struct want *g, size_t n, const char *after)
{
	const struct want *best = NULL;
	int best_rank = 0;

	for (size_t i = 0; i < n; i++) {
		const char *name = claim_name(m, &g[i]);
		int rank = (claim_is_in(&g[i], API_KERNEL_READY) ? 2 : 0) +
			   (strcmp(name, after) > 0 ? 1 : 0);

		if (!claim_is_able(m, &g[i]) || streq(name, after))
			continue;
		if (!best || rank > best_rank ||
			(rank == best_rank && strcmp(name, claim_name(m, best)) < 0)) {
			best = &g[i];
			best_rank = rank;
		}
	}
	return best;
}

/* What those who wait are told; NULL when memory is short. */
static const struct view_build *decide(struct maker *m, const struct want *g, size_t n)
{
	const struct view_build *old = claim_latest(g, n);
	const struct want *source = NULL, *next;
	struct view_build *b = arena_alloc(m->a, sizeof(*b));

	if (!b)
		return NULL;
	for (size_t i = 0; i < n; i++)
		if (claim_is_published(m, &g[i]) &&
			(!source || (old && streq(claim_name(m, &g[i]),
						    view_str(old->node)))))
			source = &g[i];
	*b = old ? *old
		 : (struct view_build){ .driver = g->driver,
			   .generation = g->generation,
			   .kernel = g->release,
			   .node = "" };
	b->key = b->digest = b->unsigned_digest = b->asked = NULL;
	if (source) {
		b->node = claim_name(m, source);
		b->key = source->row->artifact;
		b->digest = source->row->digest;
		if (!old) {
			b->epoch = 1;
			b->since = m->now;
		}
		return b;
	}
	if (old && is_valid(m, g, n, old))
		return b;
	next = b->epoch < CLAIM_EPOCHS_MAX ? choose(m, g, n, view_str(b->node)) : NULL;
	b->node = next ? claim_name(m, next) : "";
	b->epoch++;
	b->since = m->now;
	if (next)
		m->wake_at = MIN(m->wake_at, m->now + claim_time_limit(m, b->driver));
	return b;
}

static int decide_group(struct maker *m, struct want *g, size_t n)
{
	const struct view_build *b = NULL;
	bool is_waited_for = false;

	for (size_t i = 0; i < n; i++)
		is_waited_for |= !claim_is_in(&g[i], API_KERNEL_READY);
	if (is_waited_for) {
		b = decide(m, g, n);
		if (!b)
			return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++) {
		bool is_ready = claim_is_in(&g[i], API_KERNEL_READY);
		bool is_asked = b && str_empty(b->digest) &&
				streq(b->node, claim_name(m, &g[i]));

		/* What is ready needs no word, unless it is to publish; a word that it has stays, so
		 * that nothing is written for it. */
		if (!is_ready || is_asked)
			g[i].out = b;
		else
			g[i].out = g[i].stored;
	}
	return 0;
}

/* ---- all ---- */

static bool same(const struct view_build *x, const struct view_build *y)
{
	return x->generation == y->generation && x->epoch == y->epoch &&
	       x->since == y->since && streq(x->driver, y->driver) &&
	       streq(x->kernel, y->kernel) &&
	       streq(view_str(x->node), view_str(y->node)) &&
	       streq(view_str(x->key), view_str(y->key)) &&
	       streq(view_str(x->digest), view_str(y->digest)) &&
	       streq(view_str(x->unsigned_digest), view_str(y->unsigned_digest)) &&
	       streq(view_str(x->asked), view_str(y->asked));
}

/* Each node's own list, in the order of the groups. */
static int distribute(
	struct maker *m, const struct want *items, size_t n, struct list *ret)
{
	size_t *counts = arena_array(m->a, m->v->n_nodes + 1, sizeof(*counts));

	if (!counts)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		counts[items[i].node] += items[i].out != NULL;
	for (size_t i = 0; i < m->v->n_nodes; i++) {
		ret[i] = (struct list){ 0 };
		if (counts[i] == 0)
			continue;
		ret[i].items = arena_array(m->a, counts[i], sizeof(struct view_build));
		if (!ret[i].items)
			return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++) {
		struct list *l = &ret[items[i].node];

		if (items[i].out)
			((struct view_build *)l->items)[l->n++] = *items[i].out;
	}
	for (size_t i = 0; i < m->v->n_nodes; i++) {
		const struct list *stored = &m->v->nodes[i]->builds;
		bool is_same = stored->n == ret[i].n;

		for (size_t k = 0; is_same && k < ret[i].n; k++)
			is_same = same(VIEW_AT(struct view_build, ret[i], k),
				VIEW_AT(struct view_build, *stored, k));
		if (is_same)
			ret[i] = *stored;
	}
	return 0;
}

int claim_make(struct arena *a, const struct view *v, const struct list *assigns,
	int64_t now, struct list *ret, struct list *ret_notes, int64_t *wake_at)
{
	struct maker m = { .a = a, .v = v, .now = now, .wake_at = *wake_at };
	struct want *items;
	size_t n, first = 0;
	int r;

	memset(ret, 0, v->n_nodes * sizeof(*ret));
	*ret_notes = (struct list){ 0 };
	if (!v->builders)
		return 0;
	r = collect(&m, assigns, &items, &n);
	if (r == 0 && v->quorum > 1) {
		m.notes = arena_array(a, n + 1, sizeof(*m.notes));
		r = m.notes ? 0 : -ENOMEM;
	}
	for (size_t i = 1; r == 0 && i <= n; i++)
		if (i == n || !is_same_group(&items[first], &items[i])) {
			r = v->quorum > 1 ? claim_quorum(&m, items + first, i - first)
					  : decide_group(&m, items + first, i - first);
			first = i;
		}
	if (r == 0)
		r = distribute(&m, items, n, ret);
	*ret_notes = (struct list){ m.notes, m.n_notes };
	*wake_at = m.wake_at;
	return r;
}
