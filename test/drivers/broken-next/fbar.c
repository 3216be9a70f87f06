// SPDX-License-Identifier: GPL-2.0
/*
 * A small driver that grows the first resizable BAR of a card, as GPU drivers do, written for
 * kernels whose pci_resize_resource() takes three arguments. A stable update of 6.1 gave it a fourth:
 * it builds for 6.1.0-47 and cannot build for 6.1.0-56.
 */
#include <linux/module.h>
#include <linux/pci.h>

#define FBAR_NR 2

static int fbar_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	u32 sizes = pci_rebar_get_possible_sizes(pdev, FBAR_NR);
	int r = pci_enable_device(pdev);

	if (r)
		return r;
	if (sizes) {
		pci_release_resource(pdev, FBAR_NR);
		r = pci_resize_resource(pdev, FBAR_NR, __fls(sizes));
		if (r)
			dev_warn(&pdev->dev, "BAR %d keeps its size: %d\n", FBAR_NR, r);
	}
	dev_info(&pdev->dev, "fbar: ready\n");
	return 0;
}

static void fbar_remove(struct pci_dev *pdev)
{
	pci_disable_device(pdev);
}

static const struct pci_device_id fbar_ids[] = {
	{ PCI_DEVICE(0x1234, 0x11e9) },
	{ }
};
MODULE_DEVICE_TABLE(pci, fbar_ids);

static struct pci_driver fbar_driver = {
	.name = "fbar",
	.id_table = fbar_ids,
	.probe = fbar_probe,
	.remove = fbar_remove,
};
module_pci_driver(fbar_driver);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Resizes a BAR; not for kernels after an API change");
MODULE_VERSION("1.0");
