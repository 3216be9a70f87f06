// SPDX-License-Identifier: Apache-2.0
/* Reboots the node when the controller's record asks for it: the state is reboot-required, and the
 * boot that it names is this one. So a record is obeyed once, however old the copy on the disk is. */
#pragma once

#include "api.h"
#include "env.h"
#include "loop.h"

struct reboot;

struct reboot_options {
	const struct env *env; /* a root other than "/" means: through the host's init */
	const char *command; /* a program to run here instead of the host's; NULL: none */
	/* Something to tell people: started, held or failed. Never NULL. */
	void (*say)(bool is_good, const char *message, void *user);
	void *user;
};

/* Borrows what @o points to. */
int reboot_new(struct loop *l, const struct reboot_options *o, struct reboot **ret)
	_must_check_;
void reboot_free(struct reboot *r);
DEFINE_CLEANUP(struct reboot, reboot_free)

/* Whether @up asks for the end of the boot @boot_id. */
bool reboot_is_wanted(const struct api_node_upgrade *up, const char *boot_id);

/* Reboots when @up wants it and nothing is in the way; @held ("" or lines of the gate) is said once.
 * Asked at every look: a reboot that was started, or failed, is not started again for a while. */
void reboot_look(struct reboot *r, const struct api_node_upgrade *up, const char *boot_id,
	const char *held);
