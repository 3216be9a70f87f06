// SPDX-License-Identifier: Apache-2.0
/* One JSON object per line on stderr: {"time":"…Z","level":"info","msg":"…","key":"value",…}. */
#pragma once

#include "err.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_LEVELS_ };

void log_init(const char *component, enum log_level least);
/* -EINVAL when no level has that name. */
int log_level_parse(const char *name, enum log_level *ret);

/* Key/value pairs of strings behind the message, ended by NULL; a NULL value is left out:
 *     log_event(LOG_INFO, "module loaded", "driver", d->name, "kernel", release, NULL); */
void log_event(enum log_level level, const char *msg, ...) __attribute__((sentinel));
/* The same, with "error" and "reason" out of @e. */
void log_error(const struct err *e, const char *msg, ...) __attribute__((sentinel));
