// SPDX-License-Identifier: Apache-2.0
/* What the plugin before this one knew of the devices' health: from the devices.json that it left. */
#pragma once

#include "inventory.h"
#include "json.h"

/* In front of the message of a device that is Recovering. */
#define MEMORY_WATCHED "it is watched for a while, because "

/* *ret NULL when there is none, or none that we understand. */
void memory_read(const char *run_dir, struct json **ret);
/* See health_restore(); @doc may be NULL. */
void memory_restore(const struct json *doc, struct device *d, uint64_t now_us);
