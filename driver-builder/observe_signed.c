// SPDX-License-Identifier: Apache-2.0
/* What was built and is signed from outside: is it signed, could it be, or who has to? */
#include "external.h"
#include "observe_notes.h"

/* The signed artifact that stands for the record's, and is remembered; NULL: none. */
static const char *find_signed(struct memory *m, struct arena *a,
	const struct record *rec, const struct artifact *bare)
{
	char key[DIGEST_HEX + 1];

	if (*rec->signed_key && memory_artifact(m, rec->signed_key))
		return arena_strdup(a, rec->signed_key);
	/* The memory of it was lost: the store knows. */
	if (!bare || external_find(m->env->state, bare->key, key, NULL) < 0 ||
		!memory_artifact(m, key))
		return NULL;
	records_set_signed(m->records, rec->driver, rec->kernel, rec->key, key);
	m->is_noted = true;
	return arena_strdup(a, key);
}

/* Other signatures than those that @ready has: taken from the store, or to be put behind the modules. */
static const char *take_newer(struct memory *m, struct arena *a, const struct record *rec,
	const struct artifact *bare, const char *ready, struct plan_pair *p)
{
	char key[DIGEST_HEX + 1];

	if (!bare || external_key(m->env->root, bare, m->digests, key) < 0 || !*key ||
		(ready && streq(ready, key)))
		return ready;
	if (!memory_artifact(m, key)) {
		p->sign_key = arena_strdup(a, key);
		return ready;
	}
	records_set_signed(m->records, rec->driver, rec->kernel, rec->key, key);
	m->is_noted = true;
	return arena_strdup(a, key);
}

void observe_signed(struct memory *m, struct arena *a, const struct api_node_driver *d,
	const char *release, struct plan_pair *p)
{
	const struct record *rec = records_get(m->records, d->name, release);
	const struct artifact *bare = memory_artifact(m, rec->key);
	const char *ready = find_signed(m, a, rec, bare);

	ready = take_newer(m, a, rec, bare, ready, p);
	p->unsigned_key = p->key;
	p->key = ready;
	if (p->sign_key)
		p->sign = observe_failure(memory_step(m, "sign", d->name, release),
			p->sign_key, d->generation);
	if (ready)
		return;
	p->artifact = PLAN_ARTIFACT_UNSIGNED;
	p->failure = p->sign;
	if (p->failure.reason == REASON_NONE)
		p->failure = (struct plan_failure){ REASON_AWAITING_SIGNATURE,
			bare ? external_wanted(a, m->env->root, bare) : NULL, 0 };
}
