// SPDX-License-Identifier: Apache-2.0
/* The node's status out of what was seen and decided: the same object for RUN/status.json and for
 * AcceleratorNode.status. */
#pragma once

#include "api.h"
#include "json.h"
#include "observe.h"

enum { STATUS_BYTES_MAX = 2 << 20, STATUS_VERSION = 1 };

/* @old_conditions (struct api_condition) keep their transition times. All in @a. */
int status_make(struct arena *a, const struct seen *s, const struct plan *p,
	const struct list *old_conditions, uint64_t now_us, struct api_node_status *ret)
	_must_check_;
/* Adds RUN/devices.json of the plugin, where there is one, to ret->devices. */
void status_merge_devices(struct arena *a, const char *run, struct list *devices);

/* Writes RUN/status.json when it differs. 1 when written. */
int status_write(const char *run, const struct json *status, struct err *e) _must_check_;
/* Reads RUN/status.json as it stands. -ENOENT. */
int status_read(const char *run, struct json **ret, struct err *e) _must_check_;
/* The conditions of a status object, for their times; an unreadable one has none. */
void status_conditions(struct arena *a, const struct json *status, struct list *ret);
/* For people: kernels, drivers, reasons with remedies. */
int status_text(const struct json *status, struct buf *out);
