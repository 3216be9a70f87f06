// SPDX-License-Identifier: Apache-2.0
/* What the agent is made of, and how it carries a plan out. agent.c and act.c only. */
#pragma once

#include "agent.h"
#include "build.h"
#include "cluster.h"
#include "inhibit.h"
#include "metrics.h"
#include "notify.h"
#include "observe.h"
#include "publisher.h"
#include "reboot.h"
#include "topology_watch.h"
#include "work.h"

struct agent {
	const struct agent_options *o;
	struct loop *loop;
	struct memory memory;
	struct arena *arena; /* of one reconcile */
	struct manifests *manifests; /* standalone */
	struct cluster *cluster;
	struct json *node; /* cluster: the last good AcceleratorNode */
	struct err node_error; /* why the newest one could not be used; code 0: it can */
	struct notify *notify;
	struct reboot *reboot;
	struct publisher *publisher; /* NULL: nothing is shared */
	struct metrics *metrics;
	struct metrics_server *server;
	struct loop_source *timer, *watch; /* next look; inotify */
	uint64_t look_at_us;
	int inotify_fd;
	struct json *status; /* as last made */
	char *said_errors; /* manifest errors that were logged */
	bool is_ready, is_cleaned;
	uint64_t kubelet_us; /* when its policies were looked at */
	bool is_kubelet_ill; /* it was said that they cannot be read */
	struct {
		struct topology_watch *watch; /* NULL: not to be told */
		bool is_ill; /* the last round failed, and it was said */
		bool has_devices; /* of the plugin, by the devices.json of this inode and time */
		ino_t ino;
		struct timespec at;
	} topology;

	struct inhibit *inhibit; /* systemd's shutdown lock */
	struct build *build;
	int64_t build_generation;

	/* The one step (load, install, …) that runs in a worker. */
	struct work *work;
	struct {
		enum plan_verb verb;
		char driver[256], version[128], kernel[KERNEL_RELEASE_MAX], boot_id[64];
		char unsigned_key[DIGEST_HEX + 1]; /* PLAN_SIGN: what becomes @key */
		char key[DIGEST_HEX + 1], parameters[NOTE_PARAMETERS_MAX];
		int64_t generation;
		uint64_t start_us;
		const struct kernel *on; /* PLAN_SIGN; as stage: for the worker only */
		struct stage *
			stage; /* points into the reconcile's arena: for the worker only */
	} step;
};

/* Starts what @p asks for: at most one step and one build at a time. */
void act(struct agent *a, const struct seen *s, const struct plan *p);
/* agent_share.c: publishing, where the fleet shares what it builds. */
int agent_share_start(struct agent *a, struct err *e) _must_check_;
void agent_share(struct agent *a, const struct seen *s);
/* agent_topology.c: what is free on each NUMA node, into the status. */
int agent_topology_start(struct agent *a, struct err *e) _must_check_;
void agent_topology(struct agent *a, struct api_node_status *st);
/* Looks again after @delay_us, or sooner when that was asked for. */
void agent_look(struct agent *a, uint64_t delay_us);
/* agent_clean.c: what nobody needs any more leaves the disk. */
void agent_clean(struct agent *a, const struct seen *s);
/* agent_say.c: gauges of one look; whether builds are limited by control groups. */
void agent_metrics(struct agent *a, const struct seen *s, const struct plan *p,
	const struct api_node_status *st);
void agent_try_groups(void);
/* act_keep.c: PLAN_KEEP and PLAN_LET_GO, in the one worker. */
void act_keep(struct agent *a, const struct seen *s, const struct plan_action *x);
/* act_sign.c: PLAN_SIGN, in the one worker. */
void act_sign(struct agent *a, const struct seen *s, const struct plan_action *x);
/* When a step that failed @attempts times is tried again. */
uint64_t act_retry_us(unsigned attempts);
/* Writes what is remembered to the disk. */
void agent_save(struct agent *a);
/* Logs, and tells the cluster as an Event. */
void agent_say(struct agent *a, bool is_good, const char *event, const char *driver,
	const char *kernel, enum reason reason, const char *message);
