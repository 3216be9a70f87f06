// SPDX-License-Identifier: Apache-2.0
/* Records out of the store, notes out of the host's own boot. */
#include "observe_notes.h"

#include <stdio.h>

#include "boot.h"

void observe_adopt(struct memory *m, const struct api_node_driver *d,
	const struct kernel *k, const struct print *now)
{
	const struct api_source *source = &d->spec.source;
	const struct api_module *wanted = d->spec.modules.items;
	bool is_blind = k->install != KERNEL_COMPLETE ||
			(source->type == API_SOURCE_HOST && !*now->source);
	struct artifact *list = NULL, *best = NULL;
	struct record rec = { .print = *now };
	size_t n = 0;

	if (!is_blind || store_list(m->env->state, &list, &n, NULL) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		struct artifact *a = &list[i];
		bool fits = streq(a->driver, d->name) && streq(a->kernel, k->release) &&
			    streq(a->driver_version,
				    d->spec.version ? d->spec.version : "") &&
			    (source->type != API_SOURCE_HOST ||
				    str_empty(source->host.sha256) ||
				    streq(source->host.sha256, a->source_digest)) &&
			    (!*a->signed_from ||
				    d->spec.signing.mode == API_SIGNING_EXTERNAL);

		for (size_t x = 0; fits && x < d->spec.modules.n; x++)
			fits = artifact_find(a, wanted[x].name) != NULL;
		/* Times are written so that their order is that of their letters. */
		if (fits && (!best || strcmp(a->created_at, best->created_at) > 0))
			best = a;
	}
	if (best && snprintf(rec.driver, sizeof(rec.driver), "%s", d->name) > 0 &&
		snprintf(rec.kernel, sizeof(rec.kernel), "%s", k->release) > 0) {
		memcpy(rec.key, *best->signed_from ? best->signed_from : best->key,
			sizeof(rec.key));
		if (*best->signed_from)
			memcpy(rec.signed_key, best->key, sizeof(rec.signed_key));
		rec.build_seconds = best->build_seconds;
		m->is_noted |= records_set(m->records, &rec) == 0;
	}
	artifacts_free(list, n);
}

static bool is_known_same(const struct plan_driver *d)
{
	size_t n = 0;

	for (size_t i = 0; i < d->n_modules; i++)
		n += d->modules[i].is_loaded && d->modules[i].srcversion &&
		     d->modules[i].wanted_srcversion;
	return n == d->n_modules;
}

void observe_boot(struct memory *m, struct arena *a, const struct seen *s,
	const struct plan_pair *running, const struct plan_driver *d)
{
	const char *options;
	struct note n;

	for (size_t i = 0; i < d->n_modules; i++)
		if (!d->modules[i].is_loaded)
			return;
	if (d->n_modules == 0 || !*s->boot_id || !running ||
		running->artifact != PLAN_ARTIFACT_READY ||
		!plan_is_same_build(d, running) ||
		boot_options(a, m->env->root, d->name, &options) < 0)
		return;
	memset(&n, 0, sizeof(n));
	if (snprintf(n.parameters, sizeof(n.parameters), "%s", options) >=
		(int)sizeof(n.parameters))
		return;
	(void)snprintf(n.driver, sizeof(n.driver), "%s", d->name);
	(void)snprintf(n.key, sizeof(n.key), "%s", is_known_same(d) ? running->key : "");
	(void)snprintf(n.version, sizeof(n.version), "%s", d->version ? d->version : "");
	(void)snprintf(n.kernel, sizeof(n.kernel), "%s", s->running);
	(void)snprintf(n.boot_id, sizeof(n.boot_id), "%s", s->boot_id);
	m->is_noted |= records_set_note(m->records, &n) == 0;
}

/* Something that was built for the same kernel after @rec failed. */
static bool is_news(
	const struct memory *m, const struct list *drivers, const struct record *rec)
{
	const struct api_node_driver *d = drivers->items;

	for (size_t i = 0; i < drivers->n; i++) {
		const struct record *other = records_get(
			m->records, d[i].name, rec->kernel);

		if (other && other->reason == REASON_NONE && other->at_us > rec->at_us)
			return true;
	}
	return false;
}

bool observe_depends(
	struct memory *m, const struct list *drivers, const struct record *rec)
{
	const struct artifact *a;

	if (rec->reason == REASON_DEPENDENCY_MISSING)
		return !is_news(m, drivers, rec);
	a = rec->reason == REASON_NONE ? memory_artifact(m, rec->key) : NULL;
	for (size_t i = 0; a && i < a->depends_n; i++) {
		const struct artifact *d = memory_artifact(m, a->depends[i]);
		const struct record *now = d ? records_get(
						       m->records, d->driver, rec->kernel)
					     : NULL;

		/* A driver that is wanted no more is left as it is. */
		if (!d || (now && now->reason == REASON_NONE &&
				  !streq(now->key, a->depends[i])))
			return false;
	}
	return true;
}

const char *observe_install_key(
	struct memory *m, const char *driver, const char *release, const char *key)
{
	const struct note *n = records_note(m->records, driver);
	const struct artifact *a;

	if (!n || !*n->rejected || !*n->key || !key || !streq(n->rejected, key))
		return key;
	a = memory_artifact(m, n->key);
	return a && streq(a->kernel, release) ? a->key : key;
}
