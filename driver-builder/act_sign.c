// SPDX-License-Identifier: Apache-2.0
/* Carries out what the plan says about signatures from outside, in a worker. */
#include <stdio.h>

#include "act.h"
#include "external.h"
#include "log.h"

#define SIGN_TIMEOUT_US (300 * USEC_PER_SEC)

static int run_sign(void *user, struct err *e)
{
	struct agent *a = user;
	const struct external_sign q = {
		.root = a->o->env.root,
		.state = a->o->env.state,
		.kernel = a->step.on,
		.unsigned_key = a->step.unsigned_key,
		.key = a->step.key,
	};

	return external_sign(&q, e);
}

static void note_failure(struct agent *a, const struct err *result, struct step *st)
{
	bool is_news = !streq(st->message, result->text);

	if (!streq(st->key, a->step.key) || st->generation != a->step.generation)
		st->attempts = 0;
	memcpy(st->key, a->step.key, sizeof(st->key));
	st->generation = a->step.generation;
	st->reason = result->reason != REASON_NONE ? result->reason : REASON_INTERNAL;
	(void)snprintf(st->message, sizeof(st->message), "%s", result->text);
	st->attempts++;
	st->retry_us = loop_wall(a->loop) + act_retry_us(st->attempts);
	/* Tried again, since it may be the kernel's keys that change; said once. */
	if (is_news)
		agent_say(a, false, "SignatureRefused", a->step.driver, a->step.kernel,
			st->reason, st->message);
}

static void on_signed(const struct err *result, void *user)
{
	struct agent *a = user;
	struct step *st = memory_step_new(
		&a->memory, "sign", a->step.driver, a->step.kernel);

	a->work = NULL;
	agent_look(a, 0);
	if (!st) {
		log_event(LOG_ERROR, "out of memory", NULL);
	} else if (result->code == -EAGAIN) {
		/* Others were put there meanwhile: the next look sees them. */
		*st = (struct step){ .done_us = 0 };
	} else if (result->code != 0) {
		note_failure(a, result, st);
	} else {
		*st = (struct step){ .done_us = loop_wall(a->loop) };
		records_set_signed(a->memory.records, a->step.driver, a->step.kernel,
			a->step.unsigned_key, a->step.key);
		agent_save(a);
		agent_say(a, true, "ModuleSigned", a->step.driver, a->step.kernel,
			REASON_NONE, a->step.key);
	}
}

void act_sign(struct agent *a, const struct seen *s, const struct plan_action *x)
{
	const struct api_node_driver *d = s->desired->drivers.items;
	const struct plan_pair *p = &s->in.drivers[x->driver].pairs[x->kernel];
	struct err e = { 0 };

	a->step.verb = x->verb;
	a->step.generation = d[x->driver].generation;
	a->step.on = s->pick[x->kernel];
	(void)snprintf(a->step.driver, sizeof(a->step.driver), "%s", d[x->driver].name);
	(void)snprintf(a->step.kernel, sizeof(a->step.kernel), "%s", a->step.on->release);
	(void)snprintf(a->step.key, sizeof(a->step.key), "%s", p->sign_key);
	(void)snprintf(a->step.unsigned_key, sizeof(a->step.unsigned_key), "%s",
		p->unsigned_key);
	if (work_start(a->loop, run_sign, on_signed, a, SIGN_TIMEOUT_US, &a->work, &e) <
		0) {
		log_error(&e, "step not started", "step", plan_verb_names[x->verb], NULL);
		agent_look(a, act_retry_us(1));
	}
	a->step.on = NULL;
}
