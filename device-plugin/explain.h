// SPDX-License-Identifier: Apache-2.0
/* What people and the agent are shown: devices.json, --list and --explain. */
#pragma once

#include "buf.h"
#include "snapshot.h"

enum { EXPLAIN_BYTES_MAX = 16 << 20 };

/* RUN/devices.json for the agent: version, and each claimed device with its health. */
int devices_json(const struct snapshot *s, struct json **ret) _must_check_;

/* --list: inventory of claimed devices, classes and the errors of their files. */
int list_json(const struct snapshot *s, const struct classes *classes, struct json **ret)
	_must_check_;
int list_text(const struct snapshot *s, const struct classes *classes, struct buf *out)
	_must_check_;

/* --explain: for every accelerator-like device and every claimed one, whether it is allocatable, and
 * why not; for every class, what it matches. */
int explain_json(const struct snapshot *s, const struct classes *classes,
	struct inventory *inv, struct json **ret) _must_check_;
int explain_text(const struct snapshot *s, const struct classes *classes,
	struct inventory *inv, struct buf *out) _must_check_;
