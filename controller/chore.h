// SPDX-License-Identifier: Apache-2.0
/* Things that are done once, request by request, beside a running controller: by the hooks of the chart.
 * Each ends in the time it is given, whatever the cluster does. */
#pragma once

#include "kube.h"

struct chore_options {
	const char *namespace_; /* of the release */
	const char *deployment; /* of the controller; its Lease has the same name */
	const char *agents; /* names of DaemonSets, "a,b"; NULL: none */
	unsigned patience_s; /* 0: CHORE_PATIENCE_S */
};
enum { CHORE_PATIENCE_S = 120 };

/* One chore's dealings with the API server: a request at a time, the loop runs inside. */
struct chore {
	struct kube *kube;
	struct loop *loop;
	uint64_t deadline_us; /* loop_now(): no waiting beyond it */
	struct loop_source *timer;
	struct http_req *req;
	struct json *obj; /* of the last answer, owned; NULL: none */
	int result; /* of the last request, as in struct kube_response */
	char why[256]; /* when it failed */
};

int chore_begin(struct chore *c, struct kube *k, unsigned patience_s) _must_check_;
void chore_end(struct chore *c);
/* Asks, waits for the answer, and gives its result; c->obj holds the answer. @body is borrowed. */
int chore_ask(struct chore *c, const char *method, const char *path,
	const char *content_type, const struct json *body);
/* Lets a second or two pass; false when patience is over (or the process was told to end). */
bool chore_pause(struct chore *c);
bool chore_is_over(const struct chore *c);
/* "/<api>/namespaces/<ns>/<kind>/<name>" into @out (replaced). */
int chore_path(struct buf *out, const char *api, const char *ns, const char *kind,
	const char *name) _must_check_;
/* Whether somebody leads: the Lease @name has a holder that renewed it @age_s seconds ago or later. 1: yes,
 * 0: no; negative when that cannot be read. */
int chore_is_led(struct chore *c, const char *ns, const char *name, int64_t age_s);

/* Whether a release works: definitions, Deployment, leader. Says so line by line on stdout; 0: it does,
 * -EAGAIN: it does not, and the lines tell what. */
int check_release(struct kube *k, const struct chore_options *o) _must_check_;

/* What has to be done before a release is uninstalled: the controller stops, AcceleratorDrivers lose our
 * finalizer, agents take the plugin's service from their hosts. As much of it as goes in the time given;
 * what was left is said on stdout. It never fails but for memory. */
int retire_release(struct kube *k, const struct chore_options *o) _must_check_;
