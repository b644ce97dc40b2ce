/* SPDX-License-Identifier: GPL-2.0-only */
/* Folio sizes, and what the kernel promises for them. */
#ifndef SIZES_H
#define SIZES_H

#include "lazyfree.h"

/* The largest folio of a case. */
#define LARGE_KB	folio_kb(FOLIO_LARGE)
#define LARGE_BYTES	(FOLIO_LARGE * page_size())

/* What one round fills: two of the largest folios, or many smaller ones. */
#define ROUND_BYTES	(2 * LARGE_BYTES)

/* Number of pages in a folio of that size; 0 KiB is order 0. */
size_t folio_pages(unsigned int size_kb);

/* The large folio sizes of up to `most_kb`, ascending. */
size_t sizes_large(unsigned int most_kb, unsigned int sizes_kb[THP_SIZES_MAX]);

/* skip() for a kernel that offers no such folios. */
enum outcome skip_no_large_folios(void);

/*
 * lazyfree_refill(). True when every folio is of that size, by the kernel's own count. If
 * some are smaller, the pages are lazyfree all the same.
 */
bool refill_whole(struct lazyfree *l, size_t bytes, unsigned int size_kb);

bool kernel_at_least(unsigned int major, unsigned int minor);

/*
 * True when try_to_unmap_one() unmaps the PTEs of a lazyfree folio in batches, and keeps
 * all of them when one page is dirty: commit 354dffd29575 ("mm: support batched unmap for
 * lazyfree large folios during reclamation") (in v6.15). The batches end at the end of the
 * page table since commit ddd05742b45b ("mm/rmap: fix potential out-of-bounds page table
 * access during batched unmap") (in v6.16).
 */
static inline bool kernel_batches(void)
{
	return kernel_at_least(6, 16) || promised("split_deferred_zero");
}

#endif
