// SPDX-License-Identifier: Apache-2.0
/* What the agent remembers over restarts: which artifact each driver has for each kernel, which
 * builds failed and when they are tried again (STATE/builds.json), and what was loaded last
 * (STATE/loaded.json). Losing either costs a look into the store, never a driver. */
#pragma once

#include "digest.h"
#include "err.h"
#include "field.h"

enum { RECORDS_BYTES_MAX = 4 << 20, RECORDS_MAX = 10000 };

/* What a build was made from, told cheaply (no content is read). "" where it is not known. */
struct print {
	char spec[DIGEST_HEX + 1], source[DIGEST_HEX + 1], headers[DIGEST_HEX + 1];
};

struct record { /* one driver for one kernel */
	char driver[256], kernel[65];
	struct print print;
	char key[DIGEST_HEX + 1]; /* "" when unknown */
	char signed_key[DIGEST_HEX + 1]; /* what was signed from outside of @key; "" */
	int64_t build_seconds;
	enum reason reason; /* REASON_NONE: succeeded */
	char message[ERR_TEXT_MAX];
	uint64_t at_us, retry_us; /* wall time */
	int64_t attempts; /* failures in a row */
};

/* No record of the parameters: a note of an older agent. */
#define NOTE_UNKNOWN "?"
enum { NOTE_PARAMETERS_MAX = 4096 };

struct note { /* what is loaded or was loaded last */
	char driver[256], key[DIGEST_HEX + 1], version[128], kernel[65], boot_id[64];
	char parameters[NOTE_PARAMETERS_MAX]; /* stage_parameters() of that load */
	/* What was to replace it and did not work, so that it is @key that a boot shall load; "" */
	char rejected[DIGEST_HEX + 1];
};

struct records;
int records_new(struct records **ret) _must_check_;
void records_free(struct records *r);
DEFINE_CLEANUP(struct records, records_free)

/* A file that is absent is empty; a damaged one is empty too, and -EBADMSG says so once. */
int records_read(struct records *r, const char *state, struct err *e) _must_check_;
/* Reads the notes again: a command may have loaded something since. As records_read(). */
int records_read_notes(struct records *r, const char *state, struct err *e) _must_check_;
/* Writes what changed: all, or the notes only (commands, beside an agent that runs). */
int records_write_notes(const struct records *r, const char *state, struct err *e)
	_must_check_;
int records_write(const struct records *r, const char *state, struct err *e) _must_check_;

/* NULL when there is none. Valid until the next change. */
const struct record *records_get(
	const struct records *r, const char *driver, const char *kernel);
/* Is no build remembered? */
bool records_is_empty(const struct records *r);
int records_set(struct records *r, const struct record *rec) _must_check_;
/* True when @rec speaks of what is there now. A part that cannot be seen any more (source or headers
 * gone from the host) does not contradict it: the artifact is on the disk. */
bool records_is_current(const struct record *rec, const struct print *now);
/* Forgets those for which @is_wanted says no. */
void records_prune(struct records *r,
	bool (*is_wanted)(const struct record *rec, void *user), void *user);

const struct note *records_note(const struct records *r, const char *driver);
int records_set_note(struct records *r, const struct note *n) _must_check_;
/* Notes that @key was tried for @driver and what was loaded before is loaded again. Without a note of that
 * there is nothing to go back to, and nothing is noted. */
void records_reject(struct records *r, const char *driver, const char *key);

/* Notes what was signed of the record's artifact @key; nothing without such a record. */
void records_set_signed(struct records *r, const char *driver, const char *kernel,
	const char *key, const char *signed_key);

/* All keys that records and notes name (const char *, borrowed until the next change). */
int records_keys(const struct records *r, struct arena *a, struct list *ret) _must_check_;
