// SPDX-License-Identifier: Apache-2.0
/* The kubelet's requests answered from a snapshot: bytes in, bytes out, no state. */
#pragma once

#include "buf.h"
#include "grpc.h"
#include "prestart.h"
#include "snapshot.h"
#include "topology.h"

/* A list longer than this never arrives: the kubelet takes 4 MiB. */
enum { LIST_BYTES_MAX = (4 << 20) - 4096, ANSWER_BYTES_MAX = 4 << 20 };

struct answer_context {
	const struct snapshot *snapshot;
	const struct topology *topology;
	const char *resource;
	const struct prestart *prestart; /* NULL: the last look is good enough */
};

/* Appends to @out. *ret_left_out says how many units the cap kept out. -ENOMEM. */
int message_list(const struct resource_view *v, struct buf *out, size_t *ret_left_out);
int message_options(bool wants_pre_start, struct buf *out);
int message_register(const char *endpoint, const char *resource, bool wants_pre_start,
	struct buf *out);

/* Each answers @msg into @out; otherwise the status to end the call with, and @text for people. */
enum grpc_status answer_allocate(const struct answer_context *x, const uint8_t *msg,
	size_t len, struct buf *out, struct err *e);
enum grpc_status answer_preferred(const struct answer_context *x, const uint8_t *msg,
	size_t len, struct buf *out, struct err *e);
enum grpc_status answer_pre_start(const struct answer_context *x, const uint8_t *msg,
	size_t len, struct buf *out, struct err *e);
