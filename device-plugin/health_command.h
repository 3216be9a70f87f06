// SPDX-License-Identifier: Apache-2.0
/* A class's own command (health.command): run with a time limit, its end turned into a verdict. */
#pragma once

#include "health.h"

/* Between its arguments where they are one string; in no argument, which the class's check sees to. */
#define HEALTH_ARGS_END '\x1f'

struct health_command {
	const char *args; /* each with HEALTH_ARGS_END behind it; the first is a path */
	uint64_t timeout_us;
};

/* Runs @what, a struct health_command, and waits for it: for a child of its own (a probe_fn). Never a
 * shell. Writes one letter for the verdict and a text. -ENOMEM, -EINVAL. */
int health_command_ask(const void *what, char *out, size_t size);
/* What that says; *ret_text is within @answer. */
enum health_file health_command_verdict(const char *answer, const char **ret_text);
