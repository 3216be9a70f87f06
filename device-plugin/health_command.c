// SPDX-License-Identifier: Apache-2.0
/* Arguments out of one string, a child with a cap and a time limit, a letter and a text for its end. */
#include "health_command.h"

#include <stdio.h>
#include <sys/wait.h>

#include "api.h"
#include "child.h"

enum {
	OUT_MAX = 4096, /* of what it says, of which one line is shown */
	STATUS_NOT_RUN = 126, /* from here to 127, as shells have it */
	STATUS_NOT_FOUND = 127,
	TEXT_MAX = 256,
};

static const char letters[] = { [HEALTH_FILE_NONE] = 'N',
	[HEALTH_FILE_GOOD] = 'G',
	[HEALTH_FILE_ILL] = 'I',
	[HEALTH_FILE_SILENT] = 'S',
	[HEALTH_FILE_FAILED] = 'F' };

/* Cuts @args into its pieces, in place. */
static int split(char *args, const char *argv[API_COMMAND_ARGS_MAX + 1])
{
	size_t n = 0;

	while (*args && n < API_COMMAND_ARGS_MAX) {
		char *end = strchr(args, HEALTH_ARGS_END);

		if (!end)
			return -EINVAL;
		*end = '\0';
		argv[n++] = args;
		args = end + 1;
	}
	argv[n] = NULL;
	return n && !*args ? 0 : -EINVAL;
}

static int answer(enum health_file verdict, const char *text, char *out, size_t size)
{
	int n = snprintf(out, size, "%c%.*s", letters[verdict], TEXT_MAX, text);

	return n < 0 || (size_t)n >= size ? -ENOBUFS : n;
}

/* How it ended, and the first line that it said. */
static int judge(int status, const char *said, char *out, size_t size)
{
	char how[64], text[TEXT_MAX];
	enum health_file verdict = HEALTH_FILE_ILL;
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;

	if (code == 0)
		return answer(HEALTH_FILE_GOOD, "", out, size);
	if (code == STATUS_NOT_RUN || code == STATUS_NOT_FOUND)
		verdict = HEALTH_FILE_FAILED;
	if (code > 0)
		(void)snprintf(how, sizeof(how), "exit status %d", code);
	else
		(void)snprintf(how, sizeof(how), "ended by signal %d (%s)",
			WTERMSIG(status), strsignal(WTERMSIG(status)));
	said += strspn(said, " \t\r\n");
	(void)snprintf(text, sizeof(text), "%s%s%.*s", how, *said ? ": " : "",
		(int)MIN(strcspn(said, "\n"), (size_t)TEXT_MAX / 2), said);
	return answer(verdict, text, out, size);
}

int health_command_ask(const void *what, char *out, size_t size)
{
	const struct health_command *c = what;
	const char *argv[API_COMMAND_ARGS_MAX + 1];
	CLEANUP(freep) char *args = strdup(c->args);
	CLEANUP(freep) char *said = NULL;
	struct child_options o = {
		.argv = argv, .cwd = "/", .timeout_us = c->timeout_us, .out_max = OUT_MAX
	};
	char text[64];
	int status = 0, r;

	if (!args)
		return -ENOMEM;
	r = split(args, argv);
	if (r < 0)
		return r;
	r = child_run(&o, &status, &said, NULL);
	if (r == -ETIMEDOUT) {
		(void)snprintf(text, sizeof(text), "no end within %llu s, killed",
			(unsigned long long)(c->timeout_us / USEC_PER_SEC));
		return answer(HEALTH_FILE_SILENT, text, out, size);
	}
	if (r < 0)
		return answer(HEALTH_FILE_FAILED, strerror(-r), out, size);
	return judge(status, said, out, size);
}

enum health_file health_command_verdict(const char *text, const char **ret_text)
{
	*ret_text = *text ? text + 1 : text;
	for (size_t i = HEALTH_FILE_GOOD; i < ARRAY_SIZE(letters); i++)
		if (*text == letters[i])
			return (enum health_file)i;
	return HEALTH_FILE_FAILED;
}
