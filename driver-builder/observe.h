// SPDX-License-Identifier: Apache-2.0
/* Turns the state of the node into the input of plan.h: kernels, devices, modules, artifacts. */
#pragma once

#include "desired.h"
#include "env.h"
#include "kernels.h"
#include "map.h"
#include "plan.h"
#include "records.h"
#include "share.h"
#include "store.h"

/* A step (load or install) that failed, and when a load last worked. */
struct step {
	char key[DIGEST_HEX +
		 1]; /* the artifact that it was about: another one starts afresh */
	int64_t generation;
	enum reason reason;
	char message[ERR_TEXT_MAX];
	uint64_t retry_us, done_us; /* wall time */
	unsigned attempts;
};

/* What is kept between two looks; a cache but for records. */
struct memory {
	const struct env *env;
	struct records *records;
	struct map *digests; /* boot_digest() */
	struct map *artifacts; /* key -> struct artifact */
	struct map *steps; /* "load DRIVER", "install DRIVER KERNEL" -> struct step */
	struct map *
		seen_kernels; /* release -> wall time when it was first seen incomplete */
	struct share share; /* set by the agent after memory_init() */
	/* The build that runs. */
	bool is_lost; /* builds.json was not there: the store knows more than the records */
	bool is_noted; /* a note was made while looking: to be written */
	bool is_building;
	char build_driver[256], build_kernel[KERNEL_RELEASE_MAX];
	struct print build_print;
};
int memory_init(struct memory *m, const struct env *env, struct err *e) _must_check_;
void memory_done(struct memory *m);

/* NULL when there is none yet. */
struct step *memory_step(
	const struct memory *m, const char *what, const char *driver, const char *kernel);
/* Made when absent; NULL when memory is short. */
struct step *memory_step_new(
	struct memory *m, const char *what, const char *driver, const char *kernel);

/* The artifact @key, checked; NULL when it is absent or damaged (then it was quarantined). */
const struct artifact *memory_artifact(struct memory *m, const char *key);

struct seen {
	struct kernels kernels; /* owned: seen_done() */
	const struct kernel **pick; /* those of the plan, same order */
	struct list devices; /* struct hardware_device */
	const struct desired *desired;
	struct plan_input in;
	struct print *prints; /* [driver * n_kernels + kernel] */
	const char **parameters; /* of each driver, as wanted: stage_parameters() */
	char boot_id[64], running[KERNEL_RELEASE_MAX];
};
void seen_done(struct seen *s);

/* Addresses (const char *) of those of @devices that one of the driver's modules drives. */
int devices_bound(struct arena *a, const struct api_node_driver *d,
	const struct list *devices, struct list *ret) _must_check_;

/* Everything but s->kernels lies in @a. @now_us is wall time. */
int observe(struct memory *m, struct arena *a, const struct desired *d, uint64_t now_us,
	struct seen *ret, struct err *e) _must_check_;
