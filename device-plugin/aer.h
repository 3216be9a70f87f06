// SPDX-License-Identifier: Apache-2.0
/* PCIe Advanced Error Reporting: how many errors the kernel has counted for a device. */
#pragma once

#include "base.h"

struct aer_counts {
	bool is_known; /* the device has AER and the kernel counts */
	uint64_t fatal, nonfatal;
};

/* @dir: the device's folder in sysfs. */
void aer_read(const char *dir, struct aer_counts *ret);

/* What a counter file says in all: its TOTAL_ line, else the sum of the lines. False when it is none. */
bool aer_parse(const char *text, uint64_t *ret);

/* What came since *@before, which becomes @now. The first reading, and one that runs backwards (the
 * device is another one, or was bound anew), only sets the base. */
void aer_since(struct aer_counts *before, const struct aer_counts *now,
	uint64_t *ret_fatal, uint64_t *ret_nonfatal);
