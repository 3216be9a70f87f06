// SPDX-License-Identifier: Apache-2.0
/* What the files of the fleet share: fleet.c (life, lists, nodes, view), fleet_objects.c (drivers and
 * classes), fleet_filter.c (what of a Node is kept), fleet_intent.c (what is under way). */
#pragma once

#include "fleet.h"
#include "map.h"

enum { FLEET_OBJECT_MAX = 4 << 20 }; /* arena of one driver or class */

struct node {
	struct view_node v; /* first: a struct view_node * is a struct node * */
	struct fleet *f;
	unsigned node_seen, acc_seen; /* the list that named it last */
};

struct driver {
	struct view_driver v; /* first */
	struct arena *good; /* what v.d lives in */
	struct arena *head; /* metadata and conditions of the newest object */
	struct json *spec; /* as nodes get it */
	struct json *object; /* whose source is a ConfigMap; NULL: it is none */
	struct json *good_spec; /* of v.good */
	struct api_meta meta;
	uint64_t version, status_hash;
	unsigned seen;
};

struct class_ {
	struct view_class v; /* first */
	struct arena *good, *head;
	struct json *spec;
	struct api_meta meta;
	uint64_t version, status_hash;
	unsigned seen;
};

struct fleet {
	struct intern *in;
	struct map *nodes, *drivers, *classes;
	struct map *gangs; /* key -> struct view_gang */
	struct map *configs, *config_wants; /* by name: struct config; those to keep */
	unsigned lists[FLEET_KINDS_];
	bool is_synced[FLEET_KINDS_];
	struct project_filter filter; /* in use by the records */
	struct arena *filter_arena;
	bool is_dirty; /* the arrays of the view */
	struct view view;
	char *own_node;
	const char *schema_note;
	const char *builders;
	size_t quorum;
};

/* fleet_objects.c: as fleet_put(), and what the maps free with. */
int fleet_put_driver(struct fleet *f, const char *name, const struct json *obj)
	_must_check_;
int fleet_put_class(struct fleet *f, const char *name, const struct json *obj)
	_must_check_;
void fleet_driver_free(void *driver);
void fleet_class_free(void *class_);
/* Takes the specs of drivers anew whose source is the ConfigMap @name; NULL: any. -ENOMEM. */
int fleet_embed_again(struct fleet *f, const char *name) _must_check_;
/* fleet_config.c */
void fleet_config_free(void *config);
int fleet_put_config(struct fleet *f, const char *name, const struct json *obj)
	_must_check_;
int fleet_drop_config(struct fleet *f, const char *name);
int fleet_sweep_configs(struct fleet *f);
bool fleet_wants_config(const struct json *driver);
/* Replaces a source of type ConfigMap in @spec by its files. *@ret_why (in @a): it cannot be had. -ENOMEM. */
int fleet_embed(const struct fleet *f, struct json *spec, struct arena *a,
	const char **ret_why, enum reason *ret_reason) _must_check_;
/* fleet_intent.c */
void fleet_gang_free(void *gang);

/* Of two resourceVersions, when both are numbers. */
static inline bool fleet_is_older(uint64_t version, uint64_t than)
{
	return version && than && version < than;
}
