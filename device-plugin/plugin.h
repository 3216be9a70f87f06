// SPDX-License-Identifier: Apache-2.0
/* The whole plugin: looks, decides, writes, tells; again whenever something may have changed. */
#pragma once

#include "loop.h"

enum { CLASS_DIRS_MAX = 16 };

struct plugin_options {
	const char *class_dirs[CLASS_DIRS_MAX];
	size_t n_class_dirs;
	const char *kubelet_dir, *cdi_dir, *run_dir, *root;
	const char *metrics; /* NULL: no metrics are served */
	const char *kubelet_config; /* NULL: found by the kubelet's process */
};

struct plugin;

/* Everything is looked at, written and served once before this returns. @o outlives it. */
int plugin_new(struct loop *l, const struct plugin_options *o, struct plugin **ret,
	struct err *e) _must_check_;
void plugin_free(struct plugin *p);
DEFINE_CLEANUP(struct plugin, plugin_free)
/* Ends streams and sockets, then the loop with status 0. */
void plugin_stop(struct plugin *p);

/* --list and --explain: looks once and prints to stdout; serves nothing. */
int plugin_show(const struct plugin_options *o, bool is_explain, bool is_json,
	struct err *e) _must_check_;
