// SPDX-License-Identifier: Apache-2.0
/* A server of gRPC whose handlers do one thing each. */
#pragma once

#include "grpc.h"

static struct grpc_call *held; /* of /t.S/Hold */
static int n_closed, n_drained;

static void echo(struct grpc_call *c, const uint8_t *msg, size_t len, void *user)
{
	assert_int_equal(grpc_send(c, msg, len), 0);
	grpc_end(c, GRPC_OK, NULL);
	assert_int_equal(grpc_send(c, msg, len), -EPIPE);
}

static void refuse(struct grpc_call *c, const uint8_t *msg, size_t len, void *user)
{
	grpc_end(c, GRPC_FAILED_PRECONDITION, "100% \xc3\xa4rger\n");
	grpc_end(c, GRPC_OK, "too late");
}

static void on_drained(struct grpc_call *c, void *user)
{
	n_drained++;
}

static void on_closed(struct grpc_call *c, void *user)
{
	n_closed++;
	held = NULL;
}

static void hold(struct grpc_call *c, const uint8_t *msg, size_t len, void *user)
{
	held = c;
	grpc_watch(c, on_drained, on_closed, NULL);
}

static const struct grpc_method methods[] = {
	{ "/t.S/Echo", echo },
	{ "/t.S/Fail", refuse },
	{ "/t.S/Hold", hold },
	{ NULL, NULL },
};
