// SPDX-License-Identifier: Apache-2.0
/* Streams of JSON: however the bytes are cut, the same items come. The first byte chooses the kind, the
 * second the cuts. */
#include "frame.h"
#include "fuzz.h"

struct run {
	struct buf items;
	size_t n;
	int r;
	char version[64], cont[64];
};

static const char *const skip[] = { "metadata.managedFields", "status.images", NULL };

static int on_item(const char *text, size_t len, void *user)
{
	CLEANUP(json_freep) struct json *j = NULL;
	struct run *run = user;

	HOLDS(len >= 2 && text[0] == '{' && text[len - 1] == '}' && !text[len]);
	HOLDS(buf_add(&run->items, text, len) == 0 && buf_chr(&run->items, '\n') == 0);
	run->n++;
	if (memchr(text, '\\', len) || json_parse(text, len, &j, NULL) < 0)
		return 0;
	HOLDS(!json_path(j, skip[0]) && !json_path(j, skip[1]));
	return 0;
}

static void feed(struct run *run, enum frame_kind kind, const char *data, size_t len,
	unsigned cuts)
{
	struct frame_options o = { .kind = kind, .item_max = 2048, .skip = skip };
	CLEANUP(frame_freep) struct frame *f = NULL;
	struct err e = { 0 };

	buf_init(&run->items, FUZZ_TEXT_MAX);
	HOLDS(frame_new(&o, on_item, run, &f, &e) == 0);
	while (len && run->r == 0) {
		size_t n = cuts ? MIN(len, 1 + cuts % 61) : len;

		run->r = frame_feed(f, data, n, &e);
		data += n;
		len -= n;
		cuts = cuts > 1 ? cuts * 1103515245U + 12345 : cuts;
	}
	if (run->r == 0)
		run->r = frame_end(f, &e);
	if (run->r < 0) {
		says_why(run->r, &e);
		HOLDS(frame_feed(f, "{", 1, &e) < 0 || run->r == -EPROTO);
	}
	(void)snprintf(run->version, 64, "%s", frame_resource_version(f));
	(void)snprintf(run->cont, 64, "%s", frame_continue(f));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct run runs[3] = { 0 };
	unsigned cuts[3] = { 0 };

	if (len < 2)
		return 0;
	cuts[1] = 60; /* one byte after the other would be too slow for long inputs */
	cuts[2] = 2 + data[1];
	for (size_t i = 0; i < ARRAY_SIZE(runs); i++)
		feed(&runs[i], data[0] & 1 ? FRAME_LIST : FRAME_LINES,
			(const char *)data + 2, len - 2,
			i == 1 && len < 512 ? 61 : cuts[i]);
	for (size_t i = 1; i < ARRAY_SIZE(runs); i++) {
		HOLDS(runs[i].r == runs[0].r && runs[i].n == runs[0].n);
		HOLDS(streq(buf_cstr(&runs[i].items), buf_cstr(&runs[0].items)));
		HOLDS(streq(runs[i].version, runs[0].version));
		HOLDS(streq(runs[i].cont, runs[0].cont));
	}
	for (size_t i = 0; i < ARRAY_SIZE(runs); i++)
		buf_done(&runs[i].items);
	return 0;
}
