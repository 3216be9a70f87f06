// SPDX-License-Identifier: Apache-2.0
/* One archive while it is unpacked; shared by archive.c and archive_top.c only. */
#pragma once

#include <archive.h>
#include <time.h>

#include "archive.h"

struct link {
	char *name, *target;
};

struct unpack {
	struct archive *a;
	struct archive_deb *deb; /* what @a is read from, where it is a package */
	const struct archive_limits *limits;
	int dir;
	size_t entries;
	uint64_t bytes;
	time_t now;
	struct link *links;
	size_t links_n, links_cap;
	char *chunk;
	struct err *e;
};

/* REASON_DISK_FULL or REASON_SOURCE_INVALID, naming the entry. Returns @r. */
int archive_refuse(const struct unpack *u, int r, const char *name, const char *why);
static inline int archive_refuse_errno(const struct unpack *u, int r, const char *name)
{
	return archive_refuse(u, r, name, strerror(-r));
}

/* Everything in one folder: its content takes its place. *ret_skip: how much names get shorter. Refuses
 * what holds no file. */
int archive_hoist(struct unpack *u, size_t *ret_skip) _must_check_;
