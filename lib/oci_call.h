// SPDX-License-Identifier: Apache-2.0
/* One call to a registry: exchanges until there is an answer. For lib/oci*.c only. */
#pragma once

#include "http.h"
#include "oci.h"

enum { OCI_URL_MAX = 8 << 10, OCI_CALL_S = 60 /* of what is small */ };

struct oci {
	struct loop *loop;
	struct http *http;
	char *auth_file, *ca_file;
	uint64_t retry_us;
	unsigned tries;
	char *login; /* "Authorization: …" */
	char login_for[1024]; /* host, repository and what for */
};

/* A file that is being received: what is there is digested already. */
struct oci_sink {
	int fd;
	struct digest *digest;
	uint64_t have, size;
	int failed; /* negative errno of a write */
};
/* Empties it. */
int oci_sink_restart(struct oci_sink *s) _must_check_;

/* One request and what came of it. */
struct oci_call {
	const char *method, *accept, *type; /* the last two: headers; NULL: none */
	const void *body;
	size_t body_len, answer_max;
	uint64_t timeout_us;
	struct oci_sink *sink; /* where the body of an answer goes; NULL: answer */
	bool is_push;
	char url[OCI_URL_MAX];
	/* out */
	bool is_done;
	uint64_t last_us;
	int result;
	long status;
	uint64_t retry_after_us;
	struct buf answer;
	char location[OCI_URL_MAX], challenge[4096], digest[OCI_DIGEST_MAX + 1];
	char error[256];
};

/* @fmt: what follows "/v2/<repository>/". */
int oci_call_new(const struct oci_ref *ref, const char *method, struct oci_call **ret,
	struct err *e, const char *fmt, ...) _printf_(5, 6) _must_check_;
void oci_call_free(struct oci_call *x);
DEFINE_CLEANUP(struct oci_call, oci_call_free)

/* Logs in, follows, waits and tries again as needed. 0: there is an answer or a lost connection in
 * @x; negative when it could not even be tried. */
int oci_call_run(struct oci *c, const struct oci_ref *ref, struct oci_call *x,
	struct err *e) _must_check_;
/* Turns @x towards the Location that it was answered. */
int oci_call_follow(const struct oci_ref *ref, struct oci_call *x, struct err *e)
	_must_check_;
/* The error that @x ended with. */
int oci_call_failure(const struct oci_call *x, struct err *e);
