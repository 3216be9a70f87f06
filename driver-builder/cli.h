// SPDX-License-Identifier: Apache-2.0
/* Commands and their options: one table each, from which parsing and --help are made. */
#pragma once

#include "env.h"
#include "json.h"
#include "log.h"

enum cli_exit { CLI_DONE, CLI_FAILED, CLI_USAGE, CLI_ENVIRONMENT };

/* What every command has: the options that go everywhere, and what is left over. */
struct cli {
	struct env env;
	const char *log_level;
	bool is_json, is_help;
	char **args; /* positional, borrowed from argv */
	int n_args;
};

struct cli_option {
	const char *name; /* without the dashes; NULL ends a table */
	const char *arg; /* what its argument is called; NULL: a flag */
	void *target; /* const char ** or, of a flag, bool * */
	const char *help;
};

struct cli_command {
	const char *name, *args, *help;
	int (*run)(
		struct cli *c, int argc, char **argv); /* argv[0] is the command's name */
};
extern const struct cli_command cli_commands[];

/* Reads options into their targets, common ones into @c. False, with the usage printed, when they
 * are wrong or --help was asked for: then the command returns cli_early(c). @max_args < 0: any number. */
bool cli_parse(struct cli *c, const struct cli_command *cmd, const struct cli_option *own,
	int argc, char **argv, int min_args, int max_args);
int cli_early(const struct cli *c);
const struct cli_command *cli_find(const char *name);
int cli_main(int argc, char **argv);

/* Prints the failure (text, or {"error","reason"} with --json) and gives the exit status for it. */
int cli_fail(const struct cli *c, const struct err *e);
/* Prints @j as JSON, or @text for people. */
int cli_print(const struct cli *c, const struct json *j, const char *text);

/* The outcome of a build, for people or as JSON; gives the exit status. */
struct build_result;
int cli_print_build(const struct cli *c, const struct build_result *res);
/* `build --driver`: from the manifest's word, recorded as the agent records it. */
int cli_build_driver(
	struct cli *c, const char *driver, const char *kernel, const char *manifests);

int cli_run(struct cli *c, int argc, char **argv);
int cli_build(struct cli *c, int argc, char **argv);
int cli_verify(struct cli *c, int argc, char **argv);
int cli_load(struct cli *c, int argc, char **argv);
int cli_unload(struct cli *c, int argc, char **argv);
int cli_status(struct cli *c, int argc, char **argv);
int cli_gate(struct cli *c, int argc, char **argv);
int cli_preflight(struct cli *c, int argc, char **argv);
int cli_gc(struct cli *c, int argc, char **argv);
int cli_report(struct cli *c, int argc, char **argv);
int cli_purge(struct cli *c, int argc, char **argv);
int cli_install_plugin(struct cli *c, int argc, char **argv);
int cli_remove_plugin(struct cli *c, int argc, char **argv);
