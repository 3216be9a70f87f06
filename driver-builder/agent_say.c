// SPDX-License-Identifier: Apache-2.0
/* What the agent counts for /metrics, and what it says once at its start. */
#include "act.h"
#include "cgroup.h"
#include "log.h"

void agent_metrics(struct agent *a, const struct seen *s, const struct plan *p,
	const struct api_node_status *st)
{
	size_t staged = 0, pairs = 0;

	for (size_t i = 0; i < s->in.n_drivers * s->in.n_kernels; i++) {
		if (p->kernels[i] == API_KERNEL_NOT_APPLICABLE)
			continue;
		pairs++;
		staged += p->kernels[i] == API_KERNEL_READY;
	}
	(void)metrics_set(a->metrics, METRIC_GAUGE,
		"farrier_staged_kernel_coverage_ratio", NULL,
		"Pairs of driver and installed kernel that are built and staged.",
		pairs ? (double)staged / (double)pairs : 1);
	(void)metrics_set(a->metrics, METRIC_GAUGE, "farrier_drivers_desired", NULL,
		"Drivers wanted on this node.", (double)st->drivers_desired);
	(void)metrics_set(a->metrics, METRIC_GAUGE, "farrier_drivers_ready", NULL,
		"Wanted drivers that are ready.", (double)st->drivers_ready);
	metrics_clear(a->metrics, "farrier_driver_state");
	for (size_t i = 0; i < s->in.n_drivers; i++) {
		struct buf b CLEANUP(buf_done);

		buf_init(&b, 1024);
		(void)metrics_label(&b, "driver", s->in.drivers[i].name);
		(void)metrics_label(
			&b, "state", api_driver_state_names[p->drivers[i].state]);
		(void)metrics_set(a->metrics, METRIC_GAUGE, "farrier_driver_state",
			buf_cstr(&b), "1 for the state that each driver is in.", 1);
	}
}

/* Said once, and on version 2 the moment to move into a group of our own: nobody else is in it yet. */
void agent_try_groups(void)
{
	const struct cgroup_limits any = { UINT64_MAX >> 1, INT32_MAX };
	struct cgroup *c = NULL;
	struct err e = { 0 };

	if (cgroup_new(&cgroup_host, &any, &c, &e) < 0)
		log_error(&e, "no control groups: builds are limited process by process",
			NULL);
	else
		log_event(LOG_INFO, "builds are limited by control groups", "version",
			cgroup_version(c) == 1 ? "1" : "2", "memory",
			cgroup_has_memory(c) ? "yes" : "no", NULL);
	cgroup_free(c);
}
