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

#include "region.h"

#define THP_SIZES_MAX	24

/*
 * The size of a folio of so many pages in KiB, and 0 for a single page, as everywhere here.
 * A case names sizes in pages, so that it does the same with pages of any size: with pages
 * of 4 KiB, FOLIO_SMALL is an mTHP of 64 KiB, and FOLIO_LARGE is mapped by a PMD.
 */
#define FOLIO_SMALL	16U
#define FOLIO_LARGE	512U

static inline unsigned int folio_kb(size_t pages)
{
	return pages > 1 ? (unsigned int)(pages * (page_size() >> 10)) : 0;
}

/* The size of the folios in a text: also of single pages. */
static inline unsigned int shown_kb(unsigned int size_kb)
{
	return size_kb ? size_kb : (unsigned int)(page_size() >> 10);
}

/* How much a page table maps: a folio of this size is mapped by a PMD. A PTE has 8 bytes. */
static inline size_t pmd_size(void)
{
	return page_size() * (page_size() / sizeof(uint64_t));
}

/*
 * Counters no_thp_swap and no_pmd_folios: 1 for what this kernel cannot do. The floors of
 * counters that need it do not hold then (rig/verdict/floors.py: Floor.unless).
 */
void thp_report_limits(void);

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
