// SPDX-License-Identifier: Apache-2.0
/*
 * Whether a device can be handed out, and if not, why not: a state machine over facts and time.
 *
 * What is amiss is a cause, and each has a grade. A note makes a device Suspect, which is handed out
 * all the same. A complaint makes it Suspect, and Unhealthy when it lasts. A fall makes it Unhealthy
 * at once. Back to Healthy it goes by itself: after what was orderly (a driver that went and came)
 * at once, after errors when none came for a while, and the later the oftener it fell.
 */
#pragma once

#include "pci_config.h"
#include "reason.h"

enum health {
	HEALTH_HEALTHY,
	HEALTH_SUSPECT,
	HEALTH_UNHEALTHY,
	HEALTH_RECOVERING,
	HEALTHS_
};
extern const char *const health_names[HEALTHS_];

/* The outermost first: a device that is gone has no driver either. */
enum cause {
	CAUSE_GONE,
	CAUSE_OFF_BUS,
	CAUSE_OTHER_DRIVER,
	CAUSE_NO_DRIVER,
	CAUSE_NODE_MISSING,
	CAUSE_AER_FATAL,
	CAUSE_AER_STORM, /* many non-fatal ones */
	CAUSE_FILE_ILL, /* the class's own file says so */
	CAUSE_FILE_SILENT, /* it does not answer in time */
	CAUSE_COMMAND_ILL, /* the class's own command says so, or crashed */
	CAUSE_COMMAND_SILENT, /* it did not end in time and was killed */
	CAUSE_LINK_DOWN,
	CAUSE_LINK_NARROWED, /* it was wider */
	CAUSE_AER_NONFATAL,
	CAUSE_COMMAND_FAILED, /* it cannot be run: nothing is known by it */
	CAUSE_LINK_BELOW, /* narrower or slower than both ends can */
	CAUSES_
};
extern const char *const cause_names[CAUSES_];

/* The class's own file or command, as asked last. */
enum health_file {
	HEALTH_FILE_NONE,
	HEALTH_FILE_GOOD,
	HEALTH_FILE_ILL,
	HEALTH_FILE_SILENT,
	HEALTH_FILE_FAILED /* only of a command: it could not be run */
};

enum {
	HEALTH_STORM = 5, /* non-fatal errors within the window that are a storm */
	HEALTH_FREE_FALLS = 3, /* in the flap window, before a fall costs waiting */
	HEALTH_TEXT_MAX = 192,
};
#define HEALTH_LASTS_US (10 * USEC_PER_SEC) /* a complaint, until it is a fall */
#define HEALTH_CALM_US (10 * USEC_PER_SEC) /* nothing amiss, until Suspect ends */
#define HEALTH_ERRORS_US (30 * USEC_PER_SEC) /* how long errors count after the last */
#define HEALTH_STORM_US (60 * USEC_PER_SEC)
#define HEALTH_RECOVER_US (10 * USEC_PER_SEC) /* after errors */
#define HEALTH_FLAP_US \
	(300 * USEC_PER_SEC) /* falls nearer than this to one another are flaps */
#define HEALTH_FLAP_FIRST_US (2 * USEC_PER_SEC) /* doubled with each further fall */
#define HEALTH_FLAP_MAX_US (60 * USEC_PER_SEC)

/* What was seen at one look. */
struct health_facts {
	bool is_present;
	bool answers; /* its configuration space does not read all ones */
	bool needs_driver; /* its bus binds drivers */
	const char *driver, *wanted_driver; /* "" none, any */
	const char *missing_node; /* a device node that is not there; NULL */
	struct pci_link link; /* not known: not asked about */
	unsigned link_was; /* the widest that it was */
	uint64_t aer_fatal, aer_nonfatal; /* since the look before */
	enum health_file file;
	const char *file_text; /* what it said, or the error; "" */
	enum health_file command;
	const char *command_name, *command_text; /* its path, and the same */
};

/* What is remembered of a device. Zeroed: nothing yet. */
struct health_track {
	bool is_known;
	enum health state;
	uint32_t causes; /* bits 1 << enum cause: what is amiss now */
	enum cause cause; /* the outermost of them; that of the fall while Recovering */
	char text[HEALTH_TEXT_MAX]; /* a sentence about it; "" when Healthy */
	uint64_t since_us; /* in this state */
	uint64_t complaint_us; /* since when there is a complaint; 0 none */
	uint64_t amiss_us; /* when anything was amiss last */
	uint64_t until_us; /* when Recovering ends */
	uint64_t fatal_us, nonfatal_us, storm_us; /* of the last; 0 none */
	uint64_t storm_start_us;
	unsigned nonfatal; /* since storm_start_us */
	unsigned falls; /* near to one another */
	uint64_t fall_us; /* of the last */
	uint64_t changes; /* of state, in all */
};

/* One look. Pure: nothing but @f, @now_us (not 0) and what @t holds. A device that is seen for the
 * first time starts where the facts put it. */
void health_step(struct health_track *t, const struct health_facts *f, uint64_t now_us);
/* Before the first step: what a plugin before this one knew of the device. Only of errors, which the
 * facts of a first look cannot tell; they count as if they had come at @now_us. */
void health_restore(struct health_track *t, enum health state, enum reason reason,
	const char *text, uint64_t now_us);
/* When time alone will change the state, all facts staying as they are; UINT64_MAX never. */
uint64_t health_next(const struct health_track *t);
/* REASON_NONE for Healthy. */
enum reason health_reason(const struct health_track *t);
/* Suspect devices are handed out. */
bool health_is_usable(enum health h);
