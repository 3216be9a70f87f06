// SPDX-License-Identifier: Apache-2.0
/* Carries out what the plan says about the boot loader, in a worker. */
#include <stdio.h>

#include "act.h"
#include "grub.h"
#include "log.h"

#define KEEP_TIMEOUT_US (120 * USEC_PER_SEC)
/* Soon: a kernel's installation writes grub.cfg after the kernel is seen. */
#define KEEP_RETRY_US (30 * USEC_PER_SEC)

static int run_keep(void *user, struct err *e)
{
	struct agent *a = user;
	const struct env *env = &a->o->env;

	return a->step.verb == PLAN_KEEP
		       ? grub_keep(env->root, env->state, a->step.kernel, e)
		       : grub_let_go(env->root, env->state, e);
}

static void on_kept(const struct err *result, void *user)
{
	struct agent *a = user;
	struct step *st = memory_step_new(&a->memory, "keep", "", NULL);
	bool is_keep = a->step.verb == PLAN_KEEP;

	a->work = NULL;
	agent_look(a, 0);
	if (!st) {
		log_event(LOG_ERROR, "out of memory", NULL);
		return;
	}
	if (result->code == 0) {
		*st = (struct step){ .done_us = loop_wall(a->loop) };
		log_event(LOG_INFO,
			is_keep ? "the boot loader keeps a good kernel"
				: "the boot loader's own choice counts again",
			"kernel", is_keep ? a->step.kernel : NULL, NULL);
		return;
	}
	/* Said once: a host without GRUB stays one. */
	if (!streq(st->message, result->text))
		log_error(result, "the boot loader was not told", "kernel",
			is_keep ? a->step.kernel : NULL, NULL);
	st->reason = result->reason != REASON_NONE ? result->reason : REASON_INTERNAL;
	(void)snprintf(st->message, sizeof(st->message), "%s", result->text);
	st->retry_us = loop_wall(a->loop) + KEEP_RETRY_US;
}

void act_keep(struct agent *a, const struct seen *s, const struct plan_action *x)
{
	struct err e = { 0 };

	a->step.verb = x->verb;
	a->step.driver[0] = '\0';
	(void)snprintf(a->step.kernel, sizeof(a->step.kernel), "%s",
		x->kernel != SIZE_MAX ? s->pick[x->kernel]->release : "");
	if (work_start(a->loop, run_keep, on_kept, a, KEEP_TIMEOUT_US, &a->work, &e) <
		0) {
		log_error(&e, "step not started", "step", plan_verb_names[x->verb], NULL);
		agent_look(a, KEEP_RETRY_US);
	}
}
