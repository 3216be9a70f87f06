// SPDX-License-Identifier: Apache-2.0
/* What a PCI device's configuration space and its link say, as the kernel shows them in sysfs. */
#pragma once

#include "base.h"

/* One link; widths in lanes, speeds in tenths of GT/s; 0: down, or not known. */
struct pci_link {
	bool is_known; /* the device has a link and says what it can */
	unsigned width, speed;
	unsigned can_width, can_speed; /* the lesser of what both ends can */
};

/* @dir: the device's folder. False when its configuration space reads all ones: it fell off the bus.
 * One that sleeps is not asked, since that would wake it; what cannot be read is no bad sign. */
bool pci_config_answers(const char *dir);

/* Devices without a link of their own (virtual functions, built-in ones) and those asleep: not known. */
void pci_link_read(const char *dir, struct pci_link *ret);

/* "8.0 GT/s PCIe" -> 80, "2.5 GT/s" -> 25; 0 for anything else. */
unsigned pci_link_speed(const char *text);
