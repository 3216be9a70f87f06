// SPDX-License-Identifier: Apache-2.0
/* Whether a device can be handed out, and if not, why not. */
#pragma once

#include "api.h"
#include "inventory.h"

enum health {
	HEALTH_HEALTHY,
	HEALTH_SUSPECT,
	HEALTH_UNHEALTHY,
	HEALTH_RECOVERING,
	HEALTHS_
};
extern const char *const health_names[HEALTHS_];

struct health_facts {
	const struct device *device;
	const struct api_class *class_;
	const char *driver; /* that the class asks for; "" any */
	bool answers; /* see inventory_answers() */
	const char *
		missing_node; /* subsystem or path of a device node that is not there; NULL when all are */
};

/* Pure. *ret_reason is REASON_NONE for healthy ones; @text (may be NULL) gets a sentence. */
enum health health_judge(
	const struct health_facts *f, enum reason *ret_reason, char *text, size_t size);
