// SPDX-License-Identifier: Apache-2.0
/* The fleet of claim_fleet.h where several builders have to agree, and what its nodes publish. */
#pragma once

#include "claim_fleet.h"

#define HEX16 "0123456789abcdef"
#define GOOD "aaaa" HEX16 HEX16 HEX16 "0123456789ab"
#define EVIL "eeee" HEX16 HEX16 HEX16 "0123456789ab"

/* Of node i's artifact, the number last. */
static const char *const manifests[NODES_MAX] = { "sha256:0", "sha256:1", "sha256:2",
	"sha256:3", "sha256:4", "sha256:5", "sha256:6", "sha256:7" };

/* A fleet of @n nodes, of which @quorum of @builders have to agree. */
static void quorum_init(struct fleet *f, size_t n, size_t quorum, const char *builders)
{
	fleet_init(f, n);
	f->v.quorum = quorum;
	f->v.builders = builders;
}

/* Node @i is ready, and says that it built @digest of @key. */
static void publish_as(struct fleet *f, size_t i, const char *key, const char *digest)
{
	f->rows[i].state = API_KERNEL_READY;
	f->rows[i].artifact = key;
	f->rows[i].digest = manifests[i];
	f->rows[i].unsigned_digest = digest;
}

/* The same, of the key that all have. */
static void publish(struct fleet *f, size_t i, const char *digest)
{
	publish_as(f, i, KEY, digest);
}

/* The manifest that node @i is told to take; NULL: none. */
static const char *handed(const struct fleet *f, size_t i)
{
	return said(f, i) ? said(f, i)->digest : NULL;
}
