// SPDX-License-Identifier: Apache-2.0
/* Kernel events of devices; the only user of libudev. */
#pragma once

#include "loop.h"

struct inventory_udev;

/* @on_change comes from the loop, once for each batch of events. */
int inventory_udev_new(struct loop *l, void (*on_change)(void *user), void *user,
	struct inventory_udev **ret, struct err *e) _must_check_;
void inventory_udev_free(struct inventory_udev *u);
