// SPDX-License-Identifier: GPL-2.0-only
#include <linux/mm.h>

int kernel_init(void)
{
	return 0;
}
