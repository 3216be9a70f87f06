// SPDX-License-Identifier: Apache-2.0
/* The fleet of the simulator, as the truth, as the server stores it and as the controller believes it, and what
 * its parts do. */
#pragma once

#include "../../controller/plan.h"
#include "../../controller/wave.h"
#include "sim.h"

enum {
	NODES_MAX = 8,
	DRIVERS_MAX = 3,
	PODS_MAX = 4,
	GANGS_MAX = 2,
	TEXT = 128,
	TICK_S = 5,
	CHAOS_TICKS = 60,
	CALM_TICKS = 1500,
	ARENA_MAX = 8 << 20,
};

/* One AcceleratorNode as the server stores it. */
struct acc {
	bool exists;
	struct view_assign assigns[DRIVERS_MAX];
	size_t n_assigns;
	int state;
	int64_t since;
	char target[TEXT], reason[TEXT], message[TEXT], before[TEXT], boot[24];
	char group[32];
	uint64_t hash;
	/* status */
	bool is_known;
	struct view_driver_state states[DRIVERS_MAX];
	size_t n_states;
	char boot_id[24];
};

/* One Node as the server stores it. */
struct object {
	bool is_ready, is_unschedulable, is_cordoned, is_skipped, has_label;
	int64_t allocatable;
	uint64_t version;
};

struct pod {
	bool is_there, is_deleting, uses_devices, has_controller, is_protected;
	int64_t gone_at;
	unsigned gang; /* 0: none */
};

/* What runs on a node, the truth that only its agent sees. */
struct machine {
	int64_t built[DRIVERS_MAX]; /* generation that is staged */
	int64_t loaded[DRIVERS_MAX]; /* build that runs; 0: none */
	int64_t busy_until[DRIVERS_MAX];
	bool is_broken[DRIVERS_MAX]; /* the load failed */
	unsigned boots;
	int64_t back_at; /* it is rebooting until then; 0: it is not */
};

struct node {
	char name[24];
	struct acc acc;
	struct object obj;
	struct machine m;
	struct pod pods[PODS_MAX];
	bool admin_cordon; /* an admin wants it out of use */
	bool is_disturbed; /* an admin let pods in while it was drained */

	/* a write on its way */
	bool is_writing, is_uncertain; /* uncertain: an earlier try may have been done */
	struct acc write;
	int64_t write_at;

	/* what the controller believes */
	struct acc seen_acc;
	struct object seen_obj;
	struct view_node v;
	struct view_intent intent;
	struct kv label;
	struct view_count allocatable, before;
	const char *hardware;
	struct view_pods pods_seen;
	struct view_pod pod_records[PODS_MAX];
	char pod_names[PODS_MAX][24];
};

struct driver {
	char name[24];
	struct view_driver v;
	struct api_device_match match;
	struct kv selector;
	int64_t bad_from; /* generations from here on fail to load on some nodes; 0: none */
	unsigned bad_share; /* per cent */
	int64_t same_build; /* generation that changes nothing in the build */
};

/* A gang, as the controller has it listed. */
struct gang {
	bool is_listed;
	struct view_gang v;
	const char *names[NODES_MAX];
	uint32_t running[NODES_MAX];
};

struct sim {
	uint64_t seed;
	bool trace, is_calm;
	int64_t now;
	struct node nodes[NODES_MAX];
	size_t n_nodes;
	struct driver drivers[DRIVERS_MAX];
	size_t n_drivers;
	struct view_class class_;
	struct api_device_match class_match;
	struct view view;
	struct view_node *node_ptrs[NODES_MAX];
	struct view_driver *driver_ptrs[DRIVERS_MAX];
	struct view_class *class_ptr;
	struct gang gangs[GANGS_MAX];
	int64_t gang_min
		[GANGS_MAX]; /* pods without which it does not go on; 0: it needs all */
	struct view_gang *gang_ptrs[GANGS_MAX];
	struct arena *arena;
	struct sim_result *res;
	bool changed;
};

/* ---- fleet.c ---- */
uint64_t sim_below(struct sim *s, uint64_t n);
/* In calm weather nothing bad happens. */
bool sim_trouble(struct sim *s, unsigned percent);
void sim_say(struct sim *s, const char *fmt, ...) _printf_(2, 3);
void sim_broken(struct sim *s, const char *fmt, ...) _printf_(2, 3);
void sim_copy_text(char out[TEXT], const char *s);
void sim_make_fleet(struct sim *s);
bool sim_has_gang(const struct node *n, unsigned gang);
uint32_t sim_running_of(const struct node *n, unsigned gang);
/* The build that a generation stands for. */
int64_t sim_build_of(const struct driver *d, int64_t generation);
void sim_see_acc(struct sim *s, struct node *n);
void sim_see_obj(struct sim *s, struct node *n);
/* The watch: late, in any order between objects, and only the newest of several changes. */
void sim_watch(struct sim *s);

/* ---- properties.c ---- */
bool sim_is_busy(const struct node *n, const struct plan_node *p);
/* Counts by what is stored or on its way, whatever the controller's cache says. */
void sim_check_budget(
	struct sim *s, const struct plan *p, const struct plan_node *started);
void sim_check_assigns(struct sim *s, const struct node *n, const struct acc *w);
/* Nodes of a gang that could have started as well, and were left out. */
void sim_check_gang(struct sim *s, const struct plan *p, const struct plan_node *started);
/* Nodes that started together are all cordoned before anything goes. */
void sim_check_group(struct sim *s, const struct node *n);
void sim_check_end(struct sim *s);

/* ---- server.c ---- */
void sim_store(struct sim *s, struct node *n);
void sim_settle(struct sim *s, struct node *n);
/* Ends a write: done, done and not told, lost, refused. */
void sim_finish_write(struct sim *s, struct node *n);
void sim_act(struct sim *s, const struct plan *p);

/* ---- agents.c ---- */
void sim_run_agent(struct sim *s, struct node *n);
void sim_run_pods(struct sim *s, struct node *n);

/* ---- weather.c ---- */
void sim_upset_node(struct sim *s, struct node *n);
void sim_edit_driver(struct sim *s, struct driver *d);
/* Another leader, or the same again: what it knew is gone, what was on its way is done or not. */
void sim_restart(struct sim *s);
void sim_calm_down(struct sim *s);
/* The status of a driver is written, some time. */
void sim_keep_good(struct sim *s, struct driver *d, const struct plan_driver *p);
