/* SPDX-License-Identifier: GPL-2.0-only */
/* References to the pages of this process that somebody else holds. */
#ifndef GUP_H
#define GUP_H

#include <stdbool.h>
#include <stddef.h>

/* False when the kernel has no /sys/kernel/debug/gup_test. */
bool gup_available(void);

/*
 * Pin [address, address + size), as a device that only reads from it would, until
 * gup_unpin(). One range at a time; the kernel lets go of it when the case ends.
 */
void gup_pin(void *address, size_t size, bool fast);
void gup_unpin(void);

#endif
