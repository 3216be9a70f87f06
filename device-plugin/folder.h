// SPDX-License-Identifier: Apache-2.0
/* Tells that something in a folder changed: by inotify, also for a folder that comes later. Only a
 * hint: whoever uses it looks for itself, and looks from time to time anyway. */
#pragma once

#include "loop.h"

struct folder;

/* @on_change comes from the loop, once for each batch of events. Works, without telling anything,
 * when there is no inotify to be had. */
int folder_new(struct loop *l, const char *path, void (*on_change)(void *user),
	void *user, struct folder **ret, struct err *e) _must_check_;
void folder_free(struct folder *f);
DEFINE_CLEANUP(struct folder, folder_free)
/* Watches again if the folder was made, or made anew, since. True when it was; call it now and then. */
bool folder_check(struct folder *f);
