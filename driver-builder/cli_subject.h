// SPDX-License-Identifier: Apache-2.0
/* What commands are about: the drivers that are wanted here, the host's kernels, what was built. */
#pragma once

#include "arena.h"
#include "desired.h"
#include "kernels.h"
#include "records.h"

struct subject {
	struct arena *a;
	struct manifests *manifests;
	struct json *node;
	struct records *records;
	struct kernels kernels;
	struct desired desired;
};

/* Reads all of it: what the cluster last said where it said something, else the manifests of this
 * machine. Damaged records count as none. subject_done() is needed on failure too. */
int subject_init(struct subject *s, const struct env *env, const char *manifests,
	struct err *e) _must_check_;
void subject_done(struct subject *s);

/* The wanted driver @name; what the cluster does not know is looked up in the manifests. Borrowed.
 * -ENOENT, with REASON_MANIFEST_INVALID when a bad manifest may be why. */
int subject_driver(struct subject *s, const char *manifests, const char *name,
	const struct api_node_driver **ret, struct err *e) _must_check_;
/* REASON_HEADERS_MISSING (-ENOENT) when it is not installed. Borrowed. */
int subject_kernel(const struct subject *s, const struct env *env, const char *release,
	const struct kernel **ret, struct err *e) _must_check_;
