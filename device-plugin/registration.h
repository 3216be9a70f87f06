// SPDX-License-Identifier: Apache-2.0
/*
 * One resource's registration with the kubelet, kept up: the kubelet calls back inside Register, so
 * this never waits; and it is through only when the kubelet's stream is there.
 */
#pragma once

#include "loop.h"

struct registration;

enum registration_state {
	REGISTRATION_WAITING, /* no kubelet there, or a pause after a failure */
	REGISTRATION_CALLING,
	REGISTRATION_EXPECTING, /* answered: the stream has to come */
	REGISTRATION_DONE,
	REGISTRATION_STATES_
};
extern const char *const registration_state_names[REGISTRATION_STATES_];

struct registration_options {
	const char *kubelet_socket; /* both outlive it */
	const char *resource;
	const char *endpoint; /* base name of our socket */
	/* Told after each attempt: @e is NULL when the kubelet agreed. */
	void (*on_attempt)(const struct err *e, void *user);
	void *user;
	bool wants_pre_start; /* see registration_pre_start() */
	/* True: another plugin may have taken the stream that ended, so the kubelet is asked again a second
	 * later, not at once. Outlives it; may be NULL. */
	const bool *has_others;
};

int registration_new(struct loop *l, const struct registration_options *o,
	struct registration **ret, struct err *e) _must_check_;
void registration_free(struct registration *r);
DEFINE_CLEANUP(struct registration, registration_free)

/* Register at once: a new kubelet.sock, or our own socket is a new one. */
void registration_renew(struct registration *r);
/* Does the kubelet have to ask before each container's start? Registers again when that is new. */
void registration_pre_start(struct registration *r, bool wants_pre_start);
/* How many streams the kubelet holds now: none means to register, soon. */
void registration_streams(struct registration *r, size_t n);
enum registration_state registration_state(const struct registration *r);
