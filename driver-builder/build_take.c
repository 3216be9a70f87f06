// SPDX-License-Identifier: Apache-2.0
/* Takes what another node built and published, where it is what we would build. */
#include "build_work.h"
#include "remote.h"

bool build_take(struct work *w)
{
	const struct build_request *q = w->q;
	CLEANUP(loop_freep) struct loop *l = NULL;
	struct remote_want want = {
		.root = q->root,
		.state = q->state,
		.driver = q->driver,
		.kernel = q->kernel,
		.key = w->res->key,
		.digest = q->published_digest,
		.unsigned_digest = q->published_unsigned,
		.recipe = w->recipe,
		.config_digest = w->config_digest,
	};
	struct err e = { 0 };
	int r;

	if (q->force || q->is_compared || !q->remote || !q->remote->registry ||
		!q->published_digest || !q->published_key)
		return false;
	if (!streq(q->published_key, w->res->key)) {
		build_warn(w, "what the fleet shares has key %.12s, ours is %.12s",
			q->published_key, w->res->key);
		return false;
	}
	want.is_unsigned_fine = q->spec->signing.mode == API_SIGNING_EXTERNAL;
	r = loop_new(&l, NULL, &e);
	if (r == 0)
		r = remote_pull(l, q->remote, &want, &e);
	/* Without the registry we do what we would do without the fleet. */
	if (r < 0) {
		build_warn(w, "not taken from the registry: %.200s", e.text);
		w->res->refused = e;
		return false;
	}
	w->res->is_pulled = true;
	return true;
}
