// SPDX-License-Identifier: Apache-2.0
/* Bytes from a kubelet to our server: the same calls are made however the bytes are cut, none is told
 * of twice, and each that was held ends exactly once. The first byte chooses the cuts; the client's
 * connection preface is put in front. */
#include "fuzz.h"
#include "grpc.h"

enum { MESSAGE_MAX = 256 };

struct run {
	struct buf calls; /* what the handlers saw */
	struct grpc_call *held;
	size_t n_held, n_closed;
};

static void note(struct run *run, char method, const uint8_t *msg, size_t len)
{
	HOLDS(len <= MESSAGE_MAX);
	HOLDS(buf_fmt(&run->calls, "%c%zu:", method, len) == 0);
	HOLDS(buf_add(&run->calls, msg, len) == 0);
}

static void echo(struct grpc_call *c, const uint8_t *msg, size_t len, void *user)
{
	note(user, 'e', msg, len);
	HOLDS(grpc_send(c, msg, len) == 0);
	grpc_end(c, GRPC_OK, NULL);
	HOLDS(grpc_send(c, msg, len) == -EPIPE);
}

static void refuse(struct grpc_call *c, const uint8_t *msg, size_t len, void *user)
{
	note(user, 'f', msg, len);
	grpc_end(c, GRPC_NOT_FOUND, len ? "100%\n\xc3\xa4" : NULL);
}

static void on_closed(struct grpc_call *c, void *user)
{
	struct run *run = user;

	run->n_closed++;
	if (run->held == c)
		run->held = NULL;
}

static void hold(struct grpc_call *c, const uint8_t *msg, size_t len, void *user)
{
	struct run *run = user;

	note(run, 'h', msg, len);
	grpc_watch(c, NULL, on_closed, run);
	run->n_held++;
	if (run->held) { /* the one before gets its answer now */
		HOLDS(grpc_send(run->held, "later", 5) == 0);
		grpc_end(run->held, GRPC_OK, NULL);
	}
	run->held = c;
}

static const struct grpc_method methods[] = { { "/t.S/Echo", echo },
	{ "/t.S/Fail", refuse }, { "/t.S/Hold", hold }, { NULL, NULL } };

static int receive(struct grpc_conn *c, const void *data, size_t len, unsigned cuts)
{
	const char *p = data;
	struct err e = { 0 };
	int r = 0;

	while (len && r == 0) {
		size_t n = cuts ? MIN(len, 1 + cuts % 37) : len;

		r = grpc_conn_receive(c, p, n, &e);
		p += n;
		len -= n;
		cuts = cuts ? cuts * 1103515245U + 12345 : 0;
	}
	if (r < 0)
		says_why(r, &e);
	return r;
}

static void serve(struct run *run, const uint8_t *data, size_t len, unsigned cuts)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
	struct grpc_conn *c = NULL;
	const uint8_t *out;
	size_t n = 1;
	int r;

	buf_init(&run->calls, FUZZ_TEXT_MAX);
	HOLDS(grpc_conn_new_server(methods, run, MESSAGE_MAX, &c, NULL) == 0);
	HOLDS(receive(c, preface, sizeof(preface) - 1, 0) == 0);
	r = receive(c, data, len, cuts);
	for (size_t i = 0; r == 0 && n > 0; i++) {
		HOLDS(i < 100000);
		r = grpc_conn_output(c, &out, &n, NULL);
	}
	HOLDS(grpc_conn_calls(c) <= GRPC_CALLS_MAX);
	grpc_conn_free(c);
	HOLDS(run->n_closed == run->n_held && !run->held);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct run whole = { 0 }, cut = { 0 };

	if (len < 1)
		return 0;
	serve(&whole, data + 1, len - 1, 0);
	serve(&cut, data + 1, len - 1, 1U + data[0]);
	HOLDS(whole.calls.len == cut.calls.len);
	HOLDS(memcmp(buf_cstr(&whole.calls), buf_cstr(&cut.calls), whole.calls.len) == 0);
	buf_done(&whole.calls);
	buf_done(&cut.calls);
	return 0;
}
