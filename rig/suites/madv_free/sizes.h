/* SPDX-License-Identifier: GPL-2.0-only */
/* The sizes of folios to try, and what this kernel promises of them. */
#ifndef SIZES_H
#define SIZES_H

#include "lazyfree.h"

/* The size of a PMD's folio on 4 KiB pages, and the space one page table maps. */
#define PMD_KB		2048U
#define PMD_BYTES	((size_t)PMD_KB << 10)

/* What one round fills: two folios of the PMD's size, or many smaller ones. */
#define ROUND_BYTES	(2 * PMD_BYTES)

/* Pages in a folio of that size; 0 KiB is order 0. */
size_t folio_pages(unsigned int size_kb);

/* Large folios of up to `most_kb`, ascending. */
size_t sizes_large(unsigned int most_kb, unsigned int sizes_kb[THP_SIZES_MAX]);

/* skip() for a kernel that offers no such folios. */
enum outcome skip_no_large_folios(void);

/*
 * lazyfree_refill(); true when every folio is of that size, by the kernel's own
 * count. What the kernel made smaller is still a page of a lazyfree region.
 */
bool refill_whole(struct lazyfree *l, size_t bytes, unsigned int size_kb);

bool kernel_at_least(unsigned int major, unsigned int minor);

/*
 * Since then try_to_unmap_one() takes the PTEs of a lazyfree folio in batches, and
 * takes nothing when one page is dirty: commit 354dffd29575 ("mm: support batched
 * unmap for lazyfree large folios during reclamation") (in v6.15), whose batches end
 * where they must since commit ddd05742b45b ("mm/rmap: fix potential out-of-bounds page
 * table access during batched unmap") (in v6.16).
 */
static inline bool kernel_batches(void)
{
	return kernel_at_least(6, 16) || promised("split_deferred_zero");
}

#endif
