// SPDX-License-Identifier: Apache-2.0
/* The agent's part in what the fleet shares: publishes what it was asked to build. */
#include "act.h"

#include "log.h"

static void on_published(const char *driver, const char *kernel, const char *key,
	const struct err *result, void *user)
{
	struct agent *a = user;

	(void)metrics_add(a->metrics, METRIC_COUNTER, "farrier_publishes_total",
		result->code < 0 ? "result=\"failed\"" : "result=\"done\"",
		"Artifacts pushed to the registry.", 1);
	if (result->code < 0)
		log_error(result, "not published", "driver", driver, "kernel", kernel,
			NULL);
	else
		agent_say(a, true, "ArtifactPublished", driver, kernel, REASON_NONE, key);
	agent_look(a, 0);
}

int agent_share_start(struct agent *a, struct err *e)
{
	struct oci_ref ref;

	if (a->o->is_standalone || !a->o->remote.registry)
		return 0;
	/* A bad name costs the sharing, not the node. */
	if (remote_ref(&a->o->remote, "driver", &ref, e) < 0) {
		log_error(e, "nothing is shared", NULL);
		err_clear(e);
		return 0;
	}
	a->memory.share.is_on = true;
	a->memory.share.node = a->o->node_name;
	a->memory.share.state = a->o->env.state;
	return publisher_new(a->loop, &a->o->remote, a->o->env.state, on_published, a,
		&a->publisher, e);
}

void agent_share(struct agent *a, const struct seen *s)
{
	const struct api_node_driver *d = s->desired->drivers.items;
	uint64_t wall = loop_wall(a->loop);

	if (!a->publisher)
		return;
	for (size_t i = 0; i < s->in.n_drivers; i++)
		for (size_t k = 0; k < s->in.n_kernels; k++) {
			const struct plan_pair *p = &s->in.drivers[i].pairs[k];
			const char *release = s->in.kernels[k].release;
			uint64_t again;

			if (!share_is_ours(&a->memory.share, &s->desired->builds, &d[i],
				    release, p))
				continue;
			again = publisher_add(
				a->publisher, d[i].name, release, plan_built_key(p));
			if (again != UINT64_MAX)
				agent_look(a, again > wall ? again - wall : 0);
			return;
		}
}
