// SPDX-License-Identifier: Apache-2.0
/* What is wanted of this node: out of manifests in a folder (standalone), or out of the node's own
 * AcceleratorNode as it was last seen (cluster). Whatever is wrong with one file hurts only that file. */
#pragma once

#include "api.h"
#include "arena.h"
#include "env.h"
#include "err.h"

enum { DESIRED_FILES_MAX = 1000, DESIRED_DRIVERS_MAX = 64 };

struct desired_error {
	const char *where; /* path of the file */
	enum reason reason;
	const char *message; /* "<path>:<line>: 'spec.x': …" */
};

struct desired {
	struct list drivers; /* struct api_node_driver */
	struct list classes; /* struct api_node_class */
	struct list builds; /* struct api_node_build; cluster */
	struct list errors; /* struct desired_error */
	struct api_node_upgrade upgrade; /* cluster: what the wave wants of this node */
	const char *node_name, *uid; /* cluster; else "" */
	int64_t generation;
};

/* Remembers the last good version of each file while the agent runs. */
struct manifests;
int manifests_new(struct manifests **ret) _must_check_;
void manifests_free(struct manifests *m);
DEFINE_CLEANUP(struct manifests, manifests_free)
/* Reads <dir>/ *.yaml and *.yml in order of their names. A file that cannot be used is told in @ret's
 * errors, and its last good version stands in for it. Drivers of one name: the first counts, the
 * others are errors. Everything lies in @a or @m. Only shortage of memory fails. */
int manifests_read(struct manifests *m, struct arena *a, const char *dir,
	struct desired *ret, struct err *e) _must_check_;

/* STATE/desired.json. -ENOENT when it was never written. */
int desired_read(struct arena *a, const char *state, struct json **ret_json,
	struct desired *ret, struct err *e) _must_check_;
/* Keeps metadata and spec of the object @node in STATE/desired.json, and its classes below
 * STATE/classes, before anything acts on them. 1 when something changed. */
int desired_write(const char *state, const struct json *node, struct err *e) _must_check_;
/* An AcceleratorNode object into @ret, which lies in @a and borrows from @node. */
int desired_parse(struct arena *a, const struct json *node, struct desired *ret,
	struct err *e) _must_check_;
