// SPDX-License-Identifier: Apache-2.0
/* What nobody needs any more leaves the disk, once after each start. */
#include "act.h"
#include "log.h"

#define AHEAD_US (7 * 24 * 3600 * USEC_PER_SEC)

struct present {
	const struct kernels *kernels;
	uint64_t now_us;
};

/* What was built ahead (`build --driver`) may wait a while for its kernel. */
static bool is_present(const struct record *rec, void *user)
{
	const struct present *p = user;

	return kernels_find(p->kernels, rec->kernel) != NULL ||
	       rec->at_us + AHEAD_US > p->now_us;
}

/* Does each wanted driver have what it needs for each kernel? */
static bool is_settled(const struct seen *s)
{
	for (size_t d = 0; d < s->in.n_drivers; d++)
		for (size_t k = 0; k < s->in.n_kernels; k++) {
			enum plan_artifact x = s->in.drivers[d].pairs[k].artifact;

			if (x != PLAN_ARTIFACT_READY && x != PLAN_ARTIFACT_NOT_APPLICABLE)
				return false;
		}
	return s->in.n_drivers > 0;
}

static bool is_wanted(const struct desired *d, const char *driver)
{
	const struct api_node_driver *x = d->drivers.items;

	for (size_t i = 0; i < d->drivers.n; i++)
		if (streq(x[i].name, driver))
			return true;
	return false;
}

/* The keys to keep, of which records tell; after their loss those of drivers that nobody speaks of any more
 * as well: such a driver is left as it is, and no record can say so. */
static int keys_to_keep(struct agent *a, const struct seen *s, struct list *ret)
{
	struct artifact *list = NULL;
	const char **keys;
	size_t n = 0;
	int r = records_keys(a->memory.records, a->arena, ret);

	if (r < 0 || ret->n == 0 || !a->memory.is_lost)
		return r;
	r = store_list(a->o->env.state, &list, &n, NULL);
	keys = r == 0 ? arena_array(a->arena, ret->n + n + 1, sizeof(*keys)) : NULL;
	if (keys) {
		memcpy(keys, ret->items, ret->n * sizeof(*keys));
		ret->items = keys;
		for (size_t i = 0; r == 0 && i < n; i++) {
			if (is_wanted(s->desired, list[i].driver))
				continue;
			keys[ret->n] = arena_strdup(a->arena, list[i].key);
			r = keys[ret->n++] ? 0 : -ENOMEM;
		}
	}
	artifacts_free(list, n);
	return keys ? r : MIN(r, -ENOMEM);
}

void agent_clean(struct agent *a, const struct seen *s)
{
	struct present present = { &s->kernels, loop_wall(a->loop) };
	struct list keys;
	struct err e = { 0 };
	size_t removed = 0;

	/* After a loss the store is what is left: the builds that come find their artifacts there. */
	if (a->is_cleaned || (a->memory.is_lost && !is_settled(s)))
		return;
	a->is_cleaned = true;
	publish_gc(a->o->env.state);
	records_prune(a->memory.records, is_present, &present);
	/* No keys means lost records, not a store that nobody needs. */
	if (keys_to_keep(a, s, &keys) < 0 || keys.n == 0)
		return;
	a->memory.is_lost = false;
	if (store_gc(a->o->env.state, keys.items, keys.n, &removed, &e) < 0)
		log_error(&e, "store not cleaned", NULL);
	else if (removed > 0)
		log_event(LOG_INFO, "store cleaned", NULL);
}
