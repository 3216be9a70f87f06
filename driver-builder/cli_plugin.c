// SPDX-License-Identifier: Apache-2.0
/* `install-plugin` and `remove-plugin`: the device plugin as a service of the host. */
#include <stdio.h>

#include "cli.h"
#include "plugin.h"

int cli_install_plugin(struct cli *c, int argc, char **argv)
{
	CLEANUP(json_freep) struct json *j = json_new_object();
	const char *from = PLUGIN_BUNDLE, *args = NULL;
	const struct cli_option own[] = {
		{ "from", "DIR", &from,
			"the bundle: farrier-device-plugin, ld.so, lib/ (" PLUGIN_BUNDLE
			")" },
		{ "args", "ARGS", &args, "options for the plugin's service" },
		{ NULL },
	};
	struct err e = { 0 };
	bool is_started;

	if (!cli_parse(c, cli_find("install-plugin"), own, argc, argv, 0, 0))
		return cli_early(c);
	if (plugin_install(&c->env, from, args, &is_started, &e) < 0)
		return cli_fail(c, &e);
	if (!j || json_set_bool(j, "started", is_started) < 0)
		return CLI_FAILED;
	return cli_print(c, j,
		is_started
			? "installed and started\n"
			: "installed; the host's service manager could not be reached, "
			  "it starts with the next boot\n");
}

int cli_remove_plugin(struct cli *c, int argc, char **argv)
{
	CLEANUP(json_freep) struct json *j = json_new_object();
	const struct cli_option own[] = { { NULL } };
	struct err e = { 0 };

	if (!cli_parse(c, cli_find("remove-plugin"), own, argc, argv, 0, 0))
		return cli_early(c);
	if (plugin_remove(&c->env, &e) < 0)
		return cli_fail(c, &e);
	return cli_print(c, j, "removed\n");
}
