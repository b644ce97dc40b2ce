/* SPDX-License-Identifier: GPL-2.0-only */
/* References to pages of this process that the kernel holds for us. */
#ifndef GUP_H
#define GUP_H

#include <stdbool.h>
#include <stddef.h>

/* False when the kernel has no /sys/kernel/debug/gup_test. */
bool gup_available(void);

/*
 * Pin [address, address + size), as a device that only reads from it would, until
 * gup_unpin(). One range at a time. The kernel unpins it when the case ends.
 */
void gup_pin(void *address, size_t size, bool fast);
void gup_unpin(void);

#endif
