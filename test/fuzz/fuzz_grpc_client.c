// SPDX-License-Identifier: Apache-2.0
/* Bytes from a server to our client: each call ends exactly once, with a message only when it is OK and
 * with one always then. The first byte says how many calls there are and which is cancelled. */
#include "fuzz.h"
#include "grpc.h"

enum { MESSAGE_MAX = 256, CALLS = 3 };

static unsigned n_done[CALLS];

static void on_done(const struct grpc_result *res, void *user)
{
	CLEANUP(buf_done) struct buf copy = { 0 };
	unsigned *n = user;

	(*n)++;
	HOLDS(res->text && strlen(res->text) < GRPC_TEXT_MAX);
	HOLDS(*grpc_status_name(res->status));
	HOLDS(res->status != GRPC_OK || res->msg);
	HOLDS(res->len <= MESSAGE_MAX);
	HOLDS(res->msg || res->len == 0);
	buf_init(&copy, MESSAGE_MAX); /* all of it can be read */
	HOLDS(buf_add(&copy, res->len ? res->msg : NULL, res->len) == 0);
}

static int drain(struct grpc_conn *c)
{
	const uint8_t *out;
	size_t n = 1;
	int r = 0;

	for (size_t i = 0; r == 0 && n > 0; i++) {
		HOLDS(i < 100000);
		r = grpc_conn_output(c, &out, &n, NULL);
	}
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct grpc_call *calls[CALLS] = { NULL };
	struct grpc_conn *c = NULL;
	struct err e = { 0 };
	size_t n, cancel, half;
	int r;

	if (len < 1)
		return 0;
	n = 1 + data[0] % CALLS;
	cancel = data[0] / 16 % 4;
	memset(n_done, 0, sizeof(n_done));
	HOLDS(grpc_conn_new_client(MESSAGE_MAX, &c, &e) == 0);
	for (size_t i = 0; i < n; i++)
		HOLDS(grpc_call_start(c, "/t.S/M", "hello", i * 2, on_done, &n_done[i],
			      &calls[i], &e) == 0);
	r = drain(c);
	HOLDS(r == 0);
	data++;
	len--;
	half = len / 2;
	r = grpc_conn_receive(c, data, half, &e);
	if (r == 0 && cancel < n && !n_done[cancel])
		grpc_call_cancel(calls[cancel]);
	if (r == 0)
		r = drain(c);
	if (r == 0)
		r = grpc_conn_receive(c, data + half, len - half, &e);
	if (r == 0)
		r = drain(c);
	if (r < 0)
		HOLDS(r == -EPROTO || r == -ENOMEM);
	HOLDS(grpc_conn_calls(c) <= n);
	grpc_conn_free(c);
	for (size_t i = 0; i < CALLS; i++)
		HOLDS(n_done[i] == (i < n));
	return 0;
}
