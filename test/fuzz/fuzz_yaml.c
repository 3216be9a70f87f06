// SPDX-License-Identifier: Apache-2.0
/* YAML streams: what is read can be printed as JSON, and means the same as JSON and as YAML again. */
#include "fuzz.h"
#include "yaml.h"

static void reads_as_yaml(const struct json *doc)
{
	CLEANUP(buf_done) struct buf text = { 0 };
	CLEANUP(json_freep) struct json *docs = NULL;

	buf_init(&text, FUZZ_TEXT_MAX);
	HOLDS(json_print(doc, false, &text) == 0);
	/* YAML 1.1 breaks lines at these, also inside quotes. */
	if (strstr(text.data, "\xc2\x85") || strstr(text.data, "\xe2\x80\xa8") ||
		strstr(text.data, "\xe2\x80\xa9"))
		return;
	/* YAML refuses what JSON allows (control characters, very long keys), but must not differ. */
	if (yaml_parse(text.data, text.len, &docs, NULL) < 0)
		return;
	HOLDS(json_len(docs) == (json_type(doc) != JSON_NULL));
	HOLDS(json_len(docs) == 0 || json_equal(json_at(docs, 0), doc));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	CLEANUP(json_freep) struct json *docs = NULL;
	struct err e = { 0 };
	int r = yaml_parse((const char *)data, len, &docs, &e);

	if (r < 0) {
		says_why(r, &e);
		HOLDS(!docs);
		return 0;
	}
	HOLDS(json_type(docs) == JSON_ARRAY && json_len(docs) <= YAML_DOCS_MAX);
	for (size_t i = 0; i < json_len(docs); i++) {
		prints_and_reads(json_at(docs, i), i & 1);
		reads_as_yaml(json_at(docs, i));
	}
	return 0;
}
