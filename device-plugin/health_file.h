// SPDX-License-Identifier: Apache-2.0
/* The files and commands by which a class lets a device speak for itself (health.file, health.command):
 * each is asked every few seconds by a child with a time limit, and what it said last is at hand. */
#pragma once

#include "health_command.h"
#include "loop.h"

struct health_files;

/* @on_change is called when what a file says is not what it said before. */
int health_files_new(struct loop *l, void (*on_change)(void *user), void *user,
	struct health_files **ret);
void health_files_free(struct health_files *h);
DEFINE_CLEANUP(struct health_files, health_files_free)

/* What @path said last, and has it asked again when it is time. *ret_text is borrowed until then.
 * HEALTH_FILE_NONE before the first answer. "", 0 and "0…0" are good; anything else, and a file that
 * cannot be read, is ill. */
enum health_file health_files_get(
	struct health_files *h, const char *path, const char **ret_text);
/* The same of a command, asked again after @interval_us (sooner when the last answer was no good one).
 * HEALTH_FILE_GOOD is exit status 0; ILL another one or a signal; SILENT: killed for its time; FAILED:
 * there is no such program, or it cannot be run. */
enum health_file health_files_run(struct health_files *h, const struct health_command *c,
	uint64_t interval_us, const char **ret_text);
/* Forgets those that nobody asks about any more. */
void health_files_sweep(struct health_files *h);
/* Any that were asked about and have not answered yet? */
bool health_files_pending(const struct health_files *h);

/* What a file that reads as @text means. */
enum health_file health_file_verdict(const char *text);
