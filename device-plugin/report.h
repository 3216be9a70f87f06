// SPDX-License-Identifier: Apache-2.0
/* What the running plugin says of itself: log lines when something changed, and metrics. */
#pragma once

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
