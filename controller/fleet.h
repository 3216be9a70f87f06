// SPDX-License-Identifier: Apache-2.0
/*
 * The cache: what the watches said, as records of view.h. A list marks and sweeps: what it does not
 * name is gone. Of two versions of an object the older is ignored. No I/O.
 */
#pragma once

#include "err.h"
#include "project.h"

enum fleet_kind {
	FLEET_DRIVERS,
	FLEET_CLASSES,
	FLEET_NODES,
	FLEET_ACCS,
	FLEET_CONFIGS, /* ConfigMaps that are sources; synced as long as none is needed */
	FLEET_KINDS_
};

struct fleet;

int fleet_new(const char *own_node, struct fleet **ret) _must_check_;
/* The fleet shares what nodes of these names build (patterns; borrowed). NULL: it does not. */
void fleet_share(struct fleet *f, const char *builders, size_t quorum);
/* The key of the start-up taint to look for on Nodes (borrowed), before any is put. NULL: none. */
void fleet_watch_taint(struct fleet *f, const char *key);
void fleet_free(struct fleet *f);
DEFINE_CLEANUP(struct fleet, fleet_free)

/* A full list of @kind begins; ends. Between them, and before the first, the kind is not synced. */
void fleet_list_begin(struct fleet *f, enum fleet_kind kind);
void fleet_list_end(struct fleet *f, enum fleet_kind kind);
bool fleet_is_synced(const struct fleet *f, enum fleet_kind kind);

/* @obj is borrowed. An object that cannot be used is kept as such, and says so in its status. 1 when
 * the record changed in a way that the plan may care about, 0 when not. -ENOMEM, -EINVAL. */
int fleet_put(struct fleet *f, enum fleet_kind kind, const struct json *obj,
	struct err *e) _must_check_;
/* What a write of a driver or a class was answered: as fleet_put(), but an object that is not there any
 * more stays gone. The answer may come after the news of its end. */
int fleet_answer(struct fleet *f, enum fleet_kind kind, const struct json *obj,
	struct err *e) _must_check_;
void fleet_delete(struct fleet *f, enum fleet_kind kind, const char *name);

/* Everything, valid until the next change of the fleet. */
const struct view *fleet_view(struct fleet *f);
/* What the views say of the server's definitions; borrowed. */
void fleet_set_schema_note(struct fleet *f, const char *note);
struct view_node *fleet_node(const struct fleet *f, const char *name);
struct view_driver *fleet_driver(const struct fleet *f, const char *name);
struct view_class *fleet_class(const struct fleet *f, const char *name);

/* The spec as nodes get it (a driver's without nodeSelector and upgradePolicy); NULL when unusable. */
const struct json *fleet_driver_spec(const struct fleet *f, const char *name);
/* Of today's generation or of the last good one; NULL for any other. */
const struct json *fleet_driver_spec_of(
	const struct fleet *f, const char *name, int64_t generation);
const struct json *fleet_class_spec(const struct fleet *f, const char *name);
/* The hash of the status that is stored; 0 when there is none. */
uint64_t fleet_status_hash(const struct fleet *f, enum fleet_kind kind, const char *name);
const char *fleet_version(
	const struct fleet *f, const char *driver); /* resourceVersion */
const struct list *fleet_finalizers(const struct fleet *f, const char *driver);

/* Drivers or classes name labels or resources that the Nodes' records do not have yet: Nodes have to
 * be listed again. The call answers once and takes the new filter into use. */
bool fleet_filter_grew(struct fleet *f);
/* Drivers name ConfigMaps that are not kept yet: they have to be listed (again). Answers once. */
bool fleet_configs_grew(struct fleet *f);
/* ConfigMaps cannot be listed: go on without. */
void fleet_without_configs(struct fleet *f);
const struct list *fleet_resources(const struct fleet *f); /* const char * */

/* What a write under way carries (struct view_assign); NULL @up: settled. Copied. -ENOMEM. */
int fleet_set_intent(struct fleet *f, struct view_node *n, const struct view_upgrade *up,
	const struct list *assigns);
/* Gives the node its pods (owned from now on, replacing others); what is known of evictions that
 * were refused is carried over. NULL: none. */
void fleet_set_pods(struct view_node *n, struct view_pods *pods);
/* Takes *@g over (NULL from then on) in place of what was known of the gang; drops what is old. -ENOMEM. */
int fleet_set_gang(struct fleet *f, struct view_gang **g) _must_check_;
