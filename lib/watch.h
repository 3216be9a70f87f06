// SPDX-License-Identifier: Apache-2.0
/* List and watch of one collection, item by item: no list is ever held as a tree. Pages of 500,
 * bookmarks, 410 -> list again, random server time-outs of 5-10 minutes, back-off with jitter. With
 * @is_streamed the list comes as a watch's first events (WatchList), where the server can do that. */
#pragma once

#include "kube.h"

struct watch;

struct watch_ops {
	/* A (new) full list begins: items not told until on_sync are gone. */
	void (*on_list)(void *user);
	/* Added or changed; @obj borrowed, without managedFields. */
	void (*on_item)(const struct json *obj, void *user);
	void (*on_delete)(const struct json *obj, void *user);
	/* The list is complete. */
	void (*on_sync)(void *user);
	/* Reachable or not, on change only; @why is "" when reachable. May be NULL. */
	void (*on_link)(bool is_up, const char *why, void *user);
};

struct watch_options {
	const char *path; /* "/apis/farrier.dev/v1alpha1/acceleratornodes" */
	const char *label_selector, *field_selector; /* may be NULL */
	size_t item_max; /* bytes of one object; 0: 4 MiB */
	/* Ask for the list as a stream first. A server that refuses it, does not know it (half a minute without an
	 * event), or breaks it off three times is asked for pages from then on. */
	bool is_streamed;
};

/* Strings are copied. Starts at once. */
int watch_new(struct kube *k, const struct watch_options *o, const struct watch_ops *ops,
	void *user, struct watch **ret, struct err *e) _must_check_;
void watch_free(struct watch *w);
DEFINE_CLEANUP(struct watch, watch_free)
bool watch_is_synced(const struct watch *w);
