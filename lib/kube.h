// SPDX-License-Identifier: Apache-2.0
/* A thin Kubernetes client: configuration, requests, server-side apply, Events. Watches: lib/watch.h. */
#pragma once

#include "http.h"
#include "json.h"

struct kube;

struct kube_options {
	const char *
		kubeconfig; /* NULL: in-cluster (token, CA and namespace from the usual mount) */
	const char *user_agent;
	const char
		*mount; /* folder of the service account's token; NULL: the usual one */
};

int kube_new(struct loop *l, const struct kube_options *o, struct kube **ret,
	struct err *e) _must_check_;
void kube_free(struct kube *k);
DEFINE_CLEANUP(struct kube, kube_free)
const char *kube_namespace(
	const struct kube *k); /* ours, "default" outside a cluster without one */
struct loop *kube_loop(struct kube *k);

/* One answer. @obj is the parsed body (NULL when empty); for status >= 400 it is the Status object
 * and @result is -ENOENT (404), -EEXIST (409 AlreadyExists), -EAGAIN (409 Conflict), -EACCES (401,
 * 403), -ESTALE (410), -EINVAL (400, 422), -EBUSY (429), -EIO (5xx, others), or http's own. */
struct kube_response {
	int result;
	long status;
	const struct json *obj; /* borrowed */
	uint64_t retry_after_us;
	const char *message; /* for people: "PATCH /apis/…: 409 Conflict: …" */
};
typedef void (*kube_done_fn)(const struct kube_response *res, void *user);

/* @path with query, "/api/v1/nodes/a". @body may be NULL; copied. @content_type NULL: application/json.
 * The token is read again when its file changes. *ret may be NULL. */
int kube_request(struct kube *k, const char *method, const char *path,
	const char *content_type, const struct json *body, uint64_t timeout_us,
	kube_done_fn done, void *user, struct http_req **ret, struct err *e) _must_check_;
/* GET of @path as a stream: the body of a 2xx answer goes to @on_data as it comes (non-zero ends
 * it), @on_open says that the answer is a 2xx one (may be NULL), @done comes last, without an @obj
 * unless the status is >= 400. @timeout_us 0: none. */
int kube_stream(struct kube *k, const char *path, uint64_t timeout_us,
	void (*on_open)(void *user),
	int (*on_data)(const char *data, size_t len, void *user), kube_done_fn done,
	void *user, struct http_req **ret, struct err *e) _must_check_;
#define KUBE_JSON "application/json"
#define KUBE_JSON_PATCH "application/json-patch+json"
#define KUBE_MERGE_PATCH "application/merge-patch+json"
#define KUBE_APPLY "application/apply-patch+yaml"

/* Server-side apply of @body (with apiVersion, kind, metadata.name) at @path, forced. */
int kube_apply(struct kube *k, const char *path, const char *manager,
	const struct json *body, kube_done_fn done, void *user, struct http_req **ret,
	struct err *e) _must_check_;

/* Writes an Event (events.k8s.io is not needed: core/v1) about @obj and forgets it; equal ones
 * within ten minutes count up instead of adding. @type Normal or Warning. @message is copied, cut at 1024. */
struct kube_ref {
	const char *api_version, *kind, *name, *namespace_, *uid;
};
int kube_event(struct kube *k, const struct kube_ref *obj, const char *component,
	const char *type, const char *reason, const char *message, struct err *e);

/* Adds @segment to @b with everything but unreserved characters percent-encoded. */
int kube_path_escape(struct buf *b, const char *segment);

/* RFC 3339 with seconds, as metav1.Time; @out holds 21 bytes at least. */
void kube_time(uint64_t wall_us, char out[32]);
/* Seconds since 1970; -EINVAL. Understands fractions (MicroTime). */
int kube_time_parse(const char *text, int64_t *ret_s);
