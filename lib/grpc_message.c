// SPDX-License-Identifier: Apache-2.0
/* gRPC's own bytes: the five before each message, status names, percent-encoded texts. */
#include "grpc_core.h"

static const char *const status_names[GRPC_STATUSES_] = {
	[GRPC_OK] = "OK",
	[GRPC_CANCELLED] = "CANCELLED",
	[GRPC_UNKNOWN] = "UNKNOWN",
	[GRPC_INVALID_ARGUMENT] = "INVALID_ARGUMENT",
	[GRPC_DEADLINE_EXCEEDED] = "DEADLINE_EXCEEDED",
	[GRPC_NOT_FOUND] = "NOT_FOUND",
	[GRPC_ALREADY_EXISTS] = "ALREADY_EXISTS",
	[GRPC_PERMISSION_DENIED] = "PERMISSION_DENIED",
	[GRPC_RESOURCE_EXHAUSTED] = "RESOURCE_EXHAUSTED",
	[GRPC_FAILED_PRECONDITION] = "FAILED_PRECONDITION",
	[GRPC_ABORTED] = "ABORTED",
	[GRPC_OUT_OF_RANGE] = "OUT_OF_RANGE",
	[GRPC_UNIMPLEMENTED] = "UNIMPLEMENTED",
	[GRPC_INTERNAL] = "INTERNAL",
	[GRPC_UNAVAILABLE] = "UNAVAILABLE",
	[GRPC_DATA_LOSS] = "DATA_LOSS",
	[GRPC_UNAUTHENTICATED] = "UNAUTHENTICATED",
};

const char *grpc_status_name(enum grpc_status s)
{
	if ((unsigned)s >= GRPC_STATUSES_)
		return "UNKNOWN";
	return status_names[s];
}

static size_t prefix_len(const uint8_t *p)
{
	return (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
}

void grpc_message_prefix(uint8_t out[GRPC_PREFIX], size_t len)
{
	out[0] = 0;
	out[1] = (uint8_t)(len >> 24);
	out[2] = (uint8_t)(len >> 16);
	out[3] = (uint8_t)(len >> 8);
	out[4] = (uint8_t)len;
}

bool grpc_message_is_too_long(const struct buf *in, size_t max)
{
	if (in->len >= GRPC_PREFIX && prefix_len((const uint8_t *)in->data) > max)
		return true;
	return in->len > max + GRPC_PREFIX;
}

enum grpc_status grpc_message_only(const struct buf *in, size_t max, const uint8_t **ret,
	size_t *ret_len, const char **ret_text)
{
	const uint8_t *p = (const uint8_t *)in->data;
	size_t len;

	*ret_text = "";
	if (in->len == 0) {
		*ret_text = "no message in the call";
		return GRPC_INTERNAL;
	}
	if (in->len < GRPC_PREFIX) {
		*ret_text = "message is truncated";
		return GRPC_INTERNAL;
	}
	if (p[0] == 1) {
		*ret_text = "compressed messages are not supported";
		return GRPC_UNIMPLEMENTED;
	}
	if (p[0] != 0) {
		*ret_text = "message flag is not known";
		return GRPC_INTERNAL;
	}
	len = prefix_len(p);
	if (len > max) {
		*ret_text = "message is too long";
		return GRPC_RESOURCE_EXHAUSTED;
	}
	if (in->len - GRPC_PREFIX < len) {
		*ret_text = "message is truncated";
		return GRPC_INTERNAL;
	}
	if (in->len - GRPC_PREFIX > len) {
		*ret_text = "more than one message in a unary call";
		return GRPC_INTERNAL;
	}
	*ret = p + GRPC_PREFIX;
	*ret_len = len;
	return GRPC_OK;
}

size_t grpc_text_encode(const char *text, char *out, size_t size)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t n = 0;

	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		bool is_plain = *p >= 0x20 && *p <= 0x7e && *p != '%';

		if (n + (is_plain ? 1 : 3) >= size)
			break;
		if (is_plain) {
			out[n++] = (char)*p;
			continue;
		}
		out[n++] = '%';
		out[n++] = hex[*p >> 4];
		out[n++] = hex[*p & 15];
	}
	out[n] = '\0';
	return n;
}

static int hex_value(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* A peer's text goes into logs: what is not text becomes '?', broken escapes stay as they are. */
void grpc_text_decode(const uint8_t *text, size_t len, char *out, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < len && n + 1 < size; i++) {
		uint8_t c = text[i];

		if (c == '%' && i + 2 < len && hex_value(text[i + 1]) >= 0 &&
			hex_value(text[i + 2]) >= 0) {
			c = (uint8_t)(hex_value(text[i + 1]) << 4 |
				      hex_value(text[i + 2]));
			i += 2;
		}
		out[n++] = c < 0x20 || c == 0x7f ? '?' : (char)c;
	}
	out[n] = '\0';
}

/* As the gRPC specification maps answers that are no gRPC. */
enum grpc_status grpc_status_of_http(unsigned http_status)
{
	switch (http_status) {
	case 400:
		return GRPC_INTERNAL;
	case 401:
		return GRPC_UNAUTHENTICATED;
	case 403:
		return GRPC_PERMISSION_DENIED;
	case 404:
		return GRPC_UNIMPLEMENTED;
	case 429:
	case 502:
	case 503:
	case 504:
		return GRPC_UNAVAILABLE;
	default:
		return GRPC_UNKNOWN;
	}
}
