/* SPDX-License-Identifier: GPL-2.0-only */
/* Memory to be reclaimed, and memory that must not be. */
#ifndef REGION_H
#define REGION_H

#include <stdbool.h>
#include <stddef.h>

size_t page_size(void);

/* Private anonymous memory, untouched, at a multiple of `align`. */
void *region_map(size_t size, size_t align);
void region_unmap(void *address, size_t size);

/* Zeroed and locked: the test's own books, never reclaimed with what they describe. */
void *locked_alloc(size_t size);

/* Lock what the process has mapped so far, not what it will map. */
void lock_present(void);

/* madvise() that must work; false only when the kernel does not know `advice`. */
bool region_advise(void *address, size_t size, int advice);

/* MADV_PAGEOUT, what it left undone is seen in the counters only. */
void region_pageout(void *address, size_t size);

#endif
