// SPDX-License-Identifier: Apache-2.0
/* The files by which a class lets a device speak for itself (health.file): each is read every few
 * seconds by a child with a time limit, and what it said last is at hand. */
#pragma once

#include "health.h"
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
/* Forgets those that nobody asks about any more. */
void health_files_sweep(struct health_files *h);
/* Any that were asked about and have not answered yet? */
bool health_files_pending(const struct health_files *h);

/* What a file that reads as @text means. */
enum health_file health_file_verdict(const char *text);
