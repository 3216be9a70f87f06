// SPDX-License-Identifier: Apache-2.0
/* Prometheus metrics and the small HTTP server that shows them: /metrics, /healthz, /readyz, nothing else. */
#pragma once

#include "buf.h"
#include "loop.h"

struct metrics;
enum metric_type { METRIC_COUNTER, METRIC_GAUGE };

int metrics_new(struct metrics **ret);
void metrics_free(struct metrics *m);
DEFINE_CLEANUP(struct metrics, metrics_free)

/* Sets or adds to the series @name{@labels}; @labels like `driver="edu",kernel="6.1.0"` or NULL.
 * Made on first use; at most 10,000 series (-E2BIG). @help is kept from the first call for a name. */
int metrics_set(struct metrics *m, enum metric_type t, const char *name,
	const char *labels, const char *help, double v);
int metrics_add(struct metrics *m, enum metric_type t, const char *name,
	const char *labels, const char *help, double v);
/* Removes every series of @name (a gauge whose labels are gone). */
void metrics_clear(struct metrics *m, const char *name);
/* Escapes a label value: metrics_label(b, "driver", "a\"b") adds `driver="a\"b"` (with a comma when @b is not empty). */
int metrics_label(struct buf *b, const char *key, const char *value);
int metrics_print(const struct metrics *m, struct buf *out);

struct metrics_server;
/* @address "host:port", ":port" or "unix:/path". @is_ready and @is_healthy may be NULL (always). */
int metrics_listen(struct loop *l, struct metrics *m, const char *address,
	bool (*is_healthy)(void *), bool (*is_ready)(void *), void *user,
	struct metrics_server **ret, struct err *e) _must_check_;
void metrics_server_free(struct metrics_server *s);
/* The TCP port, of use when the address said port 0; 0 for a unix socket. */
uint16_t metrics_server_port(const struct metrics_server *s);
DEFINE_CLEANUP(struct metrics_server, metrics_server_free)
