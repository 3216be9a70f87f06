// SPDX-License-Identifier: Apache-2.0
/*
 * Where several builders have to agree (--quorum): who is asked, and whether what they published is the
 * same. Each of them says the digest over its modules without their signatures; builds are
 * reproducible, so honest ones are equal. A vote counts only of a node that may build for others and
 * compiled it itself. Who was asked stays in the claim, and nobody is asked twice: it always ends.
 */
#include <stdio.h>

#include "claim_inside.h"
#include "project.h"

enum { UNSIGNED_DIGITS = 64, SHOWN_DIGITS = 12, SHOWN_MAX = 4 };

/* One node that was asked. */
struct asked {
	const struct want *w; /* NULL: it is not in the group any more */
	const char *name;
	size_t len;
	int64_t since;
	bool is_pending; /* may still publish in time */
};

struct council {
	struct maker *m;
	struct want *g;
	size_t n;
	const struct view_build *old; /* NULL: first time */
	const struct want **votes; /* by key, digest, name */
	size_t n_votes;
	const struct want *const *best; /* the largest set of equal votes */
	size_t n_best;
	bool is_split; /* different bytes under one key */
	bool is_torn; /* and enough for each of them */
	struct asked asked[CLAIM_ASKED_MAX];
	size_t n_asked, n_pending;
	bool is_over; /* every node was told to build for itself */
};

/* ---- what was published ---- */

static bool is_vote(const struct maker *m, const struct want *w)
{
	return claim_is_published(m, w) && w->row->unsigned_digest &&
	       strlen(w->row->unsigned_digest) == UNSIGNED_DIGITS;
}

/* It published what others built: that is no vote, and never will be. */
static bool is_mute(const struct maker *m, const struct want *w)
{
	return claim_is_published(m, w) && w->row->unsigned_digest && !is_vote(m, w);
}

static int compare_votes(const struct want *a, const struct want *b)
{
	int r = strcmp(a->row->artifact, b->row->artifact);

	return r ? r : strcmp(a->row->unsigned_digest, b->row->unsigned_digest);
}

static int by_vote(const void *x, const void *y, void *user)
{
	const struct want *const *a = x, *const *b = y;
	int r = compare_votes(*a, *b);

	return r ? r : strcmp(claim_name(user, *a), claim_name(user, *b));
}

static int tally(struct council *c)
{
	size_t first = 0, need = c->m->v->quorum;
	const char *enough = NULL; /* the key of a set that is large enough */

	c->votes = arena_array(c->m->a, c->n + 1, sizeof(*c->votes));
	if (!c->votes)
		return -ENOMEM;
	for (size_t i = 0; i < c->n; i++)
		if (is_vote(c->m, &c->g[i]))
			c->votes[c->n_votes++] = &c->g[i];
	qsort_r(c->votes, c->n_votes, sizeof(*c->votes), by_vote, c->m);
	for (size_t i = 1; i <= c->n_votes; i++) {
		const char *key = c->votes[first]->row->artifact;

		if (i < c->n_votes && compare_votes(c->votes[first], c->votes[i]) == 0)
			continue;
		c->is_split |= i < c->n_votes && streq(key, c->votes[i]->row->artifact);
		if (i - first >= need) {
			c->is_torn |= enough && streq(enough, key);
			enough = key;
		}
		if (i - first > c->n_best) {
			c->best = &c->votes[first];
			c->n_best = i - first;
		}
		first = i;
	}
	return 0;
}

/* ---- who was asked ---- */

static bool is_named(const struct maker *m, const struct want *w, const struct asked *a)
{
	const char *name = claim_name(m, w);

	return strncmp(name, a->name, a->len) == 0 && name[a->len] == '\0';
}

static const struct asked *find_asked(const struct council *c, const struct want *w)
{
	for (size_t i = 0; i < c->n_asked; i++)
		if (is_named(c->m, w, &c->asked[i]))
			return &c->asked[i];
	return NULL;
}

/* "n1=1700000000,n2=1700000100" */
static void read_asked(struct council *c, const char *text)
{
	while (text && *text && c->n_asked < CLAIM_ASKED_MAX) {
		const char *end = strchrnul(text, ',');
		const char *eq = memchr(text, '=', (size_t)(end - text));
		struct asked a = { .name = text };

		if (eq && eq > text &&
			project_int(eq + 1, (size_t)(end - eq) - 1, &a.since) == 0) {
			a.len = (size_t)(eq - text);
			c->asked[c->n_asked++] = a;
		}
		text = *end ? end + 1 : end;
	}
}

static void judge_asked(struct council *c)
{
	int64_t limit = claim_time_limit(c->m, c->g->driver);

	for (size_t i = 0; i < c->n; i++)
		for (size_t k = 0; k < c->n_asked; k++)
			if (is_named(c->m, &c->g[i], &c->asked[k]) &&
				claim_is_trusted(c->m, &c->g[i]))
				c->asked[k].w = &c->g[i];
	for (size_t k = 0; k < c->n_asked; k++) {
		struct asked *a = &c->asked[k];

		a->is_pending = a->w && !c->is_over && claim_is_able(c->m, a->w) &&
				!is_vote(c->m, a->w) && !is_mute(c->m, a->w) &&
				a->since + limit > c->m->now;
		c->n_pending += a->is_pending;
		if (a->is_pending)
			c->m->wake_at = MIN(c->m->wake_at, a->since + limit);
	}
}

/* The next to ask: one that has built it already, else by name. */
static const struct want *candidate(const struct council *c)
{
	const struct want *best = NULL;

	for (size_t i = 0; i < c->n; i++) {
		const struct want *w = &c->g[i];
		int before;

		if (!claim_is_able(c->m, w) || is_vote(c->m, w) || is_mute(c->m, w) ||
			find_asked(c, w))
			continue;
		before = best ? claim_is_in(w, API_KERNEL_READY) -
					 claim_is_in(best, API_KERNEL_READY)
			      : 1;
		if (before == 0)
			before = strcmp(claim_name(c->m, best), claim_name(c->m, w));
		if (before > 0)
			best = w;
	}
	return best;
}

static size_t count_candidates(const struct council *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n; i++)
		n += claim_is_able(c->m, &c->g[i]) && !is_vote(c->m, &c->g[i]) &&
		     !is_mute(c->m, &c->g[i]) && !find_asked(c, &c->g[i]);
	return MIN(n, CLAIM_ASKED_MAX - c->n_asked);
}

/* Asks as many as are missing. True when somebody was asked. */
static bool ask_more(struct council *c)
{
	size_t need = c->m->v->quorum - c->n_best, had = c->n_asked;
	size_t max = MIN(c->m->v->quorum + CLAIM_SPARE, (size_t)CLAIM_ASKED_MAX);

	/* It is over: only where that is enough to change it. */
	if (c->is_over && MIN(count_candidates(c), max - MIN(max, c->n_asked)) < need)
		return false;
	while (c->n_pending < need && c->n_asked < max) {
		const struct want *w = candidate(c);

		if (!w)
			break;
		c->asked[c->n_asked++] = (struct asked){ w, claim_name(c->m, w),
			strlen(claim_name(c->m, w)), c->m->now, true };
		c->n_pending++;
	}
	if (c->n_asked > had)
		c->m->wake_at = MIN(
			c->m->wake_at, c->m->now + claim_time_limit(c->m, c->g->driver));
	return c->n_asked > had;
}

static const char *print_asked(const struct council *c)
{
	char *out = arena_strdup(c->m->a, "");

	for (size_t i = 0; i < c->n_asked && out; i++)
		out = arena_fmt(c->m->a, "%s%s%.*s=%lld", out, i ? "," : "",
			(int)c->asked[i].len, c->asked[i].name,
			(long long)c->asked[i].since);
	return out;
}

/* ---- what is said ---- */

static size_t count_trusted(const struct council *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n; i++)
		n += claim_is_trusted(c->m, &c->g[i]) && !is_mute(c->m, &c->g[i]);
	return n;
}

/* @text, then "'n1', 'n2' and 3 more built 0123456789ab". */
static const char *add_set(const struct council *c, const char *text,
	const struct want *const *set, size_t n)
{
	for (size_t i = 0; i < MIN(n, (size_t)SHOWN_MAX) && text; i++)
		text = arena_fmt(c->m->a, "%s%s'%s'", text, i ? ", " : "",
			claim_name(c->m, set[i]));
	if (text && n > SHOWN_MAX)
		text = arena_fmt(c->m->a, "%s and %zu more", text, n - SHOWN_MAX);
	return text ? arena_fmt(c->m->a, "%s built %.*s", text, SHOWN_DIGITS,
			      set[0]->row->unsigned_digest)
		    : NULL;
}

static const char *describe_votes(const struct council *c)
{
	const char *out = arena_fmt(c->m->a, "kernel %s: ", c->g->release);
	size_t first = 0, sets = 0;

	for (size_t i = 1; i <= c->n_votes && out && sets < SHOWN_MAX; i++) {
		if (i < c->n_votes && compare_votes(c->votes[first], c->votes[i]) == 0)
			continue;
		if (sets++ > 0)
			out = arena_fmt(c->m->a, "%s, ", out);
		out = out ? add_set(c, out, &c->votes[first], i - first) : NULL;
		first = i;
	}
	return out;
}

/* One note for a driver: what disagrees before what is missing. */
static int note(struct council *c, enum reason reason, const char *text)
{
	struct maker *m = c->m;
	struct claim_note *last = m->n_notes ? &m->notes[m->n_notes - 1] : NULL;

	if (!text)
		return -ENOMEM;
	/* Groups come by driver. */
	if (!last || !streq(last->driver, c->g->driver))
		m->notes[m->n_notes++] = (struct claim_note){ c->g->driver, reason,
			text };
	else if (reason == REASON_BUILDERS_DISAGREE && last->reason != reason)
		*last = (struct claim_note){ c->g->driver, reason, text };
	return 0;
}

static int say(struct council *c)
{
	size_t trusted = count_trusted(c);

	if (c->is_split)
		return note(c, REASON_BUILDERS_DISAGREE, describe_votes(c));
	/* Where all are builders nobody is kept waiting. */
	if (trusted < c->m->v->quorum && trusted < c->n)
		return note(c, REASON_BUILDERS_TOO_FEW,
			arena_fmt(c->m->a,
				"kernel %s: %zu of the %zu builders that have to agree",
				c->g->release, trusted, c->m->v->quorum));
	return 0;
}

/* ---- the decision ---- */

/* Whom those who wait are told of: somebody who is at it. */
static const char *at_work(const struct council *c)
{
	for (size_t i = 0; i < c->n_asked; i++)
		if (c->asked[i].is_pending)
			return claim_name(c->m, c->asked[i].w);
	for (size_t i = 0; i < c->n_asked; i++)
		if (c->asked[i].w)
			return claim_name(c->m, c->asked[i].w);
	return c->n_best ? claim_name(c->m, c->best[0]) : "";
}

/* What those who wait are told: in @b, which holds what they were told. */
static int decide(struct council *c, struct view_build *b)
{
	bool is_new;
	int64_t until;

	b->key = b->digest = b->unsigned_digest = NULL;
	if (c->n_best >= c->m->v->quorum && !c->is_torn) {
		b->node = claim_name(c->m, c->best[0]);
		b->key = c->best[0]->row->artifact;
		b->digest = c->best[0]->row->digest;
		b->unsigned_digest = c->best[0]->row->unsigned_digest;
		b->epoch = MAX(b->epoch, 1);
		return 0;
	}
	is_new = !c->is_torn && ask_more(c);
	b->epoch += is_new || b->epoch == 0;
	if (is_new) {
		b->since = c->m->now;
		b->asked = print_asked(c);
		if (!b->asked)
			return -ENOMEM;
	} else if (c->is_over) {
		b->node = "";
		return 0;
	} else if (c->n_asked > 0) {
		b->since = c->asked[c->n_asked - 1].since;
	}
	b->node = at_work(c);
	if (c->n_best + c->n_pending >= c->m->v->quorum && !c->is_torn)
		return 0;
	/* It cannot be reached now: but a builder may come, or come back. */
	until = b->since + CLAIM_GATHER_S;
	if (until > c->m->now) {
		if (*b->node)
			c->m->wake_at = MIN(c->m->wake_at, until);
		return 0;
	}
	c->is_over = true;
	b->node = "";
	b->epoch++;
	return 0;
}

/* Each is told; those that build are told so. */
static int tell(struct council *c, const struct view_build *b)
{
	for (size_t i = 0; i < c->n; i++) {
		struct want *w = &c->g[i];
		const struct asked *a = find_asked(c, w);
		struct view_build *own;

		if (a && a->is_pending && b && *b->node && !b->digest) {
			own = arena_alloc(c->m->a, sizeof(*own));
			if (!own)
				return -ENOMEM;
			*own = *b;
			own->node = claim_name(c->m, w);
			own->since = a->since;
			w->out = own;
		} else {
			w->out = claim_is_in(w, API_KERNEL_READY) ? w->stored : b;
		}
	}
	return 0;
}

int claim_quorum(struct maker *m, struct want *g, size_t n)
{
	struct council c = { .m = m, .g = g, .n = n, .old = claim_latest(g, n) };
	struct view_build *b = arena_alloc(m->a, sizeof(*b));
	bool is_waited_for = false;
	int r = b ? tally(&c) : -ENOMEM;

	if (r == 0)
		r = say(&c);
	for (size_t i = 0; i < n; i++)
		is_waited_for |= !claim_is_in(&g[i], API_KERNEL_READY);
	if (r < 0 || !is_waited_for)
		return r < 0 ? r : tell(&c, NULL);
	*b = c.old ? *c.old
		   : (struct view_build){ .driver = g->driver,
			     .generation = g->generation,
			     .kernel = g->release,
			     .node = "",
			     .since = m->now };
	c.is_over = c.old && str_empty(c.old->node);
	read_asked(&c, b->asked);
	judge_asked(&c);
	r = decide(&c, b);
	if (r < 0)
		return r;
	/* No builder is known yet: nothing is said, and nodes wait for that only shortly. */
	return tell(&c, *b->node || c.is_over ? b : NULL);
}
