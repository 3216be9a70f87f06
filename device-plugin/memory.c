// SPDX-License-Identifier: Apache-2.0
/* Reads devices.json back. */
#include "memory.h"

#include "file.h"

enum { DEVICES_BYTES_MAX = 16 << 20, DEVICES_VERSION = 1 };

void memory_read(const char *run_dir, struct json **ret)
{
	CLEANUP(freep) char *text = NULL;
	CLEANUP(json_freep) struct json *doc = NULL;
	char path[1024];
	size_t len = 0;

	*ret = NULL;
	if (path_join(path, sizeof(path), run_dir, "devices.json", NULL) == 0 &&
		file_read(path, DEVICES_BYTES_MAX, &text, &len, NULL) == 0 &&
		json_parse(text, len, &doc, NULL) == 0 &&
		json_get_int(doc, "version", 0) == DEVICES_VERSION)
		*ret = TAKE(doc);
}

static void restore(const struct json *o, struct device *d, uint64_t now_us)
{
	const char *health = json_get_str(o, "health"),
		   *text = json_get_str(o, "message");
	const char *reason = json_get_str(o, "reason");

	if (!health || !text || str_empty(reason))
		return;
	if (str_starts(text, MEMORY_WATCHED))
		text += strlen(MEMORY_WATCHED);
	for (unsigned h = 0; h < HEALTHS_; h++)
		if (streq(health, health_names[h]))
			health_restore(&d->health, (enum health)h,
				reason_from_name(reason), text, now_us);
}

void memory_restore(const struct json *doc, struct device *d, uint64_t now_us)
{
	const struct json *devices = json_get(doc, "devices");

	for (size_t i = 0; i < json_len(devices); i++) {
		const struct json *o = json_at(devices, i);
		const char *id = json_get_str(o, "id");

		if (id && streq(id, d->id))
			restore(o, d, now_us);
	}
}
