// SPDX-License-Identifier: Apache-2.0
/* `purge`: takes off the host what Farrier has put there. */
#include <stdio.h>

#include "cli.h"
#include "purge.h"

enum { PURGE_TEXT_MAX = 1 << 20 };

static int print(const struct cli *c, const char *paths, bool is_dry)
{
	CLEANUP(json_freep) struct json *j = json_new_object();
	struct json *list = json_new_array();
	struct buf b CLEANUP(buf_done);
	int r = j && list ? 0 : -ENOMEM;

	buf_init(&b, PURGE_TEXT_MAX);
	for (const char *p = paths, *end; r == 0 && (end = strchr(p, '\n'));
		p = end + 1) {
		(void)buf_fmt(&b, "%s %.*s\n", is_dry ? "would remove" : "removed",
			(int)(end - p), p);
		r = json_add(list, json_new_strn(p, (size_t)(end - p)));
	}
	(void)buf_str(&b,
		is_dry ? "nothing was removed: --yes does it\n"
		       : "what is loaded stays loaded; manifests in /etc/farrier are yours\n");
	if (r == 0)
		r = json_set(j, "removed", TAKE(list));
	json_free(list);
	if (r < 0 || json_set_bool(j, "dryRun", is_dry) < 0)
		return CLI_FAILED;
	return cli_print(c, j, buf_cstr(&b));
}

int cli_purge(struct cli *c, int argc, char **argv)
{
	bool is_sure = false;
	const struct cli_option own[] = {
		{ "yes", NULL, &is_sure,
			"do it; without it, only what would go is told" },
		{ NULL },
	};
	struct buf b CLEANUP(buf_done);
	struct err e = { 0 };
	int pid;

	buf_init(&b, PURGE_TEXT_MAX);
	if (!cli_parse(c, cli_find("purge"), own, argc, argv, 0, 0))
		return cli_early(c);
	pid = is_sure ? purge_agent(&c->env) : 0;
	if (pid > 0) {
		(void)err_set(&e, -EBUSY,
			"an agent runs (pid %d) and would put everything back: stop it first",
			pid);
		return cli_fail(c, &e);
	}
	if (purge_host(&c->env, !is_sure, &b, &e) < 0)
		return cli_fail(c, &e);
	return print(c, buf_cstr(&b), !is_sure);
}
