// SPDX-License-Identifier: Apache-2.0
/* Before a compile: an artifact of another kernel that fits this one, symbol by symbol. */
#include "build_work.h"
#include "key.h"
#include "reuse.h"

/* What the build is made from, kernel apart; "" when it cannot be said, and then nothing is reused. */
static void describe(struct work *w)
{
	static const char *const systems[] = { "Auto", "Kbuild", "DKMS", "Make" };
	struct list args = { (void *)w->args, w->args_n };
	const struct key_input in = { .source_digest = w->source.digest,
		.compiler = w->tc.version,
		.build_system = systems[w->source.system],
		.make_args = &args,
		.patches = &w->patches };

	if (reuse_recipe(&in, w->recipe, NULL) < 0 ||
		reuse_config(w->config, w->config_digest, NULL) < 0)
		w->recipe[0] = w->config_digest[0] = '\0';
}

bool build_reuse(struct work *w)
{
	struct reuse_request q = { .root = w->q->root,
		.state = w->q->state,
		.driver = w->q->driver,
		.driver_version = w->q->spec->version ? w->q->spec->version : "",
		.kernel = w->q->kernel,
		.key = w->res->key,
		.headers_digest = w->headers_digest,
		.recipe = w->recipe,
		.config_digest = w->config_digest,
		.is_unsigned_fine = w->q->spec->signing.mode == API_SIGNING_EXTERNAL,
		.modules = &w->q->spec->modules };
	char from[DIGEST_HEX + 1];

	describe(w);
	/* A store that cannot be written says so when the build is stored. */
	return !w->q->force && !w->q->is_compared && reuse_try(&q, from, NULL) == 1;
}
