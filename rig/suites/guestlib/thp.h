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

/* The sizes this kernel offers, in KiB, ascending, the PMD's among them. */
size_t thp_sizes(unsigned int sizes_kb[THP_SIZES_MAX]);

/*
 * New faults in [address, address + size) get folios of `size_kb` and no other;
 * 0 is order 0. Only this mapping is affected, not the rest of the system.
 */
void thp_choose(void *address, size_t size, unsigned int size_kb);

/* hugepages-<size_kb>kB/stats/<name>, 0 when this kernel does not have it. */
uint64_t thp_stat(unsigned int size_kb, const char *name);

#endif
