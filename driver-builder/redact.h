// SPDX-License-Identifier: Apache-2.0
/* Takes what may be a secret out of text that leaves the node. */
#pragma once

#include "buf.h"

/* @text with these replaced by "***": user and query of URLs, what stands behind words like password=,
 * token:, Bearer, and private keys. Works on JSON text too: no replacement goes over a quote. Pure. */
int redact(const char *text, struct buf *out) _must_check_;
