// SPDX-License-Identifier: Apache-2.0
/* The counters aer_dev_fatal and aer_dev_nonfatal. */
#include "aer.h"

#include <ctype.h>

#include "file.h"

enum { AER_BYTES_MAX = 16 << 10, AER_PATH_MAX = 1024 };

/* "NAME 12" up to the end of the line; names have no spaces. */
static bool parse_line(const char *line, size_t len, bool *ret_is_total, uint64_t *ret)
{
	const char *space = memrchr(line, ' ', len);
	uint64_t v = 0;

	if (!space || space == line || space + 1 == line + len)
		return false;
	for (const char *p = space + 1; p < line + len; p++) {
		if (!isdigit((unsigned char)*p))
			return false;
		if (v < UINT64_MAX / 100) /* larger is no count: it stays there */
			v = v * 10 + (uint64_t)(*p - '0');
	}
	*ret_is_total = len > 6 && strncmp(line, "TOTAL_", 6) == 0;
	*ret = v;
	return true;
}

bool aer_parse(const char *text, uint64_t *ret)
{
	uint64_t sum = 0, v = 0;
	bool is_total = false, has_line = false;

	while (*text) {
		size_t n = strcspn(text, "\n");

		if (n > 0) {
			if (!parse_line(text, n, &is_total, &v))
				return false;
			has_line = true;
			if (is_total) {
				*ret = v;
				return true;
			}
			sum += v;
		}
		text += n + (text[n] == '\n');
	}
	if (has_line)
		*ret = sum;
	return has_line;
}

static bool read_counter(const char *dir, const char *name, uint64_t *ret)
{
	CLEANUP(freep) char *text = NULL;
	char path[AER_PATH_MAX];
	size_t len = 0;

	return path_join(path, sizeof(path), dir, name, NULL) == 0 &&
	       file_read(path, AER_BYTES_MAX, &text, &len, NULL) == 0 &&
	       aer_parse(text, ret);
}

void aer_read(const char *dir, struct aer_counts *ret)
{
	struct aer_counts c = { 0 };

	c.is_known = read_counter(dir, "aer_dev_fatal", &c.fatal) &&
		     read_counter(dir, "aer_dev_nonfatal", &c.nonfatal);
	*ret = c.is_known ? c : (struct aer_counts){ 0 };
}

void aer_since(struct aer_counts *before, const struct aer_counts *now,
	uint64_t *ret_fatal, uint64_t *ret_nonfatal)
{
	bool is_base = !before->is_known || now->fatal < before->fatal ||
		       now->nonfatal < before->nonfatal;

	*ret_fatal = *ret_nonfatal = 0;
	if (!now->is_known)
		return; /* not readable just now: the base stays */
	if (!is_base) {
		*ret_fatal = now->fatal - before->fatal;
		*ret_nonfatal = now->nonfatal - before->nonfatal;
	}
	*before = *now;
}
