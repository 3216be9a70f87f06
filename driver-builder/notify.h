// SPDX-License-Identifier: Apache-2.0
/* The service manager's notification socket (sd_notify), spoken directly: one datagram a message. */
#pragma once

#include "loop.h"

struct notify;
/* Reads NOTIFY_SOCKET and WATCHDOG_USEC from the environment; without them it does nothing. Sends
 * WATCHDOG=1 from the loop at half the interval: a loop that hangs is restarted. */
int notify_new(struct loop *l, struct notify **ret, struct err *e) _must_check_;
void notify_free(struct notify *n);
DEFINE_CLEANUP(struct notify, notify_free)
/* "READY=1", "STATUS=…". Best effort. */
void notify_send(struct notify *n, const char *text);
