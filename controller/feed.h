// SPDX-License-Identifier: Apache-2.0
/* The watches that fill the fleet. Drivers and classes come first: they say what of a Node is kept. */
#pragma once

#include "fleet.h"
#include "kube.h"

struct feed;

/* @namespace_ (borrowed; NULL: the client's) is where ConfigMaps are; @stream: ask for long lists
 * as streams. @on_change after anything that a plan may care about. */
int feed_new(struct kube *k, struct fleet *f, const char *namespace_,
	const char *node_selector, bool stream, void (*on_change)(void *user), void *user,
	struct feed **ret, struct err *e) _must_check_;
void feed_free(struct feed *fd);
DEFINE_CLEANUP(struct feed, feed_free)

/* Also tells @who (may lack on_link) of every AcceleratorNode as it comes; from before the first on. */
struct watch_ops;
void feed_observe(struct feed *fd, const struct watch_ops *who, void *user);

/* Sees to it that Nodes are watched with what drivers and classes now need. True when all is listed.
 * Not to be called from a watch's callback. */
bool feed_check(struct feed *fd);
