/* SPDX-License-Identifier: GPL-2.0-only */
/* Memory that is to be reclaimed, and memory that must not be. */
#ifndef REGION_H
#define REGION_H

#include <stdbool.h>
#include <stddef.h>

size_t page_size(void);

/* Private anonymous memory, not touched yet, aligned to `align`. */
void *region_map(size_t size, size_t align);
void region_unmap(void *address, size_t size);

/*
 * Zeroed and locked memory, for the test's own data: it must not be reclaimed together with
 * the memory under test.
 */
void *locked_alloc(size_t size);

/* mlockall(MCL_CURRENT): locks what is mapped now, not what is mapped later. */
void lock_present(void);

/* madvise() that must succeed. False only when the kernel does not know `advice`. */
bool region_advise(void *address, size_t size, int advice);

/* MADV_PAGEOUT. It may leave pages in memory; only the counters show how many. */
void region_pageout(void *address, size_t size);

#endif
