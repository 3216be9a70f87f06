// SPDX-License-Identifier: Apache-2.0
/* RUN/reboot-hold: there while a reboot would lose a driver, for reboot daemons to look at. */
#pragma once

#include "observe.h"

/* The lines "kernel driver reason message" of what holds; "" when nothing does. Pure. */
int gate_text(const struct seen *s, const struct plan *p, struct buf *out);
/* Writes or removes the file. 1 when it changed. */
int gate_write(const char *run, const char *text, struct err *e) _must_check_;
/* The text of the hold, "" when there is none; caller frees *ret. */
int gate_read(const char *run, char **ret, struct err *e) _must_check_;
