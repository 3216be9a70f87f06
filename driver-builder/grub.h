// SPDX-License-Identifier: Apache-2.0
/*
 * GRUB's default entry, kept at a kernel that works while a newer one does not.
 *
 * Where grub.cfg takes its default from the environment block (GRUB_DEFAULT=saved), saved_entry is set;
 * elsewhere next_entry, which GRUB forgets at each boot and the agent sets again after it. The host's own
 * grub-editenv writes, in the host's root. What was there before is in STATE/grub.json, and is put back;
 * a value that somebody else has set since stays.
 */
#pragma once

#include "arena.h"
#include "err.h"

enum { GRUB_CONFIG_MAX = 4 << 20, GRUB_ENTRY_MAX = 512, GRUB_DEPTH_MAX = 16 };

/* The kernel that the next boot is kept at by us, as grubenv says now; NULL: none. Lies in @a. */
const char *grub_kept(struct arena *a, const char *root, const char *state);
/* Is anything of ours in force or remembered? */
bool grub_is_noted(const char *state);
/* Makes @release what the next boot starts. -ENOENT with a text when the host has no GRUB that can be
 * told so, or no entry for @release. Blocks. */
int grub_keep(const char *root, const char *state, const char *release, struct err *e)
	_must_check_;
/* Puts back what was there before. Nothing to put back is fine. Blocks. */
int grub_let_go(const char *root, const char *state, struct err *e) _must_check_;

/* Pure: the entry that starts @release in the text of a grub.cfg: "submenu>entry", by identifiers where
 * there are any. Entries that are named after no kernel ("simple") and recovery ones do not count. -ENOENT. */
int grub_find_entry(const char *config, const char *release, char out[GRUB_ENTRY_MAX]);
/* Pure: "saved_entry", "next_entry", or NULL when @config reads neither. */
const char *grub_variable(const char *config);
/* Pure: the value of @key in the text of a grubenv, "" when it has none. */
void grub_env_value(const char *text, const char *key, char out[GRUB_ENTRY_MAX]);
