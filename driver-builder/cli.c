// SPDX-License-Identifier: Apache-2.0
/* The command line: the table of commands, their options, what they print. */
#include "cli.h"

#include <stdio.h>

const struct cli_command cli_commands[] = {
	{ "run", "", "the node agent: builds, loads, installs, reports; for ever",
		cli_run },
	{ "build", "", "build a source for one kernel, in the sandbox", cli_build },
	{ "verify", "FILE...", "prove module files against a kernel", cli_verify },
	{ "load", "DRIVER",
		"load the staged build of a driver now, replacing another one",
		cli_load },
	{ "unload", "DRIVER", "unload a driver's modules", cli_unload },
	{ "status", "", "what the agent last said about this node", cli_status },
	{ "gate", "", "exit status 0 while a reboot is fine, 1 while it is held",
		cli_gate },
	{ "preflight", "",
		"exit status 0 when this kernel would keep every driver, else 1",
		cli_preflight },
	{ "gc", "", "remove artifacts that no kernel here needs", cli_gc },
	{ "report", "", "everything for a support ticket, as JSON, without secrets",
		cli_report },
	{ "purge", "", "remove what Farrier has put on this host", cli_purge },
	{ "install-plugin", "", "make the device plugin a service of the host",
		cli_install_plugin },
	{ "remove-plugin", "", "undo install-plugin", cli_remove_plugin },
	{ NULL, NULL, NULL, NULL },
};

static void print_options(const struct cli_option *o)
{
	for (; o && o->name; o++) {
		char left[64];

		(void)snprintf(left, sizeof(left), "--%s%s%s", o->name, o->arg ? " " : "",
			o->arg ? o->arg : "");
		(void)printf("  %-26s %s\n", left, o->help);
	}
}

static void print_usage(const struct cli_command *cmd, const struct cli_option *own,
	const struct cli_option *common)
{
	(void)printf("usage: farrier-driver-builder %s [OPTION]... %s\n%s\n\n", cmd->name,
		cmd->args, cmd->help);
	print_options(own);
	print_options(common);
	(void)printf("exit status: 0 done, 1 failed (the reason is printed), 2 usage, "
		     "3 environment\n");
}

static const struct cli_option *find_option(
	const struct cli_option *o, const char *name, size_t len)
{
	for (; o && o->name; o++)
		if (strlen(o->name) == len && strncmp(o->name, name, len) == 0)
			return o;
	return NULL;
}

static bool usage_error(const struct cli_command *cmd, const char *text, const char *what)
{
	(void)fprintf(stderr, "farrier-driver-builder %s: %s '%s' (see --help)\n",
		cmd->name, text, what);
	return false;
}

/* One "--name", "--name value" or "--name=value" at argv[*i]. */
static bool take_option(const struct cli_command *cmd, const struct cli_option *own,
	const struct cli_option *common, int argc, char **argv, int *i)
{
	const char *name = argv[*i] + 2, *value = strchr(name, '=');
	size_t len = value ? (size_t)(value - name) : strlen(name);
	const struct cli_option *o = find_option(own, name, len);

	if (!o)
		o = find_option(common, name, len);
	if (!o)
		return usage_error(cmd, "unknown option", argv[*i]);
	if (!o->arg) {
		if (value)
			return usage_error(cmd, "no argument goes with", argv[*i]);
		*(bool *)o->target = true;
		return true;
	}
	if (value)
		value++;
	else if (*i + 1 < argc)
		value = argv[++*i];
	else
		return usage_error(cmd, "an argument is missing behind", argv[*i]);
	*(const char **)o->target = value;
	return true;
}

static bool parse_all(struct cli *c, const struct cli_command *cmd,
	const struct cli_option *own, const struct cli_option *common, int argc,
	char **argv)
{
	bool is_option = true;

	c->args = argv + 1;
	for (int i = 1; i < argc; i++) {
		if (is_option && streq(argv[i], "--")) {
			is_option = false;
		} else if (is_option && str_starts(argv[i], "--")) {
			if (!take_option(cmd, own, common, argc, argv, &i))
				return false;
		} else if (is_option && argv[i][0] == '-' && argv[i][1]) {
			return usage_error(cmd, "unknown option", argv[i]);
		} else {
			c->args[c->n_args++] = argv[i];
		}
	}
	return true;
}

bool cli_parse(struct cli *c, const struct cli_command *cmd, const struct cli_option *own,
	int argc, char **argv, int min_args, int max_args)
{
	enum log_level level = LOG_INFO;
	const struct cli_option common[] = {
		{ "root", "DIR", &c->env.root, "the host's root as seen from here (/)" },
		{ "state", "DIR", &c->env.state, "what is kept (" ENV_STATE ")" },
		{ "run", "DIR", &c->env.run, "what lasts until a reboot (" ENV_RUN ")" },
		{ "json", NULL, &c->is_json, "print JSON" },
		{ "log-level", "LEVEL", &c->log_level,
			"debug, info, warn or error (info)" },
		{ "help", NULL, &c->is_help, "this text" },
		{ NULL },
	};

	*c = (struct cli){ .env = { "/", ENV_STATE, ENV_RUN, "/sys", "/proc" } };
	if (!parse_all(c, cmd, own, common, argc, argv))
		return false;
	if (c->is_help) {
		print_usage(cmd, own, common);
		return false;
	}
	if (c->n_args < min_args || (max_args >= 0 && c->n_args > max_args))
		return usage_error(cmd, c->n_args < min_args ? "missing" : "unexpected",
			c->n_args < min_args ? cmd->args : c->args[max_args]);
	if (c->log_level && log_level_parse(c->log_level, &level) < 0)
		return usage_error(cmd, "no such level", c->log_level);
	log_init("driver-builder", level);
	return true;
}

int cli_early(const struct cli *c)
{
	return c->is_help ? CLI_DONE : CLI_USAGE;
}

int cli_fail(const struct cli *c, const struct err *e)
{
	CLEANUP(json_freep) struct json *j = c->is_json ? json_new_object() : NULL;
	const char *remedy = reason_remedy(e->reason);

	if (j) {
		(void)json_set_str(j, "reason", reason_name(e->reason));
		(void)json_set_str(j, "error", e->text);
		(void)json_set_str(j, "remedy", remedy);
		(void)cli_print(c, j, "");
	} else {
		(void)fprintf(stderr, "farrier-driver-builder: %s%s%s\n",
			reason_name(e->reason), e->reason == REASON_NONE ? "" : ": ",
			e->text);
		if (*remedy)
			(void)fprintf(stderr, "-> %s\n", remedy);
	}
	switch (e->code) {
	case -EACCES:
	case -EPERM:
	case -EROFS:
		return CLI_ENVIRONMENT;
	default:
		return e->reason == REASON_SANDBOX_UNAVAILABLE ? CLI_ENVIRONMENT
							       : CLI_FAILED;
	}
}

int cli_print(const struct cli *c, const struct json *j, const char *text)
{
	struct buf b CLEANUP(buf_done);

	buf_init(&b, 16 << 20);
	if (c->is_json && json_print(j, true, &b) < 0)
		return CLI_FAILED;
	if (fputs(c->is_json ? buf_cstr(&b) : text, stdout) < 0 ||
		(c->is_json && putchar('\n') < 0))
		return CLI_FAILED;
	return fflush(stdout) == 0 ? CLI_DONE : CLI_FAILED;
}

const struct cli_command *cli_find(const char *name)
{
	for (const struct cli_command *c = cli_commands; c->name; c++)
		if (streq(c->name, name))
			return c;
	return NULL;
}

static void print_commands(FILE *f)
{
	(void)fprintf(f, "usage: farrier-driver-builder COMMAND [OPTION]...\n\n");
	for (const struct cli_command *c = cli_commands; c->name; c++)
		(void)fprintf(f, "  %-15s %-8s %s\n", c->name, c->args, c->help);
	(void)fprintf(f, "\nCOMMAND --help tells its options. --version tells ours.\n");
}

int cli_main(int argc, char **argv)
{
	const struct cli_command *c;
	struct cli cli;

	if (argc >= 2 && streq(argv[1], "--version")) {
		(void)printf("farrier-driver-builder %s\n", FARRIER_VERSION);
		return CLI_DONE;
	}
	if (argc >= 2 && streq(argv[1], "--help")) {
		print_commands(stdout);
		return CLI_DONE;
	}
	c = argc >= 2 ? cli_find(argv[1]) : NULL;
	if (!c) {
		print_commands(stderr);
		return CLI_USAGE;
	}
	return c->run(&cli, argc - 1, argv + 1);
}
