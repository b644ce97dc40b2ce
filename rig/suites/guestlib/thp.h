/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Anonymous folios of a chosen size (commit 3485b88390b0 ("mm: thp: introduce
 * multi-size THP sysfs interface") (in v6.8)).
 */
#ifndef THP_H
#define THP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define THP_SIZES_MAX	24

/* The folio sizes that this kernel offers, in KiB, ascending, the PMD size included. */
size_t thp_sizes(unsigned int sizes_kb[THP_SIZES_MAX]);

/*
 * New faults in [address, address + size) get folios of `size_kb` and of no other size; 0
 * means order 0. The rest of the system is not affected.
 */
void thp_choose(void *address, size_t size, unsigned int size_kb);

/* The value of hugepages-<size_kb>kB/stats/<name>; 0 when this kernel does not have it. */
uint64_t thp_stat(unsigned int size_kb, const char *name);

#endif
