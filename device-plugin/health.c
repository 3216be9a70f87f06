// SPDX-License-Identifier: Apache-2.0
/* The judgement over one device: causes from facts, a state from causes and time. */
#include "health.h"

#include <stdio.h>

const char *const health_names[HEALTHS_] = {
	[HEALTH_HEALTHY] = "Healthy",
	[HEALTH_SUSPECT] = "Suspect",
	[HEALTH_UNHEALTHY] = "Unhealthy",
	[HEALTH_RECOVERING] = "Recovering",
};

const char *const cause_names[CAUSES_] = {
	[CAUSE_GONE] = "Gone",
	[CAUSE_OFF_BUS] = "OffTheBus",
	[CAUSE_OTHER_DRIVER] = "OtherDriver",
	[CAUSE_NO_DRIVER] = "NoDriver",
	[CAUSE_NODE_MISSING] = "NodeMissing",
	[CAUSE_AER_FATAL] = "FatalErrors",
	[CAUSE_AER_STORM] = "ManyErrors",
	[CAUSE_FILE_ILL] = "FileSaysIll",
	[CAUSE_FILE_SILENT] = "FileSilent",
	[CAUSE_COMMAND_ILL] = "CommandSaysIll",
	[CAUSE_COMMAND_SILENT] = "CommandSilent",
	[CAUSE_LINK_DOWN] = "LinkDown",
	[CAUSE_LINK_NARROWED] = "LinkNarrowed",
	[CAUSE_AER_NONFATAL] = "Errors",
	[CAUSE_COMMAND_FAILED] = "CommandFailed",
	[CAUSE_LINK_BELOW] = "LinkBelowMax",
};

enum grade { GRADE_NONE, GRADE_NOTE, GRADE_COMPLAINT, GRADE_FALL, GRADES_ };

static const struct {
	enum grade grade;
	enum reason reason;
	bool is_error; /* the device is the trouble: watched a while before it is trusted */
} causes[CAUSES_] = {
	[CAUSE_GONE] = { GRADE_FALL, REASON_DEVICE_LOST, false },
	[CAUSE_OFF_BUS] = { GRADE_FALL, REASON_DEVICE_LOST, false },
	[CAUSE_OTHER_DRIVER] = { GRADE_FALL, REASON_DRIVER_NOT_BOUND, false },
	[CAUSE_NO_DRIVER] = { GRADE_FALL, REASON_DRIVER_NOT_BOUND, false },
	[CAUSE_NODE_MISSING] = { GRADE_FALL, REASON_DEVICE_ABSENT, false },
	[CAUSE_AER_FATAL] = { GRADE_FALL, REASON_DEVICE_ERRORS, true },
	[CAUSE_AER_STORM] = { GRADE_FALL, REASON_DEVICE_ERRORS, true },
	[CAUSE_FILE_ILL] = { GRADE_COMPLAINT, REASON_DEVICE_ILL, true },
	[CAUSE_FILE_SILENT] = { GRADE_COMPLAINT, REASON_DEVICE_ILL, true },
	[CAUSE_COMMAND_ILL] = { GRADE_COMPLAINT, REASON_DEVICE_ILL, true },
	[CAUSE_COMMAND_SILENT] = { GRADE_COMPLAINT, REASON_DEVICE_ILL, true },
	[CAUSE_LINK_DOWN] = { GRADE_COMPLAINT, REASON_LINK_DEGRADED, true },
	[CAUSE_LINK_NARROWED] = { GRADE_COMPLAINT, REASON_LINK_DEGRADED, true },
	[CAUSE_AER_NONFATAL] = { GRADE_NOTE, REASON_DEVICE_ERRORS, true },
	[CAUSE_COMMAND_FAILED] = { GRADE_NOTE, REASON_DEVICE_ILL, false },
	[CAUSE_LINK_BELOW] = { GRADE_NOTE, REASON_LINK_DEGRADED, false },
};

/* ---- causes ---- */
static void count_errors(
	struct health_track *t, const struct health_facts *f, uint64_t now)
{
	if (f->aer_fatal)
		t->fatal_us = now;
	if (!f->aer_nonfatal)
		return;
	t->nonfatal_us = now;
	if (!t->nonfatal || now - t->storm_start_us > HEALTH_STORM_US) {
		t->nonfatal = 0;
		t->storm_start_us = now;
	}
	t->nonfatal += (unsigned)MIN(f->aer_nonfatal, (uint64_t)HEALTH_STORM);
	t->nonfatal = MIN(t->nonfatal, (unsigned)HEALTH_STORM);
	if (t->nonfatal >= HEALTH_STORM)
		t->storm_us = now;
}

static bool is_recent(uint64_t at, uint64_t now)
{
	return at && now - at < HEALTH_ERRORS_US;
}

static void add(uint32_t *set, enum cause c, bool is_so)
{
	*set |= is_so ? 1u << c : 0;
}

static uint32_t driver_causes(const struct health_facts *f)
{
	bool is_other = !str_empty(f->wanted_driver) && !str_empty(f->driver) &&
			!streq(f->wanted_driver, f->driver);
	uint32_t set = 0;

	add(&set, CAUSE_OTHER_DRIVER, is_other);
	add(&set, CAUSE_NO_DRIVER, f->needs_driver && str_empty(f->driver));
	return set;
}

static uint32_t link_causes(const struct health_facts *f)
{
	const struct pci_link *l = &f->link;
	uint32_t set = 0;

	if (!l->is_known)
		return 0;
	add(&set, CAUSE_LINK_DOWN, !l->width);
	add(&set, CAUSE_LINK_NARROWED, l->width && l->width < f->link_was);
	add(&set, CAUSE_LINK_BELOW,
		l->width && (l->width < l->can_width ||
				    (l->speed && l->speed < l->can_speed)));
	return set;
}

/* Of a device that is not there, or not driven, nothing else can be said. */
static uint32_t causes_of(
	const struct health_track *t, const struct health_facts *f, uint64_t now)
{
	uint32_t set = 0;

	if (!f->is_present)
		return 1u << CAUSE_GONE;
	if (!f->answers)
		return 1u << CAUSE_OFF_BUS;
	set = driver_causes(f) | link_causes(f);
	add(&set, CAUSE_NODE_MISSING, f->missing_node);
	add(&set, CAUSE_AER_FATAL, is_recent(t->fatal_us, now));
	add(&set, CAUSE_AER_STORM, is_recent(t->storm_us, now));
	add(&set, CAUSE_AER_NONFATAL, is_recent(t->nonfatal_us, now));
	add(&set, CAUSE_FILE_ILL, f->file == HEALTH_FILE_ILL);
	add(&set, CAUSE_FILE_SILENT, f->file == HEALTH_FILE_SILENT);
	add(&set, CAUSE_COMMAND_ILL, f->command == HEALTH_FILE_ILL);
	add(&set, CAUSE_COMMAND_SILENT, f->command == HEALTH_FILE_SILENT);
	add(&set, CAUSE_COMMAND_FAILED, f->command == HEALTH_FILE_FAILED);
	return set;
}

static enum grade grade_of(uint32_t set)
{
	enum grade g = GRADE_NONE;

	for (unsigned c = 0; c < CAUSES_; c++)
		if (set & 1u << c)
			g = MAX(g, causes[c].grade);
	return g;
}

static enum cause outermost(uint32_t set)
{
	return set ? (enum cause)__builtin_ctz(set) : CAUSES_;
}

/* ---- what people read ---- */
static void link_text(const struct health_facts *f, char *out, size_t size)
{
	const struct pci_link *l = &f->link;

	(void)snprintf(out, size,
		"its link has %u lanes at %u.%u GT/s, both ends can %u at %u.%u GT/s",
		l->width, l->speed / 10, l->speed % 10, l->can_width, l->can_speed / 10,
		l->can_speed % 10);
}

static void driver_text(const struct health_facts *f, char *out, size_t size)
{
	bool is_any = str_empty(f->wanted_driver);

	(void)snprintf(out, size, "no driver is bound%s%.48s%s",
		is_any ? "" : ", the class wants '", is_any ? "" : f->wanted_driver,
		is_any ? "" : "'");
}

static void say(enum cause c, const struct health_facts *f, char *out, size_t size)
{
	static const char *const fixed[CAUSES_] = {
		[CAUSE_GONE] = "the device is gone from the bus",
		[CAUSE_OFF_BUS] =
			"its configuration space reads all ones: it fell off the bus",
		[CAUSE_AER_FATAL] = "it reported fatal PCI errors",
		[CAUSE_AER_STORM] = "it reported many PCI errors",
		[CAUSE_AER_NONFATAL] = "it reported non-fatal PCI errors",
		[CAUSE_LINK_DOWN] = "its PCI link is down",
	};

	switch (c) {
	case CAUSE_OTHER_DRIVER:
		(void)snprintf(out, size,
			"driver '%.48s' is bound, the class wants '%.48s'", f->driver,
			f->wanted_driver);
		break;
	case CAUSE_NO_DRIVER:
		driver_text(f, out, size);
		break;
	case CAUSE_NODE_MISSING:
		(void)snprintf(
			out, size, "device node '%.128s' is missing", f->missing_node);
		break;
	case CAUSE_FILE_ILL:
		(void)snprintf(out, size, "its health file says '%.128s'", f->file_text);
		break;
	case CAUSE_FILE_SILENT:
		(void)snprintf(out, size, "its health file does not answer: %.128s",
			f->file_text);
		break;
	case CAUSE_COMMAND_ILL:
	case CAUSE_COMMAND_SILENT:
	case CAUSE_COMMAND_FAILED:
		(void)snprintf(out, size, "its health command '%.48s'%s: %.96s",
			f->command_name,
			c == CAUSE_COMMAND_FAILED ? " cannot be run" : "",
			f->command_text);
		break;
	case CAUSE_LINK_NARROWED:
		(void)snprintf(out, size, "its PCI link has %u lanes and had %u",
			f->link.width, f->link_was);
		break;
	case CAUSE_LINK_BELOW:
		link_text(f, out, size);
		break;
	default:
		(void)snprintf(out, size, "%s", fixed[c]);
	}
}

/* ---- the state ---- */
enum move {
	MOVE_STAY,
	MOVE_SUSPECT,
	MOVE_FALL,
	MOVE_RECOVER, /* from a fall whose causes are gone */
	MOVE_UP, /* when the time of recovering is over */
	MOVE_CALM, /* when nothing was amiss for a while */
};

static const enum move moves[HEALTHS_][GRADES_] = {
	[HEALTH_HEALTHY] = { MOVE_STAY, MOVE_SUSPECT, MOVE_SUSPECT, MOVE_FALL },
	[HEALTH_SUSPECT] = { MOVE_CALM, MOVE_STAY, MOVE_STAY, MOVE_FALL },
	/* Who has fallen must be clean: a complaint is not good enough. */
	[HEALTH_UNHEALTHY] = { MOVE_RECOVER, MOVE_RECOVER, MOVE_STAY, MOVE_STAY },
	[HEALTH_RECOVERING] = { MOVE_UP, MOVE_UP, MOVE_FALL, MOVE_FALL },
};

static void enter(struct health_track *t, enum health state, uint64_t now)
{
	if (t->state == state)
		return;
	t->state = state;
	t->since_us = now;
	t->changes++;
}

static void fall(struct health_track *t, uint64_t now)
{
	if (t->falls && now - t->fall_us > HEALTH_FLAP_US)
		t->falls = 0;
	t->falls++;
	t->fall_us = now;
	enter(t, HEALTH_UNHEALTHY, now);
}

/* How long a device that fell is watched before it is handed out. */
static uint64_t hold(const struct health_track *t)
{
	uint64_t us = causes[t->cause].is_error ? HEALTH_RECOVER_US : 0;
	unsigned more;

	if (t->falls <= HEALTH_FREE_FALLS)
		return us;
	more = MIN(t->falls - HEALTH_FREE_FALLS - 1, 16u);
	return MAX(us, MIN(HEALTH_FLAP_FIRST_US << more, HEALTH_FLAP_MAX_US));
}

static void rise(struct health_track *t, enum grade g, uint64_t now)
{
	enter(t, g == GRADE_NONE ? HEALTH_HEALTHY : HEALTH_SUSPECT, now);
}

static void move(struct health_track *t, enum grade g, uint64_t now)
{
	switch (moves[t->state][g]) {
	case MOVE_STAY:
		break;
	case MOVE_SUSPECT:
		enter(t, HEALTH_SUSPECT, now);
		break;
	case MOVE_FALL:
		fall(t, now);
		break;
	case MOVE_RECOVER:
		t->until_us = now + hold(t);
		if (t->until_us == now)
			rise(t, g, now);
		else
			enter(t, HEALTH_RECOVERING, now);
		break;
	case MOVE_UP:
		if (now >= t->until_us)
			rise(t, g, now);
		break;
	case MOVE_CALM:
		if (now - t->amiss_us >= HEALTH_CALM_US)
			enter(t, HEALTH_HEALTHY, now);
		break;
	}
}

/* A complaint that lasts is as good as a fall. */
static enum grade grade_in_time(struct health_track *t, uint64_t now)
{
	enum grade g = grade_of(t->causes);

	if (g < GRADE_COMPLAINT)
		t->complaint_us = 0;
	else if (!t->complaint_us)
		t->complaint_us = now;
	if (g != GRADE_NONE)
		t->amiss_us = now;
	if (g == GRADE_COMPLAINT && now - t->complaint_us >= HEALTH_LASTS_US)
		g = GRADE_FALL;
	return g;
}

static void first_state(struct health_track *t, enum grade g, uint64_t now)
{
	static const enum health first[GRADES_] = { HEALTH_HEALTHY, HEALTH_SUSPECT,
		HEALTH_SUSPECT, HEALTH_UNHEALTHY };

	t->is_known = true;
	t->state = first[g];
	t->since_us = now;
}

void health_step(struct health_track *t, const struct health_facts *f, uint64_t now_us)
{
	enum grade g;

	count_errors(t, f, now_us);
	t->causes = causes_of(t, f, now_us);
	g = grade_in_time(t, now_us);
	if (!t->is_known)
		first_state(t, g, now_us);
	else
		move(t, g, now_us);
	if (t->state == HEALTH_HEALTHY) {
		t->cause = CAUSES_;
		t->text[0] = '\0';
	} else if (t->causes && (t->state != HEALTH_RECOVERING)) {
		t->cause = outermost(t->causes);
		say(t->cause, f, t->text, sizeof(t->text));
	}
}

void health_restore(struct health_track *t, enum health state, enum reason reason,
	const char *text, uint64_t now_us)
{
	unsigned c = 0;

	while (c < CAUSES_ && !(causes[c].reason == reason && causes[c].is_error))
		c++;
	if (t->is_known || state == HEALTH_HEALTHY || c == CAUSES_)
		return;
	t->is_known = true;
	t->cause = (enum cause)c;
	(void)snprintf(t->text, sizeof(t->text), "%s", text);
	t->since_us = t->amiss_us = now_us;
	t->state = state == HEALTH_SUSPECT ? HEALTH_SUSPECT : HEALTH_UNHEALTHY;
	if (c == CAUSE_AER_FATAL && state == HEALTH_UNHEALTHY)
		t->fatal_us = now_us;
	if (t->state == HEALTH_UNHEALTHY) {
		t->falls = 1;
		t->fall_us = now_us;
	}
}

uint64_t health_next(const struct health_track *t)
{
	uint64_t next = UINT64_MAX;

	if (t->state == HEALTH_RECOVERING)
		next = t->until_us;
	if (t->state == HEALTH_SUSPECT && !t->causes)
		next = t->amiss_us + HEALTH_CALM_US;
	if (t->state == HEALTH_SUSPECT && t->complaint_us)
		next = t->complaint_us + HEALTH_LASTS_US;
	if (t->causes & 1u << CAUSE_AER_FATAL)
		next = MIN(next, t->fatal_us + HEALTH_ERRORS_US);
	if (t->causes & 1u << CAUSE_AER_STORM)
		next = MIN(next, t->storm_us + HEALTH_ERRORS_US);
	if (t->causes & 1u << CAUSE_AER_NONFATAL)
		next = MIN(next, t->nonfatal_us + HEALTH_ERRORS_US);
	return next;
}

enum reason health_reason(const struct health_track *t)
{
	return t->state == HEALTH_HEALTHY || t->cause >= CAUSES_
		       ? REASON_NONE
		       : causes[t->cause].reason;
}

bool health_is_usable(enum health h)
{
	return h == HEALTH_HEALTHY || h == HEALTH_SUSPECT;
}
