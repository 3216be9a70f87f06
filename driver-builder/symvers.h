// SPDX-License-Identifier: Apache-2.0
/* Module.symvers: the CRC of every symbol that a kernel, or a set of modules, exports. */
#pragma once

#include "err.h"

enum { SYMVERS_BYTES_MAX = 64 << 20, SYMVERS_LINES_MAX = 1 << 20 };

struct symvers;

struct symvers_entry {
	const char *name, *module, *space; /* space: namespace, "" */
	uint32_t crc;
	bool is_gpl; /* only for modules with a licence that the GPL agrees with */
};

/* Copies @text. "0xCRC\tsymbol\tmodule\ttype[\tnamespace]"; a line that is not so is -EINVAL with its
 * number. About 2 ms for 25,000 lines. */
int symvers_parse(const char *text, size_t len, struct symvers **ret, struct err *e)
	_must_check_;
int symvers_read(const char *path, struct symvers **ret, struct err *e) _must_check_;
void symvers_free(struct symvers *s);
DEFINE_CLEANUP(struct symvers, symvers_free)
/* NULL when absent. O(1). Borrowed. */
const struct symvers_entry *symvers_find(const struct symvers *s, const char *name);
size_t symvers_len(const struct symvers *s);
