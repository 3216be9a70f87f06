// SPDX-License-Identifier: Apache-2.0
/* A small fleet in which all nodes want one driver for one kernel, and what claims make of it. */
#pragma once

#include <stdio.h>

#include "controller/claim.h"

enum { NODES_MAX = 8, LIMIT = CLAIM_TIMEOUT_S + CLAIM_MARGIN_S };

/* A fleet of nodes that all want one driver for one kernel. */
struct fleet {
	struct arena *arena;
	struct view v;
	struct view_node nodes[NODES_MAX], *pointers[NODES_MAX];
	struct view_kernel rows[NODES_MAX];
	struct view_assign assign;
	struct list assigns[NODES_MAX], out[NODES_MAX], notes;
	struct view_build stored[NODES_MAX][4];
	char names[NODES_MAX][24], asked[NODES_MAX][512];
	int64_t now, wake_at;
};

static void fleet_init(struct fleet *f, size_t n)
{
	*f = (struct fleet){ .now = 1000 };
	f->arena = arena_new(1 << 20);
	assert_non_null(f->arena);
	f->assign = (struct view_assign){ .name = "edu", .generation = 2 };
	f->v.builders = "*";
	f->v.nodes = f->pointers;
	f->v.n_nodes = n;
	for (size_t i = 0; i < n; i++) {
		(void)snprintf(f->names[i], sizeof(f->names[i]), "n%zu", i);
		f->rows[i] = (struct view_kernel){ .release = "6.1",
			.driver = "edu",
			.generation = 2,
			.state = API_KERNEL_PENDING };
		f->nodes[i] = (struct view_node){ .name = f->names[i],
			.has_node = true,
			.is_ready = true,
			.kernels = { &f->rows[i], 1 } };
		f->pointers[i] = &f->nodes[i];
		f->assigns[i] = (struct list){ &f->assign, 1 };
	}
}

static void fleet_done(struct fleet *f)
{
	arena_free(f->arena);
}

/* Plans, and stores what was planned on the nodes of @mask. Returns how many it would write. */
static size_t plan(struct fleet *f, unsigned mask)
{
	size_t writes = 0;

	arena_reset(f->arena);
	f->wake_at = INT64_MAX;
	assert_int_equal(claim_make(f->arena, &f->v, f->assigns, f->now, f->out,
				 &f->notes, &f->wake_at),
		0);
	for (size_t i = 0; i < f->v.n_nodes; i++) {
		if (f->out[i].items == f->nodes[i].builds.items &&
			f->out[i].n == f->nodes[i].builds.n)
			continue;
		writes++;
		if (!(mask & 1U << i))
			continue;
		assert_true(f->out[i].n <= 1);
		if (f->out[i].n > 0) {
			/* Strings as the fleet keeps them. */
			f->stored[i][0] = *VIEW_AT(struct view_build, f->out[i], 0);
			if (f->stored[i][0].asked &&
				f->stored[i][0].asked != f->asked[i]) {
				(void)snprintf(f->asked[i], sizeof(f->asked[i]), "%s",
					f->stored[i][0].asked);
				f->stored[i][0].asked = f->asked[i];
			}
		}
		f->nodes[i].builds = (struct list){ f->stored[i], f->out[i].n };
	}
	return writes;
}

static const struct view_build *said(const struct fleet *f, size_t i)
{
	return f->nodes[i].builds.n ? VIEW_AT(struct view_build, f->nodes[i].builds, 0)
				    : NULL;
}

static _unused_ void assert_asked(
	const struct fleet *f, size_t i, const char *node, int64_t epoch)
{
	assert_non_null(said(f, i));
	assert_string_equal(view_str(said(f, i)->node), node);
	assert_int_equal(said(f, i)->epoch, epoch);
}

#define KEY "kkkk"
#define DIGEST "sha256:dddd"

static _unused_ uint64_t below(uint64_t *seed, uint64_t n)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed % n;
}
