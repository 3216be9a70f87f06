// SPDX-License-Identifier: Apache-2.0
/* Build now, or wait for what another node publishes. */
#include "share.h"

#include "publish.h"

struct share_wait {
	int64_t generation;
	uint64_t since_us;
};

void share_done(struct share *s)
{
	map_free(s->waits);
	s->waits = NULL;
}

const struct api_node_build *share_find(const struct list *builds, const char *driver,
	int64_t generation, const char *kernel)
{
	const struct api_node_build *b = builds->items;

	for (size_t i = 0; i < builds->n; i++)
		if (b[i].generation == generation && streq(b[i].driver, driver) &&
			streq(b[i].kernel, kernel))
			return &b[i];
	return NULL;
}

static bool is_published(const struct api_node_build *b)
{
	return !str_empty(b->digest) && !str_empty(b->key);
}

bool share_is_compared(const struct api_node_build *b)
{
	return !str_empty(b->asked);
}

bool share_asks(const struct api_node_build *b, const char *node)
{
	return !is_published(b) && !str_empty(b->node) && node && streq(b->node, node);
}

uint64_t share_wait_until(
	const struct api_node_build *b, const char *node, bool is_up, uint64_t since_us)
{
	if (b && (is_published(b) || str_empty(b->node) || streq(b->node, node)))
		return 0;
	return since_us + (b && is_up ? SHARE_WAIT_US : SHARE_GRACE_US);
}

/* Since when we wait for this; NULL when memory is short. */
static struct share_wait *wait_of(
	struct share *s, const char *name, int64_t generation, uint64_t now_us)
{
	struct share_wait *w;

	if (!s->waits)
		s->waits = map_new(free);
	w = s->waits ? map_get(s->waits, name) : NULL;
	if (w && w->generation == generation)
		return w;
	w = s->waits ? malloc(sizeof(*w)) : NULL;
	if (!w)
		return NULL;
	*w = (struct share_wait){ generation, now_us };
	return map_set(s->waits, name, w) == 0 ? w : NULL;
}

static int tell(struct arena *a, const struct published *pub, struct plan_pair *p)
{
	p->digest = arena_strdup(a, pub->digest);
	if (*pub->unsigned_digest)
		p->unsigned_digest = arena_strdup(a, pub->unsigned_digest);
	return p->digest && (p->unsigned_digest || !*pub->unsigned_digest) ? 0 : -ENOMEM;
}

int share_look(struct share *s, struct arena *a, const struct list *builds,
	const struct api_node_driver *d, const char *kernel, uint64_t now_us,
	struct plan_pair *p)
{
	const struct api_node_build *b;
	struct published pub;
	struct share_wait *w;
	const char *name;
	uint64_t until;

	if (!s->is_on)
		return 0;
	name = arena_fmt(a, "%s %s", d->name, kernel);
	if (!name)
		return -ENOMEM;
	if (p->artifact == PLAN_ARTIFACT_READY || p->artifact == PLAN_ARTIFACT_UNSIGNED) {
		if (s->waits)
			(void)map_del(s->waits, name);
		return publish_find(s->state, plan_built_key(p), &pub) ? tell(a, &pub, p)
								       : 0;
	}
	if (p->artifact != PLAN_ARTIFACT_NONE || !publish_is_shareable(&d->spec.source))
		return 0;
	b = share_find(builds, d->name, d->generation, kernel);
	w = wait_of(s, name, d->generation, now_us);
	if (!w)
		return -ENOMEM;
	until = share_wait_until(b, s->node, s->is_up, w->since_us);
	if (until <= now_us)
		return 0;
	p->artifact = PLAN_ARTIFACT_WAITING;
	p->failure.reason = REASON_BUILD_ELSEWHERE;
	p->failure.retry_at_us = until;
	p->failure.message =
		!b ? "the controller has not said who builds it"
		: share_is_compared(b)
			? arena_fmt(a, "node '%s' and others build it for all", b->node)
			: arena_fmt(a, "node '%s' builds it for all", b->node);
	return p->failure.message ? 0 : -ENOMEM;
}

bool share_is_ours(const struct share *s, const struct list *builds,
	const struct api_node_driver *d, const char *kernel, const struct plan_pair *p)
{
	const struct api_node_build *b;

	/* What waits for its signature is shared as it is: each node signs for itself. */
	if (!s->is_on ||
		(p->artifact != PLAN_ARTIFACT_READY &&
			p->artifact != PLAN_ARTIFACT_UNSIGNED) ||
		!publish_is_shareable(&d->spec.source))
		return false;
	b = share_find(builds, d->name, d->generation, kernel);
	if (!b || !share_asks(b, s->node))
		return false;
	/* What an older agent pushed cannot be compared: the same again, and then it can. */
	return !p->digest || (share_is_compared(b) && !p->unsigned_digest);
}
