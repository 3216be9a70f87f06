// SPDX-License-Identifier: Apache-2.0
/* `build --driver`: builds ahead of the agent what it would build, where there is time and a
 * compiler: into an image, or on another machine with --root on the node's disk. */
#include <stdio.h>
#include <time.h>

#include "build.h"
#include "cli.h"
#include "cli_subject.h"
#include "file.h"
#include "print.h"

/* Somebody has just seen it fail: the agent need not try at once. */
#define RETRY_US (3600 * USEC_PER_SEC)

static uint64_t now_us(void)
{
	struct timespec t = { 0 };

	(void)clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * USEC_PER_SEC + (uint64_t)t.tv_nsec / 1000;
}

/* As the agent would write it: it takes the outcome over with its next start. */
static int keep(struct subject *s, const struct env *env, const struct record *from,
	const struct build_result *res, struct err *e)
{
	struct record rec = *from;
	int r;

	rec.at_us = now_us();
	memcpy(rec.key, res->key, sizeof(rec.key));
	if (res->err.code == 0) {
		rec.build_seconds = res->build_seconds;
	} else {
		rec.reason = res->err.reason == REASON_NONE ? REASON_INTERNAL
							    : res->err.reason;
		memcpy(rec.message, res->err.text, sizeof(rec.message));
		rec.attempts = 1;
		rec.retry_us = rec.at_us + RETRY_US;
	}
	r = records_set(s->records, &rec);
	return r < 0 ? err_errno(e, r, "record")
		     : records_write(s->records, env->state, e);
}

/* What the others have for the same kernel. */
static int find_peers(const struct subject *s, struct build_request *q, struct err *e)
{
	const struct api_node_driver *d = s->desired.drivers.items;
	size_t n = s->desired.drivers.n;
	struct build_peer *peers = arena_array(s->a, n + 1, sizeof(*peers));

	if (!peers)
		return err_errno(e, -ENOMEM, "driver '%s'", q->driver);
	for (size_t i = 0; i < n; i++) {
		const struct record *rec = records_get(
			s->records, d[i].name, q->kernel->release);

		peers[i] = (struct build_peer){ d[i].name,
			rec && rec->reason == REASON_NONE && *rec->key ? rec->key
								       : NULL };
	}
	q->peers = peers;
	q->peers_n = n;
	return 0;
}

static int build_driver(struct subject *s, const struct cli *c, const char *driver,
	const char *kernel, const char *manifests, struct build_result *res,
	struct err *e)
{
	const struct api_node_driver *d = NULL;
	struct build_request q = {
		.root = c->env.root, .state = c->env.state, .driver = driver, .log_fd = -1
	};
	struct record rec;
	int r;

	memset(&rec, 0, sizeof(rec));
	r = subject_driver(s, manifests, driver, &d, e);
	if (r == 0)
		r = subject_kernel(s, &c->env, kernel, &q.kernel, e);
	if (r == 0)
		r = dir_make(c->env.state, 0755, e);
	if (r < 0)
		return r;
	q.spec = &d->spec;
	r = find_peers(s, &q, e);
	if (r < 0)
		return r;
	(void)snprintf(rec.driver, sizeof(rec.driver), "%s", driver);
	(void)snprintf(rec.kernel, sizeof(rec.kernel), "%s", q.kernel->release);
	/* Before the build, so that what changes meanwhile is built again. */
	r = print_make(c->env.root, &d->spec, q.kernel, &rec.print);
	if (r < 0)
		return err_errno(e, r, "driver '%s'", driver);
	(void)build_run(&q, res, e); /* its failure is a result worth keeping */
	err_clear(e);
	return keep(s, &c->env, &rec, res, e);
}

int cli_build_driver(
	struct cli *c, const char *driver, const char *kernel, const char *manifests)
{
	struct subject s CLEANUP(subject_done) = { 0 };
	static struct build_result res; /* large */
	struct err e = { 0 };
	int r = subject_init(&s, &c->env, manifests, &e);

	if (r == 0)
		r = build_driver(&s, c, driver, kernel, manifests, &res, &e);
	return r < 0 ? cli_fail(c, &e) : cli_print_build(c, &res);
}
