// SPDX-License-Identifier: Apache-2.0
/* The judgement over one device, from facts alone. */
#include "health.h"

#include <stdio.h>

const char *const health_names[HEALTHS_] = {
	[HEALTH_HEALTHY] = "Healthy",
	[HEALTH_SUSPECT] = "Suspect",
	[HEALTH_UNHEALTHY] = "Unhealthy",
	[HEALTH_RECOVERING] = "Recovering",
};

static enum health unhealthy(enum reason reason, enum reason *ret_reason)
{
	*ret_reason = reason;
	return HEALTH_UNHEALTHY;
}

/* The outermost cause first: a device that is gone has no driver either. */
enum health health_judge(
	const struct health_facts *f, enum reason *ret_reason, char *text, size_t size)
{
	const struct device *d = f->device;
	char none[1];

	if (!text || !size) {
		text = none;
		size = sizeof(none);
	}
	text[0] = '\0';
	if (!d->is_present) {
		(void)snprintf(text, size, "the device is gone from the bus");
		return unhealthy(REASON_DEVICE_LOST, ret_reason);
	}
	if (!f->answers) {
		(void)snprintf(text, size,
			"its configuration space reads all ones: it fell off the bus");
		return unhealthy(REASON_DEVICE_LOST, ret_reason);
	}
	if (!str_empty(f->driver) && d->driver[0] && !streq(f->driver, d->driver)) {
		(void)snprintf(text, size, "driver '%s' is bound, the class wants '%s'",
			d->driver, f->driver);
		return unhealthy(REASON_DRIVER_NOT_BOUND, ret_reason);
	}
	if (!d->driver[0] && (d->bus == API_BUS_PCI || d->bus == API_BUS_USB)) {
		(void)snprintf(text, size, "no driver is bound%s%s%s",
			str_empty(f->driver) ? "" : ", the class wants '",
			str_empty(f->driver) ? "" : f->driver,
			str_empty(f->driver) ? "" : "'");
		return unhealthy(REASON_DRIVER_NOT_BOUND, ret_reason);
	}
	if (f->missing_node) {
		(void)snprintf(
			text, size, "device node '%s' is missing", f->missing_node);
		return unhealthy(REASON_DEVICE_ABSENT, ret_reason);
	}
	*ret_reason = REASON_NONE;
	return HEALTH_HEALTHY;
}
