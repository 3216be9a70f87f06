// SPDX-License-Identifier: Apache-2.0
/* What the running plugin says of itself: log lines when something changed, and metrics. */
#pragma once

#include "kubelet_watch.h"
#include "metrics.h"
#include "service.h"
#include "snapshot.h"

/* The health of a device at one look; lives longer than its snapshot. */
struct report_state {
	char id[DEVICE_ID_MAX];
	enum health health;
	enum reason reason;
};

/* The caller frees it; NULL: no memory. @s may be NULL. */
struct report_state *report_states(const struct snapshot *s, size_t *ret_n);
/* Logs, and counts, what changed against @before. True when the set of devices is another one. */
bool report_health(const struct snapshot *s, const struct report_state *before, size_t n,
	struct metrics *m);
/* Class files that are not good. */
void report_classes(const struct classes *classes);
/* Classes that do nothing, devices wanted by two, resources whose hints have holes. */
void report_claims(const struct snapshot *s, const struct classes *classes);
void report_metrics(struct metrics *m, const struct snapshot *s,
	const struct classes *classes, const struct service *service);

/* What the kubelet makes of topology hints: a log line, gauges, and for --explain. @nodes: NUMA nodes. */
void report_kubelet(struct metrics *m, const struct kubelet_watch *w,
	const struct snapshot *s, size_t nodes);
int report_kubelet_text(const struct kubelet_watch *w, const struct snapshot *s,
	size_t nodes, struct buf *out);
int report_kubelet_json(const struct kubelet_watch *w, const struct snapshot *s,
	size_t nodes, struct json *doc);
