// SPDX-License-Identifier: Apache-2.0
/* Small texts from outside: quantities, times, releases, status texts. Each reader against its rules. */
#include "api.h"
#include "driver-builder/kernels.h"
#include "fuzz.h"
#include "grpc_core.h"
#include "kube.h"

static int sign(int v)
{
	return (v > 0) - (v < 0);
}

/* An order: of two texts one is less, and of three the order has no circle. */
static void orders(const char *a, const char *b, const char *c)
{
	int ab = sign(kernel_version_cmp(a, b)), bc = sign(kernel_version_cmp(b, c));
	int ac = sign(kernel_version_cmp(a, c));

	HOLDS(kernel_version_cmp(a, a) == 0);
	HOLDS(ab == -sign(kernel_version_cmp(b, a)));
	HOLDS(ab != bc || ac == ab);
}

static void times(const char *s)
{
	char text[32];
	int64_t t = 0, again = 0;

	if (kube_time_parse(s, &t) < 0 || t < 0 || t > 253402300799)
		return;
	kube_time((uint64_t)t * USEC_PER_SEC, text);
	HOLDS(kube_time_parse(text, &again) == 0 && again == t);
}

static void status_texts(const char *s)
{
	char coded[4096], plain[2048];
	const char *p = s;
	bool is_plain;
	size_t n = grpc_text_encode(s, coded, sizeof(coded));

	HOLDS(n < sizeof(coded));
	for (size_t i = 0; i < n; i++)
		HOLDS(coded[i] >= 0x20 && coded[i] < 0x7f);
	grpc_text_decode((const uint8_t *)coded, n, plain, sizeof(plain));
	for (is_plain = strlen(s) < 1000; is_plain && *p; p++)
		is_plain = *p >= 0x20 && *p < 0x7f;
	HOLDS(!is_plain || streq(s, plain));
	grpc_text_decode((const uint8_t *)s, strlen(s), plain, 16);
	HOLDS(strlen(plain) < 16);
	HOLDS(grpc_text_encode(s, coded, 16) < 16);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	CLEANUP(freep) char *text = strndup((const char *)data, len);
	const struct api_device_match match = { .bus = API_BUS_PCI, .vendor = "1234" };
	const char *part[3] = { "", "", "" };
	CLEANUP(buf_done) struct buf out = { 0 };
	char value[16], *p;
	uint64_t q = 0;

	HOLDS(text);
	(void)api_quantity(text, &q);
	(void)api_hardware_match(&match, text);
	(void)kernel_config_find(text, "CONFIG_X", value, sizeof(value));
	times(text);
	status_texts(text);
	buf_init(&out, FUZZ_TEXT_MAX);
	HOLDS(buf_utf8(&out, text) == 0);
	for (const char *s = buf_cstr(&out); *s; s += utf8_len(s))
		HOLDS(utf8_len(s) > 0);
	p = text;
	for (size_t i = 0; i < 3 && p; i++)
		part[i] = strsep(&p, " ");
	orders(part[0], part[1], part[2]);
	HOLDS(!kernel_release_is_valid(part[0]) || !strchr(part[0], '/'));
	return 0;
}
