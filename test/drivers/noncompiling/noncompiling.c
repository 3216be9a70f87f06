// SPDX-License-Identifier: GPL-2.0
/* Compiles for no kernel: a name that nothing declares. */
#include <linux/module.h>

static int __init noncompiling_init(void)
{
	return this_function_does_not_exist_anywhere();
}
module_init(noncompiling_init);
MODULE_LICENSE("GPL");
