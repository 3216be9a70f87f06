// SPDX-License-Identifier: Apache-2.0
/* `status` and `gate`: what the agent left in RUN. */
#include <stdio.h>

#include "cli.h"
#include "gate.h"
#include "status.h"

int cli_status(struct cli *c, int argc, char **argv)
{
	CLEANUP(json_freep) struct json *j = NULL;
	const struct cli_option own[] = { { NULL } };
	struct buf b CLEANUP(buf_done);
	struct err e = { 0 };

	buf_init(&b, 4 << 20);
	if (!cli_parse(c, cli_find("status"), own, argc, argv, 0, 0))
		return cli_early(c);
	if (status_read(c->env.run, &j, &e) < 0)
		return cli_fail(c, &e);
	if (status_text(j, &b) < 0)
		return CLI_FAILED;
	return cli_print(c, j, buf_cstr(&b));
}

int cli_gate(struct cli *c, int argc, char **argv)
{
	CLEANUP(json_freep) struct json *j = json_new_object();
	CLEANUP(freep) char *text = NULL;
	const struct cli_option own[] = { { NULL } };
	struct err e = { 0 };

	if (!cli_parse(c, cli_find("gate"), own, argc, argv, 0, 0))
		return cli_early(c);
	/* Not to know is no permission. */
	if (gate_read(c->env.run, &text, &e) < 0)
		return cli_fail(c, &e);
	if (!j || json_set_bool(j, "held", *text != '\0') < 0 ||
		json_set_str(j, "why", text) < 0 || cli_print(c, j, text) != CLI_DONE)
		return CLI_FAILED;
	return *text ? CLI_FAILED : CLI_DONE;
}
