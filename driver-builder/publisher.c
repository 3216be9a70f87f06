// SPDX-License-Identifier: Apache-2.0
/* A worker at a time, and the memory of what failed last. */
#include "publisher.h"

#include <stdio.h>

#include "work.h"

#define TIMEOUT_US (1800 * USEC_PER_SEC)
#define RETRY_MIN_US (15 * USEC_PER_SEC)
#define RETRY_MAX_US (600 * USEC_PER_SEC)

struct publisher {
	struct loop *loop;
	const struct remote *remote;
	const char *state;
	publisher_fn fn;
	void *user;
	struct work *work;
	char driver[256], kernel[KERNEL_RELEASE_MAX], key[DIGEST_HEX + 1];
	uint64_t retry_us, pause_us; /* pause 0: the last one went well */
};

/* In the worker. */
static int run(void *user, struct err *e)
{
	struct publisher *p = user;
	CLEANUP(loop_freep) struct loop *l = NULL;
	struct published told;
	int r = loop_new(&l, NULL, e);

	return r < 0 ? r : publish(l, p->remote, p->state, p->key, &told, e);
}

static void on_end(const struct err *result, void *user)
{
	struct publisher *p = user;

	p->work = NULL;
	if (result->code < 0) {
		p->pause_us = p->pause_us ? MIN(p->pause_us * 2, RETRY_MAX_US)
					  : RETRY_MIN_US;
		p->retry_us = loop_wall(p->loop) + p->pause_us;
	} else {
		p->pause_us = 0;
	}
	p->fn(p->driver, p->kernel, p->key, result, p->user);
}

uint64_t publisher_add(
	struct publisher *p, const char *driver, const char *kernel, const char *key)
{
	struct err e = { 0 };

	if (p->work)
		return UINT64_MAX;
	if (p->pause_us > 0 && p->retry_us > loop_wall(p->loop))
		return p->retry_us;
	(void)snprintf(p->driver, sizeof(p->driver), "%s", driver);
	(void)snprintf(p->kernel, sizeof(p->kernel), "%s", kernel);
	(void)snprintf(p->key, sizeof(p->key), "%s", key);
	if (work_start(p->loop, run, on_end, p, TIMEOUT_US, &p->work, &e) < 0)
		return loop_wall(p->loop) + RETRY_MIN_US;
	return UINT64_MAX;
}

int publisher_new(struct loop *l, const struct remote *r, const char *state,
	publisher_fn fn, void *user, struct publisher **ret, struct err *e)
{
	struct publisher *p = calloc(1, sizeof(*p));

	if (!p)
		return err_errno(e, -ENOMEM, "publisher");
	p->loop = l;
	p->remote = r;
	p->state = state;
	p->fn = fn;
	p->user = user;
	*ret = p;
	return 0;
}

void publisher_free(struct publisher *p)
{
	if (!p)
		return;
	work_cancel(p->work);
	free(p);
}
